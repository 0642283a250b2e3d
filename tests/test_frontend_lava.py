"""Networks of Lava: files in netx layout, against the model of Loihi's neurons, bit by bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import dmp_core as dmp
from dmp_core.frontends.lava import from_lava
from golden.errors import UserError
from golden.integer import NetworkIntegers, run
from tests.loihi_model import Compartments, step

Block = dict[str, Any]


def draw_block(rng: np.random.Generator, n: int, m: int, **given: Any) -> Block:
    """Draw what slayer exports of a dense block: weights in steps of 2, and one neuron for all."""
    block: Block = {
        "type": np.array([b"dense"]),
        "shape": np.array([n]),
        "inFeatures": m,
        "outFeatures": n,
        "weight": (2.0 * rng.integers(-60, 66, (n, m))).astype(np.float32),
        "neuron/type": "CUBA",
        "neuron/iDecay": int(rng.integers(300, 3000)),
        "neuron/vDecay": int(rng.integers(100, 900)),
        "neuron/vThMant": int(rng.integers(200, 800)),
        "neuron/refDelay": 1,
        "neuron/gradedSpike": False,
    }
    block |= {key.replace("__", "/"): value for key, value in given.items()}
    return {key: value for key, value in block.items() if value is not None}


def write(path: Path, blocks: list[Block]) -> Path:
    with h5py.File(path, "w") as file:
        for index, block in enumerate(blocks):
            for key, value in block.items():
                file.create_dataset(f"layer/{index}/{key}", data=value)
        file.create_dataset("simulation/Ts", data=1)
    return path


def compartments(block: Block) -> Compartments:
    """Return Loihi's registers: netx hands its neurons iDecay - 1, and a bias times 2^6."""
    n = len(block["weight"])

    def of(name: str) -> np.ndarray:
        return np.broadcast_to(block[f"neuron/{name}"], n).astype(np.int64)

    bias = np.trunc(block.get("bias", np.zeros(n))).astype(np.int64)
    weight = np.trunc(block["weight"]).astype(np.int64)
    return Compartments(of("iDecay") - 1, of("vDecay"), of("vThMant"), weight, 0, bias, 6)


def late(spikes: np.ndarray, delays: np.ndarray) -> np.ndarray:
    """Return spikes (B, K, N) that many timesteps later (N,)."""
    found = np.zeros_like(spikes)
    for neuron, delay in enumerate(np.broadcast_to(delays, spikes.shape[2])):
        found[:, delay:, neuron] = spikes[:, : spikes.shape[1] - delay, neuron]
    return found


def loihi(blocks: list[Block], spikes: np.ndarray) -> list[tuple[np.ndarray, ...]]:
    """Return currents, voltages and spikes (B, K, N) of every block."""
    found = []
    for block in blocks:
        n, m = block["weight"].shape
        delay = np.asarray(block.get("delay", 0), np.int64)
        if delay.shape in ((), (m,)) and m != n:
            spikes = late(spikes, delay)
        registers = compartments(block)
        u = v = np.zeros((len(spikes), n), np.int64)
        states = []
        for k in range(spikes.shape[1]):
            u, v, fired = step(registers, u, v, spikes[:, k])
            states.append((u, v, fired.astype(np.int64)))
        found.append(tuple(np.stack(values, 1) for values in zip(*states, strict=True)))
        spikes = found[-1][2]
        if delay.shape == (n,):
            spikes = late(spikes, delay)
    return found


def draw_spikes(shape: tuple[int, int, int], rate: float = 0.15) -> np.ndarray:
    return (np.random.default_rng(9).random(shape) < rate).astype(np.int64)


def hold(path: Path, blocks: list[Block], spikes: np.ndarray) -> NetworkIntegers:
    """Hold every current, voltage and spike against Loihi's; return the network."""
    network = from_lava(write(path, blocks)).network
    done = run(network, spikes, trace=True)
    for layer, (u, v, fired), params in zip(
        done.layers, loihi(blocks, spikes), network.params.layers, strict=True
    ):
        assert layer.spikes is not None and layer.membrane is not None
        assert not (layer.membrane_saturations + layer.synapse_saturations).any()
        if params.synapse:
            assert layer.synapse is not None and np.array_equal(layer.synapse, u)
        assert np.array_equal(layer.membrane, v)
        assert np.array_equal(layer.spikes, fired)
        assert 0.002 < fired.mean() < 0.6, fired.mean()
    return network


