"""Damage to files: bytes, JSON, arrays in an `.npz`, datasets of HDF5, words of a text; from a
generator of random numbers.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Rng = np.random.Generator

NUMBERS = (b"0", b"-1", b"1e999", b"99999999999999999999", b"nan", b"1" * 5000, b"4294967296")
SIGNS = (b"", b"{", b"}", b"(", b'"', b";", b"\n", b"x" * 999)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 64, 65, 1 << 16, 1 << 31, 1 << 40, 1 << 63, -(1 << 63),
    10**30,
    10**400, 1e308, -1e308, 0.5, float("nan"), float("inf"), "", "x", "half_up", "../../etc/passwd",
    "\0", "1", [], [1], [[]], [None], {}, {"width": 8}, [1] * 1000,
)  # fmt: skip
SHAPES = ("(1099511627776,)", "(4294967295, 4294967295)", "(65535, 65535)", "(0,)", "()", "(-1,)",
          "(1,)", "(2, 3, 4)", "(1000000000,)", "(9" + "9" * 40 + ",)")  # fmt: skip
TYPES = ("|O", "<f8", "<f2", "<c16", "|b1", "<U3", "|S4", "<M8[s]", "|V3", "<i8", "<u8", ">i4", "?",
         "[('a', '<i4')]", "<i99999999")  # fmt: skip


def pick(rng: Rng, choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def mutate_bytes(rng: Rng, content: bytes) -> bytes:
    """Flip, cut out, insert, repeat, or enlarge what may be a length."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        place, size = int(rng.integers(len(data) + 1)), int(rng.integers(1, 64))
        kind = int(rng.integers(8))
        if kind < 3:
            for _ in range(int(rng.integers(1, 9))):
                if data:
                    data[int(rng.integers(len(data)))] = int(rng.integers(256))
        elif kind == 3:
            del data[place:]
        elif kind == 4:
            del data[place : place + size]
        elif kind == 5:
            data[place:place] = rng.bytes(size)
        elif kind == 6:
            data[place:place] = data[place : place + size]
        else:
            number = pick(rng, (0, 0x7F, 0xFFFF, 1 << 31, 0xFFFFFFFF, 1 << 40, (1 << 64) - 1))
            form = pick(rng, ("<B", "<H", "<I", "<Q", ">I"))
            width = struct.calcsize(form)
            packed = struct.pack(form, number & ((1 << 8 * width) - 1))
            data[place : place + width] = packed
    return bytes(data)


def mutate_words(rng: Rng, content: bytes) -> bytes:
    """Replace, remove, repeat or swap words and signs of a text; or its bytes."""
    if not rng.integers(4):
        return mutate_bytes(rng, content)
    words = content.split(b" ")
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(len(words)))
        kind = int(rng.integers(5))
        if kind < 2:
            words[place] = pick(
                rng, (*NUMBERS, b"", b"{", b"}", b"(", b'"', b";", b"\n", b"x" * 999)
            )
        elif kind == 2 and len(words) > 1:
            del words[place]
        elif kind == 3:
            words[place:place] = [words[place]] * int(rng.integers(1, 9))
        else:
            words[place] = words[place] + pick(rng, (b"{", b"\0", b"\xff", b"\r\n", b"/*", b"\\"))
    return b" ".join(words)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of everything in JSON."""
    found = [path] if path else []
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        found += _places(inner, (*path, key))
    return found


def mutate_json(rng: Rng, content: bytes) -> bytes:
    """Replace, remove or rename values; or the text's bytes."""
    if not rng.integers(4):
        return mutate_bytes(rng, content)
    if not rng.integers(20):
        return b'{"a":' * int(rng.integers(1, 100_000)) + b"1"
    tree = json.loads(content)
    for _ in range(int(rng.integers(1, 4))):
        places = _places(tree)
        if not places:
            break
        *outer, last = pick(rng, places)
        holder = tree
        for key in outer:
            holder = holder[key]
        kind = int(rng.integers(6))
        if kind < 4:
            holder[last] = deepcopy(pick(rng, VALUES))
        elif kind == 4:
            del holder[last]
        elif isinstance(holder, dict):
            holder[f"{last}x"] = holder.pop(last)
        else:
            holder.append(deepcopy(holder[last]))
    return json.dumps(tree).encode()


def mutate_npz(rng: Rng, content: bytes) -> bytes:
    """Change the header of an array, or its bytes, in an archive that is right; or the archive."""
    return mutate_zip(rng, content, mutate_header)


def mutate_zip(
    rng: Rng, content: bytes, mutate: Callable[[Rng, bytes], bytes] = mutate_bytes
) -> bytes:
    """Change a file in an archive that is right, remove it, or change the archive."""
    if not rng.integers(3):
        return mutate_bytes(rng, content)
    packed = io.BytesIO()
    compression = pick(rng, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(packed, "w") as new:
        names = old.namelist()
        chosen = pick(rng, names)
        for name in names:
            data = old.read(name)
            if name == chosen:
                kind = int(rng.integers(5))
                if kind == 0:
                    continue
                data = mutate_bytes(rng, data) if kind == 1 else mutate(rng, data)
            new.writestr(name, data, compression)
    return packed.getvalue()


def mutate_header(rng: Rng, array: bytes) -> bytes:
    """Give an array in NumPy's format another header."""
    length = struct.unpack("<H", array[8:10])[0]
    header, data = array[10 : 10 + length].decode("latin1"), array[10 + length :]
    shape, kind = header[header.index("(") : header.index(")") + 1], header.split("'")[3]
    if rng.integers(2):
        header = header.replace(shape, pick(rng, SHAPES))
    elif rng.integers(4):
        header = header.replace(f"'{kind}'", f"'{pick(rng, TYPES)}'")
    else:
        header = pick(rng, ("(" * 9000, "__import__('os').getpid()", "", "{}", "{'descr': 1}"))
    if not rng.integers(4):
        data = b"\0" * int(rng.integers(1 << 16))
    return array[:8] + struct.pack("<H", len(header) & 0xFFFF) + header.encode("latin1") + data


def mutate_hdf5(rng: Rng, path: Path) -> None:
    """Replace or remove a dataset or a group of a file, which stays right; or its bytes."""
    if rng.integers(2):
        path.write_bytes(mutate_bytes(rng, path.read_bytes()))
        return
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        name = pick(rng, names)
        del file[name]
        made = int(rng.integers(9))
        if made == 0:
            return
        huge = pick(rng, ((1 << 40,), (65535, 65535), (1 << 20, 1 << 20), (3, 0), (1 << 33,)))
        if made < 3:
            kind = pick(rng, ("u1", "f8", "i8", "S100"))
            file.create_dataset(name, huge, kind, chunks=True, maxshape=(None,) * len(huge))
        elif made == 3:
            file.create_dataset(name, (1 << 40,), h5py.vlen_dtype(np.float32), chunks=(64,))
        elif made == 4:
            file.create_group(name)
        elif made == 5:
            file[name] = pick(rng, (h5py.SoftLink("/"), h5py.ExternalLink("/etc/passwd", "/")))
        else:
            value = pick(rng, (1, -1, 2.5, 1e300, float("nan"), "text", True, 1 << 62))
            file[name] = value if rng.integers(2) else np.full((2, 3), 1.5)
