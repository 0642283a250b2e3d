"""The files that others read: the public CI's workflow, the citation, the changelog."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from golden.manifest import VERSION

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
CITATION = ROOT / "CITATION.cff"
SCHEMAS = {WORKFLOW: "vendor.github-workflows", CITATION: "vendor.citation-file-format"}


def lint(schema: str, path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_a_linter_accepts_what_others_read(path: Path, tmp_path: Path) -> None:
    done = lint(SCHEMAS[path], path)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / path.name
    wrong.write_text(re.sub("^(    runs-on|title):", r"\1s:", path.read_text(), flags=re.M))
    assert lint(SCHEMAS[path], wrong).returncode == 1


def test_the_workflow_calls_what_developers_call() -> None:
    steps = re.findall(r"^ +run: (.*)", WORKFLOW.read_text(), re.M)
    assert {"make setup", "make lint", "make test"} <= set(steps)


def test_the_version_is_the_released_one() -> None:
    released = re.findall(r"^## (\d+\.\d+\.\d+), (\d{4}-\d\d-\d\d)$", changelog(), re.M)
    assert released[0][0] == VERSION
    cited = CITATION.read_text()
    assert f"version: {VERSION}\n" in cited and f'date-released: "{released[0][1]}"' in cited


def changelog() -> str:
    return (ROOT / "CHANGELOG.md").read_text()
