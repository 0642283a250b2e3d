"""A fresh clone's Makefile, and a Python that writes down what it is asked to run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

MAKEFILE = Path(__file__).parent.parent / "Makefile"
# Stands for .venv/bin/python: runs what `-c` has, and writes down the arguments of all else; two at
# once are an error.
FAKE_PYTHON = f"""#!/bin/sh
if [ "$1" = -c ]; then exec {sys.executable} "$@"; fi
mkdir running || exit 1
sleep 0.1
for argument in "$@"; do echo "$argument" >> arguments; done
echo >> arguments
rmdir running
"""


def make_clone(folder: Path) -> Path:
    """Put the Makefile into a folder, and an environment that writes down what it is asked; return
    the folder.
    """
    shutil.copy(MAKEFILE, folder)
    (folder / "pyproject.toml").touch()
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    for name in ("run", "host", "train", "study", "synth", "docs", "formal", "all"):
        (folder / ".venv" / f"installed-{name}").touch()
    return folder


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Without the variables that a `make test NET=...` around this one hands on.
    variables = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, env=variables
    )


def commands(folder: Path) -> list[list[str]]:
    """Return the arguments of each command that was run."""
    return [part.split("\n") for part in (folder / "arguments").read_text().split("\n\n")[:-1]]
