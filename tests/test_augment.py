"""Random changes of samples: as far as they are said to go, and no further."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from golden.data.dataset import Dataset, load_dataset
from golden.data.mnist import to_sequences
from golden.train import augment
from golden.train.augment import augmented, move_events, move_images
from tests.mnist import make_mnist
from tests.spoken import make_spoken

N_TIMESTEPS, N_INPUTS = 40, 16


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=["smnist", "rows", "spoken"])
def dataset(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Dataset:
    make_mnist(tmp_path, monkeypatch)
    make_spoken(tmp_path)
    return load_dataset(request.param, tmp_path, "train")


def test_samples_are_changed_by_strength_and_seed_only(dataset: Dataset) -> None:
    chosen = np.array([3, 0, 11, 3])
    before = dataset.sequences(chosen)
    assert np.array_equal(augmented(dataset, chosen, 0, seeded()), before)
    once, again = (augmented(dataset, chosen, 1.0, seeded()) for _ in range(2))
    assert np.array_equal(once, again)
    assert once.shape == before.shape and once.dtype == np.uint8 and once.max() <= before.max()
    assert all(not np.array_equal(*pair) for pair in zip(once, before, strict=True))
    assert not np.array_equal(once[0], once[3]), "the same sample twice is changed in two ways"
    assert not np.array_equal(once, augmented(dataset, chosen, 1.0, seeded(6)))
    assert np.array_equal(dataset.sequences(chosen), before), "the data set itself stays"


def test_digits_move_and_stay_bright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = load_dataset("rows", make_mnist(tmp_path, monkeypatch), "test")
    images = dataset.sequences()
    once = move_images(images, 1.0, seeded())
    # Bars stay bright, and within a few pixels of where they were.
    before, after = (batch.mean(2).argmax(1).astype(int) for batch in (images, once))
    assert np.abs(before - after).max() <= 6 and once.max() > 200
    weak = move_images(images, 0.01, seeded())
    assert np.abs(weak.astype(int) - images).mean() < np.abs(once.astype(int) - images).mean() / 10


def test_digits_are_moved_before_they_are_arranged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, chosen = make_mnist(tmp_path, monkeypatch), np.arange(6)
    rows = augmented(load_dataset("rows", folder, "test"), chosen, 1.0, seeded())
    for variant in ("smnist", "psmnist"):
        found = augmented(load_dataset(variant, folder, "test"), chosen, 1.0, seeded())
        assert np.array_equal(found, to_sequences(rows, variant))


def draw_events(n: int) -> np.ndarray:
    rng = np.random.default_rng(2)
    return (rng.random((n, N_TIMESTEPS, N_INPUTS)) < 0.3).astype(np.uint8)


def only(monkeypatch: pytest.MonkeyPatch, *kept: str) -> None:
    """Leave out every change of events but some."""
    for name in ("MAX_TIME_SHIFT", "MAX_CHANNEL_SHIFT", "MAX_STRETCH", "MAX_LOSS"):
        if name not in kept:
            monkeypatch.setattr(augment, name, 0)


def shifted(events: np.ndarray, later: int, higher: int) -> np.ndarray:
    """Return what is left of events (K, M) in a window that moves the other way."""
    padded = np.pad(events, ((13, 13), (6, 6)))
    return padded[13 - later :, 6 - higher :][:N_TIMESTEPS, :N_INPUTS]


@pytest.mark.parametrize(("strength", "time", "channels"), [(1.0, 12, 5), (0.5, 6, 2)])
def test_events_shift_in_time_and_across_channels(
    strength: float, time: int, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, "MAX_TIME_SHIFT", "MAX_CHANNEL_SHIFT")
    events = draw_events(100)
    moved = move_events(events, strength, seeded())
    found = []
    for before, after in zip(events, moved, strict=True):
        matches = [
            (later, higher)
            for later in range(-13, 14)
            for higher in range(-6, 7)
            if np.array_equal(after, shifted(before, later, higher))
        ]
        assert len(matches) == 1
        found += matches
    for shifts, most in zip(np.array(found).T, (time, channels), strict=True):
        assert shifts.min() == -most and shifts.max() == most
        assert len(np.unique(shifts)) == 2 * most + 1


def test_events_stretch_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is at timestep k was at a multiple of k, from 0.85 k to 1.15 k."""
    only(monkeypatch, "MAX_STRETCH")
    events = draw_events(40)
    factors = []
    for before, after in zip(events, move_events(events, 1.0, seeded()), strict=True):
        matches = []
        for factor in np.linspace(0.85, 1.15, 601):
            source = np.rint(np.arange(N_TIMESTEPS) * factor).astype(int)
            inside = source < N_TIMESTEPS
            expected = np.where(inside[:, None], before[np.where(inside, source, 0)], 0)
            if np.array_equal(after, expected):
                matches.append(factor)
        assert matches
        factors.append(np.mean(matches))
    assert min(factors) < 0.88 and max(factors) > 1.12


def test_events_get_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "MAX_LOSS")
    events = draw_events(60)
    for strength in (1.0, 0.5):
        moved = move_events(events, strength, seeded())
        assert moved.dtype == np.uint8 and not (moved > events).any()
        lost = 1 - moved.sum((1, 2)) / events.sum((1, 2))
        assert 0 <= lost.min() < 0.05 * strength and 0.15 * strength < lost.max() < 0.3 * strength


def test_all_changes_at_once_leave_most_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle, from where no shift or stretch leads out."""
    events = np.zeros((40, 100, 40), np.uint8)
    events[:, 40:60, 15:25] = 1
    moved = move_events(events, 1.0, seeded())
    left = moved.sum((1, 2)) / events.sum((1, 2))
    assert 0.8 * 0.8 < left.min() and left.max() < 1.25 and set(np.unique(moved)) == {0, 1}
    assert not np.array_equal(moved[0], moved[1])
