"""Checks that the parameters of layers and of the readout have in common."""

from __future__ import annotations

from typing import Any

from golden.errors import UserError
from golden.formats import Fixed


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
        if getattr(params, name) not in allowed:
            raise UserError(
                f"{name} '{getattr(params, name)}': use {', '.join(allowed[:-1])} or {allowed[-1]}"
            )


def check_decay(fmt: Fixed, name: str) -> None:
    if fmt.signed or fmt.frac < 0:
        raise UserError(f"the format of {name} is {fmt}: use an unsigned one, frac >= 0")
