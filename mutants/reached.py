"""What each test reaches and costs, measured on the tree as it is and kept by its state."""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock

from golden.errors import UserError
from mutants.files import ROOT, asked, mutable
from mutants.mutate import Mutant
from mutants.reach import REACHED
from mutants.tree import Copy, State

PROCESS_SECONDS = 600  # of a processor, that measuring a test file may take
WHOLE = (
    "core", "ablations", "cycles", "integer_drawn", "integer_steps", "spikes_out", "reports",
    "sequences", "host_core",
)  # fmt: skip


@dataclass(frozen=True)
class AskedTest:
    """A test, the processor seconds that it takes, and the statements that it reaches: their lines
    by file.
    """

    name: str
    seconds: float
    reached: dict[str, frozenset[int]]

    @property
    def file(self) -> str:
        return self.name.split("::")[0]


class Measured:
    """The tests of each file that pass, with what they reach: measured when they are first asked
    for, and kept in a folder as long as the code and the test file are as they were.
    """

    def __init__(self, folder: Path, state: State, cache: Path) -> None:
        self.folder, self.state, self.cache = folder, state, cache
        self.locks = {file: Lock() for file in asked()}
        self.known: dict[str, list[AskedTest]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def tests(self, copy: Copy, file: str) -> list[AskedTest]:
        """Return the tests of a file; `copy` has no mutant in it."""
        with self.locks[file]:
            if file not in self.known:
                path = self._path(file)
                if not path.exists():
                    self._measure(copy, file, path)
                self.known[file] = list(map(_read, path.read_text().splitlines()))
            return self.known[file]

    def has(self, file: str) -> bool:
        """Return whether a file is measured already."""
        return self._path(file).exists()

    def _path(self, file: str) -> Path:
        return self.folder / f"{Path(file).stem}-{self.state.code}-{self.state.tests[file]}.jsonl"

    def _measure(self, copy: Copy, file: str, path: Path) -> None:
        folder = copy.root.parent / "reached"
        folder.mkdir(exist_ok=True)
        found = folder / "reached.jsonl"
        found.unlink(missing_ok=True)
        arguments = ["-m", "not long", file]
        done = copy.run(arguments, PROCESS_SECONDS, self.cache, **{REACHED: str(folder)})
        if done.status not in (0, 5):  # 5: no test is in it that is not long
            raise UserError(f"{file} fails without a mutant: {done.told[-600:]}")
        partial = path.with_suffix(".partial")
        partial.write_text(found.read_text() if found.exists() else "")
        partial.replace(path)


def _read(line: str) -> AskedTest:
    told = json.loads(line)
    reached = {name: frozenset(lines) for name, lines in told["reached"].items()}
    return AskedTest(told["test"], told["seconds"], reached)


@cache
def imported(path: str) -> frozenset[str]:
    """Return the paths of the files of this tree that a file imports; a test's helpers count as a
    part of it.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    found = {f"{name.replace('.', '/')}.py" for name in names}
    found = {name for name in found if (ROOT / name).is_file()}
    helpers = {name for name in found if name.startswith("tests/")} - {path}
    return frozenset(found.union(*map(imported, helpers)))


@cache
def closure(path: str) -> frozenset[str]:
    """Return the paths of all files of this tree that a file loads."""
    found, new = {path}, {path}
    while new:
        new = set().union(*map(imported, new)) - found
        found |= new
    return frozenset(found)


@cache
def order(path: str) -> tuple[str, ...]:
    """Return the test files that may be asked about a mutable file, in their order: its own, those
    that import it (those first that import little else), those of whole cores, those that import
    what imports it.
    """
    users = {file for file in mutable() if path in imported(file)}
    tests = sorted(asked(), key=lambda file: (len(imported(file).intersection(mutable())), file))
    found = [file for file in tests if is_own(path, file)]
    found += [file for file in tests if path in imported(file)]
    found += [file for file in tests if any(is_own(user, file) for user in users)]
    found += [f"tests/test_{name}.py" for name in WHOLE]
    found += [file for file in tests if users & imported(file)]
    return tuple(file for file in dict.fromkeys(found) if path in closure(file))


def is_own(path: str, test: str) -> bool:
    """Return whether a test file bears the name of a file that it loads."""
    return Path(test).stem.startswith(f"test_{Path(path).stem}") and path in closure(test)


def chunks(path: str) -> Iterator[tuple[str, ...]]:
    """Yield these files, more at once the later they come."""
    files, start, size = order(path), 0, 1
    while start < len(files):
        yield files[start : start + size]
        start, size = start + size, 2 * size


def reaching(mutant: Mutant, tests: Iterable[AskedTest]) -> list[AskedTest]:
    """Return the tests that reach a mutant, those first that are likely to kill it early: cheap
    ones, and a few of each file.

    What runs while a file is imported is reached by all its own tests, and by whatever reaches
    anything in the file or, of a file of constants, in one that imports it.
    """
    path, line = mutant.path, mutant.statement
    if line:
        found = [test for test in tests if line in test.reached.get(path, ())]
    else:
        users = {path, *(file for file in mutable() if path in imported(file))}
        found = [test for test in tests if users & test.reached.keys() or is_own(path, test.file)]
    order: list[tuple[float, str, AskedTest]] = []
    ranks: Counter[str] = Counter()
    for test in sorted(found, key=lambda test: (test.seconds, test.name)):
        order.append(((test.seconds + 0.02) * (1 + ranks[test.file] / 3), test.name, test))
        ranks[test.file] += 1
    return [test for _, _, test in sorted(order, key=lambda entry: entry[:2])]
