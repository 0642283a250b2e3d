"""Each step of the bit-true network against examples worked by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden.formats import Fixed
from golden.integer import LayerIntegers, NetworkIntegers, run
from golden.params import LayerFormats, LayerParams, NetworkParams
from golden.readout_params import ReadoutParams
from tests.integer_reference import compare
from tests.single_neuron import delayed, small


def test_what_arrives_comes_out_its_delay_later() -> None:
    """Inputs of delays 0, 1, 3 all arrive at timesteps 0 and 3 of 6: out at 0, 3; 1, 4; 3, and 6,
    which there is not, nor in the sequence behind it. A layer further, 2 timesteps later still.
    """
    payloads = np.zeros((2, 6, 3), np.int64)
    payloads[0, [0, 3]] = 1
    payloads[1, 5, 0] = 1
    done = run(delayed([0, 1, 3], 3), payloads, block=4, trace=True)
    first, second = done.layers
    assert first.events.tolist() == [[1, 1, 0, 2, 1, 0], [0, 0, 0, 0, 0, 1]]
    assert first.spike_counts.tolist() == [[1, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 1]]
    assert second.events.tolist() == [[0, 0, 1, 1, 0, 1], [0] * 6]
    assert first.addresses.tolist() == [[3, 1], [0, 1]]
    assert second.addresses.tolist() == [[1, 1], [0, 0]]
    # From outside an event each, to one block; from a layer its address once a block: of timesteps
    # 0, 1, 3, some come out in their block and some behind it, of timestep 4 all in it.
    assert first.arrivals is not None and first.arrival_slots is not None
    assert first.arrivals.tolist() == first.arrival_slots.tolist() == [6, 1]
    assert second.arrivals is not None and second.arrival_slots is not None
    assert second.arrivals.tolist() == [2, 1] and second.arrival_slots.tolist() == [3, 1]


def test_own_spikes_come_back_a_timestep_later() -> None:
    """An input of 3 makes a neuron fire; its own spike has the largest payload, 255: halved, 127.5,
    rounded up and clamped to 127, so that it fires for ever.
    """
    network = own_spikes(w_f=[[11, 1]])
    done = run(network, np.array([[[3], [0], [0]], [[0], [3], [0]]]), trace=True)
    layer = done.layers[0]
    assert layer.spikes is not None and layer.membrane is not None
    assert layer.spikes[:, :, 0].tolist() == [[True, True, True], [False, True, True]]
    assert layer.membrane[:, :, 0].tolist() == [[1, 111, 111], [0, 1, 111]]
    assert layer.events.tolist() == [[1, 1, 1], [0, 1, 1]]
    # An inhibitory one silences it, however much arrives.
    done = run(own_spikes(w_f=[[11, -1]]), np.array([[[3], [3], [3]]]), trace=True)
    assert done.layers[0].spike_counts.tolist() == [[1, 0, 1]]


def test_an_address_counts_once_a_block() -> None:
    """Input 0 at timesteps 0, 1, 2, 4 of 5, and the neuron, which it makes fire, likewise."""
    payloads = np.array([16, 16, 16, 0, 16])[None, :, None]
    for block, expected in {1: [1, 1, 1, 0, 1], 2: [1, 1, 1], 4: [1, 1], 8: [1]}.items():
        done = run(small(w_f=[[2]]), payloads, block=block)
        assert done.layers[0].addresses.tolist() == [expected]
        assert done.readout_addresses.tolist() == [expected]
        assert done.layers[0].events.tolist() == done.layers[0].spike_counts.tolist()
        assert done.layers[0].events.tolist() == [[1, 1, 1, 0, 1]]


def own_spikes(w_f: list[list[int]]) -> NetworkIntegers:
    """Return `small` without its slow state and leak, and recurrent."""
    network = small(w_f=[[0]], leak=0)
    none = np.zeros(0, np.int64)
    layer = replace(
        network.layers[0], w_f=np.array(w_f), a=none.reshape(0, 0), b=none, p=none.reshape(1, 0)
    )
    params = replace(network.params.layers[0], n_state=0, recurrent=True)
    return replace(network, params=replace(network.params, layers=(params,)), layers=(layer,))


def trace(network: NetworkIntegers, *payloads: int) -> dict[str, list[Any]]:
    """Run one sequence and return its trace."""
    done = run(network, np.array(payloads)[None, :, None], trace=True)
    layer = done.layers[0]
    traces = {"u": layer.membrane, "m": layer.state, "x": layer.drive, "spikes": layer.spikes}
    return {
        name: array[0].reshape(-1).tolist() for name, array in traces.items() if array is not None
    }


def test_synaptic_sums_round_half_up() -> None:
    # Weights are in halves of u's unit: 3 halves are 2, -3 halves are -1.
    assert trace(small(w_f=[[3]]), 1)["u"] == [2]
    assert trace(small(w_f=[[-3]]), 1)["u"] == [-1]


def test_the_leak_rounds_half_up() -> None:
    # 15, then half of it: 7.5 -> 8, 4, 2, 1, 0.5 -> 1, and 1 for ever.
    assert trace(small(w_f=[[30]]), 1, 0, 0, 0, 0, 0)["u"] == [15, 8, 4, 2, 1, 1]
    # -15: -7.5 -> -7, -3.5 -> -3, -1.5 -> -1, -0.5 -> 0.
    assert trace(small(w_f=[[-30]]), 1, 0, 0, 0, 0)["u"] == [-15, -7, -3, -1, 0]


def test_the_membrane_saturates_before_it_fires() -> None:
    # 127 * 255 halves saturate to 127, so 127 - 16 is left.
    assert trace(small(w_f=[[127]]), 255) | {"m": [], "x": []} == {
        "u": [111],
        "m": [],
        "x": [],
        "spikes": [True],
    }
    assert trace(small(w_f=[[-128]]), 255)["u"] == [-128]
    done = run(small(w_f=[[127]]), np.array([[[255], [0], [255]]]))
    assert done.layers[0].membrane_saturations.tolist() == [2]


@pytest.mark.parametrize(("reset", "left"), [("subtract", [0, 4, 2]), ("to_value", [0, 0, 0])])
def test_resets(reset: str, left: list[int]) -> None:
    # 16 is just the threshold and fires; 20 fires with 4 to spare; then nothing but the leak.
    done = trace(small(w_f=[[2]], reset=reset), 16, 20, 0)
    assert done["spikes"] == [True, True, False] and done["u"] == left


def test_one_below_the_threshold_does_not_fire() -> None:
    done = trace(small(w_f=[[2]]), 15)
    assert done["spikes"] == [False] and done["u"] == [15]


def test_a_threshold_of_zero_fires_at_zero() -> None:
    assert trace(small(threshold=0), 0, 0)["spikes"] == [True, True]


def test_the_drive_rounds_and_is_never_negative() -> None:
    # w_x is in halves: 3 halves -> 2; -3 halves -> -1 -> 0; the bias adds before rounding.
    assert trace(small(w_x=[3]), 1, 0)["x"] == [2, 0]
    assert trace(small(w_x=[-3]), 1, 0)["x"] == [0, 0]
    assert trace(small(w_x=[2], b_x=1), 1, 0)["x"] == [2, 1]


def test_the_drive_saturates_and_only_above() -> None:
    done = run(small(w_x=[127]), np.array([[[255], [0]]]), trace=True)
    assert done.layers[0].drive is not None and done.layers[0].drive[0].tolist() == [127, 0]
    assert done.layers[0].drive_saturations.tolist() == [1]
    assert run(small(w_x=[-128]), np.array([[[255]]])).layers[0].drive_saturations.tolist() == [0]


def test_the_state_follows_its_recurrence() -> None:
    # a = 1/2 and b x in halves: m = x / 2 at first, then halved with halves up: 5, 2.5 -> 3, 1.5 ->
    # 2, 1, 0.5 -> 1.
    assert trace(small(w_x=[2], a=[[1]], b=[1]), 10, 0, 0, 0, 0)["m"] == [5, 3, 2, 1, 1]


def test_the_state_saturates() -> None:
    done = run(small(w_x=[2], b=[1000]), np.array([[[100], [0]]]), trace=True)
    assert done.layers[0].state is not None and done.layers[0].state[0, :, 0].tolist() == [127, 0]
    assert done.layers[0].state_saturations.tolist() == [1]


def test_the_current_is_of_the_state_before_its_update() -> None:
    # p = 1: the current is m of the timestep before, here 5, 3, ...; leak 0 leaves only the
    # current.
    done = trace(small(w_x=[2], a=[[1]], b=[1], p=[[1]], leak=0), 10, 0, 0)
    assert done["m"] == [5, 3, 2] and done["u"] == [0, 5, 3]
    # v = 1: the drive of this timestep arrives at once.
    assert trace(small(w_x=[2], v=[1], leak=0), 10, 0)["u"] == [10, 0]


def test_dilation_holds_the_current_and_not_the_state() -> None:
    # v x is refreshed at timesteps 0, 3, 6 and held in between.
    network = small(w_x=[2], v=[1], leak=0, dilation=3, b=[2], threshold=100)
    done = trace(network, 1, 2, 3, 4, 5, 6, 7)
    assert done["u"] == [1, 1, 1, 4, 4, 4, 7] and done["m"] == [1, 2, 3, 4, 5, 6, 7]


def test_a_sequence_starts_from_nothing() -> None:
    network = small(w_x=[2], v=[1], a=[[1]], b=[1], dilation=2, w_f=[[2]])
    once = run(network, np.array([[[9], [3], [1]]]))
    again = run(network, np.array([[[9], [3], [1]]]))
    assert once.logits.tolist() == again.logits.tolist()


@pytest.mark.parametrize(
    ("weights", "biases", "label"),
    [
        ([1, 1], [0, 0], 0),
        ([0, 1], [0, 0], 1),
        ([1, 0], [0, 0], 0),
        ([0, 0], [-1, -1], 0),
        ([1, 0], [0, 1], 0),
    ],
)
def test_ties_go_to_the_lowest_class(weights: list[int], biases: list[int], label: int) -> None:
    network = replace(small(w_f=[[2]]), w_o=np.array(weights)[:, None], b_o=np.array(biases))
    assert run(network, np.array([[[16]]])).classes.tolist() == [label]


def test_logits_add_up_and_saturate() -> None:
    network = replace(small(w_f=[[2]]), w_o=np.array([[100], [-128]]), b_o=np.array([0, 1]))
    network = replace(
        network,
        params=replace(network.params, output=ReadoutParams(1, 2, bias_width=8, logit_width=9)),
    )
    done = run(network, np.array([[[16], [16], [16], [0]]]))
    # 100, 200, 300 -> 255, 255; -127, -254, -381 -> -256, -255.
    assert done.logits.tolist() == [[255, -255]] and done.logit_saturations.tolist() == [2]


def test_wide_accumulators_stay_exact() -> None:
    """Cancel two products of 55 bits, whose lowest bits float64 does not hold."""
    formats = LayerFormats(
        payload=Fixed(8, 0, signed=False), a=Fixed(16, 2), m=Fixed(28, 20), x=Fixed(16, 2)
    )
    formats = replace(formats, w_x=Fixed(8, 0), p=Fixed(32, 0), u=Fixed(32, 20))
    params = LayerParams(1, 1, 2, formats=formats)
    assert params.current_sum.width > 53 and params.current_shift == 0
    zeros = np.array([0])
    layer = LayerIntegers(
        np.array([[0]]), np.array([1]), 0, np.zeros((2, 2), np.int64), np.array([32767, 32767]),
        np.array([[2**31 - 1, 3 - 2**31]]), zeros, zeros, 0, 2**31 - 1,
    )  # fmt: skip
    readout = ReadoutParams(1, 2)
    network = NetworkIntegers(
        NetworkParams("wide", (params,), readout), (layer,), np.array([[1], [2]]), np.array([0, 0])
    )
    payloads = np.array([[[251], [201], [3], [255], [77], [0]]])
    done = run(network, payloads, trace=True)
    compare(done, network, payloads)
    membrane = done.layers[0].membrane
    assert membrane is not None
    # The slow state is 32767 times the payload before, and the current twice that.
    assert membrane[0, :, 0].tolist() == [
        2 * 32767 * payload for payload in (0, 251, 201, 3, 255, 77)
    ]


def test_progress_is_told_of_every_timestep() -> None:
    told: list[int] = []
    run(small(), np.zeros((2, 5, 1), np.int64), progress=told.append)
    assert told == [1] * 5
