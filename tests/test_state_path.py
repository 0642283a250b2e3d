"""What the dense state path has summed at every group's last step, against matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden.formats import Fixed
from golden.hardware import NEURON_STAGE, READ_STAGE, HardwareParams, LayerHardware
from golden.params import LayerFormats, LayerParams
from rtl.state_path import StatePath
from tests.streams import LOAD_WIDTH, idle, join, load_cycles, play, split, walk

WIDE = LayerFormats(
    u=Fixed(18, 10), m=Fixed(14, 11), x=Fixed(10, 8), p=Fixed(14, 7), leak=Fixed(9, 9, signed=False)
)
WIDE_STATE = LayerFormats(u=Fixed(11, 5), m=Fixed(17, 13), x=Fixed(12, 8))
WIDE_DRIVE = LayerFormats(u=Fixed(11, 5), m=Fixed(12, 8), x=Fixed(17, 13))
LAYERS = {
    "widest state": LayerHardware(LayerParams(2, 4, 3, formats=WIDE_STATE), HardwareParams(3)),
    "widest drive": LayerHardware(LayerParams(2, 4, 3, formats=WIDE_DRIVE), HardwareParams(3)),
    "one value": LayerHardware(LayerParams(4, 7, 1), HardwareParams(3)),
    "several, dilated": LayerHardware(LayerParams(3, 8, 5, dilation=3), HardwareParams(2)),
    "other widths": LayerHardware(
        LayerParams(2, 5, 4, dilation=2, formats=WIDE), HardwareParams(5)
    ),
    "no state": LayerHardware(LayerParams(4, 9, 0), HardwareParams(4)),
}
N_TIMESTEPS = 24


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("name", LAYERS)
def test_products_are_complete_at_the_neuron_stage(name: str, stall: float) -> None:
    layer = LAYERS[name]
    rng = np.random.default_rng([len(name), int(stall * 10)])
    p, f, lanes, n_groups = layer.params, layer.params.formats, layer.hardware.lanes, layer.n_groups
    d = p.n_state

    def draw(fmt: Fixed, *shape: int) -> np.ndarray:
        values = rng.integers(fmt.min, fmt.max + 1, shape)
        return np.where(rng.random(shape) < 0.2, rng.choice([fmt.min, fmt.max], shape), values)

    pv = draw(f.p, n_groups, d + 1, lanes)
    leak = int(rng.integers(1, f.leak.max + 1))
    membranes = draw(f.u, N_TIMESTEPS, n_groups, lanes)
    states, drives = draw(f.m, N_TIMESTEPS, max(d, 1)), rng.integers(0, f.x.max + 1, N_TIMESTEPS)

    schedule: list[tuple[dict[str, int], int]] = [(idle(rng, layer), -1) for _ in range(3)]
    expected: dict[int, tuple[list[int], list[int] | None]] = {}
    loading = (
        load_cycles(5, [join(word, f.p.width) for group in pv.tolist() for word in group])
        if d
        else []
    )
    timestep_in_sequence = 0
    for k in range(N_TIMESTEPS):
        timestep_in_sequence = 0 if rng.random() < 0.2 else timestep_in_sequence + (k > 0)
        fresh, refresh = timestep_in_sequence == 0, timestep_in_sequence % p.dilation == 0
        u, m = membranes[k] * (not fresh), states[k] * (not fresh)
        for step in walk(
            layer, int(rng.integers(p.n_inputs + 1)), refresh=refresh, fresh=fresh, buffer=k % 2
        ):
            while rng.random() < stall:
                schedule.append((idle(rng, layer), k))
            schedule.append((step, k))
            if step["last"]:
                group = step["group"]
                current = m @ pv[group, :d] + drives[k] * pv[group, d] if d and refresh else None
                there = len(loading) + len(schedule) - 1 + NEURON_STAGE
                expected[there] = (
                    (leak * u[group]).tolist(),
                    None if current is None else current.tolist(),
                )
        # The next timestep reads what this one's pipeline has written by then.
        schedule += [(idle(rng, layer), k)] * layer.drain
    schedule += [(idle(rng, layer), N_TIMESTEPS - 1)] * (NEURON_STAGE + 1)

    def drive(cycle: int, last: dict[str, int]) -> dict[str, Any] | None:
        if cycle < len(loading):
            return {**loading[cycle], "leak": leak}
        now = cycle - len(loading)
        if now == len(schedule):
            return None
        inputs: dict[str, Any] = {"leak": leak, "issue": schedule[now][0]}
        k = schedule[max(now - READ_STAGE - 1, 0)][
            1
        ]  # the timestep whose step addressed the memories a cycle ago
        if last and k >= 0:
            word = membranes[k, min(last["membrane_address"], n_groups - 1)]
            inputs["membranes"] = join(word, f.u.width)
        if d and last and k >= 0:
            index, right_buffer = last["state_index"], last["state_buffer"] == (k + 1) % 2
            known = right_buffer and index < d
            inputs["state"] = (
                int(states[k, index]) if known else int(rng.integers(f.m.min, f.m.max + 1))
            )
            values = rng.integers(0, f.x.max + 1, 2)
            buffer = [item["buffer"] for item, of in schedule if of == k and item["valid"]][0]
            values[buffer] = drives[k]
            inputs["drives"] = join(values, f.x.width)
        return inputs

    outputs = [
        "membrane_address",
        "leaked",
        *(["state_index", "state_buffer", "currents"] if d else []),
    ]
    dut = StatePath(layer, 5, LOAD_WIDTH)
    record = play(dut, outputs, drive)
    for cycle, (leaked, currents) in expected.items():
        assert split(record[cycle]["leaked"], dut.product.width, lanes) == leaked, f"cycle {cycle}"
        if currents is not None:
            assert split(record[cycle]["currents"], p.current_sum.width, lanes) == currents, (
                f"cycle {cycle}"
            )
