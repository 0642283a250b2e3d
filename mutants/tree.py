"""Copies of the tree in which tests run: a mutant is put into one of them, never into the tree."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from golden.errors import UserError, guard_children
from mutants.files import ROOT, asked
from mutants.mutate import Mutant

NOT_COPIED = shutil.ignore_patterns(".venv", ".git", "build", "__pycache__", "*.egg-info")
# What no test that is asked reads.
NO_CODE = ("docs", "examples", "mutants")
MEMORY = 8 << 30  # bytes that a test may fill
WALL = 6  # seconds on the clock for a processor second that a test may take


@dataclass(frozen=True)
class Done:
    """How tests ended: `status` is pytest's, or None after too long; `failed` is the first one that
    failed, if it is known.
    """

    status: int | None
    failed: str | None
    told: str


class Copy:
    """A copy of the tree."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "tree"
        self.temporary = folder / "tmp"
        shutil.copytree(ROOT, self.root, ignore=NOT_COPIED)
        (self.root / "build").mkdir()

    @contextmanager
    def mutated(self, mutant: Mutant | None) -> Iterator[None]:
        """Hold the mutant in the block."""
        if mutant is None:
            yield
            return
        path = self.root / mutant.path
        source = path.read_text()
        try:
            self._write(path, mutant.apply(source))
            yield
        finally:
            self._write(path, source)

    def _write(self, path: Path, text: str) -> None:
        """Write a file, and forget its bytecode, which is known by seconds and size only."""
        path.write_text(text)
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            compiled.unlink()

    def run(self, arguments: list[str], seconds: float, cache: Path, **variables: str) -> Done:
        """Run pytest in the copy; `seconds` of a processor are all that a process of it may take.
        `cache` is where models of Verilog are kept.
        """
        guard_children()
        environment = os.environ | variables
        environment |= {"PYTHONPATH": str(self.root), "OMP_NUM_THREADS": "1"}
        environment |= {"XDG_CACHE_HOME": str(cache.resolve()), "COLUMNS": "100"}
        command = [sys.executable, "-m", "pytest", "-p", "mutants.reach", "-p", "no:cacheprovider",
                   "-q", "--basetemp", str(self.temporary), *arguments]  # fmt: skip
        limit = int(seconds) + 1

        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))

        process = subprocess.Popen(
            command, cwd=self.root, env=environment, preexec_fn=limited, text=True,
            start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            told = process.communicate(timeout=WALL * seconds)[0]
        except subprocess.TimeoutExpired:
            return Done(None, None, "")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            shutil.rmtree(self.temporary, ignore_errors=True)
        if process.returncode in (-signal.SIGTERM, -signal.SIGINT):
            raise UserError("the tests of a mutant were ended from outside: start again")
        timeout = process.returncode in (-signal.SIGXCPU, -signal.SIGKILL)
        return Done(None if timeout else process.returncode, None, told)


@contextmanager
def copies(count: int) -> Iterator[list[Copy]]:
    """Yield copies of the tree, which are gone after the block."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        yield [Copy(Path(folder) / str(number)) for number in range(count)]


@dataclass(frozen=True)
class State:
    """What names the contents of the tree: of the code that tests run, and of each test file."""

    code: str
    tests: dict[str, str]

    @property
    def all_tests(self) -> str:
        return hashlib.sha256(repr(sorted(self.tests.items())).encode()).hexdigest()[:16]


def state() -> State:
    """Return the state of the tree as it is now."""
    folders = [path for path in ROOT.iterdir() if (path / "__init__.py").exists()]
    code = [
        path
        for folder in folders
        if folder.name not in NO_CODE
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
        if not path.name.startswith("test_")
    ]
    return State(_digest(code), {file: _digest([ROOT / file]) for file in asked()})


def _digest(paths: list[Path]) -> str:
    hashed = hashlib.sha256()
    for path in sorted(paths):
        hashed.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return hashed.hexdigest()[:16]
