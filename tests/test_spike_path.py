"""The sums of the spike path, at every group's last step, against a matrix product."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.core import write_core
from golden.data.synthetic import draw_layers
from golden.formats import Fixed
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.hardware.memory import address_width
from golden.hardware.params import HardwareParams
from golden.hardware.readout import ReadoutHardware
from golden.hardware.stages import NEURON_STAGE, READ_STAGE
from golden.params import LayerFormats, LayerParams
from golden.readout_params import ReadoutParams
from rtl.spike_path import SpikePath
from rtl.verilog.generate import generate
from tests.streams import idle, join, load_cycles, replay, split, walk

Part = LayerHardware | ReadoutHardware
GRADED = LayerFormats(payload=Fixed(8, 8, signed=False))
NARROW = LayerFormats(w_f=Fixed(3, 2))


def hardware(lanes: int, block: int, n_events: int) -> HardwareParams:
    return HardwareParams(lanes, block=block, events_per_cycle=n_events)


PARTS: dict[str, Part] = {
    "spikes": LayerHardware(LayerParams(6, 10, 3), hardware(4, 1, 1)),
    "spikes, two a cycle": LayerHardware(LayerParams(7, 10, 3), hardware(4, 1, 2)),
    "graded": LayerHardware(LayerParams(5, 3, 0, formats=GRADED), hardware(1, 1, 1)),
    "narrow masks of two": LayerHardware(LayerParams(7, 4, 2, formats=NARROW), hardware(4, 2, 1)),
    "masks of sixteen, two a cycle": LayerHardware(LayerParams(9, 5, 0), hardware(3, 16, 2)),
    "graded blocks, two a cycle": LayerHardware(
        LayerParams(8, 4, 1, dilation=3, formats=GRADED), hardware(2, 4, 2)
    ),
    "one input, two a cycle": LayerHardware(LayerParams(1, 3, 0), hardware(2, 2, 2)),
    "spikes, four a cycle": LayerHardware(LayerParams(11, 10, 3), hardware(4, 1, 4)),
    "graded blocks, four a cycle": LayerHardware(
        LayerParams(10, 5, 1, dilation=3, formats=GRADED), hardware(3, 2, 4)
    ),
    "two inputs, four a cycle": LayerHardware(LayerParams(2, 3, 0), hardware(2, 4, 4)),
    "readout, four a cycle": ReadoutHardware(ReadoutParams(9, 5), hardware(2, 1, 4)),
    "readout": ReadoutHardware(ReadoutParams(9, 5), hardware(2, 1, 1)),
    "readout of masks, two a cycle": ReadoutHardware(ReadoutParams(9, 5), hardware(8, 4, 2)),
}


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("name", PARTS)
def test_sums_are_complete_at_the_neuron_stage(name: str, stall: float) -> None:
    part = PARTS[name]
    rng = np.random.default_rng([list(PARTS).index(name), int(stall * 10)])
    p, lanes, n_inputs, block = part.params, part.lanes, part.params.n_inputs, part.block
    n_events, width = part.hardware.events_per_cycle, part.payload.width
    memory = part.memories["w_f" if isinstance(part, LayerHardware) else "w_o"]
    least, largest = memory.element.min, memory.element.max
    weights = rng.integers(least, largest + 1, (part.n_groups, n_inputs, lanes))
    weights[0, :, 0], weights[-1, :, -1] = least, largest
    words = [join(word, memory.element.width) for group in weights.tolist() for word in group]
    cycles: list[dict[str, Any]] = load_cycles(3, words)
    expected: dict[int, list[int]] = {}
    weight_reads = additions = 0
    # Events of the steps issued one and two cycles before, payloads of the one issued three before.
    on_their_way: list[tuple[list[int], list[int]] | None] = [None] * (READ_STAGE - 1)
    payload_word = 0

    def issue(item: dict[str, int], events: tuple[list[int], list[int]] | None) -> None:
        """Issue `item`, whose events (addresses, words of payloads) come in the cycles behind; what
        is not walked is random.
        """
        nonlocal payload_word
        addresses = rng.integers(1 << address_width(n_inputs), size=n_events).tolist()
        payloads = [int(rng.integers(1 << width * block)) for _ in range(n_events)]
        if (behind := on_their_way.pop(0)) is not None:
            addresses[: len(behind[0])], payloads[: len(behind[1])] = behind
        address_word = join(addresses, address_width(n_inputs))
        cycles.append(
            {"issue": item, "events.addresses": address_word, "events.payloads": payload_word}
        )
        on_their_way.append(events)
        payload_word = join(payloads, width * block)

    for index in range(25):
        count = int(rng.choice([0, 1, n_inputs, int(rng.integers(n_inputs + 1))]))
        addresses = rng.permutation(n_inputs)[:count]
        payloads = rng.integers(
            0 if index % 3 else part.payload.max, part.payload.max + 1, (block, count)
        )
        for step in walk(
            part,
            count,
            timesteps=(1 << block) - 1,
            refresh=int(rng.integers(1 << block)) if part.dense_steps else 0,
            fresh=index == 0,
            buffer=index % 2,
        ):
            while rng.random() < stall:
                issue(idle(rng, part), None)
            taken = slice(step["step"] * n_events, (step["step"] + 1) * n_events)
            issue(
                step,
                (
                    addresses[taken].tolist(),
                    [join(column, width) for column in payloads[:, taken].T.tolist()],
                ),
            )
            if step["last"]:
                sums = payloads @ weights[step["group"], addresses]
                expected[len(cycles) - 1 + NEURON_STAGE] = sums.ravel().tolist()
                weight_reads += count
                additions += np.count_nonzero(payloads)
    for _ in range(NEURON_STAGE + 1):
        issue(idle(rng, part), None)
    dut = SpikePath(part, p.spike_sum, memory, 3)
    record = replay(dut, ["sums", "weight_reads", "additions"], cycles)
    for cycle, sums in expected.items():
        found = split(record[cycle]["sums"], p.spike_sum.width, block * lanes)
        assert found == sums, f"cycle {cycle}"
    assert sum(row["weight_reads"] for row in record) == weight_reads
    assert sum(row["additions"] for row in record) == additions


def test_a_reset_sends_no_spike(tmp_path: Path) -> None:
    """Spikes go to the lanes inverted, every bit: a register's reset is then the product's own."""
    network = draw_layers("some", (5, 6), 2, 3, seed=0)
    core = CoreParams(network.params, HardwareParams(2, events_per_cycle=2, block=2))
    text = generate(write_core(network, core, tmp_path)).read_text()
    assert set(re.findall(r"if \(rst\) sent_\d <= (\S+);", text)) == {"4'hf"}
