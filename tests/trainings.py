"""A small network to train, and what a training leaves behind, for tests."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from golden.train.checkpoint import load_network
from golden.train.loop import Recipe, train
from golden.train.topology import TOPOLOGIES

# Small, and of a leak at which so few neurons fire.
ROWS = replace(TOPOLOGIES["rows"], n_neurons=(16, 12), n_state=4, leak=0.9)


def train_rows(data: Path, out: Path, **recipe: Any) -> Path:
    """Train `ROWS`; return the path of the checkpoint."""
    return train("rows", ROWS, data, out, Recipe(**recipe))


def curve(folder: Path, name: str = "rows") -> list[dict[str, str]]:
    """Return the rows of a learning curve."""
    with (folder / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a checkpoint."""
    return load_network(path).state_dict()
