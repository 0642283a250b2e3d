"""What leaves a core: results, or the spikes of its last layer, read from what the testbench wrote
down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.part import EventKind
from tb.logs import ENDS, SENT, Log


@dataclass(frozen=True)
class Output:
    """What a core sent for B sequences of K timesteps.

    With a readout `logits` (B, C) int64 and `classes` (B,); `report_logits` (B, reports, C) and
    `report_classes` (B, reports) are the results so far. The last result of each sequence was sent
    in the cycle `result_cycles` (B,), that of each report in `report_cycles` (B, reports).

    Without a readout C is 0 and the classes are -1, as golden's. `sent` has the items (n, 3) int64
    of each sequence in order: kind, address, payload, the last two 0 in ends. The end of each
    timestep was sent in the cycle `timestep_cycles` (B, K), else (B, 0), that of each sequence in
    `result_cycles`.
    """

    logits: np.ndarray
    classes: np.ndarray
    report_logits: np.ndarray
    report_classes: np.ndarray
    sent: list[np.ndarray]
    result_cycles: np.ndarray
    report_cycles: np.ndarray
    timestep_cycles: np.ndarray

    def left(self, sequence: int, n_neurons: int) -> np.ndarray:
        """Return the spikes (K, N) bool of a sequence that left the core, without those that a
        broken one sent of no neuron or in no timestep.
        """
        kind, address, _ = self.sent[sequence].T
        timestep = np.cumsum(kind == EventKind.END_TIMESTEP)
        n_timesteps = int(timestep[-1])
        spikes = np.zeros((n_timesteps, n_neurons), bool)
        events = (kind == EventKind.EVENT) & (address < n_neurons) & (timestep < n_timesteps)
        spikes[timestep[events], address[events]] = True
        return spikes


def ends_of_sequence(core: CoreParams, n_timesteps: int, n_reports: int) -> int:
    """Return how many ends leave a core with a sequence: of its reports or of its timesteps, and
    its own.
    """
    return 1 + (n_timesteps if core.network.output is None else n_reports)


def read_output(
    folder: Path,
    logs: Mapping[str, Log],
    core: CoreParams,
    n_sequences: int,
    n_timesteps: int,
    n_reports: int,
) -> Output:
    """Return what a core sent for sequences of these timesteps and reports, by its logs in
    `folder`; or raise `UserError` where that is something else.
    """
    found = {name: values[:, 0] for name, values in logs[SENT].read(folder).items()}
    n_ends = ends_of_sequence(core, n_timesteps, n_reports)
    cycles = logs[ENDS].read(folder)["cycle"]
    if len(cycles) != n_sequences * n_ends:
        raise UserError(
            f"{folder} has {len(cycles)} ends of results, timesteps and sequences: the core should"
            f" send {n_sequences * n_ends}"
        )
    cycles = cycles.reshape(n_sequences, n_ends)
    if core.network.output is None:
        return _read_spikes(folder, found, cycles)
    shape = n_sequences, n_ends, core.network.output.n_classes
    return _read_results(folder, found, shape, cycles)


def _read_results(
    folder: Path, found: dict[str, np.ndarray], shape: tuple[int, int, int], cycles: np.ndarray
) -> Output:
    """Return the results (sequences, answers, classes) that a core sent."""
    n_sequences, n_answers, n_classes = shape
    whole = len(found["index"]) == n_sequences * n_answers * n_classes
    results = {name: values.reshape(shape) for name, values in found.items()} if whole else {}
    index = np.broadcast_to(np.arange(n_classes), shape)
    if not whole or not np.array_equal(results["last"], index == n_classes - 1):
        reports = f" and their {n_answers - 1} reports" if n_answers > 1 else ""
        raise UserError(
            f"{folder} does not hold the results of {n_sequences} sequences{reports}: the core sent"
            " others"
        )
    if not np.array_equal(results["index"], index):
        raise UserError(
            f"{folder}: the core sent its logits in another order than that of the classes"
        )
    logits, best = results["logit"], results["best"][..., -1]
    return Output(
        logits[:, -1],
        best[:, -1],
        report_logits=logits[:, :-1],
        report_classes=best[:, :-1],
        sent=[],
        result_cycles=cycles[:, -1],
        report_cycles=cycles[:, :-1],
        timestep_cycles=cycles[:, :0],
    )


def _read_spikes(folder: Path, found: dict[str, np.ndarray], cycles: np.ndarray) -> Output:
    """Return the spikes that a core sent, with `cycles` (B, K + 1) of its ends."""
    n_sequences, n_timesteps = cycles.shape[0], cycles.shape[1] - 1
    kind = found["kind"]
    event = kind == EventKind.EVENT
    ends = [*[EventKind.END_TIMESTEP] * n_timesteps, EventKind.END_SEQUENCE] * n_sequences
    if not np.array_equal(kind[~event], ends):
        raise UserError(
            f"{folder} does not hold the spikes of {n_sequences} sequences of {n_timesteps}"
            " timesteps: the core sent other ends"
        )
    items = np.stack([kind, found["address"] * event, found["payload"] * event], 1)
    none = np.zeros((n_sequences, 0), np.int64)
    return Output(
        none,
        np.full(n_sequences, -1),
        report_logits=none[:, :, None],
        report_classes=none,
        sent=np.split(items, np.flatnonzero(kind == EventKind.END_SEQUENCE)[:-1] + 1),
        result_cycles=cycles[:, -1],
        report_cycles=none,
        timestep_cycles=cycles[:, :-1],
    )
