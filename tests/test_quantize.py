"""Choosing scales and rounding weights: nothing is clamped that need not be, and the integers do
what the reals did.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from export.__main__ import main
from export.store import load_stored, save_network
from golden.data.dataset import DigitImages, load_dataset
from golden.errors import UserError
from golden.formats import GRADED, SPIKE, Fixed
from golden.integer import run
from golden.params import LayerFormats, Reset
from golden.train import model
from golden.train.checkpoint import load_network, load_recipe
from golden.train.loop import Recipe, evaluate, train
from golden.train.model import DmpLayer, DmpNetwork, snap
from golden.train.quantize import (
    LayerRanges,
    LayerReals,
    apply_grids,
    calibrate,
    choose_formats,
    dequantize,
    evaluate_integers,
    extract,
    fit,
    fit_least_error,
    layers_of,
    quantize,
)
from golden.train.topology import ARCHITECTURES, TOPOLOGIES, Topology, find_topology
from tests.mnist import make_mnist
from tests.spoken import make_spoken

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


def draw_digits(n: int) -> DigitImages:
    """Return digits, half of whose pixels are dark, as rows."""
    rng = np.random.default_rng(8)
    images = rng.integers(0, 256, (n, 28, 28)) * rng.integers(0, 2, (n, 28, 28))
    return DigitImages(rng.integers(0, 10, n), images.astype(np.uint8), "rows")


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


@pytest.mark.parametrize("reset", ["subtract", "to_value"])
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
    delays = np.zeros(0, np.int64)
    layer = LayerReals(0.5 * one, one[0], 0.0, 0.9 * one, one[0], one, 0 * one[0], delays)
    f = choose_formats(layer, LayerRanges(x=100.0, m=0.1, u=1.0), LayerFormats())
    assert f.x.frac == 8 and f.m.frac < 17
    assert f.a.frac + f.m.frac == f.b.frac + f.x.frac and f.b.frac <= 14 and f.v.frac <= 6


SHAPES: list[dict[str, Any]] = [
    {},
    {"dilation": 3},
    {"n_state": 0},
    {"n_state": 0, "recurrent": True},
    {"n_state": 0, "max_delay": 9},
    {"max_delay": 4, "dilation": 3, "payload": SPIKE},
    {"n_state": 0, "recurrent": True, "max_delay": 3, "payload": SPIKE},
]


@pytest.mark.parametrize("reset", ["subtract", "to_value"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_with_wide_formats_the_integers_do_what_the_reals_do(
    reset: Reset, shape: dict[str, Any]
) -> None:
    """Compare drive, state, membrane and spikes with the recurrence in float64, in which nothing is
    fused; and the largest of them with what calibration finds.
    """
    topology = replace(SMALL, reset=reset, leak=0.75, **shape)
    network, n_state = drawn(topology), topology.n_state
    payloads = sequences(8) if topology.payload != SPIKE else sequences(8) // 200
    quantized = quantize(network, payloads, "wide", WIDE)
    assert not any(quantized.clamped.values())
    done = run(quantized.network, payloads, trace=True)
    values_of = payloads / (1 if topology.payload == SPIKE else 256)
    own_value = 1.0 if topology.payload == SPIKE else 255 / 256
    for layer, params, traced, ranges, integers in zip(
        layers_of(network), quantized.network.params.layers, done.layers, quantized.ranges,
        quantized.network.layers, strict=True,
    ):  # fmt: skip
        reals = extract(layer)
        delays = [0] * params.n_inputs
        if params.max_delay:
            delays = [round(delay) for delay in layer.delays.tolist()]
            assert integers.delays.tolist() == delays and len(set(delays)) > 3
        assert params.max_delay == layer.topology.max_delay
        assert params.n_addresses == reals.w_f.shape[1]
        m, u, h = np.zeros((8, n_state)), np.zeros((8, params.n_neurons)), 0.0
        fired = np.zeros((8, 20, params.n_neurons))
        differing, largest = 0, {"x": 0.0, "m": 0.0, "u": 0.0}
        for k in range(20):
            values = np.stack(
                [values_of[:, k - d, j] if k >= d else np.zeros(8) for j, d in enumerate(delays)], 1
            )
            x = np.maximum(values @ reals.w_x + reals.b_x, 0)
            m = m @ reals.a.T + x[:, None] * reals.b
            h = m @ reals.w_m.T if k % topology.dilation == 0 else h
            if topology.recurrent:
                before = fired[:, k - 1] if k else np.zeros((8, params.n_neurons))
                values = np.concatenate([values, before * own_value], 1)
            u = 0.75 * u + values @ reals.w_f.T + h + reals.c
            for name, value in {"x": x, "m": m, "u": u}.items():
                largest[name] = max(largest[name], float(np.abs(value).max(initial=0)))
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
        if not differing:
            assert vars(ranges) == pytest.approx(largest, abs=2e-3)
        values_of, own_value = fired, 1.0


@torch.no_grad()
def torch_spikes(layer: DmpLayer, received: np.ndarray) -> np.ndarray:
    """Return the spikes (B, K, N) of a layer of the Torch network, float32."""
    spikes, _ = layer(torch.from_numpy(received).transpose(0, 1).bfloat16())
    return spikes.transpose(0, 1).float().numpy()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("payload", [SPIKE, GRADED], ids=str)
def test_the_integers_of_every_architecture_spike_as_its_network(
    architecture: str, payload: Fixed
) -> None:
    changes = {"payload": payload} | ARCHITECTURES[architecture]
    network = drawn(replace(SMALL, **changes))
    payloads = sequences(16, 60) if payload == GRADED else sequences(16, 60) // 200
    done = run(quantize(network, payloads, "some").network, payloads, trace=True)
    received = payloads * 2.0**-payload.frac
    for layer, traced in zip(layers_of(network), done.layers, strict=True):
        assert traced.spikes is not None
        counts, expected = traced.spikes.sum(1), torch_spikes(layer, received).sum(1)
        assert 1 < expected.mean() < 59
        assert (np.abs(counts - expected) <= 4).mean() > 0.95
        assert np.corrcoef(counts.ravel(), expected.ravel())[0, 1] > 0.98
        # The next layer is given what the integers sent, so that only its own rounding counts.
        received = traced.spikes.astype(np.float32)


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
    with pytest.raises(UserError, match="nothing to classify: use at least one sequence"):
        evaluate_integers(network, draw_digits(0))


def test_accuracy_is_that_of_the_run() -> None:
    digits = draw_digits(23)
    network = quantize(drawn(), digits.sequences(slice(1)), "some").network
    done = run(network, digits.sequences())
    told: list[int] = []
    measured = evaluate_integers(network, digits, batch=10, progress=told.append)
    assert told == [10, 10, 3]
    assert measured.accuracy == (done.classes == digits.labels).mean()
    received = [digits.images != 0, done.layers[0].spike_counts, done.layers[1].spike_counts]
    expected = [float(events.sum()) / 23 / 28 for events in received]
    assert measured.rates == pytest.approx(expected)
    for i, layer in enumerate(done.layers):
        for kind in ("drive", "state", "membrane"):
            assert (
                measured.saturations[f"layer{i}.{kind}"]
                == getattr(layer, f"{kind}_saturations").sum()
            )
    assert measured.saturations["readout.logit"] == 0


def test_events_behind_delays_and_own_spikes_are_counted() -> None:
    digits = draw_digits(6)
    topology = replace(SMALL, n_state=0, recurrent=True, max_delay=5)
    network = quantize(drawn(topology), digits.sequences(), "some").network
    done = run(network, digits.sequences(), trace=True)
    rates = evaluate_integers(network, digits).rates
    first, second = (layer.spikes for layer in done.layers)
    assert first is not None and second is not None and network.layers[1].delays.max() > 0
    own = [spikes[:, :-1].sum() for spikes in (first, second)]
    arriving = sum(
        first[:, : 28 - delay, j].sum() for j, delay in enumerate(network.layers[1].delays)
    )
    events = [(digits.images != 0).sum() + own[0], arriving + own[1], second.sum()]
    assert rates == pytest.approx([count / 6 / 28 for count in events])


class Snapped:
    """Write down the values that a network's formats make of its weights."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.values: list[tuple[Fixed, np.ndarray]] = []
        monkeypatch.setattr(model, "snap", self)

    def __call__(self, values: torch.Tensor, fmt: Fixed) -> torch.Tensor:
        found = snap(values, fmt)
        self.values.append((fmt, found.detach().double().numpy()))
        return found


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_aware_training_computes_with_the_weights_of_the_integers(
    shape: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are all that a network with grids snaps, in the order in which a layer uses them; and
    the scales are those of the integers.
    """
    network = drawn(replace(SMALL, **shape))
    payloads = sequences(8) if network.topology.payload != SPIKE else sequences(8) // 200
    widths = LayerFormats(w_f=Fixed(4, 3))
    quantized = quantize(network, payloads, "some", widths).network
    snapped = Snapped(monkeypatch)
    inputs = torch.from_numpy(payloads).transpose(0, 1)
    network(inputs)
    assert not snapped.values, "before it has grids, a network computes with its weights"
    apply_grids(network, payloads, widths)
    network(inputs)
    expected = []
    for layer, params in zip(quantized.layers, quantized.params.layers, strict=True):
        names = ["w_f", "c"] + (["w_x", "b_x", "p", "v"] if params.n_state else [])
        for name in names:
            fmt = getattr(params.formats, name)
            expected.append((name, fmt, fmt.to_real(np.asarray(getattr(layer, name)))))
    fmt = quantized.params.readout.w_o
    expected.append(("w_o", fmt, fmt.to_real(quantized.w_o)))
    assert [of for of, _ in snapped.values] == [of for _, of, _ in expected]
    for (name, _, wanted), (_, found) in zip(expected, snapped.values, strict=True):
        assert np.array_equal(found, wanted), name
    assert len(np.unique(snapped.values[0][1])) <= 16, "four bits"


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_aware_networks_spike_as_their_integers(shape: dict[str, Any]) -> None:
    """Also where so few bits are left that a network without grids spikes differently."""
    network = drawn(replace(SMALL, **shape))
    payloads = sequences(8) if network.topology.payload != SPIKE else sequences(8) // 200
    widths = LayerFormats(w_f=Fixed(3, 2), p=Fixed(4, 3), w_x=Fixed(4, 3))
    done = run(quantize(network, payloads, "some", widths).network, payloads, trace=True).layers[0]
    assert done.spikes is not None
    received = payloads * 2.0**-network.topology.payload.frac
    without = torch_spikes(layers_of(network)[0], received)
    apply_grids(network, payloads, widths)
    found = torch_spikes(layers_of(network)[0], received)
    differing = [float((spikes != done.spikes).mean()) for spikes in (found, without)]
    assert differing[0] < 0.02 and differing[0] < differing[1] / 3, differing


def test_aware_training_reaches_every_weight() -> None:
    network = drawn(replace(SMALL, payload=SPIKE, max_delay=4, leak=0.9))
    payloads = sequences(8) // 200
    apply_grids(network, payloads, LayerFormats(w_f=Fixed(3, 2)))
    logits, _ = network(torch.from_numpy(payloads).transpose(0, 1))
    logits[:, 0].sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


BARS = replace(TOPOLOGIES["rows"], n_neurons=(24, 20), n_state=4, leak=0.9)
Stored = tuple[Path, list[str]]


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    """Return where a network is to be stored, and the options that quantize it: one trained for
    five bits.
    """
    data = make_mnist(tmp_path / "mnist", monkeypatch)
    recipe = Recipe(epochs=3, batch=8, augmentation=0, weight_bits=5)
    checkpoint = train("rows", BARS, data, tmp_path / "train", recipe)
    out = tmp_path / "bars"
    options = ["--checkpoint", str(checkpoint), "--data", str(data), "--out", str(out)]
    return out, [*options, "--calibration", "30"]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_the_command_stores_what_it_measured(trained: Stored, tmp_path: Path) -> None:
    out, options = trained
    result = call("quantize", "bars", *options, "--digits", "20")
    assert result.exit_code == 0, result.output
    network, card = load_stored(out)
    assert network.params.name == "bars"
    assert (card.data, card.n_timesteps, card.n_test) == ("rows", 28, 20)
    assert card.recipe["topology"] == BARS.to_dict()
    assert card.recipe["epochs_done"] == 3 and card.recipe["weight_bits"] == 5
    assert card.parameters == DmpNetwork(BARS).n_parameters()
    twenty = load_dataset("rows", tmp_path / "mnist", "test").select(slice(20))
    measured = evaluate_integers(network, twenty)
    assert card.accuracy_integer == measured.accuracy
    assert card.events_per_step == [round(rate, 2) for rate in measured.rates]
    float_network = load_network(tmp_path / "train" / "rows.pt")
    assert card.accuracy_float == evaluate(float_network, twenty)
    assert f"integers: {100 * card.accuracy_integer:.2f} % of 20 test sequences" in result.output
    assert f"float:    {100 * card.accuracy_float:.2f} % of 20 test sequences" in result.output


@pytest.mark.parametrize(("option", "bits"), [((), 5), (("--weight-bits", "4"), 4)])
def test_weights_have_the_bits_of_the_training_unless_others_are_asked_for(
    option: tuple[str, ...], bits: int, trained: Stored
) -> None:
    out, options = trained
    result = call("quantize", "bars", *options, "--digits", "2", *option)
    assert result.exit_code == 0, result.output
    network = load_stored(out)[0]
    assert {layer.formats.w_f.width for layer in network.params.layers} == {bits}
    assert {layer.formats.p.width for layer in network.params.layers} == {8}
    assert all(
        2 ** (bits - 2) < np.abs(layer.w_f).max() <= 2 ** (bits - 1) for layer in network.layers
    )


def test_accuracy_is_measured_again(trained: Stored, tmp_path: Path) -> None:
    out, options = trained
    assert call("quantize", "bars", *options).exit_code == 0
    network, card = load_stored(out)
    again = ["accuracy", str(out), "--data", str(tmp_path / "mnist"), "--batch", "7"]
    result = call(*again)
    assert result.exit_code == 0, result.output
    share = f"{100 * card.accuracy_integer:.2f} %"
    assert f"bars: {share} of 32 test sequences in integers" in result.stdout
    assert f"its card says {share} of 32, and {100 * card.accuracy_float:.2f} % in float with" in (
        result.stdout
    )
    lie = replace(card, accuracy_integer=card.accuracy_integer - 1 / 32)
    save_network(network, out, lie)
    result = call(*again)
    assert result.exit_code == 1 and f"bars: {share} of 32" in result.stdout
    assert f"error: {out} is not what its card says: quantize it again" in result.stderr
    save_network(network, out, replace(lie, n_test=20))
    assert call(*again).exit_code == 0, "of fewer sequences it is another figure"
    result = call("accuracy", "nonesuch")
    assert result.exit_code == 2 and result.stderr.startswith("error: unknown network 'nonesuch'")


def test_a_network_for_the_speech_of_others_is_measured_on_the_one_left_out(tmp_path: Path) -> None:
    """Eight digits of a speaker: an accuracy of eighths, of both commands."""
    arrays = make_spoken(tmp_path)
    count = sum(int((arrays[f"{split}_speaker"] == 2).sum()) for split in ("train", "test"))
    topology = replace(TOPOLOGIES["spoken"], n_neurons=(12, 10), n_state=4, leak=0.9)
    recipe = Recipe(epochs=1, batch=24, without_speaker=2)
    checkpoint = train("some", topology, tmp_path, tmp_path / "train", recipe)
    out, data = tmp_path / "some", ["--data", str(tmp_path)]
    options = ["--checkpoint", str(checkpoint), *data, "--out", str(out)]
    assert call("quantize", "some", *options).exit_code == 0
    card = load_stored(out)[1]
    assert card.n_test == count and card.recipe["without_speaker"] == 2
    assert card.n_timesteps == 100 and card.data == "spoken"
    result = call("accuracy", str(out), *data)
    assert result.exit_code == 0 and f"of {count} test sequences" in result.stdout


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["--checkpoint", str(tmp_path / "none.pt"), "--out", str(out)]
    result = CliRunner().invoke(main, ["quantize", "rows", *options])
    assert result.exit_code == 2 and not out.exists()
    assert (
        result.stderr
        == f"error: no checkpoint {tmp_path / 'none.pt'}: train one first (make train)\n"
    )


@pytest.mark.parametrize("architecture", ["dmp", "fsnn", "dsnn", "dmp-delays", "rsnn"])
def test_a_network_of_integers_becomes_the_same_integers_again(architecture: str) -> None:
    """What was restored in Torch rounds to the integers that it was restored from, and P and V,
    of which only W_m is left, to neighbours of them.
    """
    topology = replace(
        find_topology("spoken", architecture), n_inputs=12, n_neurons=(9, 7), theta=20.0
    )
    torch.manual_seed(3)
    payloads = np.random.default_rng(3).integers(0, 2, (20, 30, 12), dtype=np.uint8)
    first = quantize(DmpNetwork(topology), payloads, "drawn").network
    restored = dequantize(first, topology)
    again = quantize(restored, payloads, "drawn").network
    for layer, other, params, reshaped in zip(
        first.layers, again.layers, first.params.layers, again.params.layers, strict=True
    ):
        f, g = params.formats, reshaped.formats
        for name in ("w_f", "w_x", "b_x", "c", "p", "v"):
            one = getattr(f, name).to_real(getattr(layer, name))
            two = getattr(g, name).to_real(getattr(other, name))
            # A finer format may be chosen for what was rounded already; c and b_x have the scale
            # of u, whose range may move.
            allowed = 2.0 ** -min(getattr(f, name).frac, getattr(g, name).frac)
            assert np.abs(one - two).max(initial=0) <= allowed, name
        assert (layer.delays == other.delays).all()
    assert np.array_equal(
        first.params.readout.w_o.to_real(first.w_o), again.params.readout.w_o.to_real(again.w_o)
    )


def test_integers_of_another_shape_are_refused() -> None:
    topology = replace(find_topology("spoken"), n_inputs=12, n_neurons=(9, 7))
    payloads = np.zeros((2, 30, 12), np.uint8)
    network = quantize(DmpNetwork(topology), payloads, "drawn").network
    with pytest.raises(UserError, match="drawn is of another shape"):
        dequantize(network, replace(topology, n_neurons=(9, 8)))


def test_the_command_writes_what_a_training_can_start_from(tmp_path: Path) -> None:
    """Also with another dilation; a network whose card has no recipe is refused in one line."""
    out = tmp_path / "start.pt"
    result = CliRunner().invoke(main, ["checkpoint", "spoken", "--out", str(out)])
    assert result.exit_code == 0 and "38680 parameters" in result.output
    make_spoken(tmp_path)
    topology = replace(TOPOLOGIES["spoken"], dilation=5)
    recipe = Recipe(epochs=1, batch=8, limit=8, learning_rate=0.0, start=str(out))
    trained = load_network(train("more", topology, tmp_path, tmp_path, recipe, quiet=True))
    started = load_network(out)
    for name, value in started.state_dict().items():
        assert torch.equal(trained.state_dict()[name], value), name
    assert load_recipe(tmp_path / "more.pt")["start"]["epochs_done"] == 80
    network, card = load_stored("rows")
    save_network(network, tmp_path / "mute", replace(card, recipe={}))
    result = CliRunner().invoke(main, ["checkpoint", str(tmp_path / "mute"), "--out", "no.pt"])
    assert result.exit_code == 2 and "does not say how it was trained" in result.stderr
    assert not Path("no.pt").exists()
