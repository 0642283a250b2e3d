"""Beats of an AXI4-Stream against the items that they stand for, with stalls on both sides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Shape, signed, unsigned

from golden.hardware.part import EventKind
from rtl.host.axi_events import AxiEvents
from tests.streams import Item, offer, simulate, take

NO_KIND = EventKind.INVALID
# Inputs, and the payload's format.
SIZES = (
    (11, unsigned(8)), (1, unsigned(1)), (16, unsigned(14)), (1 << 16, unsigned(1)),
    (11, signed(8)), (5, signed(2)), (16, signed(14)),
)  # fmt: skip


def draw_beats(rng: np.random.Generator, n_inputs: int, shape: Shape, count: int) -> list[Item]:
    """Draw beats of every kind: addresses and payloads within and outside of their formats."""
    beats = []
    for _ in range(count):
        addresses = [int(rng.integers(n_inputs)), int(rng.integers(1 << 16)), n_inputs - 1]
        address = addresses[rng.integers(3)]
        least, most = -(shape.signed << shape.width - 1), (1 << shape.width - shape.signed) - 1
        payload = [0, 1, most, least, int(rng.integers(1 << 14))][rng.integers(5)] & 0x3FFF
        ends = int(rng.choice([0, 0, 0, 1, 2, 3]))
        data = address | payload << 16 | ends << 30
        flag = {"last": int(rng.random() < 0.2), "user": int(rng.random() < 0.2)}
        beats.append({"data": data, **flag})
    return beats


def to_items(beats: list[Item], n_inputs: int, shape: Shape) -> list[tuple[int, int, int]]:
    """Return kind, address and payload of the items; of an event only what it has."""
    bits = max(1, (n_inputs - 1).bit_length())
    items = []
    for beat in beats:
        address, payload = beat["data"] & 0xFFFF, beat["data"] >> 16 & 0x3FFF
        if shape.signed and payload >> 13:
            payload -= 1 << 14
        low, high = -(shape.signed << shape.width - 1), 1 << shape.width - shape.signed
        if not low <= payload < high or (payload and address >= 1 << bits):
            items.append((NO_KIND, 0, 0))
        elif payload:
            items.append((EventKind.EVENT, address, payload))
        if beat["last"] or beat["data"] >> 30 & 1:
            items.append((EventKind.END_TIMESTEP, 0, 0))
        if beat["user"] or beat["data"] >> 31:
            items.append((EventKind.END_SEQUENCE, 0, 0))
    return items


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize(("n_inputs", "shape"), SIZES)
def test_beats_become_their_items_in_order(n_inputs: int, shape: Shape, stall: float) -> None:
    rng = np.random.default_rng([n_inputs, shape.width])
    beats = draw_beats(rng, n_inputs, shape, 300)
    expected = to_items(beats, n_inputs, shape)
    assert {kind for kind, _, _ in expected} >= {0, 1, 2}
    assert (shape.width == 14 or (NO_KIND, 0, 0) in expected) and len(expected) != len(beats)
    assert not shape.signed or min(payload for _, _, payload in expected) < -1
    dut = AxiEvents(n_inputs, shape)
    received: list[Item] = []
    begun: list[int] = []

    async def give(ctx: Any) -> None:
        await offer(ctx, dut.i, beats, np.random.default_rng(1), stall)

    async def receive(ctx: Any) -> None:
        rng = np.random.default_rng(2)
        received.extend(await take(ctx, dut.o, lambda r: len(r) == len(expected), rng, stall))
        while ctx.get(dut.begun) and expected[-1][0] == EventKind.END_SEQUENCE:
            await ctx.tick()  # beats behind it that hold nothing

    async def watch(ctx: Any) -> None:
        async for _, _, value in ctx.tick().sample(dut.begun):
            begun.append(value)

    simulate(dut, give, receive, watch=watch)
    found = [
        (item["kind"], item["address"], item["payload"]) if item["kind"] == 0
        else (item["kind"], 0, 0)
        for item in received
    ]  # fmt: skip
    assert found == expected
    if not stall:  # an item a cycle, a beat of none takes one too
        empty = sum(not to_items([beat], n_inputs, shape) for beat in beats)
        assert len(begun) <= len(expected) + empty + 4


def test_one_cycle_late_and_begun_until_the_end_is_taken() -> None:
    dut = AxiEvents(4, unsigned(1))
    shown: list[tuple[int, ...]] = []

    async def testbench(ctx: Any) -> None:
        async def step(ready: int, **beat: int) -> None:
            ctx.set(dut.i.valid, bool(beat))
            ctx.set(dut.i.payload, {"data": 0, "last": 0, "user": 0} | beat)
            ctx.set(dut.o.ready, ready)
            _, _, *values = await ctx.tick().sample(
                dut.i.ready, dut.o.valid, dut.o.payload.kind, dut.begun
            )
            shown.append(tuple(values))

        await step(0, data=3 | 1 << 16, last=1, user=1)
        await step(0, data=1 << 31)
        await step(0, data=1 << 31)  # no room: it waits
        for _ in range(3):
            await step(1)
        await step(1)
        await step(1)

    simulate(dut, testbench)
    event, end_timestep, end_sequence, *_ = EventKind
    assert [row[0] for row in shown[:3]] == [1, 1, 0]
    assert [row[1:] for row in shown[1:7]] == [
        (1, event, 1), (1, event, 1), (1, event, 1), (1, end_timestep, 1), (1, end_sequence, 1),
        (1, end_sequence, 1),
    ]  # fmt: skip
    assert (shown[7][1], shown[7][3]) == (0, 0)


def test_a_sequence_stays_begun_and_an_empty_beat_waits_for_nobody() -> None:
    """Also while no beat waits; what holds nothing goes although the core is not ready."""
    dut = AxiEvents(4, unsigned(1))

    async def testbench(ctx: Any) -> None:
        async def beat(data: int) -> None:
            ctx.set(dut.i.payload, {"data": data, "last": 0, "user": 0})
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

        for _ in range(5):
            await beat(3)
        await ctx.tick()
        assert not ctx.get(dut.begun) and not ctx.get(dut.o.valid)
        ctx.set(dut.o.ready, 1)
        for data, begun in ((3 | 1 << 16, 1), (1 << 30, 1), (1 << 31, 0)):
            await beat(data)
            for _ in range(5):
                await ctx.tick()
            assert ctx.get(dut.begun) == begun

    simulate(dut, testbench)
