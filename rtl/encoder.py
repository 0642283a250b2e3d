"""From spike masks of groups to a stream of events."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from golden.hardware.layer import LayerHardware
from golden.hardware.memory import address_width
from golden.hardware.part import EventKind
from golden.hardware.stages import MASK_QUEUE_DEPTH, MASK_SEGMENT
from rtl.claims import PRODUCT, claim, claim_stable
from rtl.component import Component
from rtl.queue import Queue
from rtl.signatures import GroupSpikes, GroupSpikesPorts
from rtl.streams import event_layout


class Encoder(Component):
    """Send the spikes of each group as events, one for each neuron that spikes in the block, in
    ascending address, then the markers.

    A cycle an item, none on silent neurons. An item is a marker, or an event, or on a wide link as
    many as it takes of a segment of `MASK_SEGMENT` lanes. A group without spikes is not even
    queued. Its consumer may stall it. Its queue holds `MASK_QUEUE_DEPTH` groups; whoever produces
    one has reserved room for it.

    Parameters
    ----------
    layer
        The layer whose spikes are encoded.

    Members
    -------
    room, reserve
        There is room for one group more; it is reserved in this cycle.
    i
        From the neuron stage.
    o
        The events: the address of the neuron, a bit for each timestep in which it spikes; an end of
        block has one for each timestep of the block.

    Latency: 4 cycles from a group to its first event; throughput: one item a cycle.
    """

    room: Signal
    reserve: Signal
    i: GroupSpikesPorts
    o: stream.Interface

    def __init__(self, layer: LayerHardware) -> None:
        self.layer = layer
        word = data.StructLayout(
            {
                "mask": layer.lanes * layer.block,
                "first": address_width(layer.n_groups * layer.lanes),
                "timesteps": layer.block,
                "sequence_end": 1,
            }
            | ({"report": 1} if layer.reports else {})
        )
        self.queue = Queue(word, layer.buffers["masks"].depth, buffered=True)
        super().__init__(
            {
                "room": Out(1),
                "reserve": In(1),
                "i": In(GroupSpikes(layer)),
                "o": Out(
                    stream.Signature(
                        event_layout(
                            layer.params.n_neurons,
                            layer.block,
                            reports=layer.reports,
                            items=layer.sent_items,
                        )
                    )
                ),
            }
        )

    @property
    def latency(self) -> int:
        return self.queue.latency + 2  # the group that is sent, the register of the event

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, block = self.layer.lanes, self.layer.block
        m.submodules.queue = queue = self.queue
        waits, first_address = queue.i.payload, queue.i.payload.first.shape()

        # A group's first address: counted up with the groups, which come in order.
        base = Signal(first_address)
        end_block = self.i.valid & self.i.last_group
        queued = self.i.sequence_end | end_block | (self.i.valid & self.i.spikes.as_value().any())
        if self.layer.reports:
            queued |= self.i.report
            m.d.comb += waits.report.eq(self.i.report)
        with m.If(self.i.valid):
            m.d.sync += base.eq(Mux(self.i.last_group, 0, base + lanes))
        m.d.comb += [
            queue.i.valid.eq(queued),
            waits.mask.eq(Mux(self.i.valid, self.i.spikes.as_value(), 0)),
            waits.first.eq(base),
            waits.timesteps.eq(Mux(end_block, self.i.timesteps, 0)),
            waits.sequence_end.eq(self.i.sequence_end),
        ]
        taken = queue.o.ready & queue.o.valid
        self._count_room(m, platform, queued, skipped=self.i.valid & ~queued, taken=taken)
        last_base = (self.layer.n_groups - 1) * lanes
        claim(m, platform, "the queue has room for what comes", ~queued | queue.i.ready)
        claim(m, platform, "a block's last group comes last",
              ~self.i.valid | (self.i.last_group == (base == last_base)))  # fmt: skip
        claim_stable(m, platform, "o", self.o)

        # The group being sent, lowest lane first: what is left of one segment of it, and which of
        # those that follow have spikes. `o` is a register after it.
        segment = min(lanes, MASK_SEGMENT)
        n_segments = -(-lanes // segment)
        left = Signal(segment * block)
        index = Signal(range(n_segments))  # of the segment
        following = Signal(n_segments)
        group = Signal(lanes * block)
        first = Signal(first_address)  # address of the group
        marking = {"timesteps": block, "sequence_end": 1}
        if self.layer.reports:
            marking["report"] = 1
        marks = Signal(data.StructLayout(marking))
        marked = marks.as_value().any()
        pending = left.any() | marked
        lowest, sent, rest = lowest_lane(m, left, block)
        found = [(lowest, sent)]
        for _ in range(self.layer.sent_items - 1):
            lowest, sent, rest = lowest_lane(m, rest, block)
            found.append((lowest, sent))
        advance = ~self.o.valid | self.o.ready
        ends = Mux(left.any(), ~rest.any() & ~following.any() & ~marked, 1)
        m.d.comb += queue.o.ready.eq(~pending | (advance & ends))
        next_left, next_index, others = lowest_piece(m, group, segment * block, following)
        first_left, first_index, later = lowest_piece(m, queue.o.payload.mask, segment * block)
        event = self.o.payload
        with m.If(advance):
            m.d.sync += self.o.valid.eq(pending)
        with m.If(advance & pending):
            for n, (lowest, sent) in enumerate(found):
                address = index * segment + lowest  # in the group
                several = len(found) > 1
                ending = Const(0) if n else marks.timesteps
                m.d.sync += [
                    (event.payload[n] if several else event.payload).eq(
                        Mux(left.any(), sent, ending)
                    ),
                    (event.address[n] if several else event.address).eq(
                        Mux(left.any(), first + address, 0)
                    ),
                ]
            with m.If(left.any()):
                m.d.sync += [event.kind.eq(EventKind.EVENT), left.eq(rest)]
                with m.If(~rest.any()):
                    m.d.sync += [left.eq(next_left), index.eq(next_index), following.eq(others)]
            with m.Else():
                # As wide as the stream has it, whatever other kinds there are.
                width = len(event.kind)
                kind: Value = Const(EventKind.END_SEQUENCE, width)
                if self.layer.reports:
                    kind = Mux(marks.report, EventKind.REPORT, kind)
                kind = Mux(marks.timesteps.any(), Const(EventKind.END_TIMESTEP, width), kind)
                m.d.sync += [event.kind.eq(kind), marks.eq(0)]
        with m.If(taken):
            m.d.sync += [
                group.eq(queue.o.payload.mask),
                first.eq(queue.o.payload.first),
                marks.timesteps.eq(queue.o.payload.timesteps),
                *(marks[name].eq(queue.o.payload[name]) for name in marking if name != "timesteps"),
                left.eq(first_left),
                index.eq(first_index),
                following.eq(later),
            ]
        return m

    def _count_room(
        self, m: Module, platform: object, queued: Value, skipped: Value, taken: Value
    ) -> None:
        """Count the groups that the queue has room for."""
        free = Signal(range(MASK_QUEUE_DEPTH + 1), init=MASK_QUEUE_DEPTH)
        # Always `free != 0`, as a register: the schedule's longest path begins with it.
        room = Signal(init=1, name="has_room")
        m.d.comb += self.room.eq(room)
        # Each of the sums is known before it is told which one it is.
        after = Signal.like(free)
        with m.Switch(Cat(self.reserve, skipped, taken)):
            for told, more in enumerate((0, -1, 1, 0, 1, 0, 2, 1)):
                with m.Case(told):
                    m.d.comb += after.eq(free + more)
        claim(m, platform, "room is reserved where there is some", ~self.reserve | (free != 0))
        if platform is not PRODUCT:
            coming, waiting = Signal.like(free, init=0), Signal.like(free, init=0)
            m.d.sync += [
                coming.eq(coming + self.reserve - (queued | skipped)),
                waiting.eq(waiting + queued - taken),
            ]
            has_room = self.reserve | (coming != 0)
            claim(m, platform, "every group has its room", has_room | ~(queued | skipped))
            claim(m, platform, "no room is lost, none is given back twice",
                  free + coming + waiting == MASK_QUEUE_DEPTH)  # fmt: skip
        claim(m, platform, "room is told as counted", room == (free != 0))
        m.d.sync += [
            free.eq(after),
            room.eq((free > 1) | ((free == 1) & ~self.reserve) | skipped | taken),
        ]


def pieces_of(word: Value, width: int) -> list[Value]:
    """Return a word in pieces of `width` bits; the last one may have fewer."""
    return [word[start : start + width] for start in range(0, len(word), width)]


def lowest_piece(
    m: Module, word: Value, width: int, used: Value | None = None
) -> tuple[Value, Value, Value]:
    """Return the lowest piece of a word that is `used` (by default: has any bit set), its number,
    and which others are. Not to be called within a condition.
    """
    pieces = pieces_of(word, width)
    # Signals, as simulators compute an expression again in every place that it stands in; one a
    # piece, as Verilator takes bits of one that are made of others for a loop.
    takes = [Signal(name=f"takes_{n}") for n in range(len(pieces))]
    taken = Cat(takes)
    before = Signal(len(pieces))
    lowest = Signal.like(before)
    others = Signal.like(before)
    m.d.comb += [
        taken.eq(Cat(piece.any() for piece in pieces) if used is None else used),
        before.eq(Cat(Cat(takes[:n]).any() for n in range(len(pieces)))),
        lowest.eq(taken & ~before),
        others.eq(taken & before),
    ]
    found = (Mux(lowest[n], piece, 0) for n, piece in enumerate(pieces))
    number = (Mux(lowest[n], n, 0) for n in range(len(pieces)))
    bits = (len(pieces) - 1).bit_length()
    return reduce(or_, found), reduce(or_, number)[:bits], others


def lowest_lane(m: Module, word: Value, block: int) -> tuple[Value, Value, Value]:
    """Return the lowest lane of a word that has any of its `block` bits set, its bits, and the word
    without them.
    """
    bits, lane, others = lowest_piece(m, word, block)
    rest = Signal.like(word)
    m.d.comb += rest.eq(word & Cat(other.replicate(block) for other in others))
    return lane, bits, rest
