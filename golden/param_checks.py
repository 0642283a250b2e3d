"""Checks that parameters, and arguments from Python, have in common."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Sequence
from pathlib import Path
from types import UnionType
from typing import Any

import numpy as np

from golden.errors import UserError
from golden.formats import INT64_MAX, MAX_SHIFT, Fixed


def check_sums(params: Any, *names: str) -> None:
    """Derive the formats of these sums, or raise `UserError` where one cannot be built."""
    for name in names:
        try:
            getattr(params, name)
        except UserError as error:
            raise UserError(f"the layer is too large for its formats: {name} is {error}") from None


def check_choices(params: Any, **choices: tuple[str, ...]) -> None:
    """Check that a field has one of its choices."""
    for name, allowed in choices.items():
        check_choice(name, getattr(params, name), allowed)


def check_choice(name: str, value: Any, allowed: Sequence[str]) -> None:
    if not isinstance(value, str) or value not in allowed:
        right = " or ".join(filter(None, (", ".join(allowed[:-1]), allowed[-1])))
        raise UserError(f"{name} {shown(value)}: use {right}")


def check_one_of(name: str, value: Any, allowed: Sequence[int], unit: str = "") -> int:
    """Return a whole number that is one of a few, or of a range, also NumPy's, as Python's; or
    raise `UserError`.
    """
    if isinstance(allowed, range):
        return check_whole(name, value, min(allowed), max(allowed))
    right = f"{', '.join(map(str, allowed[:-1]))} or {allowed[-1]}{unit}"
    whole = check_whole(name, value, min(allowed), max(allowed), right)
    if whole not in allowed:
        raise UserError(f"{name} {whole}: use {right}")
    return whole


def check_type(name: str, value: Any, kind: type | UnionType, right: str) -> None:
    """Raise `UserError` where an argument is of another type: name, value, what is right."""
    if not isinstance(value, kind):
        raise UserError(f"{name} {shown(value)}: use {right}")


def check_whole(
    name: str, value: Any, low: int, high: int | None = None, right: str | None = None
) -> int:
    """Return a whole number of this range, also NumPy's, as Python's; or raise `UserError`, which
    says what would be `right` [default: the range].
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        reach = f"{low} or more" if high is None else f"{low} to {high}"
        raise UserError(f"{name} {shown(value)}: use {right or f'a whole number, {reach}'}")
    return int(value)


def check_number(name: str, value: Any, right: str = "a number") -> float:
    """Return a finite number, or raise `UserError`."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not math.isfinite(value):
        raise UserError(f"{name} {shown(value)}: use {right}")
    return float(value)


def check_path(name: str, value: Any) -> Path:
    """Return the path that an argument is, or raise `UserError`."""
    if not isinstance(value, str | os.PathLike):
        raise UserError(f"{name} {shown(value)}: use a path")
    return Path(value)


def shown(value: Any) -> str:
    """Return a value as short words in one line: of an array its type and shape."""
    if hasattr(value, "shape") and value.shape != ():
        return f"is a {type(value).__name__} of shape {tuple(value.shape)}"
    words = " ".join(repr(value).split())
    return words if len(words) <= 60 else f"{words[:57]}..."


def check_decay(fmt: Fixed, name: str) -> None:
    if fmt.signed or fmt.width > 63 or not 0 <= fmt.frac <= MAX_SHIFT:
        raise UserError(
            f"the format of {name} is {fmt}: use an unsigned one of 1 to 63 bits, frac 0 to"
            f" {MAX_SHIFT}"
        )


def check_payload(fmt: Fixed) -> None:
    if fmt.signed and fmt.width < 2:
        raise UserError("a signed payload of 1 bit: use 2 bits or more, or an unsigned one")
    if fmt.max > INT64_MAX:
        raise UserError("an unsigned payload of 64 bits: use 1 to 63, or a signed one")
