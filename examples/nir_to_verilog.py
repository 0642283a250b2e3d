"""A file of NIR becomes Verilog: 20 inputs, 16 neurons that hear themselves, a readout of three.

Run it from anywhere: python examples/nir_to_verilog.py [FOLDER], where all of it is written.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nir
import numpy as np

import dmp_core as dmp

INPUTS, NEURONS, CLASSES = 20, 16, 3


def graph(rng: np.random.Generator) -> nir.NIRGraph:
    """Return a network as another tool would write it, with time constants in seconds."""
    ones = np.ones(NEURONS)
    nodes = {
        "input": nir.Input({"input": np.array([INPUTS])}),
        "fc1": nir.Affine(rng.normal(0, 1, (NEURONS, INPUTS)), rng.normal(0, 0.1, NEURONS)),
        "lif": nir.LIF(tau=ones * 1e-3, r=ones * 10, v_leak=ones * 0, v_threshold=ones),
        "own": nir.Linear(rng.normal(0, 0.3, (NEURONS, NEURONS))),
        "fc2": nir.Linear(rng.normal(0, 1, (CLASSES, NEURONS))),
        "li": nir.LI(tau=np.full(CLASSES, 5e-3), r=np.ones(CLASSES), v_leak=np.zeros(CLASSES)),
        "output": nir.Output({"output": np.array([CLASSES])}),
    }
    chain = ["input", "fc1", "lif", "fc2", "li", "output"]
    edges = [*zip(chain, chain[1:], strict=False), ("lif", "own"), ("own", "lif")]
    return nir.NIRGraph(nodes, edges)


def main(folder: Path) -> None:
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "model.nir"
    nir.write(file, graph(rng))

    net = dmp.from_nir(str(file), dt=1e-4, discretization="euler", reset="subtract")
    print(net.report())
    payloads = (rng.random((100, 50, INPUTS)) < 0.2).astype(np.int64)
    integers = net.quantize(payloads, name="graph", weight_bits=12)
    print(integers.compare(net, payloads).report())
    core = integers.compile(folder / "core", lanes=4)
    print(f"Verilog: {core.verilog}")
    compared = core.check(payloads[:5])
    print(f"PASS: {compared} values of the Verilog are those of the golden model")


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/graph"))
