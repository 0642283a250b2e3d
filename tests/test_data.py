"""Digits as sequences, and every way in which the files can be wrong."""

from __future__ import annotations

import gzip
import io
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden.data import MIRRORS, load_mnist, load_spoken, pixel_permutation, to_sequences
from golden.errors import UserError
from tests.mnist import COUNTS, make_mnist

IMAGES = "t10k-images-idx3-ubyte"
PERMUTATION_START = [319, 576, 323, 107, 355, 716, 197, 20]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return make_mnist(tmp_path / "mnist", monkeypatch)


def test_both_splits_are_read(folder: Path) -> None:
    for split, prefix in (("train", "train"), ("test", "t10k")):
        digits = load_mnist(folder, split)
        assert digits.images.shape == (COUNTS[prefix], 28, 28) and digits.images.dtype == np.uint8
        assert len(digits) == COUNTS[prefix] and digits.labels.max() <= 9
        for image, label in zip(digits.images, digits.labels, strict=True):
            assert image.mean(1).argmax() // 2 - 2 == label


def test_unpacked_files_are_read_too(folder: Path) -> None:
    before = load_mnist(folder, "test")
    packed = folder / f"{IMAGES}.gz"
    (folder / IMAGES).write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    assert np.array_equal(load_mnist(folder, "test").images, before.images)


def flip(path: Path, where: int) -> None:
    content = bytearray(path.read_bytes())
    content[where] ^= 0xFF
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), rf"has no {IMAGES}\[\.gz\]: set DATA to the folder"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-500]),
            r"cannot be read \(.*\): fetch it again",
        ),
        (
            lambda path: path.write_bytes(b"<html>not found</html>"),
            r"cannot be read \(.*\): fetch it again",
        ),
        (lambda path: path.write_bytes(b""), r"is not MNIST's|cannot be read"),
        (lambda path: flip(path, 10), r"cannot be read \(.*\): fetch it again"),
        (lambda path: flip(path, 200), r"cannot be read \(.*\): fetch it again"),
        (
            lambda path: path.write_bytes(gzip.compress(b"another data set")),
            r"is not MNIST's .*SHA-256 differs",
        ),
    ],
)
def test_a_damaged_file_is_named(folder: Path, damage: Callable[[Path], Any], message: str) -> None:
    damage(folder / f"{IMAGES}.gz")
    with pytest.raises(UserError, match=message) as error:
        load_mnist(folder, "test")
    assert IMAGES in str(error.value) and "\n" not in str(error.value)
    load_mnist(folder, "train")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere has no train-images-idx3-ubyte"):
        load_mnist(tmp_path / "nowhere", "train")


class Response(io.BytesIO):
    """What a mirror answers."""

    @property
    def headers(self) -> dict[str, str]:
        return {"Content-Length": str(len(self.getvalue()))}


def test_fetching_tries_each_mirror_and_keeps_what_is_right(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(url: str, timeout: float) -> Response:
        asked.append(url)
        packed = (folder / url.rsplit("/", 1)[1]).read_bytes()
        return Response(packed[:-100] if url.startswith(MIRRORS[0]) else packed)

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(urllib.request, "urlopen", answer)
    fetched = load_mnist(None, "test")
    assert np.array_equal(fetched.images, load_mnist(folder, "test").images)
    assert [url.startswith(MIRRORS[1]) for url in asked] == [False, True, False, True]
    load_mnist(None, "test")
    assert len(asked) == 4, "the second time it comes from the cache"


@pytest.mark.parametrize("damaged", [b"", b"<html>not found</html>"])
def test_a_damaged_file_in_the_cache_is_fetched_again(
    damaged: bytes, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(url: str, timeout: float) -> Response:
        asked.append(url.rsplit("/", 1)[1])
        return Response((folder / asked[-1]).read_bytes())

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(urllib.request, "urlopen", answer)
    load_mnist(None, "test")
    [cached] = (tmp_path / "home").rglob(IMAGES)
    cached.write_bytes(damaged)
    asked.clear()
    digits = load_mnist(None, "test")
    assert np.array_equal(digits.images, load_mnist(folder, "test").images)
    assert asked == [f"{IMAGES}.gz"]


def test_no_mirror_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, timeout: float) -> Response:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(
        UserError, match="cannot fetch t10k-images.*no route to host.*set DATA"
    ) as error:
        load_mnist(None, "test")
    assert all(mirror in str(error.value) for mirror in MIRRORS)
    assert not list(tmp_path.rglob("*ubyte*"))


def test_sequences(folder: Path) -> None:
    images = load_mnist(folder, "test").images
    pixels, permuted, rows = (
        to_sequences(images, variant) for variant in ("smnist", "psmnist", "rows")
    )
    assert pixels.shape == permuted.shape == (32, 784, 1) and rows.shape == (32, 28, 28)
    assert pixels[3, 28 * 5 + 7, 0] == rows[3, 5, 7] == images[3, 5, 7]
    assert np.array_equal(permuted[:, :, 0], pixels[:, pixel_permutation(), 0])
    with pytest.raises(
        UserError, match="unknown data variant 'mnist': use smnist, psmnist or rows"
    ):
        to_sequences(images, "mnist")


def test_the_permutation_is_a_fixed_bijection() -> None:
    permutation = pixel_permutation()
    assert sorted(permutation) == list(range(784))
    assert permutation[:8].tolist() == PERMUTATION_START, "trained networks depend on this order"
    assert np.array_equal(permutation, pixel_permutation())


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
