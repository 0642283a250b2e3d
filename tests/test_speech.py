"""Spoken digits as events, from packed bits and from HDF5 files, and every way in which the files
can be wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden.data.speech import load_hdf5, load_spoken
from golden.errors import UserError
from tests.spoken import SPEAKERS, draw_spikes, make_spoken, pack_spoken, write_hdf5, write_spoken
from tests.test_mnist import flip


def test_spoken_digits(tmp_path: Path) -> None:
    arrays = make_spoken(tmp_path)
    for split in ("train", "test"):
        found = load_spoken(tmp_path, split)
        assert np.array_equal(found.events, arrays[f"{split}_x"])
        assert np.array_equal(found.labels, arrays[f"{split}_y"])
        assert found.speakers is not None
        assert found.speakers.tolist()[: SPEAKERS + 1] == [*range(SPEAKERS), 0]
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "nowhere", tmp_path / "empty"):
        with pytest.raises(UserError, match=r"has no fsdd\*140x100\*\.npz: set --data to the"):
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
        ({"test_y": None}, "test_y.* is missing"),
        ({"test_x": None}, "test_x.* is missing"),
        ({"test_speaker": None}, "test_speaker.* is missing"),
        (
            {"test_x": arrays["test_x"][:, :-1]},
            r"test_x has the shape \(12, 1749\), not \(12, 1750",
        ),
        ({"test_x": arrays["train_x"]}, r"test_x has the shape \(24, 1750\), not \(12, 1750\)"),
        ({"test_x": arrays["test_x"].astype(np.int64)}, "unsigned byte"),
        ({"test_x": arrays["test_x"].astype(object)}, "Python objects"),
        ({"test_y": np.int64(3)}, "len"),
        ({"test_speaker": arrays["train_speaker"]}, r"speaker has the shape \(24,\), not \(12,\)"),
        ({"test_speaker": arrays["test_speaker"].astype(object)}, "Python objects"),
    ]
    for change, message in wrong:
        changed = {k: v for k, v in (arrays | change).items() if v is not None}
        write_spoken(tmp_path, changed)
        with pytest.raises(UserError, match=f"does not hold spoken digits: .*{message}"):
            load_spoken(tmp_path, "test")
    assert len(load_spoken(tmp_path, "train").labels) == 24


def expected_events(
    content: dict[str, Any], n_timesteps: int, seconds: float, least: int
) -> np.ndarray:
    """Count the spikes of every five channels in every timestep, one spike after another."""
    counts = np.zeros((len(content["labels"]), n_timesteps, 140), np.int64)
    samples = zip(content["spikes/times"], content["spikes/units"], strict=True)
    for sample, spikes in enumerate(samples):
        for time, unit in zip(*spikes, strict=True):
            step = int(float(time) / seconds * n_timesteps)
            if step < n_timesteps:
                counts[sample, step, int(unit) // 5] += 1
    return (counts >= least).astype(np.uint8)


@pytest.mark.parametrize(
    ("n_timesteps", "seconds", "least"), [(100, 1.0, 1), (64, 0.5, 1), (4, 1.0, 2), (1, 2.0, 1)]
)
def test_ragged_spikes(n_timesteps: int, seconds: float, least: int, tmp_path: Path) -> None:
    content, path = draw_spikes(), tmp_path / "shd_test.h5"
    write_hdf5(path, content)
    found = load_hdf5(path, n_timesteps, seconds, least)
    expected = expected_events(content, n_timesteps, seconds, least)
    assert found.events.dtype == np.uint8 and np.array_equal(found.events, expected)
    assert 0 < expected[3].sum() < 200 and not expected[2].any()
    assert np.array_equal(found.labels, content["labels"])
    assert found.speakers is not None
    assert np.array_equal(found.speakers, content["extra/speaker"])
    assert found.labels.dtype == found.speakers.dtype == np.int64


def test_ragged_spikes_at_the_edges(tmp_path: Path) -> None:
    """Times and channels on the borders of timesteps and inputs, by hand; and no speakers."""
    times = np.array([0, 0.0078125, 0.25, 0.99951171875, 1.0, 3.5, -0.001], np.float16)
    units = np.array([0, 4, 5, 699, 0, 0, 0], np.uint16)
    content = {"spikes/times": [times], "spikes/units": [units], "labels": np.array([7])}
    write_hdf5(tmp_path / "some.h5", content)
    found = load_hdf5(tmp_path / "some.h5", 128)
    assert np.argwhere(found.events[0]).tolist() == [[0, 0], [1, 0], [32, 1], [127, 139]]
    assert found.labels.tolist() == [7] and found.speakers is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": None}, "labels"),
        ({"spikes/times": None}, "times"),
        ({"spikes/units": None, "spikes/times": None}, "is missing"),
        ({"labels": np.zeros(4, int)}, "times, units, labels and speakers differ in number"),
        ({"extra/speaker": np.zeros(6, int)}, "times, units, labels and speakers differ in number"),
        ({"spikes/units": draw_spikes()["spikes/units"][:4]}, "differ in number"),
        ({"spikes/units": draw_spikes()["spikes/units"][::-1]}, "sample 0 has 40 times and 1 unit"),
        ({"spikes/units": [np.array([700] * n) for n in (40, 7, 0, 200, 1)]}, "unit 700 of 700"),
        ({"spikes/units": [np.array([-1] * n) for n in (40, 7, 0, 200, 1)]}, "unit -1 of 700"),
        ({"spikes/times": np.zeros(5)}, "has no len"),
        ({"spikes/times": [np.full(n, np.nan) for n in (40, 7, 0, 200, 1)]}, "a spike at nan sec"),
        ({"spikes/times": [np.full(n, np.inf) for n in (40, 7, 0, 200, 1)]}, "a spike at inf sec"),
        ({"labels": 3}, "unsized"),
        ({"labels": [np.zeros(1)] * 5}, "labels of type object: use integers"),
        ({"labels": np.array([b"one"] * 5)}, "labels of type .*: use integers"),
        ({"labels": np.full(5, 0.9)}, "labels of type float64: use integers"),
        ({"spikes/units": [np.full(n, 3.7) for n in (40, 7, 0, 200, 1)]}, "units of sample 0 of t"),
        ({"labels": None, "labels/inner": np.zeros(5)}, "."),
    ],
)
def test_ragged_spikes_of_another_layout(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "some.h5"
    write_hdf5(path, {k: v for k, v in (draw_spikes() | change).items() if v is not None})
    with pytest.raises(UserError, match=f"some.h5 is not an SHD or SSC file: .*{message}") as error:
        load_hdf5(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"<html>not found</html>"),
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: flip(path, 0),
        lambda path: flip(path, path.read_bytes().index(b"HEAP")),
        lambda path: flip(path, path.read_bytes().index(b"TREE")),
        lambda path: flip(path, path.read_bytes().index(b"GCOL")),
        lambda path: flip(path, path.read_bytes().index(b"SNOD") + 10),  # where a name is
    ],
)
def test_damaged_ragged_spikes_are_named(damage: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "some.h5"
    write_hdf5(path, draw_spikes())
    damage(path)
    with pytest.raises(UserError, match="some.h5 is not an SHD or SSC file: .") as error:
        load_hdf5(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no .*some.h5: set --data to the folder with"):
        load_hdf5(tmp_path / "some.h5")
