"""The sums of the spike path, at every group's last step, against a matrix product."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden.formats import Fixed
from golden.hardware import (
    NEURON_STAGE,
    HardwareParams,
    LayerHardware,
    ReadoutHardware,
    address_width,
)
from golden.params import LayerFormats, LayerParams, ReadoutParams
from rtl.spike_path import SpikePath
from tests.streams import LOAD_WIDTH, idle, join, load_cycles, replay, split, walk

GRADED = LayerFormats(payload=Fixed(8, 8, signed=False))


def part_of(name: str) -> LayerHardware | ReadoutHardware:
    return {
        "spikes": LayerHardware(LayerParams(6, 10, 3), HardwareParams(4)),
        "graded": LayerHardware(LayerParams(5, 3, 0, formats=GRADED), HardwareParams(1)),
        "narrow": LayerHardware(
            LayerParams(7, 4, 2, formats=LayerFormats(w_f=Fixed(3, 2))), HardwareParams(4)
        ),
        "readout": ReadoutHardware(ReadoutParams(9, 5), HardwareParams(2)),
    }[name]


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("name", ["spikes", "graded", "narrow", "readout"])
def test_sums_are_complete_at_the_neuron_stage(name: str, stall: float) -> None:
    part = part_of(name)
    rng = np.random.default_rng([len(name), int(stall * 10)])
    p, lanes, n_inputs = part.params, part.hardware.lanes, part.params.n_inputs
    payload_format = (
        part.params.formats.payload if isinstance(part, LayerHardware) else part.params.payload
    )
    memory = part.memories["w_f" if isinstance(part, LayerHardware) else "w_o"]
    weights = rng.integers(
        memory.element.min, memory.element.max + 1, (part.n_groups, n_inputs, lanes)
    )
    weights[0, :, 0], weights[-1, :, -1] = memory.element.min, memory.element.max
    words = [join(word, memory.element.width) for group in weights.tolist() for word in group]
    cycles: list[dict[str, Any]] = [*load_cycles(3, words)]
    expected: dict[int, list[int]] = {}
    event: dict[str, int] | None = None  # of the step issued in the cycle before

    def issue(item: dict[str, int], following: dict[str, int] | None) -> None:
        nonlocal event
        address, payload = (
            rng.integers(1 << address_width(n_inputs)),
            rng.integers(payload_format.max + 1),
        )
        cycles.append(
            {"issue": item} | (event or {"address": int(address), "payload": int(payload)})
        )
        event = following

    for timestep in range(30):
        n_events = int(rng.choice([0, 1, n_inputs, int(rng.integers(n_inputs + 1))]))
        addresses = rng.permutation(n_inputs)[:n_events]
        payloads = rng.integers(
            1 if timestep % 3 else payload_format.max, payload_format.max + 1, n_events
        )
        for step in walk(
            part, n_events, refresh=bool(timestep % 2), fresh=timestep == 0, buffer=timestep % 2
        ):
            while rng.random() < stall:
                issue(idle(rng, part), None)
            index = step["step"]
            walked = (
                {"address": int(addresses[index]), "payload": int(payloads[index])}
                if step["sparse"]
                else None
            )
            issue(step, walked)
            if step["last"]:
                total = (
                    payloads @ weights[step["group"], addresses]
                    if n_events
                    else np.zeros(lanes, int)
                )
                expected[len(cycles) - 1 + NEURON_STAGE] = total.tolist()
    for _ in range(NEURON_STAGE + 1):
        issue(idle(rng, part), None)
    dut = SpikePath(part, p.spike_sum, payload_format, memory, 3, LOAD_WIDTH)
    record = replay(dut, ["sums"], cycles)
    for cycle, sums in expected.items():
        assert split(record[cycle]["sums"], p.spike_sum.width, lanes) == sums, f"cycle {cycle}"
