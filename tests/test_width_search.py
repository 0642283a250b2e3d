"""The search for the narrowest widths within a loss."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dmp_core.frontends.layers import Lif, Readout, from_layers
from golden import width_search
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.integer import run
from golden.picture import save_picture
from golden.quantize import quantize
from golden.reals import run_reals
from golden.width_search import WIDEST, Trial, Widths, WidthSearch, search_widths

RNG = np.random.default_rng(8)
NETWORK = from_layers(
    [Lif(RNG.normal(0.1, 0.4, (16, 8)), RNG.normal(0, 0.1, 16), leak=0.85)],
    Readout(RNG.normal(size=(4, 16))),
).network


def draw(count: int) -> np.ndarray:
    rates = RNG.uniform(0.05, 0.6, (count, 1, 8))
    return (RNG.random((count, 15, 8)) < rates).astype(np.int64)


CALIBRATION, PAYLOADS = draw(30), draw(200)
REAL = run_reals(NETWORK, PAYLOADS).logits.argmax(1)


@pytest.fixture(scope="module")
def found() -> WidthSearch:
    told: list[int] = []
    found = search_widths(NETWORK, CALIBRATION, PAYLOADS, max_loss=3.0, progress=told.append)
    assert sum(told) == len(found.trials), "one by one"
    return found


def loss_of(widths: Widths, right: np.ndarray = REAL) -> tuple[float, int]:
    """Return loss and bits, computed at once."""
    network = quantize(NETWORK, CALIBRATION, "x", widths.formats, widths.weights).network
    equal = np.mean(run(network, PAYLOADS).classes == right)
    return 100 * float(np.mean(REAL == right) - equal), CoreParams(network.params).memory_bits


def test_the_chosen_one_is_within_the_loss_and_smaller_than_the_others(found: WidthSearch) -> None:
    loss, bits = loss_of(found.chosen.widths)
    assert found.chosen.loss == pytest.approx(loss) and found.chosen.loss <= 3.0
    assert found.chosen.memory_bits == bits < loss_of(WIDEST)[1] / 2
    assert all(one.memory_bits >= bits for one in found.trials if one.loss <= 3.0)
    assert found.chosen.cost == min(one.cost for one in found.trials if one.loss <= 3.0)
    same = [Trial(Widths(5, 8, leaks), 0.0, 100, None) for leaks in (16, 4, 6)]
    assert min(same, key=lambda trial: trial.cost).widths.leaks == 4
    network = found.chosen.network
    assert network is not None and network.params.layers[0].formats.w_f.width <= 8
    assert network.params.readout.w_o.width == found.chosen.widths.weights
    # Of these, a step narrower in one width is tried, or known to lose more.
    further = [one for one in found.trials if one.memory_bits < bits]
    assert further and all(one.loss > 3.0 for one in further)
    assert 15 < len(found.trials) < 60 and len({one.widths for one in found.trials}) == len(
        found.trials
    )


def test_it_knows_the_widths_that_the_page_tells() -> None:
    page = (Path(__file__).parents[1] / "docs" / "importing.md").read_text()
    for name, steps in width_search.STEPS.items():
        assert f"{name} of {', '.join(map(str, steps))} bits" in page


def test_it_goes_on_with_the_one_that_saves_most(found: WidthSearch) -> None:
    best = min((one for one in found.trials[1:4] if one.loss <= 3.0), key=lambda of: of.memory_bits)
    for trial in found.trials[4:]:
        assert np.all(np.array(astuple(trial.widths)) <= astuple(best.widths))


def test_every_trial_is_measured(found: WidthSearch) -> None:
    for trial in found.trials[::5]:
        if np.isfinite(trial.loss):
            assert (trial.loss, trial.memory_bits) == pytest.approx(loss_of(trial.widths))


def test_more_loss_is_less_memory_and_none_is_exact(found: WidthSearch) -> None:
    exact = search_widths(NETWORK, CALIBRATION, PAYLOADS, max_loss=0.0)
    assert exact.chosen.loss <= 0 and exact.chosen.memory_bits > found.chosen.memory_bits


def test_with_labels_the_loss_is_one_of_accuracy() -> None:
    labels = np.where(np.arange(200) % 3 == 0, (REAL + 1) % 4, REAL)  # two of three are right
    done = search_widths(NETWORK, CALIBRATION, PAYLOADS, labels, max_loss=2.0)
    for trial in (done.chosen, done.trials[0]):
        assert trial.loss == pytest.approx(loss_of(trial.widths, labels)[0])
    assert "accuracy" in done.report()


def test_the_table_and_the_picture_show_it(found: WidthSearch, tmp_path: Path) -> None:
    report = found.report()
    (line,) = [line for line in report.splitlines() if "chosen" in line]
    widths = found.chosen.widths
    shown = [str(one) for one in (widths.weights, widths.membranes, widths.leaks)]
    assert line.split()[:5] == [*shown, f"{found.chosen.loss:.2f}", str(found.chosen.memory_bits)]
    assert len(report.splitlines()) == len(found.trials) + 3
    pytest.importorskip("matplotlib")
    figure = found.picture()
    axes: Any = figure.axes[0]
    assert f"weights {widths.weights}" in axes.get_legend().get_texts()[0].get_text()
    assert len(axes.lines[0].get_xdata()) == sum(np.isfinite(one.loss) for one in found.trials)
    assert save_picture(figure, tmp_path / "widths.png").stat().st_size > 5000


def test_what_cannot_be_searched_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    spikes = from_layers([Lif(np.ones((2, 8)))]).network
    with pytest.raises(UserError, match="without a readout has no classes to lose"):
        search_widths(spikes, CALIBRATION, PAYLOADS, max_loss=1)
    with pytest.raises(UserError, match="no sequences for the search"):
        search_widths(NETWORK, CALIBRATION, PAYLOADS[:0], max_loss=1)
    with pytest.raises(UserError, match=r"\(3,\) labels of 200 sequences"):
        search_widths(NETWORK, CALIBRATION, PAYLOADS, [0, 1, 2], max_loss=1)
    with pytest.raises(UserError, match="max_loss nan: use a number"):
        search_widths(NETWORK, CALIBRATION, PAYLOADS, max_loss=float("nan"))
    monkeypatch.setattr(width_search, "WIDEST", Widths(2, 8, 3))
    with pytest.raises(UserError, match=r"even weights of 2, .* lose \d+\.\d\d points: allow mo"):
        search_widths(NETWORK, CALIBRATION, PAYLOADS, max_loss=0.5)
