"""The integers are Loihi's: its model (`tests.loihi_model`) against the golden model."""

from __future__ import annotations

import numpy as np
import pytest

from golden.formats import Fixed
from golden.integer import LayerIntegers, NetworkIntegers, run
from golden.params import SPIKE, LayerFormats, LayerParams, NetworkParams, ReadoutParams
from tests.loihi_model import ALIGN_BITS, DECAY_BITS, STATE_BITS, Compartments, step

N_NEURONS, N_INPUTS, N_TIMESTEPS, BATCH = 100, 48, 500, 4  # 200,000 neuron steps a network


def draw(rng: np.random.Generator, shared: bool) -> Compartments:
    """Draw compartments: with one du, dv and vth, or with their own, of which some decay not at
    all, and some at once.
    """
    n = N_NEURONS
    du, dv = rng.integers(200, 3800, n), rng.integers(0, 2500, n)
    vth = rng.integers(30, 300, n)
    if shared:
        du, dv, vth = (np.full(n, values[0]) for values in (du, dv, vth))
    else:
        du[:2], dv[:3] = [4095, 2000], [0, 4095, 1]
    exponent = int(rng.integers(-2, 2))
    mantissa = 2 * rng.integers(-60, 64, (n, N_INPUTS))
    bias_exponent = int(rng.integers(0, 4))
    return Compartments(du, dv, vth, mantissa, exponent, rng.integers(-300, 300, n), bias_exponent)


def as_network(c: Compartments, shared: bool) -> NetworkIntegers:
    """Return the compartments as a layer of the core, with one value of all where they share it."""
    decay = Fixed(DECAY_BITS + 1, DECAY_BITS, signed=False)
    formats = LayerFormats(
        payload=SPIKE,
        w_f=Fixed(8, 0),
        u=Fixed(STATE_BITS, ALIGN_BITS + c.exponent),
        y=Fixed(STATE_BITS, ALIGN_BITS + c.exponent),
        leak=decay,
        alpha=decay,
        bias_width=STATE_BITS,
    )
    params = LayerParams(
        N_INPUTS, N_NEURONS, 0, reset="to_value", formats=formats, synapse=True,
        per_neuron=() if shared else ("leak", "alpha", "threshold"),
        decay_rounding="toward_zero",
    )  # fmt: skip
    # `More than` a threshold is `at least` one more.
    values = 2**DECAY_BITS - c.dv, 2**DECAY_BITS - (c.du + 1), c.vth * 2**ALIGN_BITS + 1
    leak, alpha, threshold = (int(value[0]) if shared else value for value in values)
    none = np.zeros(0, np.int64)
    layer = LayerIntegers(
        w_f=c.mantissa,
        w_x=np.zeros(N_INPUTS, np.int64),
        b_x=0,
        a=np.zeros((0, 0), np.int64),
        b=none,
        p=np.zeros((N_NEURONS, 0), np.int64),
        v=np.zeros(N_NEURONS, np.int64),
        c=c.bias * 2**c.bias_exponent,
        leak=leak,
        threshold=threshold,
        alpha=alpha,
        c_y=np.zeros(N_NEURONS, np.int64),
    )
    w_o = np.ones((1, N_NEURONS), np.int64)
    return NetworkIntegers(
        NetworkParams("loihi", (params,), ReadoutParams(N_NEURONS, 1)),
        (layer,),
        w_o,
        np.zeros(1, np.int64),
    )


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_integers_are_those_of_loihis_equations(seed: int, shared: bool) -> None:
    """Six networks of 200,000 neuron steps: every current, voltage and spike."""
    rng = np.random.default_rng([seed, shared])
    compartments = draw(rng, shared)
    spikes = (rng.random((BATCH, N_TIMESTEPS, N_INPUTS)) < 0.2).astype(np.int64)
    done = run(as_network(compartments, shared), spikes, trace=True)
    (layer,) = done.layers
    assert layer.synapse is not None and layer.membrane is not None and layer.spikes is not None
    u = v = np.zeros((BATCH, N_NEURONS), np.int64)
    negative = 0
    for k in range(N_TIMESTEPS):
        u, v, fired = step(compartments, u, v, spikes[:, k])
        assert np.array_equal(layer.synapse[:, k], u)
        assert np.array_equal(layer.membrane[:, k], v)
        assert np.array_equal(layer.spikes[:, k], fired)
        negative += int((u < 0).sum() + (v < 0).sum())
    assert not layer.synapse_saturations.any() and not layer.membrane_saturations.any()
    count = BATCH * N_TIMESTEPS * N_NEURONS
    assert 0.005 < layer.spikes.mean() < 0.9 and negative > count / 5
    print(f"{count} neuron steps equal, {layer.spikes.sum()} spikes, {negative} negative values")
