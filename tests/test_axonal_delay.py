"""Axonal delays in Torch: what they hold back, and their gradients; the kernel against Torch."""

import pytest
import torch
from torch import Tensor

from golden.train.axonal_delay import AxonalDelay

N_TIMESTEPS = 8
DELAYS = [0.0, 1.0, 2.4, 2.6, 7.0, 8.0, 20.0]
STEPS = [0, 1, 2, 3, 7, 8, 20]


def test_delays_hold_inputs_back() -> None:
    """Among them none at all, the last timestep, and beyond the sequence."""
    generator = torch.Generator().manual_seed(1)
    shape = (N_TIMESTEPS, 3, len(DELAYS))
    spikes = (torch.rand(shape, generator=generator) < 0.5).bfloat16().requires_grad_()
    delays = torch.tensor(DELAYS, requires_grad=True)
    gradient = torch.randn(shape, generator=generator).bfloat16()
    found = AxonalDelay.apply(spikes, delays)
    assert isinstance(found, Tensor) and found.dtype == torch.bfloat16
    found.backward(gradient)
    assert spikes.grad is not None
    for j, step in enumerate(STEPS):
        for k in range(N_TIMESTEPS):
            before, behind = k - step, k + step
            expected = spikes[before, :, j] if before >= 0 else torch.zeros(3)
            assert torch.equal(found[k, :, j].float(), expected.float())
            expected = gradient[behind, :, j] if behind < N_TIMESTEPS else torch.zeros(3)
            assert torch.equal(spikes.grad[k, :, j].float(), expected.float())


def test_the_gradient_of_a_delay_is_minus_the_slope_of_what_arrives() -> None:
    """Of ramps, whose slope is the same however it is smoothed."""
    ramps = torch.arange(20.0)[:, None, None] * torch.tensor([1.0, -2.0, 0.25])
    delays = torch.tensor([0.0, 3.0, 5.0], requires_grad=True)
    gradient = torch.zeros(20, 1, 3)
    gradient[9, 0] = torch.tensor([1.0, 1.0, 2.0])
    delayed = AxonalDelay.apply(ramps, delays)
    assert isinstance(delayed, Tensor)
    delayed.backward(gradient)
    assert delays.grad is not None
    torch.testing.assert_close(delays.grad, torch.tensor([-1.0, 2.0, -0.5]))


def test_a_delay_descends_to_the_one_that_matches() -> None:
    bump = torch.exp(-(((torch.arange(40.0) - 15) / 4) ** 2))[:, None, None].expand(40, 1, 3)
    target = torch.roll(bump[:, :, :1], 6, 0)  # six timesteps later
    delays = torch.tensor([3.0, 9.0, 6.0], requires_grad=True)
    slopes = None
    for _ in range(30):
        delayed = AxonalDelay.apply(bump, delays)
        assert isinstance(delayed, Tensor)
        (slope,) = torch.autograd.grad(((delayed - target) ** 2).sum(), delays)
        slopes = slope if slopes is None else slopes
        with torch.no_grad():
            delays -= slope
    assert slopes is not None and slopes[0] < -0.1 and slopes[1] > 0.1 and abs(slopes[2]) < 1e-6
    assert delays.detach().round().tolist() == [6, 6, 6]


@pytest.mark.parametrize("seed", range(4))
def test_the_kernel_does_what_torch_does(seed: int) -> None:
    """Spikes in bfloat16 (the kernel) and the same in float32 (Torch operations)."""
    generator = torch.Generator().manual_seed(seed)
    shape = (30, 5, 40)
    spikes = (torch.rand(shape, generator=generator) < 0.3).float()
    gradient = torch.randn(shape, generator=generator).bfloat16().float()
    start = torch.rand(40, generator=generator) * 34
    found = []
    for dtype in (torch.bfloat16, torch.float32):
        values, delays = spikes.to(dtype).requires_grad_(), start.clone().requires_grad_()
        delayed = AxonalDelay.apply(values, delays)
        assert isinstance(delayed, Tensor)
        delayed.backward(gradient.to(dtype))
        assert values.grad is not None and delays.grad is not None
        found.append((delayed.detach().float(), values.grad.float(), delays.grad))
    (kernel, kernel_grad, kernel_slope), (loop, loop_grad, loop_slope) = found
    assert torch.equal(kernel, loop) and torch.equal(kernel_grad, loop_grad)
    assert loop_slope.abs().min() == 0 and loop_slope.abs().max() > 1, "both corners are there"
    torch.testing.assert_close(kernel_slope, loop_slope, rtol=1e-4, atol=1e-4)
