"""Neurons of snnTorch on the core: what its own code computes with its resets and its synaptic
neuron, against the reals and the integers.

snnTorch subtracts the threshold a timestep after the spike, when the membrane has decayed: that is
a reset by threshold / beta right after it. Its `zero` of a leaky neuron is a reset to 0; that of a
synaptic neuron is one only without delay (`reset_delay=False`): with it, the timestep after a spike
loses its current, too, which no neuron of the core does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden.integer import LayerIntegers, run
from golden.params import LayerParams, Reset
from golden.quantize import quantize
from golden.reals import LayerReals, NetworkReals, run_reals

snntorch: Any = pytest.importorskip("snntorch", reason="snnTorch is not installed")
torch: Any = pytest.importorskip("torch")

N_NEURONS, N_INPUTS, N_TIMESTEPS, BATCH = 60, 30, 200, 8
RESETS: dict[str, Reset] = {"subtract": "subtract", "zero": "to_value", "none": "none"}


def draw(reset: str, synaptic: bool, per_neuron: bool) -> tuple[LayerReals, np.ndarray]:
    """Draw a layer as its snnTorch neuron is to be, and spikes (B, K, M) for it."""
    rng = np.random.default_rng([len(reset), synaptic, per_neuron])

    def value(low: float, high: float) -> Any:
        return rng.uniform(low, high, N_NEURONS) if per_neuron else rng.uniform(low, high)

    beta, threshold = value(0.5, 0.95), value(0.8, 2.0)
    layer = LayerReals(
        w_f=rng.normal(0.02, 0.25, (N_NEURONS, N_INPUTS)),
        w_x=np.zeros(N_INPUTS),
        b_x=0.0,
        a=np.zeros((0, 0)),
        b=np.zeros(0),
        w_m=np.zeros((N_NEURONS, 0)),
        # The bias of a linear layer goes the way of its weights: into the current, if there is one.
        c=np.zeros(N_NEURONS) if synaptic else rng.normal(0, 0.1, N_NEURONS),
        c_y=rng.normal(0, 0.1, N_NEURONS) if synaptic else np.zeros(0),
        alpha=value(0.3, 0.9) if synaptic else None,
        leak=beta,
        threshold=threshold,
        reset=RESETS[reset],
        reset_amount=threshold / beta if reset == "subtract" else None,
    )
    return layer, (rng.random((BATCH, N_TIMESTEPS, N_INPUTS)) < 0.3).astype(np.int64)


class Theirs:
    """snnTorch's neuron in float64, a timestep at a time."""

    def __init__(self, reset: str, synaptic: bool, **values: Any) -> None:
        settings = {name: torch.as_tensor(np.asarray(value)) for name, value in values.items()}
        settings |= {"reset_mechanism": reset, "reset_delay": not (synaptic and reset == "zero")}
        self.neuron = (snntorch.Synaptic if synaptic else snntorch.Leaky)(**settings).double()
        self.threshold = np.broadcast_to(values["threshold"], (N_NEURONS,))
        self.state = [torch.zeros(BATCH, N_NEURONS, dtype=torch.float64)] * (1 + synaptic)

    def step(self, current: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return spikes (B, N), and the membranes that they come from."""
        before = self.state[-1]
        fired, *state = self.neuron(torch.from_numpy(current), *self.state)
        self.state = [values.clone() for values in state]
        membrane = state[-1]
        if not self.neuron.reset_delay:  # what it returns has been reset
            membrane = self.neuron.beta * before + state[0]
        return fired.numpy() > 0.5, membrane.numpy().copy()

    def correct(self, where: np.ndarray, fired: np.ndarray) -> None:
        """Put the membranes of some neurons beside the threshold, where these spikes are right."""
        above, below = (np.nextafter(self.threshold, end) for end in (np.inf, -np.inf))
        right = np.where(fired, above, below)
        if not self.neuron.reset_delay:
            right = np.where(fired, 0.0, below)
        self.state[-1][torch.from_numpy(where)] = torch.from_numpy(right)[torch.from_numpy(where)]


CASES = pytest.mark.parametrize(
    ("reset", "synaptic", "per_neuron"),
    [(reset, s, p) for reset in RESETS for s in (False, True) for p in (False, True)],
)


@CASES
def test_the_reals_are_snntorchs(reset: str, synaptic: bool, per_neuron: bool) -> None:
    """Every spike, as no membrane is as close to its threshold as float64 rounds."""
    layer, payloads = draw(reset, synaptic, per_neuron)
    network = NetworkReals((layer,), np.ones((1, N_NEURONS)), np.zeros(1))
    (spikes,) = run_reals(network, payloads).spikes
    values = {"beta": layer.leak, "threshold": layer.threshold}
    values |= {"alpha": layer.alpha} if synaptic else {}
    theirs = Theirs(reset, synaptic, **values)
    for k in range(N_TIMESTEPS):
        bias = layer.c_y if synaptic else layer.c
        fired, _ = theirs.step(payloads[:, k] @ layer.w_f.T + bias)
        assert np.array_equal(fired, spikes[:, k]), k
    assert 0.02 < spikes.mean() < 0.9


@CASES
def test_the_integers_are_snntorchs_within_their_roundings(
    reset: str, synaptic: bool, per_neuron: bool
) -> None:
    """snnTorch has the values that the integers stand for. Where its membrane is further from the
    threshold than roundings add up to, spikes are equal; others are counted, and its membrane is
    then put on the side of the integers', so that what follows is compared, too.
    """
    layer, payloads = draw(reset, synaptic, per_neuron)
    network = quantize(
        NetworkReals((layer,), np.ones((1, N_NEURONS)), np.zeros(1)), payloads, "theirs"
    ).network
    (params,), (integers,) = network.params.layers, network.layers
    (traced,) = run(network, payloads, trace=True).layers
    assert traced.spikes is not None and not traced.membrane_saturations.any()
    assert not traced.synapse_saturations.any()
    values, weights, bias = real_values(params, integers)
    theirs = Theirs(reset, synaptic, **values)
    steps = [2.0 ** -getattr(params.formats, name).frac for name in ("u", "y")]
    bound, y_bound = np.zeros((2, BATCH, N_NEURONS))
    beside = different = 0
    for k in range(N_TIMESTEPS):
        fired, membrane = theirs.step(payloads[:, k] @ weights.T + bias)
        expected = traced.spikes[:, k]
        # Half a step for each of two numbers that are rounded to each state.
        if synaptic:
            y_bound = values["alpha"] * y_bound + steps[1]
        bound = values["beta"] * bound + steps[0] + synaptic * y_bound
        near, wrong = np.abs(membrane - theirs.threshold) <= bound, fired != expected
        assert not (wrong & ~near).any(), k
        beside, different = beside + int(near.sum()), different + int(wrong.sum())
        theirs.correct(wrong, expected)
        if reset == "subtract":
            bound = bound + expected * taken_apart(params, integers)
        elif reset == "zero":
            bound = np.where(expected, 0.0, bound)
    count = traced.spikes.size
    print(f"{count} neuron steps: {count - different} spikes equal; {beside} membranes within a"
          f" rounding of their threshold, of which {different} are on its other side")  # fmt: skip
    assert 0.02 < traced.spikes.mean() < 0.9 and beside < count / 50 and different < count / 500


def real_values(
    params: LayerParams, layer: LayerIntegers
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Return snnTorch's settings, the weights and the bias that integers stand for."""
    f = params.formats
    values = {
        "beta": f.leak.to_real(np.asarray(layer.leak)),
        "threshold": f.threshold.to_real(np.asarray(layer.threshold)),
    }
    if params.synapse:
        values["alpha"] = f.alpha.to_real(np.asarray(layer.alpha))
    bias = f.c_y.to_real(layer.c_y) if params.synapse else f.c.to_real(layer.c)
    return values, f.w_f.to_real(layer.w_f), bias


def taken_apart(params: LayerParams, layer: LayerIntegers) -> np.ndarray:
    """Return by what the rounded amount of the reset is off."""
    values, _, _ = real_values(params, layer)
    amount = params.formats.threshold.to_real(np.asarray(layer.reset))
    return np.abs(amount - values["threshold"] / values["beta"])
