"""From spike masks of groups to a stream of events."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from golden.params import MASK_QUEUE_DEPTH, EventKind, LayerHardware, address_width
from rtl.component import Component
from rtl.streams import event_layout


class Encoder(Component):
    """Send the spikes of each group as events, in ascending address, then the markers.

    A cycle a spike or marker, none on silent neurons: a group without spikes is not even queued.
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
    valid, spikes, last_group, sequence_end
        From the neuron stage.
    o
        The events: address of the neuron, payload 1.

    Latency: 4 cycles from a group to its first event; throughput: one event a cycle.
    """

    def __init__(self, layer: LayerHardware) -> None:
        self.layer = layer
        super().__init__(
            {
                "room": Out(1),
                "reserve": In(1),
                "valid": In(1),
                "spikes": In(layer.hardware.lanes),
                "last_group": In(1),
                "sequence_end": In(1),
                "o": Out(stream.Signature(event_layout(layer.params.n_neurons, 1))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, n_groups = self.layer.hardware.lanes, self.layer.n_groups
        address_bits = address_width(n_groups * lanes)
        m.submodules.queue = queue = SyncFIFOBuffered(
            width=lanes + address_bits + 2, depth=MASK_QUEUE_DEPTH
        )

        # A group's first address: counted up with the groups, which come in order.
        base = Signal(address_bits)
        end_timestep = self.valid & self.last_group
        queued = self.sequence_end | end_timestep | (self.valid & self.spikes.any())
        with m.If(self.valid):
            m.d.sync += base.eq(Mux(self.last_group, 0, base + lanes))
        mask = Mux(self.valid, self.spikes, 0)
        m.d.comb += [
            queue.w_en.eq(queued),
            queue.w_data.eq(Cat(mask, base, end_timestep, self.sequence_end)),
        ]

        free = Signal(range(MASK_QUEUE_DEPTH + 1), init=MASK_QUEUE_DEPTH)
        skipped = self.valid & ~queued
        taken = queue.r_en & queue.r_rdy
        m.d.comb += self.room.eq(free != 0)
        m.d.sync += free.eq(free - self.reserve + skipped + taken)

        # The group being sent, lowest lane first; `o` is a register behind it.
        left = Signal(lanes)
        first = Signal(address_bits)
        markers = Signal(2)
        pending = left.any() | markers.any()
        lowest = Signal(range(lanes))
        for index in reversed(range(lanes)):
            with m.If(left[index]):
                m.d.comb += lowest.eq(index)
        rest = left & (left - 1)[:lanes]
        advance = ~self.o.valid | self.o.ready
        ends = Mux(left.any(), ~rest.any() & ~markers.any(), 1)
        m.d.comb += queue.r_en.eq(~pending | (advance & ends))
        with m.If(advance):
            m.d.sync += [
                self.o.valid.eq(pending),
                self.o.payload.payload.eq(left.any()),
                self.o.payload.address.eq(Mux(left.any(), first + lowest, 0)),
            ]
            with m.If(left.any()):
                m.d.sync += [self.o.payload.kind.eq(EventKind.EVENT), left.eq(rest)]
            with m.Else():
                kind = Mux(markers[0], EventKind.END_TIMESTEP, EventKind.END_SEQUENCE)
                m.d.sync += [self.o.payload.kind.eq(kind), markers.eq(0)]
        with m.If(taken):
            m.d.sync += Cat(left, first, markers).eq(queue.r_data)
        return m
