"""In which cycle each layer of a core starts each block, when input always waits and results are
always taken. No Torch, no RTL. Exact: tests hold the core's traces to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from golden.cost.core_timeline import CoreTimeline
from golden.cost.outlet import AxiLink, Consumer, Outside
from golden.hardware.core import CoreParams
from golden.hardware.part import EventKind
from golden.runs import LayerRun


class Timeline:
    """The cycle in which each layer, and the readout, starts each block, relative to the first
    item's transfer.

    Parameters
    ----------
    core
        The core; or a chain of cores, each of which takes the spikes of the one before over
        AXI4-Stream.
    payloads
        Sequences (B, K, M), sent one after another.
    layers
        The traced runs of the layers on these sequences (`golden.integer.run`, with the core's
        block, and with these reports); those of all cores of a chain, each with its core's block.
    reports
        The numbers of timesteps after which results are asked for in every sequence, ascending.

    Attributes
    ----------
    ends
        (B,) cycles in which the last result of each sequence is sent, or, of spikes, its end.
    report_ends
        (B, reports) cycles in which the last result of each report is sent.
    timestep_ends
        (B, K) cycles in which the end of each timestep leaves; (B, 0) with a readout.
    turns
        What each layer and the readout took in which cycles, in order.
    """

    def __init__(
        self,
        core: CoreParams | Sequence[CoreParams],
        payloads: np.ndarray,
        layers: Sequence[LayerRun],
        reports: Sequence[int] = (),
    ) -> None:
        chain = [core] if isinstance(core, CoreParams) else list(core)
        n_sequences, n_timesteps, _ = payloads.shape
        outside = Outside()
        consumer: Consumer = outside
        cores: list[CoreTimeline] = []
        left = list(layers)
        for of in reversed(chain):
            split = len(left) - len(of.layers)
            taken = CoreTimeline(of, left[split:], n_timesteps, reports, consumer)
            cores.insert(0, taken)
            consumer, left = AxiLink(taken), left[:split]
        first = cores[0]
        n_events, times = np.count_nonzero(payloads, axis=2), list(reports)
        n_items = -(-n_events // chain[0].hardware.input_items)
        for b in range(n_sequences):
            for _ in range(times.count(0)):
                first.take(EventKind.REPORT, 0)
            for k in range(n_timesteps):
                for _ in range(n_items[b, k]):
                    first.take(EventKind.EVENT, 0)
                first.take(EventKind.END_TIMESTEP, 0)
                for _ in range(times.count(k + 1)):
                    first.take(EventKind.REPORT, 0)
            first.take(EventKind.END_SEQUENCE, 0)
        last = cores[-1]
        self.ends = np.array(outside.ends or last.ends, np.int64)
        self.report_ends = np.array(last.report_ends, np.int64).reshape(n_sequences, -1)
        self.timestep_ends = np.array(outside.timesteps, np.int64).reshape(n_sequences, -1)
        self.turns = [part.turns for of in cores for part in of.parts]

    @cached_property
    def starts(self) -> np.ndarray:
        """(layers + 1, B, blocks) cycles, where all cores have one number of timesteps a block; the
        last row is the readout's, if there is one.
        """
        begun = [[turn.first for turn in of if turn.block is not None] for of in self.turns]
        return np.array(begun).reshape(len(begun), len(self.ends), -1)
