"""The network in reals is its equations, and what no neuron can be is refused in one line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden.errors import UserError
from golden.formats import GRADED, Fixed
from golden.params import SPIKE
from golden.reals import LayerReals, NetworkReals, run_reals
from tests.real_networks import draw_reals


def follow(layer: LayerReals, received: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    """Return the spikes (K, N) of a layer for what its inputs receive (K, M), and the largest
    values: neuron by neuron in plain floats.
    """
    n, m, d = layer.n_neurons, layer.n_inputs, layer.n_state
    delays = layer.delays if layer.max_delay else np.zeros(m, int)
    state, h, y, u = [0.0] * d, [0.0] * n, [0.0] * n, [0.0] * n
    spikes, largest = np.zeros((len(received), n), bool), dict.fromkeys("xmuy", 0.0)

    def of(value: Any, i: int) -> float:
        return float(value[i]) if np.ndim(value) else float(value)

    for k in range(len(received)):
        s = [received[k - delays[j], j] if k >= delays[j] else 0.0 for j in range(m)]
        x = max(sum(layer.w_x[j] * s[j] for j in range(m)) + layer.b_x, 0.0) if d else 0.0
        state = [sum(layer.a[i, j] * state[j] for j in range(d)) + layer.b[i] * x for i in range(d)]
        if layer.recurrent:
            worth = layer.payload.max * 2.0**-layer.payload.frac
            s += [worth * bool(k and spikes[k - 1, i]) for i in range(n)]
        for i in range(n):
            if k % layer.dilation == 0:
                h[i] = sum(layer.w_m[i, j] * state[j] for j in range(d))
            driving = sum(layer.w_f[i, j] * s[j] for j in range(len(s)))
            if layer.alpha is not None:
                y[i] = of(layer.alpha, i) * y[i] + driving + layer.c_y[i]
                driving = y[i]
            u[i] = of(layer.leak, i) * u[i] + driving + h[i] + layer.c[i]
            largest["u"] = max(largest["u"], abs(u[i]))
            threshold = of(layer.threshold, i)
            if u[i] > threshold or (u[i] == threshold and not layer.strict):
                spikes[k, i] = True
                if layer.reset == "subtract":
                    amount = layer.reset_amount
                    u[i] -= of(layer.threshold if amount is None else amount, i)
                elif layer.reset == "to_value":
                    u[i] = 0.0 if layer.reset_amount is None else of(layer.reset_amount, i)
        for name, values in {"x": [x], "m": state, "y": y}.items():
            largest[name] = max([largest[name], *map(abs, values)])
    return spikes, largest


@pytest.mark.parametrize("seed", range(30))
def test_a_run_is_its_equations(seed: int) -> None:
    drawn = draw_reals(seed, batch=2, n_timesteps=25)
    network, done = drawn.network, run_reals(drawn.network, drawn.payloads)
    largest_logit = 0.0
    found: list[dict[str, float]] = [dict.fromkeys("xmuy", 0.0) for _ in network.layers]
    for sequence, payloads in enumerate(drawn.payloads):
        values = payloads * 2.0 ** -network.layers[0].payload.frac
        for layer, spikes, largest in zip(network.layers, done.spikes, found, strict=True):
            expected, reached = follow(layer, values)
            assert np.array_equal(spikes[sequence], expected)
            for name, value in reached.items():
                largest[name] = max(largest[name], value)
            values = expected.astype(float)
        logits, most = np.zeros(4), np.full(4, -np.inf)
        for fired in values:
            logits = network.leak * logits + network.w_o @ fired + network.b_o
            most = np.maximum(most, logits)
            largest_logit = max(largest_logit, float(np.abs(logits).max()))
        expected = most if network.report == "max" else logits
        np.testing.assert_allclose(done.logits[sequence], expected, atol=1e-9)
    assert done.largest_logit == pytest.approx(largest_logit)
    for ranges, largest in zip(done.ranges, found, strict=True):
        assert vars(ranges) == pytest.approx(largest)


def test_the_drawn_networks_have_every_option_and_spike() -> None:
    layers, rates, pairs = [], [], set()
    for seed in range(30):
        drawn = draw_reals(seed)
        done = run_reals(drawn.network, drawn.payloads)
        layers += drawn.network.layers
        rates += [float(spikes.mean()) for spikes in done.spikes]
        pairs.add((drawn.network.leak == 1, drawn.network.report))
    assert len(pairs) == 4 and np.mean([0.02 < rate < 0.98 for rate in rates]) > 0.8
    kinds = {(of.reset, of.reset_amount is None, of.alpha is None) for of in layers}
    assert len(kinds) == 10, "a reset that does nothing has no amount"
    for name in ("leak", "alpha", "threshold", "reset_amount"):
        assert {np.ndim(getattr(of, name)) for of in layers} == {0, 1}
    for name in ("recurrent", "max_delay", "decay_rounding", "dilation", "n_state"):
        assert len({getattr(of, name) for of in layers}) > 1
    assert {of.payload for of in layers} == {SPIKE, GRADED, Fixed(8, 6)}


@pytest.mark.parametrize("seed", range(30))
def test_nothing_reaches_further_than_the_bounds(seed: int) -> None:
    """Not in the first layer, either, where every input is as large or as small as it can be."""
    drawn = draw_reals(seed)
    layer = replace(drawn.network.layers[0], reset="none", reset_amount=None)
    low, high = layer.payload.min, layer.payload.max
    for value in (low, high):
        network = replace(drawn.network, layers=(layer, drawn.network.layers[1]))
        payloads = np.full_like(drawn.payloads, value)
        reached = run_reals(network, payloads).ranges[0].u
        assert reached <= max(layer.reach().max(), -lowest(layer)) * (1 + 1e-9)


def lowest(layer: LayerReals) -> float:
    """Return what the membranes can fall to: what those of the opposite weights can rise to."""
    opposite = replace(
        layer, w_f=-layer.w_f, c=-layer.c, c_y=-layer.c_y, w_m=-layer.w_m, w_x=layer.w_x
    )
    return -float(opposite.reach().max())


def one(**given: Any) -> LayerReals:
    """Return a layer of two inputs, which are spikes, and three neurons of two weights of 1."""
    empty = np.zeros(0)
    values: dict[str, Any] = {
        "w_f": np.ones((3, 2)), "w_x": np.zeros(2), "b_x": 0.0, "a": np.zeros((0, 0)), "b": empty,
        "w_m": np.zeros((3, 0)), "c": np.zeros(3), "leak": 0.5,
    }  # fmt: skip
    return LayerReals(**values | given)


def test_bounds_by_hand() -> None:
    """Two inputs of 1, half of the membrane kept: 4 at most. With a current of which 3/4 are kept,
    and a bias of 1/2 of it: (2 + 1/2) * 4 * 2.
    """
    assert one().reach().tolist() == [4, 4, 4]
    assert one(c=np.array([0.0, 1.0, -3.0])).reach().tolist() == [4, 6, 0]
    assert one(leak=np.array([0.0, 0.75, 1.0])).reach().tolist() == [2, 8, np.inf]
    synapse = one(alpha=0.75, c_y=np.full(3, 0.5))
    assert synapse.reach().tolist() == [20, 20, 20]
    assert one(payload=GRADED).reach().tolist() == [4 * 255 / 256] * 3
    assert one(payload=Fixed(4, 0), w_f=np.array([[1.0, -1]] * 3)).reach().tolist() == [30] * 3
    state = {"w_x": np.ones(2), "a": np.eye(1), "b": np.ones(1)}
    assert one(**state, w_m=np.array([[0.0], [1.0], [-1.0]])).reach().tolist() == [
        4,
        np.inf,
        np.inf,
    ]
    assert one(c=np.ones(3)).least().tolist() == [1, 1, 1]
    assert one(c=np.ones(3), reset_amount=1.5).least().tolist() == [-np.inf] * 3
    assert one(c=np.ones(3), reset="to_value", reset_amount=-0.1).least().tolist() == [-np.inf] * 3
    assert one(alpha=0.5, c_y=np.array([-0.5, 0.0, 0.5])).least().tolist() == [-np.inf, 0, 0.5]


NAN, INF = float("nan"), float("inf")
STATE: dict[str, Any] = {
    "w_x": np.ones(2), "a": np.eye(1) / 2, "b": np.ones(1), "w_m": np.ones((3, 1)),
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"leak": 1.25}, "layer0.leak is 1.25: use 0 to 1"),
        ({"leak": -0.5}, "layer0.leak is -0.5: use 0 to 1"),
        ({"leak": NAN}, "layer0.leak has a value of nan: use finite numbers"),
        ({"leak": np.array([0.5, 1.0, 1.5])}, "layer0.leak of neuron 2 is 1.5: use 0 to 1"),
        ({"leak": np.array([0.5, NAN, 1.5])}, "layer0.leak has a value of nan"),
        ({"leak": np.ones(2)}, r"layer0.leak has the shape \(2,\): use \(3,\)"),
        ({"alpha": 1.5, "c_y": np.zeros(3)}, "layer0.alpha is 1.5: use 0 to 1"),
        ({"alpha": np.array([0.5, -1, 0]), "c_y": np.zeros(3)}, "alpha of neuron 1 is -1: use 0"),
        ({"alpha": NAN, "c_y": np.zeros(3)}, "layer0.alpha has a value of nan"),
        ({"alpha": 0.5}, r"layer0.c_y has the shape \(0,\): use \(3,\)"),
        ({"c_y": np.zeros(3)}, r"layer0.c_y has the shape \(3,\): use \(0,\)"),
        ({"threshold": 0.0}, "layer0.threshold is 0, which a membrane at rest always reaches"),
        ({"threshold": np.array([1, -2.0, 3])}, "layer0.threshold of neuron 1 is -2, which a mem"),
        ({"threshold": INF}, "layer0.threshold has a value of inf"),
        ({"threshold": 4.5}, "threshold is 4.5, which no membrane can reach: use 4 or less"),
        ({"threshold": np.full(3, 5.0)}, "threshold is 5, which no membrane can reach: use 4 or"),
        ({"w_f": -np.ones((3, 2))}, "threshold is 1, which no membrane can reach: use 0 or less"),
        ({"c": np.full(3, 2.0)}, "threshold is 1, which every membrane always reaches: use more t"),
        ({"reset": "zero"}, "layer0.reset is 'zero': use one of subtract, to_value, none"),
        ({"reset_amount": -0.5}, "layer0.reset_amount is -0.5: what a reset subtracts must be 0"),
        ({"reset_amount": np.array([1, 1, -1])}, "reset_amount of neuron 2 is -1: what a reset"),
        ({"reset_amount": NAN}, "layer0.reset_amount has a value of nan"),
        ({"reset": "none", "reset_amount": 1.0}, "reset_amount is of a reset that does nothing"),
        ({"w_f": np.array([[1, 1], [1, NAN], [1, 1]])}, "layer0.w_f has a value of nan"),
        ({"c": np.array([0, -INF, 0])}, "layer0.c has a value of -inf"),
        ({"c": np.zeros(3), "w_x": np.zeros(3)}, r"layer0.w_x has the shape \(3,\): use \(2,\)"),
        (STATE | {"a": np.eye(2)}, r"layer0.a has the shape \(2, 2\): use \(1, 1\)"),
        ({"max_delay": 3}, r"layer0.delays has the shape \(0,\): use \(2,\)"),
    ],
)
def test_what_no_neuron_can_be_is_refused(given: dict[str, Any], message: str) -> None:
    network = NetworkReals((one(**given),), np.ones((2, 3)), np.zeros(2))
    with pytest.raises(UserError, match=message) as error:
        network.check()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("given", [{"threshold": 4.5}, {"c": np.full(3, 2.0)}])
def test_thresholds_out_of_reach_are_allowed_where_they_are_meant(given: dict[str, Any]) -> None:
    network = NetworkReals((one(**given, any_threshold=True),), np.ones((2, 3)), np.zeros(2))
    network.check()
    with pytest.raises(UserError):
        replace(network, layers=(one(**given),)).check()


@pytest.mark.parametrize(
    "given",
    [
        {"leak": 0.0},
        {"leak": 1.0},
        {"threshold": 4.0},
        {"threshold": np.array([1.0, 5.0, 5.0])},  # two that stay silent
        {"c": np.array([2.0, 0.0, 0.0])},  # one that always fires
        {"c": np.full(3, 2.0), "reset_amount": 4.0},
        {"reset_amount": 0.0},
        {"reset": "to_value", "reset_amount": -1.0},
        STATE | {"w_f": np.zeros((3, 2))},  # the slow state may reach it
    ],
)
def test_what_a_neuron_can_be_is_not(given: dict[str, Any]) -> None:
    NetworkReals((one(**given),), np.ones((2, 3)), np.zeros(2)).check()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"leak": 1.5}, "readout.leak is 1.5: use 0 to 1"),
        ({"leak": NAN}, "readout.leak has a value of nan"),
        ({"w_o": np.array([[1, 1, NAN]])}, "readout.w_o has a value of nan"),
        ({"w_o": np.ones((1, 2))}, r"readout.w_o has the shape \(1, 2\): use \(1, 3\)"),
    ],
)
def test_what_no_readout_can_be_is_refused(given: dict[str, Any], message: str) -> None:
    values: dict[str, Any] = {"w_o": np.ones((1, 3)), "b_o": np.zeros(1)} | given
    with pytest.raises(UserError, match=message):
        NetworkReals((one(),), **values).check()
