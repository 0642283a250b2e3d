"""A network of your own, from a task to proven Verilog: did two cues come on the same line?

A cue is a burst of spikes on one of two lines; the second cue comes half a sequence after the
first. Neurons alone forget the first cue by then: the slow state is what remembers it.

Run it from anywhere: python examples/match.py [FOLDER], where the network and its core are written.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from export.core import write_core
from export.store import Card, save_network
from golden.formats import SPIKE
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import run
from golden.quantize import quantize
from golden.train.convert import extract
from golden.train.model import DmpNetwork
from golden.train.topology import Topology
from rtl.verilog.generate import generate
from tb.compare import compare
from tb.simulate import simulate

TIMESTEPS, CUE, DISTANCE = 32, 4, 20


def draw(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences (count, timesteps, lines) of spikes, and whether their cues are alike."""
    lines = rng.integers(0, 2, (count, 2))
    payloads = np.zeros((count, TIMESTEPS, 2), np.uint8)
    for sequence, (first, second) in enumerate(lines):
        start = rng.integers(0, TIMESTEPS - DISTANCE - CUE)
        payloads[sequence, start : start + CUE, first] = 1
        payloads[sequence, start + DISTANCE : start + DISTANCE + CUE, second] = 1
    return payloads, (lines[:, 0] == lines[:, 1]).astype(np.int64)


def train(topology: Topology, steps: int, rng: np.random.Generator) -> DmpNetwork:
    """Return a network that was trained on drawn sequences."""
    network = DmpNetwork(topology)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for step in range(steps):
        payloads, labels = draw(64, rng)
        logits, _ = network(torch.from_numpy(payloads).transpose(0, 1))
        loss = functional.cross_entropy(logits, torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 49:
            print(f"step {step + 1}: loss {loss.item():.3f}")
    return network


def main(folder: Path, steps: int = 200) -> None:
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    payloads, labels = draw(200, rng)
    topology = Topology("match", 2, (24,), n_state=8, theta=32, n_classes=2, payload=SPIKE)
    trained = train(topology, steps, rng)
    network = quantize(extract(trained), draw(64, rng)[0], "match").network
    accuracy = float(np.mean(run(network, payloads).classes == labels))
    print(f"in integers: {100 * accuracy:.1f} % of {len(labels)} sequences")

    # Stored so, it is a network like the shipped ones: make fit NET=FOLDER, make synth NET=FOLDER
    card = Card("match", TIMESTEPS, trained.n_parameters(), accuracy, accuracy, len(labels), [])
    save_network(network, folder, card)
    core = CoreParams(network.params, HardwareParams(lanes=4, block=2, trace=True))
    manifest = write_core(network, core, folder / "core")
    print(f"Verilog: {generate(manifest)}")
    simulation = simulate(manifest, payloads[:20], optimize="-O0")
    comparison = compare(simulation, payloads[:20])
    print(f"compared {comparison.values_compared} values: {comparison.mismatches} mismatches")


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/match"))
