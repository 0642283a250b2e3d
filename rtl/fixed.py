"""The only places where a number gets narrower: `align` (a rounding shift) and `saturate`. Sums,
and registers in a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed

from golden.formats import Fixed
from golden.hardware.params import HardwareParams

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
    """Return a signed weight times a payload; a payload of one bit takes no multiplier."""
    return Mux(payload[0], weight, 0).as_signed() if len(payload) == 1 else weight * payload


def one_hot(number: Value) -> Value:
    """Return a bit for each number that a value can be: that of the one that it is."""
    hot: list[Value] = [Const(1)] if len(number) == 0 else [~number[0], number[0]]
    for bit in number[1:]:
        hot = [*(here & ~bit for here in hot), *(here & bit for here in hot)]
    return Cat(hot)


def total(values: Iterable[Any]) -> Any:
    """Return the sum of values, of which there is at least one; no bit is lost on top."""
    first, *others = values
    return sum(others, first)


def ones(bits: Value) -> Value:
    """Return how many bits of a value are set."""
    return bits if len(bits) == 1 else total(bits)


def delay(
    m: Module,
    value: Any,
    cycles: int,
    name: str,
    *,
    init: int = 0,
    reset_less: bool = False,
    moving: Sequence[Value | None] | None = None,
) -> Any:
    """Return `value` as it was `cycles` ago, through registers that start with `init`.

    A reset leaves the registers of a number that nobody looks at after it as they are
    (`reset_less`). With `moving`, register n takes what is before it only where `moving[n]`, and
    needs no clock else; with None there, in every cycle. Only a value that moved through all of
    them is what it was `cycles` ago.
    """
    start: dict[str, Any] = {"init": init} if init else {}  # a layout has no 0
    for stage in range(cycles):
        register = Signal(value.shape(), name=f"{name}_{stage + 1}", reset_less=reset_less, **start)
        hold(m, None if moving is None else moving[stage], register.eq(value))
        value = register
    return value


def at_multiplier(hardware: HardwareParams, moving: Any) -> Any:
    """Return what moves registers next to a multiplier, as `hold` and `delay` take it: None, as a
    multiplier's own registers move in every cycle, unless `HardwareParams.hold_operands`.
    """
    return moving if hardware.hold_operands else None


def hold(m: Module, unless: Value | None, *taken: Any) -> None:
    """Let registers take what they take only where `unless`, or, with None, in every cycle."""
    if unless is None:
        m.d.sync += taken
    else:
        with m.If(unless):
            m.d.sync += taken


def stages(m: Module, valid: Value, cycles: int, name: str) -> list[Value]:
    """Return `valid` as it was 0, 1, ... up to `cycles` cycles ago: what `delay` takes as
    `moving`.
    """
    found = [valid]
    for cycle in range(1, cycles + 1):
        found.append(delay(m, found[-1], 1, name if cycles == 1 else f"{name}_{cycle}"))
    return found


def delay_rare(m: Module, value: Value, cycles: int, name: str) -> tuple[Value, list[Value | None]]:
    """Return a bit that is rarely set as it was `cycles` ago; and what moves its registers, as
    `delay` takes it.

    The first one moves in every cycle, so that the bit may come late; the others hold, without a
    clock, unless one of them all is set.
    """
    if not cycles:
        return value, []
    chain = Signal(cycles, name=name)
    moving = chain.any()
    m.d.sync += chain[0].eq(value)
    hold(m, moving, chain[1:].eq(chain[: cycles - 1]))
    return chain[-1], [None] + [moving] * (cycles - 1)


def pipeline(
    m: Module, step: Any, moving: str, cycles: int, name: str, coming: Value | None = None
) -> list[Any]:
    """Return `step`, a struct, as it was 0, 1, ... up to `cycles` cycles ago.

    Where its member `moving` is not set, the others say nothing: registers hold, without a clock,
    once they know that it is not. `coming` is known earlier than `moving`, and set wherever that
    is.
    """
    found = [step]
    for cycle in range(1, cycles + 1):
        register: Any = Signal(step.shape(), name=f"{name}_{cycle}")
        moves = found[-1][moving] if coming is None or cycle > 1 else coming
        hold(m, moves | register[moving], register.eq(found[-1]))
        found.append(register)
    return found


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
