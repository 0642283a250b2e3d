"""From spike masks of groups to a stream of events."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from golden.hardware.layer import LayerHardware
from golden.hardware.memory import address_width
from golden.hardware.part import EventKind
from golden.hardware.stages import MASK_QUEUE_DEPTH
from rtl.component import Component
from rtl.streams import event_layout

SEGMENT = 8  # lanes of a group that are looked through in a cycle


class Encoder(Component):
    """Send the spikes of each group as events, one for each neuron that spikes in the block, in
    ascending address, then the markers.

    A cycle an event or marker, none on silent neurons: a group without spikes is not even queued.
    Its consumer may stall it; its queue holds `MASK_QUEUE_DEPTH` groups, and whoever produces one
    must have reserved room for it.

    Parameters
    ----------
    layer
        The layer whose spikes are encoded.

    Members
    -------
    room, reserve
        There is room for one group more; it is reserved in this cycle.
    valid, spikes, timesteps, last_group, sequence_end
        From the neuron stage.
    o
        The events: the address of the neuron, a bit for each timestep in which it spikes; an end of
        block has one for each timestep of the block.

    Latency: 4 cycles from a group to its first event; throughput: one event a cycle.
    """

    def __init__(self, layer: LayerHardware) -> None:
        self.layer = layer
        super().__init__(
            {
                "room": Out(1),
                "reserve": In(1),
                "valid": In(1),
                "spikes": In(layer.lanes * layer.block),
                "timesteps": In(layer.block),
                "last_group": In(1),
                "sequence_end": In(1),
                "o": Out(stream.Signature(event_layout(layer.params.n_neurons, layer.block))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, n_groups, block = self.layer.lanes, self.layer.n_groups, self.layer.block
        address_bits = address_width(n_groups * lanes)
        memory = self.layer.buffers["masks"]
        m.submodules.queue = queue = SyncFIFOBuffered(width=memory.width, depth=memory.depth)

        # A group's first address: counted up with the groups, which come in order.
        base = Signal(address_bits)
        end_block = self.valid & self.last_group
        queued = self.sequence_end | end_block | (self.valid & self.spikes.any())
        with m.If(self.valid):
            m.d.sync += base.eq(Mux(self.last_group, 0, base + lanes))
        mask = Mux(self.valid, self.spikes, 0)
        ended = Mux(end_block, self.timesteps, 0)
        m.d.comb += [
            queue.w_en.eq(queued),
            queue.w_data.eq(Cat(mask, base, ended, self.sequence_end)),
        ]

        free = Signal(range(MASK_QUEUE_DEPTH + 1), init=MASK_QUEUE_DEPTH)
        skipped = self.valid & ~queued
        taken = queue.r_en & queue.r_rdy
        # Always `free != 0`, as a register: the schedule's longest path begins with it.
        room = Signal(init=1)
        m.d.comb += self.room.eq(room)
        m.d.sync += [
            free.eq(free - self.reserve + skipped + taken),
            room.eq((free > 1) | ((free == 1) & ~self.reserve) | skipped | taken),
        ]

        # The group being sent, lowest lane first: what is left of one segment of it, and which of
        # those that follow have spikes. `o` is a register behind it.
        segment = min(lanes, SEGMENT)
        n_segments = -(-lanes // segment)
        left = Signal(segment * block)
        index = Signal(range(n_segments))  # of the segment
        group = Signal(lanes * block)
        following = Signal(n_segments)
        first = Signal(address_bits)
        timesteps = Signal(block)
        sequence_end = Signal()
        pending = left.any() | timesteps.any() | sequence_end
        lowest, sent, rest = lowest_lane(m, left, block)
        address = index * segment + lowest  # in the group
        advance = ~self.o.valid | self.o.ready
        marks = timesteps.any() | sequence_end
        ends = Mux(left.any(), ~rest.any() & ~following.any() & ~marks, 1)
        m.d.comb += queue.r_en.eq(~pending | (advance & ends))
        word = queue.r_data[: lanes * block]
        next_left, next_index, others = lowest_part(m, group, segment * block, following)
        first_left, first_index, behind = lowest_part(m, word, segment * block)
        with m.If(advance):
            m.d.sync += [
                self.o.valid.eq(pending),
                self.o.payload.payload.eq(Mux(left.any(), sent, timesteps)),
                self.o.payload.address.eq(Mux(left.any(), first + address, 0)),
            ]
            with m.If(left.any()):
                m.d.sync += [self.o.payload.kind.eq(EventKind.EVENT), left.eq(rest)]
                with m.If(~rest.any()):
                    m.d.sync += [left.eq(next_left), index.eq(next_index), following.eq(others)]
            with m.Else():
                kind = Mux(timesteps.any(), EventKind.END_TIMESTEP, EventKind.END_SEQUENCE)
                m.d.sync += [
                    self.o.payload.kind.eq(kind), timesteps.eq(0), sequence_end.eq(0)
                ]  # fmt: skip
        with m.If(taken):
            m.d.sync += [
                Cat(group, first, timesteps, sequence_end).eq(queue.r_data),
                left.eq(first_left),
                index.eq(first_index),
                following.eq(behind),
            ]
        return m


def parts_of(word: Value, width: int) -> list[Value]:
    """Return a word in parts of so many bits; the last one may have fewer."""
    return [word[start : start + width] for start in range(0, len(word), width)]


def lowest_part(
    m: Module, word: Value, width: int, used: Value | None = None
) -> tuple[Value, Value, Value]:
    """Return the lowest part of a word that is `used` (by default: has any bit set), its number,
    and which others are. Not to be called within a condition.
    """
    parts = parts_of(word, width)
    # Signals, as simulators compute an expression again in every place that it stands in.
    taken = Signal(len(parts))
    before = Signal.like(taken)
    lowest = Signal.like(taken)
    others = Signal.like(taken)
    m.d.comb += [
        taken.eq(Cat(part.any() for part in parts) if used is None else used),
        before.eq(Cat(taken[:n].any() for n in range(len(parts)))),
        lowest.eq(taken & ~before),
        others.eq(taken & before),
    ]
    found = (Mux(lowest[n], part, 0) for n, part in enumerate(parts))
    number = (Mux(lowest[n], n, 0) for n in range(len(parts)))
    bits = (len(parts) - 1).bit_length()
    return reduce(or_, found), reduce(or_, number)[:bits], others


def lowest_lane(m: Module, word: Value, block: int) -> tuple[Value, Value, Value]:
    """Return the lowest lane of a word that has any of its `block` bits set, its bits, and the word
    without them.
    """
    bits, lane, others = lowest_part(m, word, block)
    rest = Signal.like(word)
    m.d.comb += rest.eq(word & Cat(other.replicate(block) for other in others))
    return lane, bits, rest
