"""A model of Loihi's neurons, written from its published equations (Davies et al., "Loihi: a
neuromorphic manycore processor with on-chip learning", IEEE Micro 38, 2018, and the bit-accurate
neuron of Intel's Lava), without anything of this project.

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
