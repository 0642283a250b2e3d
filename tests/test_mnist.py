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

from golden.data.mnist import MIRRORS, load_mnist, pixel_permutation, to_sequences
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
        (lambda path: path.unlink(), rf"has no {IMAGES}\[\.gz\]: set --data to the folder"),
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

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
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

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
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

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(
        UserError, match="cannot fetch t10k-images.*no route to host.*set --data to"
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
