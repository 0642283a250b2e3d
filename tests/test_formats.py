"""Rounding, saturation and accumulator widths against exact fractions."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.errors import UserError
from golden.formats import Fixed, accumulator, rshift, width_of

INT48 = st.integers(-(2**47), 2**47 - 1)
FORMATS = st.builds(Fixed, st.integers(1, 32), st.integers(-8, 40), st.booleans())


@pytest.mark.parametrize(
    ("value", "shift", "expected"),
    [
        (5, 1, 3),  # 2.5: half goes up
        (-5, 1, -2),  # -2.5: up, not away from zero
        (6, 2, 2),  # 1.5
        (-6, 2, -1),  # -1.5
        (-7, 2, -2),
        (7, 0, 7),
        (-3, -4, -48),  # a negative shift multiplies
        (-1, 1, 0),
        (1, 40, 0),
    ],
)
def test_rshift_by_hand(value: int, shift: int, expected: int) -> None:
    assert rshift(value, shift) == expected
    assert rshift(np.array([value], np.int64), shift).tolist() == [expected]


@given(INT48, st.integers(0, 48))
def test_rshift_rounds_half_up(value: int, shift: int) -> None:
    expected = floor(Fraction(value, 2**shift) + Fraction(1, 2))
    assert rshift(value, shift) == expected
    assert rshift(np.array([value], np.int64), shift).tolist() == [expected]


@given(st.integers(-(2**20), 2**20), st.integers(0, 20))
def test_a_negative_shift_is_exact(value: int, shift: int) -> None:
    assert rshift(value, -shift) == value * 2**shift


@given(FORMATS, st.lists(INT48, min_size=1))
def test_saturate_clamps_to_the_format(fmt: Fixed, values: list[int]) -> None:
    lowest, highest = (
        (-(2 ** (fmt.width - 1)), 2 ** (fmt.width - 1) - 1) if fmt.signed else (0, 2**fmt.width - 1)
    )
    expected = [min(max(value, lowest), highest) for value in values]
    assert fmt.saturate(np.array(values, np.int64)).tolist() == expected


@given(FORMATS, st.floats(-1e6, 1e6))
def test_quantize_is_the_nearest_integer_of_the_format(fmt: Fixed, real: float) -> None:
    scaled = Fraction(real) * Fraction(2) ** fmt.frac
    quantized = int(fmt.quantize(real))
    assert fmt.min <= quantized <= fmt.max
    nearest = min(max(scaled, Fraction(fmt.min)), Fraction(fmt.max))
    # Adding 1/2 in float64 may itself round.
    assert abs(quantized - nearest) <= Fraction(1, 2) + Fraction(1, 10**6)


@pytest.mark.parametrize(
    ("real", "expected"), [(0.25, 1), (-0.25, 0), (0.75, 2), (-0.75, -1), (9.0, 7), (-9.0, -8)]
)
def test_quantize_rounds_half_up_and_clamps(real: float, expected: int) -> None:
    assert int(Fixed(4, 1).quantize(real)) == expected


@given(FORMATS, st.integers(-(2**31), 2**32 - 1))
def test_a_number_of_the_format_survives_the_reals(fmt: Fixed, value: int) -> None:
    held = fmt.saturate(np.array([value], np.int64))
    assert fmt.quantize(fmt.to_real(held)).tolist() == held.tolist()


@pytest.mark.parametrize(
    ("fmt", "lowest", "highest", "magnitude"),
    [
        (Fixed(8), -128, 127, 128),
        (Fixed(8, signed=False), 0, 255, 255),
        (Fixed(1), -1, 0, 1),
        (Fixed(1, signed=False), 0, 1, 1),
    ],
)
def test_limits(fmt: Fixed, lowest: int, highest: int, magnitude: int) -> None:
    assert (fmt.min, fmt.max, fmt.magnitude) == (lowest, highest, magnitude)


@given(st.integers(0, 2**40))
def test_width_of_is_the_narrowest_that_holds_both_signs(magnitude: int) -> None:
    width = width_of(magnitude)
    assert -(2 ** (width - 1)) <= -magnitude and magnitude <= 2 ** (width - 1) - 1
    if magnitude:
        assert magnitude > 2 ** (width - 2) - 1


TERM = st.tuples(
    st.integers(0, 300),
    st.builds(Fixed, st.integers(1, 16), st.just(0), st.booleans()),
    st.builds(Fixed, st.integers(1, 16), st.just(0), st.booleans()),
)


@given(st.lists(TERM, max_size=3), st.integers(0, 2**24))
def test_no_sum_overflows_its_accumulator(terms: list[tuple[int, Fixed, Fixed]], plus: int) -> None:
    fmt = accumulator(*terms, plus=plus)
    products = [(n, [x * y for x in (a.min, a.max) for y in (b.min, b.max)]) for n, a, b in terms]
    highest = plus + sum(n * max(p) for n, p in products)
    lowest = -plus + sum(n * min(p) for n, p in products)
    assert fmt.min <= lowest and highest <= fmt.max
    widest = plus + sum(n * max(map(abs, p)) for n, p in products)
    assert widest > 2 ** (fmt.width - 2) - 1, "a bit wider than it need be"


def test_check_names_what_does_not_fit() -> None:
    fmt = Fixed(4)
    assert fmt.check(np.array([-8, 7]), "w").dtype == np.int64
    for value in (-9, 8):
        with pytest.raises(UserError, match=r"layer0\.w_f reaches from .* \(-8 to 7\)"):
            fmt.check(np.array([0, value]), "layer0.w_f")


@pytest.mark.parametrize("width", [0, 65, -3])
def test_a_format_has_1_to_64_bits(width: int) -> None:
    with pytest.raises(UserError, match="use 1 to 64"):
        Fixed(width)


def test_a_format_prints_its_width_and_scale() -> None:
    assert str(Fixed(8, 7)) == "s8.7" and str(Fixed(12, 12, signed=False)) == "u12.12"
