"""Every kind of file that a stranger may send: a small right one, how it is damaged, and its
reader.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import wavfile

from dmp_core.frontends.lava import from_lava
from dmp_core.frontends.nir import from_nir
from energy.from_liberty import from_liberty, read_macro
from energy.technology import read_technology
from export.core import read_images, write_core
from export.images import unpack
from export.store import Card, load_stored, save_network
from golden.data.binning import Binning, bin_events
from golden.data.events_command import read_events
from golden.data.recordings import Recordings, convert
from golden.data.sequence_files import Takes, read_sequences
from golden.data.speech import holds_spoken, load_spoken
from golden.data.synthetic import draw_layers
from golden.formats import Fixed
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import run
from golden.interface import Field, Interface, Port, interface_text, read_ports
from golden.quantize import quantize
from tests.energy_library import CELLS, macro
from tests.mutations import (
    Rng,
    mutate_bytes,
    mutate_hdf5,
    mutate_json,
    mutate_npz,
    mutate_words,
    mutate_zip,
    pick,
)
from tests.spoken import draw_spikes, write_hdf5

TAKES = Takes("n", 70, Fixed(8, 0), None)


@dataclass(frozen=True)
class Kind:
    """A kind of file: `make` writes a folder with a right one, `damage` changes that folder, `read`
    reads it.
    """

    make: Callable[[Path], object]
    damage: Callable[[Rng, Path], object]
    read: Callable[[Path], object]


def of_bytes(name: str, mutate: Callable[[Rng, bytes], bytes]) -> Callable[[Rng, Path], object]:
    """Return what damages a file by its bytes."""

    def damage(rng: Rng, folder: Path) -> None:
        path = folder / name
        path.write_bytes(mutate(rng, path.read_bytes()))

    return damage


def of_hdf5(name: str) -> Callable[[Rng, Path], object]:
    return lambda rng, folder: mutate_hdf5(rng, folder / name)


def make_network(folder: Path) -> None:
    network = draw_layers("small", (6, 5, 3), 2, 3, 0)
    save_network(network, folder, Card("", 4, 0, 0.0, 0.0, 0, [1.0], {"epochs": 1}))


def damage_weights(rng: Rng, folder: Path) -> None:
    """Damage weights whose hash is right, as a stranger would write it."""
    weights, described = folder / "weights.npz", folder / "network.json"
    weights.write_bytes(mutate_npz(rng, weights.read_bytes()))
    content = json.loads(described.read_text())
    content["weights_sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    described.write_text(json.dumps(content))


def make_core(folder: Path) -> None:
    network = draw_layers("small", (6, 5, 3), 2, 3, 0)
    write_core(network, CoreParams(network.params, HardwareParams(lanes=2)), folder)


def damage_images(rng: Rng, folder: Path) -> None:
    described = folder / "manifest.json"
    content = json.loads(described.read_text())
    entry = content["images"][pick(rng, list(content["images"]))]
    image = folder / entry["file"]
    image.write_bytes(mutate_words(rng, image.read_bytes().replace(b"\n", b" ")))
    entry["sha256"] = hashlib.sha256(image.read_bytes()).hexdigest()
    described.write_text(json.dumps(content))


def make_ports(folder: Path) -> None:
    make_core(folder)
    fields = {
        "i_events": {"kind": Field("kind", 0, 2, False), "address": Field("address", 2, 3, False)},
        "o_spikes": {"address": Field("address", 0, 2, True)},
    }
    ports = {name: Port(name, "input", 5) for name in ("clk", "i_events__payload")}
    made = Interface("small", ports, fields, ["cycles", "layer0.events"], ["layer0.repeated"])
    (folder / "ports.json").write_text(interface_text(made, folder / "manifest.json"))


def save_arrays(path: Path, **arrays: Any) -> None:
    np.savez_compressed(path, **arrays)


def make_payloads(folder: Path) -> None:
    payloads = np.random.default_rng(0).integers(0, 9, (3, 4, 70))
    save_arrays(folder / "x.npz", payloads=payloads, labels=np.arange(3))


def make_events(folder: Path, time: str = "timestep") -> None:
    rng = np.random.default_rng(0)
    arrays = {"sequence": np.sort(rng.integers(0, 3, 9)), time: np.arange(9)}
    arrays |= {"address": np.arange(9), "payload": np.full(9, 2), "labels": np.arange(3)}
    save_arrays(folder / "x.npz", **arrays, shape=np.array([3, 9, 70]))


TEXT = "# label 1\n0 17\n0 21\n3 6 20\n\n# label 0\n1 5\n2 6 3 # a comment\n"
BINNING = Binning(10, 1.0, 70, 700, 255)


def make_wav(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("0_ann_0", "1_ann_7"):
        wavfile.write(folder / f"{name}.wav", 8000, rng.integers(-99, 99, 400).astype(np.int16))


def make_zip(folder: Path) -> None:
    make_wav(folder)
    with zipfile.ZipFile(folder / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.glob("*.wav")):
            archive.write(path, f"in/{path.name}")
            path.unlink()


def make_spoken(folder: Path) -> None:
    rng, arrays = np.random.default_rng(0), {}
    for split in ("train", "test"):
        arrays |= {
            f"{split}_x": rng.integers(0, 255, (2, 1750)).astype(np.uint8),
            f"{split}_y": np.arange(2),
            f"{split}_speaker": np.arange(2),
        }
    save_arrays(folder / "fsdd_140x100.npz", **arrays)


def make_nir(folder: Path) -> None:
    ones = np.ones(8)
    contents: dict[str, dict[str, Any]] = {
        "in": {"type": "Input", "shape": np.array([1, 3, 3])},
        "conv": {"type": "Conv2d", "weight": np.ones((2, 1, 2, 2)), "bias": np.zeros(2),
                 "stride": 1, "padding": 0, "dilation": 1, "groups": 1,
                 "input_shape": np.array([3, 3])},
        "if": {"type": "IF", "r": np.ones((2, 2, 2)), "v_threshold": np.ones((2, 2, 2))},
        "flat": {"type": "Flatten", "start_dim": 0, "end_dim": -1,
                 "input_type": np.array([2, 2, 2])},
        "fc": {"type": "Affine", "weight": np.ones((8, 8)), "bias": ones},
        "cuba": {"type": "CubaLIF", "tau_syn": ones * 5, "tau_mem": ones * 9, "r": ones,
                 "v_leak": ones * 0, "v_threshold": ones, "w_in": ones},
        "out": {"type": "Output", "shape": np.array([8])},
    }  # fmt: skip
    names = list(contents)
    with h5py.File(folder / "x.nir", "w") as file:
        node = file.create_group("node")
        node["type"] = np.bytes_("NIRGraph")
        node["edges"] = np.array(list(zip(names, names[1:], strict=False)), "S10")
        for name, values in contents.items():
            for key, value in values.items():
                node[f"nodes/{name}/{key}"] = value


def make_lava(folder: Path) -> None:
    with h5py.File(folder / "x.net", "w") as file:
        for index, (n, m) in enumerate(((5, 6), (3, 5))):
            values = {
                "type": "dense", "shape": np.array([n]), "weight": np.ones((n, m)) * 4,
                "bias": np.ones(n), "delay": np.ones(m), "neuron/type": "CUBA",
                "neuron/iDecay": 300, "neuron/vDecay": 100, "neuron/vThMant": 200,
                "neuron/refDelay": 1, "neuron/gradedSpike": False,
            }  # fmt: skip
            for key, value in values.items():
                file.create_dataset(f"layer/{index}/{key}", data=value)


def run_network(folder: Path) -> object:
    """Read a network, and run what is one."""
    network, _ = load_stored(folder)
    return run(network, np.zeros((1, 2, network.params.widths[0]), np.int64))


def read_weights(folder: Path) -> object:
    core, images = read_images(folder / "manifest.json")
    return unpack(images, core)


def read_nir(folder: Path) -> object:
    """Read a graph, and quantize what is one."""
    made = from_nir(folder / "x.nir", dt=1, reset="zero", discretization="euler").network
    n_inputs = made.layers[0].n_inputs
    return quantize(made, np.ones((1, 2, n_inputs), np.int64), "n")


def write_text(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def from_json(folder: Path) -> object:
    return read_technology(folder / "x.json")


def make_technology(folder: Path) -> None:
    from energy.technology import technology_text

    (folder / "c.lib").write_text(CELLS)
    (folder / "m.lib").write_text(macro(4, 8))
    made = from_liberty(folder / "c.lib", [folder / "m.lib"])
    (folder / "x.json").write_text(technology_text(made))


KINDS: dict[str, Kind] = {
    "network.json": Kind(make_network, of_bytes("network.json", mutate_json), run_network),
    "card.json": Kind(make_network, of_bytes("card.json", mutate_json), run_network),
    "weights.npz": Kind(make_network, damage_weights, run_network),
    "manifest.json": Kind(
        make_core,
        of_bytes("manifest.json", mutate_json),
        read_weights,
    ),
    "images": Kind(make_core, damage_images, read_weights),
    "ports.json": Kind(
        make_ports,
        of_bytes("ports.json", mutate_json),
        lambda folder: read_ports(folder / "ports.json"),
    ),
    "payloads.npz": Kind(
        make_payloads,
        of_bytes("x.npz", mutate_npz),
        lambda folder: read_sequences(folder / "x.npz", TAKES, 4),
    ),
    "events.npz": Kind(
        make_events,
        of_bytes("x.npz", mutate_npz),
        lambda folder: read_sequences(folder / "x.npz", TAKES, 4),
    ),
    "times.npz": Kind(
        lambda folder: make_events(folder, "time"),
        of_bytes("x.npz", mutate_npz),
        lambda folder: bin_events(read_events(folder / "x.npz"), BINNING),
    ),
    "events.aer": Kind(
        write_text("x.aer", TEXT),
        of_bytes("x.aer", mutate_words),
        lambda folder: read_sequences(folder / "x.aer", TAKES, 4),
    ),
    "times.aer": Kind(
        write_text("x.aer", TEXT),
        of_bytes("x.aer", mutate_words),
        lambda folder: bin_events(read_events(folder / "x.aer"), BINNING),
    ),
    "spikes.h5": Kind(
        lambda folder: write_hdf5(folder / "x.h5", draw_spikes()),
        of_hdf5("x.h5"),
        lambda folder: read_sequences(folder / "x.h5", TAKES, 20),
    ),
    "times.h5": Kind(
        lambda folder: write_hdf5(folder / "x.h5", draw_spikes()),
        of_hdf5("x.h5"),
        lambda folder: bin_events(read_events(folder / "x.h5"), BINNING),
    ),
    "graph.nir": Kind(
        make_nir,
        of_hdf5("x.nir"),
        read_nir,
    ),
    "netx.net": Kind(make_lava, of_hdf5("x.net"), lambda folder: from_lava(folder / "x.net")),
    "spoken.npz": Kind(
        make_spoken,
        of_bytes("fsdd_140x100.npz", mutate_npz),
        lambda folder: (
            holds_spoken(folder / "fsdd_140x100.npz"),
            load_spoken(folder, "test"),
            load_spoken(folder, "train"),
        ),
    ),
    "sound.wav": Kind(
        make_wav,
        of_bytes("0_ann_0.wav", mutate_bytes),
        lambda folder: convert(Recordings(folder)),
    ),
    "sounds.zip": Kind(
        make_zip,
        of_bytes("all.zip", mutate_zip),
        lambda folder: list(Recordings(folder / "all.zip").read()),
    ),
    "cells.lib": Kind(
        write_text("x.lib", CELLS),
        of_bytes("x.lib", mutate_words),
        lambda folder: from_liberty(folder / "x.lib", []),
    ),
    "macro.lib": Kind(
        write_text("x.lib", macro(4, 8)),
        of_bytes("x.lib", mutate_words),
        lambda folder: read_macro(folder / "x.lib"),
    ),
    "technology.json": Kind(make_technology, of_bytes("x.json", mutate_json), from_json),
}
