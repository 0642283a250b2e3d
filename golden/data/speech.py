"""Spoken digits and words as binary events: the Free Spoken Digit Dataset as packed bits, and
Spiking Heidelberg Digits (SHD) or Spiking Speech Commands (SSC) from their HDF5 files.

Every set becomes events (n, timesteps, inputs) of 0 and 1: `STEPS` timesteps of 10 ms (SSC: its
own), `CHANNELS` inputs of 5 neighbouring channels of the cochlea each.
"""

from __future__ import annotations

import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from golden.data.event_list import EventList, no_payloads
from golden.errors import UserError
from golden.hdf5 import read_hdf5
from golden.inputs import BROKEN, read_npz, reason

STEPS, CHANNELS = 100, 140
_PACKED = STEPS * CHANNELS // 8
COCHLEA_CHANNELS = 700
SHD_SECONDS = 1.0


@dataclass(frozen=True)
class SpokenDigits:
    """Speech as events (n, timesteps, inputs) of 0 and 1; `labels` (n,), and who speaks
    (n,), where that is known.
    """

    events: np.ndarray
    labels: np.ndarray
    speakers: np.ndarray | None


def holds_spoken(path: Path) -> bool:
    """Return whether a file is one that `load_spoken` reads, by what is in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {"test_x.npy", "test_y.npy", "test_speaker.npy"} <= set(archive.namelist())
    except BROKEN:
        return False


def load_spoken(folder: Path, split: str) -> SpokenDigits:
    """Read the `train` or `test` split of the Free Spoken Digit Dataset as events, from the file
    `fsdd*140x100*.npz` in `folder` or below it, or from `folder` where that is a file.

    Raises
    ------
    UserError
        There is no such file, or it does not hold what it should.
    """
    found = [folder] if folder.is_file() else sorted(folder.rglob("fsdd*140x100*.npz"))
    if not found:
        raise UserError(
            f"{folder} has no fsdd*140x100*.npz: set --data to the folder that holds it"
        )
    try:
        names = [f"{split}_{what}" for what in ("x", "y", "speaker")]
        arrays = read_npz(found[0], names)
        packed, labels, speakers = (arrays[name] for name in names)
        shape = (len(labels), _PACKED)
        if packed.shape != shape:
            raise ValueError(f"{split}_x has the shape {packed.shape}, not {shape}")
        if speakers.shape != labels.shape:
            raise ValueError(f"{split}_speaker has the shape {speakers.shape}, not {labels.shape}")
        events = np.unpackbits(packed, axis=1).reshape(-1, STEPS, CHANNELS)
    except BROKEN as error:
        raise UserError(f"{found[0]} does not hold spoken digits: {reason(error)}") from None
    return SpokenDigits(events, labels, speakers)


def read_spikes(path: Path, n_channels: int | None = None) -> tuple[EventList, np.ndarray | None]:
    """Read a file in the layout of SHD and SSC: ragged `spikes/times` (seconds) and `spikes/units`,
    `labels` where there are any, and `extra/speaker`. Return the spikes, and the speakers (B,),
    or None where the file does not say who they are.

    Parameters
    ----------
    n_channels
        How many the units are of [default: any number].

    Raises
    ------
    UserError
        The file is missing, or does not hold what it should.
    """
    if not path.exists():
        raise UserError(f"there is no {path}: set --data to the folder with the HDF5 files")
    try:
        spikes, others = ("spikes/times", "spikes/units"), ("labels", "extra/speaker")
        content = read_hdf5(path, (*spikes, *others))
        times, units = (content.at(name) for name in spikes)
        known = {}
        for name in others:
            with suppress(KeyError):
                known[name] = _whole(name, np.asarray(content.at(name)))
        if any(len(values) != len(times) for values in (units, *known.values())):
            raise ValueError("times, units, labels and speakers differ in number")
        for sample, (when, unit) in enumerate(zip(times, units, strict=True)):
            if len(when) != len(unit):
                raise ValueError(f"sample {sample} has {len(when)} times and {len(unit)} units")
            unit = _whole(f"units of sample {sample}", np.asarray(unit))
            unknown = unit[(unit < 0) | (unit >= (n_channels or np.inf))]
            if len(unknown):
                of = f" of {n_channels}" if n_channels else ""
                raise ValueError(f"sample {sample} has unit {unknown[0]}{of}")
            when = np.asarray(when, np.float64)
            wrong = when[~np.isfinite(when)]
            if len(wrong):
                raise ValueError(f"sample {sample} has a spike at {wrong[0]} seconds")
        counts = [len(when) for when in times]
        events = EventList(
            len(times),
            np.repeat(np.arange(len(times)), counts),
            np.concatenate([np.zeros(0), *times]).astype(np.float64),
            np.concatenate([np.zeros(0, np.int64), *units]).astype(np.int64),
            np.ones(sum(counts), np.int64),
            known.get("labels"),
        )
    except BROKEN as error:
        raise UserError(f"{path} is not an SHD or SSC file: {reason(error)}") from None
    return events, known.get("extra/speaker")


def _whole(name: str, values: np.ndarray) -> np.ndarray:
    """Return integers as int64, or raise `ValueError`."""
    if values.dtype.kind not in "iu":
        raise ValueError(f"{name} of type {values.dtype}: use integers")
    return values.astype(np.int64)


def bin_spikes(
    events: EventList,
    n_timesteps: int = STEPS,
    seconds: float = SHD_SECONDS,
    min_spikes: int = 1,
    n_inputs: int = CHANNELS,
) -> np.ndarray:
    """Return spikes of 700 channels as events (n, timesteps, inputs) uint8 of 0 and 1.

    Parameters
    ----------
    n_timesteps, seconds
        Spikes from 0 to `seconds` fall into `n_timesteps` timesteps; others are left out.
    min_spikes
        An input has an event in a timestep where its channels have at least `min_spikes` spikes.
    n_inputs
        Onto which the channels are divided, neighbours together.
    """
    shape = (events.n_sequences, n_timesteps, n_inputs)
    binned = no_payloads(shape, 1, len(events.time))
    step = np.floor(events.time * n_timesteps / seconds).astype(np.int64)
    channel = events.address * n_inputs // COCHLEA_CHANNELS
    for sample, part in enumerate(events.parts()):
        heard = (step[part] >= 0) & (step[part] < n_timesteps)
        counts = np.zeros((n_timesteps, n_inputs), np.int64)
        np.add.at(counts, (step[part][heard], channel[part][heard]), 1)
        binned[sample] = counts >= min_spikes
    return binned


def load_hdf5(
    path: Path, n_timesteps: int = STEPS, seconds: float = SHD_SECONDS, min_spikes: int = 1
) -> SpokenDigits:
    """Read a file of SHD or SSC (`read_spikes`) as events on 140 inputs (`bin_spikes`).

    Raises
    ------
    UserError
        The file is missing, or does not hold what it should.
    """
    events, speakers = read_spikes(path, COCHLEA_CHANNELS)
    if events.labels is None:
        raise UserError(f"{path} is not an SHD or SSC file: it has no labels")
    return SpokenDigits(
        bin_spikes(events, n_timesteps, seconds, min_spikes), events.labels, speakers
    )
