"""Accesses of the memories of sums that an ablated layer has. No Torch, no RTL."""

from __future__ import annotations

import numpy as np

from golden.hardware.layer import LayerHardware


def stored_accesses(layer: LayerHardware, addresses: np.ndarray) -> dict[str, np.ndarray]:
    """Return the words of sums (B,) that a layer reads and writes, and the reads that it saves, for
    distinct addresses (B, timesteps).

    Input stationary, the first of a timestep's additions to a word reads nothing; fused, the walk
    that completes the groups writes nothing, and reads also what it does not add to. Else a word is
    written once, and read once. A word to which nothing is added is neither read nor written.
    """
    groups, dense = layer.n_groups, layer.dense_steps
    found = {}
    if layer.input_stationary:  # an event, and a column, is read once for all groups
        found["list_reads"] = addresses.sum(1)
        if dense:
            found["history_reads"] = np.full(len(addresses), dense * addresses.shape[1])
    for name in layer.sums:
        additions = np.full_like(addresses, dense) if name == "currents" else addresses
        if layer.shared:
            additions = additions + dense
        longest = addresses + dense if layer.shared else np.maximum(addresses, dense)
        used = (additions > 0).astype(np.int64)
        if not layer.input_stationary:
            reads = writes = used
        elif layer.fused:
            completed = (additions == longest) & (additions > 0)  # by its last addition
            reads = additions - used + (used - completed)
            writes = additions - completed
        else:
            reads, writes = additions, additions  # all but the first, and those of the last pass
        found |= {
            f"{name}_reads": groups * reads.sum(1),
            f"{name}_writes": groups * writes.sum(1),
        }
    return found
