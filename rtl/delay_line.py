"""The delay line before a layer: every input's spikes come out that input's delay later."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.hardware.layer import LayerHardware
from golden.hardware.memory import address_width
from golden.hardware.stages import DELAY_LATENCY
from rtl.arrivals import Arrivals
from rtl.bank import Bank
from rtl.component import Component
from rtl.fixed import delay, shape_of, total
from rtl.signatures import InputErrorPorts, InputErrors, LoadBus, LoadBusPorts
from rtl.slot_reader import SlotReader
from rtl.streams import event_layout


class DelayLine(Component):
    """Hold back what arrives at input j at timestep k until timestep k + delays[j].

    A ring of slots, one for each block of timesteps that is still to come, has a bit for each input
    and timestep. An event sets its bits, in one slot or in two successive ones; when a block ends,
    its slot is read word by word, cleared, and sent, while events of the next block arrive. What
    has not come out when a sequence ends is dropped: the ring is cleared.

    Nothing else is dropped: the producer is stalled while a word is read, at the end of a block
    until the block before it is sent, and while the ring is cleared, as it is also after a reset.
    What comes from outside is checked as `EventList` does it; a repeated address finds its bit set.

    Parameters
    ----------
    layer
        The layer that it feeds.
    number
        Of the bank of delays, of which none may exceed the layer's largest one.

    Members
    -------
    i
        Events of timesteps where the layer is fed from outside, else of blocks.
    o
        Events of blocks, in ascending address.
    errors
        Of what comes from outside.
    clearing
        The ring is being cleared after a reset.
    delays_reads, ring_reads, ring_writes
        How many words of the delays and of the ring are read and written. What an end of sequence
        clears is counted when that begins.
    load
        The load bus.

    Latency: `DELAY_LATENCY` + words of a slot + 2 cycles from the end of a block at `i` to the end
    of the same block at `o`, where no event comes out before it; throughput: one event a cycle in,
    and out as `SlotReader` has it.
    """

    i: stream.Interface
    o: stream.Interface
    errors: InputErrorPorts
    clearing: Signal
    delays_reads: Signal
    ring_reads: Signal
    ring_writes: Signal
    load: LoadBusPorts

    def __init__(self, layer: LayerHardware, number: int) -> None:
        self.layer = layer
        n_inputs, memories = layer.params.n_inputs, layer.delay_ring.memories
        received = shape_of(layer.payload) if layer.external else layer.block
        self.delays = Bank(layer.memories["delays"], number)
        self.reader = SlotReader(layer)
        super().__init__(
            {
                "i": In(stream.Signature(event_layout(n_inputs, received, reports=layer.reports))),
                "o": Out(
                    stream.Signature(event_layout(n_inputs, layer.block, reports=layer.reports))
                ),
                "errors": Out(InputErrors()),
                "clearing": Out(1, init=1),  # pyright: ignore
                "delays_reads": Out(1),
                "ring_reads": Out(range(memories + 1)),
                "ring_writes": Out(range(memories * (layer.delay_ring.depth + 1) + 1)),
                "load": In(LoadBus()),
            }
        )

    @property
    def latency(self) -> int:
        return DELAY_LATENCY - 1 + self.reader.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, block, n_slots = self.layer, self.layer.block, self.layer.delay_ring.slots
        n_inputs = layer.params.n_inputs
        m.submodules.arrivals = arrivals = Arrivals(
            n_inputs,
            n_inputs,
            self.i.payload.payload.shape(),
            block,
            by_timesteps=layer.external,
            reports=layer.reports,
        )
        m.submodules.delays = delays = self.delays
        m.submodules.reader = reader = self.reader
        wiring.connect(m, wiring.flipped(self.i), arrivals.i)
        wiring.connect(m, wiring.flipped(self.load), delays.load)
        wiring.connect(m, reader.o, wiring.flipped(self.o))

        # Cycle 0: an item; its delay is addressed. 1: the delay. 2: where it leads. 3: words of the
        # ring are addressed. All wait while a word of the block that leaves is.
        advance = ~reader.read
        current = Signal(range(n_slots))  # the slot of the block that arrives
        busy = Signal()  # an end of a block or sequence has not been sent yet
        emptying = Signal(init=1)  # from the end of a sequence until the ring is clear
        item = data.StructLayout(
            {
                "fires": 1,
                "closed": 1,
                "discarded": 1,
                "address": address_width(layer.params.n_inputs),
                "timesteps": block,
                "slot": current.shape(),
            }
            | ({"reported": 1} if layer.reports else {})
        )
        items = [Signal(item, name=f"item_{cycle}") for cycle in range(DELAY_LATENCY)]
        arrived = arrivals.o
        timesteps = Mux(arrived.closed, arrived.closing_timesteps, arrived.timesteps)
        m.d.comb += [
            arrivals.room.eq(advance & ~emptying),
            arrivals.may_end.eq(~busy),
            delays.enable.eq(arrived.fires),
            delays.address[0].eq(arrived.address),
            items[0].fires.eq(arrived.fires),
            items[0].closed.eq(arrived.closed),
            items[0].discarded.eq(arrived.discarded),
            items[0].address.eq(arrived.address),
            items[0].timesteps.eq(timesteps),
            items[0].slot.eq(current),
            self.errors.out_of_range.eq(arrivals.errors.out_of_range),
            self.errors.unclosed.eq(arrivals.errors.unclosed),
            self.delays_reads.eq(arrived.fires),
        ]
        with m.If(reader.sent):
            m.d.sync += busy.eq(0)
        with m.If(arrived.closed | arrived.discarded):
            m.d.sync += busy.eq(1)
        with m.If(arrived.closed):
            m.d.sync += current.eq(_after(current, n_slots))
        held = Signal(layer.params.delay.width)
        shift = block.bit_length() - 1
        slot = Signal(range(n_slots))  # the first one that the event has bits in
        mask = Signal(2 * block)  # its bits there, and in the slot after it
        sum_of_slots = items[2].slot + held[shift:]
        with m.If(advance):
            m.d.sync += [
                *(later.eq(before) for before, later in zip(items, items[1:], strict=False)),
                held.eq(delays.words[0][0]),
                slot.eq(Mux(sum_of_slots >= n_slots, sum_of_slots - n_slots, sum_of_slots)),
                mask.eq(items[2].timesteps << held[:shift]),
            ]
        front = Signal(range(n_slots))  # the slot of the block that leaves
        ended = advance & items[3].closed
        m.d.comb += [
            reader.block_ended.eq(ended),
            reader.timesteps.eq(items[3].timesteps),
            reader.sequence_ended.eq(advance & items[3].discarded),
        ]
        with m.If(ended):
            m.d.sync += front.eq(items[3].slot)
        if layer.reports:
            m.d.comb += [
                arrivals.may_report.eq(advance & ~emptying & ~busy),
                items[0].reported.eq(arrivals.reported),
                reader.reported.eq(advance & items[3].reported),
            ]
            with m.If(arrivals.reported):
                m.d.sync += busy.eq(1)
        swept = self._ring(m, items[3], slot, mask, front, reader)
        with m.If(swept):
            m.d.sync += [emptying.eq(0), self.clearing.eq(0)]
        with m.If(arrived.discarded):
            m.d.sync += emptying.eq(1)
        return m

    def _ring(
        self, m: Module, item: Any, slot: Signal, mask: Signal, front: Signal, reader: SlotReader
    ) -> Value:
        """The memories. A word is read in one cycle and written in the next one, with the bits of
        an event set, or with none if it leaves. Return whether all have just been cleared.
        """
        layer, block = self.layer, self.layer.block
        word_bits = (layer.delay_ring.words - 1).bit_length()
        lane_bits = (layer.delay_ring.lanes - 1).bit_length()
        sweep = Signal(range(layer.delay_ring.depth))
        sweeping = Signal(init=1)
        swept = sweeping & (sweep == layer.delay_ring.depth - 1)
        with m.If(sweeping):
            m.d.sync += sweep.eq(Mux(swept, 0, sweep + 1))
        with m.If(swept):
            m.d.sync += sweeping.eq(0)
        with m.If(reader.sequence_ended):
            m.d.sync += sweeping.eq(1)

        if layer.delay_ring.memories == 1:
            places, masks, own = [slot], [mask[:block]], [1]
            found = front
        else:  # odd slots are in the second memory; an even slot after one is a place further
            further = _after(slot[1:], layer.delay_ring.slots // 2)
            places = [Mux(slot[0], further, slot[1:]), slot[1:]]
            first, second = mask[:block], mask[block:]
            masks = [Mux(slot[0], second, first), Mux(slot[0], first, second)]
            own = [~front[0], front[0]]
            found = front[1:]
        reads, writes, repeated, words = [], [], [], []
        for number, (place, bits, owned) in enumerate(zip(places, masks, own, strict=True)):
            shape = layer.buffers[f"ring{number}"]
            m.submodules[f"ring_{number}"] = memory = Memory(
                shape=shape.width, depth=shape.depth, init=[]
            )
            write = memory.write_port()
            read = memory.read_port(transparent_for=(write,))
            wanted = item.fires & bits.any()
            event_place = Cat(item.address[lane_bits:][:word_bits], place)
            m.d.comb += [
                read.en.eq(Mux(reader.read, owned, wanted)),
                read.addr.eq(Mux(reader.read, Cat(reader.index[:word_bits], found), event_place)),
            ]
            setting = Signal(shape.width, name=f"setting_{number}")
            writing, leaving = Signal(name=f"writing_{number}"), Signal(name=f"leaving_{number}")
            written = Signal.like(read.addr, name=f"written_{number}")
            lanes = Cat(
                Mux(item.address[:lane_bits] == lane, bits, 0)
                for lane in range(layer.delay_ring.lanes)
            )
            m.d.sync += [
                setting.eq(Mux(reader.read, 0, lanes)),
                writing.eq(read.en),
                leaving.eq(reader.read),
                written.eq(read.addr),
            ]
            m.d.comb += [
                write.en.eq(writing | sweeping),
                write.addr.eq(Mux(sweeping, sweep, written)),
                write.data.eq(Mux(sweeping | leaving, 0, read.data | setting)),
            ]
            reads.append(read.en)
            writes.append(writing)
            repeated.append(writing & (read.data & setting).any())
            words.append(read.data)
        cleared = Mux(reader.sequence_ended, len(words) * layer.delay_ring.depth, 0)
        m.d.comb += [
            reader.word.as_value().eq(Mux(delay(m, front[0], 1, "odd"), words[-1], words[0])),
            self.ring_reads.eq(total(reads)),
            self.ring_writes.eq(total([cleared, *writes])),
        ]
        if layer.external:
            m.d.sync += self.errors.repeated.eq(Cat(*repeated).any())
        return swept


def _after(slot: Value, n_slots: int) -> Value:
    """Return the slot after `slot` in a ring."""
    return Mux(slot == n_slots - 1, 0, slot + 1)[: len(slot)]
