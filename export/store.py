"""The shipped networks: `export/networks/<name>/{network.json, weights.npz, card.json}`, and the
digits shipped beside them.

A stored network is independent of the hardware's lanes and readable without Torch. `weights.npz`
holds the arrays of `golden.integer.NetworkIntegers` as `layer0.w_f`, ..., `readout.b_o`, each in
the smallest integer type that holds it. `network.json` has the parameters and the SHA-256 of
`weights.npz`, so that the two files cannot be of different networks; `card.json` says what the
network was trained and measured to do.
"""

from __future__ import annotations

import hashlib
import io
import json
import numbers
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from golden.data.dataset import DATASETS, DIGIT_VARIANTS, Dataset, digit_images, load_dataset
from golden.data.mnist import Digits
from golden.data.sequence_files import Takes, read_sequences
from golden.data.speech import holds_spoken
from golden.errors import UserError
from golden.files import scratch_folder, write_whole, writing
from golden.inputs import BROKEN, read_json, read_npz
from golden.integer import LayerIntegers, NetworkIntegers
from golden.params import LayerFormats, LayerParams, NetworkParams
from golden.readout_params import ReadoutParams

STORE_VERSION = 4
NETWORKS = Path(__file__).with_name("networks")
DIGITS = NETWORKS / "digits.npz"
STORED = ("network.json", "weights.npz", "card.json")
OWN = "sequences.npz"  # in a network's folder: what its user wants to run through it


@dataclass(frozen=True)
class Card:
    """What is known about a stored network besides its numbers.

    `data` is the data set (`golden.data.dataset`) that it classifies; a user's own has any name, or
    none. `n_timesteps` is the length of a sequence; `parameters` is how many were trained; the
    accuracies are shares of `n_test` sequences, where 0 says that nobody measured;
    `events_per_step` are those that each layer and the readout receive in a timestep on average;
    `recipe` says how it was trained.
    """

    data: str
    n_timesteps: int
    parameters: int
    accuracy_float: float
    accuracy_integer: float
    n_test: int
    events_per_step: list[float]
    recipe: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for value in fields(self):
            found = getattr(self, value.name)
            of = CARD_TYPES.get(value.name, numbers.Real)
            if not isinstance(found, of) or isinstance(found, bool):
                raise UserError(f"{value.name} is {found!r}, and should be {KINDS[of]}")
        if not all(isinstance(rate, numbers.Real) for rate in self.events_per_step):
            raise UserError(f"events_per_step is {self.events_per_step}, and should be numbers")


CARD_TYPES: dict[str, type] = {
    "data": str, "n_timesteps": int, "parameters": int, "n_test": int, "events_per_step": list,
    "recipe": dict,
}  # fmt: skip
KINDS = {
    str: "a name", int: "a whole number", list: "a list", dict: "a table", numbers.Real: "a number",
}  # fmt: skip


def names() -> list[str]:
    """Return the names of the shipped networks."""
    return sorted(path.parent.name for path in NETWORKS.glob("*/network.json"))


