"""Choosing scales and rounding: nothing is clamped that need not be."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.errors import UserError
from golden.formats import GRADED, Fixed
from golden.integer import run
from golden.params import LayerFormats
from golden.quantize import choose_formats, fit, fit_decay, fit_least_error, quantize
from golden.reals import LayerRanges, LayerReals, NetworkReals, run_reals


@pytest.mark.parametrize(
    ("magnitude", "fmt", "frac"),
    [
        (1.0, Fixed(8), 6),  # 128 would be one too many
        (127 / 128, Fixed(8), 7),
        (127.49 / 128, Fixed(8), 7),
        (127.5 / 128, Fixed(8), 6),  # rounds up to 128
        (1.0, Fixed(16), 14),
        (100.0, Fixed(8), 0),
        (1000.0, Fixed(8), -3),
        (1.0, Fixed(8, signed=False), 7),
        (0.0, Fixed(8), 16),
        (1e-30, Fixed(8), 16),
    ],
)
def test_fit_by_hand(magnitude: float, fmt: Fixed, frac: int) -> None:
    assert fit(magnitude, fmt) == replace(fmt, frac=frac)


@given(st.floats(1e-4, 1e4), st.integers(4, 24))
def test_fit_is_the_finest_that_clamps_nothing(magnitude: float, width: int) -> None:
    fmt = fit(magnitude, Fixed(width))
    finer = replace(fmt, frac=fmt.frac + 1)
    assert math.floor(magnitude * 2.0**fmt.frac + 0.5) <= fmt.max
    assert fmt.frac == 2 * width or math.floor(magnitude * 2.0**finer.frac + 0.5) > fmt.max


def test_an_outlier_is_clamped_where_that_is_the_smaller_error() -> None:
    many = np.linspace(-0.9, 0.9, 20_001)
    assert fit_least_error(many, Fixed(8)).frac == 7
    assert fit_least_error(np.append(many, 1.05), Fixed(8)).frac == 7
    assert fit_least_error(np.append(many, [9.0] * 100), Fixed(8)).frac == 3
    # Three scales finer than without clamping, though a fourth would be better still.
    few_outliers = np.append(np.linspace(-0.05, 0.05, 2_000_000), 4.0)
    assert fit_least_error(few_outliers, Fixed(8)).frac == 4 + 3
    assert fit_least_error(np.array([1.0]), Fixed(8)).frac == 6, (
        "the coarsest of equals: 1 must be exact"
    )
    assert fit_least_error(np.zeros((3, 4)), Fixed(8)).frac == 16


def test_m_gives_way_where_x_would_leave_its_range() -> None:
    """Choose formats for a large drive, a small state, and a B that leaves nothing between their
    scales.
    """
    one = np.ones((1, 1))
    delays = np.zeros(0, np.int64)
    layer = LayerReals(0.5 * one, one[0], 0.0, 0.9 * one, one[0], one, 0 * one[0], delays)
    f = choose_formats(layer, LayerRanges(x=100.0, m=0.1, u=1.0), LayerFormats())
    assert f.x.frac == 8 and f.m.frac < 17
    assert f.a.frac + f.m.frac == f.b.frac + f.x.frac and f.b.frac <= 14 and f.v.frac <= 6


@pytest.mark.parametrize(
    ("decay", "width"),
    [
        (0.5, 12),
        (4095 / 4096, 12),
        (4095.49 / 4096, 12),
        (4095.5 / 4096, 13),  # rounds to 1
        (1.0, 13),
        (np.array([0.5, 1.0, 0.25]), 13),
    ],
)
def test_a_decay_of_one_has_a_format(decay: Any, width: int) -> None:
    fmt = fit_decay(decay, Fixed(12, 12, signed=False))
    assert fmt == Fixed(width, 12, signed=False)
    assert np.abs(fmt.to_real(fmt.quantize(decay)) - decay).max() <= 2.0**-13


def by_hand(**given: Any) -> LayerReals:
    """Return a layer of two neurons and one input, a byte, whose values are few."""
    empty = np.zeros(0)
    values: dict[str, Any] = {
        "w_f": np.array([[0.75], [1.5]]), "w_x": np.zeros(1), "b_x": 0.0,
        "a": np.zeros((0, 0)), "b": empty, "w_m": np.zeros((2, 0)), "c": np.array([0.25, -0.5]),
        "leak": 0.75, "payload": GRADED,
    }  # fmt: skip
    return LayerReals(**values | given)


def single(layer: LayerReals, **given: Any) -> NetworkReals:
    return NetworkReals((layer,), np.array([[1.0, -0.5]]), np.array([0.125]), **given)


BYTES = np.array([[[128], [0], [64]]])  # 1/2, 0 and 1/4


def test_a_plain_layer_by_hand() -> None:
    """Membranes are 0.625, 0.71875, 0.9765625 and 0.25, -0.3125, -0.359375; the threshold of 1 is
    the largest value, and needs 1.14 bits more than the 15 of its format: 14 fractional bits. W_f
    is exact with 6 fractional bits.
    """
    done = quantize(single(by_hand()), BYTES, "hand")
    (params,), (layer,) = done.network.params.layers, done.network.layers
    f = params.formats
    assert done.ranges[0].u == 0.9765625 and (f.u, f.w_f) == (Fixed(16, 14), Fixed(8, 6))
    assert layer.w_f.tolist() == [[48], [96]] and layer.c.tolist() == [4096, -8192]
    assert (layer.leak, layer.threshold) == (3072, 16384)
    assert f.leak == LayerFormats().leak and (f.y, f.alpha) == (LayerFormats().y, f.leak)
    assert not params.own_reset and not params.synapse and params.per_neuron == ()
    readout = done.network.params.readout
    assert readout.w_o == Fixed(8, 6) and done.network.w_o.tolist() == [[64, -32]]
    assert done.network.b_o.tolist() == [8] and not readout.leaky and done.network.leak_o == 0


def test_a_network_without_a_readout() -> None:
    """Its layers are those of the same network with one, and its output is their spikes."""
    with_readout = quantize(single(by_hand()), BYTES, "hand").network
    alone = NetworkReals((by_hand(),), np.zeros((0, 2)), np.zeros(0))
    assert run_reals(alone, BYTES).logits.shape == (1, 0)
    done = quantize(alone, BYTES, "hand").network
    assert done.params.output is None and done.params.layers == with_readout.params.layers
    assert done.layers[0].w_f.tolist() == with_readout.layers[0].w_f.tolist()


@pytest.mark.parametrize(("strict", "first"), [(False, 15), (True, 16)])
def test_a_membrane_at_its_threshold_fires_but_where_that_is_strict(
    strict: bool, first: int
) -> None:
    """A 16th a timestep makes exactly 1 in the 16th. What a reset subtracts stays the threshold."""
    layer = by_hand(
        w_f=np.zeros((2, 1)), c=np.full(2, 0.0625), leak=1.0, threshold=1.0, strict=strict
    )
    network, payloads = single(layer), np.zeros((1, 40, 1), np.int64)
    done = quantize(network, payloads, "hand").network
    (params,), (integers,) = done.params.layers, done.layers
    one = 1 << params.formats.u.frac
    assert (integers.threshold, params.own_reset) == (one + strict, strict)
    assert integers.reset == one * strict
    (traced,) = run(done, payloads, trace=True).layers
    assert traced.spikes is not None
    for spikes in (traced.spikes[0], run_reals(network, payloads).spikes[0][0]):
        assert np.flatnonzero(spikes[:, 0]).tolist() == [first, first + 16]


def test_a_threshold_of_zero_is_one_where_neurons_fire_above_it() -> None:
    layer = by_hand(
        w_f=np.zeros((2, 1)), c=np.array([0, 0.0625]), threshold=0.0, strict=True, reset="to_value"
    )
    network, payloads = single(layer), np.zeros((1, 5, 1), np.int64)
    done = quantize(network, payloads, "hand").network
    (traced,) = run(done, payloads, trace=True).layers
    assert traced.spikes is not None and done.layers[0].threshold == 1
    for spikes in (traced.spikes[0], run_reals(network, payloads).spikes[0][0]):
        assert spikes.tolist() == [[False, True]] * 5


def test_a_synaptic_current_by_hand() -> None:
    """y is 0.4375, 0.28125, 0.390625 and 0.75, 0.375, 0.5625; with its headroom of 1.25 it has
    15 fractional bits, as its bias has. Decays of half a neuron and of one are widened to 13 bits.
    """
    layer = by_hand(
        alpha=np.array([0.5, 0.5]), c_y=np.array([0.0625, 0.0]), leak=np.array([1.0, 0.25]),
        threshold=np.array([2.5, 0.5]), reset="subtract", reset_amount=0.625,
        decay_rounding="toward_zero",
    )  # fmt: skip
    given: dict[str, Any] = {"leak": 0.875, "report": "max", "decay_rounding": "toward_zero"}
    done = quantize(single(layer, **given), BYTES, "hand")
    (params,), (found,) = done.network.params.layers, done.network.layers
    f = params.formats
    assert (done.ranges[0].y, f.y) == (0.75, Fixed(16, 15)) and found.c_y.tolist() == [2048, 0]
    assert params.synapse and params.own_reset and params.decay_rounding == "toward_zero"
    assert params.per_neuron == ("leak", "threshold"), "of two equal alphas there is one"
    assert found.alpha == 2048 and np.array_equal(found.leak, [4096, 1024])
    assert f.leak == Fixed(13, 12, signed=False) and f.alpha == Fixed(12, 12, signed=False)
    assert f.u == Fixed(16, 13), "2.5 is the largest"
    assert np.array_equal(found.threshold, [20480, 4096]) and found.reset == 5120
    readout = done.network.params.readout
    assert (readout.leaky, readout.leak, readout.report) == (True, f.alpha, "max")
    assert readout.decay_rounding == "toward_zero"
    assert done.network.leak_o == 3584


def test_a_current_that_its_bias_cancels_has_a_format_for_the_bias() -> None:
    """0.375 and 0.75 arrive; -0.375 and -0.75 are taken again."""
    layer = by_hand(alpha=0.5, c_y=np.array([-0.375, -0.75]), threshold=0.1)
    done = quantize(single(layer), BYTES[:, :1], "hand")
    (params,), (found,) = done.network.params.layers, done.network.layers
    assert done.ranges[0].y == 0 and params.formats.y == Fixed(16, 15)
    assert found.c_y.tolist() == [-12288, -24576] and not any(done.clamped.values())


@pytest.mark.parametrize(
    ("given", "own_reset", "per_neuron", "reset"),
    [
        ({}, False, (), 0),
        ({"reset_amount": 1.0}, False, (), 0),
        ({"reset_amount": 1.0 + 2**-17}, False, (), 0),  # the same integer
        ({"reset_amount": 0.75}, True, (), 0.75),
        ({"reset_amount": np.array([0.75, 0.75])}, True, (), 0.75),
        ({"reset_amount": np.array([0.75, 0.5])}, True, ("reset",), [0.75, 0.5]),
        ({"reset_amount": 0.0}, True, (), 0),
        ({"reset_amount": 4.0}, True, (), 4.0),
        ({"threshold": np.array([0.5, 0.75])}, False, ("threshold",), 0),
        ({"threshold": np.array([0.5, 0.75]), "reset_amount": np.array([0.5, 0.75])}, False,
         ("threshold",), 0),
        ({"threshold": np.array([0.5, 0.5])}, False, (), 0),
        ({"leak": np.array([0.5, 0.5 + 2**-14])}, False, (), 0),
        ({"reset": "to_value"}, False, (), 0),
        ({"reset": "to_value", "reset_amount": 0.0}, False, (), 0),
        ({"reset": "to_value", "reset_amount": -0.5}, True, (), -0.5),
        ({"reset": "to_value", "reset_amount": -9.0}, True, (), -9.0),
        ({"reset": "none"}, False, (), 0),
    ],
)  # fmt: skip
def test_only_what_differs_is_a_value_of_its_own(
    given: dict[str, Any], own_reset: bool, per_neuron: tuple[str, ...], reset: Any
) -> None:
    network = quantize(single(by_hand(**given)), BYTES, "hand").network
    (params,), (layer,) = network.params.layers, network.layers
    assert (params.own_reset, params.per_neuron) == (own_reset, per_neuron)
    assert np.array_equal(params.formats.u.to_real(np.asarray(layer.reset)), reset)


TINY = replace(LayerFormats(), u=Fixed(4))


@pytest.mark.parametrize(
    ("given", "widths", "message"),
    [
        ({"leak": 1.5}, None, "layer0.leak is 1.5: use 0 to 1"),
        ({"threshold": 9.0}, None, "layer0.threshold is 9, which no membrane can reach: use"),
        (
            {"threshold": np.array([1.0, 1e-7])},
            None,
            "threshold of neuron 1 is 1e-07, which is 0 in its format u15.14: use 3.05176e-05 or",
        ),
        ({"threshold": np.array([1e9, 1.0])}, None, "threshold of neuron 1 is 1, which is 0 in"),
        ({"reset_amount": 1e-7}, None, "layer0.reset_amount is 1e-07, which is 0 in its format"),
        ({"reset_amount": 1e9}, None, "layer0.threshold is 1, which is 0 in its format u15.-15"),
        ({"reset_amount": 20.0}, TINY, "layer0.threshold is 1, which is 0 in its format u3.-2"),
        (
            {
                "w_f": np.array([[2e9], [1.0]]), "threshold": 1e9, "a": np.zeros((1, 1)),
                "b": np.zeros(1), "w_m": np.zeros((2, 1)),
            },
            None,
            "layer0: the formats ask for a current shift of",
        ),
    ],
)  # fmt: skip
def test_what_no_format_holds_is_refused(
    given: dict[str, Any], widths: LayerFormats | None, message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        quantize(single(by_hand(**given)), BYTES, "hand", widths or LayerFormats())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("payloads", "message"),
    [
        (np.zeros((0, 3, 1), int), "no sequences for the calibration: use at least one"),
        (np.zeros((3, 1), int), r"the calibration: payloads of shape \(3, 1\): use \(seq"),
        (np.zeros((1, 3, 2), int), r"shape \(1, 3, 2\): use \(sequences, timesteps, 1\)"),
        (BYTES * 0.3, "the calibration: payload .* at sequence 0, timestep .*, input 0: use integ"),
        (BYTES * 2, "the calibration: payload 256 at sequence 0, timestep .*: use 0 to 255"),
        (-BYTES, "the calibration: payload -.* at sequence 0, timestep .*: use 0 to 255"),
        (BYTES.tolist(), "the calibration: payloads in a list: use an array of NumPy"),
        ([BYTES[0], BYTES[0, :2]], "the calibration: sequences of 2 to"),
    ],
)  # fmt: skip
def test_inputs_out_of_range_are_refused(payloads: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        quantize(single(by_hand()), payloads, "hand")


def test_a_report_that_does_not_exist_is_refused() -> None:
    kind: Any = "mean"
    with pytest.raises(UserError, match="report 'mean': use last or max"):
        quantize(single(by_hand(), report=kind), BYTES, "hand")
