"""Training: interrupted and resumed it ends as if it had not been, and what cannot be continued is
refused.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from golden import train as train_module
from golden.errors import UserError
from golden.mnist import load_mnist
from golden.train import augment, evaluate, load_network, load_recipe, main, train
from tests.mnist import make_mnist

SETTINGS: dict[str, Any] = {"epochs": 2, "batch": 16, "seed": 3}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return make_mnist(tmp_path / "mnist", monkeypatch)


def curve(folder: Path) -> list[dict[str, str]]:
    with (folder / "rows.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("stop_in", ["evaluate", "save"])
def test_resuming_ends_where_an_uninterrupted_training_ends(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_in: str
) -> None:
    """Stop in the second epoch: before its row of the curve is written, or after that but before
    its checkpoint is.
    """
    whole = train("rows", data, tmp_path / "whole", **SETTINGS)
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
            train("rows", data, tmp_path / "parts", **SETTINGS)
    assert load_recipe(tmp_path / "parts" / "rows.pt")["epochs_done"] == 1
    torch.manual_seed(99)  # nothing may hang on the state that the interrupted process had
    parts = train("rows", data, tmp_path / "parts", **SETTINGS)
    expected, found = load_network(whole).state_dict(), load_network(parts).state_dict()
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert torch.equal(value, found[key]), key
    assert curve(tmp_path / "parts") == curve(tmp_path / "whole")
    assert [row["epoch"] for row in curve(tmp_path / "parts")] == ["1", "2"]


def test_a_seed_says_it_all(data: Path, tmp_path: Path) -> None:
    def weights(folder: str, seed: int) -> torch.Tensor:
        path = train("rows", data, tmp_path / folder, epochs=1, batch=32, seed=seed)
        return load_network(path).state_dict()["readout.weight"]

    assert torch.equal(weights("a", 1), weights("b", 1)) and not torch.equal(
        weights("c", 1), weights("d", 2)
    )


def test_every_epoch_of_every_seed_has_its_own_order(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    original = train_module.augment

    def record(images: np.ndarray, *rest: Any) -> np.ndarray:
        seen.append(images.tobytes())
        return original(images, *rest)

    monkeypatch.setattr(train_module, "augment", record)
    for seed in (1, 2):
        train("rows", data, tmp_path / str(seed), epochs=2, batch=64, seed=seed)
    assert len(seen) == len(set(seen)) == 4
    assert len({bytes(sorted(images)) for images in seen}) == 1, "each epoch has every digit"


def test_training_again_with_other_settings_is_refused(data: Path, tmp_path: Path) -> None:
    path = train("rows", data, tmp_path, epochs=1, batch=32)
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"rows\.pt was trained with other settings: move it away"):
        train("rows", data, tmp_path, epochs=1, batch=32, seed=1)
    assert path.read_bytes() == before
    assert train("rows", data, tmp_path, epochs=1, batch=32) == path, (
        "finished: nothing is left to do"
    )
    assert path.read_bytes() == before


def test_the_number_of_digits_is_a_setting(data: Path, tmp_path: Path) -> None:
    path = train("rows", data, tmp_path, epochs=2, batch=16, limit=32)
    with pytest.raises(UserError, match="trained with other settings"):
        train("rows", data, tmp_path, epochs=2, batch=16)
    # A checkpoint from before it was one used all digits.
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["settings"].pop("limit") == 32
    torch.save(checkpoint, path)
    train("rows", data, tmp_path, epochs=2, batch=16)
    with pytest.raises(UserError, match="trained with other settings"):
        train("rows", data, tmp_path, epochs=2, batch=16, limit=32)


def test_a_finished_training_says_so(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("rows", data, tmp_path, epochs=1, batch=32)
    assert "parameters, epochs 1 to 1" in capsys.readouterr().out
    path = train("rows", data, tmp_path, epochs=1, batch=32)
    expected = f"rows: all 1 epochs are done, nothing is left to train: {path}\n"
    assert capsys.readouterr().out == expected


def test_too_few_digits_for_a_batch_are_named(data: Path, tmp_path: Path) -> None:
    arguments = ["rows", "--data", str(data), "--out", str(tmp_path / "out"), "--limit", "50"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2 and result.stderr == (
        "error: 50 training digits do not fill a batch of 128: use a smaller --batch or a larger"
        " --limit\n"
    )
    assert not (tmp_path / "out").exists()


def test_it_learns(data: Path, tmp_path: Path) -> None:
    """Tell bars of ten heights apart, which even 40 steps must teach."""
    path = train("rows", data, tmp_path, epochs=20, batch=32, augmentation=0)
    rows = curve(tmp_path)
    assert float(rows[-1]["loss"]) < 0.7 * float(rows[0]["loss"])
    network = load_network(path)
    assert evaluate(network, load_mnist(data, "train")) >= 0.5
    assert evaluate(network, load_mnist(data, "test"), batch=7) == float(rows[-1]["test_accuracy"])


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 damaged"])
def test_a_damaged_checkpoint_is_named(content: bytes, tmp_path: Path, data: Path) -> None:
    path = tmp_path / "rows.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"rows\.pt is not a checkpoint"):
        load_network(path)
    with pytest.raises(UserError, match=r"rows\.pt is not a checkpoint"):
        train("rows", data, tmp_path, **SETTINGS)


def test_a_strange_checkpoint_is_named(data: Path, tmp_path: Path) -> None:
    path = train("rows", data, tmp_path, epochs=1, batch=32)
    checkpoint = torch.load(path, weights_only=True)
    for change, message in (
        ({"name": "smnist"}, "has another shape than network 'smnist'"),
        ({"name": "other"}, "unknown network 'other'"),
    ):
        torch.save(checkpoint | change, path)
        with pytest.raises(UserError, match=message):
            load_network(path)
    torch.save({"some": 1}, path)
    with pytest.raises(UserError, match="is not a checkpoint of golden"):
        load_network(path)
    with pytest.raises(UserError, match="no checkpoint .*: train one first"):
        load_network(tmp_path / "none.pt")


def test_augmentation_moves_digits_and_nothing_else(data: Path) -> None:
    images = load_mnist(data, "test").images
    assert augment(images, 0, torch.Generator()) is images
    once, again = (augment(images, 1.0, torch.Generator().manual_seed(5)) for _ in range(2))
    assert np.array_equal(once, again) and once.dtype == np.uint8 and once.shape == images.shape
    assert not np.array_equal(once, images)
    # Bars stay bright, and within a few pixels of where they were.
    before, after = (batch.mean(2).argmax(1).astype(int) for batch in (images, once))
    assert np.abs(before - after).max() <= 6 and once.max() > 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mnist"], "error: unknown network 'mnist': use one of smnist, psmnist, rows\n"),
        (
            ["rows", "--data", "nowhere"],
            "error: nowhere has no train-images-idx3-ubyte[.gz]: set DATA to the folder",
        ),
    ],
)
def test_the_command_refuses_in_one_line(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path / "out")])
    assert (
        result.exit_code == 2
        and result.stderr.startswith(message)
        and result.stderr.count("\n") == 1
    )
    assert not (tmp_path / "out").exists()


def test_the_command_trains(data: Path, tmp_path: Path) -> None:
    options = [
        "--data",
        str(data),
        "--out",
        str(tmp_path),
        "--epochs",
        "1",
        "--batch",
        "8",
        "--limit",
        "16",
    ]
    result = CliRunner().invoke(main, ["rows", *options, "--threads", str(torch.get_num_threads())])
    assert result.exit_code == 0, result.output
    assert load_recipe(tmp_path / "rows.pt") == {
        "topology": "rows",
        "epochs_done": 1,
        "epochs": 1,
        "batch": 8,
        "learning_rate": 0.01,
        "seed": 0,
        "augmentation": 0.5,
        "limit": 16,
    }
