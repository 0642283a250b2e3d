"""The Python that a newcomer runs first: that of the README and the tutorial, and the examples."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import nbclient
import nbformat
import pytest

from export.store import load_stored

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples" / "rows.ipynb"


def python_of(path: Path) -> str:
    (block,) = re.findall(r"^```python\n(.*?)^```", path.read_text(), re.M | re.S)
    return block


def test_the_python_of_the_pages_and_the_notebook_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one folder, so that the simulator of their core is built once."""
    monkeypatch.chdir(tmp_path)
    exec(python_of(ROOT / "README.md"), {})
    printed = capsys.readouterr().out
    assert re.search(r"\d{4,} values equal to the golden model's; \d{3}", printed)
    assert "differ by itself" in printed and (tmp_path / "nets" / "mine" / "card.json").exists()
    monkeypatch.chdir(tmp_path / "nets")  # whose build/mine is another core's
    exec(python_of(ROOT / "docs" / "tutorial.md"), {})
    printed = capsys.readouterr().out
    assert "[7 2 1 0 4 1 4 9 5 9]" in printed and "values compared, 0 mismatches" in printed
    assert "busy cycles a timestep: 279.0" in printed
    monkeypatch.chdir(tmp_path)

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    printed = "".join(output.get("text", "") for output in outputs)
    assert "classes: [7 2 1] labels: [7 2 1]\n" in printed and " 0 mismatches\n" in printed
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2


def test_the_notebook_is_stored_without_what_it_printed() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells and all(not cell.outputs and cell.execution_count is None for cell in cells)


def test_a_network_of_ones_own_is_trained_and_proven(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runpy.run_path(str(ROOT / "examples" / "match.py"))["main"](tmp_path)
    printed = capsys.readouterr().out
    assert re.search(r"compared \d{5} values: 0 mismatches", printed), printed
    network, card = load_stored(tmp_path)
    assert network.params.name == "match" and card.accuracy_integer > 0.95
