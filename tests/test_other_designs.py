"""Other designs' closed forms against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from golden.cost.other_designs import (
    input_stationary_bits,
    reckon_cycles,
    released_rtl_cycles,
    released_rtl_multipliers,
    released_rtl_weight_words,
)
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.hardware.params import HardwareParams
from golden.params import LayerParams, NetworkParams
from golden.readout_params import ReadoutParams


def two_layers(n_inputs: int = 140, n: int = 128, d: int = 10) -> CoreParams:
    layers = (LayerParams(n_inputs, n, d), LayerParams(n, n, d))
    return CoreParams(NetworkParams("two", layers, ReadoutParams(n, 20)), HardwareParams(4))


@pytest.mark.parametrize(("events", "cycles"), [(5, 928), (20, 1549)])
def test_released_rtl_of_two_layers_of_128(events: int, cycles: int) -> None:
    """As many spikes leave each layer as enter it."""
    each = np.array([events])
    assert released_rtl_cycles(two_layers(), [each, each], each).tolist() == [cycles]


def test_released_rtl_without_events() -> None:
    """1 + 1 for in and out, a layer: 6 + 3 * 32 + 10 * 32 + 32 + 1 = 455, and 3 between them."""
    none = np.array([0])
    assert released_rtl_cycles(two_layers(), [none, none], none).tolist() == [2 + 2 * 455 + 3]


def test_released_rtl_where_events_outweigh_the_state() -> None:
    """One neuron, d = 1, 9 events in, 4 out, by hand: 9 + 4 + (6 + 3 + max(9 + 1, max(1, 10) + 1 +
    1)).
    """
    layer = (LayerParams(12, 1, 1),)
    core = CoreParams(NetworkParams("one", layer, ReadoutParams(1, 2)), HardwareParams(7))
    assert released_rtl_cycles(core, [np.array([9])], np.array([4])).tolist() == [
        9 + 4 + 6 + 3 + 12
    ]


def test_released_rtl_multipliers_and_weights() -> None:
    """A core a layer: 4 + 4 multipliers and d for the update; words of 4 weights, so 32 and 2
    groups.
    """
    assert released_rtl_multipliers(two_layers()) == 2 * (4 + 4 + 10)
    layers = (LayerParams(3, 128, 10), LayerParams(128, 6, 0))
    core = CoreParams(NetworkParams("two", layers, ReadoutParams(6, 2)), HardwareParams(16, 8))
    assert released_rtl_multipliers(core) == 18 + 8
    events = [np.array([[3, 0]]), np.array([[5, 7]])]
    assert released_rtl_weight_words(core, events).tolist() == [[3 * 32 + 5 * 2, 7 * 2]]


def test_reckon() -> None:
    """5 and 4 neurons: at first 3 events and 2 own spikes, then none and 1; the second layer has
    those 2 and 1, and of its own 0 and 7. Where a layer is recurrent, what it received has them.
    """
    layers = (LayerParams(3, 5, 1), LayerParams(5, 4, 0))
    core = CoreParams(NetworkParams("two", layers, ReadoutParams(4, 2)), HardwareParams(16, 8))
    events = [np.array([3, 0]), np.array([2, 1]), np.array([0, 7])]
    first = [5 + 5 * 5 + 5 + 1, 5 + 1 * 5 + 5 + 1]
    second = [4 + 2 * 4 + 4 + 1, 4 + 8 * 4 + 4 + 1]
    assert first[0] > second[0] and second[1] > first[1]
    assert reckon_cycles(core, events[:2], events[1:]).tolist() == [first[0], second[1]]
    own = replace(core.network, layers=(layers[0], replace(layers[1], recurrent=True)))
    core = CoreParams(own, HardwareParams(16))
    received = [events[0], np.array([2, 8])]
    assert reckon_cycles(core, received, events[1:]).tolist() == [first[0], second[1]]


def test_stored_accumulators() -> None:
    """40 weights of 8 bits need 14; each is read and written for each event and the end."""
    layer = LayerHardware(LayerParams(40, 32, 10), HardwareParams(4, 8))
    assert input_stationary_bits(layer, np.array([0, 3])).tolist() == [896, 2 * 32 * 14 * 4]
