"""Axonal delays in Torch: by the kernel in `lif.cpp` for bfloat16 on a processor, else by Torch
operations on any device.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from golden.train.lif import kernel, pointer

DELAY_SLOPE = 3  # timesteps before and after an event that its delay's gradient looks at


class AxonalDelay(torch.autograd.Function):
    """Hold back input j of spikes (K, B, M) by round(delays[j]) timesteps.

    The gradient of a delay is the slope in time of what it delays, smoothed over `DELAY_SLOPE`
    timesteps on both sides (after SLAYER, Shrestha and Orchard 2018).
    """

    @staticmethod
    def forward(ctx: Any, spikes: Tensor, delays: Tensor) -> Tensor:
        steps = delays.detach().round().long()
        ctx.save_for_backward(spikes, steps)
        return _shifted(spikes, steps)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor]:
        spikes, steps = ctx.saved_tensors
        [grad] = grad_outputs
        if _has_kernel(grad):
            grad_delays = torch.empty(len(steps), dtype=torch.float32)
            spikes, grad = spikes.contiguous(), grad.contiguous()
            kernel().delay_slope(
                *(pointer(t) for t in (spikes, grad, steps, grad_delays)),
                *(ctypes.c_int64(n) for n in (*grad.shape, DELAY_SLOPE)),
            )
            return _shifted(grad, -steps), grad_delays
        slope = torch.zeros_like(spikes, dtype=torch.float32)
        for reach in range(1, DELAY_SLOPE + 1):
            slope[reach:] -= spikes[:-reach]
            slope[:-reach] += spikes[reach:]
        # d/d delay of s(k - delay) is minus the slope: what comes before less what comes after.
        slope = -slope / (DELAY_SLOPE * (DELAY_SLOPE + 1))
        grad_delays = (_shifted(slope, steps) * grad).sum((0, 1))
        return _shifted(grad, -steps), grad_delays


def _shifted(values: Tensor, steps: Tensor) -> Tensor:
    """Return values (K, B, M) with input j moved by steps[j] timesteps, zeros moved in."""
    if _has_kernel(values):
        values = values.contiguous()
        moved = torch.empty_like(values)
        kernel().delay_shift(
            *(pointer(t) for t in (values, moved, steps)),
            *(ctypes.c_int64(n) for n in values.shape),
        )
        return moved
    moved = torch.zeros_like(values)
    for step in steps.unique().tolist():
        inputs = steps == step
        if step >= len(values) or -step >= len(values):
            continue
        if step >= 0:
            moved[step:, :, inputs] = values[: len(values) - step, :, inputs]
        else:
            moved[:step, :, inputs] = values[-step:, :, inputs]
    return moved


def _has_kernel(values: Tensor) -> bool:
    return values.device.type == "cpu" and values.dtype == torch.bfloat16
