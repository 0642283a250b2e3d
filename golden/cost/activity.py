"""What a network does with sequences, as far as prices depend on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from golden.blocks import block_lengths, count_arrivals
from golden.cost.operands import used_operands
from golden.hardware.core import possible_blocks
from golden.integer import NetworkIntegers, run
from golden.runs import Run


@dataclass(frozen=True)
class Activity:
    """What a network did with B sequences of K timesteps.

    `run` is the traced golden run; `addresses` the distinct addresses (B, blocks) that each layer
    and the readout received, for each block that a core can have, and `arrivals` the same before
    delays: what `LayerRun` calls arrivals and slots, None for a layer without delays; `items`
    (B, K) what enters the first layer's list; `used` the share of each layer's
    operands that is not zero.
    """

    network: NetworkIntegers
    payloads: np.ndarray
    run: Run
    addresses: dict[int, list[np.ndarray]]
    arrivals: dict[int, list[tuple[np.ndarray, np.ndarray] | None]]
    items: np.ndarray
    used: list[float]

    @property
    def n_timesteps(self) -> int:
        return self.payloads.shape[1]

    def of_block(self, block: int) -> Run:
        """Return the run with its addresses counted for this block."""
        addresses = self.addresses[block]
        layers = [
            replace(layer, addresses=found)
            for layer, found in zip(self.run.layers, addresses, strict=False)
        ]
        for index, arrived in enumerate(self.arrivals[block]):
            if arrived is not None:
                arrivals, slots = arrived
                layers[index] = replace(layers[index], arrivals=arrivals, arrival_slots=slots)
        lengths = block_lengths(self.n_timesteps, block)
        return replace(self.run, layers=layers, readout_addresses=addresses[-1], lengths=lengths)


def measure_activity(network: NetworkIntegers, payloads: np.ndarray) -> Activity:
    """Run sequences (B, K, M) through the golden network and count what its parts receive."""
    golden = run(network, payloads, trace=True)
    sent = [payloads != 0, *(layer.spikes for layer in golden.layers)]
    delayed = [*(layer.delayed for layer in golden.layers), None]
    received = [d if d is not None else s for d, s in zip(delayed, sent, strict=True)]
    # A timestep's events, own spikes among them, have distinct addresses.
    events = [*(layer.events for layer in golden.layers), golden.layers[-1].spike_counts]
    addresses = {1: events}
    for block in possible_blocks(network.params)[1:]:
        addresses[block] = []
        for spikes in received:
            assert spikes is not None
            addresses[block].append(by_block(spikes, block).any(2).sum(2))
    arrivals: dict[int, list[tuple[np.ndarray, np.ndarray] | None]] = {b: [] for b in addresses}
    for block, found in arrivals.items():
        for index, (params, layer) in enumerate(
            zip(network.params.layers, network.layers, strict=True)
        ):
            values = sent[index]
            assert values is not None
            found.append(
                count_arrivals(layer.delays, values, block, external=index == 0)
                if params.max_delay
                else None
            )
    used = list(map(used_operands, network.params.layers, golden.layers))
    for layer in golden.layers:
        layer.keep_only_spikes()  # of other values nothing depends here
    return Activity(network, payloads, golden, addresses, arrivals, events[0] + 1, used)


def by_block(values: np.ndarray, block: int) -> np.ndarray:
    """Return (B, blocks, block, ...) of (B, K, ...), with zeros after the last timestep."""
    missing = [(0, 0)] * values.ndim
    missing[1] = 0, -values.shape[1] % block
    return np.pad(values, missing).reshape(len(values), -1, block, *values.shape[2:])
