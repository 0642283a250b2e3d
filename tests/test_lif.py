"""The neurons of a sequence, by kernel and by loop, against plain recurrences through which Torch
differentiates.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from golden.errors import UserError
from golden.train.lif import LifScan, LoopScan, Value, kernel, scan

BFLOAT16_STEP = 2.0**-8  # relative spacing of bfloat16


class Spike(torch.autograd.Function):
    """A step whose gradient is the triangle: what a neuron does at one timestep."""

    @staticmethod
    def forward(ctx: Any, distance: Tensor) -> Tensor:
        ctx.save_for_backward(distance)
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (distance,) = ctx.saved_tensors
        return grads[0] * torch.clamp(1 - distance.abs(), min=0)


def lif_reference(
    current: Tensor, leak: Value, threshold: Value, subtract: bool, own: Tensor | None = None
) -> Tensor:
    """Return spikes (K, B, N) of the currents' type, differentiable, timestep by timestep; `own`
    (N, N) weighs the spikes of the timestep before.
    """
    membrane = torch.zeros_like(current[0])
    spikes: list[Tensor] = []
    for now in current:
        membrane = leak * membrane + now
        if own is not None and spikes:
            membrane = membrane + spikes[-1] @ own.T
        spike = Spike.apply(membrane - threshold)
        assert isinstance(spike, Tensor)
        spikes.append(spike)
        fired = spike.detach()
        membrane = membrane - threshold * fired if subtract else membrane * (1 - fired)
    return torch.stack(spikes)


def draw(*shape: int, seed: int = 7) -> Tensor:
    """Return sixteenths between -1 and 2. With factors of few bits, every membrane made of them is
    exact in float32, so that spikes must agree one by one.
    """
    return torch.randint(-16, 33, shape, generator=torch.Generator().manual_seed(seed)) / 16


def draw_gradients(shape: tuple[int, ...], outputs: str) -> tuple[Tensor, Tensor]:
    """Return the gradients of spikes (K, B, N), which bfloat16 holds, and of their counts (B, N);
    zeros where a gradient is not among `outputs`.
    """
    generator = torch.Generator().manual_seed(8)
    on_spikes = torch.randn(shape, generator=generator).bfloat16().float()
    on_counts = torch.randn(shape[1:], generator=generator)
    return on_spikes * (outputs != "counts"), on_counts * (outputs != "spikes")


def backward(spikes: Tensor, counts: Tensor, on_spikes: Tensor, on_counts: Tensor) -> None:
    """Propagate these gradients; what has none takes no part."""
    loss = torch.zeros(())
    if on_spikes.any():
        loss = loss + (spikes * on_spikes.to(spikes.dtype)).float().sum()
    if on_counts.any():
        loss = loss + (counts * on_counts).sum()
    loss.backward()


@pytest.mark.parametrize("subtract", [True, False])
@pytest.mark.parametrize(("leak", "threshold"), [(0.5, 1.0), (0.75, 0.5)])
@pytest.mark.parametrize(
    "shape", [(9, 3, 7), (9, 3, 300)]
)  # less and more than a block of columns of the kernel
@pytest.mark.parametrize("outputs", ["spikes", "counts", "both"])
@pytest.mark.parametrize("by", ["kernel", "loop"])
def test_scan_of_neurons_without_recurrence(
    subtract: bool,
    leak: float,
    threshold: float,
    shape: tuple[int, int, int],
    outputs: str,
    by: str,
) -> None:
    on_spikes, on_counts = draw_gradients(shape, outputs)
    expected_current = draw(*shape).requires_grad_()
    expected = lif_reference(expected_current, leak, threshold, subtract)
    (expected * (on_spikes + on_counts)).sum().backward()

    current = draw(*shape).bfloat16().requires_grad_()
    if by == "kernel":
        spikes, counts = LifScan.apply(current, leak, threshold, subtract)
    else:
        spikes, counts = LoopScan.apply(current, None, leak, threshold, subtract)
    assert spikes.dtype == torch.bfloat16 and counts.dtype == torch.float32
    assert torch.equal(spikes.float(), expected) and torch.equal(counts, expected.sum(0))
    assert 0.05 < expected.mean() < 0.95, "the drawn currents must both fire and not"
    backward(spikes, counts, on_spikes, on_counts)
    assert current.grad is not None and expected_current.grad is not None
    assert expected_current.grad.abs().max() > 0.5
    torch.testing.assert_close(
        current.grad.float(), expected_current.grad, rtol=2 * BFLOAT16_STEP, atol=0.02
    )


@pytest.mark.parametrize("subtract", [True, False])
@pytest.mark.parametrize("outputs", ["spikes", "counts", "both"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 4 * BFLOAT16_STEP)]
)
def test_scan_of_recurrent_neurons(
    subtract: bool, outputs: str, dtype: torch.dtype, tolerance: float
) -> None:
    """In float32 nothing is rounded, so that the gradients are those of Torch itself."""
    shape, leak, threshold = (9, 3, 7), 0.5, 0.75
    on_spikes, on_counts = draw_gradients(shape, outputs)
    expected_current, expected_own = draw(*shape), (draw(7, 7, seed=9) - 0.5) / 2
    assert not torch.equal(expected_own, expected_own.T)
    current, own = expected_current.to(dtype), expected_own.to(dtype)
    for tensor in (current, own, expected_current, expected_own):
        tensor.requires_grad_()
    expected = lif_reference(expected_current, leak, threshold, subtract, expected_own)
    (expected * (on_spikes + on_counts)).sum().backward()

    spikes, counts = LoopScan.apply(current, own, leak, threshold, subtract)
    assert torch.equal(spikes.float(), expected) and torch.equal(counts, expected.sum(0))
    assert not torch.equal(expected, lif_reference(current.float(), leak, threshold, subtract))
    backward(spikes, counts, on_spikes, on_counts)
    for found, wanted in ((current, expected_current), (own, expected_own)):
        assert found.grad is not None and wanted.grad is not None
        assert found.grad.dtype == dtype and wanted.grad.abs().max() > 0.5
        largest = float(wanted.grad.abs().max())
        torch.testing.assert_close(
            found.grad.float(), wanted.grad, rtol=tolerance, atol=tolerance * largest
        )


def draw_neurons(n: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return leaks, of which the first are 0 and 1, and thresholds, all of few bits."""
    generator = torch.Generator().manual_seed(3)
    leaks = torch.randint(1, 8, (n,), generator=generator) / 8
    leaks[:2] = torch.tensor([0.0, 1.0])
    thresholds = torch.randint(2, 7, (n,), generator=generator) / 4
    return leaks.to(dtype).requires_grad_(), thresholds.to(dtype).requires_grad_()


