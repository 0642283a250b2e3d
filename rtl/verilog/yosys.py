"""Run Yosys."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from golden.errors import UserError, guard_children

_YOSYS = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.argv[1:]:
    libyosys.run_pass(command, design)
"""


def read_netlist(path: Path) -> dict[str, Any]:
    """Read a netlist that `write_json` wrote. Yosys does not notice that a disk is full: raise
    `UserError` where it is cut short.
    """
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError:
        raise UserError(
            f"Yosys wrote only the beginning of {path}: free some space on that disk (TMPDIR)"
        ) from None


def run_yosys(folder: Path, *commands: str) -> None:
    """Run Yosys commands in `folder`, in a process of their own, or raise `UserError` with its
    reason. Yosys takes no file name with a space: commands name files of `folder`.
    """
    guard_children()
    done = subprocess.run(
        [sys.executable, "-c", _YOSYS, *commands],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if done.returncode:
        words = [line for line in done.stderr.splitlines() if line.strip()]
        reasons = [line for line in words if "ERROR" in line] or words[-1:]
        raise UserError(f"Yosys failed: {reasons[0] if reasons else 'it said nothing'}")
