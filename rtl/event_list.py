"""The double-buffered list of the events of one timestep."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.params import CLOSE_LATENCY, EventKind, address_width
from rtl.component import Component
from rtl.fixed import delay
from rtl.streams import event_layout


class EventList(Component):
    """Collect the events of a timestep while the timestep before it is walked.

    Nothing is dropped: the producer is stalled while both buffers are taken. An address takes part
    once in a timestep; a repeated or out-of-range one (or an item of no kind), and events that an
    end of sequence leaves without an end of timestep, are ignored and reported. A payload of 0 is
    no event.

    Parameters
    ----------
    n_inputs, payload_width
        Of the events.

    Members
    -------
    i
        The event stream.
    accepted, event
        An event enters the list in this cycle (for the drive).
    closed
        A timestep ends in this cycle; `closing_buffer` is the buffer that holds it.
    discarded
        A sequence ends in this cycle: events since the last timestep are void.
    out_of_range, repeated, unclosed
        Strobes of the errors.
    available, count, sequence_end, buffer
        A closed list waits to be walked, its events, whether it is the end of a sequence instead,
        and its buffer. They look past a list that is being released in this cycle.
    release
        The list in front has been read for the last time.
    index, walked
        Entry `index` of the list in front is `walked` (address and payload) the cycle after.

    Latency: `CLOSE_LATENCY` cycles from an end marker to `available`; throughput: one event a
    cycle.
    """

    def __init__(self, n_inputs: int, payload_width: int) -> None:
        self.n_inputs, self.payload_width = n_inputs, payload_width
        layout = event_layout(n_inputs, payload_width)
        super().__init__(
            {
                "i": In(stream.Signature(layout)),
                "accepted": Out(1),
                "event": Out(layout),
                "closed": Out(1),
                "closing_buffer": Out(1),
                "discarded": Out(1),
                "out_of_range": Out(1),
                "repeated": Out(1),
                "unclosed": Out(1),
                "available": Out(1),
                "count": Out(range(n_inputs + 1)),
                "sequence_end": Out(1),
                "buffer": Out(1),
                "release": In(1),
                "index": In(address_width(n_inputs)),
                "walked": Out(layout),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n_inputs = self.n_inputs
        event = self.i.payload
        entry_width = address_width(n_inputs) + self.payload_width
        index_width = address_width(n_inputs)
        m.submodules.entries = entries = Memory(shape=entry_width, depth=2 << index_width, init=[])
        write, read = entries.write_port(), entries.read_port()

        taken = Signal(2)  # buffers that are closed and not yet released
        waiting = Signal(2)  # buffers that are closed and may be walked
        counts = Array(Signal(range(n_inputs + 1), name=f"count_{b}") for b in range(2))
        ends = Array(Signal(name=f"sequence_end_{b}") for b in range(2))
        filling = Signal()
        front = Signal()
        count = Signal(range(n_inputs + 1))
        seen = Signal(n_inputs)

        transfer = self.i.valid & self.i.ready
        is_event = transfer & (event.kind == EventKind.EVENT) & (event.payload != 0)
        no_kind = event.kind >= len(EventKind)
        in_range = event.address < n_inputs
        repeated = seen.bit_select(event.address, 1)
        m.d.comb += [
            self.i.ready.eq(~taken.bit_select(filling, 1)),
            self.event.eq(event),
            self.out_of_range.eq((is_event & ~in_range) | (transfer & no_kind)),
            self.repeated.eq(is_event & in_range & repeated),
            self.accepted.eq(is_event & in_range & ~repeated),
            self.closed.eq(transfer & (event.kind == EventKind.END_TIMESTEP)),
            self.discarded.eq(transfer & (event.kind == EventKind.END_SEQUENCE)),
            self.unclosed.eq(self.discarded & (count != 0)),
            self.closing_buffer.eq(filling),
            write.en.eq(self.accepted),
            write.addr.eq(Cat(count[:index_width], filling)),
            write.data.eq(Cat(event.address, event.payload)),
        ]
        with m.If(self.accepted):
            m.d.sync += [count.eq(count + 1), seen.bit_select(event.address, 1).eq(1)]
        ending = self.closed | self.discarded
        with m.If(ending):
            m.d.sync += [
                count.eq(0),
                seen.eq(0),
                filling.eq(~filling),
                taken.bit_select(filling, 1).eq(1),
                counts[filling].eq(Mux(self.closed, count, 0)),
                ends[filling].eq(self.discarded),
            ]
        opened = delay(m, Cat(ending, filling), CLOSE_LATENCY - 1, "opened")
        with m.If(opened[0]):
            m.d.sync += waiting.bit_select(opened[1], 1).eq(1)
        with m.If(self.release):
            m.d.sync += [
                front.eq(~front),
                taken.bit_select(front, 1).eq(0),
                waiting.bit_select(front, 1).eq(0),
            ]

        m.d.comb += [
            self.buffer.eq(front ^ self.release),
            self.available.eq(waiting.bit_select(self.buffer, 1)),
            self.count.eq(counts[self.buffer]),
            self.sequence_end.eq(ends[self.buffer]),
            read.en.eq(1),
            read.addr.eq(Cat(self.index, front)),
            Cat(self.walked.address, self.walked.payload).eq(read.data),
        ]
        return m
