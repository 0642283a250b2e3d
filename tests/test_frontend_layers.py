"""Networks from arrays: what they compute, and what is refused in one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dmp_core.frontends.layers import Lif, Readout, from_layers
from golden.errors import UserError
from golden.formats import GRADED, SPIKE, Fixed
from golden.integer import run
from golden.params import LayerFormats
from golden.quantize import quantize
from golden.reals import run_reals

RNG = np.random.default_rng(14)
W1, W2, W3 = RNG.normal(0.2, 0.5, (9, 5)), RNG.normal(0.1, 0.4, (7, 9)), RNG.normal(size=(3, 7))
PAYLOADS = (np.random.default_rng(1).random((6, 60, 5)) < 0.3).astype(np.int64)


def test_three_lines_are_a_network() -> None:
    """Its spikes are those of the neuron's equation, written out here."""
    imported = from_layers([Lif(W1), Lif(W2, leak=0.5, threshold=0.8, reset="none")], Readout(W3))
    done = run_reals(imported.network, PAYLOADS)
    u1, u2, v = np.zeros((6, 9)), np.zeros((6, 7)), np.zeros((6, 3))
    for k in range(60):
        u1 = 0.9 * u1 + PAYLOADS[:, k] @ W1.T
        first = u1 >= 1
        u1 = u1 - first
        u2 = 0.5 * u2 + first @ W2.T
        v = v + (u2 >= 0.8) @ W3.T
        assert np.array_equal(done.spikes[0][:, k], first)
        assert np.array_equal(done.spikes[1][:, k], u2 >= 0.8)
    assert 0.05 < done.spikes[1].mean() < 0.9
    np.testing.assert_allclose(done.logits, v)
    assert "layer1" in imported.report() and "7 neurons of 9 inputs" in imported.report()


@pytest.mark.parametrize("payload", [SPIKE, GRADED, Fixed(4, 1)])
def test_every_value_has_its_place(payload: Fixed) -> None:
    """Against the equation: a current, biases, own spikes, values a neuron; whatever is received,
    an own spike is worth the recurrent weight.
    """
    rng = np.random.default_rng(2)
    own = rng.normal(0, 0.3, (9, 9))
    values: Any = {name: rng.uniform(0.3, 0.8, 9) for name in ("leak", "alpha", "threshold")}
    bias, current = rng.normal(0, 0.05, (2, 9))
    layer = Lif(
        W1, bias, reset="to_value", reset_amount=rng.uniform(-0.2, 0.1, 9), recurrent=own,
        current_bias=current, strict=True, **values,
    )  # fmt: skip
    network = from_layers([layer], payload=payload).network
    payloads = PAYLOADS * rng.integers(payload.min, payload.max + 1, PAYLOADS.shape)
    done = run_reals(network, payloads)
    y, u, fired = np.zeros((6, 9)), np.zeros((6, 9)), np.zeros((6, 9), bool)
    for k in range(60):
        received = payloads[:, k] * 2.0**-payload.frac
        y = values["alpha"] * y + received @ W1.T + fired @ own.T + current
        u = values["leak"] * u + y + bias
        fired = u > values["threshold"]
        u = np.where(fired, layer.reset_amount, u)
        assert np.array_equal(done.spikes[0][:, k], fired)
    assert 0.02 < done.spikes[0].mean() < 0.98 and not network.b_o.size


def test_delays_are_whole_timesteps() -> None:
    network = from_layers([Lif(W1, delays=[0, 3, 1, 0, 2])], Readout(np.eye(9))).network
    late = np.zeros_like(PAYLOADS)
    for j, delay in enumerate([0, 3, 1, 0, 2]):
        late[:, delay:, j] = PAYLOADS[:, : 60 - delay, j]
    expected = run_reals(from_layers([Lif(W1)]).network, late).spikes[0]
    assert np.array_equal(run_reals(network, PAYLOADS).spikes[0], expected)
    assert network.layers[0].max_delay == 3


