"""What the items of an event stream do to the block of timesteps that is being collected."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from golden.hardware.memory import address_width
from golden.hardware.part import EventKind
from rtl.component import Component
from rtl.streams import event_layout


class Arrivals(Component):
    """Take items as its owner has room for them; tell in the same cycle what each of them does.

    By timesteps (from outside) an event has the payload of one timestep, and an end of sequence
    closes the block that it finds begun before it is taken itself. Else (from a layer) an event has
    a bit for each timestep of its block, and so has an end of block.

    By timesteps, out-of-range addresses, items of no kind, and events that an end of sequence
    leaves without an end of timestep are reported. A payload of 0 is no event.

    Parameters
    ----------
    n_inputs
        Addresses of events from outside; those behind them are a recurrent layer's own spikes,
        which are not missed where an end of sequence voids them.
    n_addresses, payload_width
        Of the stream's layout.
    block
        Timesteps of a block.
    by_timesteps
        Which of the two forms the stream has.

    Members
    -------
    i
        The event stream.
    room, may_end
        An item may be taken in this cycle; also one that ends a block or a sequence.
    fires, address, payload, timesteps
        An event is taken that counts, with one payload for each of these timesteps.
    timestep_ended
        A timestep's (or block's) end is taken.
    closed, closing_timesteps
        A block ends in this cycle; a bit for each timestep that it has.
    discarded
        A sequence ends in this cycle: events since the last timestep are void.
    out_of_range, unclosed
        Strobes of the errors.

    Latency: none; throughput: one item a cycle.
    """

    def __init__(
        self,
        n_inputs: int,
        n_addresses: int,
        payload_width: int,
        block: int,
        *,
        by_timesteps: bool,
    ) -> None:
        self.n_inputs, self.n_addresses = n_inputs, n_addresses
        self.block, self.by_timesteps = block, by_timesteps
        super().__init__(
            {
                "i": In(stream.Signature(event_layout(n_addresses, payload_width))),
                "room": In(1),
                "may_end": In(1),
                "fires": Out(1),
                "address": Out(address_width(n_addresses)),
                "payload": Out(payload_width if by_timesteps else 1),
                "timesteps": Out(block),
                "timestep_ended": Out(1),
                "closed": Out(1),
                "closing_timesteps": Out(block),
                "discarded": Out(1),
                "out_of_range": Out(1),
                "unclosed": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        item, block = self.i.payload, self.block
        is_end = item.kind == EventKind.END_TIMESTEP
        is_sequence_end = item.kind == EventKind.END_SEQUENCE
        transfer = self.i.valid & self.i.ready
        event = transfer & (item.kind == EventKind.EVENT) & (item.payload != 0)
        m.d.comb += [
            self.address.eq(item.address),
            self.timestep_ended.eq(transfer & is_end),
            self.discarded.eq(transfer & is_sequence_end),
        ]
        if not self.by_timesteps:
            ends = item.kind != EventKind.EVENT
            m.d.comb += [
                self.i.ready.eq(self.room & (self.may_end | ~ends)),
                self.fires.eq(event),
                self.payload.eq(1),
                self.timesteps.eq(item.payload),
                self.closed.eq(self.timestep_ended),
                self.closing_timesteps.eq(item.payload),
            ]
            return m

        # The timestep of the block that is being filled.
        timestep = Signal(block, init=1)
        before = (timestep - 1)[:block]  # a bit for each one that has ended
        full = is_end & timestep[-1]
        begun = before.any() if block > 1 else False
        may_take = self.room & (self.may_end | ~(full | is_sequence_end))
        partial = self.i.valid & is_sequence_end & begun & may_take
        in_range = item.address < self.n_addresses
        any_event = Signal()  # since the last end of timestep
        m.d.comb += [
            self.i.ready.eq(may_take & ~partial),
            self.fires.eq(event & in_range),
            self.payload.eq(item.payload),
            self.timesteps.eq(timestep),
            self.closed.eq((transfer & full) | partial),
            self.closing_timesteps.eq(before | Mux(partial, 0, timestep)),
            self.out_of_range.eq(
                (event & ~in_range) | (transfer & (item.kind == EventKind.INVALID))
            ),
            self.unclosed.eq(self.discarded & any_event),
        ]
        with m.If(self.timestep_ended):
            m.d.sync += timestep.eq(timestep.rotate_left(1))
        with m.If(self.closed | self.discarded):
            m.d.sync += timestep.eq(1)
        with m.If(self.fires & (item.address < self.n_inputs)):
            m.d.sync += any_event.eq(1)
        with m.If(self.timestep_ended | self.discarded):
            m.d.sync += any_event.eq(0)
        return m
