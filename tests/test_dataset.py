"""Data sets by name: what each holds, what is refused, and a speaker left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from golden.data.dataset import (
    DATASETS,
    DIGIT_VARIANTS,
    EventSequences,
    digit_images,
    load_dataset,
    load_splits,
)
from golden.data.mnist import load_mnist, to_sequences
from golden.data.speech import load_hdf5
from golden.errors import UserError
from golden.train.topology import TOPOLOGIES
from tests.mnist import make_mnist
from tests.spoken import SPEAKERS, draw_spikes, make_spoken, write_hdf5


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with every data set."""
    make_mnist(tmp_path, monkeypatch)
    make_spoken(tmp_path)
    for seed, name in enumerate(("shd_train", "shd_test", "ssc_train", "ssc_test")):
        write_hdf5(tmp_path / f"{name}.h5", draw_spikes(seed))
    return tmp_path


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_fits_its_preset(name: str, folder: Path) -> None:
    topology = TOPOLOGIES[name]
    n_timesteps = {"smnist": 784, "psmnist": 784, "rows": 28, "ssc": 250}.get(name, 100)
    parts = [load_dataset(name, folder, split) for split in ("train", "test")]
    for part in parts:
        sequences = part.sequences()
        assert sequences.shape == (len(part), n_timesteps, topology.n_inputs)
        assert sequences.dtype == np.uint8 and 0 < sequences.max() <= topology.payload.max
        assert part.labels.shape == (len(part),) and part.labels.max() < topology.n_classes
    training, test = (part.sequences()[:5] for part in parts)
    assert topology.data == name and not np.array_equal(training, test)


@pytest.mark.parametrize("name", DATASETS)
def test_some_sequences_are_those_of_all(name: str, folder: Path) -> None:
    dataset = load_dataset(name, folder, "test")
    whole = dataset.sequences()
    for chosen, first in ((slice(1, 4), 1), (np.array([4, 0, 2]), 4)):
        assert np.array_equal(dataset.sequences(chosen), whole[chosen])
        some = dataset.select(chosen)
        assert len(some) == 3 and type(some) is type(dataset)
        assert np.array_equal(some.sequences(), whole[chosen])
        assert np.array_equal(some.labels, dataset.labels[chosen])
        assert np.array_equal(some.picture(0), dataset.picture(first))


@pytest.mark.parametrize("variant", DIGIT_VARIANTS)
def test_digits_are_arranged_as_their_variant_says(variant: str, folder: Path) -> None:
    digits = load_mnist(folder, "test")
    dataset = digit_images(digits, variant)
    assert np.array_equal(dataset.sequences(), to_sequences(digits.images, variant))
    assert np.array_equal(dataset.labels, digits.labels)
    assert np.array_equal(dataset.picture(3), digits.images[3])


def test_a_picture_of_events_has_time_from_left_to_right(folder: Path) -> None:
    dataset = load_dataset("shd", folder, "test")
    picture, sequence = dataset.picture(3), dataset.sequences()[3]
    assert picture.shape == (140, 100)
    assert all(picture[j, k] == sequence[k, j] for k, j in np.argwhere(sequence))


@pytest.mark.parametrize(("name", "n_timesteps"), [("shd", 100), ("ssc", 250)])
def test_files_of_spikes_are_read_in_their_own_timesteps(
    name: str, n_timesteps: int, folder: Path
) -> None:
    for split in ("train", "test"):
        expected = load_hdf5(folder / f"{name}_{split}.h5", n_timesteps)
        found = load_dataset(name, folder, split)
        assert np.array_equal(found.sequences(), expected.events)
        assert np.array_equal(found.labels, expected.labels)


