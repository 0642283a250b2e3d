"""The only places where a number gets narrower: `align` (a rounding shift) and `saturate`. Sums,
and registers in a row.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed

from golden.formats import Fixed

LANES_A_COPY = 8  # lanes that share a register of what goes to all of them


def shape_of(fmt: Fixed) -> Shape:
    """Return the Amaranth shape of a format."""
    return Shape(fmt.width, signed=fmt.signed)


def align(value: Value, shift: int) -> Value:
    """Divide a signed value by 2**shift, rounding half up; a negative shift multiplies. No bit is
    lost on top.
    """
    if not value.shape().signed:
        raise TypeError("align needs a signed value")
    if shift <= 0:
        return Cat(Const(0, -shift), value).as_signed() if shift else value
    return (value + Const(1 << (shift - 1), signed(shift + 1))).shift_right(shift)


def saturate(value: Value, fmt: Fixed) -> tuple[Value, Value]:
    """Return a signed value clamped to a signed format, and whether it had to be."""
    if not value.shape().signed or not fmt.signed:
        raise TypeError("saturate needs a signed value and a signed format")
    width = len(value)
    if width <= fmt.width:
        return value, Const(0)
    top = value[fmt.width - 1 :]
    outside = top.any() & ~top.all()
    clamped = Mux(outside, Mux(value[-1], fmt.min, fmt.max), value[: fmt.width].as_signed())
    return clamped[: fmt.width].as_signed(), outside


def weighted(weight: Value, payload: Value) -> Value:
    """Return a signed weight times an unsigned payload; a payload of one bit takes no
    multiplier.
    """
    return Mux(payload[0], weight, 0).as_signed() if len(payload) == 1 else weight * payload


def total(values: Iterable[Any]) -> Any:
    """Return the sum of values, of which there is at least one; no bit is lost on top."""
    first, *others = values
    return sum(others, first)


def delay(
    m: Module, value: Any, cycles: int, name: str, *, init: int = 0, reset_less: bool = False
) -> Any:
    """Return `value` as it was `cycles` ago, through registers that start with `init`.

    A reset leaves the registers of a number that nobody looks at after it as they are
    (`reset_less`).
    """
    start: dict[str, Any] = {"init": init} if init else {}  # a layout has no 0
    for stage in range(cycles):
        register = Signal(value.shape(), name=f"{name}_{stage + 1}", reset_less=reset_less, **start)
        m.d.sync += register.eq(value)
        value = register
    return value


def spread(
    m: Module, value: Value, cycles: int, n_lanes: int, name: str, *, init: int = 0
) -> list[Value]:
    """Return for every lane `value` as it was `cycles` ago (at least 1).

    The last register has a copy for every `LANES_A_COPY` lanes, as one alone could not lie near all
    of them; `keep` tells synthesis not to merge the copies. Lanes n, n + copies, ... share one, as
    they share a unit of the neuron stage where there are as many units.
    """
    value = delay(m, value, cycles - 1, name, init=init)
    n_copies = -(-n_lanes // LANES_A_COPY)
    copies = [
        Signal(
            value.shape(),
            name=f"{name}_{cycles}" if n_copies == 1 else f"{name}_copy_{index}",
            init=init,
            attrs={"keep": 1} if n_copies > 1 else {},
        )
        for index in range(n_copies)
    ]
    m.d.sync += [copy.eq(value) for copy in copies]
    return [copies[index % n_copies] for index in range(n_lanes)]
