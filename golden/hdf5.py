"""HDF5 files from strangers. A damaged one can make the library, which is in C, run for ever, take
memory, or end its process: it is read in a process of its own, with little of both.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
from collections.abc import Collection
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import Any

import numpy as np

from golden.errors import UserError
from golden.inputs import BROKEN, Room, reason

SECONDS = 20  # of a processor that reading may take, and one more for each megabyte of the file
WAITS = 30  # times as long that it may wait for a processor
SPARE = 1 << 28  # bytes that the library may take beside the values
RAGGED_BYTES = 128  # that an array takes of which a dataset has many
LINE = 1 << 30


class Group(dict[str, Any]):
    """A group: by name groups, arrays, and texts (bytes); `path` is its own, as `layer/0`."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def at(self, path: str) -> Any:
        """Return what is at `a/b/c` below it; or raise `KeyError`."""
        found: Any = self
        for name in path.split("/"):
            if not isinstance(found, Group) or name not in found:
                raise KeyError(path)
            found = found[name]
        return found


def read_hdf5(path: Path, names: Collection[str] = ()) -> Group:
    """Return what is in a file: all, or all groups and the datasets at these paths.

    Raises
    ------
    ValueError
        It is no HDF5 file, or damaged; it takes more than `Room`, or more than `SECONDS`; its
        values are in other files. A reader says which file, and what is right.
    """
    size = path.stat().st_size
    room = Room(size)
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(ours)
            _limit(2 * room.whole + SPARE, SECONDS + size // 10**6)
            with os.fdopen(theirs, "wb") as out:
                _send(out, path, names, room)
        finally:
            os._exit(0)
    os.close(theirs)
    try:
        with os.fdopen(ours, "rb") as file:
            found, error = _receive(file, room)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        _, status = os.waitpid(child, 0)
    if found is None:
        ended = signal.strsignal(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else "in silence"
        raise ValueError(error or f"the HDF5 library ended: {ended}")
    return found


def _limit(n_bytes: int, seconds: int) -> None:
    """Limit this process, and let signals end it also within the library."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.alarm(WAITS * seconds)  # where it takes no processor either
    limits = {resource.RLIMIT_CPU: seconds}
    if (statm := Path("/proc/self/statm")).exists():  # Linux
        used = int(statm.read_text().split()[0]) * resource.getpagesize()
        limits[resource.RLIMIT_AS] = used + n_bytes
    for kind, most in limits.items():
        _, hard = resource.getrlimit(kind)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, hard))


def _send(out: BufferedWriter, path: Path, names: Collection[str], room: Room) -> None:
    """Write what is in a file, and then that it is all; or what is wrong."""
    from h5py import File

    try:
        with File(path, "r") as file:
            for place, dataset in _datasets(file["/"], room):
                if dataset is None or not names or place in names:
                    _send_item(out, place, dataset)
        _send_line(out, end=True)
    except MemoryError:
        _send_line(out, error="it takes too much memory")
    except BROKEN as error:
        _send_line(out, error=reason(error))


def _send_line(out: BufferedWriter, **content: Any) -> None:
    out.write(json.dumps(content).encode() + b"\n")


def _datasets(root: Any, room: Room) -> list[tuple[str, Any]]:
    """Return the datasets of a file by their paths, and (None) its groups, outer ones first; or
    raise `UserError` where it does not hold all of it once, in this room.
    """
    from h5py import Dataset, HardLink
    from h5py import Group as Groups

    found: list[tuple[str, Any]] = []
    groups, seen = [("", root)], set()
    while groups:
        path, group = groups.pop()
        if group.id in seen:
            raise UserError(f"{path} is in it twice")
        seen.add(group.id)
        for name in group:
            place = f"{path}/{name}" if path else name
            if not isinstance(group.get(name, getlink=True), HardLink):
                raise UserError(f"{place} is a link, not what it leads to")
            item = group[name]
            if isinstance(item, Groups):
                groups.append((place, item))
                found.append((place, None))
            elif isinstance(item, Dataset):
                if item.external or item.is_virtual:
                    raise UserError(f"the values of {place} are in another file")
                of_each = RAGGED_BYTES if item.dtype.hasobject else item.dtype.itemsize
                room.take(math.prod(item.shape or ()) * of_each, place)
                found.append((place, item))
    return found


def _send_item(out: BufferedWriter, place: str, dataset: Any) -> None:
    """Write a group, or a dataset: numbers as they are, texts, or arrays one after another."""
    if dataset is None or dataset.shape is None:
        _send_line(out, place=place, group=dataset is None)
        return
    values = np.asarray(dataset[()])
    described: dict[str, Any] = {"place": place, "shape": values.shape}
    if values.dtype.hasobject:
        flat = values.ravel().tolist()
        if all(isinstance(value, bytes | str) for value in flat):
            texts = [v if isinstance(v, bytes) else v.encode("utf8", "replace") for v in flat]
            _send_line(out, texts=[text.decode("latin1") for text in texts], **described)
            return
        if not all(isinstance(value, np.ndarray) for value in flat):
            raise TypeError(f"{place} holds neither numbers nor texts")
        described["lengths"] = [len(value) for value in flat]
        values = np.concatenate(flat or [np.zeros(0)])
    if values.dtype.kind not in "biufcSU":
        raise TypeError(f"{place} of type {values.dtype} holds neither numbers nor texts")
    _send_line(out, kind=values.dtype.str, n_bytes=values.nbytes, **described)
    out.write(np.ascontiguousarray(values).tobytes())


def _receive(file: BufferedReader, room: Room) -> tuple[Group | None, str]:
    """Return what `_send` wrote, or None and what is wrong, if it says so."""
    root = Group("")
    while line := file.readline(LINE):
        try:
            item = json.loads(line)
        except ValueError:  # the process ended within it
            return None, ""
        if "end" in item or "error" in item:
            return (root if "end" in item else None), item.get("error", "")
        *outer, name = item["place"].split("/")
        group = root.at("/".join(outer)) if outer else root
        if "shape" not in item:
            group[name] = Group(item["place"]) if item["group"] else None
            continue
        shape = tuple(item["shape"])
        if "texts" in item:
            texts = np.empty(len(item["texts"]), object)
            texts[:] = [text.encode("latin1") for text in item["texts"]]
            group[name] = texts.reshape(shape) if shape else texts[0]
            continue
        room.take(item["n_bytes"], item["place"])
        content = np.empty(item["n_bytes"], np.uint8)
        buffer: Any = content
        if file.readinto(buffer) != content.size:
            return None, ""
        values = content.view(item["kind"])
        group[name] = (
            _ragged(values, item["lengths"], shape) if "lengths" in item else values.reshape(shape)
        )
    return None, ""


def _ragged(values: np.ndarray, lengths: list[int], shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of arrays of these lengths, which lie one after another."""
    found = np.empty(len(lengths), object)
    for index, end in enumerate(np.cumsum(lengths).tolist()):
        found[index] = values[end - lengths[index] : end]
    return found.reshape(shape)
