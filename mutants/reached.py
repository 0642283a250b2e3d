"""What each test reaches and costs, measured on the tree as it is and kept by its state."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from pathlib import Path

from golden.errors import UserError
from mutants.files import ROOT, mutable
from mutants.mutate import Mutant
from mutants.reach import REACHED
from mutants.tree import Copy, digest

MEASURING_SECONDS = 900  # of a processor, that a test file may take
SAME_FILE = 3  # a further test of a file counts as dearer by its price over this
OWN = 10  # a component's own tests count as cheaper


@dataclass(frozen=True)
class Test:
    """A test, the processor seconds that it takes, and the statements that it reaches: their lines
    by file.
    """

    name: str
    seconds: float
    reached: dict[str, frozenset[int]]

    @property
    def file(self) -> str:
        return self.name.split("::")[0]


def measure(copy: Copy, file: str, kept: Path, code: str, cache: Path) -> list[Test]:
    """Return the tests of a file that pass, measured unless that is kept in the folder `kept` for
    this code and file.
    """
    path = kept / f"{Path(file).stem}-{code}-{digest([ROOT / file])}.jsonl"
    if not path.exists():
        folder = copy.root.parent / "reached"
        folder.mkdir(exist_ok=True)
        arguments = ["-m", "not long", file]
        done = copy.run(arguments, MEASURING_SECONDS, cache, **{REACHED: str(folder)})
        if done.status not in (0, 5):  # 5: no test is in it that is not long
            raise UserError(f"{file} fails without a mutant: {done.told[-600:]}")
        found = folder / "main.jsonl"
        kept.mkdir(parents=True, exist_ok=True)
        path.write_text(found.read_text() if found.exists() else "")
        found.unlink(missing_ok=True)
    lines = map(json.loads, path.read_text().splitlines())
    return [
        Test(
            line["test"],
            line["seconds"],
            {name: frozenset(found) for name, found in line["reached"].items()},
        )
        for line in lines
    ]


def imported(path: str) -> set[str]:
    """Return the paths of the mutable files that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {f"{name.replace('.', '/')}.py" for name in names} & set(mutable())


def asked_of(mutant: Mutant, tests: list[Test]) -> list[Test]:
    """Return the tests that reach a mutant, those first that are most likely to kill it early: its
    file's own, cheap ones, and of each file a few.

    What runs while a file is imported is reached by whatever reaches anything in the file, or, of a
    file of constants, in one that imports it.
    """
    path, line = mutant.path, mutant.statement
    if line:
        found = [test for test in tests if line in test.reached.get(path, ())]
    else:
        users = {path, *(file for file in mutable() if path in imported(file))}
        found = [test for test in tests if users & test.reached.keys()]
    return sorted_by_hope(path, found)


def sorted_by_hope(path: str, tests: list[Test]) -> list[Test]:
    """Return tests in the order in which they are asked about a mutant of a file."""
    own = Path(path).stem
    order: list[tuple[float, str, Test]] = []
    ranks: dict[str, int] = {}
    for test in sorted(tests, key=lambda test: (test.seconds, test.name)):
        rank = ranks[test.file] = ranks.get(test.file, -1) + 1
        price = (test.seconds + 0.02) * (1 + rank / SAME_FILE)
        order.append((price / (OWN if own in test.file else 1), test.name, test))
    return [test for _, _, test in sorted(order, key=lambda entry: entry[:2])]
