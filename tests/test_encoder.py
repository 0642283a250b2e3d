"""The encoder: every spike and marker in order, none lost, no bubble, whoever stalls."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Value

from golden.hardware.layer import LayerHardware
from golden.hardware.memory import address_width
from golden.hardware.params import HardwareParams
from golden.hardware.part import EventKind
from golden.hardware.stages import MASK_QUEUE_DEPTH, MASK_SEGMENT
from golden.params import LayerParams
from rtl.encoder import Encoder
from tests.streams import Item, join, simulate, take


@dataclass(frozen=True)
class Group:
    """What the neuron stage hands over: a group's spikes and the timesteps of its block, or
    (`spikes` None) the end of a sequence.
    """

    spikes: int | None
    last_group: bool = False
    timesteps: int = 1


def draw_groups(
    rng: np.random.Generator, layer: LayerHardware, n_blocks: int
) -> tuple[list[Group], list[Item]]:
    """Draw blocks from silent to full, whole and partial, and return them with the events that they
    become.
    """
    groups: list[Group] = []
    items: list[Item] = []
    lanes, n, block = layer.lanes, layer.params.n_neurons, layer.block
    for _ in range(n_blocks):
        length = int(rng.integers(1, block + 1)) if rng.random() < 0.3 else block
        timesteps = (1 << length) - 1
        fires = rng.random((layer.n_groups * lanes, block)) < rng.choice([0, 0.1, 0.5, 1])
        fires[n:] = False
        fires[:, length:] = False
        masks = [join(neuron, 1) for neuron in fires.tolist()]
        items += [
            {"kind": EventKind.EVENT.value, "address": address, "payload": mask}
            for address, mask in enumerate(masks)
            if mask
        ]
        for index in range(layer.n_groups):
            spikes = join(masks[index * lanes : (index + 1) * lanes], block)
            groups.append(Group(spikes, index == layer.n_groups - 1, timesteps))
        items.append({"kind": EventKind.END_TIMESTEP.value, "address": 0, "payload": timesteps})
        if rng.random() < 0.2:
            groups.append(Group(None))
            items.append({"kind": EventKind.END_SEQUENCE.value, "address": 0, "payload": 0})
    return groups, items


async def produce(
    ctx: Any, dut: Encoder, groups: list[Group], rng: np.random.Generator, gaps: float
) -> None:
    """Reserve room for each group where there is some, and hand it over `write_stage` cycles later;
    what no strobe vouches for is scrambled.
    """
    waiting, flying, cycle = deque(groups), deque[tuple[int, Group]](), 0
    while waiting or flying:
        reserve = bool(waiting) and bool(ctx.get(dut.room)) and rng.random() >= gaps
        if reserve:
            flying.append((cycle + dut.layer.write_stage, waiting.popleft()))
        ctx.set(dut.reserve, reserve)
        for name in ("spikes", "timesteps", "last_group"):
            port = Value.cast(getattr(dut.i, name))
            ctx.set(port, int.from_bytes(rng.bytes(40), "little") % (1 << len(port)))
        group = flying.popleft()[1] if flying and flying[0][0] == cycle else None
        ctx.set(dut.i.valid, group is not None and group.spikes is not None)
        ctx.set(dut.i.sequence_end, group is not None and group.spikes is None)
        if group is not None and group.spikes is not None:
            hand_over(ctx, dut, group)
        await ctx.tick()
        cycle += 1
    for strobe in (dut.reserve, dut.i.valid, dut.i.sequence_end):
        ctx.set(strobe, 0)


def hand_over(ctx: Any, dut: Encoder, group: Group) -> None:
    """Set the inputs of a cycle in which a group's spikes come."""
    ctx.set(dut.i.valid, 1)
    ctx.set(Value.cast(dut.i.spikes), group.spikes)
    ctx.set(dut.i.timesteps, group.timesteps)
    ctx.set(dut.i.last_group, group.last_group)