@pytest.mark.parametrize("subtract", [True, False])
@pytest.mark.parametrize("outputs", ["spikes", "counts", "both"])
@pytest.mark.parametrize("recurrent", [False, True])
def test_gradients_of_leaks_and_thresholds_are_torchs(
    subtract: bool, outputs: str, recurrent: bool
) -> None:
    """In float64, where nothing is rounded, those of a plain loop, to its last bits."""
    shape = (12, 3, 7)
    on_spikes, on_counts = (g.double() for g in draw_gradients(shape, outputs))
    own = (draw(7, 7, seed=9).double() - 0.5) / 2 if recurrent else None
    found, wanted = (
        [draw(*shape).double().requires_grad_(), *draw_neurons(7, torch.float64)] for _ in range(2)
    )
    expected = lif_reference(wanted[0], wanted[1], wanted[2], subtract, own)
    (expected * (on_spikes + on_counts)).sum().backward()
    spikes, counts = LoopScan.apply(found[0], own, found[1], found[2], subtract)
    assert torch.equal(spikes, expected) and torch.equal(counts, expected.sum(0))
    assert 0.05 < float(expected.detach().mean()) < 0.95
    backward(spikes, counts, on_spikes, on_counts)
    for one, other in zip(found, wanted, strict=True):
        assert one.grad is not None and other.grad is not None and other.grad.abs().min() < 1e9
        assert other.grad.abs().max() > 0.5
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("subtract", [True, False])
@pytest.mark.parametrize("outputs", ["spikes", "counts", "both"])
@pytest.mark.parametrize("shape", [(12, 3, 7), (12, 3, 300)])  # and more than a block of columns
def test_the_kernel_has_leaks_and_thresholds_of_neurons(
    subtract: bool, outputs: str, shape: tuple[int, int, int]
) -> None:
    """Its spikes are exact; its gradients are rounded as their tensors are."""
    on_spikes, on_counts = draw_gradients(shape, outputs)
    wanted = [draw(*shape).requires_grad_(), *draw_neurons(shape[2], torch.float32)]
    expected = lif_reference(wanted[0], wanted[1], wanted[2], subtract)
    (expected * (on_spikes + on_counts)).sum().backward()
    found = [draw(*shape).bfloat16().requires_grad_(), *draw_neurons(shape[2], torch.float32)]
    spikes, counts = LifScan.apply(found[0], found[1], found[2], subtract)
    assert torch.equal(spikes.float(), expected) and torch.equal(counts, expected.sum(0))
    backward(spikes, counts, on_spikes, on_counts)
    for one, other in zip(found, wanted, strict=True):
        assert one.grad is not None and other.grad is not None
        largest = float(other.grad.abs().max())
        assert largest > 0.5
        torch.testing.assert_close(
            one.grad.float(), other.grad, rtol=4 * BFLOAT16_STEP, atol=BFLOAT16_STEP * largest
        )


