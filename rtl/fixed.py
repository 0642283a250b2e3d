"""The only places where a number gets narrower: `align` (a rounding shift) and `saturate`."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from golden.formats import Fixed


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


def lane(word: Value, index: int, fmt: Fixed) -> Value:
    """Return one lane's number of a memory word."""
    bits = word[index * fmt.width : (index + 1) * fmt.width]
    return bits.as_signed() if fmt.signed else bits.as_unsigned()


def weighted(weight: Value, payload: Value) -> Value:
    """Return a signed weight times an unsigned payload; a payload of one bit takes no
    multiplier.
    """
    return Mux(payload[0], weight, 0).as_signed() if len(payload) == 1 else weight * payload


def delay(m: Module, value: Any, cycles: int, name: str) -> Any:
    """Return `value` as it was `cycles` ago, through registers."""
    for stage in range(cycles):
        register = Signal(value.shape(), name=f"{name}_{stage + 1}")
        m.d.sync += register.eq(value)
        value = register
    return value
