"""What a frontend returns: the network, and what became of every node of its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from golden.integer import NetworkIntegers
from golden.reals import NetworkReals
from golden.table import table

Fate = Literal["mapped", "folded", "approximated", "left out"]
MAX_WEIGHTS = 1 << 24  # of a layer, convolutions unrolled: 128 MiB in float64
Network = TypeVar("Network", NetworkReals, NetworkIntegers)


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
class Imported(Generic[Network]):
    """A network of another tool: `network` computes the same, step by step.

    Parameters
    ----------
    network
        In reals; of a tool that computes in integers as the core does, those integers.
    source
        What it was made from, in words.
    notes
        What became of every node, in the order of the data. What has no place in the network is
        refused (`golden.errors.UserError`), and so is in no note.
    """

    network: Network
    source: str
    notes: tuple[Note, ...]

    def report(self) -> str:
        """Return a table of what became of every node."""
        rows = [(note.node, note.fate, note.what) for note in self.notes]
        return f"{self.source}\n" + table(("node", "", "what became of it"), rows, left=[0, 1, 2])
