"""Training: what an epoch does to the weights, that it learns, and that several processes train one
network.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from golden.data.dataset import load_dataset, load_splits
from golden.errors import UserError
from golden.formats import Fixed
from golden.params import LayerFormats
from golden.train import loop as train_module
from golden.train.checkpoint import load_network, load_recipe
from golden.train.convert import layers_of
from golden.train.curve import plot_curve
from golden.train.loop import Recipe, evaluate, train
from golden.train.model import DmpNetwork
from golden.train.process import Process
from golden.train.topology import ARCHITECTURES, TOPOLOGIES, find_topology
from golden.train.train_command import main
from tests.pictures import faults
from tests.trainings import ROWS, curve, train_rows, weights

ROOT = Path(__file__).parents[1]


def test_the_average_of_the_weights_is_kept(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Follow one weight through every step: what is kept is its mean, weighted 3/4 for the past."""
    steps: list[torch.Tensor] = []
    original = train_module.swa_utils.AveragedModel.update_parameters

    def record(average: Any, network: DmpNetwork) -> None:
        steps.append(network.readout.weight.detach().clone())
        original(average, network)

    monkeypatch.setattr(train_module.swa_utils.AveragedModel, "update_parameters", record)
    path = train_rows(data, tmp_path, epochs=2, batch=16, averaging=0.75)
    expected = steps[0]
    for step in steps[1:]:
        expected = 0.75 * expected + 0.25 * step
    kept = weights(path)["readout.weight"]
    torch.testing.assert_close(kept, expected)
    assert len(steps) == 8 and not torch.allclose(kept, steps[-1])
    test = load_dataset("rows", data, "test")
    assert curve(tmp_path)[-1]["test_accuracy"] == str(evaluate(load_network(path), test))


def test_a_seed_says_it_all(data: Path, tmp_path: Path) -> None:
    def readout(folder: str, seed: int) -> torch.Tensor:
        path = train_rows(data, tmp_path / folder, epochs=1, batch=32, seed=seed)
        return weights(path)["readout.weight"]

    first = readout("a", 1)
    assert torch.equal(first, readout("b", 1)) and not torch.equal(first, readout("c", 2))


