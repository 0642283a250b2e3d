"""Drawn NIR graphs, whose spikes and logits are those of `tests.nir_simulator`; and graphs that
have no place on a core, which are refused in one line.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from dmp_core.frontends.nir import from_nir
from golden.errors import UserError
from golden.formats import Fixed
from golden.reals import run_reals
from tests.nir_simulator import NEURONS, graph_of, input_of, of_size, output_of, simulate

DT = 1e-3
N_TIMESTEPS = 50
RESETS = ["subtract", "subtract_late", "zero", "to_value", "none"]


def draw_neuron(rng: np.random.Generator, n: int, reset: str) -> dict[str, Any]:
    """Return nodes that end with one that fires; each value is one, or a value a neuron."""

    def values(low: float, high: float) -> np.ndarray:
        return (
            rng.uniform(low, high, n) if rng.random() < 0.5 else np.full(n, rng.uniform(low, high))
        )

    common: dict[str, Any] = {"r": values(1, 4), "v_threshold": values(0.5, 1.5)}
    if reset == "to_value":
        common["v_reset"] = values(-0.5, 0.3)
    tau, v_leak = values(2e-3, 2e-2), values(-0.2, 0.5)
    kind = rng.choice(["LIF", "IF", "CubaLIF", "Threshold", "LI", "CubaLI"])
    if kind == "LIF":
        return {"lif": nir.LIF(tau=tau, v_leak=v_leak, **common)}
    synapse: dict[str, Any] = {"tau_syn": values(2e-3, 1e-2), "w_in": values(0.5, 3)}
    if kind == "CubaLIF":
        return {"cuba": nir.CubaLIF(tau_mem=tau, v_leak=v_leak, **synapse, **common)}
    threshold = {"threshold": nir.Threshold(common["v_threshold"])}
    if kind == "Threshold":
        return threshold
    if kind == "CubaLI":
        return {"li": nir.CubaLI(tau_mem=tau, r=common["r"], v_leak=v_leak, **synapse), **threshold}
    if kind == "LI":
        return {"li": nir.LI(tau=tau, r=common["r"], v_leak=v_leak), **threshold}
    return {"if": nir.IF(**common | {"r": common["r"] / DT / 4})}


def draw_weights(rng: np.random.Generator, n: int, m: int, spikes: bool) -> dict[str, Any]:
    nodes: dict[str, Any] = {}
    if spikes and rng.random() < 0.4:
        nodes["delay"] = nir.Delay(rng.integers(0, 6, m) * DT)
    if rng.random() < 0.3:
        nodes["scale"] = nir.Scale(rng.uniform(0.5, 2, m))
    weight = rng.normal(0.2, 1, (n, m))
    if rng.random() < 0.5:
        nodes["fc"] = nir.Linear(weight)
    else:
        nodes["fc"] = nir.Affine(weight, rng.normal(0, 0.3, n))
    if rng.random() < 0.3:
        nodes["rescale"] = nir.Scale(rng.uniform(0.5, 2, n))
    if rng.random() < 0.2:
        nodes["mix"] = nir.Affine(rng.normal(0, 1, (n, n)), rng.normal(0, 0.1, n))
    return nodes


def draw_readout(rng: np.random.Generator, n: int, euler: bool) -> dict[str, Any]:
    end = rng.choice(["spikes", "weights", "LI", "I", *["CubaLI"] * euler])
    if end == "spikes":
        return {}
    nodes: dict[str, Any] = {"out": nir.Affine(rng.normal(0, 1, (3, n)), rng.normal(0, 1, 3))}
    if end == "LI":
        nodes["last"] = nir.LI(np.full(3, 4e-3), rng.uniform(1, 2, 3), rng.normal(0, 1, 3))
    elif end == "CubaLI":  # whose current keeps nothing where the discretization is Euler's
        one = np.ones(3)
        nodes["last"] = nir.CubaLI(DT * one, 4e-3 * one, rng.uniform(1, 2, 3), one, 2 * one)
    elif end == "I":
        nodes["last"] = nir.I(rng.uniform(1, 2, 3))
    return nodes


def draw(
    rng: np.random.Generator, reset: str, spikes: bool, euler: bool
) -> tuple[Any, Any, Any, int]:
    """Return a graph, its nodes in order, those through which spikes come back, and its inputs."""
    n_inputs = m = int(rng.integers(1, 6))
    nodes: dict[str, Any] = {}
    back: dict[str, list[Any]] = {}
    edges: list[tuple[str, str]] = []
    more: dict[str, Any] = {}
    for layer in range(rng.integers(1, 4)):
        n = int(rng.integers(1, 8))
        found = {**draw_weights(rng, n, m, spikes or layer > 0), **draw_neuron(rng, n, reset)}
        named = {f"{name}{layer}": node for name, node in found.items()}
        nodes |= named
        last = list(named)[-1]
        if rng.random() < 0.4 and "li" not in found:
            own = f"own{layer}"
            more[own] = nir.Affine(rng.normal(0, 1, (n, n)), rng.normal(0, 0.1, n))
            back[last] = [more[own]]
            edges += [(last, own), (own, last)]
        m = n
    nodes |= draw_readout(rng, m, euler)
    size = 3 if "out" in nodes else m
    names = ["in", *nodes, "end"]
    edges += list(zip(names, names[1:], strict=False))
    rng.shuffle(edges)
    ends = {"in": input_of(n_inputs), "end": output_of(size)}
    edges = [(str(a), str(b)) for a, b in edges]
    return graph_of({**ends, **more, **nodes}, edges), nodes, back, n_inputs


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("seed", range(2))
def test_drawn_graphs_spike_as_nirs_equations(seed: int, reset: Any, tmp_path: Path) -> None:
    """Ten graphs each: every spike of every layer, and every logit; through a file, too."""
    rng = np.random.default_rng([seed, RESETS.index(reset)])
    rates, n_layers = [], 0
    for number in range(10):
        spikes = bool(rng.random() < 0.6)
        payload = Fixed(1, 0, signed=False) if spikes else Fixed(4, 2)
        euler, above = bool(rng.random() < 0.5), bool(rng.random() < 0.5)
        graph, nodes, back, n_inputs = draw(rng, reset, spikes, euler)
        payloads = rng.integers(payload.min, payload.max + 1, (1, N_TIMESTEPS, n_inputs))
        sent, out = simulate(nodes, payload.to_real(payloads[0]), dt=DT, euler=euler, reset=reset,
                             above=above, back=back)  # fmt: skip
        source: Any = graph
        if number % 2:
            source = tmp_path / f"{number}.nir"
            nir.write(source, graph)
        report = "max" if rng.random() < 0.5 else "last"
        network = from_nir(
            source, dt=DT, discretization="euler" if euler else "exponential", reset=reset,
            fires="above" if above else "at", payload=payload, report=report,
        ).network  # fmt: skip
        done = run_reals(network, payloads)
        for found, expected in zip(done.spikes, sent.values(), strict=True):
            assert np.array_equal(found[0], expected)
            rates.append(expected.mean())
        if "out" in nodes:
            logits = out[-1] if report == "last" else out.max(0)
            assert np.allclose(done.logits[0], logits)
        else:
            assert not len(network.w_o)
        n_layers += len(network.layers)
    rates_in_use = [rate for rate in rates if 0.02 < rate < 0.98]
    assert len(rates_in_use) > n_layers / 2


def ends(n_inputs: int, n_outputs: int) -> dict[str, Any]:
    return {"in": input_of(n_inputs), "out": output_of(n_outputs)}


def chain(*between: Any, n_inputs: int = 2, n_outputs: int = 3, names: str = "abcdef") -> Any:
    """Return a graph of these nodes, called a, b, ..., between an Input and an Output."""
    both = ends(n_inputs, n_outputs)
    named = dict(zip(names, between, strict=False))
    return graph_of({"in": both["in"], **named, "out": both["out"]})


def lif(n: int = 3, **values: Any) -> nir.LIF:
    defaults: dict[str, Any] = {"tau": 0.01, "r": 1, "v_leak": 0, "v_threshold": 0.1}
    return of_size(nir.LIF, n, **defaults | values)


def fc(n: int = 3, m: int = 2, **values: Any) -> nir.Linear:
    return nir.Linear(np.ones((n, m)), **values)


def conv(**values: Any) -> nir.Conv2d:
    defaults: dict[str, Any] = {
        "input_shape": None, "weight": np.ones((3, 2, 2, 2)), "stride": 1, "padding": 0,
        "dilation": 1, "groups": 1, "bias": np.zeros(3),
    }  # fmt: skip
    return nir.Conv2d(**defaults | values)


def image(node: Any, *shape: int) -> Any:
    return graph_of({"in": input_of(*shape), "a": node, "b": of_size(nir.IF, 1, r=1,
                    v_threshold=1), "out": output_of(1)})  # fmt: skip


def edges(*pairs: str, **nodes: Any) -> Any:
    """Return a graph of edges such as 'in>a', with a LIF for each node that is not given."""
    split = [tuple(pair.split(">")) for pair in pairs]
    names = dict.fromkeys(name for pair in split for name in pair if name not in ("in", "out"))
    given = {name: lif() for name in names if name not in nodes}
    return graph_of({**ends(3, 3), **given, **nodes}, [(a, b) for a, b in split])


def nested(*pairs: str, **nodes: Any) -> Any:
    return edges("in>sub", "sub>out", sub=edges(*pairs, **nodes))


def with_edges(*pairs: tuple[str, str]) -> Any:
    graph = chain(fc(), lif())
    graph.edges = list(pairs)
    return graph


def of_words() -> Any:
    neurons = lif()
    neurons.r = np.array(["high"] * 3)
    return chain(fc(), neurons)


def of_kind(kind: str) -> Any:
    """Return a graph with a node of a kind that the package does not have."""
    graph = chain(fc(), lif())
    content = graph.to_dict()
    content["nodes"]["b"]["type"] = kind
    graph.to_dict = lambda: content
    return graph


NAN, INF = np.nan, np.inf
DELAYED = nir.Delay(np.array([DT, 0]))
BAD: list[tuple[Callable[[], Any], dict[str, Any], str]] = [
    # What the file leaves open.
    (lambda: chain(fc(), lif()), {"reset": None},
     'b (LIF): the file does not say how it resets: use reset="subtract", "subtract_late", "to_va'),
    (lambda: chain(fc(), lif()), {"dt": None}, "b (LIF): the file does not say how long a timeste"),
    (lambda: chain(fc(), lif()), {"discretization": None}, "not say how tau becomes a decay: use"),
    (lambda: chain(fc(), lif()), {"dt": None, "reset": None}, "often 1e-4 (--dt); nor how it rese"),
    (lambda: chain(fc(), of_size(nir.IF, 3, r=1, v_threshold=1)), {"dt": None}, "b (IF): the file"),
    (lambda: chain(DELAYED, fc(), lif(tau=INF, r=INF)), {"dt": None}, "a (Delay): the file does n"),
    # All that any node of the graph needs is asked for at once.
    (lambda: chain(DELAYED, fc(), lif()), {"dt": None, "discretization": None},
     "(--dt); nor how tau becomes a decay: use"),
    (lambda: chain(fc(), of_size(nir.IF, 3, r=1, v_threshold=1), fc(m=3), lif()),
     {"dt": None, "discretization": None}, "(--dt); nor how tau becomes a decay: use"),
    (lambda: chain(DELAYED, fc(), lif(tau=INF, r=INF)), {"dt": None, "reset": None},
     "(--dt); nor how c resets: use reset="),
    (lambda: chain(fc(), lif()), {"dt": 0}, "dt 0: use a number above 0, in the unit of tau"),
    (lambda: chain(fc(), lif()), {"dt": NAN}, "dt nan: use a number above 0"),
    (lambda: chain(fc(), lif()), {"dt": "1"}, "dt '1': use a number above 0"),
    (lambda: chain(fc(), lif()), {"reset": "hard"}, "reset 'hard': use subtract, subtract_late, t"),
    (lambda: chain(fc(), lif()), {"discretization": "zoh"}, "discretization 'zoh': use euler or e"),
    (lambda: chain(fc(), lif()), {"fires": "below"}, "fires 'below': use above or at"),
    (lambda: chain(fc(), lif()), {"report": "sum"}, "report 'sum': use last or max"),
    (lambda: chain(fc(), lif()), {"max_weights": 0}, "max_weights 0: use a whole number, 1 or mor"),
    # Values.
    (lambda: chain(fc(), lif(tau=NAN)), {}, "b (LIF): tau has a value of nan: use finite numbers"),
    (lambda: chain(fc(), lif(v_threshold=INF)), {}, "b (LIF): v_threshold has a value of inf"),
    (of_words, {}, "b (LIF): r is '['high' 'high' 'high']': use numbers"),
    (lambda: chain(fc(), lif(tau=0)), {}, "b (LIF): tau is 0: use more than 0"),
    (lambda: chain(fc(), lif(tau=1e-4)), {},
     'b (LIF): dt / tau is 10, and so 1 - dt / tau negative: use a dt of at most 0.0001, or discr'),
    (lambda: chain(fc(), lif(tau=INF)), {}, "b (LIF): tau is inf and r 1: use finite numbers for"),
    (lambda: chain(fc(), lif(r=INF)), {}, "b (LIF): tau is 0.01 and r inf: use finite numbers for"),
    (lambda: chain(fc(), lif(v_threshold=-1)), {}, "b (LIF): a threshold of -1, which a membrane"),
    (lambda: chain(fc(), lif(v_threshold=0)), {"fires": "at"}, "at rest is at: use more than 0"),
    (lambda: chain(fc(), lif(v_reset=0.2)), {}, 'b (LIF): v_reset is 0.2, which reset="zero" does'),
    (lambda: chain(fc(), lif(tau=DT)), {"reset": "subtract_late"}, "b (LIF): its leak is 0, and s"),
    (lambda: chain(nir.Linear(np.full((3, 2), NAN)), lif()), {}, "a (Linear): weight has a value"),
    (lambda: chain(nir.Linear(np.full((3, 2), 1e308)), lif(r=1e6)), {}, "b.weights has inf at (0"),
    # Shapes.
    (lambda: chain(fc(m=4), lif()), {}, "a (Linear): weight has the shape (3, 4), but 2 values ar"),
    (lambda: chain(fc(), lif(2)), {}, "b (LIF): tau has the shape (2,), but 3 values arrive: use"),
    (lambda: chain(nir.Affine(np.ones((3, 2)), np.ones(2)), lif()), {}, "a (Affine): bias has the"),
    (lambda: chain(nir.Linear(np.ones((1, 3, 2))), lif()), {}, "a (Linear): weight has the shape"),
    (lambda: chain(nir.Scale(np.ones(5)), fc(), lif()), {}, "a (Scale): scale has the shape (5,),"),
    (lambda: chain(fc(), lif(), n_outputs=4), {}, "out (Output): its shape is (4,), but 3 values"),
    (lambda: chain(nir.Flatten({"input": np.array([4])}, 0), fc(), lif()), {}, "a (Flatten): inpu"),
    (lambda: image(conv(), 2, 5), {}, "a (Conv2d): values of 2 x 5 arrive: use 2 x size x size"),
    (lambda: image(conv(), 3, 5, 5), {}, "a (Conv2d): values of 3 x 5 x 5 arrive: use 2 x size x"),
    (lambda: image(conv(input_shape=(4, 5)), 2, 5, 5), {}, "5 x 5 arrive: use 2 x 4 x 5"),
    (lambda: image(conv(groups=2), 4, 5, 5), {}, "a (Conv2d): 3 outputs in 2 groups: use groups o"),
    (lambda: image(conv(stride=0), 2, 5, 5), {}, "a (Conv2d): a stride, dilation or kernel of siz"),
    (lambda: image(conv(dilation=6), 2, 5, 5), {}, "a (Conv2d): a kernel of 7 does not fit into 5"),
    (lambda: image(conv(padding="same", stride=2), 2, 5, 5), {}, "padding 'same' with a stride ot"),
    (lambda: image(conv(padding=10**10), 2, 5, 5), {}, "max_weights"),
    (lambda: image(conv(stride=(1.5, 1)), 2, 5, 5), {}, "a (Conv2d): stride is 1.5, 1: use 2 whol"),
    (lambda: image(nir.SumPool2d(np.array(2), np.array(2), np.array(0)), 8), {}, "a (SumPool2d):"),
    (lambda: image(conv(), 2, 9, 9), {"max_weights": 31103},
     "a (Conv2d): unrolled it has 192 x 162 = 31104 weights: use at most 31103, or a higher max_w"),
    (lambda: chain(lif(2), n_outputs=2), {"max_weights": 3}, "a (LIF): unrolled it has 2 x 2 = 4"),
    # Edges.
    (with_edges, {}, "graph (NIRGraph): it has no edges, and so nothing says which node follow"),
    (lambda: with_edges(("in", "a"), ("a", "ghost")), {}, "from 'a' to 'ghost', but it has no nod"),
    (lambda: edges("in>a", "a>out", "b>out"), {}, "b (LIF): no edge leads to it: connect it, or l"),
    (lambda: edges("in>a", "a>out", "a>b"), {}, "b (LIF): no edge leads on from it: connect it"),
    (lambda: edges("in>a", "a>out", "b>c", "c>b"), {}, "b (LIF): no way from in leads to it: conn"),
    (lambda: edges("in>a", "in>b", "a>out", "b>out"), {}, "in (Input): edges lead from it to a an"),
    (lambda: edges("in>a", "a>b", "a>c", "b>d", "c>d", "d>out"), {}, "a (LIF): edges lead from it"),
    (lambda: edges("in>a", "a>b", "b>a", "b>out"), {}, "a (LIF): a -> b -> a is a circle, but no"),
    (lambda: edges("in>w", "w>v", "v>w", "v>a", "a>out", w=fc(3, 3), v=fc(3, 3)), {},
     "w (Linear): w -> v -> w is a circle"),
    (lambda: edges("in>a", "a>w", "w>a", "a>a", "a>out", w=fc(3, 3)), {}, "come back to it in two"),
    (lambda: edges("in>a", "a>w", "w>a", "a>out", w=nir.Delay(np.zeros(3))), {}, "a -> w -> a is"),
    (lambda: edges("in>a", "a>w", "w>a", "b>w", "a>b", "b>out", w=fc(3, 3)), {},
     "b (LIF): edges lead from it to w and out: use a single chain"),
    (lambda: edges("in>a", "a>w", "w>a", "a>out", w=fc(2, 3)), {}, "a (LIF): 2 values come back t"),
    (lambda: edges("in>a", "x>a", "a>out", x=input_of(3)), {}, "2 nodes (in, x) of k"),
    (lambda: edges("in>a", "a>b", "b>x", x=output_of(3)), {}, "2 nodes (out, x) of k"),
    (lambda: nested("in>a", "b>out"), {}, "sub.a (LIF): no edge leads on from it: connect it"),
    (lambda: nested("in>a", "a>b"), {}, "sub.out (Output): no edge leads to it"),
    (lambda: nested("in>out", "a>a"), {}, "sub.a (LIF): no way from in leads to it"),
    (lambda: edges("in>a", "a>out", "sub>sub", sub=edges("in>out")), {}, "sub.out is a circle, b"),
    # Nodes.
    (lambda: of_kind("Izhikevich"), {}, "b (Izhikevich): no such node is known: use Affine, Linea"),
    (lambda: chain(fc()), {}, "graph (NIRGraph): no node in it fires: use at least one layer of L"),
    (lambda: chain(fc(), of_size(nir.LI, 3, tau=1, r=1, v_leak=0), fc(3, 3), lif()), {},
     "b (LI): it does not fire, and c (Linear) follows it"),
    (lambda: edges("in>a", "a>b", "b>w", "w>b", "b>out", w=fc(3, 3), b=nir.Threshold(np.ones(3)),
                   a=of_size(nir.LI, 3, tau=1, r=1, v_leak=0)), {},
     "b (Threshold): its spikes come back to it after a (LI) has integrated: use one of LIF, IF"),
    (lambda: chain(fc(), lif(), of_size(nir.CubaLI, 3, tau_mem=1, tau_syn=1, r=1, v_leak=0)), {},
     "c (CubaLI): a readout has no synaptic current: use an LI"),
    (lambda: chain(fc(), lif(), nir.LI(np.array([1.0, 2, 3]), np.ones(3), np.zeros(3))), {},
     "c (LI): leaks of 0.999 to 0.999667, but a readout has one for all: use the same tau"),
    # Delays.
    (lambda: chain(nir.Delay(np.array([0, 1.5 * DT])), fc(), lif()), {},
     "a (Delay): a delay of 0.0015 is 1.5 timesteps of dt 0.001: use whole timesteps, 0 or more"),
    (lambda: chain(nir.Delay(np.array([0, -DT])), fc(), lif()), {}, "-1 timesteps of dt 0.001: us"),
    (lambda: chain(nir.Delay(np.array([0, 256 * DT])), fc(), lif()), {},
     "a (Delay): a delay of 256 timesteps: use at most 255"),
    (lambda: chain(fc(), nir.Delay(np.array([0, DT, DT])), lif()), {}, "b (Delay): it delays valu"),
    (lambda: chain(nir.Affine(np.ones((3, 2)), np.ones(3)), nir.Delay(np.full(3, DT)), lif()), {},
     "b (Delay): it delays values that weights or a bias have made: put it before the nodes of w"),
    (lambda: chain(DELAYED, fc(), lif()), {"payload": Fixed(4)}, "a (Delay): it delays payloads:"),
    (lambda: chain(fc(), lif(), nir.Delay(np.full(3, DT))), {}, "c (Delay): it delays the output:"),
    (lambda: chain(fc(), lif(), nir.Delay(np.full(3, DT)), fc(3, 3)), {}, "c (Delay): it delays w"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BAD)))
def test_what_has_no_place_on_a_core_is_refused_in_one_line(number: int) -> None:
    make, given, message = BAD[number]
    options: dict[str, Any] = {"dt": DT, "discretization": "euler", "reset": "zero", **given}
    with pytest.raises(UserError) as error:
        from_nir(make(), **options)
    assert message in str(error.value) and "\n" not in str(error.value)
    rights = (": use", "connect it", "write the file again", "put it", "leave it out")
    assert any(right in str(error.value) for right in rights)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no file"),
        (3.5, "a source of type float: use the path of a NIR file, or a nir.NIRGraph"),
        (b"not HDF5", "cannot be read"),
        ({}, "holds no NIR graph"),
        ({"type": "LIF", "tau": 1.0}, "it is a node alone: use a NIRGraph"),
        ({"type": "NIRGraph", "edges": [["a", "b"]]}, "it has no nodes"),
        ({"type": "NIRGraph", "nodes/a/tau": 1.0, "edges": [["a", "a"]]}, "a: it has no type"),
        (
            {"nodes/in/type": "Input", "nodes/out/type": "Output", "edges": [["in", "out"]]},
            "in (Input): it has no shape: use that of what it receives",
        ),
        (
            {"nodes/in/type": "Input", "nodes/out/type": "Output", "edges": ["in", "out"]},
            "edges of shape (2,): use pairs of names",
        ),
        (
            {"nodes/in/type": "Input", "nodes/in/shape": [2], "nodes/a/type": "Affine",
             "nodes/out/type": "Output", "edges": [["in", "a"], ["a", "out"]]},
            "a (Affine): it has no weight: write the file again, with it",
        ),
    ],
)  # fmt: skip
def test_files_without_a_graph_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "file.nir"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        with h5py.File(path, "w") as file:
            for key, value in content.items():
                file[f"node/{key}"] = np.bytes_(value) if key == "edges" else value
    with pytest.raises(UserError) as error:
        source: Any = content if isinstance(content, float) else path
        from_nir(source)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_neurons_of_the_simulator_are_all_drawn() -> None:
    rng = np.random.default_rng(0)
    drawn = {type(n) for _ in range(100) for n in draw_neuron(rng, 2, "zero").values()}
    assert drawn == {*NEURONS, nir.LI, nir.CubaLI}
