"""What a run of the network in integers leaves: results, counts, a trace if it is asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from golden.params import LayerParams


@dataclass
class LayerRun:
    """What a layer did: per sample (B,) saturations; per timestep (B, K) events added and spikes
    sent; per block of timesteps (B, blocks) distinct addresses added. Events are added
    after their delay, and a recurrent layer's own spikes are events too.

    With delays also, per sample (B,): `arrivals`, what arrived before the delays (from outside
    events, from a layer distinct addresses of each block), and `arrival_slots`, the blocks in which
    each of them comes out, or would if the sequence went on: one, or two where an address arrives
    at several timesteps of a block.

    With a trace also, per timestep (B, K, ...): `spikes` (N) bool, `membrane` (N) after the reset,
    `state` (d) after its update, `drive`, with a synaptic current `synapse` (N), else (0); with
    delays `delayed` (M) bool, which inputs came out.
    """

    events: np.ndarray
    addresses: np.ndarray
    spike_counts: np.ndarray
    drive_saturations: np.ndarray
    state_saturations: np.ndarray
    synapse_saturations: np.ndarray
    membrane_saturations: np.ndarray
    spikes: np.ndarray | None = None
    membrane: np.ndarray | None = None
    state: np.ndarray | None = None
    drive: np.ndarray | None = None
    synapse: np.ndarray | None = None
    arrivals: np.ndarray | None = None
    arrival_slots: np.ndarray | None = None
    delayed: np.ndarray | None = None

    def keep_only_spikes(self) -> None:
        """Drop the values of the trace, which take the most room."""
        self.membrane = self.state = self.drive = self.synapse = None


@dataclass
class Run:
    """What a network did with B sequences: logits (B, C) int64, classes (B,), and each layer's
    run; `readout_addresses` are the distinct addresses that the readout received in each block.
    Without a readout C is 0, the classes are -1, and these addresses are what left the last layer.
    `lengths` (blocks,) the blocks' timesteps, `reports` (B, reports, C) the logits of each report.
    """

    logits: np.ndarray
    classes: np.ndarray
    logit_saturations: np.ndarray
    readout_addresses: np.ndarray
    layers: list[LayerRun]
    lengths: np.ndarray
    reports: np.ndarray


def empty_run(params: LayerParams, batch: int, n_timesteps: int, trace: bool) -> LayerRun:
    """Return the run of a layer that has done nothing yet."""

    def counts(length: int = n_timesteps) -> np.ndarray:
        return np.zeros((batch, length), np.int64)

    done = LayerRun(
        counts(),
        counts(0),
        counts(),
        *(np.zeros(batch, np.int64) for _ in range(4)),
    )
    if trace:
        done.spikes = np.zeros((batch, n_timesteps, params.n_neurons), bool)
        done.membrane = np.zeros((batch, n_timesteps, params.n_neurons), np.int64)
        done.state = np.zeros((batch, n_timesteps, params.n_state), np.int64)
        done.drive = counts()
        n_currents = params.n_neurons if params.synapse else 0
        done.synapse = np.zeros((batch, n_timesteps, n_currents), np.int64)
        if params.max_delay:
            done.delayed = np.zeros((batch, n_timesteps, params.n_inputs), bool)
    return done
