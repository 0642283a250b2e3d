"""Quantized networks against the reals that they come from: off by their roundings only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden.formats import SPIKE, Fixed
from golden.integer import LayerIntegers, NetworkIntegers, run
from golden.params import LayerFormats, LayerParams
from golden.quantize import quantize
from golden.reals import NetworkReals, run_reals
from golden.runs import LayerRun
from tests.real_networks import draw_reals

WIDE = LayerFormats(
    *(SPIKE, Fixed(20), Fixed(20), Fixed(20), Fixed(22), Fixed(24), Fixed(24), Fixed(26)),
    bias_width=28, drive_bias_width=40, y=Fixed(26), synapse_bias_width=28,
)  # fmt: skip


def decay_error(params: LayerParams) -> float:
    """Return what the rounding of a decay can be off by, in steps of its format."""
    return 0.5 if params.decay_rounding == "half_up" else 1.0


def arithmetic_errors(
    params: LayerParams, layer: LayerIntegers, traced: LayerRun, received: np.ndarray
) -> tuple[float, float]:
    """Return the largest error of the synaptic current and of the membrane before its reset, each
    as a share of the bound that the roundings on its way add up to.

    The values are those of the equations in reals, with the coefficients that the integers stand
    for, the slow state that the integers had, and the spikes that they sent.
    """
    f, (batch, n_timesteps, _) = params.formats, received.shape
    assert traced.spikes is not None and traced.membrane is not None
    assert traced.state is not None and traced.drive is not None and traced.synapse is not None
    w_f, c, c_y = f.w_f.to_real(layer.w_f), f.c.to_real(layer.c), f.c_y.to_real(layer.c_y)
    leak, alpha = (
        fmt.to_real(np.asarray(v)) for fmt, v in ((f.leak, layer.leak), (f.alpha, layer.alpha))
    )
    threshold = f.u.to_real(np.asarray(layer.threshold))
    amount = f.u.to_real(np.asarray(layer.reset)) if params.own_reset else threshold
    steps = {name: 2.0 ** -getattr(f, name).frac for name in ("u", "y")}
    off = decay_error(params)
    u, h, y = (np.zeros((batch, params.n_neurons)) for _ in range(3))
    u_bound, y_bound, worst_u, worst_y = np.zeros_like(u), np.zeros_like(y), 0.0, 0.0
    state, own = np.zeros((batch, params.n_state)), np.zeros((batch, 0))
    for k in range(n_timesteps):
        if params.recurrent:
            before = traced.spikes[:, k - 1] if k else np.zeros((batch, params.n_neurons), bool)
            own = before * f.payload.to_real(np.array(f.payload.max))
        driving = np.concatenate([received[:, k], own], 1) @ w_f.T
        if params.n_state and k % params.dilation == 0:
            x = f.x.to_real(traced.drive[:, k])
            h = state @ f.p.to_real(layer.p).T + x[:, None] * f.v.to_real(layer.v)
        state = f.m.to_real(traced.state[:, k])
        # Half a step for what is rounded once: the sum of spikes, the current into u's scale, h.
        u_step = 0.5 + 0.5 * bool(params.n_state) + off
        if params.synapse:
            y = alpha * y + driving + c_y
            y_bound = alpha * y_bound + (0.5 + off) * steps["y"]
            worst_y = max(worst_y, float((np.abs(f.y.to_real(traced.synapse[:, k]) - y)
                                          / y_bound).max()))  # fmt: skip
            driving = y
        u = leak * u + driving + h + c
        u_bound = leak * u_bound + u_step * steps["u"] + params.synapse * y_bound
        fired = traced.spikes[:, k]
        beside = np.abs(u - threshold) <= u_bound
        assert ((u >= threshold) == fired)[~beside].all()
        if params.reset == "subtract":
            u = np.where(fired, u - amount, u)
        elif params.reset == "to_value":
            u = np.where(fired, amount if params.own_reset else 0.0, u)
            u_bound = np.where(fired, 1e-12, u_bound)
        error = np.abs(f.u.to_real(traced.membrane[:, k]) - u)
        worst_u = max(worst_u, float((error / u_bound).max()))
    return worst_u, worst_y


def check_coefficients(reals: NetworkReals, network: NetworkIntegers) -> None:
    """Every coefficient is within half a step of its real, but for those that are clamped."""
    for real, layer, params in zip(
        reals.layers, network.layers, network.params.layers, strict=True
    ):
        f = params.formats
        values: dict[str, Any] = {
            "w_f": real.w_f, "w_x": real.w_x, "b_x": real.b_x, "c": real.c, "leak": real.leak,
            "p": real.w_m @ real.a, "threshold": real.threshold, "c_y": real.c_y,
        }  # fmt: skip
        if real.alpha is not None:
            values["alpha"] = real.alpha
        for name, value in values.items():
            fmt, found = getattr(f, name), np.asarray(getattr(layer, name))
            error = np.abs(fmt.to_real(found) - value) * 2.0**fmt.frac
            assert ((error <= 0.5) | (found == fmt.max) | (found == fmt.min)).all(), name
        amount = np.asarray(layer.reset if params.own_reset else layer.threshold)
        if real.reset != "none":
            wanted = real.taken()
            found = amount if params.own_reset or real.reset == "subtract" else np.zeros(())
            assert np.abs(f.u.to_real(found) - wanted).max() <= 2.0**-f.u.frac / 2
        assert params.recurrent == real.recurrent and params.dilation == real.dilation
        assert np.array_equal(layer.delays, real.delays)


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("widths", [LayerFormats(), WIDE], ids=["narrow", "wide"])
def test_whole_neurons_are_off_by_their_roundings_only(seed: int, widths: LayerFormats) -> None:
    drawn = draw_reals(seed)
    quantized = quantize(drawn.network, drawn.payloads, "some", widths)
    network = quantized.network
    check_coefficients(drawn.network, network)
    done = run(network, drawn.payloads, trace=True)
    received = drawn.payloads * 2.0 ** -drawn.network.layers[0].payload.frac
    for params, layer, traced in zip(
        network.params.layers, network.layers, done.layers, strict=True
    ):
        assert traced.spikes is not None
        for name in ("drive", "state", "synapse", "membrane"):
            assert not getattr(traced, f"{name}_saturations").any(), name
        if params.max_delay:
            received = delayed(received, layer.delays)
        worst_u, worst_y = arithmetic_errors(params, layer, traced, received)
        assert worst_u <= 1 and worst_y <= 1, (worst_u, worst_y)
        received = traced.spikes.astype(float)


def delayed(values: np.ndarray, delays: np.ndarray) -> np.ndarray:
    found = np.zeros_like(values)
    for j, delay in enumerate(delays):
        found[:, delay:, j] = values[:, : values.shape[1] - delay, j]
    return found


def test_integers_spike_and_classify_as_the_reals() -> None:
    """In wide formats a network does what its reals do, but for membranes within a rounding of
    their threshold, and what follows from them; in narrow ones it classifies as they do.
    """
    agreement: dict[str, list[float]] = {"spikes": [], "wide": [], "narrow": []}
    for seed in range(24):
        drawn = draw_reals(seed)
        reals = run_reals(drawn.network, drawn.payloads)
        classes = reals.logits.argmax(1)
        for name, widths in (("wide", WIDE), ("narrow", LayerFormats())):
            network = quantize(drawn.network, drawn.payloads, "some", widths).network
            done = run(network, drawn.payloads, trace=True)
            agreement[name].append(float((done.classes == classes).mean()))
            if name == "wide":
                spikes = [layer.spikes for layer in done.layers]
                same = [a == b for a, b in zip(spikes, reals.spikes, strict=True)]
                agreement["spikes"].append(float(np.mean([of.mean() for of in same])))
                if all(of.all() for of in same):
                    readout = network.params.readout
                    # In each of 40 timesteps, half a step of every weight and of the bias, and a
                    # step of the leak.
                    off = 40 * (readout.n_inputs / 2 + 1.5) * 2.0**-readout.w_o.frac
                    found = readout.logit.to_real(done.logits)
                    np.testing.assert_allclose(found, reals.logits, atol=off, rtol=0)
    mean = {name: float(np.mean(values)) for name, values in agreement.items()}
    print(mean)
    assert mean["spikes"] > 0.999 and mean["wide"] > 0.97 and mean["narrow"] > 0.93, mean
