"""Which Python the Makefile takes, and how it runs commands: one at a time, and ended with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.make_clone import commands, make, make_clone


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return make_clone(tmp_path)


def test_targets_do_not_run_at_once(clone: Path) -> None:
    done = make(clone, "--jobs", "4", "train", "test")
    assert done.returncode == 0, done.stderr
    assert [command[1] for command in commands(clone)] == ["dmp_core", "pytest"]


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


def test_a_python_that_is_not_that_of_the_environment_is_refused(clone: Path) -> None:
    (clone / "other").write_text("#!/bin/sh\necho 3.99.0 in /other\n")
    (clone / "other").chmod(0o755)
    for given in ("./other", "nonesuch"):
        done = make(clone, "export", f"PYTHON={given}")
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 2
        said = {"./other": "3.99.0 in /other", "nonesuch": "no Python"}[given]
        version = f"{sys.version.split()[0]} in {sys.base_prefix}"
        assert done.stderr.startswith(
            f"error: PYTHON={given} is {said}, but .venv has {version}: remove .venv, or"
        )
        assert not (clone / "arguments").exists()
    assert make(clone, "export", f"PYTHON={sys.executable}").returncode == 0
    assert make(clone, "export").returncode == 0


def test_what_ends_make_ends_its_command(clone: Path) -> None:
    (clone / ".venv" / "bin" / "python").write_text(
        "#!/bin/sh\necho $$ > pid.partial\nmv pid.partial pid\nexec sleep 100\n"
    )
    process = subprocess.Popen(
        ["make", "export", "OUT=an out"], cwd=clone, env={"PATH": os.environ["PATH"]},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (clone / "pid").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    process.wait(20)
    pid = int((clone / "pid").read_text())
    assert not Path(f"/proc/{pid}").exists()
