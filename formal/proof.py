"""A proof: what it is of, how it goes, the bugs that it must find; and its run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from formal import solver
from formal.harness import COVERS, INVARIANTS, PROPERTIES, Harness, mutant
from golden.files import scratch_folder

PDR = -1


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
        The k of k-induction; `PDR`: by an invariant that ABC finds; 0: bounded.
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
        if self.induction == PDR:
            return "induction, PDR"
        return f"induction, k = {self.induction}" if self.induction else f"{self.steps} cycles"

    def written(self, claims: str = INVARIANTS) -> Harness:
        """Return the harness, which claims this."""
        harness = Harness(claims)
        self.build(harness)
        return harness


@dataclass
class Outcome:
    """What a run of a proof found.

    Attributes
    ----------
    failed
        What did not hold (in a k-induction, also what only may not): `NAME.vcd` shows it.
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
    with scratch_folder() as temporary:
        return _run(proof, folder or temporary, proof.bugs if bugs is None else bugs)


def _run(proof: Proof, folder: Path, bugs: Sequence[Bug]) -> Outcome:
    begun = time.perf_counter()
    outcome = Outcome(proof)
    folder.mkdir(parents=True, exist_ok=True)
    k, steps = proof.induction, proof.steps
    claims = proof.written(INVARIANTS if k > 0 else PROPERTIES).rtlil()
    if k == PDR:
        failure = solver.unbounded(folder, proof.name, claims)
    else:
        failure = solver.bounded(folder, proof.name, claims, k + 1 if k else steps)
    if failure is not None:
        outcome.failed = solver.trace(folder, proof.name, claims, failure.cycle)
    elif k > 0:
        outcome.failed = solver.induction_step(folder, proof.name, claims, k)
    harness = proof.written(COVERS)
    covers = dict(zip(harness.cells(harness.covers), harness.covers, strict=True))
    name = f"{proof.name}_covers"
    reached = solver.each_bounded(folder, name, harness.rtlil(), list(covers), steps)
    outcome.unreached = [cover for cell, cover in covers.items() if cell not in reached]
    for number, bug in enumerate(bugs):
        with mutant(proof.component, bug.changes):
            broken = proof.written(bug.breaks)
        name = f"{proof.name}_bug_{number}"
        assert bug.breaks in broken.properties, bug.breaks
        if solver.bounded(folder, name, broken.rtlil(), steps) is None:
            outcome.missed.append(bug.what)
    outcome.seconds = time.perf_counter() - begun
    return outcome
