"""NIR graphs as networks in reals: known answers; recurrence and convolutions against
`tests.nir_simulator`, which computes NIR's equations node by node; files that `nir.read` refuses.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from dmp_core.frontends.nir import from_nir
from dmp_core.frontends.nir_graph import KINDS
from golden.formats import Fixed
from golden.hardware.params import HardwareParams
from golden.integer import run
from golden.params import LayerFormats
from golden.quantize import quantize
from golden.reals import NetworkReals, run_reals
from tests.core_simulator import simulate as simulate_core
from tests.nir_simulator import convolved, graph_of, input_of, of_size, output_of, simulate

DT = 1e-4
EULER: dict[str, Any] = {"dt": DT, "discretization": "euler"}
SIXTEENTHS = Fixed(8, 8, signed=False)  # a payload of 16 is 1/16
# One neuron's input, 0 or 1 for 1,000 timesteps, and a network's answers, as tools publish them.
FED = [60, 220, 270, 310, 320, 350, 370, 400, 410, *range(430, 540, 10),
       *range(670, 790, 10), 840, 850]  # fmt: skip


def fed() -> np.ndarray:
    payloads = np.zeros((1, 1000, 1), np.int64)
    payloads[0, FED] = 1
    return payloads


def lif(n: int = 1, **values: Any) -> nir.LIF:
    defaults: dict[str, Any] = {"tau": 2.5e-3, "r": 1, "v_leak": 0, "v_threshold": 0.1}
    return of_size(nir.LIF, n, **defaults | values)


def ends(n_inputs: int, n_outputs: int) -> tuple[nir.Input, nir.Output]:
    return input_of(n_inputs), output_of(n_outputs)


def one(weight: float, neuron: Any) -> nir.NIRGraph:
    first, last = ends(1, 1)
    linear = nir.Linear(np.array([[weight]]))
    return graph_of({"input": first, "fc": linear, "lif": neuron, "output": last})


def times(network: NetworkReals, payloads: np.ndarray, layer: int = 0) -> list[int]:
    return np.flatnonzero(run_reals(network, payloads).spikes[layer][0, :, 0]).tolist()


def two_neurons() -> nir.NIRGraph:
    """Return a neuron that a leak potential above its threshold makes fire, and one after it."""
    first, last = ends(1, 1)
    same = {"tau": 0.01, "v_leak": 1.2, "v_threshold": 1}
    weight = np.ones((1, 1))
    return graph_of({
        "in": first, "linear1": nir.Linear(weight), "lif1": lif(**same),
        "linear2": nir.Linear(weight), "lif2": lif(tau=0.01, v_threshold=20), "out": last,
    })  # fmt: skip


WIDTHS = LayerFormats(
    w_f=Fixed(16, 15), u=Fixed(24, 20), leak=Fixed(16, 16, signed=False), bias_width=24
)
CONSTANT = np.full((1, 60, 1), 16)
KNOWN: dict[str, tuple[nir.NIRGraph, dict[str, Any], np.ndarray, list[int]]] = {
    "norse": (one(1, lif()), EULER, fed(), [460, 510, 710, 760]),
    "rockpool": (one(0.04, lif(r=24.019737)), EULER, fed(), [460, 520, 720, 780]),
    "leak potential": (
        two_neurons(), EULER, np.zeros((1, 1000, 1), np.int64), [178, 357, 536, 715, 894],
    ),
    # 16 times 1/16 is exactly the threshold, above which it fires: in the 17th step and the 34th.
    "constant": (
        one(1, of_size(nir.IF, 1, r=1, v_threshold=1)), {"dt": 1, "payload": SIXTEENTHS},
        CONSTANT, [16, 33, 50],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_known_answers(name: str) -> None:
    """In reals, and in integers: 16 bits of weights and leak and 24 of membranes are enough."""
    graph, options, payloads, expected = KNOWN[name]
    network = from_nir(graph, reset="zero", **options).network
    assert times(network, payloads) == expected
    integers = run(quantize(network, payloads, "known", WIDTHS).network, payloads, trace=True)
    for found, real in zip(integers.layers, run_reals(network, payloads).spikes, strict=True):
        assert found.spikes is not None and np.array_equal(found.spikes, real)


def test_a_narrow_membrane_fires_a_timestep_early() -> None:
    """As the page says: with 16 bits, what arrives at each timestep is rounded."""
    graph, options, payloads, expected = KNOWN["leak potential"]
    imported = from_nir(graph, reset="zero", **options)
    network = imported.network
    assert [note.node for note in imported.notes if "1 of them can never" in note.what] == ["lif2"]
    done = run(quantize(network, payloads[:, :200], "narrow").network, payloads[:, :200])
    assert np.flatnonzero(done.layers[0].spike_counts[0]).tolist() == [177] == [expected[0] - 1]


def test_the_core_fires_when_the_file_says() -> None:
    graph, options, payloads, expected = KNOWN["constant"]
    network = from_nir(graph, reset="zero", **options).network
    integers = quantize(network, payloads, "constant", WIDTHS).network
    recorded = simulate_core(integers, HardwareParams(lanes=1), payloads)
    assert np.flatnonzero(recorded.spikes[0]).tolist() == expected


@pytest.mark.parametrize("reset", ["subtract", "subtract_late", "zero", "none"])
@pytest.mark.parametrize("fires", ["above", "at"])
def test_the_reset_and_where_it_fires_are_as_asked(reset: Any, fires: Any) -> None:
    """The rockpool neuron's answers differ by the reset, the constant one's by both."""
    for name in ("rockpool", "constant"):
        graph, options, payloads, _ = KNOWN[name]
        network = from_nir(graph, reset=reset, fires=fires, **options).network
        nodes = {"fc": graph.nodes["fc"], "lif": graph.nodes["lif"]}
        scale = 1 / 256 if name == "constant" else 1
        sent, _ = simulate(nodes, payloads[0] * scale, dt=options["dt"], reset=reset,
                           above=fires == "above")  # fmt: skip
        assert times(network, payloads) == np.flatnonzero(sent["lif"]).tolist() != []


def test_weights_as_the_last_node_are_a_readout_of_the_last_timestep() -> None:
    """In integers, too."""
    first, last = ends(1, 2)
    out = nir.Affine(np.array([[0.5], [-0.25]]), np.array([0.125, 0.75]))
    nodes = {"in": first, "lif": lif(r=25, v_threshold=0.5), "out": out, "end": last}
    network = from_nir(graph_of(nodes), reset="zero", **EULER).network
    quantized = quantize(network, fed(), "last").network
    for n_timesteps, expected in ((60, [0.125, 0.75]), (61, [0.625, 0.5]), (100, [0.125, 0.75])):
        payloads = fed()[:, :n_timesteps]
        assert np.allclose(run_reals(network, payloads).logits, expected)
        logits = run(quantized, payloads).logits
        assert quantized.params.readout.logit.to_real(logits).tolist() == [expected]


def test_a_leak_of_one_is_tau_and_r_of_infinity() -> None:
    """Neuron 0 keeps all of itself and takes its input as it is; neuron 1 is an ordinary one."""
    first, last = ends(2, 2)
    neurons = nir.LIF(
        tau=np.array([np.inf, 1e-3], np.float32), r=np.array([np.inf, 10], np.float32),
        v_leak=np.array([7.0, 0]), v_threshold=np.ones(2),
    )  # fmt: skip
    affine = nir.Affine(np.diag([0.3, 0.3]), np.array([0.1, 0.1]))
    graph = graph_of({"input": first, "fc": affine, "lif": neurons, "output": last})
    (layer,) = from_nir(graph, reset="subtract_late", **EULER).network.layers
    assert np.allclose(layer.leak, [1, 0.9]) and np.allclose(layer.w_f, affine.weight)
    assert np.allclose(layer.c, affine.bias) and np.allclose(layer.taken(), [1, 1 / 0.9])
    both = from_nir(
        graph_of({"input": first, "fc": affine, "lif": lif(2, tau=np.inf, r=np.inf),
                  "output": last}),
        reset="zero",
    )  # fmt: skip
    assert both.network.layers[0].leak == 1 and "r dt / tau is 1" in both.report()


def test_a_subgraph_is_a_recurrent_layer() -> None:
    """As snnTorch writes RLeaky; and the same as a circle of the graph."""
    rng = np.random.default_rng(5)
    first, last = ends(4, 6)
    neurons = lif(6, tau=1e-3, r=10, v_threshold=1)
    fc = nir.Linear(rng.normal(0.2, 0.5, (6, 4)))
    own = nir.Affine(rng.normal(0, 0.5, (6, 6)), rng.normal(0, 0.1, 6))
    inner = [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]
    door, out = ends(6, 6)
    nested = graph_of(
        {"fc": fc, "in": first, "out": last,
         "rnn": graph_of({"output": out, "w_rec": own, "lif": neurons, "input": door}, inner)},
        [("rnn", "out"), ("fc", "rnn"), ("in", "fc")],
    )  # fmt: skip
    flat = graph_of(
        {"in": first, "fc": fc, "lif": neurons, "w_rec": own, "out": last},
        [("in", "fc"), ("fc", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "out")],
    )
    payloads = rng.integers(0, 16, (1, 100, 4))
    expected, _ = simulate({"fc": fc, "lif": neurons}, payloads[0] / 8, dt=DT, reset="subtract",
                           back={"lif": [own]})  # fmt: skip
    assert 0.05 < expected["lif"].mean() < 0.9
    for graph in (nested, flat):
        found = from_nir(graph, reset="subtract", payload=Fixed(4, 3, signed=False), **EULER)
        (spikes,) = run_reals(found.network, payloads).spikes
        assert found.network.layers[0].recurrent and np.array_equal(spikes[0], expected["lif"])
        assert "spikes come back a timestep later" in " ".join(found.report().split())


CONVOLUTIONS = [
    nir.Conv2d((5, 7), np.zeros((4, 3, 2, 3)), 1, 0, 1, 1, np.zeros(4)),
    nir.Conv2d(None, np.zeros((4, 3, 3, 3)), (2, 1), (1, 2), (1, 2), 1, np.zeros(4)),
    nir.Conv2d((5, 7), np.zeros((6, 1, 3, 2)), 1, "same", 1, 3, np.zeros(6)),
    nir.Conv2d((5, 7), np.zeros((3, 1, 2, 2)), 3, "valid", 2, 3, np.zeros(3)),
    nir.Conv1d(35, np.zeros((4, 3, 3)), 2, 1, 2, 1, np.zeros(4)),
    nir.Conv1d(35, np.zeros((6, 1, 4)), 1, "same", 2, 3, np.zeros(6)),
    nir.SumPool2d(np.array([2, 3]), np.array([2, 2]), np.array([0, 1])),
    nir.AvgPool2d(np.array(2), np.array(2), np.array(1)),
]  # fmt: skip


@pytest.mark.parametrize("node", CONVOLUTIONS, ids=lambda node: type(node).__name__)
def test_convolutions_and_pools_are_unrolled(node: Any) -> None:
    """Against sums over each window; what arrives at a flat layer after them, too."""
    rng = np.random.default_rng(CONVOLUTIONS.index(node))
    shape = (3, 35) if isinstance(node, nir.Conv1d) else (3, 5, 7)
    if hasattr(node, "weight"):
        node.weight = rng.normal(0, 1, node.weight.shape)
        node.bias = rng.normal(0, 1, len(node.weight))
    x = rng.normal(0, 1, shape)
    expected = convolved(x, node)
    mix = nir.Affine(rng.normal(0, 1, (2, expected.size)), rng.normal(0, 1, 2))
    flat = nir.Flatten({"input": np.array(expected.shape)}, 0)
    unit = {"r": 1, "v_threshold": 1}
    first = input_of(1, *shape)
    for nodes, wanted in (
        ({"if": of_size(nir.IF, 1, **unit)}, expected.reshape(-1)),
        ({"flat": flat, "fc": mix, "if": of_size(nir.IF, 2, **unit)},
         mix.weight @ expected.reshape(-1) + mix.bias),
    ):  # fmt: skip
        last = output_of(wanted.size)
        graph = graph_of({"input": first, "conv": node, **nodes, "output": last})
        (layer,) = from_nir(graph, dt=1, reset="zero").network.layers
        assert np.allclose(layer.w_f @ x.reshape(-1) + layer.c, wanted)


def test_shapes_are_taken_from_where_they_stand() -> None:
    """A flat input of a convolution that knows its sizes, one channel without its own size, and
    thresholds of a channel each.
    """
    node = nir.Conv2d((3, 3), np.ones((2, 1, 2, 2)), 1, 0, 1, 1, np.zeros(2))
    neurons = of_size(nir.IF, 1, r=1, v_threshold=1)
    neurons.v_threshold = np.array([1.0, 2.0]).reshape(2, 1, 1)
    found = []
    for shape in ((9,), (3, 3), (1, 3, 3), (1, 1, 3, 3)):
        nodes = {"in": input_of(*shape), "conv": node, "if": neurons, "out": output_of(8)}
        (layer,) = from_nir(graph_of(nodes), dt=1, reset="zero").network.layers
        assert np.array_equal(layer.threshold, [1, 1, 1, 1, 2, 2, 2, 2])
        found.append(layer.w_f)
    assert all(np.array_equal(weights, found[0]) for weights in found)


def write_loosely(path: Path, dtype: Any) -> None:
    """Write a graph as no version of NIR's package does, but that holds it."""
    with h5py.File(path, "w") as file:
        node = file.create_group("node")
        node["type"] = np.bytes_("NIRGraph")
        node["edges"] = np.array([["input", "fc"], ["fc", "lif"], ["lif", "output"]], "S10")
        contents: dict[str, dict[str, Any]] = {
            "input": {"type": "Input", "shape": {"input": np.array([1.0, 2.0], dtype)}},
            "fc": {"type": "Linear", "weight": np.array([[1, 2], [3, 4], [-1, 2]], dtype)},
            "lif": {"type": np.array([b"LIF"]), "tau": dtype(2), "r": np.array([[8]], dtype),
                    "v_leak": {"value": np.int8(0)}, "v_threshold": np.arange(1, 4).astype(dtype)},
            "output": {"type": "Output", "shape": np.array([1, 1, 3], np.uint8)},
        }  # fmt: skip
        for name, values in contents.items():
            for key, value in values.items():
                if isinstance(value, dict):
                    ((inner, value),) = value.items()
                    key = f"{key}/{inner}"
                node[f"nodes/{name}/{key}"] = value


