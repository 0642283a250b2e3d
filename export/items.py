"""Sequences and memory images as the items of a core's event and load streams."""

from __future__ import annotations

import numpy as np

from export.images import Images
from golden.hardware.core import CoreParams
from golden.hardware.memory import LOAD_WIDTH, load_header
from golden.hardware.part import EventKind
from golden.interface import Interface


def to_items(payloads: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
    """Return the input items (n, 3) int64 of sequences (B, K, M): kind, address, payload.

    A payload of 0 is no event. With `rng` the events of a timestep come in random order.
    """
    n_sequences, n_timesteps, _ = payloads.shape
    sequence, timestep, address = np.nonzero(payloads)
    order = rng.random(len(address)) if rng is not None else address
    place = np.lexsort((order, timestep, sequence))
    sequence, timestep, address = sequence[place], timestep[place], address[place]
    events = np.stack(
        [np.full(len(address), EventKind.EVENT), address, payloads[sequence, timestep, address]], 1
    )
    # Insert the markers after the events: each at the number of events that come before it.
    counts = np.count_nonzero(payloads, axis=2).ravel()
    items = np.insert(
        events.astype(np.int64), np.cumsum(counts), (EventKind.END_TIMESTEP, 0, 0), axis=0
    )
    ends = np.cumsum(counts.reshape(n_sequences, -1).sum(1) + n_timesteps)
    return np.insert(items, ends, (EventKind.END_SEQUENCE, 0, 0), axis=0)


def load_items(interface: Interface, core: CoreParams, images: Images) -> np.ndarray:
    """Return the payloads (n,) uint64 of the load stream that write every memory."""
    first, data = [], []
    for number, (name, memory) in enumerate(core.memories.items()):
        n_chunks = memory.items
        mask = (1 << LOAD_WIDTH) - 1
        chunks = [word >> LOAD_WIDTH * i & mask for word in images[name] for i in range(n_chunks)]
        first += [1] + [0] * len(chunks)
        data += [load_header(number), *chunks]
    return interface.pack("i_load", first=np.array(first), data=np.array(data, np.uint64))
