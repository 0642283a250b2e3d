"""Random networks and inputs for tests, drawn from a seed, with every option of a neuron; small
enough to simulate, extreme enough to saturate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from golden.formats import Fixed
from golden.hardware.params import BLOCKS, LIST_BUFFERS, HardwareParams
from golden.integer import LayerIntegers, NetworkIntegers
from golden.params import LayerFormats, LayerParams, NetworkParams, Reset
from golden.readout_params import ReadoutParams
from golden.runs import LayerRun


@dataclass(frozen=True)
class Drawn:
    """A network, hardware to build it with, payloads (sequences, timesteps, inputs), and the
    numbers of timesteps after which each sequence asks for results.
    """

    seed: int
    network: NetworkIntegers
    hardware: HardwareParams
    payloads: np.ndarray
    reports: tuple[int, ...] = ()


def draw_values(
    rng: np.random.Generator, fmt: Fixed, shape: tuple[int, ...], extreme: bool
) -> np.ndarray:
    """Draw integers of a format: its extremes, or values spread around zero."""
    if extreme:
        return rng.choice([fmt.min, fmt.max, fmt.max, 0], shape).astype(np.int64)
    spread = rng.normal(0, 1, shape) * fmt.max * rng.choice([0.05, 0.3, 0.6])
    return fmt.saturate(np.round(spread)).astype(np.int64)


def draw_layer(
    rng: np.random.Generator, n_inputs: int, n_neurons: int, payload: Fixed, extreme: bool
) -> tuple[LayerParams, LayerIntegers]:
    """Draw a layer: every width, scale and weight."""
    d = int(rng.choice([0, 1, 2, 5, 12, int(rng.integers(0, 13))]))
    reset: Reset = "subtract" if rng.integers(2) else "to_value"
    formats = LayerFormats(
        payload=payload,
        w_f=Fixed(int(rng.choice([4, 8])), int(rng.integers(4, 9))),
        w_x=Fixed(8, int(rng.integers(5, 9))),
        p=Fixed(8, int(rng.integers(4, 9))),
        a=Fixed(int(rng.choice([12, 16])), int(rng.integers(10, 16))),
        m=Fixed(int(rng.choice([12, 16])), int(rng.integers(8, 14))),
        x=Fixed(int(rng.choice([12, 16])), int(rng.integers(8, 14))),
        u=Fixed(int(rng.choice([12, 16])), int(rng.integers(5, 11))),
    )
    params = LayerParams(n_inputs, n_neurons, d, int(rng.integers(1, 5)), reset, formats)

    def draw(fmt: Fixed, *shape: int) -> np.ndarray:
        return draw_values(rng, fmt, shape, extreme)

    f = formats
    integers = LayerIntegers(
        w_f=draw(f.w_f, n_neurons, n_inputs),
        w_x=draw(f.w_x, n_inputs) if d else np.zeros(n_inputs, np.int64),
        b_x=int(draw(f.b_x)) // 64 if d else 0,
        a=draw(f.a, d, d),
        b=draw(f.b, d),
        p=draw(f.p, n_neurons, d),
        v=draw(f.v, n_neurons) if d else np.zeros(n_neurons, np.int64),
        c=draw(f.c, n_neurons) // (1 if extreme else 8),
        leak=int(rng.integers(0, f.leak.max + 1)),
        threshold=int(rng.integers(0, f.threshold.max // (1 if extreme else 16) + 1)),
    )
    if extreme and rng.integers(
        2
    ):  # every coefficient at its limit, so that every accumulator is filled
        integers = LayerIntegers(
            **{
                name: np.full_like(getattr(integers, name), fmt.min if rng.integers(2) else fmt.max)
                for name, fmt in {
                    "w_f": f.w_f,
                    "w_x": f.w_x,
                    "a": f.a,
                    "b": f.b,
                    "p": f.p,
                    "v": f.v,
                    "c": f.c,
                }.items()
                if d or name in ("w_f", "c", "a", "b", "p")
            },
            **{name: getattr(integers, name) for name in (() if d else ("w_x", "v"))},
            b_x=integers.b_x,
            leak=integers.leak,
            threshold=integers.threshold,
        )
    return params, integers


def draw_payloads(rng: np.random.Generator, payload: Fixed, shape: tuple[int, ...]) -> np.ndarray:
    """Draw payloads: sparse timesteps, empty ones, and ones in which every input fires at its
    largest, or its most negative.
    """
    values = rng.integers(1, payload.max + 1, shape) * (
        rng.random(shape) < rng.choice([0.05, 0.2, 0.5])
    )
    kind = rng.random(shape[:2])
    values[kind < 0.2] = 0
    values[kind > 0.9] = payload.max
    if payload.signed:
        values = np.where(rng.random(shape) < 0.5, -values, values)
        values[kind > 0.95] = payload.min
    return values.astype(np.int64)


def draw_network(
    seed: int,
    *,
    n_sequences: int = 2,
    n_timesteps: int | None = None,
    max_neurons: int = 70,
    max_inputs: int = 50,
    delays: bool = False,
) -> Drawn:
    """Draw a network of 1 to 3 layers, its hardware and its input from a seed.

    With `delays`, at least one layer of it has them, and its inputs are spikes.
    """
    rng = np.random.default_rng(seed)
    n_layers = int(rng.integers(1, 4))
    sizes = [
        int(rng.integers(1, max_inputs + 1)),
        *(int(rng.integers(1, max_neurons + 1)) for _ in range(n_layers)),
    ]
    width = int(rng.choice([1, 8]))
    if delays:
        width = 1
    payload = Fixed(width, 0 if width == 1 else 8, signed=False)
    params, layers = [], []
    for index in range(n_layers):
        received = payload if index == 0 else Fixed(1, 0, signed=False)
        layer = draw_layer(
            rng, sizes[index], sizes[index + 1], received, extreme=bool(rng.integers(3) == 0)
        )
        params.append(layer[0])
        layers.append(layer[1])
    readout = ReadoutParams(sizes[-1], int(rng.integers(1, 12)))
    network = NetworkIntegers(
        NetworkParams(f"random{seed}", tuple(params), readout),
        tuple(layers),
        draw_values(rng, readout.w_o, (readout.n_classes, sizes[-1]), False),
        draw_values(rng, readout.b_o, (readout.n_classes,), False) // 1024,
    )
    hardware = HardwareParams(
        lanes=int(rng.integers(1, 9)),
        block=int(rng.choice(BLOCKS, p=[0.4, 0.15, 0.15, 0.15, 0.15])),
        events_per_cycle=int(rng.integers(1, 3)),
        products_per_cycle=int(rng.choice([1, 1, 2, 3, int(rng.integers(1, 9))])),
        access_counters=True,
        hold_operands=seed % 2 == 1,
        list_buffers=LIST_BUFFERS[seed // 2 % 2],
    )
    n_timesteps = n_timesteps or int(rng.choice([5, 11, hardware.block + 3]))
    payloads = draw_payloads(rng, payload, (n_sequences, n_timesteps, sizes[0]))
    if delays:
        network = draw_delays(seed, network, n_timesteps)
    return Drawn(seed, network, hardware, payloads)


def draw_recurrent(seed: int, **sizes: Any) -> Drawn:
    """Draw a network as `draw_network` does, then make some of its layers recurrent, the one at
    place `seed` among them; they lose their slow state.
    """
    drawn = draw_network(seed, **sizes)
    rng = np.random.default_rng([seed, 1])
    params, layers = list(drawn.network.params.layers), list(drawn.network.layers)
    for index, (p, layer) in enumerate(zip(params, layers, strict=True)):
        if index != seed % len(params) and rng.integers(2):
            continue
        n, m, f = p.n_neurons, p.n_inputs, p.formats
        params[index] = replace(p, n_state=0, recurrent=True)
        own = draw_values(rng, f.w_f, (n, n), extreme=bool(rng.integers(4) == 0))
        layers[index] = replace(
            layer,
            w_f=np.concatenate([layer.w_f, own], 1),
            w_x=np.zeros(m, np.int64),
            b_x=0,
            a=np.zeros((0, 0), np.int64),
            b=np.zeros(0, np.int64),
            p=np.zeros((n, 0), np.int64),
            v=np.zeros(n, np.int64),
        )
    network = replace(
        drawn.network,
        params=replace(drawn.network.params, layers=tuple(params)),
        layers=tuple(layers),
    )
    return replace(drawn, network=network, hardware=replace(drawn.hardware, block=1))


def draw_delays(seed: int, network: NetworkIntegers, n_timesteps: int) -> NetworkIntegers:
    """Give some layers of a network delays, at least one: none of a layer's inputs is delayed, or
    all by the most, or each by another number.
    """
    rng = np.random.default_rng([seed, 1])
    some = rng.random(len(network.layers)) < 0.6
    some[rng.integers(len(some))] = True
    params, layers = list(network.params.layers), list(network.layers)
    for index in np.flatnonzero(some):
        largest = int(rng.choice([1, 2, int(rng.integers(1, n_timesteps + 3)), 17]))
        n_inputs = params[index].n_inputs
        params[index] = replace(params[index], max_delay=largest)
        kind = rng.choice(["none", "most", "any", "any", "any"])
        delays = rng.integers(0, largest + 1, n_inputs)
        if kind != "any":
            delays[:] = 0 if kind == "none" else largest
        layers[index] = replace(layers[index], delays=delays)
    changed = replace(network.params, layers=tuple(params))
    return replace(network, params=changed, layers=tuple(layers))


def with_delays(drawn: Drawn) -> Drawn:
    """Return the same network with delays before some layers, fed with spikes."""
    first, *others = drawn.network.params.layers
    formats = replace(first.formats, payload=Fixed(1, 0, signed=False))
    params = replace(drawn.network.params, layers=(replace(first, formats=formats), *others))
    network = replace(drawn.network, params=params)
    network = draw_delays(drawn.seed, network, drawn.payloads.shape[1])
    return replace(drawn, network=network, payloads=np.sign(drawn.payloads))


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
    "parts": draw_parts,
    "reports": lambda seed: with_reports(draw_neurons(seed)),
    "shared products": draw_shared,
}


def counted(
    events: list[int], addresses: list[int], spike_counts: list[int], repeat: int = 2
) -> LayerRun:
    """Return the run of a layer whose sequences are all the same."""
    none = np.zeros(repeat, np.int64)
    counts = [np.array([of] * repeat) for of in (events, addresses, spike_counts)]
    return LayerRun(counts[0], counts[1], counts[2], none, none, none, none)
