"""A small network of arrays, a graph, and sequences, as a user of the Python face has them."""

from __future__ import annotations

import nir
import numpy as np
from click.testing import CliRunner, Result

import dmp_core as dmp
from dmp_core.__main__ import main
from dmp_core.frontends.layers import Lif, Readout

RNG = np.random.default_rng(3)
W1, W2 = RNG.normal(0.1, 0.4, (8, 6)), RNG.normal(0, 1, (3, 8))
RATES = RNG.uniform(0.05, 0.6, (20, 1, 6))
X = (RNG.random((20, 15, 6)) < RATES).astype(np.int64)
LABELS = np.arange(20) % 3


def network() -> dmp.Network:
    return dmp.from_layers([Lif(W1, leak=0.9, threshold=1.0)], Readout(W2))


def graph() -> nir.NIRGraph:
    ones = np.ones(8)
    return nir.NIRGraph.from_list(
        nir.Input({"input": np.array([6])}),
        nir.Linear(W1),
        nir.LIF(tau=ones * 1e-3, r=ones, v_leak=ones * 0, v_threshold=ones * 0.1),
        nir.Output({"output": np.array([8])}),
    )


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["import", *arguments])
