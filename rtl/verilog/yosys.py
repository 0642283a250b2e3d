"""Run Yosys."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from golden.errors import UserError

_YOSYS = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.argv[1:]:
    libyosys.run_pass(command, design)
"""


def run_yosys(folder: Path, *commands: str) -> None:
    """Run Yosys commands in `folder`, in a process of their own, or raise `UserError` with its
    reason. Yosys takes no file name with a space: commands name files of `folder`.
    """
    done = subprocess.run(
        [sys.executable, "-c", _YOSYS, *commands],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if done.returncode:
        words = [line for line in done.stderr.splitlines() if line.strip()]
        reasons = [line for line in words if "ERROR" in line] or words[-1:]
        raise UserError(f"Yosys failed: {reasons[0] if reasons else 'it said nothing'}")
