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


EQUIVALENTS = (
    Equivalent(
        "rtl/host/buses.py",
        '"read_ready": In(1),',
        '"read_ready": In(2),',
        "the second bit is always 0, and all who read it ask whether any bit is set",
    ),
    Equivalent(
        "golden/cost/part_timeline.py",
        "finished: int = -(1 << 40)  # cycle of the last step of the last block",
        "finished: int = -(1 << 41)  # cycle of the last step of the last block",
        "a cycle long before any: only the later one of it and a cycle from 0 on is taken",
    ),
    Equivalent(
        "golden/cost/part_timeline.py",
        "results: int = -1  # cycle in which the last result was sent",
        "results: int = -2  # cycle in which the last result was sent",
        "only the later one of it and the cycle of the first result is taken, which is positive",
    ),
    Equivalent(
        "rtl/delay_line.py",
        "word_bits = (layer.delay_ring.words - 1).bit_length()",
        "word_bits = (layer.delay_ring.words - 0).bit_length()",
        "it cuts an address above its lanes and the index of a word, which have no bit more: a"
        " slice ends where its signal ends",
    ),
    Equivalent(
        "rtl/bank.py",
        "holds: bool = False,",
        "holds: bool = True,",
        "who leaves it out reads without a register, and only a register can hold",
    ),
)


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
