"""Recordings of spoken digits, as the Free Spoken Digit Dataset has them, to one file of events.

A recording is a WAV file `digit_speaker_index.wav`, anywhere in a folder or in a zip. Those of
index 0 to 4 are the test split, as in the data set's own description.
"""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from golden.data.front_end import STEP, encode, levels
from golden.errors import UserError
from golden.files import write_whole
from golden.inputs import BROKEN, Room, open_packed, reason

NAME = re.compile(r"(\d)_([^_/]+)_(\d+)\.wav", re.IGNORECASE)
TEST_INDICES = 5  # of each digit and speaker
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Recording:
    """Where a recording is (`name`, which `read` takes), and what its name says of it."""

    index: int
    digit: int
    speaker: str
    name: str


class Recordings:
    """The recordings in a folder or a zip, by index, digit and speaker."""

    def __init__(self, path: Path) -> None:
        """Look for them, or raise `UserError` where there are none."""
        if not path.exists():
            raise UserError(f"there is no {path}: name a folder or a zip of recordings")
        self.path = path
        if path.is_dir():
            names = [str(found.relative_to(path)) for found in path.rglob("*")]
        else:
            try:
                with zipfile.ZipFile(path) as archive:
                    names = archive.namelist()
            except BROKEN:
                right = "name one with recordings"
                raise UserError(f"{path} is no folder and no zip: {right}") from None
        self.all = sorted(self._known(names), key=lambda r: (r.index, r.digit, r.speaker, r.name))
        if not self.all:
            raise UserError(f"{path} has no recordings: name them digit_speaker_index.wav")
        for one, other in zip(self.all, self.all[1:], strict=False):
            if (one.index, one.digit, one.speaker) == (other.index, other.digit, other.speaker):
                raise UserError(f"{path} has {one.name} and {other.name}: keep one of them")
        self.speakers = sorted({recording.speaker for recording in self.all})
        for split in SPLITS:
            if not any(_split(recording) == split for recording in self.all):
                right = f"index 0 to {TEST_INDICES - 1} is test, all others are train"
                raise UserError(f"{path} has no recordings of the {split} split: {right}")

    @staticmethod
    def _known(names: list[str]) -> Iterator[Recording]:
        for name in names:
            if found := NAME.fullmatch(name.rpartition("/")[2]):
                yield Recording(int(found[3]), int(found[1]), found[2], name)

    def read(self) -> Iterator[tuple[Recording, int, np.ndarray]]:
        """Yield each recording, its samples a second, and its samples (n,) float64; or raise
        `UserError` where one cannot be read.
        """
        archive = None if self.path.is_dir() else zipfile.ZipFile(self.path)
        for recording in self.all:
            where = f"{self.path}/{recording.name}"
            try:
                if archive is None:
                    content = (self.path / recording.name).read_bytes()
                else:
                    info = archive.getinfo(recording.name)
                    Room(self.path.stat().st_size).take(info.file_size, where)
                    with open_packed(archive, info) as file:
                        content = file.read()
            except UserError:
                raise
            except BROKEN as error:
                raise UserError(f"{where} cannot be read: {reason(error)}") from None
            yield (recording, *samples(content, where))


def samples(content: bytes, where: str) -> tuple[int, np.ndarray]:
    """Return the samples a second of a WAV file, and its samples (n,) float64, the mean of its
    channels; or raise `UserError`.
    """
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings(action="ignore", category=wavfile.WavFileWarning):
            rate, sound = wavfile.read(io.BytesIO(content))
    except BROKEN as error:
        raise UserError(f"{where} is no WAV file, or damaged ({reason(error)})") from None
    if not sound.size or not np.isfinite(sound).all():
        raise UserError(f"{where} has no sound: remove it")
    offset = 128.0 if sound.dtype == np.uint8 else 0.0
    return rate, sound.reshape(len(sound), -1).mean(1) - offset


def _split(recording: Recording) -> str:
    return "test" if recording.index < TEST_INDICES else "train"


@dataclass(frozen=True)
class Statistics:
    """Of all recordings: mean `events` of one, events a timestep `within` it and the `most`, and
    the share of timesteps that are `empty`; `cut` recordings are longer than what is kept.
    """

    events: float
    within: float
    most: int
    empty: float
    cut: int


def convert(
    recordings: Recordings, progress: Callable[[int], object] = lambda n: None
) -> tuple[dict[str, np.ndarray], Statistics]:
    """Return the arrays of a file that `golden.data.speech.load_spoken` reads, and the statistics
    of their events. `progress` is called with 1 after every recording.

    Of each split: `_x` the events as bits, `_y` the digits, `_speaker` the places of the speakers
    among their names in order, `_duration` in seconds.
    """
    number = np.min_scalar_type(len(recordings.speakers) - 1)
    rows: dict[str, list[tuple[np.ndarray, int, int, float]]] = {split: [] for split in SPLITS}
    counts, within = [], 0
    for recording, rate, sound in recordings.read():
        try:
            found = levels(sound, rate)
        except UserError as error:
            raise UserError(f"{recordings.path}/{recording.name} has {error}") from None
        events = encode(found)
        counts.append(events.sum(1))
        within += len(found)
        speaker, seconds = recordings.speakers.index(recording.speaker), len(sound) / rate
        rows[_split(recording)].append((np.packbits(events), recording.digit, speaker, seconds))
        progress(1)
    arrays: dict[str, np.ndarray] = {}
    for split, found in rows.items():
        bits, digits, speakers, seconds = zip(*found, strict=True)
        arrays |= {
            f"{split}_x": np.stack(bits),
            f"{split}_y": np.array(digits, np.uint8),
            f"{split}_speaker": np.array(speakers, number),
            f"{split}_duration": np.array(seconds, np.float32),
        }
    steps = np.stack(counts)
    durations = np.concatenate([arrays[f"{split}_duration"] for split in SPLITS])
    return arrays, Statistics(
        float(steps.sum(1).mean()),
        float(steps.sum() / within),
        int(steps.max()),
        float((steps == 0).mean()),
        int((durations > steps.shape[1] * STEP).sum()),
    )


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write the arrays of `convert` as an `.npz`; its folder is made if need be."""
    packed = io.BytesIO()
    content: dict[str, Any] = arrays
    np.savez_compressed(packed, **content)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, packed.getvalue())
