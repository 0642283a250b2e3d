"""Networks of the whole neuron for tests, drawn from a seed: every option, with extremes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from golden.formats import Fixed
from golden.integer import LayerIntegers
from golden.params import LayerParams
from golden.readout_params import ReadoutParams
from tests.networks import (
    Drawn,
    draw_network,
    draw_payloads,
    draw_recurrent,
    draw_values,
    with_delays,
)


def with_neurons(drawn: Drawn, seed: int) -> Drawn:
    """Return a network whose layers have other neurons: drawn are a synaptic current, the kind and
    the amount of the reset, which values are a value a neuron, how decays are rounded, their
    formats, and whether graded inputs have a sign.
    """
    rng = np.random.default_rng([seed, 7])
    params, layers = [], []
    for p, layer in zip(drawn.network.params.layers, drawn.network.layers, strict=True):
        changed = draw_neuron(rng, p, layer)
        params.append(changed[0])
        layers.append(changed[1])
    payloads = drawn.payloads
    payload = params[0].formats.payload
    if payload.width > 1 and rng.integers(2):
        payload = Fixed(payload.width, payload.frac)
        params[0] = replace(params[0], formats=replace(params[0].formats, payload=payload))
        payloads = draw_payloads(rng, payload, payloads.shape)
    readout, leak = draw_readout(rng, drawn.network.params.readout)
    network = replace(
        drawn.network,
        params=replace(drawn.network.params, layers=tuple(params), output=readout),
        layers=tuple(layers),
        leak_o=leak,
    )
    return replace(drawn, network=network, payloads=payloads)


def draw_readout(rng: np.random.Generator, p: ReadoutParams) -> tuple[ReadoutParams, int]:
    """Draw what is kept of logits and what is reported."""
    leaky = bool(rng.integers(2))
    leak = Fixed(12, 12, signed=False) if rng.integers(3) else Fixed(13, 12, signed=False)
    readout = replace(
        p,
        leaky=leaky,
        leak=leak,
        decay_rounding="toward_zero" if rng.integers(2) else "half_up",
        report="max" if rng.integers(2) else "last",
        # Narrow logits saturate.
        logit_width=int(rng.choice([14, 32])),
    )
    return readout, int(rng.integers(0, min(leak.max, 4096) + 1)) if leaky else 0


def draw_neuron(
    rng: np.random.Generator, p: LayerParams, layer: LayerIntegers
) -> tuple[LayerParams, LayerIntegers]:
    """Draw the neuron of a layer."""
    extreme = bool(rng.integers(3) == 0)
    synapse = bool(rng.integers(2))
    reset: Any = rng.choice(["subtract", "to_value", "none"])
    own_reset = reset != "none" and bool(rng.integers(2))
    whole = Fixed(13, 12, signed=False), Fixed(1, 0, signed=False)
    decays = (p.formats.leak, *whole)
    leak, alpha = (decays[int(rng.choice(3, p=[0.5, 0.35, 0.15]))] for _ in range(2))
    formats = replace(
        p.formats,
        leak=leak,
        alpha=alpha,
        y=Fixed(int(rng.choice([10, 16])), int(rng.integers(3, 12))),
        synapse_bias_width=int(rng.choice([9, 16])),
    )
    possible = ["leak", *["alpha"] * synapse, "threshold", *["reset"] * own_reset]
    per_neuron = tuple(name for name in possible if rng.integers(2))
    changed = replace(
        p,
        reset=str(reset),
        own_reset=own_reset,
        synapse=synapse,
        per_neuron=per_neuron,
        decay_rounding="toward_zero" if rng.integers(2) else "half_up",
        formats=formats,
    )
    n = p.n_neurons

    def value(name: str, fmt: Fixed, largest: int) -> Any:
        shape = (n,) if name in per_neuron else ()
        drawn = rng.integers(max(fmt.min, -largest), min(fmt.max, largest) + 1, shape)
        if extreme:
            drawn = np.where(rng.random(shape) < 0.5, min(fmt.max, largest), drawn)
        return drawn.astype(np.int64) if shape else int(drawn)

    few = 1 if extreme else 16
    found: dict[str, Any] = {
        "leak": value("leak", leak, 1 << leak.frac),
        "threshold": value("threshold", formats.threshold, formats.threshold.max // few),
    }
    if synapse:
        found["alpha"] = value("alpha", alpha, 1 << alpha.frac)
        found["c_y"] = draw_values(rng, formats.c_y, (n,), extreme) // (1 if extreme else 8)
    if own_reset:
        amount = changed.reset_amount
        found["reset"] = value("reset", amount, amount.max // (1 if extreme else 4))
    return changed, replace(layer, **found)


def draw_whole(seed: int, **sizes: Any) -> Drawn:
    """Draw a network of whole neurons: plain, recurrent or delayed in turn."""
    kind = seed % 4
    if kind == 3:
        return with_neurons(draw_recurrent(seed, **sizes), seed)
    drawn = draw_network(seed, **sizes)
    return with_neurons(with_delays(drawn) if kind == 2 else drawn, seed)
