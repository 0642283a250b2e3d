"""Training: interrupted and resumed it ends as if it had not been, what cannot be continued is
refused, and several processes train one network.
"""

from __future__ import annotations

import csv
import math
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from golden.data.dataset import load_dataset
from golden.errors import UserError
from golden.formats import SPIKE, Fixed
from golden.params import LayerFormats
from golden.train import loop as train_module
from golden.train.checkpoint import load_network, load_recipe
from golden.train.convert import layers_of
from golden.train.curve import plot_curve
from golden.train.loop import Process, Recipe, evaluate, train
from golden.train.model import DmpNetwork
from golden.train.topology import ARCHITECTURES, TOPOLOGIES, Topology, find_topology
from golden.train.train_command import main
from tests.mnist import make_mnist
from tests.pictures import faults
from tests.spoken import make_spoken

ROOT = Path(__file__).parents[1]
# Small, and of a leak at which so few neurons fire.
ROWS = replace(TOPOLOGIES["rows"], n_neurons=(16, 12), n_state=4, leak=0.9)
SPOKEN = replace(TOPOLOGIES["spoken"], n_neurons=(12, 10), n_state=4, leak=0.9)
SETTINGS: dict[str, Any] = {"epochs": 2, "batch": 16, "seed": 3}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with digits, and spoken ones."""
    make_mnist(tmp_path / "data", monkeypatch)
    make_spoken(tmp_path / "data")
    return tmp_path / "data"


def train_rows(data: Path, out: Path, **recipe: Any) -> Path:
    return train("rows", ROWS, data, out, Recipe(**recipe))


def curve(folder: Path, name: str = "rows") -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_network(path).state_dict()


@pytest.mark.parametrize(
    ("stop_in", "topology", "recipe"),
    [
        ("evaluate", ROWS, Recipe(**SETTINGS)),
        ("save", ROWS, Recipe(**SETTINGS)),
        (
            "evaluate",
            replace(ROWS, recurrent=True, n_state=0),
            Recipe(**SETTINGS, aware_epochs=1),
        ),
        ("evaluate", ROWS, Recipe(**SETTINGS, averaging=0.9, aware_epochs=1)),
        ("evaluate", replace(ROWS, per_neuron=True), Recipe(**SETTINGS, aware_epochs=1)),
        (
            "save",
            replace(SPOKEN, max_delay=7),
            Recipe(epochs=2, batch=8, seed=3, aware_epochs=2, without_speaker=1),
        ),
    ],
    ids=["evaluate", "save", "recurrent", "averaged", "neurons", "delays"],
)
def test_resuming_ends_where_an_uninterrupted_training_ends(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_in: str,
    topology: Topology,
    recipe: Recipe,
) -> None:
    """Stop in the second epoch: before its row of the curve is written, or after that but before
    its checkpoint is.
    """
    whole = train("some", topology, data, tmp_path / "whole", recipe)
    place, name = (train_module, "evaluate") if stop_in == "evaluate" else (torch, "save")
    calls, original = 0, getattr(place, name)

    def stop_at_second(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return original(*args)

    with monkeypatch.context() as patched:
        patched.setattr(place, name, stop_at_second)
        with pytest.raises(KeyboardInterrupt):
            train("some", topology, data, tmp_path / "parts", recipe)
    assert load_recipe(tmp_path / "parts" / "some.pt")["epochs_done"] == 1
    torch.manual_seed(99)  # nothing may hang on the state that the interrupted process had
    parts = train("some", topology, data, tmp_path / "parts", recipe)
    expected, found = weights(whole), weights(parts)
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert torch.equal(value, found[key]), key
    assert curve(tmp_path / "parts", "some") == curve(tmp_path / "whole", "some")
    assert [row["epoch"] for row in curve(tmp_path / "parts", "some")] == ["1", "2"]


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


def test_training_again_with_other_settings_is_refused(data: Path, tmp_path: Path) -> None:
    path = train_rows(data, tmp_path, epochs=1, batch=32)
    before = path.read_bytes()
    for change in ({"seed": 1}, {"weight_bits": 4}, {"augmentation": 0.0}, {"limit": 40}):
        with pytest.raises(UserError, match=r"rows\.pt was trained with other settings: move it"):
            train_rows(data, tmp_path, **{"epochs": 1, "batch": 32} | change)
    with pytest.raises(UserError, match=r"rows\.pt was trained with other settings: move it"):
        train("rows", replace(ROWS, leak=0.25), data, tmp_path, Recipe(epochs=1, batch=32))
    assert path.read_bytes() == before
    assert train_rows(data, tmp_path, epochs=1, batch=32) == path, "finished: nothing is left to do"
    assert path.read_bytes() == before


def test_a_training_that_diverges_ends_in_one_line(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^rows: the loss is nan in epoch \d: use a lower --learn"):
        train_rows(data, tmp_path, epochs=2, batch=32, learning_rate=float("inf"))
    assert not (tmp_path / "rows.pt").exists()


def test_settings_that_a_checkpoint_does_not_know_had_their_defaults(
    data: Path, tmp_path: Path
) -> None:
    path = train_rows(data, tmp_path, epochs=2, batch=16, limit=32)
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["settings"].pop("limit") == 32
    torch.save(checkpoint, path)
    train_rows(data, tmp_path, epochs=2, batch=16)
    with pytest.raises(UserError, match="trained with other settings"):
        train_rows(data, tmp_path, epochs=2, batch=16, limit=32)


def test_a_checkpoint_from_before_neurons_had_values_of_their_own_goes_on(
    data: Path, tmp_path: Path
) -> None:
    """It says nothing of them, and calls a reset to 0 `zero`."""
    topology, settings = replace(ROWS, reset="to_value"), Recipe(epochs=1, batch=32)
    path = train("rows", topology, data, tmp_path, settings)
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["topology"].pop("per_neuron")
    checkpoint["topology"]["reset"] = "zero"
    torch.save(checkpoint, path)
    assert load_network(path).topology == topology
    assert train("rows", topology, data, tmp_path, settings) == path, "it is the same training"
    with pytest.raises(UserError, match="trained with other settings"):
        train("rows", replace(topology, per_neuron=True), data, tmp_path, settings)


def test_a_finished_training_says_so(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_rows(data, tmp_path, epochs=1, batch=32)
    assert "parameters, epochs 1 to 1" in capsys.readouterr().out
    path = train_rows(data, tmp_path, epochs=1, batch=32)
    expected = f"rows: all 1 epochs are done, nothing is left to train: {path}\n"
    assert capsys.readouterr().out == expected


def test_a_quiet_training_says_nothing(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        train("rows", ROWS, data, tmp_path, Recipe(epochs=1, batch=32), quiet=True)
    assert capfd.readouterr() == ("", "")


def test_too_few_sequences_for_a_batch_are_named(data: Path, tmp_path: Path) -> None:
    arguments = ["rows", "--data", str(data), "--out", str(tmp_path / "out"), "--limit", "50"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2 and result.stderr == (
        "error: 50 training sequences do not fill a batch of 128: use a smaller --batch or a larger"
        " --limit\n"
    )
    assert not (tmp_path / "out").exists()


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
    calls: list[tuple[bool, int, Fixed]] = []
    original = train_module.apply_grids

    def record(network: DmpNetwork, payloads: np.ndarray, widths: LayerFormats) -> None:
        calls.append((layers_of(network)[0].grids is None, len(payloads), widths.w_f))
        original(network, payloads, widths)

    monkeypatch.setattr(train_module, "apply_grids", record)
    settings = {"epochs": 3, "batch": 16}
    plain = train_rows(data, tmp_path / "plain", **settings)
    assert not calls
    aware = train_rows(data, tmp_path / "aware", **settings, aware_epochs=2, weight_bits=3)
    assert [call[:2] for call in calls] == [(True, 64), (False, 64)]
    assert {call[2].width for call in calls} == {3}
    rows = [curve(tmp_path / name) for name in ("plain", "aware")]
    assert rows[0][0] == rows[1][0] and rows[0][1]["loss"] != rows[1][1]["loss"]
    assert not torch.equal(weights(plain)["readout.weight"], weights(aware)["readout.weight"])
    # What is stored are the weights that training goes on with, not their roundings.
    assert len(weights(aware)["layers.0.fast.weight"].unique()) > 100


def test_starting_from_another_networks_weights(data: Path, tmp_path: Path) -> None:
    """At a learning rate of 0, nothing else changes them."""
    first = train_rows(data, tmp_path / "first", epochs=1, batch=32)
    settings = {"epochs": 1, "batch": 32, "seed": 1, "learning_rate": 0.0, "start": str(first)}
    second = train_rows(data, tmp_path / "second", **settings)
    for name, value in weights(first).items():
        assert torch.equal(value, weights(second)[name]), name
    assert load_recipe(second)["start"] == load_recipe(first), "not a place on this machine"
    with pytest.raises(UserError, match="other settings"):
        train_rows(data, tmp_path / "second", **settings | {"start": None})
    other = replace(ROWS, n_neurons=(16, 13))
    with pytest.raises(UserError, match=r"rows\.pt has another shape than the network: start from"):
        train("rows", other, data, tmp_path / "third", Recipe(**settings))
    with pytest.raises(UserError, match="no checkpoint nowhere.pt"):
        train_rows(data, tmp_path / "third", **settings | {"start": "nowhere.pt"})
    assert not (tmp_path / "third").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 damaged"])
def test_a_damaged_checkpoint_is_named(content: bytes, tmp_path: Path, data: Path) -> None:
    path = tmp_path / "rows.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"rows\.pt is not a checkpoint"):
        load_network(path)
    with pytest.raises(UserError, match=r"rows\.pt is not a checkpoint"):
        train_rows(data, tmp_path, **SETTINGS)


def test_a_strange_checkpoint_is_named(data: Path, tmp_path: Path) -> None:
    path = train_rows(data, tmp_path, epochs=1, batch=32)
    checkpoint = torch.load(path, weights_only=True)
    topology = checkpoint["topology"]
    assert Topology.from_dict(topology) == ROWS
    for changed in ("rows", {}, topology | {"speed": 1}, topology | {"payload": 3}):
        torch.save(checkpoint | {"topology": changed}, path)
        for load in (lambda: load_network(path), lambda: train_rows(data, tmp_path, batch=32)):
            with pytest.raises(UserError, match="has a topology that this version does not know"):
                load()
    for changed in (topology | {"n_neurons": [16, 13]}, topology | {"recurrent": True}):
        torch.save(checkpoint | {"topology": changed}, path)
        with pytest.raises(UserError, match="has another shape than its topology says"):
            load_network(path)
    torch.save({"some": 1}, path)
    with pytest.raises(UserError, match="is not a checkpoint of golden"):
        load_network(path)
    with pytest.raises(UserError, match="no checkpoint .*: train one first"):
        load_network(tmp_path / "none.pt")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("preset", TOPOLOGIES)
def test_topologies_are_kept_whole(preset: str, architecture: str) -> None:
    topology = find_topology(preset, architecture, n_neurons=(3, 4, 5))
    assert Topology.from_dict(topology.to_dict()) == topology
    n_layers = len(topology.layers)
    assert n_layers == 3 and [layer.n_inputs for layer in topology.layers[1:]] == [3, 4]
    assert [layer.payload for layer in topology.layers[1:]] == [SPIKE] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["mnist"],
            "unknown network 'mnist': use one of smnist, psmnist, rows, spoken, shd, ssc\n",
        ),
        (
            ["rows", "--data", "nowhere"],
            "nowhere has no train-images-idx3-ubyte[.gz]: set --data to the folder",
        ),
        (["rows", "--data", __file__], f"{__file__} is a file: set --data to the f"),
        (["shd", "--data", __file__], f"{__file__} is a file: set --data to the f"),
        (["spoken"], "spoken is not fetched: set --data to the folder that holds it\n"),
        (["rows", "--neurons", "12;10"], "--neurons 12;10: use numbers, as in 200,200\n"),
        (["rows", "--neurons", ""], "--neurons : use numbers, as in 200,200\n"),
        (["rows", "--neurons", "12,0"], "--neurons 12,0: use 1 or more in each layer\n"),
        (
            ["rows", "--architecture", "rsnn", "--state", "3"],
            "a recurrent network with a slow state: use one of the two (--state 0 leaves it out)\n",
        ),
        (
            ["rows", "--without-speaker", "3"],
            "rows has no speakers to leave out: only spoken has\n",
        ),
    ],
)
def test_the_command_refuses_in_one_line(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2 and result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option",
    [
        "--theta=0", "--leak=1.5", "--max-delay=256", "--weight-bits=1", "--weight-bits=17",
        "--architecture=cnn", "--dilation=0", "--epochs=0", "--aware-epochs=-1",
    ],
)  # fmt: skip
def test_the_command_refuses_values_out_of_range(option: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["rows", option, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2 and option.split("=")[0] in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_one_line(data: Path, tmp_path: Path) -> None:
    """A limit on the size of files, which only the checkpoint exceeds, stands for the disk."""
    out, before = tmp_path / "out", resource.getrlimit(resource.RLIMIT_FSIZE)
    options = ["--data", str(data), "--out", str(out), "--epochs", "1", "--batch", "8"]
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        done = CliRunner().invoke(main, ["rows", *options, "--limit", "16"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert done.exit_code == 2
    said = done.stderr.splitlines()[-1]
    assert said == f"error: {out / 'rows.pt'}: File too large: use another path"
    assert {path.name for path in out.iterdir()} == {"rows.csv", "rows.png"}


@pytest.mark.parametrize("name", ["a/b", "", "3", "a b"])
def test_a_name_that_no_network_can_have_is_refused(name: str, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(
        main, ["rows", "--data", str(data), "--out", str(out), "--name", name]
    )
    assert done.exit_code == 2 and f"a network called '{name}'" in done.stderr
    assert not out.exists()


def test_a_curve_of_something_else_stays(data: Path, tmp_path: Path) -> None:
    options = ["--data", str(data), "--out", str(tmp_path), "--epochs", "1", "--batch", "8"]
    for text in ("day,price\n1,2\n", "epoch\nMonday\n"):
        (tmp_path / "rows.csv").write_text(text)
        done = CliRunner().invoke(main, ["rows", *options, "--limit", "16"])
        assert done.exit_code == 2 and "rows.csv is no learning curve: move it" in done.stderr
        assert (tmp_path / "rows.csv").read_text() == text


def test_a_network_too_large_for_the_memory_is_one_line(data: Path, tmp_path: Path) -> None:
    options = ["--data", str(data), "--out", str(tmp_path / "out"), "--batch", "8"]
    done = CliRunner().invoke(main, ["rows", *options, "--neurons", "10000000,10000000"])
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("error: too little memory")


def test_what_is_no_checkpoint_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    for content in (b"hours", b"", b"PK", b"\x80\x02", b"{}"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="a.pt is not a checkpoint"):
            load_recipe(path)


def test_the_command_trains(data: Path, tmp_path: Path) -> None:
    options = [
        "--data", str(data), "--out", str(tmp_path), "--epochs", "1", "--batch", "8",
        "--limit", "16", "--threads", str(torch.get_num_threads()),
    ]  # fmt: skip
    result = CliRunner().invoke(main, ["rows", *options])
    assert result.exit_code == 0, result.output
    recipe = {"epochs_done": 1, "epochs": 1, "batch": 8, "learning_rate": 0.01, "seed": 0}
    recipe["limit"] = 16
    expected = recipe | {"topology": TOPOLOGIES["rows"].to_dict()}
    assert load_recipe(tmp_path / "rows.pt") == expected
    # Every option that says what to train, and how.
    options += [
        "--neurons", "9,7,5", "--state", "3", "--theta", "14.5", "--dilation", "2", "--max-delay",
        "4", "--leak", "0.25", "--learning-rate", "0.02", "--augmentation", "0", "--seed", "4",
        "--weight-bits", "5", "--aware-epochs", "1", "--start", str(tmp_path / "start.pt"),
    ]  # fmt: skip
    topology = replace(
        TOPOLOGIES["rows"], n_neurons=(9, 7, 5), n_state=3, theta=14.5, dilation=2, max_delay=4,
        leak=0.25,
    )  # fmt: skip
    train("start", topology, data, tmp_path, Recipe(epochs=1, batch=8, limit=16))
    result = CliRunner().invoke(main, ["rows", "--architecture", "dmp-delays", *options])
    assert result.exit_code == 0, result.output
    assert load_recipe(tmp_path / "rows_dmp_delays.pt") == recipe | {
        "topology": topology.to_dict(), "learning_rate": 0.02, "augmentation": 0.0, "seed": 4,
        "weight_bits": 5, "aware_epochs": 1,
        "start": recipe | {"topology": topology.to_dict()},
    }  # fmt: skip
    result = CliRunner().invoke(main, ["rows", *options, "--name", "mine", "--start", "nowhere"])
    assert result.exit_code == 2 and not (tmp_path / "mine.pt").exists()


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
