"""The Makefile: what it runs in a fresh clone, and what it says where something is missing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a folder with the Makefile and an environment that writes down what it is asked."""
    shutil.copy(MAKEFILE, tmp_path)
    (tmp_path / "pyproject.toml").touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    for name in ("run", "train", "all"):
        (tmp_path / ".venv" / f"installed-{name}").touch()
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Without the variables that a `make test NET=...` around this one hands on.
    variables = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, env=variables
    )


def commands(folder: Path) -> list[list[str]]:
    """Return the arguments of each command that was run."""
    return [part.split("\n") for part in (folder / "arguments").read_text().split("\n\n")[:-1]]


def test_clean_keeps_trained_networks_and_needs_no_build_folder(clone: Path) -> None:
    assert make(clone, "clean").returncode == 0
    for name in ("train", "smnist"):
        (clone / "build" / name).mkdir(parents=True)
    assert make(clone, "clean").returncode == 0
    assert [path.name for path in (clone / "build").iterdir()] == ["train"]


def test_paths_with_spaces_stay_one_argument(clone: Path) -> None:
    done = make(clone, "sim", "train", "NET=my net", "OUT=an out", "DATA=the data", "TRACE=")
    assert done.returncode == 0, done.stderr
    assert commands(clone) == [
        ["-m", "export", "core", "my net", "--lanes", "8", "--out", "an out"],
        ["-m", "rtl", "an out/manifest.json"],
        ["-m", "tb", "an out/manifest.json", "--digits", "20", "--network", "my net"],
        ["-m", "golden.train", "my net", "--epochs", "20", "--data", "the data"],
    ]


def test_the_synthesized_verilog_is_the_manifests(clone: Path) -> None:
    out = clone / "an out"
    out.mkdir()
    for name in ("one", "two"):
        (out / f"{name}.v").touch()
    (out / "manifest.json").write_text(json.dumps({"network": {"name": "two"}}))
    done = make(clone, "synth-check", "NET=two", "OUT=an out")
    assert done.returncode == 0, done.stderr
    assert commands(clone)[-1] == ["-m", "rtl.synth", "an out/two.v"]


def test_targets_do_not_run_at_once(clone: Path) -> None:
    done = make(clone, "--jobs", "4", "train", "test")
    assert done.returncode == 0, done.stderr
    assert [command[1] for command in commands(clone)] == ["golden.train", "pytest"]


@pytest.mark.parametrize(
    ("python", "message"),
    [("nonesuch", "error: there is no nonesuch: "), ("./old", "error: ./old is older than")],
)
def test_a_python_that_cannot_be_used_is_named(clone: Path, python: str, message: str) -> None:
    shutil.rmtree(clone / ".venv")
    (clone / "old").write_text("#!/bin/sh\nexit 1\n")
    (clone / "old").chmod(0o755)
    done = make(clone, "setup", f"PYTHON={python}")
    assert done.returncode and done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 2, "one line, and make's own"
    assert not (clone / ".venv").exists()
