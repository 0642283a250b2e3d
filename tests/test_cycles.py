"""Predicted cycles and memory words against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from golden.cycles import (
    bound_cycles,
    group_steps,
    memory_words,
    released_rtl_cycles,
    timestep_cycles,
)
from golden.hardware import CoreParams, HardwareParams, LayerHardware, ReadoutHardware
from golden.params import LayerParams, NetworkParams, ReadoutParams


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


def test_ordinary_layer() -> None:
    """8 groups; d + 2 = 12 steps at least; no drain; the state update fits."""
    layer = LayerHardware(LayerParams(40, 32, 10), HardwareParams(4))
    events = np.array([[0, 11, 12, 13, 40]])
    assert (layer.n_groups, layer.drain) == (8, 0)
    assert group_steps(layer, events).tolist() == [[12, 12, 12, 13, 40]]
    assert timestep_cycles(layer, events).tolist() == [[96, 96, 96, 104, 320]]
    assert bound_cycles(layer, events).tolist() == [[96, 96, 96, 104, 320]]


def test_dilated_layer() -> None:
    """A refresh at timesteps 0 and 3; between them a group takes as many steps as events, at least
    one.

    3 groups leave 9 - 2 - 2 * 1 = 5 cycles to drain. The state update has 3 * 6 + 5 = 23 cycles: 2
    multipliers take 2 blocks of 5 steps, 4 stages and 2 rows = 16, and one 4 * 5 + 4 + 1 = 25.
    """
    layer = LayerHardware(LayerParams(9, 6, 4, dilation=3), HardwareParams(2))
    assert (layer.drain, layer.state_lanes, layer.state_cycles) == (5, 2, 16)
    events = np.array([2, 0, 7, 9, 3])
    assert timestep_cycles(layer, events).tolist() == [18 + 5, 16, 21 + 5, 27 + 5, 16]
    assert bound_cycles(layer, events).tolist() == [18, 3, 21, 27, 9]


def test_layer_without_state() -> None:
    """One group: 7 cycles drain after max(events, 1)."""
    layer = LayerHardware(LayerParams(5, 3, 0), HardwareParams(4))
    assert timestep_cycles(layer, np.array([0, 1, 5])).tolist() == [8, 8, 12]


def test_layer_bound_by_its_state_update() -> None:
    """d = 6 in one group: 8 steps; at best 6 multipliers take 7 + 4 + 6 = 17, 3 take 2 * 7 + 4 + 3
    = 21.
    """
    layer = LayerHardware(LayerParams(9, 4, 6), HardwareParams(4))
    assert (layer.drain, layer.state_lanes, layer.state_cycles) == (7, 6, 17)
    assert timestep_cycles(layer, np.array([0, 9])).tolist() == [17, 17]
    wider = LayerHardware(LayerParams(12, 4, 6), HardwareParams(4))
    assert timestep_cycles(wider, np.array([11, 12])).tolist() == [18, 19]


def test_readout() -> None:
    """10 classes on 4 lanes: 3 groups, and 9 - 4 - 2 = 3 cycles to drain."""
    readout = ReadoutHardware(ReadoutParams(8, 10), HardwareParams(4))
    assert timestep_cycles(readout, np.array([0, 1, 8])).tolist() == [6, 6, 27]


def test_memory_words() -> None:
    """3 groups of 2 lanes, d = 4 on 2 multipliers (2 blocks), a refresh every other timestep."""
    layer = LayerHardware(LayerParams(9, 6, 4, dilation=2), HardwareParams(2))
    assert layer.n_state_blocks == 2
    words = memory_words(layer, np.array([3, 0, 5]))
    assert {name: value.tolist() for name, value in words.items()} == {
        "w_f.read": [9, 0, 15],
        "list.write": [3, 0, 5],
        "list.read": [9, 0, 15],
        "u.read": [3, 3, 3],
        "u.write": [3, 3, 3],
        "c.read": [3, 3, 3],
        "p.read": [15, 0, 15],
        "w_x.read": [3, 0, 5],
        "ab.read": [10, 10, 10],
        "m.read": [12 + 8, 8, 12 + 8],
        "m.write": [4, 4, 4],
        "h.write": [3, 0, 3],
        "h.read": [0, 3, 0],
    }


def test_memory_words_without_state_or_dilation() -> None:
    plain = memory_words(LayerHardware(LayerParams(9, 6, 0), HardwareParams(2)), np.array([4]))
    assert set(plain) == {"w_f.read", "list.write", "list.read", "u.read", "u.write", "c.read"}
    refreshed = memory_words(
        LayerHardware(LayerParams(9, 6, 1), HardwareParams(2)), np.array([4, 4])
    )
    assert "h.read" not in refreshed and refreshed["p.read"].tolist() == [6, 6]


def test_memory_words_of_the_readout() -> None:
    readout = ReadoutHardware(ReadoutParams(20, 10), HardwareParams(4))  # 3 groups of classes
    words = {name: n.tolist() for name, n in memory_words(readout, np.array([0, 7])).items()}
    assert words == {
        "list.write": [0, 7],
        "list.read": [0, 21],
        "w_o.read": [0, 21],
        "b_o.read": [3, 3],
        "logits.read": [3, 3],
        "logits.write": [3, 3],
    }