def test_a_speaker_is_left_out(folder: Path) -> None:
    arrays = make_spoken(folder)
    events, labels, speakers = (
        np.concatenate([arrays[f"train_{of}"], arrays[f"test_{of}"]])
        for of in ("x", "y", "speaker")
    )
    for speaker in range(SPEAKERS):
        training, test = (
            load_dataset("spoken", folder, split, without_speaker=speaker)
            for split in ("train", "test")
        )
        assert np.array_equal(test.sequences(), events[speakers == speaker])
        assert np.array_equal(test.labels, labels[speakers == speaker])
        assert np.array_equal(training.sequences(), events[speakers != speaker])
        assert np.array_equal(training.labels, labels[speakers != speaker])
        assert len(training) + len(test) == len(labels)


@pytest.mark.parametrize(
    ("name", "without", "message"),
    [
        ("mnist", None, "unknown data set 'mnist': use one of smnist, psmnist, rows, spoken, shd,"),
        ("rows", 1, "rows has no speakers to leave out: only spoken has"),
        ("shd", 0, "shd has no speakers to leave out"),
        ("spoken", SPEAKERS, "nothing is said by speaker 3: use one of 0, 1, 2"),
    ],
)
def test_what_is_not_there_is_named(
    name: str, without: int | None, message: str, folder: Path
) -> None:
    for split in ("train", "test"):
        with pytest.raises(UserError, match=message):
            load_dataset(name, folder, split, without)


@pytest.mark.parametrize("name", DATASETS)
def test_a_missing_folder_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere.*: set --data to the folder"):
        load_dataset(name, tmp_path / "nowhere", "test")
    if name not in DIGIT_VARIANTS:
        with pytest.raises(UserError, match=f"{name} is not fetched: set --data to the folder"):
            load_dataset(name, None, "test")


def test_a_held_out_speaker_is_of_the_training_set_and_not_trained_on(folder: Path) -> None:
    whole, _ = load_splits("spoken", folder)
    assert isinstance(whole, EventSequences) and whole.speakers is not None
    for speaker in range(SPEAKERS):
        training, held_out = load_splits("spoken", folder, held_out_speaker=speaker)
        assert isinstance(training, EventSequences) and isinstance(held_out, EventSequences)
        left = whole.speakers == speaker
        for part, said in ((training, ~left), (held_out, left)):
            assert np.array_equal(part.sequences(), whole.sequences(said))
            assert np.array_equal(part.labels, whole.labels[said])
            assert part.speakers is not None and np.array_equal(part.speakers, whole.speakers[said])


def test_a_held_out_speaker_who_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(UserError, match="nothing is said by speaker 9: use one of 0, 1, 2"):
        load_splits("spoken", folder, held_out_speaker=9)
    with pytest.raises(UserError, match="rows does not say who speaks: leave --held-out-sp"):
        load_splits("rows", folder, held_out_speaker=0)
    with pytest.raises(UserError, match="use one of --held-out and --held-out-speaker"):
        load_splits("spoken", folder, held_out=3, held_out_speaker=0)


def test_another_variant_is_another_data_set(folder: Path) -> None:
    rows = digit_images(load_mnist(folder, "test"), "rows")
    assert replace(rows, variant="smnist").sequences().shape == (32, 784, 1)


@pytest.mark.parametrize("name", ["rows", "spoken"])
def test_held_out_sequences_are_of_the_training_set_and_not_trained_on(
    name: str, folder: Path
) -> None:
    whole, test = load_splits(name, folder)
    training, held_out = load_splits(name, folder, held_out=4)
    assert len(held_out) == -(-len(whole) // 4) and len(training) + len(held_out) == len(whole)
    parts = [sequence.tobytes() for part in (training, held_out) for sequence in part.sequences()]
    assert sorted(parts) == sorted(sequence.tobytes() for sequence in whole.sequences())
    again = load_splits(name, folder, held_out=4)[1]
    assert np.array_equal(again.sequences(), held_out.sequences()), "always the same ones"
    limited = load_splits(name, folder, held_out=4, limit=2)
    assert [part.labels.tolist() for part in limited] == [
        part.labels[:2].tolist() for part in (training, held_out)
    ]
    first = load_splits(name, folder, limit=3)[1]
    assert np.array_equal(first.sequences(), test.sequences(slice(3)))
