"""Networks of snnTorch's modules: what its own code computes in float64, spike for spike, and what
is refused in one line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from golden.errors import UserError
from golden.formats import GRADED, SPIKE, Fixed
from golden.integer import run
from golden.params import LayerFormats
from golden.quantize import quantize
from golden.reals import run_reals

snn: Any = pytest.importorskip("snntorch", reason="snnTorch is not installed")
torch: Any = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from dmp_core.frontends.snntorch import from_snntorch  # noqa: E402

INPUTS, HIDDEN, CLASSES, TIMESTEPS, BATCH = 20, 30, 6, 120, 5


def spread(low: float, high: float, n: int = HIDDEN) -> Any:
    return low + (high - low) * torch.rand(n)


def payloads_for(payload: Fixed, n_inputs: int = INPUTS) -> np.ndarray:
    rng = np.random.default_rng(3)
    shape = (BATCH, TIMESTEPS, n_inputs)
    return rng.integers(payload.min, payload.max + 1, shape) * (rng.random(shape) < 0.4)


def theirs(module: Any, payloads: np.ndarray, payload: Fixed = SPIKE) -> tuple[list[Any], Any]:
    """Return the spikes (B, K, N) of all snnTorch neurons of a module of one timestep, as snnTorch
    runs it, and what it returns (K of them).
    """
    neurons = [part for part in module.modules() if isinstance(part, snn.SpikingNeuron)]
    spikes: list[list[Any]] = [[] for _ in neurons]

    def keep(place: int) -> Callable[..., None]:
        def hook(_: Any, __: Any, output: Any) -> None:
            fired = output[0] if isinstance(output, tuple) else output
            spikes[place].append((fired != 0).flatten(1).numpy().copy())

        return hook

    handles = [neuron.register_forward_hook(keep(i)) for i, neuron in enumerate(neurons)]
    module.double().eval()
    for neuron in neurons:
        neuron.spike_grad = lambda beyond: (beyond > 0).double()  # its own gives float32
        neuron.reset_mem()
    results = []
    with torch.no_grad():
        for k in range(TIMESTEPS):
            results.append(module(torch.from_numpy(payload.to_real(payloads[:, k]))))
    for handle in handles:
        handle.remove()
    return [np.stack(one, 1) for one in spikes], results


def agree(module: Any, payload: Fixed = SPIKE, **options: Any) -> Any:
    """Hold the spikes of a module against those of its import; return the import."""
    imported = from_snntorch(module, payload=payload, **options)
    payloads = payloads_for(payload)
    expected, _ = theirs(module, payloads, payload)
    found = run_reals(imported.network, payloads).spikes
    assert found
    for spikes, right in zip(found, expected, strict=False):
        assert 0.01 < right.mean() < 0.95, right.mean()
        assert np.array_equal(spikes, right)
    return imported


def mlp(*neurons: Any) -> Any:
    """Return linear layers with a bias before each of the neurons."""
    sizes = [INPUTS, HIDDEN, HIDDEN]
    layers: list[Any] = []
    for (n_in, n_out), neuron in zip(zip(sizes, sizes[1:], strict=False), neurons, strict=False):
        linear = nn.Linear(n_in, n_out)
        nn.init.normal_(linear.weight, 0.05, 0.35)
        layers += [linear, neuron]
    return nn.Sequential(*layers)


def scaled(neuron: Any, gain: float) -> Any:
    """Return a recurrent neuron with larger recurrent weights."""
    with torch.no_grad():
        neuron.recurrent.weight.mul_(gain)
        neuron.recurrent.bias.add_(0.1)
    return neuron


HIDDEN_STATES = {"init_hidden": True}
MAKE: dict[str, Callable[[], list[Any]]] = {
    "leaky 0.5": lambda: [snn.Leaky(0.5, **HIDDEN_STATES), snn.Leaky(0.9, **HIDDEN_STATES)],
    "leaky zero": lambda: [snn.Leaky(0.9, reset_mechanism="zero", **HIDDEN_STATES)],
    "leaky zero at once": lambda: [
        snn.Leaky(0.9, reset_mechanism="zero", reset_delay=False, **HIDDEN_STATES)
    ],
    "leaky none": lambda: [snn.Leaky(0.6, reset_mechanism="none", **HIDDEN_STATES)],
    "learned values": lambda: [
        snn.Leaky(
            spread(0.3, 0.95), threshold=spread(0.7, 1.5), learn_beta=True, learn_threshold=True,
            **HIDDEN_STATES,
        ),
        snn.Leaky(
            spread(0.3, 0.95), threshold=spread(0.7, 1.5), reset_mechanism="zero",
            **HIDDEN_STATES,
        ),
    ],
    "clamped betas": lambda: [snn.Leaky(spread(0.7, 1.3), learn_beta=True, **HIDDEN_STATES)],
    "synaptic": lambda: [
        snn.Synaptic(alpha=0.7, beta=0.8, threshold=2.0, **HIDDEN_STATES),
        snn.Synaptic(alpha=spread(-0.1, 0.9), beta=spread(0.4, 0.9), **HIDDEN_STATES),
    ],
    "synaptic zero at once": lambda: [
        snn.Synaptic(
            alpha=0.6, beta=0.8, reset_mechanism="zero", reset_delay=False, **HIDDEN_STATES
        )
    ],
    "synaptic none": lambda: [
        snn.Synaptic(alpha=0.5, beta=0.5, reset_mechanism="none", threshold=2.0, **HIDDEN_STATES)
    ],
    "recurrent": lambda: [
        scaled(snn.RLeaky(0.8, linear_features=HIDDEN, **HIDDEN_STATES), 3.0),
        scaled(
            snn.RLeaky(
                spread(0.5, 0.9), linear_features=HIDDEN, reset_mechanism="zero",
                reset_delay=False, **HIDDEN_STATES,
            ),
            2.0,
        ),
    ],
    "recurrent one to one": lambda: [
        snn.RLeaky(0.8, V=spread(-0.5, 0.6), all_to_all=False, **HIDDEN_STATES),
        snn.RLeaky(0.8, V=-0.3, all_to_all=False, reset_mechanism="none", **HIDDEN_STATES),
    ],
    "recurrent synaptic": lambda: [
        scaled(snn.RSynaptic(0.5, 0.8, linear_features=HIDDEN, **HIDDEN_STATES), 2.0),
        snn.RSynaptic(
            0.6, 0.7, V=0.2, all_to_all=False, reset_mechanism="none", threshold=2.0,
            **HIDDEN_STATES,
        ),
    ],
    "worth of spikes": lambda: [
        snn.Leaky(0.8, graded_spikes_factor=spread(0.4, 1.5), **HIDDEN_STATES),
        snn.Leaky(0.8, **HIDDEN_STATES),
    ],
}  # fmt: skip


@pytest.mark.parametrize("payload", [SPIKE, GRADED, Fixed(6, 4)], ids=str)
@pytest.mark.parametrize("kind", MAKE)
def test_every_spike_is_snntorchs(kind: str, payload: Fixed) -> None:
    """All neurons of all layers at 120 timesteps of 5 sequences, in float64."""
    torch.manual_seed(len(kind))
    agree(mlp(*MAKE[kind]()), payload, readout="spikes")
