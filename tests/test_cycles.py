"""Predicted cycles and accesses against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden.blocks import block_lengths
from golden.cost.cycles import (
    Part,
    accesses,
    block_cycles,
    dropped_events,
    loop_cycles,
    refreshes,
    walks,
    watchdog_cycles,
)
from golden.formats import Fixed
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.hardware.params import HardwareParams
from golden.hardware.readout import ReadoutHardware
from golden.integer import run
from golden.params import LayerFormats, LayerParams, NetworkParams
from golden.readout_params import ReadoutParams
from golden.runs import LayerRun, Run
from tests.networks import counted, draw_network


def steps(part: Part, addresses: np.ndarray, n_timesteps: int) -> list[Any]:
    """Return the steps of each block of sequences of this length."""
    return walks(part, addresses, block_lengths(n_timesteps, part.block))[1].tolist()


def cycles(part: Part, addresses: np.ndarray, n_timesteps: int) -> list[Any]:
    """Return the cycles of each block of sequences of this length."""
    return block_cycles(part, addresses, block_lengths(n_timesteps, part.block)).tolist()


def two_sequences(core: CoreParams, layers: list[LayerRun], received: list[int]) -> Run:
    """Return the run of two equal sequences: their layers, and the distinct addresses that the
    readout received in each block.
    """
    none = np.zeros(2, np.int64)
    lengths = block_lengths(layers[0].events.shape[1], core.hardware.block)
    no_reports = np.zeros((2, 0, core.readout.n_outputs), np.int64)
    return Run(none, none, none, np.array([received] * 2), layers, lengths, no_reports)


def test_blocks_of_a_sequence() -> None:
    """Ten timesteps by four; with a dilation of 3, timesteps 0 and 3, 6, 9 are refreshed."""

    def refreshed(block: int, dilation: int, n_timesteps: int) -> list[int]:
        layer = LayerHardware(LayerParams(3, 4, 2, dilation), HardwareParams(2, block))
        return refreshes(layer, block_lengths(n_timesteps, block)).tolist()

    assert block_lengths(10, 4).tolist() == [4, 4, 2]
    assert block_lengths(8, 4).tolist() == [4, 4] and block_lengths(1, 4).tolist() == [1]
    assert block_lengths(0, 4).tolist() == []
    assert refreshed(4, 3, 10) == [2, 1, 1]
    assert refreshed(2, 3, 7) == [1, 1, 0, 1]
    assert refreshed(2, 1, 7) == [2, 2, 2, 1]
    assert refreshed(16, 1, 7) == [7] and refreshed(16, 16, 33) == [1, 1, 1]
    assert refreshed(1, 3, 5) == [1, 0, 0, 1, 0]
    plain = LayerHardware(LayerParams(3, 4, 0, 2), HardwareParams(2, 2))
    assert refreshes(plain, block_lengths(5, 2)).tolist() == [0, 0, 0]
    readout = ReadoutHardware(ReadoutParams(4, 2), HardwareParams(2, 2))
    assert refreshes(readout, block_lengths(3, 2)).tolist() == [0, 0]


def test_a_report_closes_its_block() -> None:
    """Reports before the first timestep, at the end of a block and after the last timestep close
    none early. A block that one closes is short, and the next one begins behind it.
    """
    assert block_lengths(10, 4, (0, 4, 10, 10)).tolist() == [4, 4, 2]
    assert block_lengths(10, 4, (0, 3, 3)).tolist() == [3, 4, 3]
    assert block_lengths(10, 4, (5,)).tolist() == [4, 1, 4, 1]
    assert block_lengths(3, 4, (1, 2)).tolist() == [1, 1, 1]
    # With a dilation of 3, timesteps 0, 3, 6 and 9 are refreshed.
    layer = LayerHardware(LayerParams(3, 4, 2, 3), HardwareParams(2, 4))
    lengths = block_lengths(10, 4, (1, 3))
    assert lengths.tolist() == [1, 2, 4, 3]
    assert refreshes(layer, lengths).tolist() == [1, 0, 2, 1]


def test_ordinary_layer() -> None:
    """8 groups of 11 steps at least."""
    layer = LayerHardware(LayerParams(40, 32, 10), HardwareParams(4))
    addresses = np.array([[0, 11, 12, 13, 40]])
    assert steps(layer, addresses, 5) == [[11, 11, 12, 13, 40]]
    assert cycles(layer, addresses, 5) == [[88, 88, 96, 104, 320]]


def test_blocks_with_several_events_and_products_a_cycle() -> None:
    """11 columns are 4 steps, but the membranes of 4 timesteps need 8."""
    layer = LayerHardware(LayerParams(40, 32, 10), HardwareParams(4, 4, 2, 3))
    addresses = np.array([[0, 11, 15, 17, 40], [1, 2, 3, 4, 5]])
    assert steps(layer, addresses, 17) == [[8, 8, 8, 9, 20], [8] * 5]
    assert cycles(layer, addresses, 20) == [[64, 64, 64, 72, 160], [64] * 5]


def test_dilated_layer() -> None:
    """A refresh at timesteps 0 and 3; between them a group takes as many steps as events, at least
    one. By blocks of two, only the third one has no refresh; then the membranes need 4 steps.
    """
    params = LayerParams(9, 6, 4, dilation=3)
    layer = LayerHardware(params, HardwareParams(2))
    addresses = np.array([2, 0, 7, 9, 3])
    assert cycles(layer, addresses, 5) == [15, 3, 21, 27, 9]
    two = LayerHardware(params, HardwareParams(2, block=2))
    addresses = np.array([0, 6, 3, 5])
    assert cycles(two, addresses, 7) == [15, 18, 12, 15]


def test_idle_cycles_of_a_recurrent_layer() -> None:
    """Three groups of 2 neurons, a step an address. 12 stages, 4 of the encoder and one of the list
    are idle, and a cycle for each spike that has not been sent when the last group comes: of 2
    in the first group, one leaves in each of the steps of the two other ones.
    """
    layer = LayerHardware(LayerParams(9, 5, 0, recurrent=True), HardwareParams(2))
    assert layer.loop_latency == 17
    spikes = np.array(
        [[0, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    )
    addresses = np.array([0, 1, 0, 2, 3])
    assert loop_cycles(layer, addresses, spikes).tolist() == [
        17, 17 + 0, 17 + 3, 17 + 0, 17 + 1,
    ]  # fmt: skip


def test_layer_without_state() -> None:
    layer = LayerHardware(LayerParams(5, 3, 0), HardwareParams(4))
    assert cycles(layer, np.array([0, 1, 5]), 3) == [1, 1, 5]


def test_readout() -> None:
    """10 classes on 4 lanes: 3 groups."""
    addresses = np.array([0, 1, 8])
    readout = ReadoutHardware(ReadoutParams(8, 10), HardwareParams(4))
    assert cycles(readout, addresses, 3) == [3, 3, 24]
    blocks = ReadoutHardware(ReadoutParams(8, 10), HardwareParams(4, 2, 2))
    assert cycles(blocks, addresses, 6) == [6, 6, 12]


def test_accesses_by_timesteps() -> None:
    """3 groups of 2 neurons, each with a unit of its own; 4 rows of the slow state at once; a
    refresh at timesteps 0 and 2 of 3. 5 groups of classes.
    """
    network = NetworkParams("one", (LayerParams(9, 6, 4, dilation=2),), ReadoutParams(6, 10))
    core = CoreParams(network, HardwareParams(2, access_counters=True))
    assert (core.layers[0].fold, core.layers[0].state_update.row_groups) == (1, 1)
    layer = counted([3, 0, 5], [3, 0, 5], [2, 0, 4])
    done = two_sequences(core, [layer], [2, 0, 4])
    assert {name: count.tolist() for name, count in accesses(core, done).items()} == {
        name: [count] * 2
        for name, count in {
            "layer0.list_writes": 8,
            "layer0.list_reads": 3 * 8,
            "layer0.spike_additions": 3 * 8,
            "layer0.w_f_reads": 3 * 8,
            "layer0.c_reads": 3 * 3,
            "layer0.u_reads": 3 * 3,
            "layer0.u_writes": 3 * 3,
            "layer0.leak_products": 3 * 3,
            "layer0.p_reads": 3 * 5 * 2,
            "layer0.history_reads": 3 * 5 * 2,
            "layer0.history_writes": 4,  # what timestep 1 leaves for timestep 2
            "layer0.state_products": 3 * 5 * 2,
            "layer0.w_x_reads": 8,
            "layer0.ab_reads": 5 * 3,
            "layer0.m_reads": 4 * 3,
            "layer0.m_writes": 4 * 3,
            "layer0.update_products": 5 * 3,
            "layer0.h_reads": 3,  # timestep 1
            "layer0.h_writes": 3 * 2,
            "readout.list_writes": 6,
            "readout.list_reads": 5 * 6,
            "readout.spike_additions": 5 * 6,
            "readout.w_o_reads": 5 * 6,
            "readout.b_o_reads": 5 * 3,
            "readout.logits_reads": 5 * 3,
            "readout.logits_writes": 5 * 3,
        }.items()
    }


def test_accesses_by_blocks() -> None:
    """Five timesteps by two, 2 events and 3 products a cycle. The first layer: 2 groups of 2 words
    of neurons, 5 columns in 2 steps, refreshes at timesteps 0 and 3. The second one: 2 groups of 2
    words, no slow state. One group of classes.
    """
    graded = LayerFormats(payload=Fixed(8, 8, signed=False))
    layers = (LayerParams(9, 6, 4, 3, formats=graded), LayerParams(6, 5, 0))
    network = NetworkParams("two", layers, ReadoutParams(5, 3))
    core = CoreParams(network, HardwareParams(4, 2, 2, 3, access_counters=True))
    assert [layer.fold for layer in core.layers] == [2, 2] and core.layers[
        0
    ].state_update.row_groups == 1
    runs = [
        counted([3, 1, 0, 4, 2], [3, 4, 2], [2, 0, 1, 3, 0]),
        counted([2, 0, 1, 3, 0], [2, 3, 0], [1, 1, 1, 1, 5]),
    ]
    done = two_sequences(core, runs, [1, 2, 5])
    assert {name: count.tolist() for name, count in accesses(core, done).items()} == {
        name: [count] * 2
        for name, count in {
            "layer0.list_writes": 9,
            "layer0.list_reads": 2 * (2 + 2 + 1),
            "layer0.spike_additions": 2 * 10,
            "layer0.payload_writes": 2 * 10,  # two copies of each event from outside
            "layer0.payload_reads": 2 * 9,
            "layer0.w_f_reads": 2 * 9,
            "layer0.c_reads": 2 * 2 * 3,
            "layer0.u_reads": 2 * 2 * 3,
            "layer0.u_writes": 2 * 2 * 3,
            "layer0.leak_products": 2 * 2 * 5,
            "layer0.p_reads": 2 * 2 * 2,
            "layer0.history_reads": 2 * 2 * 2,
            "layer0.history_writes": 4,  # what timestep 2 leaves for timestep 3
            "layer0.state_products": 2 * 5 * 2,
            "layer0.w_x_reads": 10,
            "layer0.ab_reads": 5 * 5,
            "layer0.m_reads": 4 * 5,
            "layer0.m_writes": 4 * 5,
            "layer0.update_products": 5 * 5,
            "layer0.h_reads": 2 * 2 * 2,  # blocks that begin with timesteps 2 and 4
            "layer0.h_writes": 2 * 2 * 2,  # blocks with timesteps 0 and 3
            "layer1.list_writes": 5,
            "layer1.list_reads": 2 * (1 + 2),
            "layer1.spike_additions": 2 * 6,
            "layer1.payload_writes": 2 * 5,
            "layer1.payload_reads": 2 * 5,
            "layer1.w_f_reads": 2 * 5,
            "layer1.c_reads": 2 * 2 * 3,
            "layer1.u_reads": 2 * 2 * 3,
            "layer1.u_writes": 2 * 2 * 3,
            "layer1.leak_products": 2 * 2 * 5,
            "readout.list_writes": 8,
            "readout.list_reads": 1 + 1 + 3,
            "readout.spike_additions": 9,
            "readout.payload_writes": 2 * 8,
            "readout.payload_reads": 8,
            "readout.w_o_reads": 8,
            "readout.b_o_reads": 3,
            "readout.logits_reads": 3,
            "readout.logits_writes": 3,
        }.items()
    }


def test_accesses_of_a_recurrent_layer() -> None:
    """Graded, 3 groups of 2 neurons. Own spikes of the first two timesteps are among the events;
    the 4 of the last one are listed too, but never read.
    """
    graded = LayerFormats(payload=Fixed(8, 8, signed=False))
    params = LayerParams(9, 6, 0, formats=graded, recurrent=True)
    network = NetworkParams("own", (params,), ReadoutParams(6, 2))
    core = CoreParams(network, HardwareParams(2, events_per_cycle=2, access_counters=True))
    layer = counted([3, 2, 5], [3, 2, 5], [2, 1, 4])
    done = two_sequences(core, [layer], [2, 1, 4])
    assert [each.tolist() for each in dropped_events(core, done)] == [[4, 4], [0, 0]]
    found = accesses(core, done)
    expected = {
        "layer0.list_writes": 10 + 4,
        "layer0.payload_writes": 2 * (10 + 4),
        "layer0.list_reads": 3 * (2 + 1 + 3),
        "layer0.payload_reads": 3 * 10,
        "layer0.w_f_reads": 3 * 10,
        "layer0.spike_additions": 3 * 10,
        "readout.list_writes": 7,
    }
    assert {name: found[name].tolist() for name in expected} == {
        name: [count] * 2 for name, count in expected.items()
    }


def test_accesses_of_a_delay_line() -> None:
    """Ten timesteps by four are three blocks. Of 9 inputs, 8 a word, a slot has two words; delays
    of 5 timesteps need four slots, half of them a memory: 4 words are cleared in each of two.
    """
    params = LayerParams(9, 6, 0, max_delay=5)
    core = CoreParams(
        NetworkParams("late", (params,), ReadoutParams(6, 2)),
        HardwareParams(2, 4, 2, access_counters=True),
    )
    assert core.layers[0].n_groups == 3
    events = [0, 1, 0, 2, 0, 0, 3, 1, 0, 0]
    layer = counted(events, [2, 4, 0], [0] * 10)
    layer.arrivals, layer.arrival_slots = np.array([9, 8]), np.array([11, 8])
    found = accesses(core, two_sequences(core, [layer], [0, 0, 0]))
    expected = {
        "delays_reads": [9, 8],
        "ring_reads": [11 + 3 * 2, 8 + 3 * 2],
        "ring_writes": [11 + 3 * 2 + 2 * 4, 8 + 3 * 2 + 2 * 4],
        # What leaves comes in blocks, though the layer is the first one.
        "list_writes": [6, 6],
        "payload_writes": [2 * 6, 2 * 6],
        "payload_reads": [3 * 6, 3 * 6],
        "list_reads": [3 * (1 + 2), 3 * (1 + 2)],
        "spike_additions": [3 * 7, 3 * 7],
    }
    assert {name: found[f"layer0.{name}"].tolist() for name in expected} == expected


def test_accesses_of_a_slow_state_row_by_row() -> None:
    """32 groups of 11 columns leave time for a row of 10 at a time; five timesteps by two, the
    current refreshed in each.
    """
    network = NetworkParams("one", (LayerParams(9, 64, 10),), ReadoutParams(64, 2))
    core = CoreParams(network, HardwareParams(2, 2, access_counters=True))
    assert core.layers[0].state_update.row_groups == 10
    layer = counted([0] * 5, [0] * 3, [0] * 5)
    found = accesses(core, two_sequences(core, [layer], [0, 0, 0]))
    expected = {
        "p_reads": 32 * 11 * 3,
        "history_reads": 32 * 11 * 3,
        "state_products": 32 * 11 * 5,
        "history_writes": 10 * 5,
        "ab_reads": 10 * 11 * 5,
        "update_products": 10 * 11 * 5,
        "m_reads": 10 * 10 * 5,
        "m_writes": 10 * 5,
    }
    assert {name: found[f"layer0.{name}"].tolist() for name in expected} == {
        name: [count] * 2 for name, count in expected.items()
    }


@pytest.mark.parametrize("seed", range(12))
def test_what_is_predicted_has_a_counter(seed: int) -> None:
    drawn = draw_network(seed, delays=seed % 2 == 1)
    core = CoreParams(drawn.network.params, drawn.hardware)
    found = accesses(core, run(drawn.network, drawn.payloads, block=drawn.hardware.block))
    names = (f"{part}.{name}" for part, of in core.parts.items() for name in of.accesses)
    assert sorted(found) == sorted(names)
    assert all(count.shape == (len(drawn.payloads),) for count in found.values())


def test_a_core_of_one_plain_layer_and_no_readout_is_waited_for() -> None:
    """Its only walk is the longest one."""
    core = CoreParams(NetworkParams("one", (LayerParams(3, 2, 0),), None))
    assert watchdog_cycles(core) > 100_000
