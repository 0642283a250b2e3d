"""The slow state against its equation, for many sizes, with successive timesteps as close as they
may come.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden.formats import Fixed, rshift
from golden.hardware import HardwareParams, LayerHardware
from golden.params import LayerFormats, LayerParams
from rtl.slow_state import SlowState
from tests.streams import LOAD_WIDTH, idle, join, load_cycles, replay, walk

GROUPS = (1, 2, 3, 5, 9)
NARROW_STATE = LayerFormats(a=Fixed(12, 10), m=Fixed(9, 6), x=Fixed(14, 12))
WIDE_STATE = LayerFormats(a=Fixed(16, 15), m=Fixed(16, 13), x=Fixed(10, 8))


def make_layer(d: int, n_groups: int) -> LayerHardware:
    formats = NARROW_STATE if (d + n_groups) % 2 else WIDE_STATE
    return LayerHardware(LayerParams(3, 2 * n_groups, d, formats=formats), HardwareParams(2))


@pytest.mark.parametrize("n_groups", GROUPS)
@pytest.mark.parametrize("d", range(1, 13))
def test_update(d: int, n_groups: int) -> None:
    layer = make_layer(d, n_groups)
    rng = np.random.default_rng([d, n_groups])
    p, f, lanes = layer.params, layer.params.formats, layer.state_lanes
    extreme = rng.random() < 0.5
    a = (
        rng.choice([f.a.min, f.a.max], (d, d + 1))
        if extreme
        else rng.integers(f.a.min, f.a.max + 1, (d, d + 1)) // 2
    )
    rows = np.zeros((layer.n_state_blocks * lanes, d + 1), np.int64)
    rows[:d] = a
    words = [join(word, f.a.width) for block in rows.reshape(-1, lanes, d + 1) for word in block.T]
    cycles: list[dict[str, Any]] = [*load_cycles(9, words)]
    written: dict[int, tuple[int, bool]] = {}
    readable: dict[int, int] = {}
    m = np.zeros(d, np.int64)
    for k in range(6):
        fresh, buffer = k in (0, 3), int(rng.integers(2))
        if fresh:
            m = np.zeros(d, np.int64)
        drives = rng.integers(0, f.x.max + 1, 2) if k != 1 else np.full(2, f.x.max)
        start = len(cycles)
        first = walk(layer, 1, refresh=True, fresh=fresh, buffer=buffer)[0]
        length = layer.state_cycles + int(rng.choice([0, 0, 1, 7]))
        for t in range(length):
            inputs: dict[str, Any] = {"issue": idle(rng, layer)} if t else {"issue": first}
            inputs["drives"] = join(
                drives if t == 0 else rng.integers(0, f.x.max + 1, 2), f.x.width
            )
            index = int(rng.integers(d))
            inputs |= {"index": index, "buffer": (k + 1) % 2}
            cycles.append(inputs)
            if t and not fresh:  # the state before this timestep, from the cycle after its start on
                readable[start + t + 1] = int(m[index])
        exact = rshift(rows[:d] @ np.append(m, drives[buffer]), p.state_shift)
        m = f.m.saturate(exact)
        for i, value in enumerate(m.tolist()):
            block, row = divmod(i, lanes)
            # A block's rows are written one a cycle, the first as many cycles after its last step
            # as golden says.
            last_block = d - (layer.n_state_blocks - 1) * lanes
            there = (
                start
                + layer.state_cycles
                - last_block
                + 1
                - (layer.n_state_blocks - 1 - block) * (d + 1)
                + row
            )
            written[there] = value, bool(value != exact[i])
    cycles += [{"issue": idle(rng, layer)}] * 3
    record = replay(
        SlowState(layer, 9, LOAD_WIDTH), ["valid", "value", "saturated", "state"], cycles
    )
    found = {
        cycle: (row["value"], bool(row["saturated"]))
        for cycle, row in enumerate(record)
        if row["valid"]
    }
    assert found == written
    assert not any(row["saturated"] for row in record if not row["valid"])
    assert {cycle: record[cycle]["state"] for cycle in readable} == readable


def test_sizes_cover_the_corners() -> None:
    """One multiplier, several, as many as rows, and a last block that is not full."""
    layers = [make_layer(d, n_groups) for d in range(1, 13) for n_groups in GROUPS]
    assert {layer.state_lanes for layer in layers} >= {1, 2, 3, 4, 6}
    assert any(layer.params.n_state % layer.state_lanes for layer in layers)
    assert any(layer.state_lanes == layer.params.n_state > 1 for layer in layers)
