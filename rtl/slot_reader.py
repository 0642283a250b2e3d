"""From the words of a delay line's slot to a stream of events."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from golden.hardware.layer import LayerHardware
from golden.hardware.memory import address_width
from golden.hardware.part import EventKind
from rtl.claims import claim_stable
from rtl.component import Component
from rtl.encoder import lowest_lane
from rtl.fixed import delay
from rtl.layouts import Array
from rtl.streams import event_layout


class SlotReader(Component):
    """Read the slot of a block that has ended word by word, and send an event for each input that
    has a bit in it, in ascending address, then the end of the block.

    Its consumer may stall it. One word is read ahead of the one that is sent.

    Parameters
    ----------
    layer
        The layer that the delay line feeds.

    Members
    -------
    block_ended, timesteps
        The block whose slot is in front has ended, and had these timesteps; bits of others are no
        events.
    sequence_ended
        A sequence has ended.
    reported
        Where the layer has reports: one passes.
    sent
        The end of the block, or of the sequence, or the report goes to `o`: only then may the next
        one come.
    read, index
        A word of the slot in front is wanted in this cycle, and cannot wait.
    word
        What the word read in the cycle before holds: `word[input]`, a bit for each timestep.
    o
        The events: a bit for each timestep in which the input's spike comes out.

    Latency: words + 3 cycles from `block_ended` to the end of the block at `o`, where the slot is
    empty; throughput: an event a cycle, a word without events a cycle; two of three cycles where
    each word has one event.
    """

    block_ended: Signal
    timesteps: Signal
    sequence_ended: Signal
    reported: Signal
    sent: Signal
    read: Signal
    index: Signal
    word: Array
    o: stream.Interface

    def __init__(self, layer: LayerHardware) -> None:
        self.layer = layer
        block = layer.block
        events = event_layout(layer.params.n_inputs, block, reports=layer.reports)
        members = {
            "block_ended": In(1),
            "timesteps": In(block),
            "sequence_ended": In(1),
            "sent": Out(1),
            "read": Out(1),
            "index": Out(range(layer.delay_ring.words)),
            "word": In(data.ArrayLayout(block, layer.delay_ring.lanes)),
            "o": Out(stream.Signature(events)),
        }
        super().__init__(members | ({"reported": In(1)} if layer.reports else {}))

    @property
    def latency(self) -> int:
        return self.layer.delay_ring.words + 3

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, block, o = self.layer, self.layer.block, self.o
        address_bits = address_width(layer.params.n_inputs)
        reading = Signal()  # words are still to be read
        sending = Signal()  # the end of a block is still to go
        ending = Signal()  # the end of a sequence is still to go
        timesteps = Signal(block)
        left = Signal(self.word.shape().size)
        ahead = Signal.like(left)
        left_index = Signal.like(self.index)
        ahead_index = Signal.like(self.index)

        # There are places for two words; one that is on its way takes one of them.
        on_its_way = delay(m, self.read, 1, "on_its_way")
        m.d.comb += self.read.eq(reading & ~(left.any() & on_its_way) & ~ahead.any())
        with m.If(self.read):
            m.d.sync += self.index.eq(self.index + 1)
            with m.If(self.index == layer.delay_ring.words - 1):
                m.d.sync += reading.eq(0)
        with m.If(self.block_ended):
            m.d.sync += [
                reading.eq(1), sending.eq(1), timesteps.eq(self.timesteps), self.index.eq(0)
            ]  # fmt: skip
        with m.If(self.sequence_ended):
            m.d.sync += ending.eq(1)

        lane, mask, rest = lowest_lane(m, left, block)
        advance = ~o.valid | o.ready
        through = sending & ~reading & ~on_its_way & ~left.any()
        marks: Value = through | ending
        kind = Mux(ending, EventKind.END_SEQUENCE, EventKind.END_TIMESTEP)
        if layer.reports:
            reporting = Signal()  # a report is still to go
            with m.If(self.reported):
                m.d.sync += reporting.eq(1)
            with m.Elif(self.sent):
                m.d.sync += reporting.eq(0)
            marks = marks | reporting
            kind = Mux(reporting, EventKind.REPORT, kind)
        m.d.comb += self.sent.eq(advance & marks)
        with m.If(advance):
            m.d.sync += [
                left.eq(rest),
                o.valid.eq(left.any() | marks),
                o.payload.kind.eq(Mux(left.any(), EventKind.EVENT, kind)),
                o.payload.address.eq(Mux(left.any(), Cat(lane, left_index)[:address_bits], 0)),
                o.payload.payload.eq(Mux(left.any(), mask, timesteps)),
            ]
        with m.If(self.sent):
            m.d.sync += [sending.eq(0), ending.eq(0)]

        word = self.word.as_value() & timesteps.replicate(layer.delay_ring.lanes)
        arrived = Mux(on_its_way, word, 0)
        arrived_index = delay(m, self.index, 1, "arrived_index")
        with m.If(~left.any() | (advance & ~rest.any())):
            waits = ahead.any()
            m.d.sync += [
                left.eq(Mux(waits, ahead, arrived)),
                left_index.eq(Mux(waits, ahead_index, arrived_index)),
                ahead.eq(0),
            ]
        with m.Elif(on_its_way):
            m.d.sync += [ahead.eq(arrived), ahead_index.eq(arrived_index)]
        claim_stable(m, platform, "o", o)
        return m
