"""The sequences that a command runs through the core of a manifest: its options, and what it says
to sequences that do not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from export.store import find_dataset, load_stored
from golden.data.dataset import Dataset
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.manifest import read_core

Command = TypeVar("Command", bound=Callable[..., None])


def sequence_options(default: int) -> Callable[[Command], Command]:
    """Give a command MANIFEST, and the options that choose what runs through its core: `manifest`,
    `n_digits`, `network`, `data`.
    """

    def add(command: Command) -> Command:
        for option in reversed(
            (
                click.argument("manifest", type=click.Path(path_type=Path)),
                click.option(
                    "--digits", "n_digits", default=default, type=click.IntRange(1),
                    help="How many sequences, from the first",
                ),
                click.option(
                    "--network",
                    help="The shipped network, or the folder, that the core was made from"
                    " [default: by its name]",
                ),
                click.option(
                    "--data", type=click.Path(path_type=Path),
                    help="Folder with the data set, of which test sequences are run [default: the"
                    " shipped digits]",
                ),
            )
        ):  # fmt: skip
            command = option(command)
        return command

    return add


def find_sequences(
    manifest: Path, n_digits: int, network: str | None, data: Path | None
) -> tuple[CoreParams, Dataset]:
    """Return the core of a manifest, which must have trace ports, and the first test sequences of
    its network, or raise `UserError`.
    """
    core, _ = read_core(manifest)
    if not core.hardware.trace:
        raise UserError(f"the core of {manifest} has no trace ports: export it with --trace")
    _, card = load_stored(network or core.network.name)
    dataset = find_dataset(card, data)
    if n_digits > len(dataset):
        raise UserError(f"--digits {n_digits}: there are {len(dataset)}")
    dataset = dataset.select(slice(n_digits))
    found, n_inputs = dataset.sequences().shape[2], core.network.layers[0].n_inputs
    if found != n_inputs:
        raise UserError(
            f"{card.data} sequences have {found} input{'s' * (found > 1)} a timestep, but the core"
            f" of {manifest} has {n_inputs}: check --network, and 'data' in its card.json"
        )
    return core, dataset