def shared(items: list[Item], layer: LayerHardware) -> list[Item]:
    """Return the items of a wide link, each with its addresses and payloads as words, for those of
    one that has an event an item: events of a segment of a group share items.
    """
    found: list[list[Item]] = []
    places: list[tuple[int, ...] | None] = []
    for item in items:
        group, lane = divmod(item["address"], layer.lanes)
        event = item["kind"] == EventKind.EVENT
        place = (group, lane // MASK_SEGMENT) if event else None
        if event and places and places[-1] == place and len(found[-1]) < layer.sent_items:
            found[-1].append(item)
        else:
            found.append([item])
            places.append(place)
    return [
        {
            "kind": together[0]["kind"],
            "address": join([one["address"] for one in together], address_width(layer.n_outputs)),
            "payload": join([one["payload"] for one in together], layer.block),
        }
        for together in found
    ]


def used(item: Item, layer: LayerHardware) -> Item:
    """Return an item of a wide link without the addresses that have a payload of 0."""
    width = address_width(layer.n_outputs)
    payloads = [
        item["payload"] >> n * layer.block & (1 << layer.block) - 1 for n in range(layer.sent_items)
    ]
    addresses = [
        (item["address"] >> n * width & (1 << width) - 1) * (payload > 0)
        for n, payload in enumerate(payloads)
    ]
    return item | {"address": join(addresses, width)}


@pytest.mark.parametrize(("gaps", "stall"), [(0, 0), (0, 0.5), (0.3, 0.3)])
@pytest.mark.parametrize(
    ("n_neurons", "lanes", "block", "link_items"),
    [(10, 4, 1, 2), (32, 16, 1, 4), (1, 4, 4, 2), (21, 5, 4, 4), (61, 24, 1, 2), (40, 40, 2, 4)],
)
def test_a_wide_link_takes_the_events_of_a_segment(
    n_neurons: int, lanes: int, block: int, link_items: int, gaps: float, stall: float
) -> None:
    """In as few items as they fill, those of payload 0 last; an end is an item of its own."""
    layer = LayerHardware(
        LayerParams(3, n_neurons, 0), HardwareParams(lanes, block, 4, link_items=link_items)
    )
    rng = np.random.default_rng([n_neurons, lanes, int(gaps * 10), int(stall * 100)])
    groups, items = draw_groups(rng, layer, 25)
    expected = shared(items, layer)
    assert (len(expected) < len(items)) == (n_neurons > 1)
    dut = Encoder(layer)
    received: list[Item] = []

    async def collect(ctx: Any) -> None:
        received.extend(await take(ctx, dut.o, lambda got: len(got) == len(expected), rng, stall))
        assert await watch(ctx, dut, 10) == [], "an item too many"

    async def testbench(ctx: Any) -> None:
        await produce(ctx, dut, groups, rng, gaps)

    simulate(dut, testbench, collect)
    assert [used(item, layer) for item in received] == [used(item, layer) for item in expected]


@pytest.mark.parametrize(("gaps", "stall"), [(0, 0), (0, 0.5), (0.6, 0), (0.3, 0.3), (0, 0.95)])
@pytest.mark.parametrize(
    ("n_neurons", "lanes", "block"),
    [
        (1, 1, 1),
        (10, 4, 1),
        (32, 16, 1),
        (1, 4, 4),
        (3, 8, 2),
        (7, 1, 8),
        (21, 5, 4),
        (18, 8, 16),
        (61, 24, 1),
        (23, 12, 2),
        (40, 40, 1),
    ],
)
def test_events_come_in_order(
    n_neurons: int, lanes: int, block: int, gaps: float, stall: float
) -> None:
    layer = LayerHardware(LayerParams(3, n_neurons, 0), HardwareParams(lanes, block))
    rng = np.random.default_rng([n_neurons, lanes, int(gaps * 10), int(stall * 100)])
    groups, items = draw_groups(rng, layer, 25 if stall < 0.9 else 8)
    dut = Encoder(layer)
    received: list[Item] = []

    async def collect(ctx: Any) -> None:
        received.extend(await take(ctx, dut.o, lambda got: len(got) == len(items), rng, stall))
        assert await watch(ctx, dut, 10) == [], "an item too many"
        assert ctx.get(dut.room), "room was lost"

    async def testbench(ctx: Any) -> None:
        await produce(ctx, dut, groups, rng, gaps)

    simulate(dut, testbench, collect)
    assert received == items


async def watch(ctx: Any, dut: Encoder, cycles: int) -> list[int]:
    """Return the cycles in which an item is offered."""
    found = []
    for cycle in range(cycles):
        *_, valid = await ctx.tick().sample(Value.cast(dut.o.valid))
        if valid:
            found.append(cycle)
    return found


@pytest.mark.parametrize("block", [1, 4])
def test_first_event_after_4_cycles_and_then_one_a_cycle(block: int) -> None:
    """Groups without spikes cost nothing, nor does a second spike of a neuron in the block; the
    last item of a group is followed by the next group's first.
    """
    layer = LayerHardware(LayerParams(3, 32, 0), HardwareParams(4, block))
    masks = [0b1010, 0, 0b0001, 0, 0, 0b1111, 0b1000, 0]
    every = (1 << block) - 1
    dut = Encoder(layer)
    found: list[int] = []

    async def testbench(ctx: Any) -> None:
        ctx.set(dut.reserve, 1)
        for index, mask in enumerate(masks):
            spikes = join([every * (mask >> lane & 1) for lane in range(4)], block)
            hand_over(ctx, dut, Group(spikes, index == len(masks) - 1, every))
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.reserve, 0)

    async def collect(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        found.extend(await watch(ctx, dut, 40))

    simulate(dut, testbench, collect)
    # Groups arrive in cycles 0 to 7: two events from cycle 4 on, one from 6 on, then four, one, and
    # the marker.
    assert found == [4, 5, 6, *range(9, 15)]


@pytest.mark.parametrize("seed", [0, 3])
def test_no_bubble_while_groups_wait(seed: int) -> None:
    """Once the queue has filled behind a stalled consumer, as many cycles as items bring them
    all.
    """
    layer = LayerHardware(LayerParams(3, 12, 0), HardwareParams(4, 2))
    rng = np.random.default_rng(seed)
    groups = [Group(int(rng.integers(1, 256)), index % 3 == 2, 0b11) for index in range(12)]
    n_items = sum(
        sum((group.spikes or 0) >> 2 * lane & 0b11 > 0 for lane in range(4)) + group.last_group
        for group in groups
    )
    dut = Encoder(layer)
    found: list[int] = []

    async def collect(ctx: Any) -> None:
        for _ in range(60):
            await ctx.tick()
        ctx.set(dut.o.ready, 1)
        found.extend(await watch(ctx, dut, n_items + 5))

    async def testbench(ctx: Any) -> None:
        await produce(ctx, dut, groups, rng, 0)

    simulate(dut, testbench, collect)
    assert found == list(range(n_items))


def test_room_for_as_many_groups_as_the_queue_is_deep() -> None:
    """Room is given back when a group is taken from the queue, or has nothing to send."""
    layer = LayerHardware(LayerParams(3, 8, 0), HardwareParams(4, 2))
    dut = Encoder(layer)

    async def reserve_all(ctx: Any) -> int:
        count = 0
        while ctx.get(dut.room):
            ctx.set(dut.reserve, 1)
            await ctx.tick()
            count += 1
        ctx.set(dut.reserve, 0)
        return count

    async def once(ctx: Any, group: Group) -> None:
        hand_over(ctx, dut, group)
        await ctx.tick()
        ctx.set(dut.i.valid, 0)
        for _ in range(5):
            await ctx.tick()

    async def testbench(ctx: Any) -> None:
        assert await reserve_all(ctx) == MASK_QUEUE_DEPTH
        await once(ctx, Group(0, False, 0b11))  # silent: nothing to queue
        assert await reserve_all(ctx) == 1
        await once(ctx, Group(0b1100, True, 0b11))  # taken: its item waits in the output register
        assert await reserve_all(ctx) == 1
        await once(ctx, Group(0b1, False, 0b11))  # queued behind it
        assert await reserve_all(ctx) == 0

    simulate(dut, testbench)
