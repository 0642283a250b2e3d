"""What a frontend returns: the network in reals, and what became of every node of its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from golden.reals import NetworkReals
from golden.table import table

Fate = Literal["mapped", "folded", "approximated", "left out"]


@dataclass(frozen=True)
class Note:
    """What became of a node, or of one of its values: `what` says in words where it went and why.

    `mapped` is now a part of the network that computes the same; `folded` went into the numbers of
    another part, exactly in reals; `approximated` computes something else, and `what` says how far;
    `left out` has no effect on what the network computes.
    """

    node: str
    fate: Fate
    what: str


@dataclass(frozen=True)
class Imported:
    """A network of another tool: `network` computes the same in reals, step by step.

    Parameters
    ----------
    source
        What it was made from, in words.
    notes
        What became of every node, in the order of the data. What has no place in the network is
        refused (`golden.errors.UserError`), and so is in no note.
    """

    network: NetworkReals
    source: str
    notes: tuple[Note, ...]

    def report(self) -> str:
        """Return a table of what became of every node."""
        rows = [(note.node, note.fate, note.what) for note in self.notes]
        return f"{self.source}\n" + table(("node", "", "what became of it"), rows, left=[0, 1, 2])
