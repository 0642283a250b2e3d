"""Random networks and inputs for tests, drawn from a seed: plain, recurrent or with delays; small
enough to simulate, extreme enough to saturate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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


def counted(
    events: list[int], addresses: list[int], spike_counts: list[int], repeat: int = 2
) -> LayerRun:
    """Return the run of a layer whose sequences are all the same."""
    none = np.zeros(repeat, np.int64)
    counts = [np.array([of] * repeat) for of in (events, addresses, spike_counts)]
    return LayerRun(counts[0], counts[1], counts[2], none, none, none, none)
