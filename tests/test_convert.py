"""Networks in Torch become reals and integers that do what they did, and come back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from golden.errors import UserError
from golden.formats import GRADED, Fixed
from golden.integer import run
from golden.params import SPIKE, LayerFormats, Reset
from golden.quantize import calibrate, choose_formats
from golden.quantize import quantize as quantize_reals
from golden.train.convert import dequantize, extract, extract_layer, layers_of
from golden.train.model import DmpNetwork
from golden.train.topology import ARCHITECTURES, Topology, find_topology
from tests.torch_networks import SHAPES, SMALL, WIDE, drawn, quantize, sequences, torch_spikes


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
    reals = extract_layer(layer)
    a, b = reals.a.item(), reals.b.item()
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
    (ranges,) = calibrate(extract(network), np.array([payloads, [0] * 7])[:, :, None])
    assert (ranges.x, ranges.m, ranges.u) == pytest.approx((255 / 256, max(states), max(membranes)))


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
    own_value, all_same = 1.0 if topology.payload == SPIKE else 255 / 256, True
    for layer, params, traced, ranges, integers in zip(
        layers_of(network), quantized.network.params.layers, done.layers, quantized.ranges,
        quantized.network.layers, strict=True,
    ):  # fmt: skip
        reals = extract_layer(layer)
        delays = [0] * params.n_inputs
        if params.max_delay:
            delays = [round(delay) for delay in layer.delays.tolist()]
            assert integers.delays.tolist() == delays and len(set(delays)) > 3
        assert params.max_delay == layer.topology.max_delay
        assert params.n_addresses == reals.w_f.shape[1]
        leak, threshold = 0.75, 1.0
        if topology.per_neuron:
            leak, threshold = (
                v.detach().double().numpy() for v in (layer.leak_values, layer.threshold_values)
            )
            assert params.per_neuron == ("leak", "threshold") and params.formats.leak.width == 13
        m, u, h = np.zeros((8, n_state)), np.zeros((8, params.n_neurons)), 0.0
        fired = np.zeros((8, 20, params.n_neurons))
        differing, largest = 0, {"x": 0.0, "m": 0.0, "u": 0.0, "y": 0.0}
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
            u = leak * u + values @ reals.w_f.T + h + reals.c
            for name, value in {"x": x, "m": m, "u": u}.items():
                largest[name] = max(largest[name], float(np.abs(value).max(initial=0)))
            spikes = u >= threshold
            assert (
                traced.spikes is not None and traced.state is not None and traced.drive is not None
            )
            # A membrane beside its threshold may fall on the other side: follow the integers, and
            # count.
            differing += int((spikes != traced.spikes[:, k]).sum())
            fired[:, k] = traced.spikes[:, k]
            u = np.where(traced.spikes[:, k], u - threshold if reset == "subtract" else 0, u)
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
        all_same &= not differing
        if all_same:
            assert vars(ranges) == pytest.approx(largest, abs=2e-3)
        values_of, own_value = fired, 1.0


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
    ranges = calibrate(extract(network), sequences(16))
    for layer, found in zip(layers_of(network), ranges, strict=True):
        reals = extract_layer(layer)
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


def test_leaks_and_thresholds_a_neuron_are_the_networks() -> None:
    """Beyond their bounds they are at them; where all are alike there is one for the layer."""
    trained = drawn(replace(SMALL, per_neuron=True))
    first, second = layers_of(trained)
    with torch.no_grad():
        first.leak_values[:4] = torch.tensor([-0.5, 7.3, 0.25, 0.99999])
        first.threshold_values[:3] = torch.tensor([-3.0, 0.5, 2.0])
        second.leak_values.fill_(0.75)
    network = quantize(trained, sequences(4), "some").network
    f = network.params.layers[0].formats
    assert network.params.layers[0].per_neuron == ("leak", "threshold")
    leak, threshold = network.layers[0].leak, network.layers[0].threshold
    assert isinstance(leak, np.ndarray) and isinstance(threshold, np.ndarray)
    assert (f.leak.width, f.leak.frac) == (13, 12) and leak[:4].tolist() == [0, 4096, 1024, 4096]
    assert (threshold[:3] * 2.0**-f.u.frac).tolist() == [1 / 16, 0.5, 2.0]
    params, layer = network.params.layers[1], network.layers[1]
    assert params.per_neuron == ("threshold",) and layer.leak == 3072
    assert params.formats.leak.width == 12


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


@pytest.mark.parametrize("per_neuron", [False, True])
@pytest.mark.parametrize("architecture", ["dmp", "fsnn", "dsnn", "dmp-delays", "rsnn"])
def test_a_network_of_integers_becomes_the_same_integers_again(
    architecture: str, per_neuron: bool
) -> None:
    """What was restored in Torch rounds to the integers that it was restored from, and P and V,
    of which only W_m is left, to neighbours of them.
    """
    topology = replace(
        find_topology("spoken", architecture), n_inputs=12, n_neurons=(9, 7), theta=20.0
    )
    topology = replace(topology, per_neuron=per_neuron)
    torch.manual_seed(3)
    payloads = np.random.default_rng(3).integers(0, 2, (20, 30, 12), dtype=np.uint8)
    trained = drawn(topology) if per_neuron else DmpNetwork(topology)
    first = quantize(trained, payloads, "drawn").network
    restored = dequantize(first, topology)
    again = quantize(restored, payloads, "drawn").network
    for layer, other, params, reshaped in zip(
        first.layers, again.layers, first.params.layers, again.params.layers, strict=True
    ):
        f, g = params.formats, reshaped.formats
        for name in ("w_f", "w_x", "b_x", "c", "p", "v", "leak", "threshold"):
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


def test_integers_with_what_no_training_gives_are_refused() -> None:
    topology = replace(find_topology("spoken", "fsnn"), n_inputs=12, n_neurons=(9,))
    payloads = np.ones((2, 30, 12), np.uint8)
    reals = extract(drawn(topology))
    changes: list[tuple[dict[str, Any], str]] = [
        ({"alpha": 0.5, "c_y": np.zeros(9)}, "layer0 of some has a synaptic current, which its"),
        ({"reset_amount": 0.5}, "layer0 of some has an amount of its reset, which its"),
        ({"leak": np.arange(9) / 9}, "layer0 of some has values a neuron, which its"),
    ]
    for change, message in changes:
        changed = replace(reals, layers=(replace(reals.layers[0], **change),))
        network = quantize_reals(changed, payloads, "some").network
        with pytest.raises(UserError, match=message):
            dequantize(network, topology)
