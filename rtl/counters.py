"""Counters that a user can read, and the sticky error flags."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.hardware.counters import COUNTER_WIDTH, counter_bits
from rtl.component import Component
from rtl.fixed import delay

LOW_BITS = 8  # of a counter, or as many as what is added has


class Counters(Component):
    """Count, and keep a flag for every counter that counts an error.

    Counters wrap around. A flag stays set until it is cleared. What is counted passes a register
    first, so that no adder lies after the logic of another component.

    Parameters
    ----------
    widths
        Of what is told in a cycle, by name; `layer0.spikes` is the member `layer0_spikes` of
        `increments`.
    names, flags
        Of the counters, in the order of their numbers; of the flags, lowest bit first.

    Members
    -------
    increments
        What is told in this cycle: what a counter adds; a flag is set unless it is 0.
    select, value
        The number of a counter, and in the next cycle what its value was in this one; 0 for a
        number that no counter has.
    clear
        Set every counter and flag to 0, a cycle later. What is counted then is lost.
    clear_errors
        Set the flags to 0 whose bits are 1, but for those of errors that come in that cycle.
    errors
        The flags of the error counters, in order.

    Latency: 2 cycles from an increment to `errors`, 3 to `value`; 1 from `select` to `value`.
    """

    increments: wiring.PureInterface
    select: Signal
    value: Signal
    clear: Signal
    clear_errors: Signal
    errors: Signal

    def __init__(self, widths: dict[str, int], names: list[str], flags: list[str]) -> None:
        self.widths, self.names, self.flags = widths, names, flags
        increments = {member_of(name): Out(width) for name, width in widths.items()}
        super().__init__(
            {
                "increments": In(wiring.Signature(increments)),
                "select": In(counter_bits(len(names))),
                "value": Out(COUNTER_WIDTH),
                "clear": In(1),
                "clear_errors": In(len(flags)),
                "errors": Out(len(flags)),
            }
        )

    @property
    def latency(self) -> int:
        return 2

    def increment(self, name: str) -> Signal:
        """Return the port of what a counter adds."""
        return getattr(self.increments, member_of(name))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        values, pending = [], []
        for name in self.widths:
            increment = delay(m, self.increment(name), 1, f"{member_of(name)}_added")
            pending.append(increment)
            if name in self.flags:
                place = self.flags.index(name)
                flag = self.errors[place]
                with m.If(self.clear_errors[place]):
                    m.d.sync += flag.eq(0)
                with m.If(increment != 0):
                    m.d.sync += flag.eq(1)
            if name not in self.names:
                continue
            value = Signal(COUNTER_WIDTH, name=member_of(name))
            # The high bits need a clock only where the low ones overflow.
            low_bits = max(LOW_BITS, len(increment))
            low, high = value[:low_bits], value[low_bits:]
            counted = Signal(low_bits + 1, name=f"{member_of(name)}_counted")
            m.d.comb += counted.eq(low + increment)
            with m.If(increment != 0):
                m.d.sync += low.eq(counted)
            with m.If(counted[-1]):
                m.d.sync += high.eq(high + 1)
            values.append(value)
        clear = Signal(name="clears")  # a register, as it reaches so many
        m.d.sync += clear.eq(self.clear)
        with m.If(clear):
            m.d.sync += [*(value.eq(0) for value in (*values, *pending)), self.errors.eq(0)]
        if not values:
            return m
        m.d.sync += self.value.eq(0)
        with m.If(self.select < len(values)):
            m.d.sync += self.value.eq(Array(values)[self.select])
        return m


def member_of(name: str) -> str:
    """Return the name of a counter's member of a signature."""
    return name.replace(".", "_")
