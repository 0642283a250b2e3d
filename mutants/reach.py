"""A plugin of pytest (`-p mutants.reach`): which statements each test reaches, and what it costs;
or run chosen tests in an order.

`DMP_REACHED` names a folder: a file there has, for each test that passes, its processor seconds and
the lines of the statements in functions of mutable files that it ran. `DMP_CHOSEN` names a file:
the tests to run, in their order, as JSON; without it some of all are run. `DMP_FAILED` names a file
for the name of the first test that fails.
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

MOST_SECONDS = 20  # of a processor: what unmeasured tests take beyond is not run
REACHED, CHOSEN, FAILED = "DMP_REACHED", "DMP_CHOSEN", "DMP_FAILED"


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


class Some:
    """Run some cases of each test function, then more of each, as long as there is time."""

    def __init__(self) -> None:
        self.spent = 0.0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        if self.spent > MOST_SECONDS:
            item.add_marker(pytest.mark.skip)
        before = seconds()
        result = yield
        self.spent += seconds() - before
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        ranks: Counter[str] = Counter()
        order = []
        for place, item in enumerate(items):
            function = item.nodeid.split("[")[0]
            order.append((ranks[function], place, item))
            ranks[function] += 1
        items[:] = [item for _, _, item in sorted(order, key=lambda entry: entry[:2])]


class Reach:
    """Measure tests."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "reached.jsonl"
        self.lines: dict[str, set[int]] = {path: set() for path in mutable()}
        self.passed = False
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
        for lines in self.lines.values():
            lines.clear()
        self.passed = False
        before = seconds()
        result = yield
        if self.passed:
            reached = {path: sorted(lines) for path, lines in self.lines.items() if lines}
            told = {"test": item.nodeid, "seconds": round(seconds() - before, 3)}
            with self.path.open("a") as file:
                file.write(json.dumps(told | {"reached": reached}) + "\n")
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.passed = report.passed


class Chosen:
    """Run chosen tests, in their order."""

    def __init__(self, names: list[str]) -> None:
        self.places = {name: i for i, name in enumerate(names)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        kept = [item for item in items if item.nodeid in self.places]
        items[:] = sorted(kept, key=lambda item: self.places[item.nodeid])


class Failed:
    """Write down the first test that fails."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.path.exists():
            self.path.write_text(report.nodeid)


def seconds() -> float:
    """Return the processor time of this process and of those that it waited for."""
    own = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in own)


def pytest_configure(config: pytest.Config) -> None:
    register = config.pluginmanager.register
    if FAILED in os.environ:
        register(Failed(Path(os.environ[FAILED])))
    if CHOSEN in os.environ:
        register(Chosen(json.loads(Path(os.environ[CHOSEN]).read_text())))
    elif REACHED not in os.environ:
        register(Some())


# Before anything that is mutated is imported.
if REACHED in os.environ:
    REACH = Reach(Path(os.environ[REACHED]))

    def pytest_plugin_registered(plugin: object, manager: pytest.PytestPluginManager) -> None:
        if not manager.is_registered(REACH):
            manager.register(REACH)
