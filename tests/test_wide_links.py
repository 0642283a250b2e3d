"""What takes several events at once: an event list and a drive behind a wide link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Value

from golden.formats import rshift
from golden.hardware.layer import LayerHardware
from golden.hardware.memory import address_width
from golden.hardware.params import HardwareParams
from golden.hardware.part import EventKind
from golden.hardware.readout import ReadoutHardware
from golden.hardware.stages import DRIVE_LATENCY, READ_STAGE
from golden.params import LayerParams
from golden.readout_params import ReadoutParams
from rtl.drive import Drive
from rtl.event_list import EventList
from rtl.layouts import Part
from tests.streams import join, load_cycles, replay, simulate, split


@dataclass(frozen=True)
class Block:
    """What a layer sends of a block: masks by address, and the timesteps that the block has; None
    is the end of a sequence.
    """

    masks: dict[int, int]
    timesteps: int | None


def hardware(block: int, events: int, items: int) -> HardwareParams:
    return HardwareParams(2, block, events, link_items=items)


PARTS: dict[str, Part] = {
    "two of two": LayerHardware(LayerParams(11, 3, 2), hardware(1, 2, 2)),
    "two of four": LayerHardware(LayerParams(9, 3, 0), hardware(1, 4, 2)),
    "four of four": LayerHardware(LayerParams(17, 3, 1), hardware(1, 4, 4)),
    "masks, two of two": LayerHardware(LayerParams(8, 3, 2), hardware(4, 2, 2)),
    "masks, two of four": LayerHardware(LayerParams(13, 3, 2), hardware(2, 4, 2)),
    "masks, four of four": LayerHardware(LayerParams(30, 3, 2), hardware(16, 4, 4)),
    "one address": LayerHardware(LayerParams(1, 3, 0), hardware(2, 4, 4)),
    "three addresses": ReadoutHardware(ReadoutParams(3, 4), hardware(8, 4, 2)),
    "readout": ReadoutHardware(ReadoutParams(21, 4), hardware(4, 2, 2)),
}


def draw_blocks(rng: np.random.Generator, part: Part, count: int) -> list[Block]:
    """Draw blocks from empty to full, whole and partial ones, and ends of sequences."""
    found = []
    for _ in range(count):
        length = int(rng.integers(1, part.block + 1)) if rng.random() < 0.3 else part.block
        whole = (1 << length) - 1
        chosen = np.flatnonzero(rng.random(part.n_addresses) < rng.choice([0, 0.3, 0.7, 1]))
        masks = {address: int(rng.integers(1, whole + 1)) for address in chosen.tolist()}
        found.append(Block(masks, whole))
        if rng.random() < 0.2:
            found.append(Block({}, None))
    return found


def draw_items(rng: np.random.Generator, part: Part, block: Block) -> list[dict[str, Any]]:
    """Return a block as items of one event or more each, then its end."""
    events, items, width = list(block.masks.items()), [], part.received_items
    while events:
        together = events[: int(rng.integers(1, width + 1))]
        events = events[len(together) :]
        unused = width - len(together)
        items.append(
            {
                "kind": EventKind.EVENT,
                "address": [a for a, _ in together] + rng.integers(2, size=unused).tolist(),
                "payload": [mask for _, mask in together] + [0] * unused,
            }
        )
    kind = EventKind.END_SEQUENCE if block.timesteps is None else EventKind.END_TIMESTEP
    payload = [block.timesteps or 0, *rng.integers(2, size=width - 1).tolist()]
    return [*items, {"kind": kind, "address": [0] * width, "payload": payload}]


@pytest.mark.parametrize("gaps", [0.0, 0.5])
@pytest.mark.parametrize("name", PARTS)
def test_a_list_holds_all_that_comes_at_once(name: str, gaps: float) -> None:
    """In order, from any place of a word on, beside what other buffers hold; reads follow each
    other, of one list and the next, while further lists fill.
    """
    part = PARTS[name]
    assert part.wide
    rng = np.random.default_rng([list(PARTS).index(name), int(gaps * 10)])
    blocks = draw_blocks(rng, part, 30)
    n_events, width = part.hardware.events_per_cycle, address_width(part.n_addresses)
    dut = EventList(part)
    written: list[int] = []  # events that come first of their address, by cycle

    async def feed(ctx: Any) -> None:
        for block in blocks:
            for item in draw_items(rng, part, block):
                while rng.random() < gaps:
                    ctx.set(dut.i.valid, 0)
                    await ctx.tick()
                ctx.set(dut.i.payload, item)
                ctx.set(dut.i.valid, 1)
                await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)

    async def watch(ctx: Any) -> None:
        async for _, _, first in ctx.tick().sample(dut.first):
            written.append(first.bit_count())

    async def walk(ctx: Any) -> None:
        front = dut.front
        for block in blocks:
            while not ctx.get(front.available) or rng.random() < gaps:
                await ctx.tick()
            assert ctx.get(front.sequence_end) == (block.timesteps is None)
            count, steps = len(block.masks), -(-len(block.masks) // n_events)
            assert ctx.get(front.count) == count
            if block.timesteps is not None:
                assert ctx.get(front.length) == block.timesteps
                assert ctx.get(front.plain_end.last) == max(steps, part.output_steps) - 1
            found = []
            for cycle in range(steps + READ_STAGE):
                ctx.set(dut.read.enable, cycle < steps)
                ctx.set(dut.read.index, cycle if cycle < steps else 0)
                # The list is released with its last read.
                ctx.set(front.release, cycle == max(steps, 1) - 1)
                _, _, addresses, payloads = await ctx.tick().sample(
                    Value.cast(dut.read.addresses), Value.cast(dut.read.payloads)
                )
                found.append((addresses, payloads))
            ctx.set(front.release, 0)
            listed, masks = [], []
            for step in range(steps):
                addresses, payloads = found[step + READ_STAGE - 1][0], found[step + READ_STAGE][1]
                for e in range(n_events):
                    listed.append(addresses >> e * width & (1 << width) - 1)
                    masks.append(payloads >> e * part.block & (1 << part.block) - 1)
            assert dict(zip(listed[:count], masks[:count], strict=True)) == block.masks
            assert listed[:count] == sorted(block.masks)

    simulate(dut, feed, walk, watch=watch)
    assert sum(written) == sum(len(block.masks) for block in blocks)
    assert max(written) == min(part.received_items, part.n_addresses)


@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize(("block", "items"), [(1, 2), (4, 4), (16, 2), (2, 4)])
def test_drives_of_events_that_come_at_once(block: int, items: int, extreme: bool) -> None:
    rng = np.random.default_rng([block, items, extreme])
    layer = LayerHardware(LayerParams(13, 3, 2), hardware(block, 4, items))
    p, f = layer.params, layer.params.formats
    w_x = rng.integers(f.w_x.min, f.w_x.max + 1, 13)
    if extreme:
        w_x[:] = f.w_x.max
    cycles: list[dict[str, Any]] = load_cycles(4, w_x.tolist())
    expected: dict[int, int] = {}
    reads, buffer = {}, 0
    idle = {"arrival.fires": 0, "arrival.closed": 0, "arrival.discarded": 0, "bias": 3}
    for index, sent in enumerate(draw_blocks(rng, layer, 25)):
        if sent.timesteps is None:
            continue
        for item in draw_items(rng, layer, sent)[:-1]:
            marks = item["payload"]
            fires = join([mask > 0 for mask in marks], 1)
            reads[len(cycles)] = fires.bit_count()
            # Timesteps of what does not fire say nothing.
            marks = [mask or int(rng.integers(1 << block)) for mask in marks]
            cycles.append(
                idle
                | {"arrival.fires": fires, "arrival.payload": 1}
                | {"arrival.address": join(item["address"], 4)}
                | {"arrival.timesteps": join(marks, block)}
            )
        cycles.append(
            idle
            | {"arrival.closed": 1, "arrival.closing_timesteps": sent.timesteps}
            | {"closing_buffer": buffer, "closing_fresh": index == 0}
        )
        length = sent.timesteps.bit_length()
        for t in range(length):
            total = 3 + sum(int(w_x[a]) for a, mask in sent.masks.items() if mask >> t & 1)
            value = min(max(int(rshift(total, p.drive_shift)), 0), f.x.max)
            expected[len(cycles) - 1 + DRIVE_LATENCY + t] = value
        cycles += [idle] * (block - 1)
        buffer = (buffer + 1) % layer.n_lists
    cycles += [idle] * (DRIVE_LATENCY + block + 2)
    outputs = ["o.valid", "o.value", "w_x_read", "values"]
    record = replay(Drive(layer, 4), outputs, cycles)
    assert {c: row["o.value"] for c, row in enumerate(record) if row["o.valid"]} == expected
    assert {c: row["w_x_read"] for c, row in enumerate(record) if row["w_x_read"]} == reads
    values = split(record[-1]["values"], f.x.width, layer.n_lists * block)
    assert any(values) and max(expected.values()) > 3
