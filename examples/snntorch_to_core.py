"""From a network of snnTorch's to its core: which of four patterns is it?

A pattern is a time for each of 37 lines, about which the line spikes; nothing but these times tells
the four apart. Sequences have 50 to 90 timesteps; empty ones fill the shorter sequences up. The
network is trained in less than a minute; `prove` is all that a network of your own needs.

Run it from anywhere: python examples/snntorch_to_core.py [FOLDER], where the network and its core
are written; those of an earlier run are replaced.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import snntorch as snn
import torch
from snntorch import utils
from torch import nn

import dmp_core as dmp

CLASSES, SHORTEST, TIMESTEPS, LINES = 4, 50, 90, 37
TIMES = np.random.default_rng(4).integers(5, SHORTEST - 5, (CLASSES, LINES))


def draw(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences (count, timesteps, lines) of spikes, and their patterns (count,)."""
    labels = rng.integers(0, CLASSES, count)
    timesteps = np.arange(TIMESTEPS)[:, None]
    late = timesteps - TIMES[labels][:, None] - rng.normal(0, 2, (count, 1, 1))
    spikes = rng.random((count, TIMESTEPS, LINES)) < 0.02 + 0.5 * (np.abs(late) < 3)
    spikes &= timesteps < rng.integers(SHORTEST, TIMESTEPS + 1, (count, 1, 1))
    return spikes.astype(np.int64), labels


def train(module: nn.Module, steps: int, rng: np.random.Generator) -> None:
    """Train a module of one timestep on the spikes that its last neurons send."""
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    for step in range(steps):
        payloads, labels = draw(64, rng)
        utils.reset(module)
        inputs = torch.from_numpy(payloads).float().unbind(1)
        counts = torch.stack([module(values) for values in inputs]).sum(0)
        loss = nn.functional.cross_entropy(counts, torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 19:
            print(f"step {step + 1}: loss {loss.item():.3f}")


def prove(module: nn.Module, folder: Path, rng: np.random.Generator) -> None:
    """Bring a trained module to Verilog that computes what its integers do."""
    net = dmp.from_snntorch(module, readout="spike_count")
    print(net.report())
    integers = net.quantize(draw(200, rng)[0], name="patterns", weight_bits=8)
    payloads, labels = draw(200, rng)
    print(integers.compare(net, payloads, labels).report())
    integers.save(folder, payloads, labels, force=True)
    core = integers.compile(folder / "core", lanes=8)
    print(f"PASS: {core.check(payloads[:5])} values of the Verilog are those of the integers")


def main(folder: Path, steps: int = 60) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)  # a network so small is slower on two
    rng = np.random.default_rng(0)
    module = nn.Sequential(
        nn.Linear(LINES, 48),
        snn.Leaky(beta=0.9, init_hidden=True),
        nn.Linear(48, CLASSES),
        snn.Leaky(beta=0.9, init_hidden=True),
    )
    train(module, steps, rng)
    prove(module, folder, rng)
    for command in ("sim", "package", "synth", "bitstream"):
        print(f"dmp {command} {folder}")


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "nets/patterns"))
