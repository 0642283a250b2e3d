"""Write files whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from golden.cache import cache_folder
from golden.errors import UserError, guard_folder

_alone: set[Path] = set()  # where this process keeps others from writing


@contextmanager
def alone_at(path: Path) -> Iterator[None]:
    """Keep other commands of this user from writing to a folder, or a file, while the block runs;
    where one does, say so and wait until it ends, however it ends.
    """
    path = path.resolve()
    if path in _alone:
        yield
        return
    lock = file = None
    with suppress(OSError, RuntimeError):  # no home that can be written: nobody is kept out
        folder = cache_folder() / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / hashlib.sha256(os.fsencode(path)).hexdigest()
        lock = _locked(file, path)
    _alone.add(path)
    try:
        yield
    finally:
        _alone.remove(path)
        if lock is not None and file is not None:
            file.unlink(missing_ok=True)
            os.close(lock)


def _locked(file: Path, path: Path) -> int:
    """Return a lock file, opened and locked, with the number of this process in it."""
    while True:
        lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.read(lock, 20).decode(errors="replace")
            print(f"waiting: process {other or '?'} writes to {path}", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        same = False
        with suppress(FileNotFoundError):
            same = os.path.samestat(os.fstat(lock), file.stat())
        if same:
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
            return lock
        os.close(lock)  # who had it has removed it


@contextmanager
def scratch_folder(beside: Path | None = None) -> Iterator[Path]:
    """Make a folder in a folder (or where the system has such), and remove it after the block, also
    where the process is killed.
    """
    with tempfile.TemporaryDirectory(dir=beside, prefix=".scratch-") as made:
        guard_folder(made)
        yield Path(made)


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
        with scratch_folder(path.parent) as scratch:
            made = scratch / path.name
            made.write_bytes(data)
            made.replace(path)
