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


def draw_beats(
    rng: np.random.Generator, n_inputs: int, shape: Shape, count: int, reports: bool
) -> list[Item]:
    """Draw beats of every kind: addresses and payloads within and outside of their formats."""
    beats, bits, width = [], 13 if reports else 14, shape.width
    for _ in range(count):
        addresses = [int(rng.integers(n_inputs)), int(rng.integers(1 << 16)), n_inputs - 1]
        address = addresses[rng.integers(3)]
        payload = [0, 1, (1 << width) - 1, int(rng.integers(1 << bits))][rng.integers(4)]
        if shape.signed and rng.integers(2):
            payload = -int(rng.integers(1 << width))
        ends = int(rng.choice([0, 0, 0, 1, 2, 3]))
        asked = int(reports and rng.random() < 0.3)
        data = address | payload % (1 << bits) << 16 | asked << 29 | ends << 30
        flag = {"last": int(rng.random() < 0.2), "user": int(rng.random() < 0.2)}
        beats.append({"data": data, **flag})
    return beats


def to_items(
    beats: list[Item], n_inputs: int, width: int, *, negative: bool = False, reports: bool = False
) -> list[tuple[int, int, int]]:
    """Return kind, address and payload of the items; of an event only what it has. With `negative`,
    payloads have a sign.
    """
    total = 13 if reports else 14
    bits = max(1, (n_inputs - 1).bit_length())
    items = []
    for beat in beats:
        address, payload = beat["data"] & 0xFFFF, beat["data"] >> 16 & (1 << total) - 1
        asked = reports and beat["data"] >> 29 & 1
        low, high = 0, 1 << width
        if negative:
            payload -= payload >> total - 1 << total
            low, high = -(1 << width - 1), 1 << width - 1
        if not low <= payload < high or (payload and address >= 1 << bits):
            items.append((NO_KIND, 0, 0))
        elif payload:
            items.append((EventKind.EVENT, address, payload))
        if (beat["last"] and not asked) or beat["data"] >> 30 & 1:
            items.append((EventKind.END_TIMESTEP, 0, 0))
        if asked:
            items.append((EventKind.REPORT, 0, 0))
        if beat["user"] or beat["data"] >> 31:
            items.append((EventKind.END_SEQUENCE, 0, 0))
    return items


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize(
    ("n_inputs", "payload", "reports"),
    [
        (11, unsigned(8), False),
        (1, unsigned(1), False),
        (16, unsigned(14), False),
        (1 << 16, unsigned(1), False),
        (7, signed(5), False),
        (11, unsigned(8), True),
        (16, unsigned(13), True),
        (7, signed(13), True),
    ],
    ids=str,
)
def test_beats_become_their_items_in_order(
    n_inputs: int, payload: Shape, reports: bool, stall: float
) -> None:
    width, negative = payload.width, payload.signed
    rng = np.random.default_rng([n_inputs, width])
    beats = draw_beats(rng, n_inputs, payload, 300, reports)
    expected = to_items(beats, n_inputs, width, negative=negative, reports=reports)
    kinds = {EventKind.EVENT, EventKind.END_TIMESTEP, EventKind.END_SEQUENCE}
    assert {kind for kind, _, _ in expected} - {NO_KIND} == kinds | (
        {EventKind.REPORT} if reports else set()
    )
    assert (width > 12 or (NO_KIND, 0, 0) in expected) and len(expected) != len(beats)
    assert negative == any(value < 0 for _, _, value in expected)
    dut = AxiEvents(n_inputs, payload, reports=reports)
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
        empty = sum(not to_items([beat], n_inputs, width, reports=reports) for beat in beats)
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


def test_a_report_begins_no_sequence_and_ends_none() -> None:
    """Of a transfer of that word alone; nor is it an end of the timestep."""
    dut = AxiEvents(4, unsigned(1), reports=True)
    kinds: list[int] = []

    async def testbench(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        for data, last, begun in (
            (1 << 29, 1, 0),
            (3 | 1 << 16 | 1 << 30, 0, 1),
            (1 << 29, 1, 1),
            (1 << 29 | 1 << 31, 1, 0),
        ):
            ctx.set(dut.i.payload, {"data": data, "last": last, "user": 0})
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
            for _ in range(5):
                await ctx.tick()
            assert ctx.get(dut.begun) == begun

    async def watch(ctx: Any) -> None:
        async for _, _, valid, kind in ctx.tick().sample(dut.o.valid, dut.o.payload.kind):
            if valid:
                kinds.append(kind)

    simulate(dut, testbench, watch=watch)
    event, end_timestep, end_sequence, _, report = EventKind
    assert kinds == [report, event, end_timestep, report, report, end_sequence]
