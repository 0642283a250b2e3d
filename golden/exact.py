"""Products, shifts and sums of integer arrays that are exact whatever the formats.

The formats bound what each step can reach. A sum of products of at most 53 bits runs in float64:
every partial sum is then an integer that float64 holds. A wider one runs in int64, which no
accumulator leaves. A shift or a decay that could leave 64 bits runs in Python's integers, in arrays
of objects: slow, and used by formats that nothing trained has.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from golden.formats import INT64_MAX, Fixed, rshift, rshift_toward_zero

FLOAT64_INTEGER_BITS = 53


def number_type(fmt: Fixed) -> Any:
    """Return the type of arrays for numbers of a format: float64, or int64 where that is exact."""
    return np.float64 if fmt.width <= FLOAT64_INTEGER_BITS else np.int64


def multiply(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return values (B, n) times weights (n, m), int64. The weights have the `number_type` of the
    sums' accumulator.
    """
    return (values.astype(weights.dtype, copy=False) @ weights).astype(np.int64, copy=False)


def divide(values: np.ndarray, bound: int, shift: int, rounding: str = "half_up") -> np.ndarray:
    """Return `values`, whose sizes are at most `bound`, divided by 2**shift and rounded; int64, or
    Python's integers.
    """
    # What is added before the shift is less than 2**shift.
    reach = bound << -shift if shift <= 0 else bound + (1 << shift)
    exact = values if reach <= INT64_MAX else values.astype(object)
    return (rshift_toward_zero if rounding == "toward_zero" else rshift)(exact, shift)


def decay(
    factor: int | np.ndarray, of: Fixed, values: np.ndarray, fmt: Fixed, rounding: str
) -> np.ndarray:
    """Return a decay, a number or one of each neuron, in the format `of`, times values (B, N) of
    the format `fmt`, in this format; int64, or Python's integers.
    """
    bound = of.magnitude * fmt.magnitude
    exact = values if bound <= INT64_MAX else values.astype(object)
    return divide(factor * exact, bound, of.frac, rounding)


def saturate(values: np.ndarray, fmt: Fixed) -> tuple[np.ndarray, np.ndarray]:
    """Return the values clamped to a format, int64, and which of them that changed."""
    kept = fmt.saturate(values)
    return kept.astype(np.int64, copy=False), (kept != values).astype(bool)
