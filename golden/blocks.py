"""Blocks of timesteps: how long they are, and what arrives before delays in each of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def block_lengths(n_timesteps: int, block: int, reports: Sequence[int] = ()) -> np.ndarray:
    """Return (blocks,): the timesteps of each block of a sequence. A report after N timesteps (each
    N of `reports`) closes the block that has begun.
    """
    found: list[int] = []
    begin = 0
    for end in sorted({n_timesteps, *reports} - {0}):
        whole, left = divmod(end - begin, block)
        found += [block] * whole + [left] * (left > 0)
        begin = end
    return np.array(found, np.int64)


def block_starts(lengths: np.ndarray) -> np.ndarray:
    """Return the first timestep (blocks,) of each block of these lengths."""
    return np.cumsum(lengths) - lengths


class Waiting:
    """What arrives at a layer before its delays, counted for a batch: see `LayerRun.arrivals`."""

    def __init__(self, delays: np.ndarray, batch: int, block: int, external: bool) -> None:
        self.delays, self.block, self.external = delays, block, external
        self.arrivals, self.slots = np.zeros(batch, np.int64), np.zeros(batch, np.int64)
        self.soon, self.late = np.zeros((2, batch, len(delays)), bool)  # of the block so far

    def add(self, timestep: int, values: np.ndarray) -> None:
        arrived = values != 0
        carried = timestep % self.block + self.delays % self.block >= self.block
        self.soon |= arrived & ~carried
        self.late |= arrived & carried
        if self.external or (timestep + 1) % self.block == 0:
            self.end_block()

    def end_block(self) -> None:
        self.arrivals += (self.soon | self.late).sum(1)
        self.slots += self.soon.sum(1) + self.late.sum(1)
        self.soon[:] = self.late[:] = False


def count_arrivals(
    delays: np.ndarray, values: np.ndarray, block: int, external: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return `LayerRun.arrivals` and `arrival_slots` (B,) of what arrives, values (B, K, M), at
    a layer with these delays, from outside or from another layer.
    """
    waiting = Waiting(delays, len(values), block, external)
    for k in range(values.shape[1]):
        waiting.add(k, values[:, k])
    waiting.end_block()
    return waiting.arrivals, waiting.slots
