"""Training leaks and thresholds of every neuron: they learn, within what the formats hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from golden.data.dataset import load_dataset
from golden.errors import UserError
from golden.integer import run
from golden.params import SPIKE, Reset
from golden.quantize import quantize
from golden.train.checkpoint import load_network, load_recipe
from golden.train.convert import extract, layers_of
from golden.train.loop import Recipe, parameter_groups, train
from golden.train.model import LEAST_THRESHOLD, DmpLayer, DmpNetwork
from golden.train.topology import LayerTopology, Topology
from golden.train.train_command import main
from tests.test_lif import lif_reference

ROWS = Topology("rows", 28, (16, 12), n_state=4, theta=28, leak=0.9, per_neuron=True)


def neurons(network: DmpNetwork) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all leaks and thresholds, as they are trained."""
    layers = layers_of(network)
    return (
        torch.cat([layer.leak_values.detach() for layer in layers]),
        torch.cat([layer.threshold_values.detach() for layer in layers]),
    )


@pytest.mark.parametrize("architecture", ["dmp", "rsnn", "dmp-delays"])
def test_the_command_trains_them(architecture: str, data: Path, tmp_path: Path) -> None:
    """Every one moves from where it starts; a weight decay would move thresholds by themselves."""
    options = [
        "spoken", "--data", str(data), "--out", str(tmp_path), "--epochs", "1", "--batch", "24",
        "--neurons", "16,12", "--leak", "0.875", "--per-neuron",
    ]  # fmt: skip
    options += ["--architecture", architecture, "--name", "some"]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    assert load_recipe(tmp_path / "some.pt")["topology"]["per_neuron"] is True
    network = load_network(tmp_path / "some.pt")
    leaks, thresholds = neurons(network)
    assert len(leaks) == len(thresholds) == 28
    # The first step of Adam is the learning rate, of which the warm-up's first step is a 50th.
    for values, start in ((leaks, 0.875), (thresholds, 1.0)):
        moved = (values - start).abs()
        assert (moved > 0).float().mean() > 0.7 and moved.max() == pytest.approx(2e-4, rel=0.05)


def test_they_do_not_decay_and_delays_keep_their_rate() -> None:
    network = DmpNetwork(replace(ROWS, payload=SPIKE, max_delay=3))
    others, delays, own = parameter_groups(network, 0.5)
    assert "weight_decay" not in others and "lr" not in others
    assert (delays["lr"], delays["weight_decay"], len(delays["params"])) == (5.0, 0.0, 2)
    assert own["weight_decay"] == 0 and "lr" not in own and len(own["params"]) == 4
    counts = [sum(p.numel() for p in group["params"]) for group in (others, delays, own)]
    assert sum(counts) == network.n_parameters() and counts[1:] == [28 + 16, 2 * (16 + 12)]


def test_they_stay_within_bounds_however_far_they_are_driven(data: Path, tmp_path: Path) -> None:
    path = train("some", ROWS, data, tmp_path, Recipe(epochs=3, batch=8, learning_rate=1.0))
    network = load_network(path)
    leaks, thresholds = neurons(network)
    assert leaks.min() < 0 and leaks.max() > 1 and thresholds.max() > 1.5
    for layer in layers_of(network):
        assert layer.leaks().min() >= 0 and layer.leaks().max() <= 1
        assert layer.thresholds().min() >= LEAST_THRESHOLD
    # What cannot be quantized would be refused here: a leak above 1, or a threshold of 0.
    sequences = load_dataset("rows", data, "train").sequences(slice(32))
    quantized = quantize(extract(network), sequences, "some").network
    assert quantized.params.layers[0].per_neuron == ("leak", "threshold")
    assert run(quantized, sequences).layers[0].spike_counts.sum() > 0


def test_beyond_a_bound_a_gradient_passes() -> None:
    layer = DmpLayer(LayerTopology(4, 3, 0, 6, 1, "subtract", per_neuron=True), leak=0.5)
    with torch.no_grad():
        layer.leak_values.copy_(torch.tensor([-0.5, 7.3, 0.25]))
        layer.threshold_values.copy_(torch.tensor([-1.0, 0.5, 9.0]))
    assert layer.leaks().tolist() == [0, 1, 0.25]
    assert layer.thresholds().tolist() == [LEAST_THRESHOLD, 0.5, 9.0]
    (layer.leaks() * torch.arange(3.0)).sum().backward()
    assert layer.leak_values.grad is not None and layer.leak_values.grad.tolist() == [0, 1, 2]


@pytest.mark.parametrize("reset", ["subtract", "to_value"])
@pytest.mark.parametrize("recurrent", [False, True])
def test_a_layer_computes_with_its_neurons(reset: Reset, recurrent: bool) -> None:
    torch.manual_seed(3)
    topology = LayerTopology(6, 8, 0, 12, 1, reset, recurrent=recurrent, per_neuron=True)
    layer = DmpLayer(topology, leak=0.5)
    with torch.no_grad():
        layer.fast.bias.add_(0.25)
        layer.leak_values.copy_(torch.linspace(0.1, 1.0, 8))
        layer.threshold_values.copy_(torch.linspace(1.5, 0.5, 8))
    spikes = (torch.rand(40, 4, 6) < 0.4).bfloat16()
    currents = spikes.float() @ layer.fast.weight[:, :6].T + layer.fast.bias
    own = layer.fast.weight[:, 6:] if recurrent else None
    values = layer.leak_values, layer.threshold_values
    expected = lif_reference(currents, *values, reset == "subtract", own)
    found, _ = layer(spikes)
    assert (found.float() != expected).float().mean() < 0.02
    others = lif_reference(currents, 0.5, 1.0, reset == "subtract", own)
    assert (found.float() != others).float().mean() > 0.1


def test_a_reset_that_is_not_trained_is_refused() -> None:
    with pytest.raises(UserError, match="a reset 'none' is not trained: use subtract or to_value"):
        DmpNetwork(replace(ROWS, reset="none"))
