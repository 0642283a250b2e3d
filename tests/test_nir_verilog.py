"""Files of NIR through `dmp import` into Verilog, in Verilator: every spike of every layer is the
known one, or that of NIR's equations.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from click.testing import CliRunner

import dmp_core as dmp
from dmp_core.__main__ import main
from tests.nir_simulator import graph_of, input_of, of_size, output_of, simulate
from tests.test_core_cosim import FAST
from tests.test_nir import DT, EULER, KNOWN, SIXTEENTHS

WIDTHS = ("--weight-bits", "16", "--membrane-bits", "24", "--leak-bits", "16")
SENT = (np.random.default_rng(11).random((1, 100, 28)) < 0.3).astype(np.int64)


@dataclass(frozen=True)
class Case:
    """A graph, how it is imported, what it receives (1, K, M), and what its layers send (K, N)."""

    graph: nir.NIRGraph
    options: dict[str, Any]
    payloads: np.ndarray
    expected: list[np.ndarray]


def known(name: str) -> Case:
    graph, options, payloads, times = KNOWN[name]
    spikes = np.zeros((payloads.shape[1], 1), bool)
    spikes[times] = True
    later = [np.zeros_like(spikes)] * (name == "leak potential")  # of a neuron that never fires
    return Case(graph, {"reset": "zero", **options}, payloads, [spikes, *later])


def affine(rng: np.random.Generator, n: int, m: int) -> nir.Affine:
    return nir.Affine(rng.normal(0.1, 0.3, (n, m)), rng.normal(0, 0.1, n))


def two_layers(reset: str) -> Case:
    """Return layers whose neurons differ, in a file that does not say how they reset."""
    rng = np.random.default_rng(5)
    nodes: dict[str, Any] = {}
    for number, (n, m) in enumerate(((16, 28), (10, 16))):
        leak, threshold = rng.uniform(0.7, 0.95, n), rng.uniform(0.5, 1.5, n)
        tau = DT / (1 - leak)
        nodes[f"fc{number}"] = affine(rng, n, m)
        nodes[f"lif{number}"] = nir.LIF(tau, tau / DT, 0 * tau, threshold)
    graph = graph_of({"input": input_of(28), **nodes, "output": output_of(10)})
    sent, _ = simulate(nodes, SENT[0], dt=DT, reset=reset)
    return Case(graph, {"reset": reset, **EULER}, SENT, [of.astype(bool) for of in sent.values()])


def leak_of_one() -> Case:
    """Return neurons whose tau and r are infinity; the right ones are IFs. They forget nothing, not
    even what rounding takes: the weights are exact in binary.
    """
    rng = np.random.default_rng(6)
    weights = nir.Affine(rng.integers(-8, 12, (16, 28)) / 64, rng.integers(-8, 8, 16) / 64)
    neurons = of_size(nir.LIF, 16, tau=np.inf, r=np.inf, v_leak=0, v_threshold=1)
    graph = graph_of(
        {"input": input_of(28), "fc": weights, "lif": neurons, "output": output_of(16)}
    )
    right = {"fc": weights, "if": of_size(nir.IF, 16, r=1 / DT, v_threshold=1)}
    sent, _ = simulate(right, SENT[0], dt=DT, reset="subtract")
    return Case(graph, {"reset": "subtract"}, SENT, [sent["if"].astype(bool)])


CASES = {name: known(name) for name in KNOWN} | {
    "leak of one": leak_of_one(),
    **{f"{reset} of two layers": two_layers(reset) for reset in ("subtract_late", "zero")},
}


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_the_verilog_spikes_as_the_file_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    monkeypatch.chdir(tmp_path)
    nir.write("model.nir", case.graph)
    np.savez("x.npz", payloads=case.payloads)
    options = dict(case.options)
    payload = options.pop("payload", None)
    assert payload in (None, SIXTEENTHS)
    arguments = ["--payload-bits", "8"] if payload else []
    for option, value in options.items():
        arguments += [f"--{option}", str(value)]
    given = ["import", "model.nir", *arguments, *WIDTHS, "--calibration", "x.npz", "--out", "net"]
    done = CliRunner().invoke(main, given)
    assert done.exit_code == 0, done.output

    core = dmp.load("net").compile("core", lanes=4)
    assert core.check(case.payloads, optimize=FAST) > case.payloads.shape[1]
    for layer, expected in enumerate(case.expected):
        assert np.array_equal(core.last.layer(layer).spikes[0], expected)
    last = case.expected[-1]
    assert np.array_equal(core.last.left(0, last.shape[1]), last)
    assert name in KNOWN or all(0.02 < of.mean() < 0.9 for of in case.expected)
