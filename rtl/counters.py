"""Counters that a user can read, and the sticky error flags."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.hardware.counters import COUNTER_WIDTH, ERROR_COUNTERS
from golden.hardware.memory import address_width
from rtl.component import Component
from rtl.fixed import delay


class Counters(Component):
    """Count, and keep a flag for every counter that counts an error.

    Counters wrap around. A flag stays set until it is cleared.

    Parameters
    ----------
    names
        Of the counters, in the order of their numbers.
    widths
        Of what each adds in a cycle.

    Members
    -------
    increments
        What each counter adds in this cycle, in order of the names (`c0`, `c1`, ...).
    select, value
        The value of counter `select` in this cycle, the cycle after; 0 for a number that no counter
        has.
    clear
        Set every counter and flag to 0 (what is counted in that cycle is lost).
    errors
        The flags of the error counters, in order.

    Latency: 2 cycles from an increment to `errors`, 3 to `value`; 1 from `select` to `value`. What
    is counted comes through a register, so that no adder lies behind the logic of another part.
    """

    def __init__(self, names: list[str], widths: list[int]) -> None:
        self.names = names
        self.error_names = [name for name in names if name.split(".")[-1] in ERROR_COUNTERS]
        super().__init__(
            {
                "increments": In(
                    wiring.Signature({f"c{i}": Out(width) for i, width in enumerate(widths)})
                ),
                "select": In(address_width(len(names))),
                "value": Out(COUNTER_WIDTH),
                "clear": In(1),
                "errors": Out(len(self.error_names)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        values, pending = [], []
        for number, name in enumerate(self.names):
            increment = delay(m, getattr(self.increments, f"c{number}"), 1, f"added_{number}")
            pending.append(increment)
            value = Signal(COUNTER_WIDTH, name=name.replace(".", "_"))
            m.d.sync += value.eq(value + increment)
            values.append(value)
            if name in self.error_names:
                flag = self.errors[self.error_names.index(name)]
                with m.If(increment != 0):
                    m.d.sync += flag.eq(1)
        with m.If(self.clear):
            m.d.sync += [*(value.eq(0) for value in (*values, *pending)), self.errors.eq(0)]
        m.d.sync += self.value.eq(0)
        with m.If(self.select < len(values)):
            m.d.sync += self.value.eq(Array(values)[self.select])
        return m
