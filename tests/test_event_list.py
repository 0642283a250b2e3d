"""The event list against a model in Python, cycle for cycle: every output, under random items, gaps
and releases.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from formal.harness import mutant
from golden.formats import Fixed
from golden.hardware.layer import LayerHardware
from golden.hardware.memory import address_width
from golden.hardware.params import BLOCKS, EVENTS, HardwareParams
from golden.hardware.part import EventKind
from golden.hardware.readout import ReadoutHardware
from golden.hardware.stages import READ_STAGE, RELEASE_LATENCY
from golden.params import LayerFormats, LayerParams
from golden.readout_params import ReadoutParams
from rtl.event_list import EventList
from rtl.layouts import Part
from rtl.streams import event_layout
from tests.event_list_model import ERRORS, STROBES, Model, latency
from tests.streams import Item, join, play, scramble

OUTPUTS = {
    "i.ready": "i.ready",
    "accepted": "arrival.fires",
    "first_accepted": "first",
    **{
        name: f"arrival.{name}"
        for name in (
            "closed", "discarded", "address", "payload", "timesteps", "closing_timesteps",
        )
    },
    **{name: f"errors.{name}" for name in ERRORS},
    **{name: name for name in ("closing_buffer", "closing_fresh")},
    **{
        name: f"front.{name}"
        for name in (
            "available", "count", "plain_end.last", "plain_end.single", "refreshed_end.last",
            "refreshed_end.single", "length", "sequence_end", "buffer",
        )
    },
    "walked_address": "read.addresses",
    "walked_payload": "read.payloads",
}  # fmt: skip


def layer(
    n_inputs: int,
    width: int,
    n_state: int,
    block: int,
    n_events: int,
    *,
    external: bool = True,
    recurrent: bool = False,
    dilation: int = 1,
    **others: Any,
) -> LayerHardware:
    formats = LayerFormats(payload=Fixed(width, 0, signed=False))
    params = LayerParams(n_inputs, 3, n_state, dilation, formats=formats, recurrent=recurrent)
    hardware = HardwareParams(2, block=block, events_per_cycle=n_events, **others)
    return LayerHardware(params, hardware, external=external)


PARTS: dict[str, Part] = {
    "one input": layer(1, 1, 2, 1, 1),
    "two graded inputs": layer(2, 8, 0, 1, 1),
    "spikes, two a cycle": layer(5, 1, 0, 1, 2),
    "graded, two a cycle": layer(11, 8, 1, 1, 2),
    "blocks of two": layer(8, 3, 0, 2, 1),
    "blocks of four": layer(5, 1, 2, 4, 2),
    "graded blocks of four": layer(6, 8, 2, 4, 1),
    "graded blocks of sixteen": layer(3, 8, 1, 16, 2),
    "one input, blocks of sixteen": layer(1, 1, 0, 16, 1),
    "spikes of a layer": layer(4, 1, 0, 1, 1, external=False),
    "masks of two": layer(7, 1, 3, 2, 2, external=False),
    "masks of sixteen": layer(9, 1, 3, 16, 1, external=False),
    "recurrent spikes": layer(6, 1, 0, 1, 2, recurrent=True),
    "recurrent, graded": layer(9, 8, 0, 1, 1, recurrent=True),
    "recurrent, behind a layer": layer(4, 1, 0, 1, 1, external=False, recurrent=True),
    "spikes, four a cycle": layer(9, 1, 2, 1, 4),
    "one input, four a cycle": layer(1, 8, 0, 1, 4),
    "graded blocks of two, four a cycle": layer(14, 8, 2, 2, 4),
    "masks of eight, four a cycle": layer(11, 1, 3, 8, 4, external=False),
    "recurrent, four a cycle": layer(6, 1, 0, 1, 4, recurrent=True),
    "readout": ReadoutHardware(ReadoutParams(7, 4), HardwareParams(2, block=4, events_per_cycle=2)),
    "one input, many states": layer(1, 8, 40, 1, 1, dilation=10),
    "shared products": layer(9, 8, 4, 1, 2, graded="shared"),
    "shared products, few columns, blocks of four": layer(8, 8, 1, 4, 1, graded="shared"),
    "six buffers": layer(5, 8, 3, 1, 2, list_buffers=6),
    "six buffers, masks of four": layer(9, 1, 3, 4, 1, external=False, list_buffers=6),
    "six buffers, reports": layer(4, 1, 1, 1, 1, reports=True, list_buffers=6),
    "reports": layer(5, 8, 0, 1, 2, reports=True),
    "reports, blocks of four": layer(5, 1, 2, 4, 1, reports=True),
    "reports, masks of four": layer(7, 1, 2, 4, 2, external=False, reports=True),
    "reports, recurrent": layer(4, 1, 0, 1, 1, recurrent=True, reports=True),
}


def draw_timesteps(rng: np.random.Generator, part: Part, count: int) -> list[Item]:
    """Draw timesteps from outside: empty, full, and with repeated addresses, addresses out of
    range, payloads of 0; sequences end in and between blocks, with and without events left over. A
    recurrent layer's own spikes never come twice.
    """
    items, n_inputs, largest = [], part.params.n_inputs, part.payload.max
    timestep = 0  # of the block

    def marker(kind: int) -> Item:
        return {"kind": kind, "address": int(rng.integers(2)), "payload": 1}

    for _ in range(count):
        kind = rng.choice(["empty", "full", "any"])
        if kind == "full":
            events = [(int(a), largest) for a in rng.permutation(n_inputs)]
        else:
            n = 0 if kind == "empty" else int(rng.integers(2 * n_inputs + 2))
            addresses = rng.integers(1 << address_width(n_inputs), size=n)
            if part.n_addresses > n_inputs:  # those out of range come as items of no kind
                addresses %= n_inputs
            events = [(int(a), int(rng.integers(largest + 1))) for a in addresses]
        own = rng.permutation(np.arange(n_inputs, part.n_addresses))
        own = own[: rng.integers(len(own) + 1)] if len(own) else own
        events += [(int(a), largest) for a in own]
        items += [{"kind": EventKind.EVENT.value, "address": a, "payload": p} for a, p in events]
        if rng.random() < 0.1:
            items.append(marker(EventKind.INVALID))  # of no kind
        if rng.random() >= max(0.06, 0.3 / part.block):  # else the events are left over
            items.append(marker(EventKind.END_TIMESTEP.value))
            timestep = (timestep + 1) % part.block
            if rng.random() >= (0.3 / part.block if timestep else 0.3):
                continue
        items.append(marker(EventKind.END_SEQUENCE.value))
        timestep = 0
    return items


def draw_reports(rng: np.random.Generator, part: Part, items: list[Item]) -> list[Item]:
    """Return the items with reports among them, one or more in a row: from outside anywhere, from a
    layer after the end of a block or of a sequence.
    """
    found = []
    for item in items:
        found.append(item)
        if item["kind"] == EventKind.EVENT and (not part.external or rng.random() < 0.95):
            continue
        for _ in range(int(rng.choice([0, 0, 1, 3]))):
            found.append({"kind": EventKind.REPORT.value, "address": 0, "payload": 1})
    return found


def draw_blocks(rng: np.random.Generator, part: Part, count: int) -> list[Item]:
    """Draw blocks of a layer: empty and full ones, whole and partial ones, payloads of 0."""
    items, n_inputs = [], part.n_addresses
    for _ in range(count):
        ends = rng.random() < 0.3
        length = int(rng.integers(1, part.block + 1)) if ends else part.block
        whole = (1 << length) - 1
        n = int(rng.choice([0, n_inputs, int(rng.integers(n_inputs + 1))]))
        for address in rng.permutation(n_inputs)[:n].tolist():
            payload = int(rng.choice([whole, int(rng.integers(whole + 1))]))
            items.append({"kind": EventKind.EVENT.value, "address": address, "payload": payload})
        items.append({"kind": EventKind.END_TIMESTEP.value, "address": 0, "payload": whole})
        for _ in range(int(rng.integers(1, 3)) if ends else 0):
            items.append({"kind": EventKind.END_SEQUENCE.value, "address": 0, "payload": 0})
    return items


@pytest.mark.parametrize("gaps", [0.0, 0.6])
@pytest.mark.parametrize("name", PARTS)
def test_every_cycle_is_as_modelled(name: str, gaps: float) -> None:
    part = PARTS[name]
    n_inputs, block, width = part.n_addresses, part.block, part.payload.width
    n_events, address_bits = part.hardware.events_per_cycle, address_width(n_inputs)
    rng = np.random.default_rng([list(PARTS).index(name), int(gaps * 10)])
    layout = event_layout(n_inputs, width if part.external else block, reports=part.reports)
    draw = draw_timesteps if part.external else draw_blocks
    drawn = draw(rng, part, 80 if part.external else 40)
    items = deque(draw_reports(rng, part, drawn) if part.reports else drawn)
    outputs = OUTPUTS | ({"report": "front.report"} if part.reports else {})
    model = Model(part)
    expected: list[dict[str, int]] = []
    # What is walked: in which cycle, of which output, which bits, their value.
    walked: list[tuple[int, str, int, int, int]] = []
    reads: set[tuple[int, int]] = set()  # cycles and buffers in which payloads are read
    writes: set[tuple[int, int]] = set()  # and written
    seen: Counter[str] = Counter()
    offered: Item | None = None
    left = READ_STAGE + 1  # cycles after the last release
    phase = 7 * block * part.n_lists  # cycles in which lists fill, or are released often

    def read(cycle: int) -> dict[str, int]:
        """Read a word of the front list, if it is open and has any."""
        front = model.closed[0].payloads if model.closed else {}
        n_words = -(-len(front) // n_events)
        opened = bool(n_words) and model.closed[0].opens <= cycle
        if not opened or rng.random() < 0.2:
            return {"read.enable": 0, "read.index": int(rng.integers(-(-n_inputs // n_events)))}
        index = int(rng.integers(n_words))
        reads.add((cycle + READ_STAGE - 1, model.n_released % part.n_lists))
        for event, address in enumerate(list(front)[index * n_events :][:n_events]):
            place = event * address_bits, address_bits
            walked.append((cycle + READ_STAGE - 1, "walked_address", *place, address))
            for t, payload in enumerate(front[address]):
                if model.closed[0].timesteps >> t & 1:
                    place = (event * block + t) * width, width
                    walked.append((cycle + READ_STAGE, "walked_payload", *place, payload))
        return {"read.enable": 1, "read.index": index}

    def step(cycle: int, _: Any) -> dict[str, Any] | None:
        nonlocal offered, left
        left -= not items and not model.closed and offered is None and not model.due
        if not left:
            return None
        if offered is None and items and rng.random() >= gaps:
            offered = items.popleft()
        opened = bool(model.closed) and model.closed[0].opens <= cycle
        full = model.full(cycle)
        second = offered is not None and model._reports(offered) and not model._may_report()
        waits = 0.1 * (full or second)
        release = bool(opened and rng.random() < (0.5 if cycle // phase % 2 else waits))
        release = release and not model.due  # a report goes before what is to follow it
        taken = model.due and rng.random() < 0.2
        now = model.predict(cycle, offered, release)
        expected.append(now)
        if now["accepted"]:
            writes.add((cycle, model.n_closed % part.n_lists))
        inputs = {"front.release": release, **read(cycle)}
        if part.reports:
            inputs["front.report_taken"] = taken
            seen["due"] += model.due
            seen["flagged"] += release and model.n_released in model.flagged
        inputs |= {"i.valid": offered is not None, "i.payload": offered or scramble(rng, layout)}
        seen.update(strobe for strobe in STROBES if now[strobe])
        if now["closed"] and offered is not None:
            seen["partial"] += offered["kind"] != EventKind.END_TIMESTEP.value
        if not now.get("i.ready", 1) and not now["closed"]:
            reports = offered is not None and model._reports(offered)
            seen["second report" if reports else "full" if full else "waited"] += 1
        if taken:
            model.due = False
        model.advance(cycle, now, offered, release)
        if now.get("i.ready"):
            offered = None
        return inputs

    record = play(EventList(part), outputs, step)
    for cycle, (found, now) in enumerate(zip(record, expected, strict=True)):
        assert {name: found[name] for name in now} == now, f"cycle {cycle}"
    assert not reads & writes, "a block RAM does not say what is read while it is written"
    for cycle, output, start, length, value in walked:
        bits = record[cycle][output] >> start & (1 << length) - 1
        assert bits == value, f"{output} from bit {start} in cycle {cycle}"
    wanted = {"accepted", "first_accepted", "closed", "discarded", "full"}
    if part.external:
        wanted |= {"repeated", "unclosed", "out_of_range"}
        wanted |= {"partial"} if block > 1 else set()
    wanted |= {"waited"} if block > 1 else set()
    wanted |= {"due", "flagged", "second report"} if part.reports else set()
    assert {what for what in seen if seen[what]} >= wanted or gaps


def test_parts_cover_the_corners() -> None:
    for external in (False, True):
        parts = [part for part in PARTS.values() if part.external == external]
        assert {part.hardware.events_per_cycle for part in parts} == set(EVENTS)
    assert {part.block for part in PARTS.values()} == set(BLOCKS)
    assert {part.has_payloads for part in PARTS.values()} == {False, True}


@pytest.mark.parametrize(
    "name",
    [
        "spikes of a layer",
        "masks of two",
        "masks of sixteen",
        "recurrent spikes",
        "readout",
        "six buffers",
    ],
)  # fmt: skip
def test_empty_blocks_close_as_fast_as_their_drives_leave(name: str) -> None:
    """Ends of blocks that always wait are taken `block` cycles apart until all buffers are full;
    each list opens `close_latency` cycles after its end, and a released buffer is filled as soon as
    its last payloads have been read.
    """
    part = PARTS[name]
    block, n_lists = part.block, part.n_lists
    marker = {"kind": EventKind.END_TIMESTEP.value, "address": 0, "payload": (1 << block) - 1}
    released = n_lists * block + latency(part)  # all lists are open

    def step(cycle: int, _: Any) -> dict[str, Any] | None:
        if cycle == released + 5:
            return None
        return {"i.valid": 1, "i.payload": marker, "front.release": cycle == released}

    record = play(EventList(part), OUTPUTS, step)
    taken = [cycle for cycle, row in enumerate(record) if row["i.ready"]]
    assert taken == [*range(0, n_lists * block, block), released + RELEASE_LATENCY]
    assert [row["available"] for row in record] == [
        cycle >= latency(part) for cycle in range(len(record))
    ]
    assert [row["buffer"] for row in record[released - 1 : released + 2]] == [0, 1, 1]


def test_an_end_of_sequence_in_a_block_closes_two_lists() -> None:
    """The block that it finds begun, then, `block` cycles later, the sequence; the events that it
    leaves void are reported once.
    """
    ends = EventKind.END_TIMESTEP.value, EventKind.END_SEQUENCE.value
    kinds = [ends[0], ends[0], EventKind.EVENT.value, ends[1]]
    record = play(
        EventList(PARTS["blocks of four"]),
        OUTPUTS,
        lambda cycle, _: (
            {"i.valid": 1, "i.payload": {"kind": kinds[min(cycle, 3)], "address": 2, "payload": 1}}
            if cycle < 12
            else None
        ),
    )
    assert [cycle for cycle, row in enumerate(record) if row["closed"]] == [3]
    assert record[3]["closing_timesteps"] == join([1, 1, 0, 0], 1)
    assert [cycle for cycle, row in enumerate(record) if row["discarded"]] == [7, 11]
    assert [cycle for cycle, row in enumerate(record) if row["unclosed"]] == [7]


def test_an_end_of_sequence_is_taken_as_it_closes_a_block() -> None:
    """Offered for a cycle alone, it closes the block and the sequence: nothing is done by an item
    that is not taken.
    """
    ends = EventKind.END_TIMESTEP.value, EventKind.END_SEQUENCE.value
    offers = {0: ends[0], 1: ends[0], 4: ends[1]}
    record = play(
        EventList(PARTS["blocks of four"]),
        OUTPUTS,
        lambda cycle, _: (
            {
                "i.valid": cycle in offers,
                "i.payload": {
                    "kind": offers.get(cycle, EventKind.EVENT.value),
                    "address": 2,
                    "payload": 1,
                },
            }
            if cycle < 16
            else None
        ),
    )
    assert all(record[cycle]["i.ready"] for cycle in offers)
    assert [cycle for cycle, row in enumerate(record) if row["closed"]] == [4]
    assert [cycle for cycle, row in enumerate(record) if row["discarded"]] == [8]
    assert [cycle for cycle, row in enumerate(record) if not row["i.ready"]] == [5, 6, 7, 8]


def test_one_event_of_an_item_of_two_needs_a_free_buffer() -> None:
    """All buffers are closed and none is released; then comes an item that is half full."""
    part = layer(6, 1, 0, 1, 2, input_items=2)
    ends = [{"kind": EventKind.END_TIMESTEP, "address": [0, 0], "payload": [0, 0]}] * part.n_lists
    half = {"kind": EventKind.EVENT, "address": [4, 0], "payload": [1, 0]}
    with mutant(EventList, (("room.eq(has_room)", "room.eq(1)"),)):
        simulator = Simulator(top := EventList(part))
    simulator.add_clock(1e-6)

    async def offer(ctx: Any) -> None:
        ctx.set(top.i.valid, 1)
        for item in [*ends, half]:
            ctx.set(top.i.payload, item)
            assert ctx.get(top.i.ready)
            await ctx.tick()
        ctx.set(top.i.valid, 0)
        await ctx.tick()  # it enters the list

    simulator.add_testbench(offer)
    with pytest.raises(AssertionError, match=": what arrives finds a free buffer"):
        simulator.run()
