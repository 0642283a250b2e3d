"""The shipped networks and digits, and the store that holds them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.store import (
    DIGITS,
    NETWORKS,
    Card,
    find_dataset,
    load_digits,
    load_network,
    load_stored,
    names,
    save_network,
)
from golden.data.accuracy import evaluate_integers
from golden.data.mnist import to_sequences
from golden.errors import UserError
from golden.train.topology import TOPOLOGIES, Topology
from tests.network_kinds import draw_whole
from tests.networks import draw_network, draw_recurrent, with_delays
from tests.test_images import assert_same

CARD = Card("rows", 28, 1234, 0.5, 0.25, 100, [1.5, 2.25, 0.0], {"seed": 3})
MOST_BYTES = 200_000
FILES = ["card.json", "network.json", "weights.npz"]


def test_what_is_shipped() -> None:
    assert names() == ["psmnist", "rows", "smnist", "spoken"]
    for name in names():
        assert sum(path.stat().st_size for path in (NETWORKS / name).iterdir()) < MOST_BYTES
        assert sorted(path.name for path in (NETWORKS / name).iterdir()) == FILES
    assert DIGITS.stat().st_size < MOST_BYTES


def trained_topology(card: Card) -> Topology:
    """Return the topology that a network was trained with: its recipe's, or the preset that an old
    recipe names.
    """
    topology = card.recipe["topology"]
    return TOPOLOGIES[topology] if isinstance(topology, str) else Topology.from_dict(topology)


@pytest.mark.parametrize("name", ["psmnist", "rows", "smnist", "spoken"])
def test_a_shipped_network_is_what_its_card_says(name: str) -> None:
    """It may have been trained with other sizes than its preset has."""
    network, card = load_stored(name)
    params, topology = network.params, trained_topology(card)
    assert params.name == name and card.data == topology.data == name
    assert card.n_timesteps == {"rows": 28, "spoken": 100}.get(name, 784)
    assert params.readout.n_classes == topology.n_classes == 10
    assert params.widths[0] == topology.n_inputs
    assert params.layers[0].formats.payload == topology.payload
    for layer, trained in zip(params.layers, topology.layers, strict=True):
        for of in ("n_state", "dilation", "reset", "recurrent", "max_delay"):
            assert getattr(layer, of) == getattr(trained, of)
    counts = [
        p.n_neurons * (p.n_addresses + p.n_state + 1)
        + (p.n_inputs + 1 if p.n_state and p.n_inputs > 1 else 0)
        + (p.n_inputs if p.max_delay else 0)
        for p in params.layers
    ]
    assert card.parameters == sum(counts) + 10 * (params.readout.n_inputs + 1)
    assert np.array_equal(load_network(name).w_o, network.w_o)


@pytest.mark.parametrize(("name", "least"), [("rows", 0.98), ("smnist", 0.994), ("psmnist", 0.966)])
def test_a_shipped_network_was_measured_on_the_whole_test_set(name: str, least: float) -> None:
    card = load_stored(name)[1]
    assert card.n_test == 10_000 and card.accuracy_integer >= least
    assert card.accuracy_integer >= card.accuracy_float - 0.001 - 1e-9


@pytest.mark.parametrize(
    ("name", "n_digits", "least"), [("rows", 200, 0.97), ("smnist", 40, 0.975)]
)
def test_a_shipped_network_classifies_the_shipped_digits(
    name: str, n_digits: int, least: float
) -> None:
    network, card = load_stored(name)
    some = find_dataset(name).select(slice(n_digits))
    measured = evaluate_integers(network, some)
    assert measured.accuracy >= least
    assert not any(measured.saturations.values())
    # These digits are some of those that the card's events were counted of.
    assert measured.rates == pytest.approx(card.events_per_step, rel=0.15)


def test_the_shipped_digits_are_the_first_of_the_test_set() -> None:
    digits = load_digits()
    assert (
        digits.images.shape == (200, 28, 28)
        and digits.images.dtype == digits.labels.dtype == np.uint8
    )
    assert digits.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert to_sequences(digits.images, "smnist").shape == (200, 784, 1)


@pytest.mark.parametrize(
    ("seed", "delays"), [(s, False) for s in range(20)] + [(s, True) for s in range(20, 32)]
)
def test_what_is_saved_is_loaded(seed: int, delays: bool, tmp_path: Path) -> None:
    drawn = (draw_recurrent if seed % 4 == 3 else draw_network)(seed)
    network = (with_delays(drawn) if delays else drawn).network
    save_network(network, tmp_path / "some", CARD)
    found, card = load_stored(tmp_path / "some")
    assert_same(found, network)
    assert card == CARD
    # Again, over what is there: the bytes depend on the network only.
    before = (tmp_path / "some" / "weights.npz").read_bytes()
    save_network(network, tmp_path / "some", CARD)
    assert (tmp_path / "some" / "weights.npz").read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "some").iterdir()) == FILES


@pytest.mark.parametrize("seed", range(24))
def test_whole_neurons_that_are_saved_are_loaded(seed: int, tmp_path: Path) -> None:
    network = draw_whole(seed).network
    save_network(network, tmp_path, CARD)
    assert_same(load_network(tmp_path), network)


# What the second version wrote; an older writer left out what has a default here.
VERSION_2: dict[str, tuple[str, ...]] = {
    "layer": ("n_inputs", "n_neurons", "n_state", "dilation", "reset", "recurrent", "max_delay"),
    "formats": ("payload", "w_f", "w_x", "p", "a", "m", "x", "u", "leak", "bias_width",
                "drive_bias_width"),
    "readout": ("n_inputs", "n_classes", "w_o", "bias_width", "logit_width"),
}  # fmt: skip


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_the_second_version_is_read(reset: str, tmp_path: Path) -> None:
    drawn = draw_network(6).network
    now: Any = "to_value" if reset == "zero" else reset
    layers = tuple(replace(layer, reset=now) for layer in drawn.params.layers)
    network = replace(drawn, params=replace(drawn.params, layers=layers))
    save_network(network, tmp_path, CARD)
    path = tmp_path / "network.json"
    content = json.loads(path.read_text())
    described = content["network"]

    def kept(values: dict[str, Any], of: str) -> dict[str, Any]:
        return {name: values[name] for name in VERSION_2[of]}

    described["layers"] = [
        kept(layer, "layer") | {"formats": kept(layer["formats"], "formats"), "reset": reset}
        for layer in described["layers"]
    ]
    described["readout"] = kept(described["readout"], "readout")
    path.write_text(json.dumps(content | {"store_version": 2}))
    with np.load(tmp_path / "weights.npz") as arrays:
        named = ("alpha", "c_y", "reset")
        old: dict[str, Any] = {k: v for k, v in arrays.items() if k.split(".")[1] not in named}
    np.savez(tmp_path / "weights.npz", **old)
    replace_weights(tmp_path, (tmp_path / "weights.npz").read_bytes())
    assert_same(load_network(tmp_path), network)


def test_arrays_take_no_more_bytes_than_they_need(tmp_path: Path) -> None:
    save_network(load_network("rows"), tmp_path, CARD)
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


def edit(
    change: Callable[[dict[str, Any]], Any], name: str = "network.json"
) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / name
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return apply


def replace_weights(folder: Path, content: bytes) -> None:
    (folder / "weights.npz").write_bytes(content)
    edit(lambda c: c.update(weights_sha256=hashlib.sha256(content).hexdigest()))(folder)


def without_w_f(folder: Path) -> None:
    without(folder, "layer0.w_f")


def without_leak(folder: Path) -> None:
    without(folder, "layer0.leak")


def without(folder: Path, left_out: str) -> None:
    with np.load(folder / "weights.npz") as arrays:
        kept: dict[str, Any] = {name: value for name, value in arrays.items() if name != left_out}
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
            lambda f: [path.unlink() for path in f.iterdir()],
            "is no network's folder: it has no network.json",
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
            edit(lambda c: c.update(store_version=5)),
            "has store version 5; this reads 2 to 4: quantize again",
        ),
        (
            edit(lambda c: c.update(store_version=1)),
            "has store version 1; this reads 2 to 4: quantize again",
        ),
        (without_leak, "weights.npz does not hold the weights of .*layer0.leak"),
        (edit(lambda c: c.pop("network")), "network.json does not describe a network"),
        (lambda f: (f / "card.json").unlink(), "card.json is missing: quantize the network again"),
        (lambda f: (f / "card.json").write_text("{"), "card.json is not a card"),
        (lambda f: (f / "card.json").write_text("[]"), "card.json is not a card"),
        (lambda f: (f / "card.json").write_bytes(b"\xff\xfe"), "card.json is not a card"),
        (edit(lambda c: c.pop("n_test"), "card.json"), "card.json is not a card .*n_test"),
        (edit(lambda c: c.update(recipe=3), "card.json"), "card.json is not a card .*recipe is 3"),
        (
            edit(lambda c: c.update(accuracy_float="good"), "card.json"),
            "card.json is not a card .accuracy_float is 'good', and should be a number",
        ),
        (edit(lambda c: c.update(accuracy_integer=None), "card.json"), "accuracy_integer is None"),
        (edit(lambda c: c.update(n_test=1.5), "card.json"), "n_test is 1.5, and should be a whole"),
        (edit(lambda c: c.update(n_test=True), "card.json"), "n_test is True, and should be a"),
        (edit(lambda c: c.update(data=["rows"]), "card.json"), "data is .'rows'., and should be a"),
        (edit(lambda c: c.update(events_per_step=[1, "2"]), "card.json"), "events_per_step is"),
        (edit(lambda c: c.update(speed=1), "card.json"), "card.json is not a card .*speed"),
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
    save_network(draw_network(2).network, tmp_path, CARD)
    damage(tmp_path)
    with pytest.raises(UserError, match=message) as error:
        load_stored(tmp_path)
    assert "\n" not in str(error.value)


def test_an_unknown_network_is_named() -> None:
    with pytest.raises(
        UserError, match="unknown network 'mnist': use a folder, or a shipped one: psmnist, rows"
    ):
        load_network("mnist")


def test_a_failure_leaves_the_earlier_network(tmp_path: Path) -> None:
    network = draw_network(2).network
    save_network(network, tmp_path, CARD)
    with pytest.raises(TypeError):
        save_network(
            draw_network(3).network, tmp_path, replace(CARD, recipe={"not JSON": object()})
        )
    assert_same(load_network(tmp_path), network)
