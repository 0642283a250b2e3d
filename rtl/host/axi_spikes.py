"""From the core's spikes to beats of an AXI4-Stream."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from golden.hardware.part import EventKind
from golden.hardware.stages import BEAT_QUEUE_DEPTH
from golden.registers import BUS_WIDTH, EVENT_WORD
from rtl.component import Component
from rtl.host.buses import beat_layout
from rtl.queue import Queue
from rtl.streams import event_layout

BIT_OF = {bits.name: bits.low for bits in EVENT_WORD}


class AxiSpikes(Component):
    """Send a beat for each spike, end of timestep and end of sequence, as `AxiEvents` of another
    core takes them: the word is `golden.registers.EVENT_WORD`. An end has a payload of 0,
    its bit in the word, and TLAST (of a timestep) or TUSER (of a sequence).

    The consumer may stall; the core's spikes are taken no matter whether it is ready in the same
    cycle.

    Parameters
    ----------
    n_neurons
        Of the last layer.

    Members
    -------
    i
        The core's spikes.
    o
        Beats: `data`, `last` (TLAST) and `user` (TUSER).

    Latency: 1 cycle; throughput: one beat a cycle.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, n_neurons: int) -> None:
        self.n_neurons = n_neurons
        self.words = Queue(BUS_WIDTH, BEAT_QUEUE_DEPTH)
        super().__init__(
            {
                "i": In(stream.Signature(event_layout(n_neurons, 1))),
                "o": Out(stream.Signature(beat_layout(user=1))),
            }
        )

    @property
    def latency(self) -> int:
        return self.words.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.words = words = self.words
        item, beat = self.i.payload, self.o.payload
        values: dict[str, Value] = {
            "ADDRESS": item.address,  # of an end, any: its payload is 0
            "PAYLOAD": item.kind == EventKind.EVENT,
            "END_TIMESTEP": item.kind == EventKind.END_TIMESTEP,
            "END_SEQUENCE": item.kind == EventKind.END_SEQUENCE,
        }
        word = [Cat(values[bits.name], Const(0, bits.width))[: bits.width] for bits in EVENT_WORD]
        m.d.comb += [
            words.i.payload.eq(Cat(*word)),
            words.i.valid.eq(self.i.valid),
            self.i.ready.eq(words.i.ready),
            beat.data.eq(words.o.payload),
            beat.last.eq(words.o.payload[BIT_OF["END_TIMESTEP"]]),
            beat.user.eq(words.o.payload[BIT_OF["END_SEQUENCE"]]),
            self.o.valid.eq(words.o.valid),
            words.o.ready.eq(self.o.ready),
        ]
        return m


assert sum(bits.width for bits in EVENT_WORD) == BUS_WIDTH
