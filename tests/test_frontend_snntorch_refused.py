"""What of snnTorch's modules has no place in the hardware is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from golden.errors import UserError

snn: Any = pytest.importorskip("snntorch", reason="snnTorch is not installed")
torch: Any = pytest.importorskip("torch")
nn: Any = torch.nn

from dmp_core.frontends.layers import Lif, from_layers  # noqa: E402
from dmp_core.frontends.snntorch import from_snntorch  # noqa: E402
from tests.snntorch_modules import HIDDEN, HIDDEN_STATES, INPUTS, Forward, mlp  # noqa: E402


def one(neuron: Any, **options: Any) -> Callable[[], Any]:
    return lambda: from_snntorch(mlp(neuron()), **options)


def broken(change: Callable[[Any], None]) -> Callable[[], Any]:
    """Return an import of a module that was changed."""

    def call() -> Any:
        module = nn.Sequential(nn.Linear(INPUTS, HIDDEN), snn.Leaky(0.9, init_hidden=True))
        with torch.no_grad():
            change(module)
        return from_snntorch(module)

    return call


def forward(of: Callable[[Any, Any], Any]) -> Callable[[], Any]:
    return lambda: from_snntorch(Forward(of), inputs=(INPUTS,), readout="spikes")


def in_place(m: Any, x: Any) -> Any:
    y = m.fc1(x)
    y.mul_(2)
    return m.lif1(y)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "synaptic zero": (
        one(lambda: snn.Synaptic(0.5, 0.5, reset_mechanism="zero", **HIDDEN_STATES)),
        "1: the late reset to zero of a Synaptic also loses .*: use reset_delay=False",
    ),
    "recurrent zero": (
        one(lambda: snn.RLeaky(
            0.5, linear_features=HIDDEN, reset_mechanism="zero", **HIDDEN_STATES
        )),
        "1: the late reset to zero of a RLeaky also loses .*: use reset_delay=False",
    ),
    "recurrent synaptic zero": (
        one(lambda: snn.RSynaptic(
            0.5, 0.5, linear_features=HIDDEN, reset_mechanism="zero", **HIDDEN_STATES
        )),
        "1: the late reset to zero of a RSynaptic also loses .*: use 'subtract'",
    ),
    "inhibition": (
        one(lambda: snn.Leaky(0.5, inhibition=True, **HIDDEN_STATES)), "1: inhibition=True has"
    ),
    "quantized states": (
        one(lambda: snn.Leaky(0.5, state_quant=lambda v: v, **HIDDEN_STATES)), "1: state_quant"
    ),
    "chance": (
        one(lambda: snn.Leaky(0.5, spike_grad=torch.sigmoid, **HIDDEN_STATES)),
        "1: its spike_grad is no step from 0 to 1",
    ),
    "beta 0": (
        one(lambda: snn.Synaptic(0.5, torch.tensor([0.5, 0.0] * 15), **HIDDEN_STATES)),
        "1.beta of neuron 1 is 0, where a late subtraction",
    ),
    "changed reset": (
        broken(lambda m: setattr(m[1], "reset_mechanism", "zero")),
        "1: reset_mechanism was changed after the neuron was made",
    ),
    "other neurons": (
        one(lambda: snn.Lapicque(0.5, **HIDDEN_STATES)),
        "1: Lapicque has no place on the core: use Leaky, RLeaky, Synaptic, RSynaptic"),
    "nan": (broken(lambda m: m[0].weight[3].fill_(float("nan"))), "0.weight has a value of nan"),
    "infinity": (broken(lambda m: m[1].threshold.fill_(float("inf"))), "1.threshold has a value"),
    "negative threshold": (
        broken(lambda m: m[1].threshold.fill_(-1)), "1.threshold is -1, which a membrane at rest"
    ),
    "no device": (
        lambda: from_snntorch(mlp(snn.Leaky(0.5)).to("meta")), "0.weight is on the device 'meta'"
    ),
    "threshold's shape": (
        one(lambda: snn.Leaky(0.5, threshold=torch.ones(4), **HIDDEN_STATES)), "forward fails"
    ),
    "states of a Sequential": (
        lambda: from_snntorch(nn.Sequential(nn.Linear(3, 4), snn.Leaky(0.5), nn.Linear(4, 5))),
        "forward fails .*: neurons in an nn.Sequential need init_hidden=True",
    ),
    "size of layers": (
        lambda: from_snntorch(nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 6))), "forward fails"
    ),
    "relu": (
        forward(lambda m, x: m.lif1(m.act(m.fc1(x)))), "act: ReLU has no place on the core: betw"
    ),
    "function": (
        forward(lambda m, x: m.lif1(torch.relu(m.fc1(x)))),
        "lif1 receives neither the input nor what the module before it returns",
    ),
    "in place": (forward(in_place), "lif1 receives what fc1 returns, but changed in place"),
    "branch": (
        forward(lambda m, x: (y := m.fc1(x), m.fc2(y), m.lif1(y))[-1]),
        "lif1 receives what fc1 returns, past other modules: branches",
    ),
    "part": (
        forward(lambda m, x: m.lif1(m.fc1(x)[:, :7])), "lif1 receives a part of what fc1 returns"
    ),
    "part of the input": (
        lambda: from_snntorch(
            Forward(lambda m, x: m.lif1(m.fc1(x[:, INPUTS:]))),
            inputs=(2 * INPUTS,), readout="spikes",
        ),
        "fc1 receives a part of the input: hand",
    ),
    "transposed input": (
        lambda: from_snntorch(
            Forward(lambda m, x: m.lif1(m.fc1(m.flat(x.transpose(1, 2))))),
            inputs=(2, INPUTS // 2), readout="spikes",
        ),
        "flat receives the input's values in another order",
    ),
    "time backwards": (
        lambda: from_snntorch(
            Forward(lambda m, x: [m.lif1(m.fc1(x[:, k])) for k in (1, 0)][-1]),
            inputs=torch.rand(2, 2, INPUTS), readout="spikes",
        ),
        "fc1 receives the input's timesteps in another order",
    ),
    "two kinds of timestep": (
        forward(lambda m, x: (m.lif1(m.fc1(x)), m.lif1(m.fc2(x)))[0]),
        "the module calls fc1, lif1 in one timestep, and fc2, lif1 in another",
    ),
    "state": (
        forward(lambda m, x: m.lif2(m.fc1(x), torch.ones(2, INPUTS))),
        "lif2 receives a state that is neither 0 at the start",
    ),
    "no neurons": (
        lambda: from_snntorch(nn.Sequential(nn.Linear(3, 4)), readout="sum"),
        "the module has no neurons",
    ),
    "inputs open": (
        lambda: from_snntorch(nn.Sequential(nn.Conv1d(1, 2, 3), snn.Leaky(0.5))),
        "the shape of the module's inputs is open",
    ),
    "inputs wrong": (lambda: from_snntorch(nn.Linear(3, 4), inputs=(0,)), r"inputs \(0,\): use"),
    "sequences": (
        lambda: from_snntorch(
            nn.Sequential(nn.Linear(3, 4), snn.Leaky(0.5)),
            inputs=torch.rand(2, 9, 3),
            readout="spikes",
        ),
        r"0 receives \(2, 9, 3\): use \(batch, values\) of one timestep",
    ),
    "inputs and readout": (
        lambda: from_snntorch(nn.Sequential(nn.Conv1d(1, 2, 3), snn.Leaky(0.5))),
        r"set inputs, as \(28,\); and set readout to spikes, spike_count or membrane, unless the",
    ),
    "inputs and readout of weights": (
        lambda: from_snntorch(nn.Sequential(nn.Conv1d(1, 2, 3), snn.Leaky(0.5), nn.Linear(2, 3))),
        r"set inputs, as \(28,\); and set readout to sum or last$",
    ),
    "inputs alone": (
        lambda: from_snntorch(nn.Sequential(nn.Conv1d(1, 2, 3)), readout="sum"),
        r"set inputs, as \(28,\)$",
    ),
    "readout's name": (one(lambda: snn.Leaky(0.5), readout="mean"), "readout 'mean': use spikes"),
    "readout of weights": (
        one(lambda: snn.Leaky(0.5), readout="sum"), "readout 'sum' of 1 at the end: use spikes or"
    ),
    "membrane that resets": (
        one(lambda: snn.Leaky(0.5), readout="membrane"),
        "1: the membrane of a Leaky with reset_mechanism='subtract' is no readout",
    ),
    "worth of last spikes": (
        one(lambda: snn.Leaky(0.5, graded_spikes_factor=2.0), readout="spikes"),
        "1.graded_spikes_factor is not 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_place_is_refused_in_one_line(case: str) -> None:
    call, message = REFUSED[case]
    torch.manual_seed(0)
    with pytest.raises(UserError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)


def test_tensors_of_another_device_are_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"layer0\.weights is no array of numbers") as refused:
        from_layers([Lif(torch.zeros(3, 2, device="meta"))])
    assert "\n" not in str(refused.value)
    weights = torch.ones(3, 2, dtype=torch.bfloat16)
    with pytest.raises(UserError, match=r"layer0\.weights is no array of numbers"):
        from_layers([Lif(weights)])
