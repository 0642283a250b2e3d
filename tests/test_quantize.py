"""Choosing scales and rounding weights: nothing is clamped that need not be, and the integers do
what the reals did.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from export.__main__ import main
from export.store import load_stored
from golden.errors import UserError
from golden.formats import Fixed
from golden.integer import run
from golden.mnist import Digits, load_mnist, to_sequences
from golden.model import DmpNetwork
from golden.params import LayerFormats, Reset
from golden.quantize import (
    LayerRanges,
    LayerReals,
    calibrate,
    choose_formats,
    evaluate_integers,
    extract,
    fit,
    fit_least_error,
    layers_of,
    quantize,
)
from golden.topology import Topology
from golden.train import train
from tests.mnist import make_mnist

SMALL = Topology("rows", 28, (40, 30), n_state=6, theta=12)
WIDE = LayerFormats(
    w_f=Fixed(20), w_x=Fixed(20), p=Fixed(20), a=Fixed(22), m=Fixed(24), x=Fixed(24), u=Fixed(26)
)
WIDE = replace(WIDE, bias_width=28, drive_bias_width=40)


def drawn(topology: Topology = SMALL, seed: int = 1) -> DmpNetwork:
    """Return an untrained network that spikes."""
    torch.manual_seed(seed)
    network = DmpNetwork(topology)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3 if parameter.ndim == 2 else 1)
    return network


def sequences(n: int, n_timesteps: int = 20, n_inputs: int = 28) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (n, n_timesteps, n_inputs)).astype(np.uint8)


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
    assert fit_least_error(np.array([1.0]), Fixed(8)).frac == 6, (
        "the coarsest of equals: 1 must be exact"
    )
    assert fit_least_error(np.zeros((3, 4)), Fixed(8)).frac == 16


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("dilation", [1, 3])
def test_calibration_finds_the_ranges_of_the_recurrence(reset: Reset, dilation: int) -> None:
    """Follow one neuron of one input in plain floats; a second, silent sequence changes nothing."""
    network = DmpNetwork(
        Topology("smnist", 1, (1,), n_state=1, theta=4, reset=reset, dilation=dilation)
    )
    (layer,) = layers_of(network)
    with torch.no_grad():
        layer.fast.weight.fill_(2.0)
        layer.fast.bias.fill_(0.25)
        layer.slow.weight.fill_(3.0)
    a, b = extract(layer).a.item(), extract(layer).b.item()
    payloads = [128, 64, 0, 255, 255, 255, 0]
    m = u = h = 0.0
    states, membranes, spikes = [], [], 0
    for k, payload in enumerate(payloads):
        x = payload / 256
        m = a * m + b * x
        h = 3 * m if k % dilation == 0 else h
        u = 0.5 * u + 2 * x + h + 0.25
        states.append(m)
        membranes.append(u)
        if u >= 1:
            u = u - 1 if reset == "subtract" else 0.0
            spikes += 1
    assert 0 < spikes
    (ranges,) = calibrate(network, np.array([payloads, [0] * 7])[:, :, None])
    assert (ranges.x, ranges.m, ranges.u) == pytest.approx((255 / 256, max(states), max(membranes)))


def test_m_gives_way_where_x_would_leave_its_range() -> None:
    """Choose formats for a large drive, a small state, and a B that leaves nothing between their
    scales.
    """
    one = np.ones((1, 1))
    layer = LayerReals(0.5 * one, one[0], 0.0, 0.9 * one, one[0], one, 0 * one[0])
    f = choose_formats(layer, LayerRanges(x=100.0, m=0.1, u=1.0), LayerFormats())
    assert f.x.frac == 8 and f.m.frac < 17
    assert f.a.frac + f.m.frac == f.b.frac + f.x.frac and f.b.frac <= 14 and f.v.frac <= 6


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.parametrize("n_state", [0, 6])
def test_with_wide_formats_the_integers_do_what_the_reals_do(
    reset: Reset, dilation: int, n_state: int
) -> None:
    """Compare drive, state, membrane and spikes with the recurrence in float64, in which nothing is
    fused.
    """
    topology = replace(SMALL, reset=reset, dilation=dilation, n_state=n_state, leak=0.75)
    network, payloads = drawn(topology), sequences(8)
    quantized = quantize(network, payloads, "wide", WIDE)
    assert not any(quantized.clamped.values())
    done = run(quantized.network, payloads, trace=True)
    reals = [extract(layer) for layer in layers_of(network)]
    values_of = payloads / 256
    for layer, params, traced in zip(
        reals, quantized.network.params.layers, done.layers, strict=True
    ):
        m, u, h = np.zeros((8, n_state)), np.zeros((8, params.n_neurons)), 0.0
        fired = np.zeros((8, 20, params.n_neurons))
        differing = 0
        for k in range(20):
            values = values_of[:, k]
            x = np.maximum(values @ layer.w_x + layer.b_x, 0)
            m = m @ layer.a.T + x[:, None] * layer.b
            h = m @ layer.w_m.T if k % dilation == 0 else h
            u = 0.75 * u + values @ layer.w_f.T + h + layer.c
            spikes = u >= 1
            assert (
                traced.spikes is not None and traced.state is not None and traced.drive is not None
            )
            # A membrane beside its threshold may fall on the other side: follow the integers, and
            # count.
            differing += int((spikes != traced.spikes[:, k]).sum())
            fired[:, k] = traced.spikes[:, k]
            u = np.where(traced.spikes[:, k], u - 1 if reset == "subtract" else 0, u)
            np.testing.assert_allclose(params.formats.m.to_real(traced.state[:, k]), m, atol=1e-4)
            if n_state:
                np.testing.assert_allclose(
                    params.formats.x.to_real(traced.drive[:, k]), x, atol=1e-4
                )
            assert traced.membrane is not None
            np.testing.assert_allclose(
                params.formats.u.to_real(traced.membrane[:, k]), u, atol=2e-3
            )
        assert differing <= 2 and 0.02 < fired.mean() < 0.98
        values_of = fired


@pytest.mark.parametrize("seed", range(10))
def test_nothing_saturates_on_what_was_calibrated(seed: int) -> None:
    print(f"seed {seed}")
    network, payloads = drawn(seed=seed), sequences(16)
    quantized = quantize(network, payloads, "some")
    done = run(quantized.network, payloads)
    # The fused coefficients of an untrained network need more room than one format for all gives:
    # those may clamp.
    clamped = {where for where, count in quantized.clamped.items() if count}
    assert all(where.split(".")[1] in ("w_f", "w_x", "p", "w_o") for where in clamped)
    for layer in done.layers:
        assert not layer.drive_saturations.any() and not layer.state_saturations.any()
    assert not done.logit_saturations.any()


def test_chosen_formats_hold_the_ranges_and_use_them() -> None:
    network = drawn()
    ranges = calibrate(network, sequences(16))
    for layer, found in zip(layers_of(network), ranges, strict=True):
        reals = extract(layer)
        f = choose_formats(reals, found, LayerFormats())
        widths = {name: getattr(f, name).width for name in ("w_f", "w_x", "p", "a", "m", "x", "u")}
        assert widths == {"w_f": 8, "w_x": 8, "p": 8, "a": 16, "m": 16, "x": 16, "u": 16}
        assert found.m * 1.25 <= f.m.to_real(np.array(f.m.max)) and found.x * 1.25 <= f.x.to_real(
            np.array(f.x.max)
        )
        for held, fmt in (
            (reals.a, f.a),
            (reals.b, f.b),
            (reals.w_m @ reals.b, f.v),
            (found.u, f.u),
            (reals.c, f.c),
            (1.0, f.threshold),
        ):
            assert np.abs(held).max() * 2.0**fmt.frac < fmt.max + 0.5
        # At least half of the range of A, and of B or V, is in use.
        assert np.abs(reals.a).max() * 2.0**f.a.frac > f.a.max / 2 - 1
        used = (
            np.abs(reals.b).max() * 2.0**f.b.frac / f.b.max,
            np.abs(reals.w_m @ reals.b).max() * 2.0**f.v.frac / 127,
        )
        assert max(used) > 0.49


def test_a_pixel_is_exact_as_the_drive_of_the_first_layer() -> None:
    network = drawn(Topology("smnist", 1, (10,), n_state=4, theta=20))
    quantized = quantize(network, sequences(4, 50, 1), "some")
    assert quantized.network.layers[0].w_x.tolist() == [
        1 << quantized.network.params.layers[0].formats.w_x.frac
    ]
    payloads = np.arange(256).reshape(1, 256, 1)
    drive = run(quantized.network, payloads, trace=True).layers[0].drive
    assert drive is not None
    x = quantized.network.params.layers[0].formats.x
    assert x.to_real(drive[0]).tolist() == [payload / 256 for payload in range(256)]


def test_thresholds_and_leaks_are_those_of_the_topology() -> None:
    network = quantize(drawn(), sequences(4), "some").network
    for layer, params in zip(network.layers, network.params.layers, strict=True):
        assert layer.threshold == 1 << params.formats.u.frac and layer.leak == 2048


def test_clamped_coefficients_are_counted() -> None:
    network = drawn()
    with torch.no_grad():
        weight = layers_of(network)[0].fast.weight
        weight.uniform_(-0.3, 0.3)
        weight[0, :2] = torch.tensor([0.5, -0.52])
    quantized = quantize(network, sequences(4), "some")
    assert quantized.network.params.layers[0].formats.w_f.frac == 8
    assert quantized.network.layers[0].w_f[0, :2].tolist() == [127, -128]
    assert quantized.clamped["layer0.w_f"] == 2


def test_nothing_to_work_on() -> None:
    with pytest.raises(UserError, match="no sequences to calibrate on"):
        quantize(drawn(), sequences(0), "some")
    network = quantize(drawn(), sequences(2), "some").network
    with pytest.raises(UserError, match="no digits to classify"):
        evaluate_integers(
            network, Digits(np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8)), "rows"
        )


def test_accuracy_is_that_of_the_run() -> None:
    rng = np.random.default_rng(8)
    digits = Digits(
        rng.integers(0, 256, (23, 28, 28)).astype(np.uint8),
        rng.integers(0, 10, 23).astype(np.uint8),
    )
    network = quantize(drawn(), to_sequences(digits.images, "rows")[:1], "some").network
    done = run(network, to_sequences(digits.images, "rows"))
    told: list[int] = []
    measured = evaluate_integers(network, digits, "rows", batch=10, progress=told.append)
    assert told == [10, 10, 3]
    assert measured.accuracy == (done.classes == digits.labels).mean()
    for i, layer in enumerate(done.layers):
        assert measured.rates[i] == pytest.approx(layer.spike_counts.mean())
        for kind in ("drive", "state", "membrane"):
            assert (
                measured.saturations[f"layer{i}.{kind}"]
                == getattr(layer, f"{kind}_saturations").sum()
            )
    assert measured.saturations["readout.logit"] == 0


def test_the_command_stores_what_it_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_mnist(tmp_path / "mnist", monkeypatch)
    checkpoint = train("rows", data, tmp_path / "train", epochs=6, batch=16, augmentation=0)
    options = [
        "--checkpoint",
        str(checkpoint),
        "--data",
        str(data),
        "--out",
        str(tmp_path / "bars"),
    ]
    result = CliRunner().invoke(
        main, ["quantize", "bars", *options, "--digits", "20", "--calibration", "30"]
    )
    assert result.exit_code == 0, result.output
    network, facts = load_stored(tmp_path / "bars")
    assert network.params.name == "bars"
    assert (facts.data, facts.n_timesteps, facts.n_test_digits) == ("rows", 28, 20)
    assert facts.recipe["topology"] == "rows" and facts.recipe["epochs_done"] == 6
    test = load_mnist(data, "test")
    twenty = Digits(test.images[:20], test.labels[:20])
    assert facts.accuracy_integer == evaluate_integers(network, twenty, "rows").accuracy
    assert abs(facts.accuracy_integer - facts.accuracy_float) <= 0.2
    assert f"integers: {100 * facts.accuracy_integer:.2f} % of 20 test digits" in result.output
    assert {layer.formats.w_f.width for layer in network.params.layers} == {8}
    short = ["--digits", "20", "--calibration", "30", "--weight-bits", "4"]
    result = CliRunner().invoke(main, ["quantize", "bars", *options, *short])
    assert result.exit_code == 0, result.output
    four = load_stored(tmp_path / "bars")[0]
    assert {layer.formats.w_f.width for layer in four.params.layers} == {4}
    assert all(np.abs(layer.w_f).max() <= 8 for layer in four.layers)


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["--checkpoint", str(tmp_path / "none.pt"), "--out", str(out)]
    result = CliRunner().invoke(main, ["quantize", "rows", *options])
    assert result.exit_code == 2 and not out.exists()
    assert (
        result.stderr
        == f"error: no checkpoint {tmp_path / 'none.pt'}: train one first (make train)\n"
    )
