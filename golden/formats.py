"""Fixed-point number formats and the three operations that narrow a number.

Every width of the project is a `Fixed` or is derived from one: nothing else may state a width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from golden.errors import UserError

MAX_SHIFT = 48
INT64_MAX = (1 << 63) - 1
MAX_FRAC = 512  # so that scales, and products of two, are numbers that a float holds

Rounding = Literal["half_up", "toward_zero"]


@dataclass(frozen=True)
class Fixed:
    """A two's complement (or unsigned) number of `width` bits, `frac` of them below the binary
    point.

    `frac` may be negative or exceed `width`, within `MAX_FRAC`. An integer `q` in this format
    stands for the real `q * 2**-frac`.
    """

    width: int
    frac: int = 0
    signed: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 64:
            raise UserError(f"a format of {self.width} bits: use 1 to 64")
        if abs(self.frac) > MAX_FRAC:
            raise UserError(
                f"a format of {self.frac} fractional bits: use -{MAX_FRAC} to {MAX_FRAC}"
            )

    @property
    def min(self) -> int:
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        return (1 << (self.width - self.signed)) - 1

    @property
    def magnitude(self) -> int:
        """The largest absolute value of an integer in this format."""
        return max(self.max, -self.min)

    def saturate(self, value: np.ndarray) -> np.ndarray:
        """Clamp integers to the format."""
        return np.clip(value, self.min, self.max)

    def quantize(self, real: Any) -> np.ndarray:
        """Round reals to the nearest integer of the format (half up, as the hardware rounds),
        clamped; int64.
        """
        scaled = np.asarray(real, np.float64) * 2.0**self.frac
        below = np.floor(scaled)
        with np.errstate(invalid="ignore"):  # an infinite one less itself
            whole = below + (scaled - below >= 0.5)  # scaled + 0.5 may round
        # float64 rounds the largest integer of a wide format up, to one that int64 may not hold.
        inside = whole < float(self.max)
        held = np.maximum(np.where(inside, whole, 0.0), self.min).astype(np.int64)
        return np.where(inside, held, self.max)

    def to_real(self, value: np.ndarray) -> np.ndarray:
        """Return the reals that integers of this format stand for; float64."""
        return np.asarray(value, np.float64) * 2.0**-self.frac

    def check(self, value: np.ndarray, name: str) -> np.ndarray:
        """Return `value` as int64, or raise `UserError` where an integer does not fit."""
        value = np.asarray(value)
        if value.dtype.kind not in "biuf" and not _exact(value):
            raise UserError(f"{name} is of type {value.dtype}: use integers")
        if value.dtype.kind == "f" and (broken := value[~_whole(value)]).size:
            raise UserError(f"{name} has {broken[0]}: use integers")
        if value.size and (value.min() < self.min or value.max() > self.max):
            raise UserError(
                f"{name} reaches from {value.min()} to {value.max()}, outside of its format of"
                f" {self.width} bits"
                f" ({self.min} to {self.max})"
            )
        return value.astype(np.int64)

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.width}.{self.frac}"


def _exact(values: np.ndarray) -> bool:
    """Return whether an array of objects holds Python's integers only."""
    return values.dtype.kind == "O" and all(isinstance(value, int) for value in values.flat)


def _whole(values: np.ndarray) -> np.ndarray:
    return (np.floor(values) == values) & (np.abs(values) < 2.0**63)


SPIKE = Fixed(1, 0, signed=False)  # payload formats: a spike, and the byte of a pixel
GRADED = Fixed(8, 8, signed=False)


def rshift(value: Any, shift: int) -> Any:
    """Divide by 2**shift, rounding half up; a negative shift multiplies exactly. Integers only."""
    if shift <= 0:
        return value << -shift
    return (value + (1 << (shift - 1))) >> shift


def rshift_toward_zero(value: Any, shift: int) -> Any:
    """Divide by 2**shift, rounding toward zero; a negative shift multiplies exactly. Integers only.

    `value` is an integer or an integer array.
    """
    if shift <= 0:
        return value << -shift
    return (value + (value < 0) * ((1 << shift) - 1)) >> shift


def width_of(magnitude: int) -> int:
    """Return the width of the signed format that holds every integer of at most this absolute
    value.
    """
    return int(magnitude).bit_length() + 1


def accumulator(*terms: tuple[int, Fixed, Fixed], plus: int = 0) -> Fixed:
    """Return the signed format that no sum of products can overflow.

    Parameters
    ----------
    terms
        `(count, a, b)`: up to `count` products of a number in format `a` with one in format `b`.
    plus
        The largest absolute value of whatever else is added.
    """
    bound = plus + sum(count * a.magnitude * b.magnitude for count, a, b in terms)
    return Fixed(width_of(bound))
