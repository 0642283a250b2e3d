"""Spoken digits and words as binary events: the Free Spoken Digit Dataset as packed bits, and
Spiking Heidelberg Digits (SHD) or Spiking Speech Commands (SSC) from their HDF5 files.

Every set becomes events (n, timesteps, inputs) of 0 and 1: `STEPS` timesteps of 10 ms (SSC: its
own), `CHANNELS` inputs of 5 neighbouring channels of the cochlea each.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from golden.errors import UserError

STEPS, CHANNELS = 100, 140
_PACKED = STEPS * CHANNELS // 8
COCHLEA_CHANNELS = 700
SHD_SECONDS = 1.0


@dataclass(frozen=True)
class SpokenDigits:
    """Speech as events (n, timesteps, inputs) of 0 and 1; `labels` (n,) and `speakers` (n,)."""

    events: np.ndarray
    labels: np.ndarray
    speakers: np.ndarray


def load_spoken(folder: Path, split: str) -> SpokenDigits:
    """Read the `train` or `test` split of the Free Spoken Digit Dataset as events, from the file
    `fsdd*140x100*.npz` in `folder` or below it.

    Raises
    ------
    UserError
        There is no such file, or it does not hold what it should.
    """
    found = sorted(folder.rglob("fsdd*140x100*.npz"))
    if not found:
        raise UserError(f"{folder} has no fsdd*140x100*.npz: set DATA to the folder that holds it")
    try:
        with np.load(found[0]) as arrays:
            packed, labels = arrays[f"{split}_x"], arrays[f"{split}_y"]
            speakers = arrays[f"{split}_speaker"]
        shape = (len(labels), _PACKED)
        if packed.shape != shape:
            raise ValueError(f"{split}_x has the shape {packed.shape}, not {shape}")
        if speakers.shape != labels.shape:
            raise ValueError(f"{split}_speaker has the shape {speakers.shape}, not {labels.shape}")
        events = np.unpackbits(packed, axis=1).reshape(-1, STEPS, CHANNELS)
    except (
        OSError, EOFError, KeyError, TypeError, ValueError, NotImplementedError, zlib.error,
        zipfile.BadZipFile,
    ) as error:  # fmt: skip
        raise UserError(f"{found[0]} does not hold spoken digits: {error}") from None
    return SpokenDigits(events, labels, speakers)


def load_hdf5(
    path: Path, n_timesteps: int = STEPS, seconds: float = SHD_SECONDS, min_spikes: int = 1
) -> SpokenDigits:
    """Read a file in the layout of SHD and SSC: ragged `spikes/times` (seconds) and `spikes/units`,
    `labels`, and `extra/speaker` where there is one.

    Parameters
    ----------
    n_timesteps, seconds
        Spikes from 0 to `seconds` fall into `n_timesteps` timesteps; others are left out.
    min_spikes
        An input has an event in a timestep where its 5 channels have at least `min_spikes` spikes.

    Raises
    ------
    UserError
        The file is missing, or does not hold what it should.
    """
    import h5py

    if not path.exists():
        raise UserError(f"there is no {path}: set DATA to the folder with the HDF5 files")
    try:
        with h5py.File(path) as file:
            content: Any = file
            times, units = content["spikes/times"][:], content["spikes/units"][:]
            labels = np.asarray(content["labels"][:]).astype(np.int64)
            speakers = np.zeros(len(labels), np.int64)
            if "extra/speaker" in content:
                speakers = np.asarray(content["extra/speaker"][:]).astype(np.int64)
        if not len(times) == len(units) == len(labels) == len(speakers):
            raise ValueError("times, units, labels and speakers differ in number")
        events = np.zeros((len(labels), n_timesteps, CHANNELS), np.uint8)
        for sample, (when, unit) in enumerate(zip(times, units, strict=True)):
            if len(when) != len(unit):
                raise ValueError(f"sample {sample} has {len(when)} times and {len(unit)} units")
            unknown = unit[(unit < 0) | (unit >= COCHLEA_CHANNELS)]
            if len(unknown):
                raise ValueError(f"sample {sample} has unit {unknown[0]} of {COCHLEA_CHANNELS}")
            when = np.asarray(when, np.float64)
            wrong = when[~np.isfinite(when)]
            if len(wrong):
                raise ValueError(f"sample {sample} has a spike at {wrong[0]} seconds")
            step = np.floor(when * n_timesteps / seconds).astype(np.int64)
            heard = (step >= 0) & (step < n_timesteps)
            channel = np.asarray(unit, np.int64) * CHANNELS // COCHLEA_CHANNELS
            counts = np.zeros((n_timesteps, CHANNELS), np.int64)
            np.add.at(counts, (step[heard], channel[heard]), 1)
            events[sample] = counts >= min_spikes
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not an SHD or SSC file: {error}") from None
    return SpokenDigits(events, labels, speakers)
