"""Proofs of the event list: what is walked is what has arrived, and no buffer is filled early."""

from __future__ import annotations

from functools import partial

from amaranth.hdl import Signal

from formal.harness import Harness, implies
from formal.proof import Bug, Proof
from golden.hardware.layer import LayerHardware
from golden.hardware.params import HardwareParams
from golden.hardware.part import EventKind
from golden.hardware.stages import READ_STAGE
from golden.params import LayerParams
from rtl.event_list import EventList

INPUTS = LayerHardware(LayerParams(2, 1, 0), HardwareParams(1), external=True)
BLOCKS = LayerHardware(LayerParams(2, 1, 0), HardwareParams(1, 2), external=True)
INNER = LayerHardware(LayerParams(2, 1, 0), HardwareParams(1, 2))
WIDTH = 3  # of what counts lists: more than there are buffers


def event_list(harness: Harness, layer: LayerHardware) -> None:
    """Items and releases come freely. Follow an arbitrary place of an arbitrary list."""
    m = harness.m
    dut = harness.add(EventList(layer)).component
    harness.offer(dut.i)
    front, arrival, reads = dut.front, dut.arrival, dut.read
    release, enable = harness.free(1, "release"), harness.free(1, "read")
    index = harness.free(len(reads.index), "index")
    m.d.comb += [front.release.eq(release), reads.enable.eq(enable), reads.index.eq(index)]
    if not layer.by_timesteps:
        item = dut.i.payload
        harness.assume(implies(dut.i.valid, item.kind <= EventKind.END_SEQUENCE))
        harness.assume(item.address < layer.n_addresses)
        ends = dut.i.valid & (item.kind == EventKind.END_TIMESTEP)
        harness.assume(implies(ends, item.payload.any()))
        # A layer sends each address once.
        was = Signal(layer.n_addresses, name="was_sent")
        sent = dut.i.valid & (item.kind == EventKind.EVENT)
        harness.assume(implies(sent, ~was.bit_select(item.address, 1)))
        with m.If(sent & dut.i.ready):
            m.d.sync += was.bit_select(item.address, 1).eq(1)
        with m.If(dut.i.valid & dut.i.ready & (item.kind != EventKind.EVENT)):
            m.d.sync += was.eq(0)
    # What is released was shown, and is shown no more: the schedule walks one list at a time.
    walked = Signal(name="walked")  # the list in front is being walked
    harness.assume(implies(release, walked))
    harness.assume(implies(enable, walked))
    starts = harness.free(1, "starts")
    harness.assume(implies(starts, front.available & (~walked | release)))
    with m.If(starts):
        m.d.sync += walked.eq(1)
    with m.Elif(release):
        m.d.sync += walked.eq(0)
    closes = arrival.closed | arrival.discarded
    closed = harness.count(WIDTH, closes, "closed")
    released = harness.count(WIDTH, release, "released")
    # The event that is followed: of list `number`, the one at `place`.
    number = harness.constant(WIDTH, "number")
    place = harness.constant(range(layer.n_addresses), "place")
    count = Signal(range(layer.n_addresses + 2), name="events")
    mine = closed == number
    first = dut.first & arrival.fires
    kept, held = Signal.like(arrival.address, name="kept"), Signal(layer.block, name="held")
    own = mine & (count > place) & (arrival.address == kept) & arrival.fires & ~dut.first
    with m.If(first):
        m.d.sync += count.eq(count + 1)
    with m.If(first & mine & (count == place)):
        m.d.sync += [kept.eq(arrival.address), held.eq(arrival.timesteps)]
    with m.Elif(own):
        m.d.sync += held.eq(held | arrival.timesteps)
    # What is known of the list when it is closed.
    size, length = Signal.like(count, name="size"), Signal(layer.block, name="length")
    ends_sequence = Signal(name="ends_sequence")
    with m.If(closes):
        m.d.sync += count.eq(0)
        with m.If(mine):
            m.d.sync += [
                size.eq(count),
                length.eq(arrival.closing_timesteps),
                ends_sequence.eq(arrival.discarded),
            ]
    inside = (closed - released)[:WIDTH]
    due = (released == number) & walked & ~release  # the list that is walked is the one followed
    harness.prove("no list is made up", implies(release, inside != 0))
    harness.prove("no more lists than buffers", inside <= layer.n_lists)
    following = (released + release)[:WIDTH]
    harness.prove(
        "what is shown is what was closed",
        implies(
            front.available & (following == number),
            (front.sequence_end == ends_sequence)
            & (ends_sequence | ((front.count == size) & (front.length == length))),
        ),
    )
    asked = (released == number) & enable & (index == place) & (place < size) & ~ends_sequence
    for _ in range(READ_STAGE - 1):
        asked = harness.past(asked)
    harness.prove("an address is read as it arrived", implies(asked, reads.addresses[0] == kept))
    asked = harness.past(asked)
    if layer.has_payloads:
        harness.prove(
            "payloads are read as they arrived",
            implies(asked, reads.payloads[0].as_value() == held),
        )
    if layer.by_timesteps:
        harness.prove(
            "an address is in a list once",
            implies(first & mine & (count > place), arrival.address != kept),
        )
    harness.cover("a second list is read", harness.past(due & (number == 1)) & asked)
    harness.cover("all buffers are taken", inside == layer.n_lists)


RUNS_ON = Bug(
    "the addresses of a list go on where the one before ended",
    "what is shown is what was closed",
    (("                count.eq(0),\n", ""),),
)
FREED_EARLY = Bug(
    "a buffer takes events as soon as it is released",
    "payloads are read as they arrived",
    (("cycles = RELEASE_LATENCY - 1", "cycles = 0"),),
)
FULL = Bug(
    "events enter a buffer that has not been released",
    "an address is read as it arrived",
    (("arrivals.room.eq(has_room)", "arrivals.room.eq(1)"),),
)
PROOFS = (
    Proof(
        "event_list", EventList, partial(event_list, layer=INPUTS), 24, (RUNS_ON, FULL), quick=False
    ),
    Proof(
        "event_list_blocks",
        EventList,
        partial(event_list, layer=BLOCKS),
        22,
        (RUNS_ON, FREED_EARLY),
        quick=False,
    ),
    Proof(
        "event_list_inner",
        EventList,
        partial(event_list, layer=INNER),
        22,
        (RUNS_ON, FREED_EARLY),
        quick=False,
    ),
)
