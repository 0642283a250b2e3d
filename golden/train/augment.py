"""Samples changed at random, so that a network does not learn them by heart."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional

from golden.data.dataset import Dataset, DigitImages
from golden.data.mnist import to_sequences

MAX_TIME_SHIFT, MAX_CHANNEL_SHIFT, MAX_STRETCH, MAX_LOSS = 12, 5, 0.15, 0.2


def augmented(
    dataset: Dataset, chosen: np.ndarray, strength: float, generator: torch.Generator
) -> np.ndarray:
    """Return some sequences (n, timesteps, inputs), each changed at random as much as `strength`
    says; 0 changes nothing.
    """
    if isinstance(dataset, DigitImages):
        images = move_images(dataset.images[chosen], strength, generator)
        return to_sequences(images, dataset.variant)
    return move_events(dataset.sequences(chosen), strength, generator)


def move_images(images: np.ndarray, strength: float, generator: torch.Generator) -> np.ndarray:
    """Rotate (up to 10 degrees), scale (10 %), shift (1.5 pixels) images (n, 28, 28) at random,
    times `strength`.
    """
    if not strength:
        return images
    n = len(images)
    draw = (torch.rand(4, n, generator=generator) * 2 - 1) * strength
    angle, scale = draw[0] * math.radians(10), 1 + draw[1] * 0.1
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift = draw[2:] * 1.5 / 14
    matrix = torch.stack(
        [torch.stack([cos, -sin, shift[0]], 1), torch.stack([sin, cos, shift[1]], 1)], 1
    )
    grid = functional.affine_grid(matrix, [n, 1, 28, 28], align_corners=False)
    moved = functional.grid_sample(
        torch.from_numpy(images.copy()).float()[:, None], grid, align_corners=False
    )
    return moved[:, 0].round().clamp(0, 255).to(torch.uint8).numpy()


def move_events(events: np.ndarray, strength: float, generator: torch.Generator) -> np.ndarray:
    """Shift events (n, K, M) in time (up to 12 timesteps) and across channels (5), stretch them in
    time (15 %), and lose some (up to 20 %), at random, times `strength`.
    """
    if not strength:
        return events
    n, n_timesteps, n_inputs = events.shape
    draw = ((torch.rand(3, n, generator=generator) * 2 - 1) * strength).numpy()
    lost = torch.rand(n, generator=generator).numpy() * strength * MAX_LOSS
    time = np.arange(n_timesteps) * (1 + draw[0, :, None] * MAX_STRETCH)
    time = np.rint(time - draw[1, :, None] * MAX_TIME_SHIFT).astype(np.int64)
    channel = np.arange(n_inputs) - np.rint(draw[2, :, None] * MAX_CHANNEL_SHIFT).astype(np.int64)
    known = ((time >= 0) & (time < n_timesteps))[:, :, None]
    known = known & ((channel >= 0) & (channel < n_inputs))[:, None, :]
    time, channel = time.clip(0, n_timesteps - 1), channel.clip(0, n_inputs - 1)
    moved = events[np.arange(n)[:, None, None], time[:, :, None], channel[:, None, :]]
    kept = torch.rand(moved.shape, generator=generator).numpy() >= lost[:, None, None]
    return moved * (known & kept)
