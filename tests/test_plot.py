"""The picture of one sequence, of every kind of network."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from matplotlib.collections import LineCollection, QuadMesh

from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.params import LayerParams, NetworkParams
from golden.picture import save_picture
from golden.readout_params import ReadoutParams
from tb.plot import MOST_LINES, plot_report
from tb.simulate import Simulation
from tests.pictures import faults, texts_of


def make_simulation(n_timesteps: int, n_inputs: int, n_classes: int, rate: float) -> Simulation:
    """Return two layers, the first with a slow state, whose neurons spike at a rate."""
    rng = np.random.default_rng(0)
    layers = (LayerParams(n_inputs, 40, 3), LayerParams(40, 130, 0))
    network = NetworkParams("some", layers, ReadoutParams(130, n_classes))

    def layer(index: int, sequence: int, count: int) -> Any:
        n, d = layers[index].n_neurons, layers[index].n_state
        return SimpleNamespace(
            spikes=rng.random((1, n_timesteps, n)) < rate,
            state=rng.integers(-999, 999, (1, n_timesteps, d)),
        )

    simulation = SimpleNamespace(
        core=CoreParams(network, HardwareParams(4)), n_timesteps=n_timesteps, layer=layer,
        classes=np.array([1]), logits=rng.integers(-99, 99, (1, n_classes)),
    )  # fmt: skip
    return cast(Simulation, simulation)


def test_a_label_that_is_not_known_is_not_shown() -> None:
    payloads = np.ones((2, 3), np.int64)
    figure = plot_report(make_simulation(2, 3, 2, 0.1), payloads, payloads.T, -1)
    title = texts_of(figure)[0].get_text()
    assert title.startswith("some, test sequence 0: read as 1 (2 timesteps")


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize(
    ("shape", "n_classes"), [((784, 1), 10), ((28, 28), 10), ((100, 140), 35), ((2, 3), 2)]
)
def test_no_texts_overlap_in_the_picture(
    shape: tuple[int, int], n_classes: int, graded: bool, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    payloads = rng.integers(0, 255 if graded else 2, shape)
    simulation = make_simulation(*shape, n_classes, 0.1)
    for image in (payloads.T, rng.integers(0, 255, (28, 28))):
        figure = plot_report(simulation, payloads, image, 1)
        assert not faults(figure)
        # What is shown and of which network; all panels over the time of the sequence.
        texts = [text.get_text() for text in texts_of(figure)]
        assert any(text.startswith("some, test sequence 0: class 1, read as 1") for text in texts)
        titles = [text for text in texts if text.startswith(("input: ", "layer "))]
        assert len(titles) == 4
        panels = [axes for axes in figure.axes if axes.get_title() in titles]
        limits = {axes.get_xlim() for axes in panels}
        places = {tuple(np.round(axes.get_position().intervalx, 6)) for axes in panels}
        assert limits == {(-0.5, shape[0] - 0.5)} and len(places) == 1
    save_picture(figure, tmp_path / "report.png")
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.5])
def test_few_spikes_are_lines_and_many_are_a_density(rate: float) -> None:
    n_timesteps = 300
    simulation = make_simulation(n_timesteps, 1, 10, rate)
    payloads = np.zeros((n_timesteps, 1), np.int64)
    figure = plot_report(simulation, payloads, np.zeros((4, 4)), 0)
    [axes] = [axes for axes in figure.axes if axes.get_title().startswith("layer 1: ")]
    lines = [c for c in axes.collections if isinstance(c, LineCollection)]
    meshes = [c for c in axes.collections if isinstance(c, QuadMesh)]
    expected = rate * n_timesteps * 130
    if expected > MOST_LINES:
        assert "density" in axes.get_title() and len(meshes) == 1 and not lines
        shares = np.asarray(meshes[0].get_array())
        assert shares.mean() == pytest.approx(100 * rate, rel=0.05)
    else:
        assert len(lines) == 1 and not meshes
        assert len(lines[0].get_segments()) == pytest.approx(expected, rel=0.15)
