"""Networks in reals for tests, drawn from a seed, with every option of the neuron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from golden.formats import GRADED, Fixed
from golden.params import SPIKE
from golden.reals import LayerReals, NetworkReals

SIGNED = Fixed(8, 6)


@dataclass(frozen=True)
class DrawnReals:
    """A network, sequences (B, K, M) for it, and what was drawn, to be printed."""

    network: NetworkReals
    payloads: np.ndarray
    seed: int


def draw_layer(rng: np.random.Generator, n_inputs: int, payload: Fixed, **given: Any) -> LayerReals:
    """Draw a layer that spikes, all but what is given."""
    n = int(rng.integers(5, 12))
    kind = str(rng.choice(["plain", "state", "recurrent"]))
    delayed = payload == SPIKE and rng.random() < 0.4
    synapse = rng.random() < 0.5

    def value(low: float, high: float) -> Any:
        """One, or one a neuron; 4096ths, which leaks hold exactly."""
        ends = round(low * 4096), round(high * 4096) + 1
        drawn = rng.integers(*ends, n if rng.random() < 0.5 else ()) / 4096
        return drawn if np.ndim(drawn) else float(drawn)

    d = int(rng.integers(1, 5)) * (kind == "state")
    turn, _ = np.linalg.qr(rng.normal(size=(d, d))) if d else (np.zeros((0, 0)), None)
    reset: Any = rng.choice(["subtract", "to_value", "none"])
    amount = {"subtract": value(0.2, 1.5), "to_value": value(-0.5, 0.4)}.get(reset)
    own = n * (kind == "recurrent")
    values: dict[str, Any] = {
        "w_f": rng.normal(0.1, 0.6, (n, n_inputs + own)),
        "w_x": rng.normal(0, 0.5, n_inputs) * (d > 0),
        "b_x": float(rng.normal(0, 0.2)) * (d > 0),
        "a": 0.9 * turn,
        "b": rng.normal(0, 0.5, d),
        "w_m": rng.normal(0, 0.4, (n, d)),
        "c": rng.normal(0.1, 0.1, n),
        "delays": rng.integers(0, 6, n_inputs) if delayed else np.zeros(0, np.int64),
        "max_delay": 5 if delayed else 0,
        "leak": 1.0 if rng.random() < 0.1 else value(0.3, 0.95),
        "threshold": value(0.5, 2.0),
        "alpha": value(0.2, 0.9) if synapse else None,
        "c_y": rng.normal(0, 0.05, n) if synapse else np.zeros(0),
        "reset": str(reset),
        "reset_amount": amount if rng.random() < 0.6 else None,
        "dilation": int(rng.integers(1, 4)),
        "recurrent": kind == "recurrent",
        "payload": payload,
        "decay_rounding": str(rng.choice(["half_up", "toward_zero"])),
    }
    return LayerReals(**values | given)


def draw_reals(seed: int, batch: int = 12, n_timesteps: int = 40, **given: Any) -> DrawnReals:
    """Draw a network of two layers; `given` is of both of them."""
    rng = np.random.default_rng([seed, 13])
    payload = [SPIKE, GRADED, SIGNED][seed % 3]
    n_inputs = int(rng.integers(4, 9))
    first = draw_layer(rng, n_inputs, payload, **given)
    second = draw_layer(rng, first.n_neurons, SPIKE, **given)
    n_classes = 4
    leak = float(rng.choice([1.0, 0.75, 0.9375]))
    network = NetworkReals(
        (first, second),
        rng.normal(0, 0.5, (n_classes, second.n_neurons)),
        rng.normal(0, 0.1, n_classes),
        leak,
        "max" if rng.integers(2) else "last",
        "toward_zero" if rng.integers(2) else "half_up",
    )
    shape = (batch, n_timesteps, n_inputs)
    payloads = rng.integers(payload.min, payload.max + 1, shape) * (rng.random(shape) < 0.5)
    return DrawnReals(network, payloads, seed)
