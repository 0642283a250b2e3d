"""Proofs: the quick ones hold, and what a proof must not hide is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.hdl import Mux, Signal
from click.testing import CliRunner

from docs import generate
from formal import streams
from formal.__main__ import main
from formal.harness import Harness, mutant
from formal.proof import Bug, Proof, run
from formal.proofs import PROOFS
from rtl.host.stream_register import StreamRegister

REGISTER = streams.PROOFS[0]
marks = {True: (), False: pytest.mark.long}


@pytest.mark.parametrize(
    "proof", [pytest.param(proof, id=proof.name, marks=marks[proof.quick]) for proof in PROOFS]
)
def test_a_proof_holds(proof: Proof, tmp_path: Path) -> None:
    outcome = run(proof, tmp_path)
    assert (outcome.failed, outcome.unreached, outcome.missed) == ([], [], [])


def test_every_proof_has_covers_and_bugs_and_a_name_of_its_own() -> None:
    assert len({proof.name for proof in PROOFS}) == len(PROOFS)
    inductive = set()
    for proof in PROOFS:
        harness = proof.written()
        assert harness.properties and harness.covers and proof.bugs, proof.name
        assert {bug.breaks for bug in proof.bugs} <= set(harness.properties), proof.name
        cells = harness.cells([*harness.properties, *harness.covers])
        assert len(set(cells)) == len(cells), proof.name
        if proof.induction:
            inductive |= {(proof.component, name) for name in harness.properties}
    assert len(inductive) >= 14


def changed(extra: str) -> Proof:
    """Return the proof of a register with more in its harness."""

    def build(harness: Harness) -> None:
        streams.stream_register(harness)
        if extra == "a contradiction":
            harness.assume(0)
        elif extra == "a cover out of reach":
            harness.cover(extra, harness.past(0))
        elif extra == "a false claim":
            harness.prove(extra, harness.count(2, 1, "n") != 3)
        elif extra == "not inductive":
            counter = Signal(3)  # 0, 1, 2, 0, ...
            harness.m.d.sync += counter.eq(Mux(counter == 2, 0, counter + 1))
            harness.prove(extra, counter != 5)

    return replace(REGISTER, build=build)


@pytest.mark.parametrize("induction", [1, -1, 0])
def test_a_false_claim_has_a_trace(induction: int, tmp_path: Path) -> None:
    proof = replace(changed("a false claim"), induction=induction)
    outcome = run(proof, tmp_path, bugs=())
    assert outcome.failed == ["a_false_claim"] and not outcome.holds
    assert "n" in (tmp_path / f"{proof.name}.vcd").read_text()


def test_what_only_may_fail_is_no_proof_by_k(tmp_path: Path) -> None:
    proof = changed("not inductive")
    assert run(proof, tmp_path, bugs=()).failed == ["not_inductive"]
    assert run(replace(proof, induction=-1), tmp_path, bugs=()).holds, "ABC finds the invariant"


def test_a_contradiction_reaches_no_cover(tmp_path: Path) -> None:
    outcome = run(changed("a contradiction"), tmp_path, bugs=())
    assert not outcome.failed and outcome.unreached == REGISTER.written().covers
    outcome = run(changed("a cover out of reach"), tmp_path, bugs=())
    assert outcome.unreached == ["a cover out of reach"] and not outcome.holds


def test_a_change_that_is_no_bug_is_told(tmp_path: Path) -> None:
    (bug,) = REGISTER.bugs
    none = Bug("no bug", bug.breaks, ((bug.changes[0][0], bug.changes[0][0]),))
    outcome = run(REGISTER, tmp_path, bugs=(none, bug))
    assert outcome.missed == ["no bug"] and not outcome.holds


def test_a_mutant_is_gone_afterwards() -> None:
    before = dict(vars(StreamRegister))
    with mutant(StreamRegister, REGISTER.bugs[0].changes):
        assert StreamRegister.elaborate is not before["elaborate"]
    assert dict(vars(StreamRegister)) == before
    with pytest.raises(AssertionError, match="0 times"), mutant(StreamRegister, (("x y z", ""),)):
        pass


def test_the_command_prints_a_table_and_a_verdict(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["--only", "stream_register", "--out", str(tmp_path)])
    assert done.exit_code == 0 and done.output.rstrip().endswith("PASS"), done.output
    assert "stream_register" in done.output and "induction, k = 1" in done.output
    refused = CliRunner().invoke(main, ["--only", "nothing"])
    assert refused.exit_code == 2 and "there is no proof nothing" in refused.stderr


def test_the_page_has_every_proof() -> None:
    whole = (generate.DOCS / "verification.md").read_text()
    page = whole.partition("<!-- proofs: ")[2].partition("<!-- end of proofs")[0]
    for proof in PROOFS:
        assert page.count(f"| `{proof.name}` |") == 1
