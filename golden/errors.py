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
    """Make `command` end with one line on standard error and status 2 on a `UserError` or an
    unusable file.
    """

    @wraps(command)
    def reported(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except UserError as error:
            message = str(error)
        except OSError as error:
            message = (
                f"{error.filename}: {error.strerror}: use another path"
                if error.filename
                else str(error)
            )
        print(f"error: {message}", file=sys.stderr)
        raise SystemExit(2)

    return reported
