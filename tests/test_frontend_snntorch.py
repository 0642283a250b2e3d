"""Networks of snnTorch's modules: what its own code computes in float64, spike for spike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
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
nn: Any = torch.nn

from dmp_core.frontends.snntorch import from_snntorch  # noqa: E402
from tests.snntorch_modules import HIDDEN, HIDDEN_STATES, INPUTS, Forward, mlp  # noqa: E402

CLASSES, TIMESTEPS, BATCH = 6, 120, 5


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
    steps = [neuron.spike_grad for neuron in neurons]
    for neuron in neurons:
        neuron.spike_grad = lambda beyond: (beyond > 0).double()  # their own give float32
        neuron.reset_mem()
    results = []
    with torch.no_grad():
        for k in range(TIMESTEPS):
            results.append(module(torch.from_numpy(payload.to_real(payloads[:, k]))))
    for handle in handles:
        handle.remove()
    for neuron, step in zip(neurons, steps, strict=True):
        neuron.spike_grad = step
    return [np.stack(one, 1) for one in spikes], results


def agree(module: Any, payload: Fixed = SPIKE, **options: Any) -> Any:
    """Hold the spikes of a module against those of its import; return the import."""
    imported = from_snntorch(module, payload=payload, **options)
    payloads = payloads_for(payload, imported.network.layers[0].n_inputs)
    expected, _ = theirs(module, payloads, payload)
    found = run_reals(imported.network, payloads).spikes
    assert found
    for spikes, right in zip(found, expected, strict=False):
        assert 0.01 < right.mean() < 0.95, right.mean()
        assert np.array_equal(spikes, right)
    return imported


def scaled(neuron: Any, gain: float) -> Any:
    """Return a recurrent neuron with larger recurrent weights."""
    with torch.no_grad():
        neuron.recurrent.weight.mul_(gain)
        neuron.recurrent.bias.add_(0.1)
    return neuron


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
    "betas of 0": lambda: [
        snn.Leaky(spread(-0.5, 0.5), learn_beta=True, threshold=spread(0.7, 1.2), **HIDDEN_STATES),
        scaled(snn.RLeaky(0.0, linear_features=HIDDEN, **HIDDEN_STATES), 2.0),
    ],
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

PAYLOADS = [SPIKE, GRADED, Fixed(6, 4)]
# Kinds that a payload matters for meet all of them, the others one after another.
CASES = [(kind, PAYLOADS[place % 3]) for place, kind in enumerate(MAKE)]
CASES += [(kind, payload) for kind in ("recurrent", "betas of 0") for payload in PAYLOADS]


@pytest.mark.parametrize(("kind", "payload"), dict.fromkeys(CASES), ids=str)
def test_every_spike_is_snntorchs(kind: str, payload: Fixed) -> None:
    """All neurons of all layers at 120 timesteps of 5 sequences, in float64."""
    torch.manual_seed(len(kind))
    agree(mlp(*MAKE[kind]()), payload, readout="spikes")


def test_neurons_fire_above_their_threshold_not_at_it() -> None:
    """Weights and decays of halves, so that membranes meet the threshold exactly."""
    torch.manual_seed(7)
    module = mlp(snn.Leaky(0.5, init_hidden=True))
    with torch.no_grad():
        module[0].weight.copy_(torch.randint(-1, 3, (HIDDEN, INPUTS)) / 4)
        module[0].bias.zero_()
    network = agree(module).network
    (layer,) = network.layers
    at = replace(network, layers=(replace(layer, strict=False),))
    payloads = payloads_for(SPIKE)
    assert (run_reals(at, payloads).spikes[0] != run_reals(network, payloads).spikes[0]).any()


def test_own_spikes_are_worth_as_much_as_those_that_leave() -> None:
    torch.manual_seed(8)
    recurrent = scaled(snn.RLeaky(0.8, linear_features=HIDDEN, init_hidden=True), 3.0)
    recurrent.graded_spikes_factor = spread(0.3, 1.8)
    agree(mlp(recurrent, snn.Leaky(0.8, init_hidden=True)), readout="spikes")


class OneTimestep(nn.Module):
    """States outside, as snnTorch's tutorials have them; the loop over time is outside, too."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(INPUTS, HIDDEN), nn.Linear(HIDDEN, CLASSES)
        self.lif1, self.lif2 = snn.Leaky(0.8), snn.Leaky(0.9)
        nn.init.normal_(self.fc1.weight, 0.05, 0.35)
        nn.init.normal_(self.fc2.weight, 0.1, 0.4)

    def forward(self, x: Any, mem1: Any = None, mem2: Any = None) -> Any:
        fired, mem1 = self.lif1(self.fc1(x), mem1)
        fired, mem2 = self.lif2(self.fc2(fired), mem2)
        return fired, mem1, mem2


