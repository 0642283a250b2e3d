"""The integers are Loihi's: a model written from its published equations (Davies et al., "Loihi: a
neuromorphic manycore processor with on-chip learning", IEEE Micro 38, 2018, and the bit-accurate
neuron of Intel's Lava), without anything of this project, against the golden model.

Of every compartment, at every timestep, in integers:

    u <- trunc(u (2^12 - (du + 1)) / 2^12) + 2^6 sum_j w_j s_j      current, 24 bits
    v <- trunc(v (2^12 - dv) / 2^12) + u + bias                     voltage, 24 bits
    spike where v > 2^6 vth, after which v is 0

Divisions are rounded toward zero. A weight is a mantissa of 8 bits, without its lowest one where
both signs occur, times two to an exponent; a bias is a mantissa of 13 bits times two to an
exponent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from golden.formats import Fixed
from golden.integer import LayerIntegers, NetworkIntegers, run
from golden.params import SPIKE, LayerFormats, LayerParams, NetworkParams, ReadoutParams

N_NEURONS, N_INPUTS, N_TIMESTEPS, BATCH = 100, 48, 500, 4  # 200,000 neuron steps a network
DECAY_BITS, ALIGN_BITS, STATE_BITS = 12, 6, 24


@dataclass(frozen=True)
class Compartments:
    """A group of Loihi's compartments: du, dv and vth (N,), weights as `mantissa` (N, M) and
    `exponent`, biases as `bias` (N,) and `bias_exponent`.
    """

    du: np.ndarray
    dv: np.ndarray
    vth: np.ndarray
    mantissa: np.ndarray
    exponent: int
    bias: np.ndarray
    bias_exponent: int


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


def toward_zero(product: np.ndarray) -> np.ndarray:
    """Divide by 2^12 and cut off what is left."""
    return np.sign(product) * (np.abs(product) // 2**DECAY_BITS)


def step(
    c: Compartments, u: np.ndarray, v: np.ndarray, spikes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return current, voltage and spikes (B, N) after a timestep in which these spikes (B, M)
    arrive.
    """
    arrived = spikes @ c.mantissa.T * 2 ** (ALIGN_BITS + c.exponent)
    u = toward_zero(u * (2**DECAY_BITS - (c.du + 1))) + arrived
    v = toward_zero(v * (2**DECAY_BITS - c.dv)) + u + c.bias * 2**c.bias_exponent
    assert np.abs(u).max() < 2 ** (STATE_BITS - 1) and np.abs(v).max() < 2 ** (STATE_BITS - 1)
    fired = v > c.vth * 2**ALIGN_BITS
    return u, np.where(fired, 0, v), fired


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
