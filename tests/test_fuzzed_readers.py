"""Damaged files of every kind: each is read, or refused in one line, in bounded memory, and nothing
in it is run.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import shutil
import traceback
import warnings
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from golden import hdf5, inputs
from golden.errors import UserError
from golden.hdf5 import read_hdf5
from golden.inputs import open_packed, read_json, read_npz
from tests.stranger_files import KINDS, make_nir

ROOM = 16 << 20  # in place of that of users, so that what takes more is soon found
SPARE = 256 << 20  # of address space, for what is computed from so much
QUICK, LONG = 20, 4800  # files of each kind; the long ones are 10^5 together


def read_damaged(kind: str, folder: Path, seeds: range) -> list[str]:
    """Read a damaged file of a kind for each seed; return what was neither read nor refused in one
    line.
    """
    of, right, work = KINDS[kind], folder / "right", folder / "work"
    right.mkdir()
    of.make(right)
    of.read(right)  # what is damaged below is right
    wrong = []
    for seed in seeds:
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(right, work)
        of.damage(np.random.default_rng([seed, 99]), work)
        try:
            with warnings.catch_warnings(action="ignore"):
                of.read(work)
        except UserError as error:
            if len(str(error).splitlines()) != 1:
                wrong.append(f"{kind}, seed {seed}: {str(error)!r}")
        except BaseException:
            wrong.append(f"{kind}, seed {seed}: {traceback.format_exc()}")
    return wrong


def in_a_process(kind: str, folder: Path, seeds: range) -> None:
    """Do so in a process of its own with little memory, which a library in C may also end."""
    answer, child = folder / "answer", os.fork()
    if not child:
        try:
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + SPARE, used + SPARE))
            inputs.ROOM, hdf5.SECONDS = ROOM, 1
            answer.write_text("\n".join(read_damaged(kind, folder, seeds)))
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0, f"{kind}: reading ended the process"
    assert answer.read_text() == ""


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(kind: str, tmp_path: Path) -> None:
    in_a_process(kind, tmp_path, range(QUICK))


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_files(kind: str, tmp_path: Path) -> None:
    in_a_process(kind, tmp_path, range(QUICK, QUICK + LONG))


class Harm:
    """What a pickle can do."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {Path.cwd() / 'harmed'}",)


def test_pickles_are_never_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", a=np.array([Harm()], object))
    with pytest.raises(UserError, match="a holds Python objects, which are never loaded"):
        read_npz(Path("x.npz"))
    with zipfile.ZipFile("y.npz", "w") as archive:
        archive.writestr("a.npy", pickle.dumps(Harm()))
    with pytest.raises(ValueError, match="a is no array"):
        read_npz(Path("y.npz"))
    assert not Path("harmed").exists()


def test_headers_do_not_allocate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An array that is packed to a thousandth of its size, and a dataset that nobody wrote to."""
    path = tmp_path / "x.npz"
    np.savez_compressed(path, a=np.zeros(4 << 20, np.uint8))
    assert read_npz(path)["a"].size == 4 << 20
    monkeypatch.setattr(inputs, "ROOM", 1 << 20)
    with pytest.raises(UserError, match=r"a would take .* GB: at most .* GB are read of it"):
        read_npz(path)
    with h5py.File(tmp_path / "x.h5", "w") as content:
        content.create_dataset("a", (1 << 40,), "f8", chunks=True)
    with pytest.raises(ValueError, match=r"a would take 8.8e\+03 GB"):
        read_hdf5(tmp_path / "x.h5")


def test_methods_of_packing_that_ask_for_memory_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", b"x")
    with pytest.raises(ValueError, match=r"a\.npy is packed by method 14"):
        read_npz(tmp_path / "x.npz")


def test_sizes_in_a_directory_do_not_allocate(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a", bytes(9))
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        info = archive.getinfo("a")
        info.compress_size = 1 << 32
        with pytest.raises(ValueError, match="a is of 4294967296 bytes, which are not there"):
            open_packed(archive, info)


def test_few_events_do_not_allocate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever their times are."""
    monkeypatch.setattr(inputs, "ROOM", 1 << 20)
    (tmp_path / "x.aer").write_text("1000000 1\n")
    with pytest.raises(UserError, match="1 sequences of 1000001 timesteps .* do not fit into mem"):
        KINDS["events.aer"].read(tmp_path)


def test_a_header_says_what_is_there(tmp_path: Path) -> None:
    text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2000000,), }"
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + bytes([len(text), 0]) + text + bytes(9))
    with pytest.raises(ValueError, match="a has not the size that its header says"):
        read_npz(tmp_path / "x.npz")


def test_images_lie_beside_their_manifest(tmp_path: Path) -> None:
    KINDS["images"].make(tmp_path)
    manifest = tmp_path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"layer0.w_f.hex"', '"../layer0.w_f.hex"'))
    with pytest.raises(UserError, match="has an image in another folder: export the network again"):
        KINDS["images"].read(tmp_path)


