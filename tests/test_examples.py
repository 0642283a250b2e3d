"""The Python that a newcomer runs first: that of the README and the tutorial, and the examples."""

from __future__ import annotations

import inspect
import re
import runpy
import shlex
from collections.abc import Sequence
from functools import partialmethod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbclient
import nbformat
import nir
import numpy as np
import pytest
from click.testing import CliRunner

import dmp_core as dmp
import rtl.verilog.generate
from dmp_core.__main__ import main
from dmp_core.commands import COMMANDS
from export.store import find_dataset, load_stored
from golden.integer import run

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples" / "rows.ipynb"


IN_VERILOG = pytest.param("verilog", marks=pytest.mark.long)


def example(name: str) -> dict[str, Any]:
    """Return what the script of this name defines."""
    return runpy.run_path(str(ROOT / "examples" / f"{name}.py"))


def check_in_golden(core: dmp.Core, payloads: np.ndarray, reports: Sequence[int] = ()) -> int:
    """Stand for `Core.check` where Verilog takes too long: what golden reports is in `last`."""
    found = run(core.network, payloads, reports=reports)
    last = SimpleNamespace(report_logits=found.reports, report_classes=found.reports.argmax(2))
    core._last = last  # type: ignore[assignment]
    return found.logits.size + found.reports.size


@pytest.fixture
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Say where a core is checked: in golden, which is quick and needs no Verilog, or in it."""
    if request.param == "golden":
        monkeypatch.setattr(dmp.Core, "check", check_in_golden)
        monkeypatch.setattr(rtl.verilog.generate, "generate", lambda manifest: manifest)
    else:
        monkeypatch.setattr(dmp.Core, "check", partialmethod(dmp.Core.check, optimize="-O0"))
    return request.param


def python_of(path: Path) -> str:
    (block,) = re.findall(r"^```python\n(.*?)^```", path.read_text(), re.M | re.S)
    return block


def test_the_python_of_the_pages_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
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


@pytest.mark.long
def test_the_notebook_runs(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    printed = "".join(output.get("text", "") for output in outputs)
    assert "classes: [7 2 1] labels: [7 2 1]\n" in printed and " 0 mismatches\n" in printed
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2


def test_the_page_on_importing_prints_what_it_shows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Block by block, in the order of the page."""
    pytest.importorskip("snntorch", reason="snnTorch is not installed")
    monkeypatch.setenv("COLUMNS", "80")
    page = (ROOT / "docs" / "importing.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", page, re.M | re.S)
    assert [bool(shown) for _, shown in blocks] == [True, True, False, True, False]
    names: dict[str, Any] = {}
    for code, shown in blocks:
        exec(code, names)
        printed = capsys.readouterr().out
        assert printed == shown if shown else "\n" not in printed.rstrip()


def test_the_notebook_is_stored_without_what_it_printed() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells and all(not cell.outputs and cell.execution_count is None for cell in cells)


def test_a_network_of_ones_own_is_trained_and_proven(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example("match")["main"](tmp_path)
    printed = capsys.readouterr().out
    assert re.search(r"compared \d{5} values: 0 mismatches", printed), printed
    network, card = load_stored(tmp_path)
    assert network.params.name == "match" and card.accuracy_integer > 0.95


def output_of(*arguments: str) -> str:
    """Return what a command of `dmp` prints."""
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return done.output


def percent(pattern: str, printed: str) -> float:
    (found,) = re.findall(pattern, printed)
    return float(found)


@pytest.mark.parametrize("where", ["golden", IN_VERILOG], indirect=True)
def test_a_network_of_snntorch_becomes_a_core(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands that the script prints then take its folder."""
    pytest.importorskip("snntorch", reason="snnTorch is not installed")
    monkeypatch.chdir(tmp_path)
    script = example("snntorch_to_core")
    assert len(inspect.getsource(script["prove"]).splitlines()) <= 20
    steps, right = (20, 60) if where == "golden" else (60, 95)
    script["main"](Path("net"), steps)
    printed = capsys.readouterr().out
    assert re.search(r"^PASS: \d+ values of the Verilog", printed, re.M), printed
    accuracy = percent(r"accuracy: .* ([0-9.]+) % in integers", printed)
    assert accuracy > right
    network, card = load_stored(tmp_path / "net")
    shapes = [(layer.n_inputs, layer.n_neurons) for layer in network.params.layers]
    assert shapes == [(37, 48), (48, 4)] and card.n_test == 200 and card.n_timesteps == 90
    stored = find_dataset(tmp_path / "net").sequences()
    lengths = [int(np.nonzero(one)[0].max()) + 1 for one in stored]  # to the last spike
    assert stored.shape == (200, 90, 37) and 40 < min(lengths) < 55 and max(lengths) > 85

    lines = [shlex.split(line)[1:] for line in printed.splitlines() if line.startswith("dmp ")]
    assert [name for name, _ in lines] == ["sim", "package", "synth", "bitstream"]
    assert all(name in COMMANDS and folder == "net" for name, folder in lines)
    assert f"{accuracy:.2f} %" in output_of("accuracy", "net")
    if where == "verilog":
        (sim, package, *_), lanes = lines, ("--lanes", "2")
        assert " 0 mismatches" in output_of(*sim, *lanes, "--digits", "2")
        assert "its testbench sends" in output_of(*package, *lanes)
        assert (tmp_path / "build" / "patterns" / "package").is_dir()


@pytest.mark.parametrize("where", ["verilog"], indirect=True)
def test_a_file_of_nir_becomes_verilog(
    where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example("nir_to_verilog")["main"](tmp_path)
    printed = capsys.readouterr().out
    assert "spikes come back" in printed and "classes: 100 of 100 equal" in printed
    assert re.search(r"^PASS: \d{4} values of the Verilog", printed, re.M), printed
    assert "\nmodule dmp_core(" in (tmp_path / "core" / "graph.v").read_text()
    assert {"lif", "own", "li"} <= nir.read(tmp_path / "model.nir").nodes.keys()


@pytest.mark.parametrize("where", ["golden", IN_VERILOG], indirect=True)
def test_an_endless_stream_is_classified_by_reports(
    where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example("endless_stream")["main"](tmp_path)
    printed = capsys.readouterr().out
    rows = re.findall(r"^after (\d+) timesteps: group (\d) is loud; in truth (\d)$", printed, re.M)
    assert [int(time) for time, *_ in rows] == list(range(50, 901, 50))
    right = np.mean([found == truth for _, found, truth in rows])
    assert right >= 0.9 and f"\n{100 * right:.0f} % of 18 reports are right\n" in printed
    assert {truth for *_, truth in rows} == {"0", "1", "2"}
    assert re.search(r"^PASS: \d+ values of the Verilog", printed, re.M)


@pytest.mark.parametrize("where", ["golden", IN_VERILOG], indirect=True)
def test_a_number_is_read_at_every_timestep(
    where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example("regression")["main"](tmp_path)
    printed = capsys.readouterr().out
    assert percent(r"^error ([0-9.]+) ", printed.splitlines()[-2]) < 0.1
    assert percent(r"spread by ([0-9.]+)$", printed.splitlines()[-2]) > 0.2
    assert re.search(r"^PASS: \d+ values of the Verilog", printed, re.M)


def test_the_scripts_are_short_and_say_how_to_run_them() -> None:
    for path in (ROOT / "examples").glob("*.py"):
        text = path.read_text()
        assert f"python examples/{path.name} [FOLDER]" in text or "@click.argument" in text
