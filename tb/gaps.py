"""Gaps between the transfers of a core's streams, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# In cycles. The long ones let the stall of one side reach the other through the whole core.
GAPS = (0, 0, 0, 1, 1, 2, 3, 7, 20, 60, 400)
GAPS_OF_RESULTS = (0, 0, 1, 2, 5, 30, 300, 1500)  # which are few
N_OUTPUT = 4096  # gaps of the output, taken over and over


@dataclass(frozen=True)
class Gaps:
    """Before each transfer of a stream (n,) int64: the cycles in which an input offers nothing, and
    in which the output is not taken. Those of the output are taken over and over.
    """

    load: np.ndarray
    events: np.ndarray
    output: np.ndarray


def draw_gaps(seed: int | None, n_load: int, n_events: int, output: str) -> Gaps:
    """Return the gaps of the streams of a core that sends `output`; all are 0 where `seed` is
    None.
    """
    if seed is None:
        return Gaps(*(np.zeros(count, np.int64) for count in (n_load, n_events, 1)))
    load, events, sent = (np.random.default_rng([seed, side]) for side in range(3))
    of_output = GAPS_OF_RESULTS if output == "o_results" else GAPS
    return Gaps(
        load.choice(GAPS, n_load), events.choice(GAPS, n_events), sent.choice(of_output, N_OUTPUT)
    )
