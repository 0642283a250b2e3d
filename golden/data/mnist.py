"""MNIST as sequences of events: pixel by pixel, permuted, or row by row.

The four idx files are read from a folder (gzipped or not) or fetched from the public mirrors, and
held to their SHA-256, so that a truncated download or another data set under the same name is an
error and not a wrong accuracy.
"""

from __future__ import annotations

import gzip
import hashlib
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from golden.cache import cache_folder
from golden.errors import UserError
from golden.files import check_folder, write_whole

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
# SHA-256 of the unpacked files: gzip headers differ between mirrors.
FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
SIDE = 28
PERMUTATION_SEED = 92916  # the psmnist permutation is part of the network: never change it


@dataclass(frozen=True)
class Digits:
    """Images (n, 28, 28) uint8 and labels (n,) uint8."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def pixel_permutation() -> np.ndarray:
    """Return the fixed order (784,) in which psmnist visits the pixels."""
    return np.random.RandomState(PERMUTATION_SEED).permutation(SIDE * SIDE)


def to_sequences(images: np.ndarray, variant: str) -> np.ndarray:
    """Arrange images (n, 28, 28) uint8 as payloads (n, timesteps, inputs) uint8.

    `smnist` is one pixel a timestep in reading order, `psmnist` the same in a fixed permutation,
    `rows` one row of 28 pixels a timestep.
    """
    n = len(images)
    if variant == "smnist":
        return images.reshape(n, SIDE * SIDE, 1)
    if variant == "psmnist":
        return images.reshape(n, SIDE * SIDE, 1)[:, pixel_permutation()]
    if variant == "rows":
        return images.reshape(n, SIDE, SIDE)
    raise UserError(f"unknown data variant '{variant}': use smnist, psmnist or rows")


def to_images(sequences: np.ndarray, variant: str) -> np.ndarray:
    """Arrange payloads (n, timesteps, inputs) as the images (n, 28, 28) that `to_sequences` made
    them of.
    """
    flat = sequences.reshape(len(sequences), SIDE * SIDE)
    if variant == "psmnist":
        flat = flat[:, np.argsort(pixel_permutation())]
    return flat.copy().reshape(-1, SIDE, SIDE)


def load_mnist(folder: Path | None, split: str) -> Digits:
    """Read the `train` or `test` split from `folder`, or fetch it into the user's cache when
    `folder` is None.

    Raises
    ------
    UserError
        A file is missing, cannot be fetched, or is not MNIST.
    """
    if folder is not None:
        check_folder(folder, "the four MNIST idx files")
    prefix = {"train": "train", "test": "t10k"}[split]
    images = _read(folder, f"{prefix}-images-idx3-ubyte")
    labels = _read(folder, f"{prefix}-labels-idx1-ubyte")
    return Digits(
        np.frombuffer(images, np.uint8, offset=16).reshape(-1, SIDE, SIDE),
        np.frombuffer(labels, np.uint8, offset=8),
    )


def _read(folder: Path | None, name: str) -> bytes:
    if folder is None:
        folder = cache_folder() / "mnist"
        try:
            return _read(folder, name)
        except UserError:  # it is missing, or damaged: what is fetched takes its place
            _fetch(folder, name)
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            try:
                content = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
            except (OSError, EOFError, zlib.error) as error:
                raise UserError(f"{path} cannot be read ({error}): fetch it again") from None
            if hashlib.sha256(content).hexdigest() != FILES[name]:
                raise UserError(f"{path} is not MNIST's {name} (SHA-256 differs): fetch it again")
            return content
    raise UserError(
        f"{folder} has no {name}[.gz]: set --data to the folder with the four MNIST idx files"
    )


def _fetch(folder: Path, name: str) -> None:
    reasons = []
    for mirror in MIRRORS:
        try:
            with urllib.request.urlopen(f"{mirror}{name}.gz", timeout=30) as response:
                size = int(response.headers.get("Content-Length", 0)) or None
                packed = bytearray()
                with tqdm(total=size, unit="B", unit_scale=True, desc=name) as bar:
                    while chunk := response.read(1 << 16):
                        packed += chunk
                        bar.update(len(chunk))
            content = gzip.decompress(bytes(packed))
        except (OSError, EOFError, zlib.error, urllib.error.URLError) as error:
            reasons.append(f"{mirror}: {error}")
            continue
        if hashlib.sha256(content).hexdigest() == FILES[name]:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / name, content)
            return
        reasons.append(f"{mirror}: SHA-256 differs")
    raise UserError(
        f"cannot fetch {name} ({'; '.join(reasons)}): set --data to a folder with the four MNIST"
        " idx files"
    )
