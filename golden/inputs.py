"""Files from strangers. What is in one is never run, and takes no more memory than `room` says;
what is damaged is refused in one line.
"""

from __future__ import annotations

import io
import json
import lzma
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, get_type_hints

import numpy as np

from golden.errors import UserError
from golden.param_checks import shown

ROOM = 1 << 30  # bytes that any file may unpack to
ROOM_A_BYTE = 64  # and more for each byte of the file
# What Python, NumPy, SciPy and h5py raise on damaged content. Too little memory is not among it.
BROKEN = (
    ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, SyntaxError,
    TypeError, UnboundLocalError, ValueError, lzma.LZMAError, struct.error, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
HEADER = re.compile(
    r"\{'descr': '([<>|=]?[a-zA-Z?][0-9]{0,9})', 'fortran_order': (False|True),"
    r" 'shape': \(((?:[0-9]{1,19}, ?)*[0-9]{0,19})\), ?\} *\n?"
)
MAGIC = b"\x93NUMPY"
CHUNK = 1 << 20
LARGEST = 1e300  # of a number in JSON, whose squares nobody needs


class Room:
    """Bytes that what is read from a file may still take."""

    def __init__(self, file_bytes: int) -> None:
        self.whole = self.left = ROOM + ROOM_A_BYTE * file_bytes

    def take(self, n_bytes: int, what: str) -> None:
        """Take bytes, or raise `UserError` where there are too few."""
        self.left -= n_bytes
        if self.left < 0:
            raise UserError(
                f"{what} would take {n_bytes / 1e9:.3g} GB: at most {self.whole / 1e9:.3g} GB are"
                f" read of it, which is {ROOM_A_BYTE} times its size and {ROOM / 1e9:.3g} GB"
            )


@contextmanager
def reading(path: Path | str, right: str) -> Iterator[None]:
    """Turn what damaged content raises in the block into a `UserError` that says what is right."""
    try:
        yield
    except UserError:
        raise
    except BROKEN as error:
        raise UserError(f"{path} cannot be read ({reason(error)}): {right}") from None


def reason(error: BaseException) -> str:
    """Return what an error says, as short words."""
    words = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, KeyError):
        words = f"{words} is missing"
    return words if len(words) <= 200 else f"{words[:197]}..."


def read_json(path: Path) -> Any:
    """Return the content of a JSON file; raise `ValueError` where it is none."""
    try:
        return json.loads(path.read_text())
    except RecursionError:
        raise ValueError("its values lie too deep within each other") from None


def check_fields(made: Any) -> None:
    """Raise `TypeError` where a field of a dataclass is not of its type: text, a truth, a whole
    number, a finite number, a list of text. Fields of other types are not looked at.
    """
    for name, kind in get_type_hints(type(made)).items():
        value = getattr(made, name, None)
        right = {
            str: isinstance(value, str),
            bool: isinstance(value, bool),
            int: _finite(value) and isinstance(value, int),
            float: _finite(value),
            list[str]: isinstance(value, list) and all(isinstance(of, str) for of in value),
        }
        if not right.get(kind, True):
            raise TypeError(f"{name} is {shown(value)}")


def _finite(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) < LARGEST


def read_npz(source: Path | bytes, names: Collection[str] = ()) -> dict[str, np.ndarray]:
    """Return the arrays of numbers, or of text, of an `.npz` by name: those of these names that it
    has, or all. Pickles are never loaded.

    Raises
    ------
    UserError
        An array of Python objects, or one that takes more than `Room`.
    ValueError
        And others of `BROKEN`: it is no `.npz`, or damaged.
    """
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    room, found = Room(size), {}
    opened = io.BytesIO(source) if isinstance(source, bytes) else source
    with zipfile.ZipFile(opened) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if names and name not in names:
                continue
            with open_packed(archive, info) as file:
                found[name] = _read_array(file, name, info.file_size, room)
    return found


def open_packed(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """Open a file in a zip; raise `ValueError` where it is packed in a way that lets its header say
    how much memory unpacking takes, or is longer than what the zip has before its directory.
    """
    if info.compress_size > archive.start_dir:
        raise ValueError(f"{info.filename} is of {info.compress_size} bytes, which are not there")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename} is packed by method {info.compress_type}")
    return archive.open(info)


def _read_array(file: Any, name: str, size: int, room: Room) -> np.ndarray:
    """Return an array in NumPy's format, whose header and values are `size` bytes."""
    begin = file.read(8)
    wide = begin[6:7] != b"\x01"  # the length of the header: 2 bytes in version 1, 4 in later ones
    if begin[:6] != MAGIC or len(begin) < 8 or begin[6] not in (1, 2, 3):
        raise ValueError(f"{name} is no array")
    counted = file.read(4 if wide else 2)
    (length,) = struct.unpack("<I" if wide else "<H", counted)
    if length > 1 << 16:
        raise ValueError(f"{name} has a header of {length} bytes")
    header = file.read(length).decode("latin1")
    described = HEADER.fullmatch(header)
    if "'|O'" in header:
        raise UserError(f"{name} holds Python objects, which are never loaded: store numbers")
    if described is None:
        raise ValueError(f"{name} has no header of an array of numbers")
    kind = np.dtype(described[1])
    shape = tuple(int(number) for number in described[3].split(",") if number.strip())
    if kind.kind not in "biufcSU" or kind.itemsize == 0 or len(shape) > 32:
        raise ValueError(f"{name} of type {kind} is no array of numbers")
    n_bytes = math.prod(shape) * kind.itemsize
    if n_bytes != size - len(begin) - len(counted) - length:
        raise ValueError(f"{name} has not the size that its header says")
    room.take(n_bytes, name)
    values = np.empty(n_bytes, np.uint8)
    for at in range(0, n_bytes, CHUNK):
        chunk = file.read(min(CHUNK, n_bytes - at))
        values[at : at + CHUNK] = np.frombuffer(chunk, np.uint8)
    if file.read(1):
        raise ValueError(f"{name} is longer than its header says")
    # In the machine's order of bytes, as computing with them makes them anyway.
    order = "F" if described[2] == "True" else "C"
    return values.view(kind).reshape(shape, order=order).astype(kind.newbyteorder("="), copy=False)
