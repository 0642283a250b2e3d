"""Closed forms of other designs on the events of a network, to compare a core with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware

RELEASED_RTL_LANES = 4


def released_rtl_cycles(
    core: CoreParams, events: Sequence[np.ndarray], sent: np.ndarray
) -> np.ndarray:
    """Return the cycles (..., K) a timestep of the paper's released RTL takes on the same network,
    from its closed form.

    Parameters
    ----------
    events, sent
        Events (..., K) received by each layer, and spikes (..., K) of the last one.

    It has 4 lanes, holds no graded events, keeps at most 32 events a timestep (the form below does
    not drop any), and runs its layers strictly one after another.
    """
    total = np.maximum(events[0], 1) + np.maximum(sent, 1)
    for layer, received in zip(core.layers, events, strict=True):
        groups = -(-layer.params.n_neurons // RELEASED_RTL_LANES)
        any_event = (received > 0).astype(np.int64)
        memory = np.maximum(layer.params.n_state * groups, any_event * (received + 1)) + groups + 1
        total = total + 6 + 3 * groups + np.maximum(received * groups + any_event, memory)
    for inner in events[1:]:
        total = total + inner + 3
    return total


def reckon_cycles(
    core: CoreParams, events: Sequence[np.ndarray], spikes: Sequence[np.ndarray]
) -> np.ndarray:
    """Return the cycles (..., K) that ReckOn takes for a timestep of the slowest layer: N + E N + N
    + 1, a neuron a cycle.

    Parameters
    ----------
    events, spikes
        Events (..., K) received, and spikes sent, by each layer. Its layers are all recurrent: E
        are the events received and a layer's own spikes, which it has received where it is
        recurrent here too.
    """
    slowest = np.zeros_like(events[0])
    for layer, received, sent in zip(core.layers, events, spikes, strict=True):
        n, own = layer.params.n_neurons, 0 if layer.params.recurrent else sent
        slowest = np.maximum(slowest, 2 * n + (received + own) * n + 1)
    return slowest


def released_rtl_multipliers(core: CoreParams) -> int:
    """Return the multipliers of the paper's released RTL, a core a layer: 4 in the memory path, 4
    for the leak, d for the state update.
    """
    return sum(2 * RELEASED_RTL_LANES + layer.params.n_state for layer in core.layers)


def released_rtl_weight_words(core: CoreParams, events: Sequence[np.ndarray]) -> np.ndarray:
    """Return the words (..., K) of 4 weights that the released RTL reads in its layers: one for
    each event and group.
    """
    groups = [-(-layer.params.n_neurons // RELEASED_RTL_LANES) for layer in core.layers]
    return sum(
        (g * received for g, received in zip(groups, events, strict=False)),
        np.zeros_like(events[0]),
    )


def input_stationary_bits(layer: LayerHardware, events: np.ndarray) -> np.ndarray:
    """Return the accumulator bits (..., K) that a core with stored accumulators reads and writes:
    for each event it reads, adds to and writes those of all neurons, and for each timestep it reads
    them once more, and clears them, when the neurons fire.

    A reference, not this core: here accumulators are registers and no memory is read or written.
    """
    width = layer.params.spike_sum.width
    return 2 * layer.params.n_neurons * width * (events + 1)
