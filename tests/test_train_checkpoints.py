"""Checkpoints: a training that was interrupted and resumed ends as if it had not been, and what
cannot be continued is refused in one line.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from golden.errors import UserError
from golden.formats import SPIKE
from golden.train import loop as train_module
from golden.train.checkpoint import load_network, load_recipe
from golden.train.loop import Recipe, train
from golden.train.topology import ARCHITECTURES, TOPOLOGIES, Topology, find_topology
from tests.trainings import ROWS, curve, train_rows, weights

SPOKEN = replace(TOPOLOGIES["spoken"], n_neurons=(12, 10), n_state=4, leak=0.9)
SETTINGS: dict[str, Any] = {"epochs": 2, "batch": 16, "seed": 3}


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


def test_what_is_no_checkpoint_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    for content in (b"hours", b"", b"PK", b"\x80\x02", b"{}"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="a.pt is not a checkpoint"):
            load_recipe(path)
