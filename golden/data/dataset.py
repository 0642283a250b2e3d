"""Data sets by name, whatever they are made of: sequences of payloads with labels, for training and
for measuring. No Torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from golden.data.mnist import Digits, load_mnist, to_sequences
from golden.data.speech import SpokenDigits, load_hdf5, load_spoken
from golden.errors import UserError
from golden.files import check_folder

DIGIT_VARIANTS = ("smnist", "psmnist", "rows")
DATASETS = (*DIGIT_VARIANTS, "spoken", "shd", "ssc")
SSC_STEPS = 250
HELD_OUT_SEED = 0


@dataclass(frozen=True)
class Dataset(ABC):
    """Sequences of payloads (n, timesteps, inputs), integers, with `labels` (n,), which are all -1
    where there are none.
    """

    labels: np.ndarray

    @property
    def labelled(self) -> bool:
        return bool((self.labels >= 0).all())

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def sequences(self, chosen: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Return some sequences, or all."""

    @abstractmethod
    def picture(self, index: int) -> np.ndarray:
        """Return a sequence as an image (rows, columns) for people."""

    @abstractmethod
    def select(self, chosen: np.ndarray | slice) -> Dataset:
        """Return the data set of some of the sequences."""


@dataclass(frozen=True)
class DigitImages(Dataset):
    """Images (n, 28, 28) uint8, arranged in time as `variant` says (`golden.data.mnist`)."""

    images: np.ndarray
    variant: str

    def sequences(self, chosen: np.ndarray | slice = slice(None)) -> np.ndarray:
        return to_sequences(self.images[chosen], self.variant)

    def picture(self, index: int) -> np.ndarray:
        return self.images[index]

    def select(self, chosen: np.ndarray | slice) -> DigitImages:
        return DigitImages(self.labels[chosen], self.images[chosen], self.variant)


@dataclass(frozen=True)
class EventSequences(Dataset):
    """Events (n, timesteps, inputs): of each its payload, or 0; and who speaks (n,), where
    that is known.
    """

    events: np.ndarray
    speakers: np.ndarray | None = None

    def sequences(self, chosen: np.ndarray | slice = slice(None)) -> np.ndarray:
        return self.events[chosen]

    def picture(self, index: int) -> np.ndarray:
        return self.events[index].T

    def select(self, chosen: np.ndarray | slice) -> EventSequences:
        speakers = None if self.speakers is None else self.speakers[chosen]
        return EventSequences(self.labels[chosen], self.events[chosen], speakers)


def load_dataset(
    name: str, folder: Path | None, split: str, without_speaker: int | None = None
) -> Dataset:
    """Return the `train` or `test` split of data set `name`.

    Parameters
    ----------
    folder
        Where its files are; None fetches MNIST.
    without_speaker
        Of the spoken digits: train on all other speakers' digits, and test on all of this one's.

    Raises
    ------
    UserError
        An unknown name, missing or damaged files, or a speaker that is not there.
    """
    if name not in DATASETS:
        raise UserError(f"unknown data set '{name}': use one of {', '.join(DATASETS)}")
    if without_speaker is not None and name != "spoken":
        raise UserError(f"{name} has no speakers to leave out: only spoken has")
    if name in DIGIT_VARIANTS:
        return digit_images(load_mnist(folder, split), name)
    if folder is None:
        raise UserError(f"{name} is not fetched: set --data to the folder that holds it")
    if name == "spoken":
        return _spoken(folder, split, without_speaker)
    check_folder(folder, f"{name}_{split}.h5")
    n_timesteps = SSC_STEPS if name == "ssc" else 100
    spoken = load_hdf5(folder / f"{name}_{split}.h5", n_timesteps)
    return EventSequences(spoken.labels, spoken.events, spoken.speakers)


def load_splits(
    name: str,
    folder: Path | None,
    *,
    without_speaker: int | None = None,
    held_out: int | None = None,
    held_out_speaker: int | None = None,
    limit: int | None = None,
) -> tuple[Dataset, Dataset]:
    """Return what to train on and what to test on, of data set `name`.

    Parameters
    ----------
    held_out
        One in this many of the training sequences, always the same ones, is not trained on but
        tested on; the test set is then not used.
    held_out_speaker
        The same for what this speaker says in the training set.
    limit
        The first ones of each [default: all].
    folder, without_speaker
        See `load_dataset`, which also says what is raised.
    """
    if held_out is not None and held_out_speaker is not None:
        raise UserError("use one of --held-out and --held-out-speaker")
    training = load_dataset(name, folder, "train", without_speaker)
    left = np.zeros(len(training), bool)
    if held_out is not None:
        drawn = np.random.default_rng(HELD_OUT_SEED).permutation(len(training))
        left[drawn[::held_out]] = True
    if held_out_speaker is not None:
        if not isinstance(training, EventSequences) or training.speakers is None:
            raise UserError(f"{name} does not say who speaks: leave --held-out-speaker out")
        left = _said_by(held_out_speaker, training.speakers)
        if left.all():
            raise UserError(
                f"all of {name} is said by speaker {held_out_speaker}: nothing is left to train on"
            )
    if left.any():
        training, test = (training.select(np.flatnonzero(part)) for part in (~left, left))
    else:
        test = load_dataset(name, folder, "test", without_speaker)
    if limit:
        training, test = training.select(slice(limit)), test.select(slice(limit))
    return training, test


def digit_images(digits: Digits, variant: str) -> DigitImages:
    """Return digits as a data set."""
    return DigitImages(digits.labels, digits.images, variant)


def _spoken(folder: Path, split: str, without_speaker: int | None) -> EventSequences:
    splits = (split,) if without_speaker is None else ("train", "test")
    parts: list[SpokenDigits] = [load_spoken(folder, part) for part in splits]
    labels, events, speakers = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("labels", "events", "speakers")
    )
    found = EventSequences(labels, events, speakers)
    if without_speaker is None:
        return found
    left = _said_by(without_speaker, speakers)
    return found.select(np.flatnonzero(left if split == "test" else ~left))


def _said_by(speaker: int, speakers: np.ndarray) -> np.ndarray:
    """Return which of the sequences this speaker says."""
    said = speakers == speaker
    if not said.any():
        known = ", ".join(str(one) for one in np.unique(speakers))
        raise UserError(f"nothing is said by speaker {speaker}: use one of {known}")
    return said
