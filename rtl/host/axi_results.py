"""From the core's results to packets of an AXI4-Stream."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.component import Component
from rtl.host.buses import beat_layout
from rtl.queue import Queue
from rtl.streams import result_layout


class AxiResults(Component):
    """Send a packet a sequence, and one a report: a word a class with its logit, sign extended, in
    the order of the classes, then a word with the class, which has TLAST.

    The consumer may stall; the core's results are taken no matter whether it is ready in the same
    cycle.

    Parameters
    ----------
    n_classes, logit_width
        Of the core's results.

    Members
    -------
    i
        The core's results.
    o
        Beats: `data` and `last` (TLAST).

    Latency: 1 cycle, 2 to the class; throughput: one word a cycle.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, n_classes: int, logit_width: int) -> None:
        self.beats = Queue(beat_layout(), 2)
        super().__init__(
            {
                "i": In(stream.Signature(result_layout(n_classes, logit_width))),
                "o": Out(stream.Signature(beat_layout())),
            }
        )

    @property
    def latency(self) -> int:
        return self.beats.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.beats = beats = self.beats
        wiring.connect(m, beats.o, wiring.flipped(self.o))
        beat = beats.i.payload
        has_class = Signal()  # after the logits
        best = Signal.like(self.i.payload.best)
        m.d.comb += [
            self.i.ready.eq(beats.i.ready & ~has_class),
            beats.i.valid.eq(has_class | self.i.valid),
            beat.last.eq(has_class),
        ]
        with m.If(has_class):
            m.d.comb += beat.data.eq(best)
        with m.Else():
            m.d.comb += beat.data.eq(self.i.payload.logit)
        with m.If(self.i.valid & self.i.ready & self.i.payload.last):
            m.d.sync += [has_class.eq(1), best.eq(self.i.payload.best)]
        with m.If(has_class & beats.i.ready):
            m.d.sync += has_class.eq(0)
        return m
