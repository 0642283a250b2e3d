"""Spoken digits as events, from packed bits and from HDF5 files, and every way in which the files
can be wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from golden.errors import UserError
from golden.speech import load_hdf5, load_spoken
from tests.test_mnist import flip


def make_spoken(folder: Path) -> dict[str, np.ndarray]:
    """Write a few spoken digits below `folder`; return their events and labels."""
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 5), ("test", 3)):
        arrays[f"{split}_x"] = (rng.random((count, 100, 140)) < 0.1).astype(np.uint8)
        arrays[f"{split}_y"] = rng.integers(0, 10, count)
    write_spoken(folder, pack_spoken(arrays))
    return arrays


def pack_spoken(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays with the events of each digit as bits."""
    return {
        name: np.packbits(values.reshape(len(values), -1), axis=1) if name[-1] == "x" else values
        for name, values in arrays.items()
    }


def write_spoken(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    (folder / "below").mkdir(exist_ok=True)
    np.savez_compressed(folder / "below" / "fsdd_140x100_bits.npz", **arrays)  # pyright: ignore


def test_spoken_digits(tmp_path: Path) -> None:
    arrays = make_spoken(tmp_path)
    for split in ("train", "test"):
        found = load_spoken(tmp_path, split)
        assert np.array_equal(found.events, arrays[f"{split}_x"])
        assert np.array_equal(found.labels, arrays[f"{split}_y"])
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "nowhere", tmp_path / "empty"):
        with pytest.raises(UserError, match=r"has no fsdd\*140x100\*\.npz: set DATA to the folder"):
            load_spoken(folder, "test")


def write_array(path: Path) -> None:
    """Write an array that is no archive."""
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"<html>not found</html>"),
        lambda path: path.write_bytes(path.read_bytes()[:-500]),
        lambda path: flip(path, 2),
        lambda path: flip(path, 200),
        lambda path: flip(path, path.stat().st_size // 2),
        lambda path: flip(path, path.stat().st_size - 10),
        write_array,
    ],
)
def test_damaged_spoken_digits_are_named(damage: Callable[[Path], Any], tmp_path: Path) -> None:
    make_spoken(tmp_path)
    [path] = tmp_path.rglob("*.npz")
    damage(path)
    with pytest.raises(UserError, match=f"{path} does not hold spoken digits: .") as error:
        for split in ("train", "test"):
            load_spoken(tmp_path, split)
    assert "\n" not in str(error.value)


def test_spoken_digits_of_another_shape(tmp_path: Path) -> None:
    arrays = pack_spoken(make_spoken(tmp_path))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"test_y": None}, "test_y is not a file"),
        ({"test_x": None}, "test_x is not a file"),
        ({"test_x": arrays["test_x"][:, :-1]}, r"shape \(3, 1749\), not \(3, 1750\)"),
        ({"test_x": arrays["train_x"]}, r"shape \(5, 1750\), not \(3, 1750\)"),
        ({"test_x": arrays["test_x"].astype(np.int64)}, "unsigned byte"),
        ({"test_x": arrays["test_x"].astype(object)}, "pickle"),
        ({"test_y": np.int64(3)}, "len"),
    ]
    for change, message in wrong:
        changed = {k: v for k, v in (arrays | change).items() if v is not None}
        write_spoken(tmp_path, changed)
        with pytest.raises(UserError, match=f"does not hold spoken digits: .*{message}"):
            load_spoken(tmp_path, "test")
    assert len(load_spoken(tmp_path, "train").labels) == 5
