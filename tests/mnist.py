"""A folder of idx files like MNIST's, made from a seed, so that tests need neither the data set nor
a network.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from golden.data import mnist as data

COUNTS = {"train": 64, "t10k": 32}


def make_mnist(folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int = 0) -> Path:
    """Write four files of drawn digits, each a bright bar at its label's height, and let them pass
    as MNIST.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, count in COUNTS.items():
        labels = rng.integers(0, 10, count).astype(np.uint8)
        images = rng.integers(0, 40, (count, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 * label + 4 : 2 * label + 6, 4:24] += 200
        header = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in images.shape)
        contents = {
            f"{prefix}-images-idx3-ubyte": header + images.tobytes(),
            f"{prefix}-labels-idx1-ubyte": bytes([0, 0, 8, 1])
            + count.to_bytes(4, "big")
            + labels.tobytes(),
        }
        for name, content in contents.items():
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            monkeypatch.setitem(data.FILES, name, hashlib.sha256(content).hexdigest())
    return folder
