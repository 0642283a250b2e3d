"""The Torch network against plain recurrences: the LIF kernel and its backward, the slow state, the
Legendre memory.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from golden.errors import UserError
from golden.lif import LifScan, _kernel
from golden.model import (
    CHUNK,
    DmpLayer,
    DmpNetwork,
    SlowState,
    legendre_zoh,
)
from golden.topology import LayerTopology, Topology

BFLOAT16_STEP = 2.0**-8  # relative spacing of bfloat16
SMALL = Topology("rows", 3, (5, 4), n_state=3, theta=6, n_classes=2)


class Spike(torch.autograd.Function):
    """A step whose gradient is the triangle; what `LifScan` does at one timestep."""

    @staticmethod
    def forward(ctx: Any, membrane: Tensor, threshold: float) -> Tensor:
        ctx.save_for_backward(membrane - threshold)
        return (membrane >= threshold).float()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (distance,) = ctx.saved_tensors
        return grads[0] * torch.clamp(1 - distance.abs(), min=0), None


def lif_reference(current: Tensor, leak: float, threshold: float, subtract: bool) -> Tensor:
    """Return spikes (K, B, N) float32, differentiable, timestep by timestep."""
    membrane = torch.zeros_like(current[0])
    spikes = []
    for now in current:
        membrane = leak * membrane + now
        spike = Spike.apply(membrane, threshold)
        assert isinstance(spike, Tensor)
        spikes.append(spike)
        fired = spike.detach()
        membrane = membrane - threshold * fired if subtract else membrane * (1 - fired)
    return torch.stack(spikes)


# Currents in sixteenths, and factors of few bits: every membrane is exact in float32, so spikes
# must agree one by one.
@pytest.mark.parametrize("subtract", [True, False])
@pytest.mark.parametrize(("leak", "threshold"), [(0.5, 1.0), (0.75, 0.5)])
@pytest.mark.parametrize(
    "shape", [(9, 3, 7), (9, 3, 300)]
)  # less and more than a block of columns of the kernel
@pytest.mark.parametrize("outputs", ["spikes", "counts", "both"])
def test_lif_scan(
    subtract: bool, leak: float, threshold: float, shape: tuple[int, int, int], outputs: str
) -> None:
    generator = torch.Generator().manual_seed(7)
    sixteenths = torch.randint(-16, 33, shape, generator=generator).float() / 16
    on_spikes = (
        torch.randn(shape, generator=generator) if outputs != "counts" else torch.zeros(shape)
    )
    on_counts = (
        torch.randn(shape[1:], generator=generator)
        if outputs != "spikes"
        else torch.zeros(shape[1:])
    )

    expected_current = sixteenths.clone().requires_grad_()
    expected = lif_reference(expected_current, leak, threshold, subtract)
    (expected * (on_spikes.bfloat16().float() + on_counts)).sum().backward()

    current = sixteenths.bfloat16().requires_grad_()
    spikes, counts = LifScan.apply(current, leak, threshold, subtract)
    assert torch.equal(spikes.float(), expected) and torch.equal(counts, expected.sum(0))
    assert 0.05 < expected.mean() < 0.95, "the drawn currents must both fire and not"
    loss = torch.zeros(())
    if outputs != "counts":
        loss = loss + (spikes * on_spikes.bfloat16()).float().sum()
    if outputs != "spikes":
        loss = loss + (counts * on_counts).sum()
    loss.backward()
    assert current.grad is not None and expected_current.grad is not None
    assert expected_current.grad.abs().max() > 0.5
    torch.testing.assert_close(
        current.grad.float(), expected_current.grad, rtol=2 * BFLOAT16_STEP, atol=0.02
    )


def test_the_kernel_leaves_denormal_numbers_to_the_process() -> None:
    current = torch.zeros(1, 1, 1, dtype=torch.bfloat16)
    LifScan.apply(current, 0.5, 1.0, True)  # loads it
    assert float(np.float64(1e-310) * np.float64(0.5)) > 0


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


@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.parametrize("n_state", [0, 3])
def test_a_layer_is_its_equations(dilation: int, n_state: int) -> None:
    torch.manual_seed(3)
    layer = DmpLayer(LayerTopology(6, 8, n_state, 12, dilation, "subtract"), leak=0.5)
    spikes = (torch.rand(10, 4, 6) < 0.4).bfloat16()
    a, b = (torch.from_numpy(array).float() for array in legendre_zoh(n_state, 12))
    state, held, currents = torch.zeros(4, n_state), torch.zeros(4, 8), []
    for k, arriving in enumerate(spikes.float()):
        current = arriving @ layer.fast.weight.T + layer.fast.bias
        if n_state:
            drive = torch.relu(arriving @ layer.drive_weight + layer.drive_bias)
            state = state @ a.T + drive[:, None] * b
            held = state @ layer.slow.weight.T if k % dilation == 0 else held
            current = current + held
        currents.append(current)
    expected = lif_reference(torch.stack(currents), 0.5, 1.0, subtract=True)
    found, counts = layer(spikes)
    # The layer computes in bfloat16, so a membrane close to its threshold may fall on the other
    # side.
    assert (found.float() != expected).float().mean() < 0.02 and expected.mean() > 0.05
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


@pytest.mark.parametrize(
    ("compiler", "message"),
    [
        (None, r"training needs g\+\+ \(No such file or directory\): install it"),
        (
            "#!/bin/sh\necho 'In file of:\nlif.cpp:1:2: error: no bfloat16\nmore' >&2\nexit 1\n",
            r"could not compile .*lif\.cpp \(lif\.cpp:1:2: error: no bfloat16\): install another",
        ),
        ("#!/bin/sh\nexit 3\n", r"could not compile .*lif\.cpp \(exit status 3\)"),
    ],
)
def test_a_missing_or_failing_compiler_is_one_line(
    compiler: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, programs = tmp_path / "cache", tmp_path / "bin"
    programs.mkdir()
    if compiler:
        (programs / "g++").write_text(compiler)
        (programs / "g++").chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(UserError, match=message) as error:
        _kernel.__wrapped__()
    assert "\n" not in str(error.value)
    assert not list((cache / "dmp-core").iterdir())
