"""Choosing scales and rounding: nothing is clamped that need not be, and the integers do what the
reals did.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.formats import Fixed
from golden.params import LayerFormats
from golden.quantize import choose_formats, fit, fit_least_error
from golden.reals import LayerRanges, LayerReals


@pytest.mark.parametrize(
    ("magnitude", "fmt", "frac"),
    [
        (1.0, Fixed(8), 6),  # 128 would be one too many
        (127 / 128, Fixed(8), 7),
        (127.49 / 128, Fixed(8), 7),
        (127.5 / 128, Fixed(8), 6),  # rounds up to 128
        (1.0, Fixed(16), 14),
        (100.0, Fixed(8), 0),
        (1000.0, Fixed(8), -3),
        (1.0, Fixed(8, signed=False), 7),
        (0.0, Fixed(8), 16),
        (1e-30, Fixed(8), 16),
    ],
)
def test_fit_by_hand(magnitude: float, fmt: Fixed, frac: int) -> None:
    assert fit(magnitude, fmt) == replace(fmt, frac=frac)


@given(st.floats(1e-4, 1e4), st.integers(4, 24))
def test_fit_is_the_finest_that_clamps_nothing(magnitude: float, width: int) -> None:
    fmt = fit(magnitude, Fixed(width))
    finer = replace(fmt, frac=fmt.frac + 1)
    assert math.floor(magnitude * 2.0**fmt.frac + 0.5) <= fmt.max
    assert fmt.frac == 2 * width or math.floor(magnitude * 2.0**finer.frac + 0.5) > fmt.max


def test_an_outlier_is_clamped_where_that_is_the_smaller_error() -> None:
    many = np.linspace(-0.9, 0.9, 20_001)
    assert fit_least_error(many, Fixed(8)).frac == 7
    assert fit_least_error(np.append(many, 1.05), Fixed(8)).frac == 7
    assert fit_least_error(np.append(many, [9.0] * 100), Fixed(8)).frac == 3
    assert fit_least_error(np.array([1.0]), Fixed(8)).frac == 6, (
        "the coarsest of equals: 1 must be exact"
    )
    assert fit_least_error(np.zeros((3, 4)), Fixed(8)).frac == 16


def test_m_gives_way_where_x_would_leave_its_range() -> None:
    """Choose formats for a large drive, a small state, and a B that leaves nothing between their
    scales.
    """
    one = np.ones((1, 1))
    delays = np.zeros(0, np.int64)
    layer = LayerReals(0.5 * one, one[0], 0.0, 0.9 * one, one[0], one, 0 * one[0], delays)
    f = choose_formats(layer, LayerRanges(x=100.0, m=0.1, u=1.0), LayerFormats())
    assert f.x.frac == 8 and f.m.frac < 17
    assert f.a.frac + f.m.frac == f.b.frac + f.x.frac and f.b.frac <= 14 and f.v.frac <= 6