def test_every_epoch_of_every_seed_has_its_own_order(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []
    original = train_module.augmented

    def record(dataset: Any, chosen: np.ndarray, *rest: Any) -> np.ndarray:
        seen.append(chosen.tolist())
        return original(dataset, chosen, *rest)

    monkeypatch.setattr(train_module, "augmented", record)
    for seed in (1, 2):
        train_rows(data, tmp_path / str(seed), epochs=2, batch=64, seed=seed)
    assert len(seen) == len({tuple(order) for order in seen}) == 4
    assert all(sorted(order) == list(range(64)) for order in seen), "each epoch has every digit"


def test_a_training_that_diverges_ends_in_one_line(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^rows: the loss is nan in epoch \d: use a lower --learn"):
        train_rows(data, tmp_path, epochs=2, batch=32, learning_rate=float("inf"))
    assert not (tmp_path / "rows.pt").exists()


def test_a_quiet_training_says_nothing(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        train("rows", ROWS, data, tmp_path, Recipe(epochs=1, batch=32), quiet=True)
    assert capfd.readouterr() == ("", "")


def test_it_learns(data: Path, tmp_path: Path) -> None:
    """Tell bars of ten heights apart, which even 40 steps must teach; the curve is drawn."""
    recipe = Recipe(epochs=5, batch=8, augmentation=0)
    path = train("rows", TOPOLOGIES["rows"], data, tmp_path, recipe)
    rows = curve(tmp_path)
    assert [int(row["epoch"]) for row in rows] == list(range(1, 6))
    assert float(rows[-1]["loss"]) < 0.7 * float(rows[0]["loss"])
    network = load_network(path)
    training, test = (load_dataset("rows", data, split) for split in ("train", "test"))
    assert evaluate(network, training) >= 0.5
    assert evaluate(network, test, batch=7) == float(rows[-1]["test_accuracy"])
    picture = (tmp_path / "rows.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 5000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "rows.csv", "rows.png", "rows.pt"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_trains(architecture: str, data: Path, tmp_path: Path) -> None:
    """Every parameter moves; delays too, whose rate is ten times the others', within their
    bounds.
    """
    state = {} if ARCHITECTURES[architecture].get("n_state", 4) == 0 else {"n_state": 4}
    topology = find_topology("spoken", architecture, n_neurons=(12, 10), leak=0.9, **state)
    torch.manual_seed(2)
    before = DmpNetwork(topology)
    path = train(
        "some", topology, data, tmp_path, Recipe(epochs=1, batch=24, seed=2, learning_rate=0.5)
    )
    after = load_network(path)
    moved = {
        name: float((p - q).detach().abs().max())
        for (name, p), q in zip(before.named_parameters(), after.parameters(), strict=True)
    }
    # The first step of Adam is the learning rate, of which the warm-up's first step is a 50th.
    for name, distance in moved.items():
        assert distance == pytest.approx(0.1 if "delays" in name else 0.01, rel=0.1), name
    assert any("delays" in name for name in moved) == bool(topology.max_delay)
    for layer in layers_of(after):
        if topology.max_delay:
            assert 0 <= layer.held_back().min() and layer.held_back().max() <= topology.max_delay
    assert math.isfinite(float(curve(tmp_path, "some")[0]["loss"]))


def test_fixed_delays_stay_as_they_were_drawn_and_what_is_held_out_is_tested_on(
    data: Path, tmp_path: Path
) -> None:
    topology = find_topology("spoken", "dmp-delays", n_neurons=(12, 10), n_state=4, leak=0.9)
    torch.manual_seed(3)
    before = DmpNetwork(topology)
    recipe = Recipe(2, batch=8, seed=3, augmentation=0, learn_delays=False, held_out=4)
    path = train("some", topology, data, tmp_path, recipe)
    after = load_network(path)
    moved = {
        name
        for (name, p), q in zip(before.named_parameters(), after.parameters(), strict=True)
        if not torch.equal(p, q)
    }
    names = {name for name, _ in before.named_parameters()}
    assert names - moved == {"layers.0.delays", "layers.1.delays"}
    assert before.n_parameters() == after.n_parameters(), "they are stored, learned or not"
    held_out = load_splits("spoken", data, held_out=4)[1]
    assert evaluate(after, held_out) == float(curve(tmp_path, "some")[-1]["test_accuracy"])
    assert {"learn_delays", "held_out"} <= set(load_recipe(path))


def test_delays_stay_within_bounds_however_far_they_are_driven(data: Path, tmp_path: Path) -> None:
    topology = find_topology("spoken", "dsnn", n_neurons=(12, 10), max_delay=5, leak=0.9)
    recipe = Recipe(epochs=4, batch=8, learning_rate=2.0)
    network = load_network(train("some", topology, data, tmp_path, recipe))
    delays = torch.cat([layer.delays.detach() for layer in layers_of(network)])
    held = torch.cat([layer.held_back() for layer in layers_of(network)])
    assert delays.min() < 0 and delays.max() > 5, "the rate drives them beyond"
    assert held.min() == 0 and held.max() == 5


def test_only_the_last_epochs_are_quantization_aware(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both of these trainings differ in the last two of three epochs only."""
    calls: list[tuple[bool, int, Fixed, Fixed]] = []
    original = train_module.apply_grids

    def record(network: DmpNetwork, payloads: np.ndarray, widths: LayerFormats) -> None:
        calls.append((layers_of(network)[0].grids is None, len(payloads), widths.w_f, widths.p))
        original(network, payloads, widths)

    monkeypatch.setattr(train_module, "apply_grids", record)
    settings = {"epochs": 3, "batch": 16}
    plain = train_rows(data, tmp_path / "plain", **settings)
    assert not calls
    aware = train_rows(
        data, tmp_path / "aware", **settings, aware_epochs=2, weight_bits=3, slow_bits=4
    )
    assert [call[:2] for call in calls] == [(True, 64), (False, 64)]
    assert {(call[2].width, call[3].width) for call in calls} == {(3, 4)}
    rows = [curve(tmp_path / name) for name in ("plain", "aware")]
    assert rows[0][0] == rows[1][0] and rows[0][1]["loss"] != rows[1][1]["loss"]
    assert not torch.equal(weights(plain)["readout.weight"], weights(aware)["readout.weight"])
    # What is stored are the weights that training goes on with, not their roundings.
    assert len(weights(aware)["layers.0.fast.weight"].unique()) > 100


def test_processes_share_a_batch() -> None:
    batch = np.arange(10) * 3
    shares = [Process(rank, 3, torch.device("cpu")).share(batch) for rank in range(3)]
    assert sorted(np.concatenate(shares)) == batch.tolist()
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert [Process(rank, 3, torch.device("cpu")).first for rank in range(3)] == [
        True,
        False,
        False,
    ]


@pytest.mark.long
def test_two_processes_train_one_network(data: Path, tmp_path: Path) -> None:
    """Their gradients are those of one process with the whole batch."""
    options = [
        "spoken", "--data", str(data), "--neurons", "12,10", "--state", "4", "--epochs", "2",
        "--batch", "12", "--augmentation", "0", "--architecture", "dmp-delays", "--name", "some",
        "--leak", "0.9",
    ]  # fmt: skip
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [
            *launcher,
            "--nproc-per-node",
            "2",
            "-m",
            "dmp_core",
            "train",
            *options,
            "--out",
            str(tmp_path),
        ],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("parameters, epochs 1 to 2") == 1, "only one of them tells"
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"data", "some.csv", "some.png", "some.pt"}
    assert [row["epoch"] for row in curve(tmp_path, "some")] == ["1", "2"]
    assert load_recipe(tmp_path / "some.pt")["epochs_done"] == 2
    alone = CliRunner().invoke(main, [*options, "--out", str(tmp_path / "alone")])
    assert alone.exit_code == 0, alone.output
    torch.manual_seed(0)
    topology = find_topology("spoken", "dmp-delays", n_neurons=(12, 10), n_state=4, leak=0.9)
    before = DmpNetwork(topology).state_dict()
    one, two = weights(tmp_path / "alone" / "some.pt"), weights(tmp_path / "some.pt")
    for name in ("layers.0.fast.weight", "layers.1.fast.weight", "readout.weight"):
        steps = torch.stack([(found[name] - before[name]).flatten() for found in (one, two)])
        assert float(torch.corrcoef(steps)[0, 1]) > 0.95, name


@pytest.mark.parametrize("epochs", [1, 2, 40])
def test_no_texts_overlap_in_the_learning_curve(epochs: int) -> None:
    """Epochs are whole numbers; an error of none is shown as the least."""
    rows = [
        {"epoch": epoch + 1, "train_accuracy": 1 - 0.6**epoch, "test_accuracy": 0.97}
        for epoch in range(epochs)
    ]
    figure = plot_curve(
        [*rows, {"epoch": epochs + 1, "train_accuracy": 1.0, "test_accuracy": 0.98}], "x"
    )
    assert not faults(figure)
    [axes] = figure.axes
    low, high = axes.get_xlim()
    shown = [
        tick.get_text() for tick in axes.get_xticklabels() if low <= tick.get_position()[0] <= high
    ]
    assert shown and all(float(text).is_integer() for text in shown)
