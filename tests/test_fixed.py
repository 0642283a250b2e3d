"""The operations that narrow a number, against the golden ones: all numbers of small widths, drawn
ones of large.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, Value, signed, unsigned
from amaranth.lib import data
from hypothesis import given
from hypothesis import strategies as st

from golden.formats import Fixed, rshift
from rtl.fixed import align, delay, one_hot, pipeline, saturate, stages, total, weighted
from tests.streams import simulate


def evaluate(
    inputs: list[Signal], rows: list[tuple[int, ...]], outputs: list[Value]
) -> list[list[int]]:
    """Return the outputs' values for every row of values of the inputs."""
    found: list[list[int]] = []

    async def testbench(ctx: Any) -> None:
        for row in rows:
            for port, value in zip(inputs, row, strict=True):
                ctx.set(port, value)
            found.append([ctx.get(output) for output in outputs])

    m = Module()
    anchor = Signal()
    m.d.sync += anchor.eq(~anchor)  # a simulation needs a clock
    simulate(m, testbench)
    return found


@pytest.mark.parametrize("width", range(1, 8))
def test_align_rounds_half_up_and_loses_nothing(width: int) -> None:
    fmt = Fixed(width)
    value = Signal(signed(width))
    shifts = range(-3, width + 3)
    rows = [(v,) for v in range(fmt.min, fmt.max + 1)]
    found = evaluate([value], rows, [align(value, shift) for shift in shifts])
    assert found == [[rshift(v, shift) for shift in shifts] for (v,) in rows]


@pytest.mark.parametrize("width", range(1, 8))
def test_saturate_clamps_and_says_so(width: int) -> None:
    fmt = Fixed(width)
    value = Signal(signed(width))
    targets = [Fixed(w) for w in range(1, 9)]
    rows = [(v,) for v in range(fmt.min, fmt.max + 1)]
    outputs = [output for target in targets for output in saturate(value, target)]
    for (v,), found in zip(rows, evaluate([value], rows, outputs), strict=True):
        clamped = [int(target.saturate(np.array(v))) for target in targets]
        assert found[0::2] == clamped, v
        assert found[1::2] == [c != v for c in clamped], v


@given(st.integers(8, 60), st.integers(-8, 48), st.integers(1, 32), st.data())
def test_align_then_saturate_of_wide_numbers(
    width: int, shift: int, target: int, draw: st.DataObject
) -> None:
    fmt = Fixed(width)
    limits = st.integers(fmt.max - 2, fmt.max), st.integers(fmt.min, fmt.min + 2)
    v = draw.draw(st.one_of(st.integers(fmt.min, fmt.max), *limits))
    value = Signal(signed(width))
    exact = rshift(v, shift)
    clamped = min(max(exact, Fixed(target).min), Fixed(target).max)
    expected = [[exact, clamped, int(clamped != exact)]]
    assert (
        evaluate(
            [value], [(v,)], [align(value, shift), *saturate(align(value, shift), Fixed(target))]
        )
        == expected
    )


@pytest.mark.parametrize("weight_width", range(1, 6))
@pytest.mark.parametrize("payload_width", range(1, 5))
def test_weighted_is_the_product(weight_width: int, payload_width: int) -> None:
    fmt = Fixed(weight_width)
    weight, payload = Signal(signed(weight_width)), Signal(unsigned(payload_width))
    rows = [(w, p) for w in range(fmt.min, fmt.max + 1) for p in range(1 << payload_width)]
    assert evaluate([weight, payload], rows, [weighted(weight, payload)]) == [
        [w * p] for w, p in rows
    ]


@pytest.mark.parametrize("width", range(5))
def test_one_hot_sets_the_bit_of_the_number(width: int) -> None:
    number = Signal(width)
    rows = [(value,) for value in range(1 << width)]
    assert evaluate([number], rows, [one_hot(number)]) == [[1 << value] for (value,) in rows]
    assert len(one_hot(number)) == 1 << width


@pytest.mark.parametrize("count", range(1, 6))
def test_no_total_loses_a_bit(count: int) -> None:
    terms = [Signal(2) for _ in range(count)]
    rows = [(3,) * count, (1,) * count, tuple(range(4)) * 2]
    rows = [row[:count] for row in rows]
    assert evaluate(terms, rows, [total(terms)]) == [[sum(row)] for row in rows]


@pytest.mark.parametrize("cycles", range(4))
def test_delay_keeps_value_and_sign(cycles: int) -> None:
    m = Module()
    value = Signal(signed(4))
    anchor = Signal()
    m.d.sync += anchor.eq(~anchor)
    delayed = delay(m, value, cycles, "value")
    sent = np.random.default_rng(cycles).integers(-8, 8, 30).tolist()
    found: list[int] = []

    async def testbench(ctx: Any) -> None:
        for v in sent:
            ctx.set(value, v)
            *_, now = await ctx.tick().sample(delayed)
            found.append(now)

    simulate(m, testbench)
    assert found[cycles:] == sent[: len(sent) - cycles]


@pytest.mark.parametrize("cycles", [1, 2, 5])
def test_registers_hold_what_no_valid_value_follows(cycles: int) -> None:
    """What is valid comes out `cycles` later, of both kinds of pipelines; and no register changes
    but where a valid value enters it.
    """
    m = Module()
    step = Signal(data.StructLayout({"valid": 1, "value": signed(4)}))
    steps = pipeline(m, step, "valid", cycles, "step")
    moving = stages(m, step.valid, cycles, "moving")
    value = delay(m, step.value, cycles, "value", moving=moving)
    rng = np.random.default_rng(cycles)
    sent = list(zip(rng.random(60) < 0.4, rng.integers(-8, 8, 60).tolist(), strict=True))
    found: list[tuple[int, ...]] = []

    async def testbench(ctx: Any) -> None:
        for valid, number in sent:
            ctx.set(step, {"valid": int(valid), "value": number})
            last = steps[-1]
            *_, a, b, c, d = await ctx.tick().sample(last.valid, last.value, moving[-1], value)
            found.append((a, b, c, d))

    simulate(m, testbench)
    before = found[cycles - 1]
    for (valid, number), now in zip(sent, found[cycles:], strict=False):
        assert now[0] == now[2] == valid
        if valid:
            assert now[1] == now[3] == number
        else:
            assert now[3] == before[3]
            assert before[0] or now[1] == before[1]
        before = now


def test_what_has_no_sign_is_refused() -> None:
    with pytest.raises(TypeError, match="align needs a signed value"):
        align(Signal(4), 1)
    for value, fmt in ((Signal(4), Fixed(2)), (Signal(signed(4)), Fixed(2, signed=False))):
        with pytest.raises(TypeError, match="saturate needs"):
            saturate(value, fmt)
