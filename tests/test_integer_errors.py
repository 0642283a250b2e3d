"""Integers, payloads and reports that do not fit the bit-true network are refused in one line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden.data.synthetic import draw_layers
from golden.errors import UserError
from golden.formats import Fixed
from golden.integer import run
from golden.payloads import check_integers
from tests.network_kinds import draw_whole
from tests.single_neuron import delayed, small


@pytest.mark.parametrize("reports", [(2, 1), (7,), (-1, 3)])
def test_impossible_reports(reports: tuple[int, ...]) -> None:
    drawn = draw_whole(0, n_timesteps=6, max_neurons=20, max_inputs=20)
    with pytest.raises(UserError, match=r"reports after \[.*\] timesteps: use ascending 0 to 6"):
        run(drawn.network, drawn.payloads, reports=reports)


@pytest.mark.parametrize(
    ("delays", "message"),
    [
        ([0, 1], r"layer0\.delays has the shape \(2,\): it must be \(3,\)"),
        ([0, 1, 6], r"layer0\.delays has 6 timesteps: at most 5"),
        ([0, 1, 8], r"layer0\.delays reaches"),
        ([0, 1, -1], r"layer0\.delays reaches"),
    ],
)
def test_delays_that_do_not_fit(delays: list[int], message: str) -> None:
    network = delayed([0, 1, 5], 5)
    changed = replace(network.layers[0], delays=np.array(delays))
    with pytest.raises(UserError, match=message):
        replace(network, layers=(changed, network.layers[1]))
    undelayed = replace(network.params.layers[0], max_delay=0)
    params = replace(network.params, layers=(undelayed, network.params.layers[1]))
    with pytest.raises(UserError, match=r"layer0\.delays has the shape \(3,\): it must be \(0,\)"):
        replace(network, params=params)


def test_payloads_that_do_not_fit() -> None:
    with pytest.raises(UserError, match=r"use \(sequences, timesteps, 1\)"):
        run(small(), np.zeros((2, 5, 2), np.int64))
    with pytest.raises(UserError, match=r"use \(sequences, timesteps, inputs\)"):
        run(small(), np.zeros((2, 5), np.int64))
    for value in (256, -1):
        with pytest.raises(UserError, match=f"payload {value} at sequence 0, .*: use 0 to 255"):
            run(small(), np.full((1, 1, 1), value))
    # From there on a float need not be the integer that was meant.
    assert check_integers(np.full((1, 1, 1), 2.0**53 - 1)).tolist() == [[[2**53 - 1]]]
    with pytest.raises(UserError, match="sequence 0, timestep 0, input 0: use integers"):
        check_integers(np.full((1, 1, 1), 2.0**53))
    with pytest.raises(UserError, match="payload 0.9 at sequence 0, timestep 0, input 0: use int"):
        run(small(), np.full((1, 1, 1), 0.9))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"w_f": [[128]]}, r"layer0\.w_f reaches from 128 to 128"),
        ({"w_f": [[1, 1]]}, r"layer0\.w_f has the shape \(1, 2\): it must be \(1, 1\)"),
        ({"a": [[1 << 15]]}, r"layer0\.a reaches"),
        ({"leak": 4096}, r"layer0\.leak reaches"),
        ({"threshold": -1}, r"layer0\.threshold reaches"),
        ({"threshold": 128}, r"layer0\.threshold reaches"),
        ({"b_x": 1 << 23}, r"layer0\.b_x reaches"),
        ({"alpha": 1}, r"layer0\.alpha is 1 in a network that has none: use 0"),
        ({"reset_amount": 1}, r"layer0\.reset is 1 in a network that has none: use 0"),
        ({"reset_amount": -1}, r"layer0\.reset reaches from -1"),
        ({"c_y": [1]}, r"layer0\.c_y has the shape \(1,\): it must be \(0,\)"),
        ({"leak": np.array([1])}, r"layer0\.leak has the shape \(1,\): it must be \(\)"),
    ],
)
def test_integers_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        small(**change)


def test_a_decay_above_one() -> None:
    """Which its format holds; exactly 1 may be."""
    network = small()
    formats = replace(network.params.layers[0].formats, leak=Fixed(13, 12, signed=False))
    params = replace(network.params.layers[0], formats=formats, per_neuron=("leak",))
    readout = replace(network.params.readout, leaky=True, leak=Fixed(13, 12, signed=False))
    changed = replace(network.params, layers=(params,), output=readout)
    whole = replace(network.layers[0], leak=np.array([4096]))
    assert replace(network, params=changed, layers=(whole,), leak_o=4096).leak_o == 4096
    with pytest.raises(UserError, match=r"readout\.leak_o is 1\.00024, above 1: use 0 to 1"):
        replace(network, params=changed, layers=(whole,), leak_o=4097)
    above = replace(whole, leak=np.array([4097]))
    with pytest.raises(UserError, match=r"layer0\.leak is 1\.00024, above 1: use 0 to 1"):
        replace(network, params=changed, layers=(above,), leak_o=4096)


def test_the_decay_of_one_neuron_is_above_one() -> None:
    network = draw_layers("some", (2, 3), 0, 2, seed=0)
    [layer], [params] = network.layers, network.params.layers
    formats = replace(params.formats, leak=Fixed(13, 12, signed=False))
    whole = replace(params, formats=formats, per_neuron=("leak",))
    changed = replace(network.params, layers=(whole,))
    leaks = [4096, 4097, 0]
    with pytest.raises(UserError, match=r"layer0\.leak is 1\.00024, above 1: use 0 to 1"):
        replace(network, params=changed, layers=(replace(layer, leak=np.array(leaks)),))


def test_a_readout_that_does_not_fit() -> None:
    with pytest.raises(UserError, match=r"readout\.leak_o is 1 in a network that has none: use 0"):
        replace(small(), leak_o=1)
    with pytest.raises(UserError, match=r"readout\.w_o has the shape"):
        replace(small(), w_o=np.array([[1, 2]]))
    with pytest.raises(UserError, match=r"readout\.b_o reaches"):
        replace(small(), b_o=np.array([0, 1 << 24]))
