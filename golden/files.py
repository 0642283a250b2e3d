"""Write files whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from golden.errors import UserError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Give an `OSError` of the block the name of what it writes: that of a full disk has none, and
    others that of a scratch file.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None


def keep(path: Path, force: bool) -> None:
    """Raise `UserError` where a file would be replaced that nobody said may be."""
    if path.exists() and not force:
        raise UserError(f"{path} is there already: name another place, or replace it (--force)")


def check_folder(path: Path, content: str) -> None:
    """Raise `UserError` where the folder of a data set is to be, and a file is."""
    if path.is_file():
        raise UserError(f"{path} is a file: set --data to the folder with {content}")


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file in place of what is there. Where that fails or is interrupted, what is there
    stays, and nothing else is left. An `OSError` names the file.
    """
    data = content.encode() if isinstance(content, str) else content
    with writing(path):
        if path.exists() and not path.is_file():  # a device: it cannot be replaced
            path.write_bytes(data)
            return
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as scratch:
            made = Path(scratch) / path.name
            made.write_bytes(data)
            made.replace(path)