class Loop(OneTimestep):
    """The loop over time is in the module: (batch, timesteps, inputs)."""

    def forward(self, x: Any, mem1: Any = None, mem2: Any = None) -> Any:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.reset_mem()
        fired = []
        for k in range(x.shape[1]):
            spikes, mem1 = self.lif1(self.fc1(x[:, k].flatten(1)), mem1)
            spikes, mem2 = self.lif2(self.fc2(spikes), mem2)
            fired.append(spikes)
        return torch.stack(fired, 1)


def test_a_forward_with_states_or_a_loop_over_time_is_followed() -> None:
    torch.manual_seed(0)
    module = OneTimestep()
    states = torch.zeros(2, HIDDEN), torch.zeros(2, CLASSES)
    one = from_snntorch(
        module, inputs=(torch.rand(2, INPUTS), *states), readout="spike_count"
    ).network
    loop = Loop()
    loop.load_state_dict(module.state_dict())
    loop.lif1(torch.ones(3, HIDDEN, requires_grad=True))
    before = loop.lif1.mem
    many = from_snntorch(loop, inputs=torch.rand(2, 5, INPUTS), readout="spike_count").network
    assert many.layers[1].w_f.shape == (CLASSES, HIDDEN) and loop.training
    assert loop.lif1.mem is before and not loop.lif2.mem.numel(), "it is left as it was"
    for network in (one, many):
        done = run_reals(network, payloads_for(SPIKE))
        (hidden, out), _ = theirs(module, payloads_for(SPIKE))
        for neuron in (module.lif1, module.lif2):
            neuron.float()
        assert np.array_equal(done.spikes[0], hidden) and np.array_equal(done.spikes[1], out)
        assert 0.02 < out.mean() < 0.9
        np.testing.assert_array_equal(done.logits, out.sum(1))
        module.float()


def test_convolutions_pooling_and_normalization_are_unrolled() -> None:
    torch.manual_seed(1)
    module = nn.Sequential(
        nn.Unflatten(1, (2, 6, 5)),
        nn.Conv2d(2, 4, 3, padding=1, stride=(1, 2)),
        nn.BatchNorm2d(4),
        snn.Leaky(0.7, threshold=spread(0.6, 1.2, 4).reshape(4, 1, 1), init_hidden=True),
        nn.AvgPool2d(2, padding=1),
        nn.Dropout(0.3),
        snn.RLeaky(0.8, conv2d_channels=4, kernel_size=3, init_hidden=True, threshold=0.5),
        nn.Flatten(2),
        nn.Conv1d(4, 3, 3, dilation=2),
        nn.Flatten(),
        nn.BatchNorm1d(12),
        snn.Leaky(0.9, init_hidden=True),
    )
    module(torch.rand(8, 60))  # for means of a batch that are not 0
    imported = agree(module, inputs=(60,), readout="spikes")
    report = " ".join(imported.report().split())
    assert "Conv2d of (2, 6, 5): unrolled to 72 x 60 weights" in report
    assert "does nothing after training" in report
    with pytest.raises(UserError, match=r"1: 72 x 60 weights, more than 4000: set max_weights"):
        from_snntorch(module, inputs=(60,), readout="spikes", max_weights=4000)


def test_what_is_read_of_the_last_neurons() -> None:
    """Counts of spikes, membranes, and sums and last values of weights, as snnTorch has them."""
    torch.manual_seed(2)
    payloads = payloads_for(GRADED)
    body = mlp(snn.Leaky(0.8, init_hidden=True))
    keeps = snn.Leaky(0.85, reset_mechanism="none", init_hidden=True, output=True)
    module = nn.Sequential(*body, nn.Linear(HIDDEN, CLASSES), keeps)
    _, results = theirs(module, payloads, GRADED)
    membranes = np.stack([membrane.numpy() for _, membrane in results])
    counts = sum(fired.numpy() for fired, _ in results)
    weights_only = nn.Sequential(*module[:-1])
    _, sums = theirs(weights_only, payloads, GRADED)
    expected = {
        ("membrane", "last"): membranes[-1],
        ("membrane", "max"): membranes.max(0),
        ("spike_count", "last"): counts,
        ("sum", "last"): np.sum([one.numpy() for one in sums], 0),
        ("last", "last"): sums[-1].numpy(),
        ("last", "max"): np.max([one.numpy() for one in sums], 0),
    }
    for (what, report), right in expected.items():
        source = weights_only if what in ("sum", "last") else module
        options: Any = {"readout": what, "report": report}
        network = from_snntorch(source, payload=GRADED, **options).network
        np.testing.assert_allclose(run_reals(network, payloads).logits, right, atol=1e-9)
    with pytest.raises(UserError, match="what is read of the module is open: set readout to spi"):
        from_snntorch(module)
    with pytest.raises(UserError, match="what is read of the module is open: set readout to sum"):
        from_snntorch(weights_only)
    only_spikes = nn.Sequential(*body)
    assert not from_snntorch(only_spikes).network.b_o.size, "what it returns is clear"


