"""The bench as a command: what it writes, what ends it, and one core in its Verilog."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import tb.bench
from golden.cost.activity import measure_activity
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from tb.batch import Chain, Job
from tb.bench import Case, build, main, measure
from tb.bench_report import summary
from tb.compare import expected_counters
from tests.bench_cases import HARDWARE, N_SEQUENCES, make_case, make_chain


class Stand:
    """Stands for a loaded core: does what is right, and changes it."""

    change: Callable[[Chain], Chain] = staticmethod(lambda chain: chain)

    def __init__(self, job: Job) -> None:
        self.job = job

    def run(self, payloads: np.ndarray) -> Chain:
        case = Case("any", "tiny", measure_activity(self.job.network, payloads))
        return Stand.change(make_chain(case, self.job.core)[0])

    def close(self) -> None:
        pass


def call(monkeypatch: pytest.MonkeyPatch, folder: Path, change: Callable[[Chain], Chain]) -> Result:
    """Run the bench of two cases of one shape on two cores that do what is right, but for a
    change.
    """
    cases = [make_case("one", 0), make_case("two", 1)]
    hardware = {HARDWARE: ["some"], HardwareParams(2, 1, access_counters=True): ["other"]}

    def make(case: Case, hardware: HardwareParams, folder: Path, optimize: str) -> Job:
        network = case.activity.network
        core, none = CoreParams(network.params, hardware), np.zeros(0, np.uint64)
        return Job(folder, core, network, None, none)  # pyright: ignore

    monkeypatch.setattr(Stand, "change", staticmethod(change))
    monkeypatch.setattr(tb.bench, "LoadedCore", Stand)
    monkeypatch.setattr(tb.bench, "find_cases", lambda data, names: iter(cases))
    monkeypatch.setattr(tb.bench, "find_hardware", lambda activity: hardware)
    monkeypatch.setattr(tb.bench, "build", make)
    monkeypatch.setattr(tb.bench, "load_items", lambda *given: np.zeros(0, np.uint64))
    return CliRunner().invoke(main, ["--out", str(folder)])


def test_a_bench_of_cores_that_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = call(monkeypatch, tmp_path, lambda chain: chain)
    assert result.exit_code == 0, result.output
    files = ["bench.json", "bench.md", "bench_cycles.png", "bench_roofline.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    rows = json.loads((tmp_path / "bench.json").read_text())
    found = [(row["network"], row["lanes"], row["block"]) for row in rows]
    assert found == [("one", 2, 1), ("one", 4, 2), ("two", 2, 1), ("two", 4, 2)]
    assert all(row["cycles_measured"] == row["cycles_predicted"] for row in rows)
    assert rows[0]["events_per_timestep"] != rows[2]["events_per_timestep"]
    assert [row["reasons"] for row in rows] == [["other"], ["some"]] * 2
    assert summary(rows) in result.stdout and "| L | T |" in (tmp_path / "bench.md").read_text()
    assert "error" not in result.output


def more(name: str) -> Callable[[Chain], Chain]:
    """Return a change of one counter by one."""
    return lambda chain: replace(chain, counters=chain.counters | {name: chain.counters[name] + 1})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (more("layer0.w_f_reads"), "counter layer0.w_f_reads"),
        (more("layer1.busy_cycles"), "counter layer1.busy_cycles"),
        (more("readout.sequences"), "counter readout.sequences"),
        (lambda c: replace(c, ends=c.ends + [0, 0, 1]), "cycle of the last result at sequence 2"),
        (lambda c: replace(c, logits=c.logits + [[0], [1], [0]]), "logits at sequence 1, class 0"),
        (lambda c: replace(c, classes=c.classes + [1, 0, 0]), "class at sequence 0"),
    ],
)
def test_a_value_that_differs_ends_it(
    change: Callable[[Chain], Chain], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = call(monkeypatch, tmp_path, change)
    assert result.exit_code == 1, result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 4, "one a row"
    for case in ("one", "two"):
        assert sum(line.startswith(f"error: {case} HardwareParams(lanes=") for line in errors) == 2
    assert all(f": {words}" in line and "expected" in line for line in errors)
    assert len(json.loads((tmp_path / "bench.json").read_text())) == 4, "and yet it is written"


def test_an_error_of_one_core_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stuck(chain: Chain) -> Chain:
        raise UserError("the core sent 2 results, where 9 are due")

    result = call(monkeypatch, tmp_path, stuck)
    assert result.exit_code == 2 and "error: the core sent 2 results" in result.stderr
    assert not (tmp_path / "bench.json").exists()


def test_an_unknown_network_is_one_line(tmp_path: Path) -> None:
    for name in ("nonesuch", "spoken"):
        result = CliRunner().invoke(main, ["--network", name, "--out", str(tmp_path / "out")])
        assert result.exit_code == 2 and len(result.output.splitlines()) == 1
        assert result.output.startswith(f"error: --network {name}: use smnist, rows, shd5, ")
    assert not (tmp_path / "out").exists()


def test_a_core_in_its_verilog(tmp_path: Path) -> None:
    """Two networks of one shape, whose weights are loaded one after another into the same model."""
    one, two = make_case("one", 0), make_case("two", 1)
    job = build(one, HARDWARE, tmp_path / "tiny", "-O0")
    for case in (one, two, one):
        row, comparison = measure(case, ["some"], job)
        assert comparison.mismatches == 0, comparison.first
        core = CoreParams(case.activity.network.params, HARDWARE)
        counted = len(expected_counters(core, case.activity.of_block(2)))
        assert comparison.values_compared == N_SEQUENCES * (3 + 1 + 1 + 1) + counted
        assert row["alone_cycles"][0] == row["latency_cycles"]
        assert len(row["alone_cycles"]) == N_SEQUENCES
        assert row["cycles_measured"] == row["cycles_predicted"] > row["cycles_bound"]
        total = row["cycles_bound"] + sum(row["waits"].values())
        assert total == pytest.approx(row["cycles_measured"])
        assert all(0 < share <= 1 for share in row["utilisation"].values())
        assert 0 < row["chain_utilisation"] < 1
