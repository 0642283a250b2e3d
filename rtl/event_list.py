"""The list of the distinct addresses of one block of timesteps, with the payloads of each."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from golden.hardware.memory import address_width
from golden.hardware.stages import READ_STAGE, RELEASE_LATENCY
from rtl.arrivals import Arrivals
from rtl.claims import claim, claim_apart
from rtl.component import NEVER_COLLIDES, Component
from rtl.fixed import delay, delay_rare, hold, one_hot, ones, shape_of, stages, total
from rtl.layouts import Part, walk_end_layout
from rtl.repeated import accept
from rtl.signatures import (
    Arrival,
    ArrivalPorts,
    InputErrorPorts,
    InputErrors,
    ListFront,
    ListFrontPorts,
    ListRead,
    ListReadPorts,
)
from rtl.streams import event_layout
from rtl.wide_list import store_several


class EventList(Component):
    """Collect the events of a block of timesteps while the block before it is walked.

    Nothing is dropped: the producer is stalled while all buffers are taken. The outside sends
    timesteps (`by_timesteps`): an event has the payload of one timestep, an address may come again
    in another timestep of the block, and an end of sequence closes the block that has begun. A
    layer and a delay line send blocks: each address once, with a bit for each timestep of the
    block; an end of block has such bits too.

    From outside, an address takes part once in a timestep. A repeated address, one out of range, an
    item of no kind, and events that an end of sequence leaves without an end of timestep are
    ignored and reported. A payload of 0 is no event. A report takes no buffer: it is kept beside
    the list that was closed last; a second one there waits.

    In a recurrent layer's list, the addresses after the inputs are the layer's own spikes, which
    come with every timestep (see `Recurrence`): an end of sequence drops them without a report.

    Parameters
    ----------
    part
        The layer or the readout whose list it is.

    Members
    -------
    i
        The event stream.
    arrival
        What enters the list in this cycle, `check_latency` cycles after its transfer. Where
        `fires`, the event is not `repeated`.
    first
        The event is the first one of its address in the block.
    closing_buffer, closing_fresh
        Where `arrival` closes a block: the buffer that holds it, and whether it is the first of its
        sequence.
    errors
        Of what comes from outside, with its transfer.
    front
        The list that is to be walked next. A buffer takes events `RELEASE_LATENCY` cycles after its
        release.
    read
        A read of the list that is walked.

    Latency: `close_latency` cycles from an end of block to `front.available`; throughput: one event
    a cycle. Two blocks end at least as many cycles apart as a block has timesteps.
    """

    i: stream.Interface
    arrival: ArrivalPorts
    first: Signal
    closing_buffer: Signal
    closing_fresh: Signal
    errors: InputErrorPorts
    front: ListFrontPorts
    read: ListReadPorts

    def __init__(self, part: Part) -> None:
        self.part = part
        n_addresses, block, n_lists = part.n_addresses, part.block, part.n_lists
        payload = shape_of(part.payload)
        received, items = payload if part.by_timesteps else block, part.received_items
        super().__init__(
            {
                "i": In(
                    stream.Signature(
                        event_layout(n_addresses, received, reports=part.reports, items=items)
                    )
                ),
                "arrival": Out(Arrival(n_addresses, payload, block, items)),
                "first": Out(items),
                "closing_buffer": Out(address_width(n_lists)),
                "closing_fresh": Out(1),
                "errors": Out(InputErrors(items)),
                "front": Out(ListFront(part)),
                "read": In(ListRead(part)),
            }
        )

    @property
    def latency(self) -> int:
        return self.part.close_latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        part, arrival = self.part, self.arrival
        n_addresses, block, n_lists = part.n_addresses, part.block, part.n_lists

        m.submodules.arrivals = arrivals = Arrivals(
            part.params.n_inputs,
            n_addresses,
            shape_of(part.payload) if part.by_timesteps else block,
            block,
            by_timesteps=part.by_timesteps,
            reports=part.reports,
            items=part.received_items,
        )
        wiring.connect(m, wiring.flipped(self.i), arrivals.i)
        arrived = arrivals.o

        taken = Signal(n_lists)  # buffers that are closed and not yet released
        filling = Signal(range(n_lists))
        count = Signal(range(n_addresses + 1))
        fresh = Signal(init=1)  # no block of the sequence is closed yet
        # Blocks close at least `block` cycles apart: their drives leave one a cycle.
        pause = Signal(range(block))
        with m.If(pause != 0):
            m.d.sync += pause.eq(pause - 1)
        ending = arrival.closed | arrival.discarded
        has_room = ~taken.bit_select(filling, 1)
        if part.check_latency:
            next_has_room = ~taken.bit_select(self._after(filling), 1)
            has_room = Mux(ending, next_has_room, has_room)
        m.d.comb += [
            arrivals.room.eq(has_room),
            arrivals.may_end.eq(pause == 0),
            self.closing_buffer.eq(filling),
            self.closing_fresh.eq(fresh),
            self.errors.out_of_range.eq(arrivals.errors.out_of_range),
            self.errors.unclosed.eq(arrivals.errors.unclosed),
        ]
        marks = [
            arrival.closed.eq(arrived.closed),
            arrival.discarded.eq(arrived.discarded),
        ]
        event = [
            arrival.address.eq(arrived.address),
            arrival.payload.eq(arrived.payload),
        ]
        timesteps = [
            arrival.timesteps.eq(arrived.timesteps),
            arrival.closing_timesteps.eq(arrived.closing_timesteps),
        ]
        if part.check_latency:  # only for blocks of one timestep, which `timesteps` always tells
            m.d.sync += marks
            hold(m, arrived.fires.any(), *event)
            m.d.comb += timesteps
        else:
            m.d.comb += [*event, *timesteps, *marks]
        first = accept(m, part, arrivals, arrival, self.errors)
        m.d.comb += self.first.eq(first)

        with m.If(self.first.any() if part.wide else self.first):
            m.d.sync += count.eq(count + (total(self.first) if part.wide else 1))
        with m.If(ending):
            m.d.sync += [
                count.eq(0),
                fresh.eq(arrival.discarded),
                pause.eq(block - 1),
                filling.eq(self._after(filling)),
                taken.bit_select(filling, 1).eq(1),
            ]
        front, walkable = self._front(m, ending, filling, count)
        if part.reports:
            self._report(m, arrivals, ending, filling, front)
        # A buffer takes events again when the last of its payloads has been read.
        cycles = RELEASE_LATENCY - 1
        freed, moving = delay_rare(m, self.front.release, cycles, "freed")
        freed_buffer = delay(m, front, cycles, "freed_buffer", moving=moving)
        with m.If(freed):
            m.d.sync += taken.bit_select(freed_buffer, 1).eq(0)
        enters = first.any() | ending
        claim(m, platform, "what arrives finds a free buffer",
              ~enters | ~taken.bit_select(filling, 1))  # fmt: skip
        claim(m, platform, "a list has room for its addresses", count + ones(first) <= n_addresses)
        claim(m, platform, "a buffer that is freed was taken",
              ~freed | taken.bit_select(freed_buffer, 1))  # fmt: skip
        claim(m, platform, "a list that is walked or released is closed",
              ~(self.front.release | self.read.enable) | walkable)  # fmt: skip
        # In a timestep alone, an event that comes again is written too, but not counted: the next
        # one overwrites it.
        once = arrived.fires & (count < n_addresses)
        if part.wide:
            store_several(m, platform, part, arrival, self.read, filling, front, count)
        else:
            self._store(m, platform, filling, front, count, once if block == 1 else self.first)
        return m

    def _after(self, buffer: Value) -> Value:
        """The buffer that follows one."""
        return Mux(buffer == self.part.n_lists - 1, 0, buffer + 1)[: len(buffer)]

    def _report(
        self, m: Module, arrivals: Arrivals, ending: Value, filling: Signal, front: Signal
    ) -> None:
        """Keep reports, which take no buffer: with the list that was closed last while it is not
        walked, else alone, as due.
        """
        n_lists, due, release = self.part.n_lists, self.front.report, self.front.release
        unwalked, reports = Signal(n_lists), Signal(n_lists)
        closed = Mux(filling == 0, n_lists - 1, filling - 1)[: len(filling)]
        behind = reports.bit_select(closed, 1)
        released = release & (front == closed)
        waits = unwalked.bit_select(closed, 1)
        may_report = ~behind & (waits | ~due)
        if self.part.check_latency:  # first enters what came before it
            may_report &= ~ending
        m.d.comb += arrivals.may_report.eq(may_report)
        with m.If(ending):
            m.d.sync += unwalked.bit_select(filling, 1).eq(1)
        with m.If(self.front.report_taken):
            m.d.sync += due.eq(0)
        with m.If(release):
            m.d.sync += [
                unwalked.bit_select(front, 1).eq(0),
                due.eq(reports.bit_select(front, 1)),
                reports.bit_select(front, 1).eq(0),
            ]
        with m.If(arrivals.reported & waits & ~released):
            m.d.sync += reports.bit_select(closed, 1).eq(1)
        with m.Elif(arrivals.reported):
            m.d.sync += due.eq(1)

    def _front(
        self, m: Module, ending: Value, filling: Signal, count: Signal
    ) -> tuple[Signal, Value]:
        """Keep what is known of each closed list, and show it of the list that is to be walked
        next; return the number of the buffer in front, and whether it may be walked.
        """
        part, front = self.part, self.front
        known = data.StructLayout(
            {
                "count": front.count.shape(),
                "plain_end": walk_end_layout(part),
                "refreshed_end": walk_end_layout(part),
                "length": part.block,
                "sequence_end": 1,
            }
        )
        closing = Signal(known)
        m.d.comb += [
            closing.count.eq(Mux(self.arrival.closed, count, 0)),
            closing.plain_end.eq(self._end(count, 0)),
            closing.refreshed_end.eq(self._end(count, part.dense_steps)),
            closing.length.eq(self.arrival.closing_timesteps),
            closing.sequence_end.eq(self.arrival.discarded),
        ]
        lists = Array(Signal(known.size, name=f"list_{b}") for b in range(part.n_lists))
        with m.If(ending):
            m.d.sync += lists[filling].eq(closing.as_value())
        waiting = Signal(part.n_lists)  # buffers that are closed and may be walked
        cycles = part.close_latency - part.check_latency - 1
        opened, moving = delay_rare(m, ending, cycles, "opened")
        opened_buffer = delay(m, filling, cycles, "opened_buffer", moving=moving)
        with m.If(opened):
            m.d.sync += waiting.bit_select(opened_buffer, 1).eq(1)
        number = Signal(range(part.n_lists))
        following = self._after(number)
        with m.If(front.release):
            m.d.sync += [number.eq(following), waiting.bit_select(number, 1).eq(0)]
        # Both candidates are read now: `release` arrives too late to address a read.
        here, behind, shown = (Signal(known, name=name) for name in ("here", "behind", "shown"))
        m.d.comb += [
            here.as_value().eq(lists[number]),
            behind.as_value().eq(lists[following]),
            shown.as_value().eq(Mux(front.release, behind.as_value(), here.as_value())),
            front.available.eq(Mux(front.release, front.behind.available, front.here.available)),
            front.buffer.eq(Mux(front.release, following, number)),
            front.count.eq(shown.count),
            front.plain_end.eq(shown.plain_end),
            front.refreshed_end.eq(shown.refreshed_end),
            front.length.eq(shown.length),
            front.sequence_end.eq(shown.sequence_end),
        ]
        for told, known_of, place in (
            (front.here, here, number),
            (front.behind, behind, following),
        ):
            m.d.comb += [
                told.available.eq(waiting.bit_select(place, 1)),
                told.length.eq(known_of.length),
                told.sequence_end.eq(known_of.sequence_end),
            ]
        return number, front.here.available

    def _end(self, count: Value, dense: int) -> Value:
        """Where a walk of `count` addresses and of `dense` steps of the dense path ends."""
        part = self.part
        n_events = part.hardware.events_per_cycle
        sparse = count if n_events == 1 else (count + (n_events - 1)) >> exact_log2(n_events)
        least = max(dense, part.output_steps)
        following = dense if part.shares_products else 0  # steps after those of the events
        longer = sparse > least - following
        last = Mux(longer, sparse - (1 - following), least - 1)
        width = address_width(part.max_steps)
        # Of as many bits as the layout has, whatever the widths of the counts.
        return Cat(Cat(last, Const(0, width))[:width], ~longer if least == 1 else Const(0, 1))

    def _store(
        self,
        m: Module,
        platform: object,
        filling: Signal,
        front: Signal,
        count: Signal,
        listing: Value,
    ) -> None:
        """The memories: addresses in the order of their first events, payloads by address."""
        part, arrival, asked = self.part, self.arrival, self.read
        n_events, block = part.hardware.events_per_cycle, part.block
        shape = part.buffers["list"]
        words = data.ArrayLayout(shape.element.width, n_events)
        m.submodules.addresses = addresses = Memory(
            shape=words, depth=shape.depth, init=[], attrs=NEVER_COLLIDES
        )
        write, read = addresses.write_port(granularity=1), addresses.read_port()
        word_bits = address_width(-(-part.n_addresses // n_events))
        bits = exact_log2(n_events)  # of the count, that say which event of a word
        place = count[bits:]
        m.d.comb += [
            write.en.eq(Mux(listing, one_hot(count[:bits]), 0)),
            write.addr.eq(Cat(Cat(place, Const(0, word_bits))[:word_bits], filling)),
            read.en.eq(asked.enable),
            read.addr.eq(Cat(Cat(asked.index, Const(0, word_bits))[:word_bits], front)),
        ]
        claim_apart(m, platform, "addresses", write, read)
        addressed = READ_STAGE - 1  # the stage at which the addresses are valid
        asks = stages(m, asked.enable, addressed, "walked")
        listed = delay(
            m, read.data, addressed - 1, "walked_addresses", reset_less=True, moving=asks[1:]
        )
        m.d.comb += asked.addresses.eq(listed)
        for event in range(n_events):
            m.d.comb += write.data[event].eq(arrival.address)
        if not part.has_payloads:
            m.d.comb += asked.payloads.as_value().eq(~0)
            return
        # The first event of an address clears the payloads of the block's other timesteps.
        fronted = delay(m, front, addressed, "fronted")
        for event in range(n_events):
            shape = part.buffers[f"payloads{event}"]
            memory = Memory(
                shape=data.ArrayLayout(shape_of(shape.element), block),
                depth=shape.depth,
                init=[],
                attrs=NEVER_COLLIDES,
            )
            m.submodules[f"payloads_{event}"] = memory
            write, read = memory.write_port(granularity=1), memory.read_port()
            written = Mux(self.first, ~0, Mux(arrival.fires, arrival.timesteps, 0))
            m.d.comb += [
                write.en.eq(written),
                write.addr.eq(Cat(arrival.address, filling)),
                read.en.eq(asks[addressed]),
                read.addr.eq(Cat(asked.addresses[event], fronted)),
                asked.payloads[event].eq(read.data),
            ]
            claim_apart(m, platform, f"payloads_{event}", write, read)
            for index in range(block):
                m.d.comb += write.data[index].eq(Mux(arrival.timesteps[index], arrival.payload, 0))
