"""A plugin of pytest (`-p mutants.reach`): which statements each test reaches, and what it costs;
or run chosen tests in an order.

`DMP_REACHED` names a folder: a file there has, for each test that passes, its processor seconds and
the lines of the statements in functions of mutable files that it ran. `DMP_CHOSEN` names a file:
the tests to run, in their order, as JSON; beside it, with the suffix `.failed`, is then the first
test that failed.
"""

from __future__ import annotations

import ast
import builtins
import json
import os
import resource
from collections import Counter
from collections.abc import Generator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

from mutants.files import ROOT, mutable

MOST_SECONDS = 20  # of a processor: what a file's tests take beyond is not measured, nor asked
REACHED, CHOSEN = "DMP_REACHED", "DMP_CHOSEN"


class Probes(ast.NodeTransformer):
    """Put `__probe_N__(line)` before each statement of each function of file N."""

    def __init__(self, number: int) -> None:
        self.name, self.inside = f"__probe_{number}__", False

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        before, self.inside = self.inside, True
        self.generic_visit(node)
        self.inside = before
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for _, value in ast.iter_fields(node):
            if isinstance(value, ast.AST):
                self.visit(value)
            elif isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                for statement in value:
                    self.visit(statement)
                if self.inside and not isinstance(node, ast.ClassDef):
                    value[:] = [put for statement in value for put in self._probed(statement)]
            elif isinstance(value, list):
                for item in value:
                    if isinstance(item, ast.AST):
                        self.visit(item)
        return node

    def _probed(self, statement: ast.stmt) -> list[ast.stmt]:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            return [statement]  # a docstring stays the first one
        called = ast.Call(ast.Name(self.name, ast.Load()), [ast.Constant(statement.lineno)], [])
        return [ast.copy_location(ast.Expr(called), statement), statement]


class Reach:
    """Measure tests."""

    def __init__(self, folder: Path) -> None:
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        self.path = folder / f"{worker}.jsonl"
        self.lines: dict[str, set[int]] = {path: set() for path in mutable()}
        self.passed, self.spent = False, 0.0
        files = {}
        for number, (path, lines) in enumerate(self.lines.items()):
            setattr(builtins, f"__probe_{number}__", lines.add)
            files[str(ROOT / path)] = number
        original = SourceFileLoader.get_code

        def get_code(loader: SourceFileLoader, name: str) -> Any:
            file = loader.get_filename(name)
            if file not in files:
                return original(loader, name)
            tree = Probes(files[file]).visit(ast.parse(loader.get_data(file)))
            return compile(ast.fix_missing_locations(tree), file, "exec")

        SourceFileLoader.get_code = get_code  # pyright: ignore

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        if self.spent > MOST_SECONDS:
            item.add_marker(pytest.mark.skip)
        for lines in self.lines.values():
            lines.clear()
        self.passed = False
        before = seconds()
        result = yield
        if self.passed:
            reached = {path: sorted(lines) for path, lines in self.lines.items() if lines}
            told = {"test": item.nodeid, "seconds": round(seconds() - before, 3)}
            self.spent += seconds() - before
            with self.path.open("a") as file:
                file.write(json.dumps(told | {"reached": reached}) + "\n")
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Measure some cases of each test function first: where time runs out, some of each are."""
        ranks: Counter[str] = Counter()
        order = []
        for place, item in enumerate(items):
            function = item.nodeid.split("[")[0]
            order.append((ranks[function], place, item))
            ranks[function] += 1
        items[:] = [item for _, _, item in sorted(order, key=lambda entry: entry[:2])]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.passed = report.passed


class Chosen:
    """Run chosen tests, in their order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.places = {name: i for i, name in enumerate(json.loads(path.read_text()))}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        kept = [item for item in items if item.nodeid in self.places]
        items[:] = sorted(kept, key=lambda item: self.places[item.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        failed = self.path.with_suffix(".failed")
        if report.failed and not failed.exists():
            failed.write_text(report.nodeid)


def seconds() -> float:
    """Return the processor time of this process and of those that it waited for."""
    own = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in own)


def pytest_configure(config: pytest.Config) -> None:
    if CHOSEN in os.environ:
        config.pluginmanager.register(Chosen(Path(os.environ[CHOSEN])))


# Before anything that is mutated is imported.
if REACHED in os.environ:
    REACH = Reach(Path(os.environ[REACHED]))

    def pytest_plugin_registered(plugin: object, manager: pytest.PytestPluginManager) -> None:
        if not manager.is_registered(REACH):
            manager.register(REACH)
