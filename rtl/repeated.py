"""Which events of a list count: not those whose address comes again in its timestep. And which are
the first of their address in the block.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from rtl.arrivals import Arrivals
from rtl.fixed import hold, total
from rtl.layouts import Part
from rtl.signatures import ArrivalPorts, InputErrorPorts


def accept(
    m: Module, part: Part, arrivals: Arrivals, arrival: ArrivalPorts, errors: InputErrorPorts
) -> Value:
    """Let `arrival.fires` tell the events that count, and `errors.repeated` the others; return
    those that are the first ones of their address in the block.

    Of an address that comes twice at once, the lowest event counts.
    """
    if part.wide:
        _accept_several(m, part, arrivals, arrival, errors)
        return arrival.fires
    n_inputs, n_addresses = part.params.n_inputs, part.n_addresses
    m.d.comb += arrival.fires.eq(arrivals.o.fires & ~errors.repeated)
    new: Value = Const(1)
    if part.by_timesteps:
        seen = Signal(n_inputs)  # in this timestep; own spikes never come twice
        own = arrival.address >= n_inputs if n_addresses > n_inputs else Const(0)
        again = seen.bit_select(arrival.address, 1)
        m.d.comb += errors.repeated.eq(arrivals.o.fires & ~own & again)
        here = [(Const(1), arrival.address)]
        _mark(m, seen, here, arrival.fires & ~own, _ends(arrivals))
        if part.block > 1:
            seen_in_block = Signal(n_addresses)
            new = ~seen_in_block.bit_select(arrival.address, 1)
            ends = arrival.closed | arrival.discarded
            _mark(m, seen_in_block, here, arrival.fires, ends)
    return arrival.fires & new


def _accept_several(
    m: Module, part: Part, arrivals: Arrivals, arrival: ArrivalPorts, errors: InputErrorPorts
) -> None:
    if not part.by_timesteps:
        m.d.comb += arrival.fires.eq(arrivals.o.fires)
        return
    seen = Signal(part.n_addresses)  # in this timestep
    again = Signal(part.received_items)
    come = [(arrivals.o.fires[n], of[1]) for n, of in enumerate(arrivals.o.each())]
    for n, (fires, address) in enumerate(come):
        with_lower = Cat(lower & (address == other) for lower, other in come[:n]).any()
        m.d.comb += again[n].eq(fires & (seen.bit_select(address, 1) | with_lower))
    m.d.comb += errors.repeated.eq(total(again))
    m.d.sync += arrival.fires.eq(arrivals.o.fires & ~again)
    # Also those that come again: they are marked already, and `again` is known late in the cycle.
    _mark(m, seen, come, arrivals.o.fires.any(), _ends(arrivals))


def _ends(arrivals: Arrivals) -> Value:
    """Whether a timestep is over."""
    return arrivals.timestep_ended | arrivals.o.closed | arrivals.o.discarded


def _mark(
    m: Module, marks: Signal, come: Sequence[tuple[Value, Value]], fires: Value, ends: Value
) -> None:
    """Set the marks of those addresses that come; where it `ends`, clear all. One enable for all of
    them, so that one clock gate can hold them.
    """
    here = [(of << address)[: len(marks)] for of, address in come]
    hold(m, fires | ends, marks.eq(Mux(ends, 0, marks | reduce(or_, here))))