def test_the_gradient_of_a_threshold_by_hand() -> None:
    """Membranes 1.25 (slope 0.75), of which 0.25 stays, and 0.625 (slope 0.625), silent. A higher
    threshold takes from the first spike by its slope, from the second by its slope and by a half of
    what the reset takes more; a higher leak adds the slope times 0.25.
    """
    leak, threshold = (torch.tensor([value], requires_grad=True) for value in (0.5, 1.0))
    current = torch.tensor([[[1.25]], [[0.5]]])
    for apply in (
        lambda: LoopScan.apply(current, None, leak, threshold, True),
        lambda: LifScan.apply(current.bfloat16(), leak, threshold, True),
    ):
        leak.grad = threshold.grad = None
        spikes, _ = apply()
        assert spikes.flatten().tolist() == [1.0, 0.0]
        (spikes.float() * torch.tensor([[[1.0]], [[2.0]]])).sum().backward()
        assert threshold.grad is not None and leak.grad is not None
        assert threshold.grad.tolist() == [-0.75 - 2 * 0.625 - 2 * 0.625 * 0.5]
        assert leak.grad.tolist() == [2 * 0.625 * 0.25]


@pytest.mark.parametrize("subtract", [True, False])
def test_scan_chooses_kernel_or_loop(subtract: bool) -> None:
    current, own = draw(6, 2, 5).bfloat16(), draw(5, 5, seed=9).bfloat16() / 4
    for weights in (None, own):
        spikes, counts = scan(current, weights, 0.5, 1.0, subtract)
        expected = lif_reference(
            current.float(), 0.5, 1.0, subtract, None if weights is None else weights.float()
        )
        assert torch.equal(spikes.float(), expected) and torch.equal(counts, expected.sum(0))


@pytest.mark.parametrize(
    ("n_timesteps", "on_current", "on_own"),
    [(1, [0.75], 0.0), (2, [0.875 * (0.5 * 0.75 + 0.5), 0.875], 0.875)],
)
def test_recurrence_by_hand(n_timesteps: int, on_current: list[float], on_own: float) -> None:
    """The first membrane is 1.25 (slope 0.75), of which 0.25 stays; the second is
    0.5 * 0.25 + 0.5 and the own spike's 0.5, 1.125 (slope 0.875).
    """
    current = torch.tensor([[[1.25]], [[0.5]]])[:n_timesteps].requires_grad_()
    own = torch.tensor([[0.5]], requires_grad=True)
    spikes, counts = LoopScan.apply(current, own, 0.5, 1.0, True)
    assert spikes.flatten().tolist() == [1.0] * n_timesteps and counts.tolist() == [[n_timesteps]]
    spikes[-1].sum().backward()
    assert current.grad is not None and own.grad is not None
    assert current.grad.flatten().tolist() == on_current and own.grad.tolist() == [[on_own]]


def test_the_kernel_leaves_denormal_numbers_to_the_process() -> None:
    current = torch.zeros(1, 1, 1, dtype=torch.bfloat16)
    LifScan.apply(current, 0.5, 1.0, True)  # loads it
    assert float(np.float64(1e-310) * np.float64(0.5)) > 0


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
        kernel.__wrapped__()
    assert "\n" not in str(error.value)
    assert not list((cache / "dmp-core").iterdir())