RNG = np.random.default_rng(14)
KINDS: dict[str, list[Block]] = {
    "plain": [draw_block(RNG, 30, 20), draw_block(RNG, 25, 30)],
    "currents gone at once": [draw_block(RNG, 30, 20, neuron__iDecay=4096, neuron__vThMant=90)],
    "values a neuron": [
        draw_block(
            RNG, 30, 20, neuron__iDecay=RNG.integers(200, 4097, 30),
            neuron__vDecay=RNG.integers(0, 900, 30), neuron__vThMant=RNG.integers(200, 900, 30),
        )
    ],
    "biases": [draw_block(RNG, 30, 20, bias=RNG.integers(-30, 60, 30).astype(np.float32))],
    "odd weights": [draw_block(RNG, 30, 20, weight=1.0 * RNG.integers(-128, 128, (30, 20)))],
    "one sign": [
        draw_block(RNG, 30, 20, weight=1.0 * RNG.integers(0, 256, (30, 20)), neuron__vThMant=4000)
    ],
    "coarse weights": [draw_block(RNG, 30, 20, weight=16.0 * RNG.integers(-8, 8, (30, 20)))],
    "fractions": [draw_block(RNG, 30, 20, weight=RNG.uniform(-100, 120, (30, 20)))],
    "delays of spikes": [
        draw_block(RNG, 30, 20, delay=RNG.integers(0, 40, 30) + 0.5),
        draw_block(RNG, 25, 30, delay=RNG.integers(0, 9, 30)),
    ],
    "delays of all inputs": [draw_block(RNG, 30, 20, delay=3)],
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_state_and_spike_is_loihis(kind: str, tmp_path: Path) -> None:
    network = hold(tmp_path / "net.net", KINDS[kind], draw_spikes((3, 150, 20)))
    params = network.params.layers[0]
    assert params.synapse == (kind != "currents gone at once")
    if kind == "coarse weights":
        assert (params.formats.w_f.width, params.formats.w_f.frac) == (4, -4)


@pytest.mark.long
def test_a_large_network_of_many_timesteps_is_loihis(tmp_path: Path) -> None:
    """200-256-200 and 2,000 timesteps, as Lava's Oxford example."""
    rng = np.random.default_rng(15)
    blocks = [
        draw_block(rng, 256, 200, neuron__vThMant=1200, delay=rng.integers(0, 63, 256)),
        draw_block(rng, 200, 256, neuron__vThMant=1500),
    ]
    hold(tmp_path / "net.net", blocks, draw_spikes((1, 2000, 200), 0.05))


def test_the_report_says_what_became_of_the_blocks(tmp_path: Path) -> None:
    flatten = {"type": np.array([b"flatten"]), "shape": np.array([20, 1, 1])}
    blocks = [flatten, *KINDS["delays of spikes"]]
    imported = from_lava(write(tmp_path / "net.net", blocks), readout="spike_count")
    report = " ".join(imported.report().split())
    assert "layer/0 left out flatten" in report
    assert "layer/1 mapped 30 CUBA neurons of 20 inputs, weights of 8 bits times 2" in report
    assert "layer/1/delay folded of its spikes" in report
    spikes = draw_spikes((2, 60, 20))
    counts = loihi(blocks[1:], spikes)[-1][2].sum(1)
    assert np.array_equal(run(imported.network, spikes).logits, counts)
    cut = write(tmp_path / "cut.net", KINDS["fractions"])
    assert "as in Lava" in from_lava(cut).report() == dmp.from_lava(str(cut)).report()
    quick = [draw_block(RNG, 9, 20, neuron__vDecay=0)]
    report = from_lava(write(tmp_path / "quick.net", quick)).report()
    assert "currents wrap around" in " ".join(report.split())


def test_weights_in_a_row_and_the_older_name_are_taken(tmp_path: Path) -> None:
    (block,) = KINDS["odd weights"]
    row = block | {"weight": block["weight"].ravel(), "neuron/type": "LOIHI"}
    layer = from_lava(write(tmp_path / "net.net", [row])).network.layers[0]
    assert np.array_equal(layer.w_f, block["weight"])


def change(**given: Any) -> Callable[[Path], Any]:
    block = draw_block(np.random.default_rng(1), 6, 4, **given)
    return lambda folder: from_lava(write(folder / "net.net", [block]))


def text(folder: Path) -> Any:
    (folder / "net.net").write_text("not HDF5")
    return from_lava(folder / "net.net")


def empty(folder: Path) -> Any:
    with h5py.File(folder / "net.net", "w") as file:
        file.create_dataset("weights", data=1)
    return from_lava(folder / "net.net")


def blocks_of(*blocks: Block) -> Callable[[Path], Any]:
    return lambda folder: from_lava(write(folder / "net.net", list(blocks)))


NAN = np.where(np.arange(24).reshape(6, 4) == 5, np.nan, 1.0)
REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no file": (lambda folder: from_lava(folder / "none.net"), r"no file .*none\.net: use"),
    "no HDF5": (text, r"net\.net is no HDF5 file"),
    "no blocks": (empty, "has no group layer with blocks"),
    "no dense": (
        blocks_of({"type": b"flatten", "shape": [4]}), "the file has no dense block"
    ),
    "input of neurons": (
        blocks_of({"type": b"input", "shape": [4], "neuron/type": "CUBA"}),
        "layer/0: neurons of an input block",
    ),
    "convolution": (blocks_of({"type": b"conv"}), "layer/0: a block of type conv has no place"),
    "no type": (change(type=None), "layer/0/type is missing"),
    "no weights": (change(weight=None), "layer/0/weight is missing"),
    "no decay": (change(neuron__iDecay=None), "layer/0/neuron/iDecay is missing"),
    "no neuron": (
        blocks_of({"type": b"dense", "weight": np.ones((6, 4))}), "layer/0/neuron is missing"
    ),
    "complex": (
        change(weight=None, weight__real=np.ones((6, 4))), "layer/0: recurrent or complex weights"
    ),
    "recurrent": (change(weight_rec=np.ones((6, 6))), "layer/0: recurrent or complex weights"),
    "other neurons": (change(neuron__type="SDNN"), "layer/0/neuron/type is SDNN: use CUBA"),
    "graded": (change(neuron__gradedSpike=True), "layer/0/neuron/gradedSpike is set"),
    "refractory": (change(neuron__refDelay=3), "layer/0/neuron/refDelay is not 1"),
    "nan": (change(weight=NAN), "layer/0/weight has a value of nan"),
    "text": (change(weight=np.array([b"a"])), "layer/0/weight holds no numbers"),
    "rank": (change(weight=np.ones((6, 4))[0, 0]), r"layer/0/weight has the shape \(\)"),
    "decay": (change(neuron__vDecay=4097), "layer/0/neuron/vDecay is 4097: use whole numbers of 0"),
    "fraction": (change(neuron__vThMant=1.5), "layer/0/neuron/vThMant is 1.5: use whole numbers"),
    "count": (
        change(neuron__vThMant=[1, 2, 3]), "layer/0/neuron/vThMant has 3 values: use one, or 6"
    ),
    "voltage read": (
        change(neuron__vThMant=(1 << 18) - 1), "layer/0/neuron/vThMant is 262143, which no voltage"
    ),
    "range": (
        change(weight=np.array([[300.0, 1, 1, 1]] * 6)), "layer/0/weight reaches from 1 to 300"
    ),
    "range of both": (
        change(weight=np.array([[255.0, -1, 1, 1]] * 6)), r"-256 to 254 \(both signs\)"
    ),
    "all negative": (
        change(weight=np.full((6, 4), -1e30)), r"reaches from -1e\+30 to -1e\+30: use -255 to 0"
    ),
    "odd": (change(weight=np.array([[201.0, -1, 1, 1]] * 6)), "layer/0/weight has odd weights"),
    "bias": (change(bias=np.ones(5)), "layer/0/bias has 5 values: use 6"),
    "large bias": (
        change(bias=np.full(6, 1e30)), r"layer/0/bias is 1e\+30, which no voltage .* than 131072"
    ),
    "negative delay": (change(delay=[-1] * 6), "layer/0/delay is -1"),
    "delays of synapses": (change(delay=np.ones((6, 4))), r"layer/0/delay has the shape \(6, 4\)"),
    "last delays": (change(delay=[1, 2, 3, 4, 5, 6]), "layer/0/delay: the last block's spikes"),
    "sizes": (
        blocks_of(draw_block(RNG, 6, 4), draw_block(RNG, 5, 7)),
        "layer/1/weight is for 7 inputs, but layer/0 has 6 neurons",
    ),
    "gap": (
        lambda folder: from_lava(renamed(write(folder / "net.net", [draw_block(RNG, 6, 4)]))),
        "layer/0 is missing",
    ),
}  # fmt: skip


def renamed(path: Path) -> Path:
    with h5py.File(path, "a") as file:
        file.move("layer/0", "layer/1")
    return path


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_place_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    call, message = REFUSED[case]
    with pytest.raises(UserError, match=message) as refused:
        call(tmp_path)
    assert "\n" not in str(refused.value)
