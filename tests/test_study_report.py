"""What a study's tables and pictures say of its rows."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.plan import Trial
from study.report import (
    epochs_to,
    interval,
    markdown,
    plot,
    plot_curves,
    plot_delays,
    plot_sweeps,
    summary,
)
from tests.pictures import faults


def row_of(group: str, speaker: int | None, share: float, seed: int = 0) -> dict[str, Any]:
    """Return the row of a trial of 500 sequences that was not measured."""
    recipe = {"without_speaker": speaker}
    return asdict(Trial(group, 64, "spoken", "dmp", recipe=recipe)) | {
        "seed": seed, "tested": 500, "accuracy_float": share, "accuracy_integer": share,
        "parameters": 9, "events_per_step": [1.0],
    }  # fmt: skip


def test_other_speakers_add_sequences_and_other_seeds_do_not() -> None:
    for rows, count in (
        ([row_of("theta", 0, 0.8), row_of("theta", 1, 0.9)], 1000),
        ([row_of("theta", None, 0.8), row_of("theta", None, 0.9, 1)], 500),
    ):
        low, high = interval(0.85, count)
        assert f"85.00 (80.00 to 90.00) | {100 * low:.1f} to {100 * high:.1f} |" in markdown(rows)
    several = [(0, 0.5, 0), (1, 0.7, 0), (0, 0.8, 1), (1, 0.9, 1)]
    rows = [row_of("speaker", *of) for of in several]
    low, high = (f"{100 * end:.1f}" for end in interval(0.725, 1000))
    means = "72.50 (60.00 to 85.00)"
    expected = f"| 64 | dmp | 9 | 2 | 65.0 | 80.0 | {means} | {low} to {high} | {means} |"
    assert expected in markdown(rows).splitlines()
    assert [line.split("  ")[0] for line in summary(rows).splitlines()[2:5]] == [
        "speaker 64 without 0", "speaker 64 without 1", "speaker 64 without 0 seed",
    ]  # fmt: skip
    assert f"dmp, 64 neurons a layer, all speakers: {means} % float, {means} % integers" in summary(
        rows
    )


def test_when_a_curve_reaches_a_share() -> None:
    assert epochs_to([0.1, 0.5, 0.4, 0.6], 0.5) == 2
    assert epochs_to([0.1, 0.5, 0.4, 0.6], 0.55) == 4
    assert epochs_to([0.1, 0.5], 0.6) is None


def test_the_interval_is_wilsons() -> None:
    assert interval(0.9, 300) == pytest.approx((0.8609, 0.9292), abs=1e-3)
    low, high = interval(1.0, 300)
    assert high == pytest.approx(1) and low == pytest.approx(1 - 0.01264, abs=1e-4)


def test_sweeps_curves_and_delays_are_plotted(tmp_path: Path) -> None:
    row = {
        "preset": "rows", "group": "theta", "name": "some", "value": 10, "architecture": "dmp",
        "accuracy_float": 0.5, "accuracy_integer": 0.4, "cycles_per_sequence": 100.0, "seed": 0,
        "delays": [[], [0, 2, 5]], "curve": [0.2, 0.5], "recipe": {},
    }  # fmt: skip
    other_seed = row | {"seed": 1, "accuracy_integer": 0.6, "curve": [0.4, 0.5]}
    rows = [row, other_seed, row | {"value": 20}, row | {"group": "delays"}]
    found = [path.name for path in plot(rows, tmp_path)]
    assert found == ["study_sweeps.png", "study_curves.png", "study_delays.png"]
    assert all((tmp_path / name).stat().st_size > 1000 for name in found)
    sweeps, curves, delays = plot_sweeps(rows), plot_curves(rows), plot_delays(rows)
    for figure in (sweeps, curves, delays):
        assert figure is not None and not faults(figure)
    assert sweeps is not None and curves is not None and delays is not None
    accuracy = sweeps.axes[0].containers[0][0].get_xydata()  # pyright: ignore
    assert accuracy == pytest.approx(np.array([[10, 50], [20, 40]])), "the mean of the seeds"
    assert curves.axes[0].lines[0].get_ydata() == pytest.approx([70, 50])
    assert len(delays.axes) == 3, "of the first seed"
