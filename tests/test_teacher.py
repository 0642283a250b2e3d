"""Teachers of digits: what they say of an image, and what a network learns from it."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from golden.data.dataset import DIGIT_VARIANTS, DigitImages, load_splits
from golden.data.mnist import to_images, to_sequences
from golden.errors import UserError
from golden.train import loop, teacher
from golden.train.augment import augmented
from golden.train.checkpoint import load_recipe
from golden.train.loop import Recipe
from golden.train.teacher import TAUGHT, TEMPERATURE, find_teachers, taught_loss
from golden.train.topology import TOPOLOGIES
from tests.trainings import train_rows, weights

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher, "EPOCHS", 1)
    monkeypatch.setattr(teacher, "BATCH", 32)


def digits(variant: str, data: Path) -> tuple[DigitImages, DigitImages]:
    training, test = load_splits(variant, data)
    assert isinstance(training, DigitImages) and isinstance(test, DigitImages)
    return training, test


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@pytest.mark.parametrize("variant", DIGIT_VARIANTS)
def test_sequences_are_turned_back_into_images(variant: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28)).astype(np.uint8)
    found = to_images(to_sequences(images, variant), variant)
    assert np.array_equal(found, images) and found.flags.writeable


def test_the_loss_is_the_formula() -> None:
    rng = np.random.default_rng(1)
    logits, taught = rng.normal(0, 4, (2, 5, 10))
    labels = rng.integers(0, 10, 5)
    likely = softmax(taught / TEMPERATURE)
    own = softmax(logits / TEMPERATURE)
    divergence = (likely * (np.log(likely) - np.log(own))).sum(1).mean() * TEMPERATURE**2
    of_labels = -np.log(softmax(logits)[np.arange(5), labels]).mean()
    found = taught_loss(*(torch.from_numpy(x) for x in (logits, labels, likely)))
    assert float(found) == pytest.approx(TAUGHT * divergence + (1 - TAUGHT) * of_labels)


def test_teachers_are_trained_once_and_asked_together(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, test = digits("psmnist", data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ensemble = find_teachers(2, training, 10, {}, tmp_path, CPU, told=False)
    found = ensemble.likely(test.sequences(), "psmnist", CPU).numpy()
    one, other = ensemble.teachers
    with torch.no_grad():
        answers = [of(torch.from_numpy(test.images.copy())).numpy() for of in (one, other)]
    assert not np.allclose(*answers), "they have seeds of their own"
    parts = [softmax(answer.astype(np.float64) / TEMPERATURE) for answer in answers]
    assert found == pytest.approx((parts[0] + parts[1]) / 2, abs=1e-6)
    right = (found.argmax(1) == test.labels).mean()
    assert ensemble.accuracy(test, batch=7) == pytest.approx(right)
    monkeypatch.setattr(teacher, "_train", None)
    again = find_teachers(2, training, 10, {}, tmp_path, CPU, told=False)
    assert np.array_equal(again.likely(test.sequences(), "psmnist", CPU).numpy(), found)


def test_they_learn(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher, "EPOCHS", 40)
    training, _ = digits("rows", data)
    found = find_teachers(1, training, 10, {}, tmp_path, CPU, told=False)
    assert found.accuracy(training) > 0.6


def test_a_network_learns_from_them(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From what they say, of the very images that it sees: those that were changed at random."""
    asked: list[torch.Tensor] = []
    images: list[np.ndarray] = []
    original = teacher.Ensemble.likely

    def record(self: teacher.Ensemble, sequences: np.ndarray, *more: Any) -> torch.Tensor:
        images.append(sequences)
        asked.append(original(self, sequences, *more))
        return asked[-1]

    seen: list[np.ndarray] = []

    def see(dataset: Any, chosen: np.ndarray, strength: float, generator: Any) -> np.ndarray:
        seen.append(augmented(dataset, chosen, strength, generator))
        assert not np.array_equal(seen[-1], dataset.sequences(chosen)), "changed at random"
        return seen[-1]

    monkeypatch.setattr(loop, "augmented", see)

    losses: list[torch.Tensor] = []

    def keep(logits: torch.Tensor, labels: torch.Tensor, likely: torch.Tensor) -> torch.Tensor:
        losses.append(likely)
        return taught_loss(logits, labels, likely)

    monkeypatch.setattr(teacher.Ensemble, "likely", record)
    monkeypatch.setattr(loop, "taught_loss", keep)
    path = train_rows(data, tmp_path / "taught", epochs=2, batch=32, teachers=1)
    said = capsys.readouterr().out
    share = re.search(r"rows: the teachers' test accuracy is (\d+\.\d\d) %", said)
    assert share
    right = (asked[0].argmax(1).numpy() == load_splits("rows", data)[1].labels).mean()
    assert float(share[1]) == pytest.approx(100 * right, abs=0.005)
    assert len(losses) == 4 and len(asked) == 5, "the first time for its accuracy"
    del asked[0], images[0]
    assert all(np.array_equal(of, to) for of, to in zip(images, seen, strict=True))
    assert all(said is used for said, used in zip(asked, losses, strict=True))
    assert not torch.equal(asked[0], asked[2]), "other images, or changed in another way"
    assert load_recipe(path)["teachers"] == 1
    plain = weights(train_rows(data, tmp_path / "plain", epochs=2, batch=32))
    taught = weights(path)
    assert not torch.equal(plain["readout.weight"], taught["readout.weight"])
    (tmp_path / "again").mkdir()
    (tmp_path / "taught" / "teachers").rename(tmp_path / "again" / "teachers")
    again = weights(train_rows(data, tmp_path / "again", epochs=2, batch=32, teachers=1))
    assert torch.equal(again["readout.weight"], taught["readout.weight"]), "wherever it is from"


def test_what_cannot_teach_is_refused_in_one_line(data: Path, tmp_path: Path) -> None:
    training, _ = digits("rows", data)
    find_teachers(1, training, 10, {"held_out": 4}, tmp_path, CPU, told=False)
    with pytest.raises(UserError, match=r"0.pt was trained on other digits: move it away"):
        find_teachers(1, training, 10, {"held_out": None}, tmp_path, CPU, told=False)
    (tmp_path / "0.pt").write_bytes(b"PK no")
    with pytest.raises(UserError, match=r"0.pt is not a teacher, or a damaged one: move"):
        find_teachers(1, training, 10, {"held_out": 4}, tmp_path, CPU, told=False)
    with pytest.raises(UserError, match="--teachers for spoken: teachers are of digits, for smn"):
        loop.train("x", TOPOLOGIES["spoken"], data, tmp_path / "out", Recipe(batch=8, teachers=1))
    assert not (tmp_path / "out").exists()
