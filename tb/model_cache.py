"""Keep what Verilator built, so that each model is built once for all commands and folders.

An entry is a folder named after the hash of all that its product is made from. It holds the product
and the hash of that, against which every use checks it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from golden.cache import cache_folder
from golden.errors import UserError, guard_folder

UNBUILDABLE = r'[\s#:;"]'  # in a path, to make or to Verilator
CHECKED = "sha256"  # the file with the hash of an entry's product
KEPT_BYTES = 1 << 30  # of all entries of a folder together
UNTOUCHED = 3600  # seconds since its last use for which an entry stays, however full the folder is
ABANDONED = 86400  # seconds after which a build that has not ended was interrupted


def kept_in(beside: Path) -> Path:
    """Return the folder where this user's models are kept: in the user's cache, or where there is
    none to build in, `beside`.
    """
    try:
        kept = cache_folder() / "verilator"
        kept.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # a user without a home
        return beside
    return beside if re.search(UNBUILDABLE, str(kept)) or not os.access(kept, os.W_OK) else kept


def build_once(
    sources: Mapping[str, str],
    flags: tuple[object, ...],
    product: str,
    cache: Path,
    build: Callable[[Path, Path], None],
) -> Path:
    """Return the folder in `cache` with the file `product` that `build` made from `sources` (text
    by file name).

    It is known by the hash of sources and flags, and built unless it is there and whole. `build` is
    called with the folder that holds the sources and the path of a log, and raises `RuntimeError`
    where it fails.
    """
    key = hashlib.sha256(repr((sorted(sources.items()), flags)).encode())
    folder = cache.resolve() / key.hexdigest()[:24]
    if _use(folder, product):
        return folder
    wrong = re.search(UNBUILDABLE, str(folder))
    if wrong:
        what = "a space" if wrong[0].isspace() else f"a {wrong[0]}"
        raise UserError(
            f"make cannot build in '{folder.parent}', whose path has {what}: use a folder without"
            " one (--out)"
        )
    cache.mkdir(parents=True, exist_ok=True)
    # Built aside and moved: an interrupted build leaves nothing, and of two builds at once either
    # may win.
    partial = Path(tempfile.mkdtemp(prefix="partial-", dir=cache)).resolve()
    guard_folder(str(partial))
    log = folder.with_suffix(".log")
    try:
        for name, text in sources.items():
            (partial / name).write_text(text)
        try:
            build(partial, log)
        except RuntimeError as error:
            why = _reason(log) or error
            raise UserError(f"Verilator could not build the core ({why}): see {log}") from None
        _keep_only(partial, product)
        _move(partial, folder, product)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # it is there no more where it was moved
    prune(cache, KEPT_BYTES)
    return folder


def _use(folder: Path, product: str) -> bool:
    """Return whether an entry is there and whole, and note that it is used."""
    try:
        expected = (folder / CHECKED).read_text()
        found = hashlib.sha256((folder / product).read_bytes()).hexdigest()
        if found != expected:
            return False
        os.utime(folder)
    except OSError:
        return False
    return True


def _keep_only(folder: Path, product: str) -> None:
    """Remove all but the product, of which the rest is ten times the size, and write its hash."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != product:
            path.unlink()
    (folder / CHECKED).write_text(hashlib.sha256((folder / product).read_bytes()).hexdigest())


def _move(partial: Path, folder: Path, product: str) -> None:
    """Make `partial` the entry `folder`, in place of a damaged one; one of another process stays
    where it is whole.
    """
    try:
        partial.rename(folder)
    except OSError:
        if _use(folder, product):
            return
        damaged = Path(tempfile.mkdtemp(prefix="partial-", dir=folder.parent))
        folder.rename(damaged)
        shutil.rmtree(damaged, ignore_errors=True)
        partial.rename(folder)


def _reason(log: Path) -> str | None:
    """Return the line of a log that says what went wrong, if there is one."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return next((x for x in lines if re.search("%Error|error:|No space left", x)), None)


def prune(cache: Path, kept_bytes: int) -> None:
    """Remove the entries that were used longest ago until the others are `kept_bytes` at most, and
    what interrupted builds left. What another process may be using stays.
    """
    now, entries = time.time(), list[tuple[float, int, Path]]()
    for folder in cache.iterdir():
        try:
            used = folder.stat().st_mtime
            if not folder.is_dir():
                if now - used > ABANDONED and not folder.with_suffix("").exists():
                    folder.unlink()  # the log of a build that failed
            elif folder.name.startswith("partial-"):
                if now - used > ABANDONED:
                    shutil.rmtree(folder, ignore_errors=True)
            else:
                size = sum(path.stat().st_size for path in folder.iterdir())
                entries.append((used, size, folder))
        except OSError:  # another process removed it
            continue
    total = sum(size for _, size, _ in entries)
    for used, size, folder in sorted(entries):
        if total <= kept_bytes or now - used <= UNTOUCHED:
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_suffix(".log").unlink(missing_ok=True)
        total -= size
