"""The study: its plan, what a trial measures, and that what is done is not done again."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import study.run
from golden.errors import UserError
from golden.train.topology import find_topology
from study.plan import ARCHITECTURES, LEAKS, RATES, SPEAKERS, Study, Trial, choose
from study.report import (
    markdown,
    plot,
    plot_pareto,
    products,
    summary,
    traffic,
)
from study.run import main, run_study, run_trial
from tests.pictures import faults
from tests.spoken import write_hdf5

ROOT = Path(__file__).parents[1]
RECIPE = {"epochs": 1, "batch": 8, "augmentation": 0.0}
TINY = {"n_neurons": (6, 5), "n_state": 3}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with drawn spoken digits of two speakers."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for split, count in (("train", 160), ("test", 12)):
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


CHOSEN = {name: {"leak": 0.8, "learning_rate": 0.003} for name in ARCHITECTURES}


def test_every_trial_of_a_plan_can_be_trained_and_has_its_own_name() -> None:
    for quick in (False, True):
        study = Study("spoken", 3, quick=quick, seeds=2)
        trials = [*study.choices(ARCHITECTURES), *study.trials(CHOSEN)]
        assert len({trial.name for trial in trials}) == len(trials)
        assert all(trial.name.isidentifier() for trial in trials), "a network can be called that"
        for trial in trials:
            topology = find_topology("spoken", trial.architecture, **trial.changes)
            assert topology.n_inputs == 140 and trial.recipe["epochs"] == 3
        for group in ("neurons", "choice"):
            assert {t.architecture for t in trials if t.group == group} == set(ARCHITECTURES)
    assert not [trial for trial in Study("rows", 3).trials({}) if trial.group == "speaker"]
    for quick, given, limit in ((True, None, 2048), (True, 99, 99), (False, 99, 99)):
        study = Study("rows", 3, given, quick)
        of = [*study.choices(ARCHITECTURES), *study.trials({})]
        assert {t.recipe["limit"] for t in of} == {limit}
    assert not any("limit" in trial.recipe for trial in Study("rows", 3).trials({}))


def test_what_is_chosen_is_trained_with_and_the_test_set_has_no_part_in_it() -> None:
    study = Study("spoken", seeds=3)
    choices = study.choices(("dmp", "rsnn"))
    tried = {(t.architecture, t.changes["leak"], t.recipe["learning_rate"]) for t in choices}
    assert len(choices) == len(tried) == 2 * len(LEAKS) * len(RATES)
    assert {trial.recipe["held_out_speaker"] for trial in choices} == {0}
    assert {t.recipe["held_out"] for t in Study("rows").choices(("dmp",))} == {9}
    rows = [
        asdict(trial) | {"accuracy_float": 0.5 - abs(trial.changes["leak"] - leak) - rate}
        for trial in choices
        for leak, rate in [{"dmp": (0.8, 0.0), "rsnn": (0.98, trial.recipe["learning_rate"])}[
            trial.architecture
        ]]
    ]  # fmt: skip
    for row in rows:
        if row["architecture"] == "rsnn":
            row["accuracy_float"] += 2 * row["recipe"]["learning_rate"]
    chosen = choose(rows)
    assert chosen == {
        "dmp": {"leak": 0.8, "learning_rate": RATES[0]},
        "rsnn": {"leak": 0.98, "learning_rate": RATES[-1]},
    }
    trials = study.trials(chosen)
    for trial in trials:
        assert not {"held_out", "held_out_speaker"} & set(trial.recipe)
        found = (trial.changes.get("leak"), trial.recipe.get("learning_rate"))
        expected = chosen.get(trial.architecture)
        assert found == (tuple(expected.values()) if expected else (None, None))
    of = [t for t in trials if t.group == "speaker" and t.architecture == "dmp"]
    assert len(of) == len(SPEAKERS) * 3 * 3 and {trial.seed for trial in of} == {0, 1, 2}


def test_what_is_swept_is_tested_on_every_speaker_and_measured_once() -> None:
    trials = Study("spoken", seeds=3).trials({})
    swept = [trial for trial in trials if trial.group not in ("neurons", "speaker")]
    for (group, value), of in groupby(swept, lambda trial: (trial.group, trial.value)):
        found = list(of)
        left = [(t.recipe["without_speaker"], t.seed, t.recipe["epochs"]) for t in found]
        assert left == [(speaker, speaker, 30) for speaker in SPEAKERS], (group, value)
        assert [trial.measured for trial in found] == [True] + [False] * 4
    assert not [t for t in trials if t.group == "speaker" and t.measured]
    assert all(t.measured and t.recipe["epochs"] == 60 for t in trials if t.group == "neurons")
    of_choice = {t.recipe["held_out_speaker"] for t in Study("spoken").choices(("dmp",))}
    assert len(of_choice) == 1, "who chose is not tested on"
    assert not of_choice & {t.recipe.get("without_speaker") for t in trials}
    several = [t.seed for t in Study("rows", seeds=3).trials({}) if t.group == "dilation"]
    assert several == 5 * [0, 1, 2]
    for other in (Study("spoken", quick=True), Study("rows")):
        of_all = other.trials({})
        assert len({(t.group, t.value, t.architecture) for t in of_all}) == len(of_all)
        assert all(t.measured and "without_speaker" not in t.recipe for t in of_all)


def test_a_choice_that_cannot_be_trained_is_the_worst(data: Path, tmp_path: Path) -> None:
    recipe = RECIPE | {"learning_rate": 1e30}
    trial = Trial("choice", 0.5, "spoken", "fsnn", {"n_neurons": (6, 5), "leak": 0.5}, recipe)
    row = run_trial(trial, str(data), str(tmp_path), 24, "-O0")
    assert row["accuracy_float"] == 0 and row["curve"] == [] and row["parameters"] > 0
    assert "| 0.00 |" in markdown([row])
    other = row | {"accuracy_float": 0.1, "changes": {"leak": 0.9}}
    assert choose([row, other])["fsnn"]["leak"] == 0.9
    with pytest.raises(UserError, match="the loss is"):
        run_trial(replace(trial, group="neurons"), str(data), str(tmp_path), 24, "-O0")


def test_a_trial_is_measured_in_its_verilog(data: Path, tmp_path: Path) -> None:
    trial = Trial("neurons", 6, "spoken", "dmp", TINY, RECIPE | {"weight_bits": 4})
    row = run_trial(trial, str(data), str(tmp_path), 24, "-O0")
    assert row["differences"] == []
    assert float(np.float64(1e-310) * np.float64(0.5)) > 0, "the process is as it was"
    assert row["cycles_measured"] == row["cycles_predicted"] > 0
    assert row["multipliers"] <= row["budget"] == 24
    assert 0.1 < row["seconds"] < 600, "and Verilator's"
    # W_f, W_m, c, w_x and b_x of both layers, and the readout.
    expected = (6 * 140 + 6 * 3 + 6 + 140 + 1) + (5 * 6 + 5 * 3 + 5 + 6 + 1) + (10 * 5 + 10)
    assert row["parameters"] == expected
    assert 0 <= row["accuracy_integer"] <= 1 and row["delays"] == [[], []]
    assert len(row["events_per_step"]) == 3
    [line] = [line for line in markdown([row]).splitlines() if "| dmp |" in line]
    assert f"| {expected} |" in line and f"| {row['cycles_per_sequence']:.0f} |" in line
    assert traffic(row) == pytest.approx(100 * sum(row["bits_per_timestep"].values())) != 0
    assert f"| {traffic(row) / 1000:.0f} |" in line
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
        Trial("speaker", 6, "spoken", "fsnn", {"n_neurons": (6, 5)},
              RECIPE | {"without_speaker": speaker}, measured=False)
        for speaker in (0, 1)
    ]  # fmt: skip
    options: dict[str, Any] = {"budget": 24, "jobs": 1, "scheduler": None}
    rows = run_study(trials, data, tmp_path, **options)
    assert [row["recipe"]["without_speaker"] for row in rows] == [0, 1]
    assert "| fsnn | " in markdown(rows) and "fsnn, 6 neurons a layer, all speakers: " in summary(
        rows
    )

    def refuse(*args: Any) -> None:
        raise AssertionError("nothing is left to do")

    monkeypatch.setattr(study.run, "run_trial", refuse)
    assert run_study(trials, data, tmp_path, **options) == json.loads(json.dumps(rows))
    changed = tmp_path / "trials" / f"{trials[0].name}.json"
    changed.write_text(changed.read_text().replace('"budget": 24', '"budget": 25'))
    with pytest.raises(Exception, match="nothing is left"):
        run_study(trials, data, tmp_path, **options)


def write_words(path: Path, seed: int, n_classes: int, count: int) -> None:
    """Write words as SHD and SSC have them: ragged spikes of 700 channels, half-precision seconds,
    labels and speakers of 16 bits, and, beside them, what SHD tells of who spoke.
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % n_classes
    units, times = [], []
    for label in labels:
        n = int(rng.integers(150, 400))
        units.append((label * 700 // n_classes + rng.integers(0, 60, n)) % 700)
        times.append(np.sort(rng.gamma(4.0, 0.1, n)).clip(0, 1.4))
    people = rng.integers(0, 12, count)
    write_hdf5(path, {
        "spikes/times": [of.astype(np.float16) for of in times],
        "spikes/units": [of.astype(np.uint16) for of in units],
        "labels": labels.astype(np.uint16),
        "extra/speaker": people.astype(np.uint16),
        "extra/keys": np.array([f"word {n}".encode() for n in range(n_classes)]),
        "extra/meta_info/age": people.astype(np.uint16) + 20,
        "extra/meta_info/gender": np.array([b"female", b"male"])[people % 2],
        "extra/meta_info/body_height": people.astype(np.float64) + 160,
    })  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("preset", "n_classes", "steps"), [("shd", 20, 100), ("ssc", 35, 250)])
def test_the_papers_table_of_words_takes_one_command(
    preset: str, n_classes: int, steps: int, tmp_path: Path
) -> None:
    """Every architecture, its leak and rate chosen before, from files to Verilog."""
    for seed, (split, count) in enumerate((("train", 105), ("test", 70))):
        write_words(tmp_path / f"{preset}_{split}.h5", seed, n_classes, count)
    options = f"--preset {preset} --quick --epochs 2 --group neurons --out {tmp_path / 'out'}"
    done = subprocess.run(
        ["make", "study", f"DATA={tmp_path}", f"STUDY={options}"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((tmp_path / "out" / "study.json").read_text())
    of = {group: [r for r in rows if r["group"] == group] for group in ("choice", "neurons")}
    assert len(rows) == sum(map(len, of.values()))
    for group in of.values():
        assert [row["architecture"] for row in group] == list(ARCHITECTURES)
    for row in of["neurons"]:
        assert row["tested"] == 70 and len(row["curve"]) == 2 and row["differences"] == []
        assert row["cycles_per_sequence"] / row["cycles_measured"] == pytest.approx(steps)
        assert row["microjoules"] > 0
    assert {row["tested"] for row in of["choice"]} == {12}, "of 105 training words"
    table = (tmp_path / "out" / "study.md").read_text()
    assert all(f"| {name} |" in table for name in ARCHITECTURES)


@pytest.mark.long
def test_a_quick_study_ends_in_minutes(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        ["make", "study", f"DATA={data}", f"STUDY=--quick --epochs 2 --out {out}"],
        cwd=ROOT, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    names = {path.name for path in out.iterdir()}
    pictures = {f"study_{name}.png" for name in ("pareto", "sweeps", "curves", "delays")}
    assert pictures | {"study.json", "study.md"} <= names
    groups = {row["group"] for row in json.loads((out / "study.json").read_text())}
    assert groups == {
        "choice", "neurons", "state", "theta", "delays", "fixed delays", "dilation", "bits",
        "slow bits",
    }  # fmt: skip


def test_what_is_unknown_is_named(tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, ["--preset", "mnist", *out])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: --preset mnist: use spoken, shd, ssc, rows")
    result = CliRunner().invoke(main, ["--group", "colour", *out])
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "error: --group colour: use choice, neurons, state, theta, delays"
    )
    result = CliRunner().invoke(main, ["--group", "neurons", "--value", "5", *out])
    assert result.exit_code == 2 and result.stderr == "error: --value 5: use 32, 64, 128\n"


def test_single_trials_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chosen: list[Trial] = []

    def record(trials: list[Trial], *_: Any, **__: Any) -> list[dict[str, Any]]:
        chosen.extend(trials)
        return []

    monkeypatch.setattr(study.run, "run_study", record)

    def names() -> list[tuple[str, float, str]]:
        found = [(trial.group, trial.value, trial.architecture) for trial in chosen]
        chosen.clear()
        return found

    options = ["--group", "neurons", "--group", "speaker", "--value", "64"]
    options += ["--architecture", "fsnn", "--architecture", "dmp", "--limit", "100"]
    expected = [
        (group, 64.0, of)
        for group, times in (("neurons", 1), ("speaker", len(SPEAKERS)))
        for of in ("dmp", "fsnn")
        for _ in range(times)
    ]
    for choice in (False, True):
        more = ["--out", str(tmp_path), *["--no-choice"] * (not choice)]
        result = CliRunner().invoke(main, [*options, *more])
        assert result.exit_code == 0, result.output
        assert all(trial.recipe["limit"] == 100 for trial in chosen)
        found = names()
        choices = [trial for trial in found if trial[0] == "choice"]
        assert {of for *_, of in choices} == ({"dmp", "fsnn"} if choice else set())
        assert found == [*choices, *expected], "what is chosen comes first"
    CliRunner().invoke(
        main, ["--group", "choice", "--architecture", "rsnn", "--out", str(tmp_path)]
    )
    assert {(group, of) for group, _, of in names()} == {("choice", "rsnn")}


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
