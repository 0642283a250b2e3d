"""Mutants that change nothing that a core, a file or a prediction is. Each was read by a person."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from mutants.files import ROOT
from mutants.mutate import Mutant


@dataclass(frozen=True)
class Equivalent:
    """A mutant that needs no test: its line as it is and as it becomes, without the space around,
    and why that is the same.
    """

    path: str
    line: str
    becomes: str
    why: str


EQUIVALENTS: tuple[Equivalent, ...] = ()


@cache
def _lines(path: str) -> list[str]:
    return (ROOT / path).read_text().splitlines()


def reason(mutant: Mutant) -> str:
    """Return why a mutant is equivalent, or nothing."""
    line = _lines(mutant.path)[mutant.line - 1]
    shown = (mutant.path, line.strip(), mutant.changed(line).strip())
    for known in EQUIVALENTS:
        if (known.path, known.line, known.becomes) == shown:
            return known.why
    return ""
