"""From the beats of an AXI4-Stream to items of the core's event stream."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.hardware.part import EventKind
from golden.hardware.stages import BEAT_QUEUE_DEPTH
from golden.registers import BUS_WIDTH, EVENT_WORD, REPORTING_EVENT_WORD
from rtl.component import Component
from rtl.host.buses import beat_layout
from rtl.queue import Queue
from rtl.streams import event_layout


class AxiEvents(Component):
    """Turn each beat into an event, an end of timestep, a report and an end of sequence, as far as
    it has them, in this order.

    A beat holds one word (`golden.registers.event_word`): a payload of 0 is no event, so that an
    empty timestep is a beat of zeros with TLAST. A timestep ends with TLAST, or where the word says
    so; a sequence with TUSER, or where the word says so, usually in the last beat of its last
    timestep. The bits in the word serve a DMA, which sets TLAST at the end of a whole transfer and
    no TUSER. There is no TKEEP: each beat is a whole word.

    Where the word asks for a report, TLAST ends no timestep: so that a transfer may be that word
    alone, in the middle of a sequence.

    An address or a payload that the core's formats cannot hold becomes an item of no kind, which
    the core reports as out of range; none is cut.

    The core may stall; TREADY depends on no input of the same cycle.

    Parameters
    ----------
    n_inputs, payload
        Of the core's event stream.
    reports
        The stream may ask for results: words have the bit for it.

    Members
    -------
    i
        Beats: `data`, `last` (TLAST) and `user` (TUSER).
    o
        The core's events.
    begun
        A beat waits, or a sequence has begun and not ended; a report begins none.

    Latency: 1 cycle; throughput: one item a cycle.
    """

    i: stream.Interface
    o: stream.Interface
    begun: Signal

    def __init__(self, n_inputs: int, payload: Shape, *, reports: bool = False) -> None:
        self.payload, self.reports = payload, reports
        self.beats = Queue(beat_layout(user=1), BEAT_QUEUE_DEPTH)
        super().__init__(
            {
                "i": In(stream.Signature(beat_layout(user=1))),
                "o": Out(stream.Signature(event_layout(n_inputs, payload, reports=reports))),
                "begun": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        return self.beats.latency

    def _holds(self, payload: Value) -> Value:
        """Whether the core's format holds a payload of a word, which has a sign if the format
        does.
        """
        if not self.payload.signed:
            return payload >> self.payload.width == 0
        top = payload[self.payload.width - 1 :]
        return top.all() | ~top.any()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.beats = beats = self.beats
        wiring.connect(m, wiring.flipped(self.i), beats.i)
        beat = beats.o.payload
        word = REPORTING_EVENT_WORD if self.reports else EVENT_WORD
        found = {bits.name: beat.data[bits.low : bits.low + bits.width] for bits in word}
        address, payload = found["ADDRESS"], found["PAYLOAD"]
        item = self.o.payload
        fits = (address >> len(item.address) == 0) & self._holds(payload)
        # What a beat has, in order.
        ends, asks = beat.last, []
        if self.reports:
            ends, asks = beat.last & ~found["REPORT"], [found["REPORT"]]
        has = Cat(
            payload.any(),
            found["END_TIMESTEP"] | ends,
            *asks,
            found["END_SEQUENCE"] | beat.user,
        )
        done = Signal(len(has))
        left = has & ~done
        following = left & (left - 1)[: len(has)]  # without the lowest
        m.d.comb += [
            self.o.valid.eq(beats.o.valid & left.any()),
            item.address.eq(address),
            item.payload.eq(payload),
            beats.o.ready.eq(~following.any() & (self.o.ready | ~left.any())),
        ]
        event, invalid = (Const(of, len(item.kind)) for of in (EventKind.EVENT, EventKind.INVALID))
        with m.If(left[0]):
            m.d.comb += item.kind.eq(Mux(fits, event, invalid))
        with m.Elif(left[1]):
            m.d.comb += item.kind.eq(EventKind.END_TIMESTEP)
        if self.reports:
            with m.Elif(left[2]):
                m.d.comb += item.kind.eq(EventKind.REPORT)
        with m.Else():
            m.d.comb += item.kind.eq(EventKind.END_SEQUENCE)

        inside = Signal()
        m.d.comb += self.begun.eq(inside | beats.o.valid)
        begins: Value = item.kind != EventKind.END_SEQUENCE
        if self.reports:
            begins = Mux(item.kind == EventKind.REPORT, inside, begins)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [
                inside.eq(begins),
                done.eq(Mux(following.any(), done | (left & ~following), 0)),
            ]
        return m


assert all(sum(bits.width for bits in of) == BUS_WIDTH for of in (EVENT_WORD, REPORTING_EVENT_WORD))
