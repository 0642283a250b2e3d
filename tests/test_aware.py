"""Quantization-aware training computes with the weights that the integers have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from golden.formats import Fixed
from golden.integer import run
from golden.params import SPIKE, LayerFormats
from golden.train import model
from golden.train.convert import apply_grids, layers_of
from golden.train.model import snap
from tests.torch_networks import SHAPES, SMALL, drawn, quantize, sequences, torch_spikes


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
        names += ["leak", "threshold"] if network.topology.per_neuron else []
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


@pytest.mark.parametrize("per_neuron", [False, True])
def test_aware_training_reaches_every_weight(per_neuron: bool) -> None:
    topology = replace(SMALL, payload=SPIKE, max_delay=4, leak=0.9, per_neuron=per_neuron)
    network = drawn(topology)
    payloads = sequences(8) // 200
    apply_grids(network, payloads, LayerFormats(w_f=Fixed(3, 2)))
    logits, _ = network(torch.from_numpy(payloads).transpose(0, 1))
    logits[:, 0].sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name