def test_it_becomes_integers() -> None:
    network = from_layers([Lif(W1), Lif(W2)], Readout(W3, leak=0.9, report="max")).network
    wide = LayerFormats(w_f=Fixed(16), u=Fixed(24), bias_width=24, leak=Fixed(16, 16, signed=False))
    integers = quantize(network, PAYLOADS, "mine", wide, w_o_width=16).network
    assert integers.params.readout.w_o.width == 16
    agree = run(integers, PAYLOADS).classes == run_reals(network, PAYLOADS).logits.argmax(1)
    assert agree.all()


NAN = np.where(np.arange(45).reshape(9, 5) == 7, np.nan, 0.5)
UNKNOWN: Any = "other"
BAD: list[tuple[Any, Any, str]] = [
    ([], None, "no layers: use at least one"),
    ([Lif(NAN)], None, r"layer0\.weights has nan at \(1, 2\): use finite numbers"),
    ([Lif(W1, bias=[np.inf] * 9)], None, r"layer0\.bias has inf at \(0,\)"),
    ([Lif(W1, leak=float("nan"))], None, r"layer0\.leak has nan at \(\)"),
    ([Lif(W1, leak=1.01)], None, r"layer0\.leak is 1\.01: use 0 to 1"),
    ([Lif(W1, leak=[-0.1] * 9)], None, r"layer0\.leak of neuron 0 is -0\.1: use 0 to 1"),
    ([Lif(W1, alpha=1.5)], None, r"layer0\.alpha is 1\.5: use 0 to 1"),
    ([Lif(W1, leak=[0.5] * 8)], None, r"layer0\.leak has the shape \(8,\): use \(9\)"),
    ([Lif(W1), Lif(W1)], None, "layer1 has 5 inputs, but layer0 9 neurons: use as many"),
    ([Lif(W1), Lif(W1, name="out")], None, "out has 5 inputs, but layer0 9 neurons"),
    ([Lif(W1[0])], None, r"layer0\.weights has the shape \(5,\): use \(any, any\)"),
    ([Lif(np.zeros((0, 5)))], None, r"layer0\.weights has the shape \(0, 5\)"),
    ([Lif([[1, 2], [3]])], None, r"layer0\.weights is no array of numbers"),
    ([Lif([["a"]])], None, r"layer0\.weights is no array of numbers"),
    ([Lif(W1, bias=np.zeros(5))], None, r"layer0\.bias has the shape \(5,\): use \(9\)"),
    ([Lif(W1, recurrent=W1)], None, r"layer0\.recurrent has the shape \(9, 5\): use \(9, 9\)"),
    ([Lif(W1, current_bias=np.ones(9))], None, r"layer0\.current_bias without a synaptic"),
    ([Lif(W1, delays=[0.5] * 5)], None, r"layer0\.delays has 0\.5 timesteps: use whole"),
    ([Lif(W1, delays=[256] * 5)], None, r"layer0\.delays has 256 timesteps"),
    ([Lif(W1, threshold=0)], None, r"layer0\.threshold is 0, which a membrane at rest"),
    ([Lif(W1, threshold=1e9)], None, r"layer0\.threshold is 1e\+09, which no membrane can reach"),
    ([Lif(W1, reset=UNKNOWN)], None, r"layer0\.reset 'other': use subtract"),
    ([Lif(W1)], Readout(W3), r"readout\.weights has the shape \(3, 7\): use \(any, 9\)"),
    ([Lif(W2)], Readout(W3, bias=[0]), r"readout\.bias has the shape \(1,\): use \(3\)"),
    ([Lif(W2)], Readout(W3, leak=2), r"readout\.leak is 2: use 0 to 1"),
    ([Lif(W2)], Readout(W3, report=UNKNOWN), r"readout\.report 'other': use last or max"),
]


@pytest.mark.parametrize(("layers", "readout", "message"), BAD)
def test_what_cannot_be_is_refused_in_one_line(layers: Any, readout: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        from_layers(layers, readout)
    assert "\n" not in str(refused.value)