def save_network(network: NetworkIntegers, folder: Path, card: Card) -> None:
    """Write a network into `folder`, which is made if need be; an earlier one is replaced."""
    arrays = {
        f"layer{i}.{name}": value
        for i, layer in enumerate(network.layers)
        for name, value in vars(layer).items()
    }
    arrays |= {"readout.w_o": network.w_o, "readout.b_o": network.b_o}
    if network.params.output is not None and network.params.output.leaky:
        arrays["readout.leak"] = np.asarray(network.leak_o)
    packed = io.BytesIO()
    smallest: dict[str, Any] = {
        name: _smallest(np.asarray(value)) for name, value in arrays.items()
    }
    np.savez_compressed(packed, **smallest)
    content = {
        "store_version": STORE_VERSION,
        "network": network.params.to_dict(),
        "weights_sha256": hashlib.sha256(packed.getvalue()).hexdigest(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with writing(folder), scratch_folder(folder) as scratch:
        files = {
            "weights.npz": packed.getvalue(),
            "card.json": (json.dumps(asdict(card), indent=1) + "\n").encode(),
            "network.json": (json.dumps(content, indent=1) + "\n").encode(),
        }
        for file, data in files.items():
            (scratch / file).write_bytes(data)
        for file in files:
            (scratch / file).replace(folder / file)


def _smallest(values: np.ndarray) -> np.ndarray:
    """Return integers in the smallest signed type that holds them."""
    for dtype in (np.int8, np.int16, np.int32):
        if values.size == 0 or (
            values.min() >= np.iinfo(dtype).min and values.max() <= np.iinfo(dtype).max
        ):
            return values.astype(dtype)
    return values.astype(np.int64)


def find_folder(network: str | Path) -> Path:
    """Return the folder of a shipped network, by its name, or that which is named."""
    return NETWORKS / network if str(network) in names() else Path(network)


def load_stored(network: str | Path) -> tuple[NetworkIntegers, Card]:
    """Read a shipped network by its name, or the one in a folder, or raise `UserError`."""
    folder = find_folder(network)
    if not folder.is_dir():
        raise UserError(
            f"unknown network '{network}': use a folder, or a shipped one:"
            f" {', '.join(names()) or 'none'}"
        )
    described, weights, noted = (folder / file for file in STORED)
    if not any(path.exists() for path in (described, weights, noted)):
        raise UserError(f"{folder} is no network's folder: it has no {described.name}")
    for path in (described, weights, noted):
        if not path.exists():
            raise UserError(f"{path} is missing: quantize the network again")
    try:
        content = read_json(described)
        version, described_network = content["store_version"], content["network"]
        if version in (2, 3):
            described_network = _from_earlier(described_network)
        elif version != STORE_VERSION:
            raise UserError(
                f"{described} has store version {version}; this reads 2 to {STORE_VERSION}:"
                " quantize again"
            )
        params = NetworkParams.from_dict(described_network)
        sha256 = content["weights_sha256"]
    except UserError:
        raise
    except BROKEN as error:
        raise UserError(
            f"{described} does not describe a network ({error!r}): quantize it again"
        ) from None
    try:
        card = Card(**read_json(noted))
    except BROKEN as error:
        raise UserError(f"{noted} is not a card ({error}): quantize the network again") from None
    packed = weights.read_bytes()
    if hashlib.sha256(packed).hexdigest() != sha256:
        raise UserError(
            f"{weights} does not match its SHA-256 in {described}: quantize the network again"
        )
    try:
        arrays = {name: _integers(name, value) for name, value in read_npz(packed).items()}
        layers = tuple(_layer(arrays, f"layer{i}.") for i in range(len(params.layers)))
        leaky = params.output is not None and params.output.leaky
        leak = int(arrays["readout.leak"]) if leaky else 0
        readout = arrays["readout.w_o"], arrays["readout.b_o"], leak
        return NetworkIntegers(params, layers, *readout), card
    except BROKEN as error:
        raise UserError(
            f"{weights} does not hold the weights of {described} ({error}): quantize again"
        ) from None


def _integers(name: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "bi":
        raise UserError(f"{name} is of type {values.dtype}: use integers with a sign")
    return values.astype(np.int64)


def _layer(arrays: dict[str, np.ndarray], prefix: str) -> LayerIntegers:
    """Return a layer; what its file does not have is as in a layer without it."""
    values: dict[str, Any] = {
        f.name: arrays[prefix + f.name]
        for f in fields(LayerIntegers)
        if f.default is MISSING and f.default_factory is MISSING or prefix + f.name in arrays
    }
    values |= {name: int(value) for name, value in values.items() if not value.ndim}
    return LayerIntegers(**values)


def _from_earlier(network: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a network as this version writes it. Before version 4 no current
    took the slow state after its update; in version 2 neurons had one leak and one threshold, no
    synaptic current, and a reset `zero`, and the readout added up only.
    """
    plain, formats = asdict(LayerParams(1, 1, 0)), asdict(LayerFormats())
    layers = [
        plain
        | layer
        | {"formats": formats | layer["formats"]}
        | {"reset": "to_value" if layer["reset"] == "zero" else layer["reset"]}
        for layer in network["layers"]
    ]
    readout = network["readout"]
    if readout is not None:
        readout = asdict(ReadoutParams(1, 1)) | readout
    return network | {"layers": layers, "readout": readout}


def find_dataset(network: str | Path, data: Path | None = None, *, whole: bool = False) -> Dataset:
    """Return test sequences of a shipped network, by its name, or of one in a folder.

    Parameters
    ----------
    data
        A file of sequences (`golden.data.sequence_files`), or the folder of the data set that the
        network's card names. None: `sequences.npz` in the network's folder, else the shipped
        digits.
    whole
        Fetch all of a data set that can be fetched, in place of the shipped digits.

    Raises
    ------
    UserError
        There are none, or they are not what the network takes.
    """
    stored, card = load_stored(network)
    own = find_folder(network) / OWN
    if data is None and own.exists():
        data = own
    if data is not None and not is_of_card(card, data):
        return read_sequences(data, Takes.of(stored.params), card.n_timesteps)
    if data is None and not whole:
        return _shipped(card)
    if data is None and card.data not in DIGIT_VARIANTS:
        raise UserError(_nowhere(card))
    if card.data not in DATASETS:
        raise UserError(
            f"{data} is a folder, and the card of {network} names none of the data sets"
            f" {', '.join(DATASETS)}: set --data to a file of sequences (.npz, .h5, .aer)"
        )
    return load_dataset(card.data, data, "test", card.recipe.get("without_speaker"))


def is_of_card(card: Card, data: Path | None) -> bool:
    """Return whether sequences are those that a card's accuracies are of: none that were given, or
    the data set that the card names.
    """
    return data is None or data.is_dir() or card.data == "spoken" and holds_spoken(data)


def shipped_sequences(network: str | Path) -> Dataset:
    """Return the shipped digits as a network takes them, or raise `UserError`."""
    return _shipped(load_stored(network)[1])


def _shipped(card: Card) -> Dataset:
    if card.data not in DIGIT_VARIANTS:
        raise UserError(_nowhere(card))
    return digit_images(load_digits(), card.data)


def _nowhere(card: Card) -> str:
    name = f"of {card.data} " if card.data else ""
    return (
        f"no sequences {name}are shipped: set --data to a file of sequences (.npz, .h5, .aer) or"
        f" the folder of the data set, or put {OWN} beside the network"
    )


def load_network(network: str | Path) -> NetworkIntegers:
    """Read a shipped network by its name, or the one in a folder, or raise `UserError`."""
    return load_stored(network)[0]


def save_digits(digits: Digits, path: Path) -> None:
    """Write digits as the shipped ones are (`DIGITS`)."""
    packed = io.BytesIO()
    np.savez_compressed(packed, images=digits.images, labels=digits.labels)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, packed.getvalue())


def save_sequences(payloads: np.ndarray, folder: Path) -> None:
    """Write sequences (B, K, M) as those that a network in `folder` runs by default."""
    packed = io.BytesIO()
    np.savez_compressed(packed, payloads=_smallest(payloads))
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / OWN, packed.getvalue())


def load_digits() -> Digits:
    """Return the shipped digits: the first 200 of MNIST's test set."""
    with np.load(DIGITS) as arrays:
        return Digits(arrays["images"], arrays["labels"])
