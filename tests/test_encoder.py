"""The encoder: every spike and marker in order, none lost, no bubble, whoever stalls."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Value

from golden.hardware import MASK_QUEUE_DEPTH, WRITE_STAGE, EventKind, HardwareParams, LayerHardware
from golden.params import LayerParams
from rtl.encoder import Encoder
from tests.streams import Item, simulate, take


@dataclass(frozen=True)
class Group:
    """What the neuron stage hands over: a group's spikes, or (`spikes` None) the end of a
    sequence.
    """

    spikes: int | None
    last_group: bool


def draw_groups(
    rng: np.random.Generator, layer: LayerHardware, n_timesteps: int
) -> tuple[list[Group], list[Item]]:
    """Draw timesteps from silent to full, and return them with the events that they become."""
    groups: list[Group] = []
    items: list[Item] = []
    lanes, n = layer.hardware.lanes, layer.params.n_neurons
    for _ in range(n_timesteps):
        fires = rng.random(layer.n_groups * lanes) < rng.choice([0, 0.1, 0.5, 1])
        fires[n:] = False
        items += [
            {"kind": EventKind.EVENT.value, "address": int(a), "payload": 1}
            for a in np.flatnonzero(fires)
        ]
        for index, group in enumerate(fires.reshape(-1, lanes)):
            mask = sum(1 << lane for lane in range(lanes) if group[lane])
            groups.append(Group(mask, index == layer.n_groups - 1))
        items.append({"kind": EventKind.END_TIMESTEP.value, "address": 0, "payload": 0})
        if rng.random() < 0.2:
            groups.append(Group(None, False))
            items.append({"kind": EventKind.END_SEQUENCE.value, "address": 0, "payload": 0})
    return groups, items


async def produce(
    ctx: Any, dut: Encoder, groups: list[Group], rng: np.random.Generator, gaps: float
) -> None:
    """Reserve room for each group where there is some, and hand it over `WRITE_STAGE` cycles
    later.
    """
    waiting, flying, cycle = deque(groups), deque[tuple[int, Group]](), 0
    while waiting or flying:
        reserve = bool(waiting) and bool(ctx.get(dut.room)) and rng.random() >= gaps
        if reserve:
            flying.append((cycle + WRITE_STAGE, waiting.popleft()))
        ctx.set(dut.reserve, reserve)
        group = flying.popleft()[1] if flying and flying[0][0] == cycle else None
        ctx.set(dut.valid, group is not None and group.spikes is not None)
        ctx.set(dut.sequence_end, group is not None and group.spikes is None)
        known = group is not None and group.spikes is not None
        ctx.set(
            dut.spikes,
            group.spikes if group and known else int(rng.integers(1 << min(60, len(dut.spikes)))),
        )
        ctx.set(dut.last_group, group.last_group if group and known else int(rng.integers(2)))
        await ctx.tick()
        cycle += 1
    for strobe in (dut.reserve, dut.valid, dut.sequence_end):
        ctx.set(strobe, 0)


@pytest.mark.parametrize(("gaps", "stall"), [(0, 0), (0, 0.5), (0.6, 0), (0.3, 0.3), (0, 0.95)])
@pytest.mark.parametrize(
    ("n_neurons", "lanes"), [(1, 1), (10, 4), (3, 8), (7, 1), (21, 5), (32, 16)]
)
def test_events_come_in_order(n_neurons: int, lanes: int, gaps: float, stall: float) -> None:
    layer = LayerHardware(LayerParams(3, n_neurons, 0), HardwareParams(lanes))
    rng = np.random.default_rng([n_neurons, lanes, int(gaps * 10), int(stall * 100)])
    groups, items = draw_groups(rng, layer, 25)
    dut = Encoder(layer)
    received: list[Item] = []

    async def collect(ctx: Any) -> None:
        received.extend(await take(ctx, dut.o, lambda got: len(got) == len(items), rng, stall))
        assert await watch(ctx, dut, 10) == [], "an item too many"
        assert ctx.get(dut.room), "room was lost"

    async def bench(ctx: Any) -> None:
        await produce(ctx, dut, groups, rng, gaps)

    simulate(dut, bench, collect)
    assert received == items


async def watch(ctx: Any, dut: Encoder, cycles: int) -> list[int]:
    """Return the cycles in which an item is offered."""
    found = []
    for cycle in range(cycles):
        *_, valid = await ctx.tick().sample(Value.cast(dut.o.valid))
        if valid:
            found.append(cycle)
    return found


def test_first_event_after_4_cycles_and_then_one_a_cycle() -> None:
    """Groups without spikes cost nothing, and the last item of a group is followed by the next
    group's first.
    """
    layer = LayerHardware(LayerParams(3, 32, 0), HardwareParams(4))
    masks = [0b1010, 0, 0b0001, 0, 0, 0b1111, 0b1000, 0]
    dut = Encoder(layer)
    found: list[int] = []

    async def bench(ctx: Any) -> None:
        for index, mask in enumerate(masks):
            ctx.set(dut.valid, 1)
            ctx.set(dut.spikes, mask)
            ctx.set(dut.last_group, index == len(masks) - 1)
            await ctx.tick()
        ctx.set(dut.valid, 0)

    async def collect(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        found.extend(await watch(ctx, dut, 40))

    simulate(dut, bench, collect)
    # Groups arrive in cycles 0 to 7: two events from cycle 4 on, one from 6 on, then four, one, and
    # the marker.
    assert found == [4, 5, 6, *range(9, 15)]


@pytest.mark.parametrize("seed", [0, 3])
def test_no_bubble_while_groups_wait(seed: int) -> None:
    """Once the queue has filled behind a stalled consumer, as many cycles as items bring them
    all.
    """
    layer = LayerHardware(LayerParams(3, 12, 0), HardwareParams(4))
    rng = np.random.default_rng(seed)
    groups = [Group(int(rng.integers(1, 16)), index % 3 == 2) for index in range(12)]
    n_items = sum((group.spikes or 0).bit_count() + group.last_group for group in groups)
    dut = Encoder(layer)
    found: list[int] = []

    async def collect(ctx: Any) -> None:
        for _ in range(40):
            await ctx.tick()
        ctx.set(dut.o.ready, 1)
        found.extend(await watch(ctx, dut, n_items + 5))

    async def bench(ctx: Any) -> None:
        await produce(ctx, dut, groups, rng, 0)

    simulate(dut, bench, collect)
    assert found == list(range(n_items))


def test_room_for_as_many_groups_as_the_queue_is_deep() -> None:
    """Room is given back when a group is taken from the queue, or has nothing to send."""
    layer = LayerHardware(LayerParams(3, 4, 0), HardwareParams(4))
    dut = Encoder(layer)

    async def reserve_all(ctx: Any) -> int:
        count = 0
        while ctx.get(dut.room):
            ctx.set(dut.reserve, 1)
            await ctx.tick()
            count += 1
        ctx.set(dut.reserve, 0)
        return count

    async def hand_over(ctx: Any, spikes: int, last_group: bool) -> None:
        ctx.set(dut.valid, 1)
        ctx.set(dut.spikes, spikes)
        ctx.set(dut.last_group, last_group)
        await ctx.tick()
        ctx.set(dut.valid, 0)

    async def bench(ctx: Any) -> None:
        assert await reserve_all(ctx) == MASK_QUEUE_DEPTH
        await hand_over(ctx, 0, False)  # silent: nothing to queue
        assert await reserve_all(ctx) == 1
        await hand_over(ctx, 0b11, True)  # taken: its first item waits in the output register
        for _ in range(5):
            await ctx.tick()
        assert await reserve_all(ctx) == 1
        await hand_over(ctx, 0b1, True)  # queued behind it
        for _ in range(5):
            await ctx.tick()
        assert await reserve_all(ctx) == 0

    simulate(dut, bench)
