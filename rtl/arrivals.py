"""What the items of an event stream do to the block of timesteps that is being collected."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from golden.hardware.part import EventKind
from rtl.component import Component
from rtl.fixed import total
from rtl.signatures import Arrival, ArrivalPorts, InputErrorPorts, InputErrors
from rtl.streams import event_layout


class Arrivals(Component):
    """Take items while its owner has room for them; tell in the same cycle what each of them does.

    The stream has one of two forms. By timesteps (from outside), an event has the payload of one
    timestep. An end of sequence closes the block that has begun, and passes after that: it is taken
    with the block, and nothing more until it has passed.
    By blocks (from a layer or a delay line), an event has a bit for each timestep of its block, and
    so has an end of block. Several events may come at once by blocks, or by timesteps if those are
    blocks of one.

    By timesteps, out-of-range addresses, items of no kind, and events that an end of sequence
    leaves without an end of timestep are reported. A payload of 0 is no event.

    Parameters
    ----------
    n_inputs
        Addresses of events from outside. Those that follow are a recurrent layer's own spikes: that
        an end of sequence voids them is no error.
    n_addresses, payload
        Of the stream's layout.
    block
        Timesteps of a block.
    by_timesteps
        Which of the two forms the stream has.
    items
        Events that may come at once.
    reports
        The stream may ask for results. A report closes the block that has begun, and passes
        after that; within a timestep, it is ignored and reported as unclosed.

    Members
    -------
    i
        The event stream.
    room, may_end
        An item may be taken in this cycle; also one that ends a block or a sequence.
    o
        What the item does that is taken in this cycle.
    timestep_ended
        The end of a timestep (or block) is taken.
    may_report, reported
        With `reports`: a report may be taken in this cycle; it is.
    errors
        Of what comes from outside; `repeated` is its owner's.

    Latency: 0 cycles; throughput: one item a cycle.
    """

    i: stream.Interface
    room: Signal
    may_end: Signal
    o: ArrivalPorts
    timestep_ended: Signal
    may_report: Signal
    reported: Signal
    errors: InputErrorPorts

    def __init__(
        self,
        n_inputs: int,
        n_addresses: int,
        payload: ShapeLike,
        block: int,
        *,
        by_timesteps: bool,
        reports: bool = False,
        items: int = 1,
    ) -> None:
        self.n_inputs, self.n_addresses = n_inputs, n_addresses
        self.block, self.by_timesteps, self.reports = block, by_timesteps, reports
        self.items, self.graded = items, Shape.cast(payload).width > 1
        told = payload if by_timesteps else 1
        members = {
            "i": In(
                stream.Signature(event_layout(n_addresses, payload, reports=reports, items=items))
            ),
            "room": In(1),
            "may_end": In(1),
            "o": Out(Arrival(n_addresses, told, block, items)),
            "timestep_ended": Out(1),
            "errors": Out(InputErrors(items)),
        }
        if reports:
            members |= {"may_report": In(1), "reported": Out(1)}
        super().__init__(members)

    @property
    def latency(self) -> int:
        return 0

    def elaborate(self, platform: object) -> Module:
        m = Module()
        item, o, block = self.i.payload, self.o, self.block
        is_end = item.kind == EventKind.END_TIMESTEP
        is_sequence_end = item.kind == EventKind.END_SEQUENCE
        transfer = self.i.valid & self.i.ready
        payloads = [item.payload] if self.items == 1 else list(item.payload)
        addresses = [item.address] if self.items == 1 else list(item.address)
        events = [
            transfer & (item.kind == EventKind.EVENT) & (payload != 0) for payload in payloads
        ]
        m.d.comb += [
            o.address.eq(item.address),
            self.timestep_ended.eq(transfer & is_end),
        ]
        if block == 1 or not self.by_timesteps:
            m.d.comb += o.discarded.eq(transfer & is_sequence_end)
        is_report = item.kind == EventKind.REPORT if self.reports else Const(0)
        if not self.by_timesteps:
            ends = item.kind != EventKind.EVENT
            ready = self.room & (self.may_end | ~ends)
            if self.reports:
                ready = Mux(is_report, self.may_report, ready)
                m.d.comb += self.reported.eq(transfer & is_report)
            m.d.comb += [
                self.i.ready.eq(ready),
                o.fires.eq(Cat(*events)),
                o.payload.eq(1),
                o.timesteps.eq(item.payload),
                o.closed.eq(self.timestep_ended),
                o.closing_timesteps.eq(payloads[0]),
            ]
            return m

        # The timestep of the block that is being filled.
        timestep = Signal(block, init=1)
        before = (timestep - 1)[:block]  # a bit for each one that has ended
        full = is_end & timestep[-1]
        begun = before.any() if block > 1 else Const(0)
        in_range = [address < self.n_addresses for address in addresses]
        any_event = Signal()  # since the last end of timestep
        closes: Value = is_sequence_end  # first, the block that has begun
        invalid = transfer & (item.kind == EventKind.INVALID)
        told: Value = Const(0)
        if self.reports:
            told = is_report & ~any_event
            closes = is_sequence_end | (told & begun)
            invalid = transfer & (item.kind > EventKind.END_SEQUENCE) & ~is_report
        may_take = self.room & (self.may_end | ~(full | closes))
        if self.reports:
            may_take = Mux(told & ~begun, self.may_report, may_take)
        # What closes a block that has begun is taken with it, and passes after the block.
        partial: Value = Const(0)
        waits: Value = Const(0)
        if block > 1:
            partial = transfer & closes & begun
            ends = Signal()  # a sequence
            waits = ends
            m.d.comb += o.discarded.eq(
                Mux(ends, self.room & self.may_end, transfer & is_sequence_end & ~begun)
            )
            with m.If(partial & is_sequence_end):
                m.d.sync += ends.eq(1)
            with m.If(o.discarded):
                m.d.sync += ends.eq(0)
        unclosed = o.discarded & any_event
        if self.reports:
            unclosed = (o.discarded | (transfer & is_report)) & any_event
            reported = transfer & told
            if block > 1:
                reporting = Signal()
                waits |= reporting
                reported = Mux(reporting, self.may_report, transfer & told & ~begun)
                with m.If(partial & told):
                    m.d.sync += reporting.eq(1)
                with m.If(reported):
                    m.d.sync += reporting.eq(0)
            m.d.comb += self.reported.eq(reported)
        m.d.comb += [
            self.i.ready.eq(may_take & ~waits),
            o.fires.eq(Cat(event & right for event, right in zip(events, in_range, strict=True))),
            o.payload.eq(item.payload if self.items == 1 or self.graded else 1),
            o.timesteps.eq(timestep if self.items == 1 else Cat(timestep for _ in events)),
            o.closed.eq((transfer & full) | partial),
            o.closing_timesteps.eq(before | Mux(partial, 0, timestep)),
            self.errors.out_of_range.eq(
                total(event & ~right for event, right in zip(events, in_range, strict=True))
                | invalid
            ),
            self.errors.unclosed.eq(unclosed),
        ]
        with m.If(self.timestep_ended):
            m.d.sync += timestep.eq(timestep.rotate_left(1))
        with m.If(o.closed | o.discarded):
            m.d.sync += timestep.eq(1)
        of_inputs = o.fires.any() if self.items > 1 else o.fires & (item.address < self.n_inputs)
        with m.If(of_inputs):
            m.d.sync += any_event.eq(1)
        with m.If(self.timestep_ended | o.discarded):
            m.d.sync += any_event.eq(0)
        return m
