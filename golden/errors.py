"""The one exception a user is meant to read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class UserError(ValueError):
    """Bad input: one line that says what is wrong, where, and what would be right."""


def report_user_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Make `command` end with one line on standard error and exit status 2 on a `UserError`."""

    @wraps(command)
    def reported(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None

    return reported
