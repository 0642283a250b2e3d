"""The way of a recurrent layer's own spikes back into its list of events."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from golden.hardware.layer import LayerHardware
from golden.hardware.part import EventKind
from rtl.claims import claim
from rtl.component import Component
from rtl.fixed import shape_of
from rtl.layouts import Struct
from rtl.streams import event_layout


class Recurrence(Component):
    """Merge the spikes that a layer sends in a timestep into the events of its next one, as events
    after its inputs.

    A spike of its own goes to the list in the first cycle in which the layer offers it, whether or
    not the layer's consumer takes it, and before any event from outside. An end of a timestep, or
    of a sequence, waits for all own spikes of the timestep before: so the list always holds either
    all or none of them, and an end of sequence drops those of the last timestep. Nothing else is
    ever held back.

    Own spikes need no queue. Since no end passes while any are to come, the list being filled is
    the one after that of the timestep that sends them, whose predecessors have been walked: of the
    list's buffers at most one is taken. Nor can the layer wait for itself: what is held back here
    waits for its walk and for its consumer, and neither of them waits for anything held back.

    Parameters
    ----------
    layer
        The layer, with a block of one timestep.

    Members
    -------
    i
        What arrives at the layer; who sends it may be stalled.
    own_valid, own_ready, own
        The layer's output stream, only watched.
    o
        The layer's events, to its list, which must be ready for those of its own. An event from
        outside whose address is no input becomes an item of no kind, which the list reports.

    Latency: 0 cycles; throughput: one item a cycle.
    """

    i: stream.Interface
    own_valid: Signal
    own_ready: Signal
    own: Struct
    o: stream.Interface

    def __init__(self, layer: LayerHardware) -> None:
        self.layer = layer
        p = layer.params
        payload = shape_of(p.formats.payload) if layer.by_timesteps else layer.block
        super().__init__(
            {
                "i": In(stream.Signature(event_layout(p.n_inputs, payload, reports=layer.reports))),
                "own_valid": In(1),
                "own_ready": In(1),
                "own": In(event_layout(p.n_neurons, layer.block, reports=layer.reports)),
                "o": Out(
                    stream.Signature(event_layout(p.n_addresses, payload, reports=layer.reports))
                ),
            }
        )

    @property
    def latency(self) -> int:
        return 0

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, item, own = self.layer.params, self.i.payload, self.own

        seen = Signal()  # what the layer offers was there in the cycle before
        m.d.sync += seen.eq(self.own_valid & ~self.own_ready)
        offered = self.own_valid & ~seen
        spikes = offered & (own.kind == EventKind.EVENT)
        over = offered & (own.kind == EventKind.END_TIMESTEP)

        # From an end of timestep that passes until that of the layer's own spikes.
        owed = Signal()
        is_end = (item.kind == EventKind.END_TIMESTEP) | (item.kind == EventKind.END_SEQUENCE)
        held = spikes | (is_end & owed & ~over)
        passes = self.i.valid & self.i.ready & (item.kind == EventKind.END_TIMESTEP)
        with m.If(over):
            m.d.sync += owed.eq(0)
        with m.If(passes):
            m.d.sync += owed.eq(1)

        no_input = Const(0)
        if self.layer.by_timesteps:
            no_input = (item.address >= p.n_inputs) & (item.payload != 0)
        no_event = (item.kind == EventKind.EVENT) & no_input
        m.d.comb += [
            self.i.ready.eq(self.o.ready & ~held),
            self.o.valid.eq(spikes | (self.i.valid & ~held)),
            self.o.payload.kind.eq(Mux(no_event, EventKind.INVALID, item.kind)),
            self.o.payload.address.eq(item.address),
            self.o.payload.payload.eq(item.payload),
        ]
        with m.If(spikes):
            m.d.comb += [
                self.o.payload.kind.eq(EventKind.EVENT),
                self.o.payload.address.eq(p.n_inputs + own.address),
                self.o.payload.payload.eq(p.own_payload),
            ]
        claim(m, platform, "the list is ready for own spikes", ~spikes | self.o.ready)
        return m
