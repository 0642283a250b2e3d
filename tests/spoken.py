"""Spoken digits drawn from a seed, in the files of both kinds of data sets, so that tests need
neither.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

COUNTS = {"train": 24, "test": 12}
SPEAKERS = 3


def make_spoken(folder: Path) -> dict[str, np.ndarray]:
    """Write a few spoken digits below `folder`, by every speaker in turn; return their events,
    labels and speakers.
    """
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in COUNTS.items():
        arrays[f"{split}_x"] = (rng.random((count, 100, 140)) < 0.1).astype(np.uint8)
        arrays[f"{split}_y"] = rng.integers(0, 10, count)
        arrays[f"{split}_speaker"] = np.arange(count) % SPEAKERS
    write_spoken(folder, pack_spoken(arrays))
    return arrays


def pack_spoken(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays with the events of each digit as bits."""
    return {
        name: np.packbits(values.reshape(len(values), -1), axis=1)
        if name.endswith("_x")
        else values
        for name, values in arrays.items()
    }


def write_spoken(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    (folder / "below").mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "below" / "fsdd_140x100_bits.npz", **arrays)  # pyright: ignore


def draw_spikes(seed: int = 0) -> dict[str, Any]:
    """Return datasets by name as in SHD: spikes of five samples, the third of which has none."""
    rng = np.random.default_rng(seed)
    counts = [40, 7, 0, 200, 1]
    return {
        "spikes/times": [np.sort(rng.random(n) * 1.2).astype(np.float16) for n in counts],
        "spikes/units": [rng.integers(0, 700, n).astype(np.uint16) for n in counts],
        "labels": rng.integers(0, 20, len(counts)).astype(np.uint16),
        "extra/speaker": rng.integers(0, 12, len(counts)).astype(np.uint16),
    }


def write_hdf5(path: Path, content: dict[str, Any]) -> None:
    """Write datasets by name; a list of arrays is a ragged one."""
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            if isinstance(values, list):
                kind = h5py.vlen_dtype(values[0].dtype)
                ragged = file.create_dataset(name, (len(values),), kind)
                for index, value in enumerate(values):
                    ragged[index] = value
            else:
                file[name] = values
