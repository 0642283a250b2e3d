"""The study: its plan, what a trial measures, and that what is done is not done again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import tb.study
from golden.errors import UserError
from golden.train.topology import find_topology
from tb.study import ARCHITECTURES, Trial, main, plan, run_study, run_trial
from tb.study_report import (
    markdown,
    plot,
    plot_delays,
    plot_pareto,
    plot_sweeps,
    products,
    summary,
)
from tests.pictures import faults

RECIPE = {"epochs": 1, "batch": 8, "augmentation": 0.0}
TINY = {"n_neurons": (6, 5), "n_state": 3}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with drawn spoken digits of two speakers."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for split, count in (("train", 24), ("test", 12)):
        labels = rng.integers(0, 10, count)
        events = rng.random((count, 100, 140)) < 0.02
        for sample, label in enumerate(labels):
            events[sample, 20:40, 14 * label : 14 * label + 10] = True
        arrays |= {
            f"{split}_x": np.packbits(events.reshape(count, -1), axis=1),
            f"{split}_y": labels,
            f"{split}_speaker": np.arange(count) % 2,
        }
    folder = tmp_path / "data"
    folder.mkdir()
    np.savez_compressed(folder / "fsdd_140x100.npz", **arrays)
    return folder


def test_every_trial_of_a_plan_can_be_trained_and_has_its_own_name() -> None:
    for quick in (False, True):
        trials = plan("spoken", 3, quick)
        assert len({trial.name for trial in trials}) == len(trials)
        assert all(trial.name.isidentifier() for trial in trials), "a network can be called that"
        for trial in trials:
            topology = find_topology("spoken", trial.architecture, **trial.changes)
            assert topology.n_inputs == 140 and trial.recipe["epochs"] == 3
        assert {t.architecture for t in trials if t.group == "neurons"} == set(ARCHITECTURES)
    assert not [trial for trial in plan("rows", 3, False) if trial.group == "speaker"]
    for quick, given, limit in ((True, None, 2048), (True, 99, 99), (False, 99, 99)):
        assert {t.recipe["limit"] for t in plan("rows", 3, quick, given)} == {limit}
    assert not any("limit" in trial.recipe for trial in plan("rows", 3, False))


def test_a_trial_is_measured_in_its_verilog(data: Path, tmp_path: Path) -> None:
    trial = Trial("neurons", 6, "spoken", "dmp", TINY, RECIPE | {"weight_bits": 4})
    row = run_trial(trial, str(data), str(tmp_path), 24, "-O0")
    assert row["differences"] == []
    assert float(np.float64(1e-310) * np.float64(0.5)) > 0, "the process is as it was"
    assert row["cycles_measured"] == row["cycles_predicted"] > 0
    assert row["multipliers"] <= row["budget"] == 24
    # W_f, W_m, c, w_x and b_x of both layers, and the readout.
    expected = (6 * 140 + 6 * 3 + 6 + 140 + 1) + (5 * 6 + 5 * 3 + 5 + 6 + 1) + (10 * 5 + 10)
    assert row["parameters"] == expected
    assert 0 <= row["accuracy_integer"] <= 1 and row["delays"] == [[], []]
    assert len(row["events_per_step"]) == 3
    [line] = [line for line in markdown([row]).splitlines() if "| dmp |" in line]
    assert f"| {expected} |" in line and f"| {row['cycles_per_sequence']:.0f} |" in line
    assert products(row) == pytest.approx(100 * sum(row["products_per_timestep"].values()))
    assert [path.name for path in plot([row], tmp_path)] == ["study_pareto.png"]
    pareto = plot_pareto([row])
    assert pareto is not None and not faults(pareto)
    [line] = [line for line in summary([row]).splitlines() if " dmp " in line]
    assert line.split()[-1] == f"{row['cycles_per_sequence']:.0f}" and len(line) <= 80


@pytest.mark.long
def test_what_is_done_is_not_done_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leave speakers out, which needs no Verilog, on one worker process."""
    trials = [
        Trial("speaker", speaker, "spoken", "fsnn", {"n_neurons": (6, 5)},
              RECIPE | {"without_speaker": speaker})
        for speaker in (0, 1)
    ]  # fmt: skip
    options: dict[str, Any] = {"budget": 24, "jobs": 1, "scheduler": None}
    rows = run_study(trials, data, tmp_path, **options)
    assert [row["value"] for row in rows] == [0, 1]
    for text in (markdown(rows), summary(rows)):
        assert "fsnn: " in text and "Mean over the speakers" in text

    def refuse(*args: Any) -> None:
        raise AssertionError("nothing is left to do")

    monkeypatch.setattr(tb.study, "run_trial", refuse)
    assert run_study(trials, data, tmp_path, **options) == json.loads(json.dumps(rows))
    changed = tmp_path / "trials" / f"{trials[0].name}.json"
    changed.write_text(changed.read_text().replace('"budget": 24', '"budget": 25'))
    with pytest.raises(Exception, match="nothing is left"):
        run_study(trials, data, tmp_path, **options)


