"""Kinds of drawn networks: whole neurons, with reports, with hardware of each part; and small ones
of every kind by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
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
    """Draw a network of whole neurons: plain, with delays, recurrent, or recurrent with delays."""
    drawn = (draw_recurrent if seed % 4 == 3 else draw_network)(seed, **sizes)
    return with_neurons(with_delays(drawn) if seed % 4 == 2 or seed % 16 == 3 else drawn, seed)


def with_reports(drawn: Drawn) -> Drawn:
    """Return the same network on hardware that reports, and reports: some, or after every
    timestep. What has delays takes a timestep at a time.
    """
    rng, n_timesteps = np.random.default_rng([drawn.seed, 3]), drawn.payloads.shape[1]
    asked = rng.integers(0, n_timesteps + 1, int(rng.integers(1, n_timesteps + 2)))
    reports = range(n_timesteps + 1) if drawn.seed % 5 == 0 else sorted(asked.tolist())
    hardware = replace(drawn.hardware, reports=True)
    if any(layer.max_delay for layer in drawn.network.params.layers):
        hardware = replace(hardware, block=1)
    return replace(drawn, hardware=hardware, reports=tuple(reports))


def draw_small(seed: int, *, delays: bool = False) -> Drawn:
    """Draw a network that is soon simulated."""
    return draw_network(seed, max_neurons=24, max_inputs=20, delays=delays)


def draw_loop(seed: int) -> Drawn:
    """Draw a small network with recurrent layers, and four sequences of one or more timesteps."""
    n_timesteps = (9, 2, 8, 1)[seed % 4]
    sizes = {"n_sequences": 4, "n_timesteps": n_timesteps, "max_neurons": 24, "max_inputs": 14}
    return draw_recurrent(seed, **sizes)


def draw_four(seed: int) -> Drawn:
    """Draw a small network whose parts add four events a cycle: plain, with delays or recurrent."""
    drawn = (draw_small, partial(draw_small, delays=True), draw_loop)[seed % 3](seed)
    return replace(drawn, hardware=replace(drawn.hardware, events_per_cycle=4))


def draw_wide(seed: int) -> Drawn:
    """Draw a small network with links of two or four items, to parts that add as many events a
    cycle or more; of every other one, results are asked for at any time.
    """
    drawn = draw_small(seed)
    events, items = ((2, 2), (4, 2), (4, 4))[seed % 3]
    lanes = (3, 8, 13, 20)[seed // 3 % 4]
    hardware = replace(drawn.hardware, lanes=lanes, events_per_cycle=events, link_items=items)
    drawn = replace(drawn, hardware=hardware)
    return with_reports(drawn) if seed % 2 else drawn


def draw_neurons(seed: int) -> Drawn:
    """Draw a small network of whole neurons."""
    return draw_whole(seed, max_neurons=20, max_inputs=14)


def draw_shared(seed: int) -> Drawn:
    """Draw a small network with graded inputs that share the multipliers of the dense state path,
    every third one of whole neurons, every third one with reports.
    """
    draws = map(DRAWS[("plain", "whole neurons", "reports")[seed % 3]], count(1000 * seed))
    layers = ((drawn, drawn.network.params.layers[0]) for drawn in draws)
    drawn = next(d for d, first in layers if first.formats.payload.width > 1 and first.n_state)
    hardware = drawn.hardware
    events = min(hardware.events_per_cycle, hardware.products_per_cycle)
    return replace(drawn, hardware=replace(hardware, events_per_cycle=events, graded="shared"))


def with_parts(drawn: Drawn) -> Drawn:
    """Return the same network on hardware each of whose parts has numbers of its own."""
    rng, n = np.random.default_rng([drawn.seed, 11]), len(drawn.network.layers) + 1
    limits = {"lanes": 12, "events_per_cycle": 2, "products_per_cycle": 8}
    turned = {name: tuple(rng.integers(1, most + 1, n).tolist()) for name, most in limits.items()}
    return replace(drawn, hardware=replace(drawn.hardware, **turned))


def draw_parts(seed: int) -> Drawn:
    """Draw a small network of any kind, each of whose parts has hardware of its own."""
    drawn = with_parts(DRAWS[("plain", "delays", "loop", "whole neurons")[seed % 4]](seed))
    return with_reports(drawn) if seed % 3 == 2 else drawn


def draw_tiny(seed: int) -> Drawn:
    """Draw a network of whole neurons with few of them, and few timesteps."""
    return draw_whole(seed, max_neurons=6, max_inputs=6, n_timesteps=(3, 6)[seed % 2])


DRAWS: dict[str, Callable[[int], Drawn]] = {
    "large": draw_network,
    "large with delays": partial(draw_network, delays=True),
    "large loop": partial(draw_recurrent, n_sequences=4, max_neurons=24),
    "plain": draw_small,
    "delays": partial(draw_small, delays=True),
    "loop": draw_loop,
    "four events": draw_four,
    "wide links": draw_wide,
    "loop and delays": lambda seed: with_delays(draw_loop(seed)),
    "whole neurons": draw_neurons,
    "tiny": draw_tiny,
    "parts": draw_parts,
    "reports": lambda seed: with_reports(draw_neurons(seed)),
    "shared products": draw_shared,
}
