"""The reader of a slot: every input that comes out, in order, at the pace that it promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden.hardware import EventKind, HardwareParams, LayerHardware
from golden.params import LayerParams
from rtl.slot_reader import SlotReader
from tests.streams import Item, simulate, take

END, END_SEQUENCE = EventKind.END_TIMESTEP.value, EventKind.END_SEQUENCE.value


def make(n_inputs: int, block: int) -> LayerHardware:
    return LayerHardware(LayerParams(n_inputs, 3, 0, max_delay=4), HardwareParams(2, block))


async def answer(
    ctx: Any,
    dut: SlotReader,
    blocks: list[tuple[list[int], int] | None],
    rng: np.random.Generator,
    gaps: float,
) -> None:
    """End blocks (the words of each, and its timesteps) and sequences (None), each when the one
    before is sent; give the words that are read in the cycle after, and nonsense in all others.
    """
    for block in blocks:
        while rng.random() < gaps:
            await ctx.tick()
        words, timesteps = block or ([], 0)
        ctx.set(dut.block_ended, block is not None)
        ctx.set(dut.sequence_ended, block is None)
        ctx.set(dut.timesteps, timesteps)
        await ctx.tick()
        ctx.set(dut.block_ended, 0)
        ctx.set(dut.sequence_ended, 0)
        ctx.set(dut.timesteps, int(rng.integers(1 << dut.layer.block)))
        order, sent = [], False
        while not sent:
            _, _, read, index, sent = await ctx.tick().sample(dut.read, dut.index, dut.sent)
            nonsense = int.from_bytes(rng.bytes(8), "little") % (1 << len(dut.word))
            ctx.set(dut.word, words[index] if read else nonsense)
            order += [index] if read else []
        assert order == list(range(len(words)))


@pytest.mark.parametrize(("gaps", "stall"), [(0, 0), (0, 0.5), (0.6, 0), (0.3, 0.9)])
@pytest.mark.parametrize(
    ("n_inputs", "block"), [(1, 1), (32, 1), (75, 1), (33, 2), (20, 4), (9, 8), (7, 16)]
)
def test_events_come_in_order(n_inputs: int, block: int, gaps: float, stall: float) -> None:
    layer = make(n_inputs, block)
    rng = np.random.default_rng([n_inputs, block, int(stall * 10)])
    blocks: list[tuple[list[int], int] | None] = []
    items: list[Item] = []
    for _ in range(25):
        length = int(rng.integers(1, block + 1)) if rng.random() < 0.4 else block
        timesteps = (1 << length) - 1
        bits = rng.integers(1, 1 << block, n_inputs)
        bits *= rng.random(n_inputs) < rng.choice([0, 0.1, 0.5, 1])
        lanes = np.zeros(layer.ring_words * layer.ring_lanes, np.int64)
        lanes[:n_inputs] = bits
        words = [
            sum(int(b) << i * block for i, b in enumerate(word))
            for word in lanes.reshape(layer.ring_words, -1)
        ]
        blocks.append((words, timesteps))
        items += [
            {"kind": EventKind.EVENT.value, "address": address, "payload": int(b) & timesteps}
            for address, b in enumerate(bits)
            if b & timesteps
        ]
        items.append({"kind": END, "address": 0, "payload": timesteps})
        if rng.random() < 0.2:
            blocks.append(None)
            items.append({"kind": END_SEQUENCE, "address": 0, "payload": 0})
    dut = SlotReader(layer)
    received: list[Item] = []

    async def collect(ctx: Any) -> None:
        received.extend(await take(ctx, dut.o, lambda got: len(got) == len(items), rng, stall))

    async def produce(ctx: Any) -> None:
        await answer(ctx, dut, blocks, rng, gaps)

    simulate(dut, produce, collect)
    for found in received:
        if found["kind"] == END_SEQUENCE:
            found["payload"] = 0
    assert received == items


@pytest.mark.parametrize(
    ("words", "cycles"),
    [
        ([0, 0, 0], [6]),
        ([0, 0, 0b100], [6, 7]),
        ([0b1111, 0b11, 0b111], [4, 5, 6, 7, 8, 9, 10, 11, 12, 13]),
        ([0b10, 0b10, 0b10], [4, 5, 7, 8]),
        ([0b10, 0b10, 0], [4, 5, 7]),
        ([0b1000, 0, 0], [4, 7]),
    ],
)
def test_the_pace(words: list[int], cycles: list[int]) -> None:
    """The cycles, from the end of the block on, in which items are in the output register: the
    first word is read in cycle 1.
    """
    dut = SlotReader(make(90, 1))
    found: list[int] = []
    rng = np.random.default_rng(0)

    async def produce(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        await answer(ctx, dut, [(words, 1)], rng, 0)
        await ctx.tick().repeat(3)

    async def watch(ctx: Any) -> None:
        cycle = 0
        async for _, _, valid in ctx.tick().sample(dut.o.valid):
            found.extend([cycle] if valid else [])
            cycle += 1

    simulate(dut, produce, watch=watch)
    assert found == cycles
