"""A proof: what it is of, how it goes, the bugs that it must find; and its run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from formal import solver
from formal.harness import Harness, mutant


@dataclass(frozen=True)
class Bug:
    """A change of the component's source that a proof must find.

    Attributes
    ----------
    what
        What is wrong then, in words.
    changes
        Each old text, which stands once in the component's file, and the new one.
    breaks
        The property that it breaks.
    """

    what: str
    breaks: str
    changes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Proof:
    """Properties of a component, proved together.

    Attributes
    ----------
    name
        What the command calls it.
    component
        Its class.
    build
        Writes it into a harness.
    induction
        The k of k-induction; 0: bounded.
    steps
        Cycles from a reset in which covers are reached and bugs are found, and for a bounded proof
        those that it is of.
    bugs
        What it must find, a bug for each property.
    quick
        Takes few seconds: `make test` runs it.
    """

    name: str
    component: type
    build: Callable[[Harness], None]
    steps: int
    bugs: tuple[Bug, ...]
    induction: int = 0
    quick: bool = True

    @property
    def method(self) -> str:
        return f"induction, k = {self.induction}" if self.induction else f"{self.steps} cycles"

    def written(self) -> Harness:
        """Return the harness, as it is without a bug."""
        harness = Harness()
        self.build(harness)
        return harness


@dataclass
class Outcome:
    """What a run of a proof found.

    Attributes
    ----------
    failed
        What did not hold; in an induction, also what only may not.
    unreached
        Covers that were not reached: then the assumptions contradict each other, or hide it.
    missed
        Bugs that were not found, or broke another property than they should.
    seconds
        That it took, with its covers and bugs.
    """

    proof: Proof
    failed: list[str] = field(default_factory=list)
    unreached: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        return not (self.failed or self.unreached or self.missed)


def run(proof: Proof, folder: Path | None = None, *, bugs: Sequence[Bug] | None = None) -> Outcome:
    """Prove all properties of a proof, reach its covers, and find its bugs (or these); what Yosys
    and the solver write, a trace of a failure too, goes into `folder`.
    """
    with tempfile.TemporaryDirectory() as temporary:
        return _run(proof, folder or Path(temporary), proof.bugs if bugs is None else bugs)


def _run(proof: Proof, folder: Path, bugs: Sequence[Bug]) -> Outcome:
    begun = time.perf_counter()
    outcome = Outcome(proof)
    folder.mkdir(parents=True, exist_ok=True)
    harness = _prepared(proof, folder, proof.name)
    base = proof.induction + 1 if proof.induction else proof.steps
    outcome.failed = solver.base_case(folder, proof.name, base)
    if proof.induction and not outcome.failed:
        outcome.failed = solver.induction_step(folder, proof.name, proof.induction)
    reached = solver.reached(folder, proof.name, proof.steps)
    outcome.unreached = [cover for cover in harness.cells(harness.covers) if cover not in reached]
    for number, bug in enumerate(bugs):
        name = f"{proof.name}_bug_{number}"
        with mutant(proof.component, bug.changes):
            broken = _prepared(proof, folder, name)
        found = solver.base_case(folder, name, proof.steps)
        wanted = broken.cells([bug.breaks])
        if not any(cell.split("__")[0] in wanted for cell in found):
            outcome.missed.append(f"{bug.what}: {', '.join(found) or 'nothing'} fails")
    outcome.seconds = time.perf_counter() - begun
    return outcome


def _prepared(proof: Proof, folder: Path, name: str) -> Harness:
    harness = proof.written()
    solver.prepare(folder, name, harness.rtlil())
    return harness
