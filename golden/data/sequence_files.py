"""Sequences of a user's own, from files: NumPy's `.npz`, HDF5 in the layout of SHD, text of events.

| File | What it holds |
| --- | --- |
| `.npz` | `payloads` (B, K, M) integers, and `labels` (B,) where there are any |
| `.npz` | of every event `sequence`, `timestep`, `address` and, if not 1, `payload`, each (n,); `shape` (B, K, M); `labels` |
| `.h5`, `.hdf5` | `spikes/times` in seconds and `spikes/units` of 700 channels, ragged, and `labels` |
| `.aer`, `.txt` | a line `timestep address [payload]` for each event (`golden.data.event_text`) |

All sequences of a file have the same number of timesteps: shorter ones end with empty timesteps.
"""  # noqa: E501

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from golden.data.dataset import EventSequences
from golden.data.event_list import EventList, check_columns, dense
from golden.data.event_text import read_text
from golden.data.speech import COCHLEA_CHANNELS, bin_spikes, read_spikes
from golden.errors import UserError
from golden.files import write_whole
from golden.formats import Fixed
from golden.inputs import BROKEN, read_npz, reason
from golden.params import NetworkParams
from golden.payloads import check_payloads

NO_LABEL = -1
HDF5 = (".h5", ".hdf5")


@dataclass(frozen=True)
class Takes:
    """What the network `name` takes: `n_inputs` payloads a timestep of this format, and labels of
    `n_classes` classes (None: any labels).
    """

    name: str
    n_inputs: int
    payload: Fixed
    n_classes: int | None

    @staticmethod
    def of(network: NetworkParams) -> Takes:
        first, output = network.layers[0], network.output
        n_classes = None if output is None else output.n_classes
        return Takes(network.name, first.n_inputs, first.formats.payload, n_classes)


def read_sequences(path: Path, network: Takes, n_timesteps: int) -> EventSequences:
    """Return the sequences of a file, checked against the network that is to take them.

    Parameters
    ----------
    n_timesteps
        Of a sequence of the network, or 0 where that is not known. An HDF5 file's first second
        falls into them; sequences of text are at least so long. Those of `.npz` have their own.

    Raises
    ------
    UserError
        The file is missing, damaged, empty or of no kind that is known; a payload, an address or a
        label is none that the network can take.
    """
    if not path.exists():
        raise UserError(f"there is no {path}: set --data to a file of sequences, or a folder")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path} is of no kind that is known: use {', '.join(READERS)}")
    try:
        payloads, labels = reader(path, network, n_timesteps)
        return _checked(payloads, labels, network)
    except UserError as error:
        message = str(error)
        raise UserError(message if str(path) in message else f"{path}: {message}") from None


def _checked(payloads: np.ndarray, labels: np.ndarray | None, network: Takes) -> EventSequences:
    if payloads.ndim == 3 and payloads.shape[2] != network.n_inputs:
        raise UserError(
            f"sequences of {payloads.shape[2]} inputs, but network {network.name} has"
            f" {network.n_inputs}"
        )
    payloads = check_payloads(payloads, network.payload)
    if not len(payloads):
        raise UserError("no sequences: use one or more")
    if not payloads.shape[1]:
        raise UserError("sequences without timesteps: use one or more")
    return EventSequences(check_labels(labels, len(payloads), network.n_classes), payloads)


