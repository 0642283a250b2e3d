"""The delay line against a calendar of who comes out when: every item, error and access, under
random gaps and stalls; and its pace.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from golden.hardware import BLOCKS, DELAY_LATENCY, EventKind, HardwareParams, LayerHardware
from golden.params import LayerParams
from rtl.delay_line import DelayLine
from tests.streams import (
    LOAD_WIDTH,
    Item,
    draw_blocks,
    draw_timesteps,
    load_cycles,
    offer,
    simulate,
    take,
)

EVENT, END, END_SEQUENCE = (kind.value for kind in EventKind)
COUNTS = ["out_of_range", "repeated", "unclosed", "delays_reads", "ring_reads", "ring_writes"]
NUMBER = 5  # of the memory of delays


def make(n_inputs: int, max_delay: int, block: int, *, external: bool = True) -> LayerHardware:
    params = LayerParams(n_inputs, 3, 0, max_delay=max_delay)
    return LayerHardware(params, HardwareParams(2, block), external=external)


@dataclass
class Model:
    """What the docstring of `DelayLine` says, and no more."""

    layer: LayerHardware
    delays: list[int]
    calendar: set[tuple[int, int]] = field(default_factory=set)  # timestep, input
    timestep: int = 0  # of the sequence
    begun: int = 0  # the first one of the block
    seen: set[int] = field(default_factory=set)  # in this timestep
    items: list[Item] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def receive(self, kind: int, address: int, payload: int) -> None:
        block, external = self.layer.block, self.layer.external
        if kind == EVENT and payload:
            if address >= len(self.delays):
                self.counts["out_of_range"] += 1
                return
            fires = [t for t in range(block) if external or payload >> t & 1]
            leaves = {self.begun + t + self.delays[address] for t in fires}
            if external:
                self.counts["repeated"] += address in self.seen
                self.seen.add(address)
                leaves = {self.timestep + self.delays[address]}
            self.calendar |= {(t, address) for t in leaves}
            touched = len({t // block for t in leaves})
            self.counts.update(delays_reads=1, ring_reads=touched, ring_writes=touched)
        elif kind == END:
            self.timestep += 1 if external else payload.bit_length()
            self.seen = set()
            if not external or self.timestep == self.begun + block:
                self.close()
        elif kind == END_SEQUENCE:
            if external and self.timestep > self.begun:
                self.close()
            self.counts["unclosed"] += bool(self.seen)
            self.counts["ring_writes"] += self.layer.ring_memories * self.layer.ring_depth
            self.items.append({"kind": END_SEQUENCE, "address": 0})
            self.timestep = self.begun = 0
            self.calendar, self.seen = set(), set()
        elif kind > END_SEQUENCE:
            self.counts["out_of_range"] += 1

    def close(self) -> None:
        times = range(self.begun, self.timestep)
        for address in range(len(self.delays)):
            mask = sum(((t, address) in self.calendar) << t - self.begun for t in times)
            if mask:
                self.items.append({"kind": EVENT, "address": address, "payload": mask})
        self.items.append({"kind": END, "address": 0, "payload": (1 << len(times)) - 1})
        self.counts.update(ring_reads=self.layer.ring_words, ring_writes=self.layer.ring_words)
        self.begun = self.timestep


async def load(ctx: Any, dut: DelayLine, delays: list[int]) -> None:
    for cycle in load_cycles(NUMBER, delays):
        for name, value in cycle.items():
            ctx.set(getattr(dut.load, name.removeprefix("load.")), value)
        await ctx.tick()


@pytest.mark.parametrize(("gaps", "stall"), [(0, 0), (0.3, 0.6)])
@pytest.mark.parametrize("external", [True, False])
@pytest.mark.parametrize(
    ("n_inputs", "max_delay", "block"),
    [
        (1, 1, 1), (40, 2, 1), (5, 12, 1), (19, 5, 2), (7, 1, 2), (19, 8, 4), (12, 7, 4),
        (9, 9, 8), (11, 40, 8), (6, 1, 16), (3, 33, 16),
    ],
)  # fmt: skip
def test_spikes_come_out_their_delay_later(
    n_inputs: int, max_delay: int, block: int, external: bool, gaps: float, stall: float
) -> None:
    layer = make(n_inputs, max_delay, block, external=external)
    rng = np.random.default_rng([n_inputs, max_delay, block, external, int(10 * stall)])
    delays = rng.integers(max_delay + 1, size=n_inputs).tolist()
    delays[rng.integers(n_inputs)] = max_delay
    count = 3 * max_delay // block + 8
    drawn: list[Item] = []
    for ends in (0.3, 0.0, 0.9):  # the ring goes round where sequences are long
        timesteps = count * block if external else count
        draw = draw_timesteps if external else draw_blocks
        drawn += draw(rng, layer, min(timesteps, 40), ends)
        drawn.append({"kind": END_SEQUENCE, "address": 0, "payload": 0})
    model = Model(layer, delays)
    for item in drawn:
        model.receive(**item)
    dut = DelayLine(layer, NUMBER, LOAD_WIDTH)
    received: list[Item] = []
    counted = Counter[str]()

    async def produce(ctx: Any) -> None:
        await load(ctx, dut, delays)
        await offer(ctx, dut.i, drawn, rng, gaps)
        await ctx.tick().repeat(DELAY_LATENCY + 1)

    async def collect(ctx: Any) -> None:
        received.extend(await take(ctx, dut.o, lambda g: len(g) == len(model.items), rng, stall))

    async def watch(ctx: Any) -> None:
        async for _, _, *values in ctx.tick().sample(*(getattr(dut, name) for name in COUNTS)):
            counted.update(dict(zip(COUNTS, values, strict=True)))

    simulate(dut, produce, collect, watch=watch)
    expected = [item | {"payload": item.get("payload", 0)} for item in model.items]
    for item in received:
        item["payload"] *= item["kind"] != END_SEQUENCE
    assert received == expected
    assert {n: c for n, c in counted.items() if c} == {n: c for n, c in model.counts.items() if c}
    if external and n_inputs > 1:
        assert counted["repeated"] and counted["out_of_range"] and counted["unclosed"]


def record(layer: LayerHardware, delays: list[int], items: list[Item]) -> list[tuple[int, str]]:
    """Return the transfers of a line that never waits for anything outside: cycles from the first
    one on, and what is transferred.
    """
    dut = DelayLine(layer, NUMBER, LOAD_WIDTH)
    cycles: list[tuple[int, str]] = []
    rng = np.random.default_rng(0)

    async def produce(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        await load(ctx, dut, delays)
        await offer(ctx, dut.i, items, rng, 0)
        await ctx.tick().repeat(layer.params.n_inputs + 20)

    async def watch(ctx: Any) -> None:
        cycle, first = 0, None
        ports = (dut.i.valid & dut.i.ready, dut.o.valid & dut.o.ready, dut.o.payload.kind)
        async for _, _, taken, sent, kind in ctx.tick().sample(*ports):
            first = cycle if taken and first is None else first
            cycles.extend([(cycle - (first or 0), "in")] if taken else [])
            cycles.extend([(cycle - (first or 0), EventKind(kind).name)] if sent else [])
            cycle += 1

    simulate(dut, produce, watch=watch)
    return cycles


@pytest.mark.parametrize(("n_inputs", "block"), [(20, 1), (90, 1), (90, 4), (5, 16)])
def test_an_empty_block_passes_word_by_word(n_inputs: int, block: int) -> None:
    """Then the end of the next block is taken in the cycle in which the one before is offered."""
    layer = make(n_inputs, 3, block, external=False)
    marker = {"kind": END, "address": 0, "payload": (1 << block) - 1}
    found = record(layer, [0] * n_inputs, [marker, marker])
    latency = DELAY_LATENCY + layer.ring_words + 2
    assert found == [(0, "in"), (latency, "in"), (latency, "END_TIMESTEP")] + [
        (2 * latency, "END_TIMESTEP")
    ]


@pytest.mark.parametrize("block", BLOCKS)
def test_full_blocks_follow_each_other_without_a_gap(block: int) -> None:
    """All inputs in every timestep, and each of them in two slots: one event a cycle comes in and
    goes out, but for the cycles in which words are read.
    """
    n_inputs, n_blocks, whole = 64, 4, (1 << block) - 1
    layer = make(n_inputs, max(1, block - 1), block, external=False)
    events = [{"kind": EVENT, "address": a, "payload": whole} for a in range(n_inputs)]
    items = [*events, {"kind": END, "address": 0, "payload": whole}] * n_blocks
    delays = [a % block for a in range(n_inputs)]
    found = record(layer, delays, items)
    ends = [cycle for cycle, kind in found if kind == "END_TIMESTEP"]
    assert len(ends) == n_blocks
    sent = [cycle for cycle, kind in found if kind == "EVENT"]
    assert len(sent) == n_blocks * n_inputs
    # An end is taken when the one before is sent, and is sent behind its events; or the words that
    # are read hold up the events of the next block for longer than that.
    period = n_inputs + 1 + max(DELAY_LATENCY + 2, layer.ring_words)
    assert np.diff(ends).tolist() == [period] * (n_blocks - 1)


def test_the_ring_is_clear_before_the_first_item_is_taken() -> None:
    layer = make(40, 9, 2)
    dut = DelayLine(layer, NUMBER, LOAD_WIDTH)
    ready: list[int] = []
    clearing: list[int] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.i.valid, 1)
        for _ in range(2 * layer.ring_depth):
            _, _, *values = await ctx.tick().sample(dut.i.ready, dut.clearing)
            ready.append(values[0])
            clearing.append(values[1])

    simulate(dut, bench)
    assert ready == [0] * layer.ring_depth + [1] * layer.ring_depth
    assert clearing == [1 - one for one in ready]
