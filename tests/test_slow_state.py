"""The slow state against its equation and, cycle for cycle, against what `golden.hardware` promises
of its updates: with blocks that start as early as they may, and with random gaps.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from golden.formats import Fixed, rshift
from golden.hardware.layer import LayerHardware
from golden.hardware.params import LIST_BUFFERS, HardwareParams
from golden.hardware.stages import CLOSE_LATENCY, DRIVE_LATENCY, STATE_STAGE
from golden.params import LayerFormats, LayerParams
from rtl.slow_state import SlowState
from tests.streams import join, load_cycles, replay, split

NARROW_STATE = LayerFormats(a=Fixed(12, 10), m=Fixed(9, 6), x=Fixed(14, 12))
WIDE_STATE = LayerFormats(a=Fixed(16, 14), m=Fixed(16, 13), x=Fixed(15, 11))
OUTPUTS = {
    **{
        name: name
        for name in (
            "ready", "near", "valid", "value", "saturated", "a_read", "m_read", "history_write",
        )
    },
    "history": "history.states",
}  # fmt: skip
# n_state, groups, dilation, block, products a cycle
CASES = [
    (1, 1, 1, 1, 1), (1, 2, 2, 1, 3), (2, 9, 1, 1, 1), (3, 5, 4, 1, 2), (5, 9, 1, 1, 1),
    (12, 20, 1, 1, 1), (12, 14, 1, 1, 2), (7, 2, 1, 1, 8),
    (1, 1, 1, 2, 1), (4, 3, 3, 2, 1), (5, 7, 1, 4, 2), (6, 15, 5, 2, 4), (3, 1, 90, 2, 2),
    (12, 10, 4, 2, 5), (5, 2, 2, 8, 3), (3, 1, 3, 16, 1), (9, 4, 16, 8, 2),
    (10, 2, 1, 1, 2), (9, 3, 1, 1, 4), (12, 1, 1, 1, 4), (6, 9, 1, 1, 2), (7, 1, 2, 2, 4),
    (10, 5, 1, 2, 2), (4, 1, 1, 4, 2), (5, 3, 2, 8, 2), (6, 2, 12, 8, 4), (4, 2, 8, 4, 1),
    (16, 4, 1, 1, 4), (11, 1, 1, 1, 6),
]  # fmt: skip


def make_layer(
    n_state: int, n_groups: int, dilation: int, block: int, products: int
) -> LayerHardware:
    formats = NARROW_STATE if (n_state + n_groups) % 2 else WIDE_STATE
    params = LayerParams(3, 2 * n_groups, n_state, dilation, formats=formats)
    buffers = LIST_BUFFERS[n_groups % 2]
    hardware = HardwareParams(2, block, products_per_cycle=products, list_buffers=buffers)
    return LayerHardware(params, hardware)


@dataclass
class Block:
    """Timesteps `first` and following of a sequence, and the drives of each."""

    first: int
    drives: list[int]


class Model:
    """What the docstrings of `SlowState` and `LayerHardware` promise, for one block after another:
    what is put in and what is to come out, by the cycle.
    """

    def __init__(
        self, layer: LayerHardware, ab: np.ndarray, rng: np.random.Generator, stall: float,
        start: int,
    ) -> None:  # fmt: skip
        self.layer, self.ab, self.rng, self.stall = layer, ab, rng, stall
        self.inputs: defaultdict[int, dict[str, int]] = defaultdict(dict)
        self.expected: defaultdict[int, dict[str, int]] = defaultdict(dict)
        self.history: dict[int, dict[int, int]] = {}  # by cycle, the values of some lanes of it
        self.announced: list[int] = []  # cycles
        self.started: list[int] = []
        self.released: list[int] = []
        self.clamped: set[int] = set()
        self.state = np.zeros(layer.params.n_state, np.int64)
        self.begun = -(1 << 30)  # cycle of the last update's first step
        self.closed = self.free = start  # cycles from which on a list may close, a block start

    def gap(self) -> int:
        return int(self.rng.integers(1, 12)) if self.rng.random() < self.stall else 0

    def take(self, block: Block) -> None:
        """Let a block's list close, its drives come and its walk start: as soon as each may, or up
        to some cycles later.
        """
        layer = self.layer
        before = len(self.started) - layer.n_lists  # the block whose list had this buffer
        closed = max(self.closed, self.released[before] + 1 if before >= 0 else 0) + self.gap()
        self.closed = closed + layer.block
        states = []
        for t, drive in enumerate(block.drives):
            came, last = closed + DRIVE_LATENCY + t, t == len(block.drives) - 1
            fresh = block.first + t == 0
            self.inputs[came] |= {"drive.valid": 1, "drive.value": drive}
            self.inputs[came] |= {"drive.first": fresh, "drive.last": last}
            if fresh:
                self.state = np.zeros_like(self.state)
            states.append(self.state)
            earliest = came + 2  # a cycle in which it is there, one to be taken
            if last:
                self.announced.append(max(came + 1, self.begun + layer.state_update.announce_delay))
                self.walk(block, states, closed)
                earliest = max(self.announced[-1], self.started[-1]) + 2
            self.begun = max(earliest, self.begun + layer.state_update.interval)
            self.update(drive, kept=(block.first + t + 1) % layer.dilation == 0)

    def walk(self, block: Block, states: list[np.ndarray], closed: int) -> None:
        """Start the block and read the slow states of all its groups."""
        layer, number = self.layer, len(self.started)
        d, per_cycle = layer.params.n_state, layer.hardware.products_per_cycle
        kept = [t for t in range(layer.block) if t % gcd(layer.block, layer.dilation) == 0]
        refresh = [t for t in range(len(states)) if (block.first + t) % layer.dilation == 0]
        awaited = number if refresh else number - layer.state_update.lag
        allowed = self.announced[awaited] + 1 if awaited >= 0 else 0
        cycle = max(self.free, closed + CLOSE_LATENCY, allowed) + self.gap()
        self.started.append(cycle)
        self.inputs[cycle]["starting"] = 1
        dense = layer.dense_steps if refresh else 0
        for _ in range(layer.n_groups):
            for step in range(max(dense, layer.output_steps)):
                cycle += 1
                if step == 0:
                    cycle += self.gap()
                if step >= dense:
                    continue
                there = cycle + STATE_STAGE
                self.inputs[there] |= {
                    "history.enable": 1, "history.buffer": (number + 1) % 2, "history.index": step
                }  # fmt: skip
                self.history[there + 2] = {
                    slot * len(kept) + kept.index(t): int(states[t][step * per_cycle + slot])
                    for t in refresh
                    if block.first + t > 0
                    for slot in range(min(per_cycle, d - step * per_cycle))
                }
        self.released.append(cycle)
        self.free = cycle + layer.drain

    def update(self, drive: int, kept: bool) -> None:
        """Update the state; the rows leave a word a cycle."""
        layer, m = self.layer, self.layer.params.formats.m
        d, lanes = layer.params.n_state, layer.state_update.lanes
        exact = rshift(self.ab @ np.append(self.state, drive), layer.params.state_shift)
        self.state = m.saturate(exact)
        shape = layer.state_update
        for step in range(shape.row_groups * shape.steps):
            read = step % shape.steps < shape.words
            self.expected[self.begun + step] |= {"a_read": 1, "m_read": read}
        for first in range(0, d, shape.columns):
            rows = slice(first, first + shape.columns)
            values = np.zeros(shape.columns, np.int64)
            values[: len(self.state[rows])] = self.state[rows]
            wrong = (exact[rows] != self.state[rows]).tolist()
            last_step = self.begun + (first // lanes + 1) * shape.steps - 1
            self.expected[last_step + shape.latency + first % lanes // shape.columns] |= {
                "valid": 1,
                "value": join(values, m.width) if shape.columns > 1 else int(values[0]),
                "saturated": sum(wrong),
                "history_write": kept,
            }
            clamped = self.state[rows][wrong]
            self.clamped |= set(clamped.tolist())


def draw_blocks(layer: LayerHardware, rng: np.random.Generator) -> list[Block]:
    """Draw sequences: of one timestep, of whole blocks, of a part of one; drives reach their
    largest.
    """
    x, block = layer.params.formats.x, layer.block
    lengths = [1, 2 * block, block + 1, layer.dilation + block, 2 * layer.dilation + 5]
    blocks = []
    for length in lengths:
        drives = rng.choice([0, x.max, int(rng.integers(x.max))], length).tolist()
        blocks += [Block(k, drives[k : k + block]) for k in range(0, length, block)]
    return blocks


@pytest.mark.parametrize("stall", [0.0, 0.2])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_cycle(case: tuple[int, ...], stall: float) -> None:
    layer = make_layer(*case)
    rng = np.random.default_rng([*case, int(stall * 10)])
    f, d, lanes = layer.params.formats, layer.params.n_state, layer.state_update.lanes
    ab = rng.integers(f.a.min, f.a.max + 1, (d, d + 1))
    ab[rng.random(ab.shape) < 0.2] = rng.choice([f.a.min, f.a.max])
    shape = layer.state_update
    rows = np.zeros((shape.row_groups * lanes, shape.steps * shape.columns), np.int64)
    rows[:d, : d + 1] = ab
    words = [
        join(word.ravel(), f.a.width)
        for part in rows.reshape(shape.row_groups, lanes, shape.steps, shape.columns)
        for word in part.transpose(1, 2, 0)
    ]
    loading = load_cycles(9, words)
    model = Model(layer, ab, rng, stall, start=len(loading))
    blocks = draw_blocks(layer, rng)
    for block in blocks:
        model.take(block)
    cycles: list[dict[str, Any]] = []
    for cycle in range(max(model.expected) + 5):
        inputs: dict[str, Any] = {"starting": 0, "drive.valid": 0, "history.enable": 0}
        inputs |= {name: int(rng.integers(2)) for name in ("drive.first", "drive.last")}
        inputs |= {
            "drive.value": int(rng.integers(f.x.max)),
            "history.buffer": int(rng.integers(2)),
        }
        inputs["history.index"] = int(rng.integers(layer.dense_steps))
        inputs |= loading[cycle] if cycle < len(loading) else {}
        cycles.append(inputs | model.inputs[cycle])
    record = replay(SlowState(layer, 9), OUTPUTS, cycles)
    strobes = ("valid", "saturated", "history_write", "a_read", "m_read")
    for cycle, found in enumerate(record):
        ahead = sum(c < cycle for c in model.announced) - sum(c < cycle for c in model.started)
        expected = {"ready": ahead == 1, "near": ahead > -layer.state_update.lag}
        expected |= dict.fromkeys(strobes, 0) | model.expected[cycle]
        assert {name: found[name] for name in expected} == expected, f"cycle {cycle}"
        memory = layer.buffers["history"]
        values = split(found["history"], memory.element.width, memory.n_lanes)
        read = model.history.get(cycle, {})
        assert {lane: values[lane] for lane in read} == read, f"cycle {cycle}"
    assert d < 3 or model.clamped == {f.m.min, f.m.max}
    lagging = [start < there for start, there in zip(model.started, model.announced, strict=True)]
    slower = layer.block * layer.state_update.interval > layer.n_groups * layer.output_steps
    assert any(lagging) or layer.state_update.lag == 1 or not slower


def test_cases_cover_the_corners() -> None:
    """One multiplier, several, as many as rows, and last rows that are fewer; refreshes within a
    block, in every one, and in few.
    """
    layers = [make_layer(*case) for case in CASES]
    assert {layer.state_update.lanes for layer in layers} >= {1, 2, 3, 4, 12}
    assert any(layer.params.n_state % layer.state_update.lanes for layer in layers)
    assert any(layer.state_update.lanes == layer.params.n_state > 1 for layer in layers)
    assert {1, 16} <= {layer.state_update.lag for layer in layers}
    assert any(1 < layer.dilation < layer.block for layer in layers)
    assert any(layer.drain for layer in layers)
    assert {layer.state_update.relaxed for layer in layers} == {False, True}


def test_a_drive_needs_room_in_the_queue() -> None:
    """Blocks of a timestep come, and none is started."""
    simulator = Simulator(top := SlowState(make_layer(5, 9, 1, 1, 1), 0))
    simulator.add_clock(1e-6)

    async def drive(ctx: Any) -> None:
        ctx.set(top.drive.valid, 1)
        ctx.set(top.drive.last, 1)
        for _ in range(50):
            await ctx.tick()

    simulator.add_testbench(drive)
    with pytest.raises(AssertionError, match=": the queue has room for what comes"):
        simulator.run()
