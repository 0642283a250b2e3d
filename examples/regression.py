"""A number, not a class, read at every timestep: 16 lines spike, what value do they stand for?

Each line spikes most for a value of its own. The readout's one logit decays and follows the value;
its weights are found by least squares. The core reports it after every timestep.

Run it from anywhere: python examples/regression.py [FOLDER], where the core is written.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import dmp_core as dmp
from dmp_core.frontends.layers import Lif, Readout

LINES, NEURONS, LEAK = 16, 32, 0.9


def draw(n_timesteps: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return one sequence (1, timesteps, lines) of spikes, and the values (timesteps,)."""
    values = 0.5 + 0.4 * np.sin(np.arange(n_timesteps) / 50 + rng.uniform(0, 2 * np.pi))
    rates = 0.7 * np.exp(-(((values[:, None] - np.linspace(0, 1, LINES)) / 0.15) ** 2))
    return (rng.random((1, *rates.shape)) < rates).astype(np.int64), values


def fit(spikes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the weights (1, neurons) with which decaying sums of spikes come closest to values."""
    sums = np.zeros(spikes.shape)
    for k in range(len(spikes)):
        sums[k] = LEAK * sums[k - 1] + spikes[k]
    return np.linalg.lstsq(sums, values, rcond=None)[0][None]


def main(folder: Path, n_timesteps: int = 300) -> None:
    rng = np.random.default_rng(0)
    hidden = Lif(rng.normal(0.1, 0.5, (NEURONS, LINES)), leak=0.5)
    payloads, values = draw(4000, rng)
    spikes = dmp.from_layers([hidden]).quantize(payloads).spikes(payloads)[0]
    net = dmp.from_layers([hidden], Readout(fit(spikes, values), leak=LEAK))
    integers = net.quantize(payloads, name="regression", weight_bits=10)
    core = integers.compile(folder, lanes=4, reports=True)

    payloads, values = draw(n_timesteps, rng)
    compared = core.check(payloads, reports=range(1, n_timesteps + 1))
    logits = core.last.report_logits[0, :, 0]
    read = integers.network.params.readout.logit.to_real(logits)
    for k in range(49, n_timesteps, 50):
        print(f"after {k + 1} timesteps: {read[k]:.3f}; in truth {values[k]:.3f}")
    error = np.sqrt(np.mean((read - values)[20:] ** 2))
    print(f"error {error:.3f} (root mean square), where values spread by {values.std():.3f}")
    print(f"PASS: {compared} values of the Verilog are those of the golden model")


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/regression"))
