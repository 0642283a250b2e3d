"""From the core's spikes to beats of an AXI4-Stream."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.hardware.memory import address_width
from golden.hardware.part import EventKind
from golden.hardware.stages import BEAT_QUEUE_DEPTH
from golden.registers import BUS_WIDTH, EVENT_WORD
from rtl.component import Component
from rtl.host.buses import beat_layout
from rtl.queue import Queue
from rtl.streams import event_layout


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
        self.beats = Queue(beat_layout(user=1), BEAT_QUEUE_DEPTH)
        super().__init__(
            {
                "i": In(stream.Signature(event_layout(n_neurons, 1))),
                "o": Out(stream.Signature(beat_layout(user=1))),
            }
        )

    @property
    def latency(self) -> int:
        return self.beats.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.beats = beats = self.beats
        wiring.connect(m, beats.o, wiring.flipped(self.o))
        item, beat = self.i.payload, beats.i.payload
        fires = item.kind == EventKind.EVENT
        values: dict[str, Value] = {
            "ADDRESS": item.address & fires.replicate(address_width(self.n_neurons)),
            "PAYLOAD": fires,
            "END_TIMESTEP": item.kind == EventKind.END_TIMESTEP,
            "END_SEQUENCE": item.kind == EventKind.END_SEQUENCE,
        }
        word = [Cat(values[bits.name], Const(0, bits.width))[: bits.width] for bits in EVENT_WORD]
        m.d.comb += [
            beats.i.valid.eq(self.i.valid),
            self.i.ready.eq(beats.i.ready),
            beat.data.eq(Cat(*word)),
            beat.last.eq(values["END_TIMESTEP"]),
            beat.user.eq(values["END_SEQUENCE"]),
        ]
        return m


assert sum(bits.width for bits in EVENT_WORD) == BUS_WIDTH
