"""The list of the distinct addresses of one block of timesteps, with the payloads of each."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.hardware.layer import LayerHardware
from golden.hardware.memory import address_width
from golden.hardware.readout import ReadoutHardware
from golden.hardware.stages import READ_STAGE, RELEASE_LATENCY
from rtl.arrivals import Arrivals
from rtl.component import NEVER_COLLIDES, Component
from rtl.fixed import delay
from rtl.streams import event_layout, walk_end_layout


class EventList(Component):
    """Collect the events of a block of timesteps while the block before it is walked.

    Nothing is dropped: the producer is stalled while all buffers are taken. From outside come
    timesteps (`by_timesteps`): an event has the payload of one, an address may come again in
    another timestep of the block, and an end of sequence closes the block that it finds begun. A
    layer, and a delay line, sends blocks: an address comes once, its payload has a bit a timestep,
    and so has an end of block.

    From outside, an address takes part once in a timestep; a repeated or out-of-range one (or an
    item of no kind), and events that an end of sequence leaves without an end of timestep, are
    ignored and reported. A payload of 0 is no event.

    In a recurrent layer's list, addresses behind the inputs are of the layer's own spikes, which
    come with every timestep (see `Recurrence`): an end of sequence drops them without a report.

    Parameters
    ----------
    part
        The layer or the readout whose list it is.

    Members
    -------
    i
        The event stream.
    accepted, address, payload, timesteps
        An event enters the list in this cycle, with one payload for each of these timesteps (for
        the drive).
    first_accepted
        It is the first one of its address in the block.
    closed
        A block ends in this cycle; `closing_buffer` is the buffer that holds it,
        `closing_timesteps` has a bit for each timestep that it has, `closing_fresh`: it is the
        first of its sequence.
    discarded
        A sequence ends in this cycle: events since the last timestep are void.
    out_of_range, repeated, unclosed
        Strobes of the errors.
    available, count, length, sequence_end, buffer
        A closed list waits to be walked, its addresses, its timesteps (a bit each), whether it is
        the end of a sequence instead, and its buffer. They look past a list that is being released
        in this cycle.
    plain_end, refreshed_end
        Where the walk of a group ends in that list, without and with a refresh (`walk_end_layout`).
    release
        The list in front is read for the last time: its buffer takes events `RELEASE_LATENCY`
        cycles later.
    read, index
        Read word `index` of the list in front: its `walked_address` are there `READ_STAGE - 1`
        cycles later, one for each event of a cycle, their `walked_payload` the cycle after that.

    Latency: `close_latency` cycles from an end of block to `available`; throughput: one event a
    cycle. Two blocks end at least as many cycles apart as a block has timesteps.
    """

    def __init__(self, part: LayerHardware | ReadoutHardware) -> None:
        self.part = part
        n_addresses, block, n_lists = part.n_addresses, part.block, part.n_lists
        n_events, width = part.hardware.events_per_cycle, part.payload.width
        super().__init__(
            {
                "i": In(
                    stream.Signature(
                        event_layout(n_addresses, width if part.by_timesteps else block)
                    )
                ),
                "accepted": Out(1),
                "first_accepted": Out(1),
                "address": Out(address_width(n_addresses)),
                "payload": Out(width),
                "timesteps": Out(block),
                "closed": Out(1),
                "closing_buffer": Out(address_width(n_lists)),
                "closing_timesteps": Out(block),
                "closing_fresh": Out(1),
                "discarded": Out(1),
                "out_of_range": Out(1),
                "repeated": Out(1),
                "unclosed": Out(1),
                "available": Out(1),
                "count": Out(range(n_addresses + 1)),
                "plain_end": Out(walk_end_layout(part)),
                "refreshed_end": Out(walk_end_layout(part)),
                "length": Out(block),
                "sequence_end": Out(1),
                "buffer": Out(address_width(n_lists)),
                "release": In(1),
                "read": In(1),
                "index": In(address_width(part.max_steps)),
                "walked_address": Out(n_events * address_width(n_addresses)),
                "walked_payload": Out(n_events * block * width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n_addresses, block, n_lists = self.part.n_addresses, self.part.block, self.part.n_lists
        n_inputs = self.part.params.n_inputs

        taken = Signal(n_lists)  # buffers that are closed and not yet released
        waiting = Signal(n_lists)  # buffers that are closed and may be walked
        filling = Signal(range(n_lists))
        front = Signal(range(n_lists))
        counts = Array(Signal(range(n_addresses + 1), name=f"count_{b}") for b in range(n_lists))
        width = walk_end_layout(self.part).size
        plain_ends = Array(Signal(width, name=f"plain_end_{b}") for b in range(n_lists))
        refreshed_ends = Array(Signal(width, name=f"refreshed_end_{b}") for b in range(n_lists))
        lengths = Array(Signal(block, name=f"length_{b}") for b in range(n_lists))
        ends = Array(Signal(name=f"sequence_end_{b}") for b in range(n_lists))
        count = Signal(range(n_addresses + 1))
        fresh = Signal(init=1)  # no block of the sequence is closed yet

        # Blocks close at least `block` cycles apart: their drives leave one a cycle.
        pause = Signal(range(block))
        with m.If(pause != 0):
            m.d.sync += pause.eq(pause - 1)
        m.submodules.arrivals = arrivals = Arrivals(
            n_inputs,
            n_addresses,
            len(self.i.payload.payload),
            block,
            by_timesteps=self.part.by_timesteps,
        )
        wiring.connect(m, wiring.flipped(self.i), arrivals.i)
        m.d.comb += [
            arrivals.room.eq(~taken.bit_select(filling, 1)),
            arrivals.may_end.eq(pause == 0),
            self.closing_buffer.eq(filling),
            self.closing_fresh.eq(fresh),
            self.accepted.eq(arrivals.fires & ~self.repeated),
        ]
        for name in (
            "address", "payload", "timesteps", "closed", "closing_timesteps", "discarded",
            "out_of_range", "unclosed",
        ):  # fmt: skip
            m.d.comb += getattr(self, name).eq(getattr(arrivals, name))
        first = 1
        if self.part.by_timesteps:
            seen = Signal(n_inputs)  # in this timestep; own spikes never come twice
            own = self.address >= n_inputs if n_addresses > n_inputs else Const(0)
            m.d.comb += self.repeated.eq(arrivals.fires & ~own & seen.bit_select(self.address, 1))
            with m.If(self.accepted & ~own):
                m.d.sync += seen.bit_select(self.address, 1).eq(1)
            with m.If(arrivals.timestep_ended | self.closed | self.discarded):
                m.d.sync += seen.eq(0)
            if block > 1:
                seen_block = Signal(n_addresses)
                first = ~seen_block.bit_select(self.address, 1)
                with m.If(self.accepted):
                    m.d.sync += seen_block.bit_select(self.address, 1).eq(1)
                with m.If(self.closed | self.discarded):
                    m.d.sync += seen_block.eq(0)
        m.d.comb += self.first_accepted.eq(self.accepted & first)

        def after(buffer: Value) -> Value:
            return Mux(buffer == n_lists - 1, 0, buffer + 1)[: len(buffer)]

        with m.If(self.first_accepted):
            m.d.sync += count.eq(count + 1)
        ending = self.closed | self.discarded
        with m.If(ending):
            m.d.sync += [
                count.eq(0),
                fresh.eq(self.discarded),
                pause.eq(block - 1),
                filling.eq(after(filling)),
                taken.bit_select(filling, 1).eq(1),
                counts[filling].eq(Mux(self.closed, count, 0)),
                plain_ends[filling].eq(self._end(count, self.part.output_steps)),
                refreshed_ends[filling].eq(
                    self._end(count, max(self.part.dense_steps, self.part.output_steps))
                ),
                lengths[filling].eq(self.closing_timesteps),
                ends[filling].eq(self.discarded),
            ]
        opened = delay(m, Cat(ending, filling), self.part.close_latency - 1, "opened")
        with m.If(opened[0]):
            m.d.sync += waiting.bit_select(opened[1:], 1).eq(1)
        with m.If(self.release):
            m.d.sync += [front.eq(after(front)), waiting.bit_select(front, 1).eq(0)]
        # A buffer takes events again when the last of its payloads has been read.
        freed = delay(m, Cat(self.release, front), RELEASE_LATENCY - 1, "freed")
        with m.If(freed[0]):
            m.d.sync += taken.bit_select(freed[1:], 1).eq(0)
        # Both are looked up before it is known which one it will be.
        behind = after(front)
        m.d.comb += [
            self.buffer.eq(Mux(self.release, behind, front)),
            self.available.eq(
                Mux(self.release, waiting.bit_select(behind, 1), waiting.bit_select(front, 1))
            ),
            self.count.eq(Mux(self.release, counts[behind], counts[front])),
            self.length.eq(Mux(self.release, lengths[behind], lengths[front])),
            self.sequence_end.eq(Mux(self.release, ends[behind], ends[front])),
        ]
        for port, values in (
            (self.plain_end, plain_ends), (self.refreshed_end, refreshed_ends),
        ):  # fmt: skip
            m.d.comb += port.as_value().eq(Mux(self.release, values[behind], values[front]))
        # In a timestep alone, an event that comes again is written too, but not counted: the next
        # one overwrites it.
        once = arrivals.fires & (count < n_addresses)
        self._store(m, filling, front, count, once if block == 1 else self.first_accepted)
        return m

    def _end(self, count: Value, least: int) -> Value:
        """Where a walk of `count` addresses ends whose other paths take `least` steps."""
        sparse = count if self.part.hardware.events_per_cycle == 1 else (count + 1) >> 1
        longer = sparse > least
        last = Mux(longer, sparse - 1, least - 1)
        bits = address_width(self.part.max_steps)
        # Of as many bits as the layout has, whatever the widths of the counts.
        return Cat(Cat(last, Const(0, bits))[:bits], ~longer if least == 1 else Const(0, 1))

    def _store(
        self, m: Module, filling: Signal, front: Signal, count: Signal, listing: Value
    ) -> None:
        """The memories: addresses in the order of their first events, payloads by address."""
        part = self.part
        n_events, block, width = part.hardware.events_per_cycle, part.block, part.payload.width
        shape = part.buffers["list"]
        words = data.ArrayLayout(shape.element.width, n_events)
        m.submodules.addresses = addresses = Memory(
            shape=words, depth=shape.depth, init=[], attrs=NEVER_COLLIDES
        )
        write, read = addresses.write_port(granularity=1), addresses.read_port()
        word_bits = address_width(-(-part.n_addresses // n_events))
        place = count if n_events == 1 else count[1:]
        lane = 1 if n_events == 1 else Cat(~count[0], count[0])
        m.d.comb += [
            write.en.eq(Mux(listing, lane, 0)),
            write.addr.eq(Cat(Cat(place, Const(0, word_bits))[:word_bits], filling)),
            read.en.eq(self.read),
            read.addr.eq(Cat(Cat(self.index, Const(0, word_bits))[:word_bits], front)),
        ]
        addressed = READ_STAGE - 1  # the stage at which the addresses are there
        walked_address = delay(m, read.data.as_value(), addressed - 1, "walked_address")
        m.d.comb += self.walked_address.eq(walked_address)
        for event in range(n_events):
            m.d.comb += write.data[event].eq(self.address)
        if not part.has_payloads:
            m.d.comb += self.walked_payload.eq(~0)
            return
        address_bits = address_width(part.n_addresses)
        # The first event of an address clears the payloads of the block's other timesteps.
        fronted = delay(m, front, addressed, "fronted")
        walked = delay(m, self.read, addressed, "walked")
        for event in range(n_events):
            shape = part.buffers[f"payloads{event}"]
            memory = Memory(
                shape=data.ArrayLayout(shape.element.width, block),
                depth=shape.depth,
                init=[],
                attrs=NEVER_COLLIDES,
            )
            m.submodules[f"payloads_{event}"] = memory
            write, read = memory.write_port(granularity=1), memory.read_port()
            m.d.comb += [
                write.en.eq(Mux(self.first_accepted, ~0, Mux(self.accepted, self.timesteps, 0))),
                write.addr.eq(Cat(self.address, filling)),
                read.en.eq(walked),
                read.addr.eq(Cat(self.walked_address.word_select(event, address_bits), fronted)),
                self.walked_payload.word_select(event, block * width).eq(read.data.as_value()),
            ]
            for index in range(block):
                m.d.comb += write.data[index].eq(Mux(self.timesteps[index], self.payload, 0))
