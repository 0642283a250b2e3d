"""Networks and events that nobody trained or recorded: to measure cycles at a chosen activity.

Weights are drawn, the slow state's transition is a random rotation with a decay, and the thresholds
are set so that every layer sends as many spikes a timestep as the first one receives events. Such
a network tells nothing about accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from golden.errors import UserError
from golden.formats import Fixed
from golden.integer import LayerIntegers, NetworkIntegers, run
from golden.params import LayerFormats, LayerParams, NetworkParams
from golden.readout_params import ReadoutParams

SHD_SIZES = (140, 128, 128)  # the paper's network for spoken digits: inputs, neurons of two layers
SHD_STATE, SHD_CLASSES, SHD_TIMESTEPS = 10, 20, 100
_DECAY = 0.97  # of the slow state, a timestep
_LEAK = 0.5
_WIDTHS = LayerFormats()
_SAMPLES = 8  # on which a threshold is chosen


def draw_events(
    rate: float,
    n_sequences: int,
    seed: int,
    n_timesteps: int = SHD_TIMESTEPS,
    n_inputs: int = SHD_SIZES[0],
) -> np.ndarray:
    """Return sequences (B, K, M) of spikes: in each timestep a Poisson number of events with mean
    `rate`, at different inputs drawn without preference.
    """
    if not 0 <= rate <= n_inputs:
        raise UserError(f"{rate} events a timestep: use 0 to {n_inputs}")
    rng = np.random.default_rng([seed, int(rate * 1000)])
    counts = np.minimum(rng.poisson(rate, (n_sequences, n_timesteps)), n_inputs)
    order = rng.random((n_sequences, n_timesteps, n_inputs)).argsort(2)
    return (order < counts[:, :, None]).astype(np.int64)


def draw_network(name: str, payloads: np.ndarray, seed: int) -> NetworkIntegers:
    """Return a network of the SHD size that is as active as `payloads` (B, K, 140) are; see
    `with_activity`.
    """
    return with_activity(draw_layers(name, SHD_SIZES, SHD_STATE, SHD_CLASSES, seed), payloads)


def with_activity(network: NetworkIntegers, payloads: np.ndarray) -> NetworkIntegers:
    """Return a network with thresholds such that its layers send as many spikes a timestep as there
    are events in the timesteps of `payloads` (B, K, M) that have any; or, where those are more than
    half of its neurons, about half.
    """
    formats = network.params.layers[0].formats
    samples = payloads[:_SAMPLES]
    active = samples.any(2)
    if not active.any():
        raise UserError("no events to choose the thresholds on: use more of them")
    wanted = samples.sum() / active.sum()
    layers = list(network.layers)
    for index in range(len(layers)):
        low, high = 0, formats.threshold.max
        while low < high:  # the largest threshold with enough spikes
            middle = (low + high + 1) // 2
            layers[index] = replace(layers[index], threshold=middle)
            spikes = run(replace(network, layers=tuple(layers)), samples).layers[index].spike_counts
            if spikes[active].mean() >= wanted:
                low = middle
            else:
                high = middle - 1
        layers[index] = replace(layers[index], threshold=low)
    return replace(network, layers=tuple(layers))


def draw_layers(
    name: str,
    sizes: Sequence[int],
    n_state: int,
    n_classes: int,
    seed: int,
    *,
    payload: Fixed = LayerFormats.payload,
    threshold: int = 0,
    recurrent: bool = False,
    widths: LayerFormats = _WIDTHS,
) -> NetworkIntegers:
    """Return a network whose layers take `sizes[i]` inputs to `sizes[i + 1]` neurons, with the same
    threshold, in units of their format; the first layer's events carry `payload`. Of `widths` W_f,
    P and m have theirs.
    """
    rng = np.random.default_rng(seed)
    weight, slow, state = widths.w_f.width, widths.p.width, widths.m.width
    formats = LayerFormats(
        w_f=Fixed(weight, weight), p=Fixed(slow, slow + 1), m=Fixed(state, state - 4),
        x=Fixed(_WIDTHS.x.width, state - 4),
    )  # fmt: skip
    pairs = list(zip(sizes, sizes[1:], strict=False))
    params = [
        LayerParams(n_inputs, n, n_state, formats=formats, recurrent=recurrent)
        for n_inputs, n in pairs
    ]
    params[0] = replace(params[0], formats=replace(formats, payload=payload))
    layers = tuple(_layer(rng, layer, formats) for layer in params)
    return NetworkIntegers(
        NetworkParams(name, tuple(params), ReadoutParams(sizes[-1], n_classes)),
        tuple(replace(layer, threshold=threshold) for layer in layers),
        rng.integers(-64, 64, (n_classes, sizes[-1])),
        np.zeros(n_classes, np.int64),
    )


def _layer(rng: np.random.Generator, params: LayerParams, formats: LayerFormats) -> LayerIntegers:
    n_inputs, n_neurons, n_state = params.n_inputs, params.n_neurons, params.n_state
    f = formats
    rotation = np.linalg.qr(rng.normal(size=(n_state, n_state)))[0]
    a, b = _DECAY * rotation, rng.normal(0, 0.1, n_state)
    w_m = rng.normal(0, 0.05, (n_neurons, n_state))
    return LayerIntegers(
        w_f=f.w_f.quantize(rng.normal(0, 0.15, (n_neurons, params.n_addresses))),
        w_x=f.w_x.quantize(np.abs(rng.normal(0, 0.03, n_inputs))),
        b_x=0,
        a=f.a.quantize(a),
        b=f.b.quantize(b),
        p=f.p.quantize(w_m @ a),
        v=f.v.quantize(w_m @ b),
        c=np.zeros(n_neurons, np.int64),
        leak=int(f.leak.quantize(_LEAK)),
        threshold=0,
    )