def check_labels(labels: np.ndarray | None, n_sequences: int, n_classes: int | None) -> np.ndarray:
    """Return the labels (B,) int64 of sequences, all `NO_LABEL` where they have none (None); or
    raise `UserError` where one is no class of `n_classes`, or of any number of them (None).
    """
    if labels is None:
        return np.full(n_sequences, NO_LABEL)
    if labels.shape != (n_sequences,):
        raise UserError(f"labels of shape {labels.shape}: use ({n_sequences},), one a sequence")
    if labels.dtype.kind not in "iu":
        raise UserError(f"labels of type {labels.dtype}: use integers")
    wrong = labels < 0 if n_classes is None else (labels < 0) | (labels >= n_classes)
    if wrong.any():
        place = int(wrong.argmax())
        largest = "" if n_classes is None else f" to {n_classes - 1}"
        raise UserError(f"label {labels[place]} of sequence {place}: use 0{largest or ' or more'}")
    return labels.astype(np.int64)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an `.npz` by name, or raise `UserError`. Pickles are never loaded."""
    try:
        return read_npz(path)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except BROKEN as error:
        raise UserError(
            f"{path} is no .npz, or damaged: write it with np.savez ({reason(error)})"
        ) from None


def _read_npz(path: Path, network: Takes, n_timesteps: int) -> tuple[np.ndarray, np.ndarray | None]:
    arrays = read_arrays(path)
    labels = arrays.get("labels")
    if "payloads" in arrays:
        return arrays["payloads"], labels
    events = npz_events(path, arrays, "timestep")
    shape = arrays.get("shape", np.zeros(0))
    if shape.shape != (3,) or shape.dtype.kind not in "iu" or shape.min() < 0:
        raise UserError(f"shape is {shape.tolist()}: use the numbers (B, K, M)")
    n_sequences, n_steps, n_inputs = (int(n) for n in shape)
    return dense(replace(events, n_sequences=n_sequences), n_steps, n_inputs), labels


def npz_events(path: Path, arrays: dict[str, np.ndarray], time: str) -> EventList:
    """Return the events that the arrays of an `.npz` hold, whose times have this name; or raise
    `UserError`. Sequences are as many as there are labels, else as have events.
    """
    names = ("sequence", time, "address")
    if any(name not in arrays for name in names):
        found = ", ".join(arrays) or "nothing"
        right = ", ".join(names)
        if time == "timestep":
            right = f"payloads (B, K, M), or {right} and shape"
        raise UserError(f"{path} has {found}: use {right}")
    columns = {name: arrays[name] for name in (*names, "payload") if name in arrays}
    check_columns(columns, ("sequence", "timestep", "address", "payload"))
    order = np.argsort(columns["sequence"], kind="stable")
    sequence, times, address = (columns[name][order] for name in names)
    whole = times.dtype.kind in "iu"
    payload = columns["payload"][order] if "payload" in columns else np.ones(len(order), np.int64)
    labels = arrays.get("labels")
    count = int(sequence.max(initial=-1)) + 1 if labels is None else len(np.atleast_1d(labels))
    return EventList(
        count,
        sequence.astype(np.int64),
        times.astype(np.int64 if whole else np.float64),
        address.astype(np.int64),
        payload.astype(np.int64),
        labels,
    )


def _read_hdf5(
    path: Path, network: Takes, n_timesteps: int
) -> tuple[np.ndarray, np.ndarray | None]:
    n_inputs = network.n_inputs
    otherwise = "make an .npz of it with `dmp events`"
    if COCHLEA_CHANNELS % n_inputs:
        raise UserError(
            f"{COCHLEA_CHANNELS} channels do not divide onto {n_inputs} inputs: {otherwise}"
        )
    if n_timesteps < 1:
        raise UserError(f"the network's card does not say how many timesteps it has: {otherwise}")
    events, _ = read_spikes(path, COCHLEA_CHANNELS)
    largest = int(events.address.max(initial=-1))
    if 0 <= largest < n_inputs < COCHLEA_CHANNELS:
        raise UserError(
            f"units of 0 to {largest} are not those of {COCHLEA_CHANNELS} channels: {otherwise}"
        )
    return bin_spikes(events, n_timesteps, n_inputs=n_inputs), events.labels


def _read_text(
    path: Path, network: Takes, n_timesteps: int
) -> tuple[np.ndarray, np.ndarray | None]:
    events = read_text(path)
    length = max(n_timesteps, int(events.time.max(initial=-1)) + 1)
    return dense(events, length, network.n_inputs), events.labels


READERS = {
    ".npz": _read_npz, **dict.fromkeys(HDF5, _read_hdf5), ".aer": _read_text, ".txt": _read_text,
}  # fmt: skip


def save_sequences(path: Path, payloads: np.ndarray, labels: np.ndarray | None = None) -> None:
    """Write sequences (B, K, M), with their labels (B,) if there are any, as `read_sequences` reads
    them. The folder is made if need be.
    """
    arrays: dict[str, Any] = {"payloads": payloads} | ({} if labels is None else {"labels": labels})
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, packed.getvalue())