def test_sweeps_and_delays_are_plotted(tmp_path: Path) -> None:
    row = {
        "group": "theta", "name": "some", "value": 10, "architecture": "dmp", "accuracy_float": 0.5,
        "accuracy_integer": 0.4, "cycles_per_sequence": 100.0, "delays": [[], [0, 2, 5]],
    }  # fmt: skip
    rows = [row, row | {"value": 20}]
    found = [path.name for path in plot(rows, tmp_path)]
    assert found == ["study_sweeps.png", "study_delays.png"]
    assert all((tmp_path / name).stat().st_size > 1000 for name in found)
    for figure in (plot_sweeps(rows), plot_delays(rows)):
        assert figure is not None and not faults(figure)


def test_what_is_unknown_is_named() -> None:
    result = CliRunner().invoke(main, ["--preset", "mnist"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: --preset mnist: use spoken, shd, ssc, rows")
    result = CliRunner().invoke(main, ["--group", "colour"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: --group colour: use neurons, state, theta, delays")
    result = CliRunner().invoke(main, ["--group", "neurons", "--value", "5"])
    assert result.exit_code == 2 and result.stderr == "error: --value 5: use 32, 64, 128\n"


def test_single_trials_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chosen: list[Trial] = []

    def record(trials: list[Trial], *_: Any, **__: Any) -> list[dict[str, Any]]:
        chosen.extend(trials)
        return []

    monkeypatch.setattr(tb.study, "run_study", record)
    options = ["--group", "neurons", "--group", "speaker", "--value", "64", "--value", "3"]
    options += ["--architecture", "fsnn", "--architecture", "dmp", "--limit", "100"]
    result = CliRunner().invoke(main, [*options, "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    expected = [
        (group, value, of)
        for group, value in (("neurons", 64.0), ("speaker", 3.0))
        for of in ("dmp", "fsnn")
    ]
    assert [(trial.group, trial.value, trial.architecture) for trial in chosen] == expected
    assert all(trial.recipe["limit"] == 100 for trial in chosen)


def test_a_damaged_data_folder_is_named(tmp_path: Path) -> None:
    trial = Trial("speaker", 0, "spoken", "dmp", TINY, RECIPE)
    with pytest.raises(UserError, match="has no fsdd"):
        run_trial(trial, str(tmp_path), str(tmp_path), 24, "-O0")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "spoken is not fetched: set --data to the folder that holds it"),
        (("--data", "nowhere"), "nowhere has no fsdd*140x100*.npz: set --data to the folder that"),
        (("--preset", "rows", "--data", __file__), f"{__file__} is a file: set --data to"),
        (("--preset", "rows", "--data", "nowhere"), "nowhere has no train-images-idx3-ubyte[.gz]"),
    ],
)
def test_without_its_data_a_study_ends_in_one_line(
    options: tuple[str, ...], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """And starts no worker, which would have its say, too."""
    with pytest.raises(SystemExit) as ended:
        main([*options, "--out", str(tmp_path / "out")])
    said = capfd.readouterr()
    assert ended.value.code == 2 and said.out == ""
    assert said.err.startswith(f"error: {message}") and said.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
