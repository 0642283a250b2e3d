"""The Torch network against plain recurrences: the slow state, the Legendre memory, axonal delays,
and layers of every architecture.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from golden.formats import GRADED, SPIKE, Fixed
from golden.params import Reset
from golden.train.model import CHUNK, DmpLayer, DmpNetwork, SlowState, legendre_zoh, snap
from golden.train.topology import ARCHITECTURES, LayerTopology, Topology
from tests.test_lif import BFLOAT16_STEP, lif_reference

SMALL = Topology("rows", 3, (5, 4), n_state=3, theta=6, n_classes=2)
COARSE = Fixed(4, 2, signed=False)  # payloads up to 3.75


@pytest.mark.parametrize(
    "fmt", [Fixed(8, 7), Fixed(4, 0), Fixed(6, -2), Fixed(3, 5, signed=False)], ids=str
)
def test_snapped_values_are_those_of_the_format(fmt: Fixed) -> None:
    generator = torch.Generator().manual_seed(0)
    step = 2.0**-fmt.frac
    ties = torch.arange(fmt.min - 3, fmt.max + 4) * step + step / 2
    spread = torch.randn(100, generator=generator) * fmt.max * step
    values = torch.cat([ties, spread, torch.tensor([-1e9, 1e9, 0.0])]).double().requires_grad_()
    found = snap(values, fmt)
    expected = fmt.to_real(fmt.quantize(values.detach().numpy()))
    assert np.array_equal(found.detach().numpy(), expected)
    weights = torch.arange(len(values)).double()
    (found * weights).sum().backward()
    assert values.grad is not None and torch.equal(values.grad, weights)


def test_delays_stay_within_their_bound_and_can_come_back() -> None:
    layer = DmpLayer(LayerTopology(4, 2, 0, 6, 1, "subtract", max_delay=5), leak=0.5)
    assert layer.delays.min() >= 0 and layer.delays.max() <= 5
    with torch.no_grad():
        layer.delays.copy_(torch.tensor([-4.0, 2.6, 5.0, 99.0]))
    assert layer.held_back().tolist() == [0, 3, 5, 5]
    ramp = torch.arange(20.0)[:, None, None].expand(20, 1, 4)
    found = layer.delayed(ramp)
    assert found[12, 0].tolist() == [12, 9, 7, 7] and found[2, 0].tolist() == [2, 0, 0, 0]
    found[12].sum().backward()
    assert layer.delays.grad is not None
    torch.testing.assert_close(layer.delays.grad, -torch.ones(4))


def test_the_legendre_memory_is_the_exponential_of_its_equation() -> None:
    """Integrate dm/dt = A m + B x over one timestep by a power series of the equation as Voelker et
    al. write it.
    """
    d, theta = 6, 20.0
    system = np.zeros((d + 1, d + 1))
    for i in range(d):
        for j in range(d):
            system[i, j] = (2 * i + 1) / theta * (-1 if i < j else (-1) ** (i - j + 1))
        system[i, d] = (2 * i + 1) / theta * (-1) ** i
    term = total = np.eye(d + 1)
    for n in range(1, 40):
        term = term @ system / n
        total = total + term
    a, b = legendre_zoh(d, theta)
    np.testing.assert_allclose(a, total[:d, :d], atol=1e-12)
    np.testing.assert_allclose(b, total[:d, d], atol=1e-12)


@pytest.mark.parametrize(("d", "theta"), [(1, 5.0), (10, 28.0), (40, 300.0)])
def test_the_legendre_memory_is_stable_and_remembers_a_constant(d: int, theta: float) -> None:
    a, b = legendre_zoh(d, theta)
    assert np.abs(np.linalg.eigvals(a)).max() < 1
    np.testing.assert_allclose(np.linalg.solve(np.eye(d) - a, b), np.eye(d)[0], atol=1e-8)


def test_the_legendre_memory_delays() -> None:
    """Read the input of `theta` timesteps ago: Legendre polynomials are 1 at the far end of the
    window.
    """
    theta = 40
    a, b = legendre_zoh(12, theta)
    x = np.sin(np.arange(300) / 15)
    m, delayed = np.zeros(12), []
    for value in x:
        m = a @ m + b * value
        delayed.append(m.sum())
    # A value held for a timestep is on average half a timestep older.
    np.testing.assert_allclose(delayed[100:], (x[60:-40] + x[61:-39]) / 2, atol=0.01)


def test_no_state_has_no_coefficients() -> None:
    a, b = legendre_zoh(0, 10)
    assert a.shape == (0, 0) and b.shape == (0,)


@pytest.mark.parametrize("n_timesteps", [1, CHUNK, 2 * CHUNK + 13])
def test_the_slow_state_follows_its_recurrence(n_timesteps: int) -> None:
    a, b = legendre_zoh(10, 28)
    drive = torch.rand(n_timesteps, 4, generator=torch.Generator().manual_seed(1))
    state, expected = np.zeros((4, 10)), []
    for x in drive.double().numpy():
        state = state @ a.T + x[:, None] * b
        expected.append(state)
    found = SlowState(10, 28)(drive)
    assert found.shape == (n_timesteps, 4, 10)
    np.testing.assert_allclose(
        found.float().numpy(), np.array(expected), rtol=BFLOAT16_STEP, atol=1e-4
    )


@pytest.mark.parametrize("reset", ["subtract", "to_value"])
@pytest.mark.parametrize(
    "shape",
    [
        {"n_state": 0},
        {"n_state": 3},
        {"n_state": 3, "dilation": 3},
        {"n_state": 3, "dilation": 3, "max_delay": 4},
        {"n_state": 0, "max_delay": 12},
        {"n_state": 0, "recurrent": True},
        {"n_state": 0, "recurrent": True, "max_delay": 2},
        {"n_state": 0, "recurrent": True, "payload": COARSE},
    ],
    ids=str,
)
def test_a_layer_is_its_equations(shape: dict[str, Any], reset: Reset) -> None:
    torch.manual_seed(3)
    values: dict[str, Any] = {"theta": 12, "dilation": 1} | shape
    layer = DmpLayer(LayerTopology(6, 8, reset=reset, **values), leak=0.5)
    n_state, dilation, recurrent, payload = (
        getattr(layer.topology, name) for name in ("n_state", "dilation", "recurrent", "payload")
    )
    with torch.no_grad():
        layer.fast.bias.add_(0.25)
    fired = torch.rand(12, 4, 6) < 0.4
    spikes = (fired * (torch.rand(12, 4, 6) * payload.max).ceil() * 2.0**-payload.frac).bfloat16()
    steps = [round(delay) for delay in layer.delays.tolist()] if "max_delay" in shape else [0] * 6
    assert "max_delay" not in shape or max(steps) > min(steps)
    a, b = (torch.from_numpy(array).float() for array in legendre_zoh(n_state, 12))
    state, held, currents = torch.zeros(4, n_state), torch.zeros(4, 8), []
    for k in range(12):
        arriving = torch.stack(
            [spikes[k - d, :, j] if k >= d else torch.zeros(4) for j, d in enumerate(steps)], 1
        ).float()
        current = arriving @ layer.fast.weight[:, :6].T + layer.fast.bias
        if n_state:
            drive = torch.relu(arriving @ layer.drive_weight + layer.drive_bias)
            state = state @ a.T + drive[:, None] * b
            held = state @ layer.slow.weight.T if k % dilation == 0 else held
            current = current + held
        currents.append(current)
    own = layer.fast.weight[:, 6:] * (3.75 if payload == COARSE else 1) if recurrent else None
    assert layer.fast.weight.shape == (8, 14 if recurrent else 6)
    expected = lif_reference(torch.stack(currents), 0.5, 1.0, reset == "subtract", own)
    found, counts = layer(spikes)
    # The layer computes in bfloat16, so a membrane close to its threshold may fall on the other
    # side.
    assert (found.float() != expected).float().mean() < 0.02 and 0.05 < expected.mean() < 0.9
    assert torch.equal(counts, found.float().sum(0))


def test_a_layer_of_one_input_keeps_its_drive() -> None:
    layer = DmpLayer(replace(SMALL, n_inputs=1).layers[0], leak=0.5)
    assert layer.drive_weight.tolist() == [1.0] and layer.drive_bias.item() == 0
    assert not layer.drive_weight.requires_grad and not layer.drive_bias.requires_grad
    assert (
        layer.drive(torch.full((2, 3, 1), 0.25, dtype=torch.bfloat16)).tolist() == [[0.25] * 3] * 2
    )


def test_a_network_counts_what_is_trained() -> None:
    # Fast weights and biases, slow weights, drives with a bias, readout.
    expected = (3 * 5 + 5) + (5 * 4 + 4) + 3 * (5 + 4) + (3 + 1) + (5 + 1) + (4 * 2 + 2)
    assert DmpNetwork(SMALL).n_parameters() == expected
    assert DmpNetwork(replace(SMALL, n_inputs=1)).n_parameters() == expected - 2 * 5 - (3 + 1)


def test_a_network_returns_logits_and_rates() -> None:
    torch.manual_seed(0)
    logits, rates = DmpNetwork(SMALL)(torch.full((7, 6, 3), 255, dtype=torch.uint8))
    assert logits.shape == (6, 2) and logits.dtype == torch.float32
    assert len(rates) == 2 and 0 <= rates[0] <= 5 and 0 <= rates[1] <= 4
    assert torch.equal(logits, logits[:1].expand(6, 2)), "equal sequences have equal logits"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("payload", [SPIKE, GRADED], ids=str)
def test_every_architecture_has_its_parts(architecture: str, payload: Fixed) -> None:
    """And its gradients reach each of them."""
    torch.manual_seed(0)
    changes = {"payload": payload} | ARCHITECTURES[architecture]
    network = DmpNetwork(replace(SMALL, n_neurons=(9, 8), **changes))
    for name, parameter in network.named_parameters():
        if name.endswith("fast.bias"):
            torch.nn.init.uniform_(parameter, 0, 0.5)
    payloads = (torch.rand(50, 6, 3) * (payload.max + 1)).to(torch.uint8)
    logits, rates = network(payloads)
    assert logits.shape == (6, 2) and logits.dtype == torch.float32
    assert len(rates) == 2 and 0 < rates[0] <= 9 and 0 < rates[1] <= 8
    logits[:, 0].sum().backward()
    missing = {name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    assert not missing
    first, second = network.layers
    assert isinstance(first, DmpLayer) and isinstance(second, DmpLayer)
    delayed = "delays" in architecture or architecture == "dsnn"
    assert hasattr(second, "delays") == delayed
    assert hasattr(first, "delays") == (delayed and payload == SPIKE)
    assert hasattr(first, "slow") == architecture.startswith("dmp")
    assert first.fast.weight.shape == (9, 12 if architecture == "rsnn" else 3)
    assert first.topology.own_value == (1 if payload == SPIKE else 255 / 256)
    assert second.topology.own_value == 1
