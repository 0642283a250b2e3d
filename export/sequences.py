"""The first of a network's test sequences (`export.store.find_dataset`), for a command."""

from __future__ import annotations

from pathlib import Path

from golden.command_line import Count
from golden.data.dataset import Dataset
from golden.errors import UserError
from golden.hardware.core import CoreParams


def first_sequences(core: CoreParams, manifest: Path, dataset: Dataset, count: Count) -> Dataset:
    """Return the first sequences of a data set for the core of a manifest; or raise `UserError`
    where there are fewer than asked for, or they have other inputs than the core.
    """
    dataset = dataset.select(slice(check_count(dataset, count)))
    found, n_inputs = dataset.sequences(slice(1)).shape[2], core.network.layers[0].n_inputs
    if found != n_inputs:
        raise UserError(
            f"the sequences have {found} input{'s' * (found > 1)} a timestep, but the core of"
            f" {manifest} has {n_inputs}: check --network, --data, and 'data' in its card.json"
        )
    return dataset


def check_count(dataset: Dataset, count: Count) -> int | None:
    """Return how many sequences to take, or raise `UserError` where there are fewer than asked
    for.
    """
    if count.asked and count.number is not None and count.number > len(dataset):
        raise UserError(f"{count.option} {count.number}: there are {len(dataset)}")
    return count.number
