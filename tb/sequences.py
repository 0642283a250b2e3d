"""The sequences that a command runs through the core of a manifest: its options, and what it says
to sequences that do not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from export.sequences import first_sequences
from export.store import find_dataset
from golden.command_line import DATA, NETWORK, Count, count_option
from golden.data.dataset import Dataset
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.manifest import read_core

Command = TypeVar("Command", bound=Callable[..., None])


def sequence_options(default: int) -> Callable[[Command], Command]:
    """Give a command MANIFEST, and the options that choose what runs through its core: `manifest`,
    `count`, `network`, `data`.
    """

    def add(command: Command) -> Command:
        for option in reversed(
            (
                click.argument("manifest", type=click.Path(path_type=Path)),
                count_option(default),
                NETWORK,
                DATA,
            )
        ):  # fmt: skip
            command = option(command)
        return command

    return add


def find_sequences(
    manifest: Path, count: Count, network: str | None, data: Path | None
) -> tuple[CoreParams, Dataset]:
    """Return the core of a manifest, which must have trace ports, and the first test sequences of
    its network, or raise `UserError`.
    """
    core, _ = read_core(manifest)
    if not core.hardware.trace:
        raise UserError(f"the core of {manifest} has no trace ports: export it with --trace")
    dataset = find_dataset(network or core.network.name, data)
    return core, first_sequences(core, manifest, dataset, count)
