"""Which network a build folder is of: what is made of one is not left beside another."""

from __future__ import annotations

import os
from pathlib import Path

from export.store import find_folder, names
from golden.errors import UserError
from golden.files import write_whole

STAMP = "network.txt"


def claimed(folder: Path) -> str | None:
    """Return the network (a shipped one, or a folder) that a build folder is of, if it says so."""
    found = _stamp(folder)
    if found is None or not found.startswith("."):
        return found
    return os.path.normpath(folder / found)


def check_claim(folder: Path, network: str) -> None:
    """Raise `UserError` where a build folder is of another network (a shipped one, or a folder), or
    a file.
    """
    if folder.is_file():
        raise UserError(f"{folder}: File exists: use another path")
    if _stamp(folder) not in (None, _owner(folder, network)):
        raise UserError(
            f"{folder} is of network {claimed(folder)}, not of {network}: use another folder"
            " (--out), or remove that one"
        )


def _stamp(folder: Path) -> str | None:
    """Return what is noted in a build folder."""
    stamp = folder / STAMP
    return stamp.read_text(errors="replace").strip() if stamp.exists() else None


def claim(folder: Path, network: str) -> None:
    """Note in a build folder, which is made if need be, that it is of this network; or raise
    `UserError`, as `check_claim`.
    """
    check_claim(folder, network)
    if not (folder / STAMP).exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / STAMP, f"{_owner(folder, network)}\n")


def _owner(folder: Path, network: str) -> str:
    """Return what is noted: a shipped network's name, or the way from the build folder to a
    network's, so that both may be moved together.
    """
    if network in names() or not find_folder(network).is_dir():
        return network
    way = os.path.relpath(find_folder(network).resolve(), folder.resolve())
    return os.path.join(".", way)