def test_the_inputs_scale_goes_into_the_first_weights() -> None:
    """Pixels of 0 to 1, as ToTensor gives them, are bytes divided by 255, not by 256."""
    torch.manual_seed(3)
    module, payloads = mlp(*MAKE["recurrent"]()), payloads_for(GRADED)
    network = from_snntorch(module, payload=GRADED, input_scale=256 / 255, readout="spikes").network
    expected, _ = theirs(module, payloads * 256 / 255, GRADED)
    for spikes, right in zip(run_reals(network, payloads).spikes, expected, strict=True):
        assert np.array_equal(spikes, right)


def test_a_reset_at_once_is_the_same_below_twice_the_threshold() -> None:
    """Where membranes may exceed it, the report says so; and they differ there only."""
    torch.manual_seed(4)
    quiet = nn.Sequential(nn.Linear(INPUTS, HIDDEN), snn.Leaky(
        0.5, reset_delay=False, init_hidden=True
    ))  # fmt: skip
    nn.init.uniform_(quiet[0].weight, 0, 0.1 / INPUTS)
    nn.init.zeros_(quiet[0].bias)
    with torch.no_grad():
        quiet[0].weight[:, :2] = 0.45
    imported = agree(quiet)
    assert "approximated" not in imported.report()
    loud = mlp(snn.Leaky(0.5, reset_delay=False, init_hidden=True))
    imported = from_snntorch(loud)
    assert "where a membrane exceeds twice its threshold" in " ".join(imported.report().split())
    payloads = payloads_for(SPIKE)
    (expected,), _ = theirs(loud, payloads)
    (spikes,) = run_reals(imported.network, payloads).spikes
    different = (spikes != expected).mean()
    assert 0 < different < 0.1, different


def test_half_precision_and_integer_values_are_taken() -> None:
    torch.manual_seed(5)
    module = mlp(snn.Leaky(beta=0.5, threshold=1, init_hidden=True))
    expected = from_snntorch(module).network.layers[0]
    imported = from_snntorch(module.half())
    assert "torch.float16" in imported.report() and "approximated" in imported.report()
    np.testing.assert_array_equal(imported.network.layers[0].w_f, expected.w_f.astype(np.float16))
    assert module[0].weight.dtype == torch.float16


def test_the_integers_are_snntorchs_classes() -> None:
    """A network with 16 bits for each weight, against what snnTorch counts."""
    torch.manual_seed(6)
    module = nn.Sequential(
        *mlp(*MAKE["leaky 0.5"]()), nn.Linear(HIDDEN, CLASSES), snn.Leaky(0.9, init_hidden=True)
    )
    nn.init.normal_(module[4].weight, 0.1, 0.4)
    network = from_snntorch(module, readout="spike_count").network
    rng = np.random.default_rng(0)
    payloads = (rng.random((60, 40, INPUTS)) < rng.uniform(0.1, 0.6, (60, 1, INPUTS))).astype(int)
    widths = LayerFormats(
        w_f=Fixed(16), u=Fixed(24), bias_width=24, leak=Fixed(16, 16, signed=False)
    )
    integers = quantize(network, payloads, "theirs", widths, w_o_width=16).network
    counts = run_reals(network, payloads).logits
    ranked = np.sort(counts, 1)
    clear = ranked[:, -1] > ranked[:, -2]
    assert clear.sum() > 10
    assert np.array_equal(run(integers, payloads).classes[clear], counts.argmax(1)[clear])


@pytest.mark.parametrize(
    ("shape", "at"),
    [
        ((3, 2, INPUTS), lambda x, k: x[k]),
        ((2, 3, INPUTS), lambda x, k: x[:, k]),
        ((2, INPUTS, 3), lambda x, k: x[:, :, k]),
        ((2, INPUTS), lambda x, k: x),
    ],
)
def test_the_inputs_of_timesteps_are_found_in_every_layout(
    shape: tuple[int, ...], at: Callable[[Any, int], Any]
) -> None:
    torch.manual_seed(0)
    module = Forward(lambda m, x: [m.lif1(m.fc1(at(x, k))) for k in range(3)][-1])
    (layer,) = from_snntorch(module, inputs=torch.rand(shape), readout="spikes").network.layers
    np.testing.assert_allclose(layer.w_f, module.fc1.weight.detach().numpy())
