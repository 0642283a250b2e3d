"""The shipped networks and digits, and the store that holds them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.store import (
    DIGITS,
    NETWORKS,
    Facts,
    load_digits,
    load_network,
    load_stored,
    names,
    save_network,
)
from golden.data import Digits, to_sequences
from golden.errors import UserError
from golden.quantize import evaluate_integers
from golden.topology import TOPOLOGIES
from tests.networks import draw_network
from tests.test_images import assert_same

FACTS = Facts("rows", 28, 0.5, 0.25, 100, {"seed": 3})
MOST_BYTES = 200_000


def test_what_is_shipped() -> None:
    assert names() == ["rows", "smnist"]
    for name in names():
        assert sum(path.stat().st_size for path in (NETWORKS / name).iterdir()) < MOST_BYTES
        assert sorted(path.name for path in (NETWORKS / name).iterdir()) == [
            "network.json",
            "weights.npz",
        ]
    assert DIGITS.stat().st_size < MOST_BYTES


@pytest.mark.parametrize("name", ["rows", "smnist"])
def test_a_shipped_network_has_its_topology(name: str) -> None:
    network, facts = load_stored(name)
    topology = TOPOLOGIES[name]
    sizes = [
        (p.n_inputs, p.n_neurons, p.n_state, p.dilation, p.reset) for p in network.params.layers
    ]
    assert sizes == [
        (t.n_inputs, t.n_neurons, t.n_state, t.dilation, t.reset) for t in topology.layers
    ]
    assert network.params.name == name and facts.data == topology.data
    assert (
        network.params.readout.n_classes == 10
        and facts.n_timesteps == {"rows": 28, "smnist": 784}[name]
    )
    assert network.params.layers[0].formats.payload == topology.payload
    assert np.array_equal(load_network(name).w_o, network.w_o)


@pytest.mark.parametrize(("name", "least"), [("rows", 0.98), ("smnist", 0.99)])
def test_a_shipped_network_was_measured_on_the_whole_test_set(name: str, least: float) -> None:
    facts = load_stored(name)[1]
    assert facts.n_test_digits == 10_000 and facts.accuracy_integer >= least
    assert abs(facts.accuracy_integer - facts.accuracy_float) < 0.001 + 1e-9


@pytest.mark.parametrize(
    ("name", "n_digits", "least"), [("rows", 200, 0.97), ("smnist", 40, 0.975)]
)
def test_a_shipped_network_classifies_the_shipped_digits(
    name: str, n_digits: int, least: float
) -> None:
    digits = load_digits()
    network, facts = load_stored(name)
    some = Digits(digits.images[:n_digits], digits.labels[:n_digits])
    measured = evaluate_integers(network, some, facts.data)
    assert measured.accuracy >= least
    assert not any(measured.saturations.values())


def test_the_shipped_digits_are_the_first_of_the_test_set() -> None:
    digits = load_digits()
    assert (
        digits.images.shape == (200, 28, 28)
        and digits.images.dtype == digits.labels.dtype == np.uint8
    )
    assert digits.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert to_sequences(digits.images, "smnist").shape == (200, 784, 1)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_saved_is_loaded(seed: int, tmp_path: Path) -> None:
    network = draw_network(seed, delays=seed >= 15).network
    save_network(network, tmp_path / "some", FACTS)
    found, facts = load_stored(tmp_path / "some")
    assert_same(found, network)
    assert facts == FACTS
    # Again, over what is there: the bytes depend on the network only.
    before = (tmp_path / "some" / "weights.npz").read_bytes()
    save_network(network, tmp_path / "some", FACTS)
    assert (tmp_path / "some" / "weights.npz").read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "some").iterdir()) == [
        "network.json",
        "weights.npz",
    ]


def test_arrays_take_no_more_bytes_than_they_need(tmp_path: Path) -> None:
    save_network(load_network("rows"), tmp_path, FACTS)
    with np.load(tmp_path / "weights.npz") as arrays:
        types = {
            name: arrays[name].dtype
            for name in ("layer0.w_f", "layer0.p", "layer0.a", "layer0.c", "readout.w_o")
        }
    assert types == {
        "layer0.w_f": np.int8,
        "layer0.p": np.int8,
        "layer0.a": np.int16,
        "layer0.c": np.int16,
        "readout.w_o": np.int8,
    }


def edit(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "network.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return apply


def replace_weights(folder: Path, content: bytes) -> None:
    (folder / "weights.npz").write_bytes(content)
    edit(lambda c: c.update(weights_sha256=hashlib.sha256(content).hexdigest()))(folder)


def without_w_f(folder: Path) -> None:
    with np.load(folder / "weights.npz") as arrays:
        kept: dict[str, Any] = {
            name: value for name, value in arrays.items() if name != "layer0.w_f"
        }
    np.savez(folder / "weights.npz", **kept)
    replace_weights(folder, (folder / "weights.npz").read_bytes())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda f: (f / "network.json").unlink(),
            "network.json is missing: quantize the network again",
        ),
        (
            lambda f: (f / "weights.npz").unlink(),
            "weights.npz is missing: quantize the network again",
        ),
        (
            lambda f: (f / "network.json").write_text("{"),
            "network.json does not describe a network",
        ),
        (
            lambda f: (f / "network.json").write_text("[]"),
            "network.json does not describe a network",
        ),
        (
            lambda f: (f / "network.json").write_bytes(b"\xff\xfe"),
            "network.json does not describe a network",
        ),
        (
            edit(lambda c: c.update(store_version=3)),
            "has store version 3; this reads 2: quantize again",
        ),
        (edit(lambda c: c.pop("facts")), "network.json does not describe a network"),
        (edit(lambda c: c["facts"].update(speed=1)), "network.json does not describe a network"),
        (edit(lambda c: c["network"]["layers"][0].pop("n_state")), "LayerParams needs exactly"),
        (edit(lambda c: c["network"]["layers"][0].update(n_inputs=99)), "has the shape"),
        (
            lambda f: (f / "weights.npz").write_bytes(b"PK"),
            "weights.npz does not match its SHA-256",
        ),
        (lambda f: replace_weights(f, b"PK"), "weights.npz does not hold the weights"),
        (lambda f: replace_weights(f, b""), "weights.npz does not hold the weights"),
        (without_w_f, "weights.npz does not hold the weights of .*layer0.w_f"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, damage: Callable[[Path], Any], message: str
) -> None:
    save_network(draw_network(2).network, tmp_path, FACTS)
    damage(tmp_path)
    with pytest.raises(UserError, match=message) as error:
        load_stored(tmp_path)
    assert "\n" not in str(error.value)


def test_an_unknown_network_is_named() -> None:
    with pytest.raises(
        UserError, match="unknown network 'mnist': use a folder, or a shipped one: rows, smnist"
    ):
        load_network("mnist")


def test_a_failure_leaves_the_earlier_network(tmp_path: Path) -> None:
    network = draw_network(2).network
    save_network(network, tmp_path, FACTS)
    with pytest.raises(TypeError):
        save_network(
            draw_network(3).network, tmp_path, Facts("rows", 28, 0, 0, 1, {"not JSON": object()})
        )
    assert_same(load_network(tmp_path), network)