@pytest.mark.parametrize("name", ["$system(1)", "a b", "", "1a", 3])
def test_names_of_ports_are_names(name: object, tmp_path: Path) -> None:
    """They come to stand in sources that are compiled."""
    KINDS["ports.json"].make(tmp_path)
    path = tmp_path / "ports.json"
    right = path.read_text()
    for key in ("top", "clk", "cycles", "layer0.repeated", "o_spikes", "address"):
        given = f'"top": {json.dumps(name)},' if key == "top" else json.dumps(name)
        wanted = '"top": "small",' if key == "top" else f'"{key}"'
        if key == "o_spikes" and not isinstance(name, str):
            continue
        path.write_text(right.replace(wanted, given))
        with pytest.raises(UserError, match="is no name"):
            KINDS["ports.json"].read(tmp_path)


def test_hdf5_reaches_no_other_file(tmp_path: Path) -> None:
    """Neither by a link nor by values that lie outside, and a group is in it once."""
    secret, path = tmp_path / "secret", tmp_path / "x.h5"
    secret.write_bytes(b"secret!!")
    messages = {"link": "a is a link", "values": "of a are in another", "twice": "is in it twice"}
    for name, message in messages.items():
        with h5py.File(path, "w") as file:
            if name == "link":
                file["a"] = h5py.ExternalLink(str(secret), "/")
            elif name == "values":
                file.create_dataset("a", (8,), "u1", external=[(str(secret), 0, 8)])
            else:
                file["a/b"] = file.create_group("a")
        with pytest.raises(ValueError, match=message):
            read_hdf5(path)


@pytest.mark.parametrize(
    ("library", "message"),
    [
        ("os.kill(os.getpid(), 9)", "the HDF5 library ended: Killed"),
        ("[None for _ in iter(int, 1)]", "the HDF5 library ended: CPU time limit exceeded"),
        ("bytearray(1 << 34)", "it takes too much memory"),
        ("1 / 0", "division by zero"),
    ],
)
def test_the_library_may_end_as_it_likes(
    library: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdf5, "SECONDS", 1)
    monkeypatch.setattr(h5py, "File", lambda *given: eval(library))
    (tmp_path / "x.h5").write_bytes(b"")
    with pytest.raises(ValueError, match=message):
        read_hdf5(tmp_path / "x.h5")


def test_all_that_hdf5_holds_is_read(tmp_path: Path) -> None:
    """Numbers of any type and shape, texts, ragged arrays, what is empty, groups."""
    values: dict[str, Any] = {
        "a/b/c": np.arange(6, dtype=">i2").reshape(2, 3), "a/d": 2.5, "e": True, "f": "text",
        "g": np.array([[b"ab", b"c"]], "S4"), "h": np.zeros((0, 3)), "i": np.bytes_("z"),
    }  # fmt: skip
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, value in values.items():
            file[name] = value
        file["texts"] = np.array(["ab", "c"], object)
        file["none"] = h5py.Empty("f")
        ragged = file.create_dataset("ragged", (3,), h5py.vlen_dtype(np.uint16))
        ragged[0], ragged[2] = [1, 2], [3]
        file.create_group("empty")
    found = read_hdf5(tmp_path / "x.h5")
    for name in ("a/b/c", "a/d", "e", "g", "h"):
        assert np.array_equal(found.at(name), values[name])
        assert found.at(name).dtype == np.asarray(values[name]).dtype
    assert (found["f"], found["i"], found["none"], found["empty"]) == (b"text", b"z", None, {})
    assert found["texts"].tolist() == [b"ab", b"c"]
    assert [(v.dtype, v.tolist()) for v in found["ragged"]] == [
        (np.uint16, [1, 2]), (np.uint16, []), (np.uint16, [3]),
    ]  # fmt: skip
    assert found["a"].path == "a" and found.at("a/b").path == "a/b"
    assert read_hdf5(tmp_path / "x.h5", ("e",)).keys() == {"a", "e", "empty"}


def test_json_of_any_depth_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a":' * 100_000)
    with pytest.raises(ValueError, match="too deep"):
        read_json(path)


def test_messages_are_one_line_of_text() -> None:
    """Whatever a file puts into them."""
    assert str(UserError("a\nb\x1b[2Jc\0")) == "a b [2Jc "
    assert len(str(UserError("x" * 10**6))) < 5000


def test_the_damage_is_refused_and_read(tmp_path: Path) -> None:
    """Of each kind some files stay right, so that what is behind the reader is reached."""
    found: Counter[str] = Counter()
    for kind in ("weights.npz", "images", "events.aer", "graph.nir"):
        of, right, work = KINDS[kind], tmp_path / kind, tmp_path / f"{kind} damaged"
        right.mkdir()
        of.make(right)
        for seed in range(25):
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(right, work)
            of.damage(np.random.default_rng([seed, 7]), work)
            try:
                of.read(work)
                found[f"{kind} read"] += 1
            except UserError:
                found[f"{kind} refused"] += 1
    assert len(found) == 8


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("in/shape", [1 << 20, 3], r"in \(Input\): 3145728 inputs: use 1 to 65536"),
        (
            "conv/stride",
            [1e300, 1],
            r"conv \(Conv2d\): stride is 1e\+300: use less than 1099",
        ),
    ],
)
def test_graphs_of_sizes_that_no_core_has(
    name: str, value: Any, message: str, tmp_path: Path
) -> None:
    """Refused before they take memory."""
    make_nir(tmp_path)
    with h5py.File(tmp_path / "x.nir", "r+") as file:
        del file[f"node/nodes/{name}"]
        file[f"node/nodes/{name}"] = np.array(value)
    with pytest.raises(UserError, match=message):
        KINDS["graph.nir"].read(tmp_path)
