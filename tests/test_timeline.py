"""The first blocks of small cores against cycles worked out by hand; tests/test_core.py holds whole
cores to their timelines.
"""

from __future__ import annotations

import numpy as np
import pytest

from export.store import load_digits, load_stored
from golden.cost.cycles import block_cycles
from golden.cost.timeline import Timeline
from golden.data.mnist import to_sequences
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import run
from golden.params import LayerParams, NetworkParams
from golden.readout_params import ReadoutParams
from tests.networks import counted


@pytest.mark.parametrize(("d", "start"), [(0, 6), (2, 9)])
def test_the_first_block_of_an_idle_core(d: int, start: int) -> None:
    """Its only item is transferred in cycle 0. 5 cycles later its list is open, and it is walked
    from the next cycle on; the drive takes 6 cycles, and then 3 for the slow states to be told of.
    """
    network = NetworkParams("one", (LayerParams(3, 2, d),), ReadoutParams(2, 2))
    core = CoreParams(network, HardwareParams(2))
    layer = counted([0], [0], [0], repeat=1)
    layer.spikes = np.zeros((1, 1, 2), bool)
    timeline = Timeline(core, np.zeros((1, 1, 3), np.int64), [layer])
    assert timeline.starts[0].tolist() == [[start]] and timeline.starts.shape == (2, 1, 1)


@pytest.mark.parametrize(("n_inputs", "words"), [(3, 1), (70, 3)])
def test_the_first_blocks_behind_a_delay_line(n_inputs: int, words: int) -> None:
    """An end that is transferred in cycle 0 leaves 4 + words + 2 cycles later, and is walked 6
    cycles behind that. The event in the last word of the second block is sent before its end, which
    leaves a cycle later.
    """
    params = LayerParams(n_inputs, 2, 0, max_delay=1)
    core = CoreParams(NetworkParams("late", (params,), ReadoutParams(2, 2)), HardwareParams(2))
    layer = counted([0, 1, 0], [0, 1, 0], [0, 0, 0], repeat=1)
    layer.spikes = np.zeros((1, 3, 2), bool)
    layer.delayed = np.zeros((1, 3, n_inputs), bool)
    layer.delayed[0, 1, -1] = True
    payloads = np.zeros((1, 3, n_inputs), np.int64)
    timeline = Timeline(core, payloads, [layer])
    each = 4 + words + 2
    # The next end is taken in the cycle in which the one before it is offered.
    first, second, third = each, each + each + 1, 3 * each + 1
    assert timeline.starts[0].tolist() == [[first + 6, second + 6, third + 6]]


def test_a_recurrent_layer_waits_for_its_own_spikes() -> None:
    """One group of 3 neurons; the first timestep's end is transferred in cycle 0, and its list is
    open a cycle later, and walked from the next one on. Two own spikes are offered 16 and 17 cycles
    after its only step, their end after 18: with it comes that of the second timestep, which takes
    two steps. The end of the sequence waits for one more own spike, which it drops, and passes
    through the layer before the next sequence starts: this one waits for none.
    """
    params = LayerParams(3, 3, 0, recurrent=True)
    core = CoreParams(NetworkParams("own", (params,), ReadoutParams(3, 2)), HardwareParams(3))
    layer = counted([0, 2], [0, 2], [2, 1], repeat=2)
    layer.spikes = np.array([[[1, 0, 1], [0, 1, 0]]] * 2, bool)
    timeline = Timeline(core, np.zeros((2, 2, 3), np.int64), [layer])
    second = 2 + 18 + 2
    ended = second + 1 + 17  # the end of the sequence is transferred
    assert timeline.starts[0].tolist() == [[2, second], [ended + 3, ended + 3 + 20]]


@pytest.mark.parametrize(
    "hardware", [HardwareParams(4), HardwareParams(4, block=4, events_per_cycle=2)], ids=str
)
def test_the_slowest_layer_of_smnist_hardly_waits(hardware: HardwareParams) -> None:
    """In a whole digit. (`make test-long` runs one through the Verilog.)"""
    network, card = load_stored("smnist")
    payloads = to_sequences(load_digits().images[:1], card.data)
    done = run(network, payloads, block=hardware.block, trace=True)
    core = CoreParams(network.params, hardware)
    cycles = int(Timeline(core, payloads, done.layers).ends[-1])
    busy = [
        int(block_cycles(part, layer.addresses, done.lengths).sum())
        for part, layer in zip(core.layers, done.layers, strict=True)
    ]
    assert 0.98 * cycles < max(busy) < cycles
