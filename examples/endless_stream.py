"""A stream without an end, classified again and again: which of three groups of lines is loud now?

The core is asked for its results so far every 50 timesteps, while the stream goes on. Its logits
decay, so that they forget, and stay in their format for ever.

Run it from anywhere: python examples/endless_stream.py [FOLDER], where the core is written.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import dmp_core as dmp
from dmp_core.frontends.layers import Lif, Readout

GROUPS, LINES, STAY = 3, 4, 150  # a group of lines is loud for 150 timesteps


def draw(n_timesteps: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return one sequence (1, timesteps, lines) of spikes, and the loud group (timesteps,)."""
    loud = rng.permutation(np.arange(-(-n_timesteps // STAY)) % GROUPS).repeat(STAY)[:n_timesteps]
    rates = 0.1 + 0.3 * (loud[:, None] == np.arange(GROUPS).repeat(LINES))
    return (rng.random((1, *rates.shape)) < rates).astype(np.int64), loud


def main(folder: Path, n_timesteps: int = 900) -> None:
    rng = np.random.default_rng(0)
    groups = np.eye(GROUPS)
    net = dmp.from_layers(
        [Lif(np.kron(groups, rng.uniform(0.2, 0.6, (LINES, LINES))), leak=0.9)],
        Readout(np.kron(groups, np.ones((1, LINES))), leak=0.95),
    )
    integers = net.quantize(draw(3000, rng)[0], name="stream")
    core = integers.compile(folder, lanes=4, block=4, reports=True)

    payloads, loud = draw(n_timesteps, rng)
    times = range(50, n_timesteps + 1, 50)
    compared = core.check(payloads, reports=times)  # of every report, too
    classes = core.last.report_classes[0]
    for time, found in zip(times, classes, strict=True):
        print(f"after {time} timesteps: group {found} is loud; in truth {loud[time - 1]}")
    right = np.mean(classes == loud[np.array(times) - 1])
    print(f"{100 * right:.0f} % of {len(times)} reports are right")
    print(f"PASS: {compared} values of the Verilog are those of the golden model")


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/stream"))