@pytest.mark.parametrize("dtype", [np.float16, np.int32, np.float64])
def test_files_that_nir_refuses_are_read(tmp_path: Path, dtype: Any) -> None:
    path = tmp_path / "loose.nir"
    write_loosely(path, dtype)
    with pytest.raises((TypeError, ValueError, AssertionError, AttributeError)):
        nir.read(path)
    (layer,) = from_nir(path, dt=1, discretization="euler", reset="zero").network.layers
    assert np.array_equal(layer.w_f, 4 * np.array([[1, 2], [3, 4], [-1, 2]]))
    assert layer.leak == 0.5 and np.array_equal(layer.threshold, [1, 2, 3])


def test_the_report_names_every_node() -> None:
    """What has gone into the numbers of others is said, too."""
    first, last = ends(2, 3)
    graph = graph_of({
        "input": first, "late": nir.Delay(np.array([0, 3 * DT])), "scale": nir.Scale(np.ones(2)),
        "fc": nir.Linear(np.ones((3, 2))), "lif": lif(3, v_leak=0.01), "out": nir.Linear(np.eye(3)),
        "li": of_size(nir.LI, 3, tau=1e-3, r=1, v_leak=0), "output": last,
    })  # fmt: skip
    found = from_nir(graph, reset="zero", **EULER)
    fates = {note.node: note.fate for note in found.notes}
    assert fates.keys() >= graph.nodes.keys()
    assert [fates[name] for name in ("fc", "scale", "lif.v_leak", "lif.r", "late", "out")] == [
        "folded", "folded", "folded", "folded", "mapped", "mapped",
    ]  # fmt: skip
    assert all(note.node in found.report() for note in found.notes)


def test_the_page_has_every_node() -> None:
    page = (Path(__file__).parents[1] / "docs" / "importing.md").read_text()
    listed = "\n".join(re.findall(r"^\| ([^|]*) \|", page, re.M))
    assert all(re.search(rf"\b{kind}\b", listed) for kind in (*KINDS, "NIRGraph"))
    assert not set(nir.ir.__all__) - {*KINDS, "NIRGraph", "NIRNode", "str2NIRNode", "dict2NIRNode"}
