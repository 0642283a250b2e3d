"""What leaves a core that is broken: an error or a mismatch, and no traceback."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden.data.synthetic import draw_layers
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.hardware.part import EventKind
from golden.integer import run, without_readout
from tb.compare import Comparison, _compare_sent
from tb.logs import ENDS, SENT
from tb.outputs import Output, read_output

NETWORK = draw_layers("small", (4, 3), 0, 2, seed=0)
SPIKING = without_readout(NETWORK.params, NETWORK.layers)
EVENT, STEP, END = EventKind.EVENT, EventKind.END_TIMESTEP, EventKind.END_SEQUENCE
Item = tuple[int, int]  # kind, address


class Written:
    """A log of these columns."""

    def __init__(self, **columns: Any) -> None:
        self.columns = {name: np.asarray(values)[:, None] for name, values in columns.items()}

    def read(self, folder: Path) -> dict[str, np.ndarray]:
        return self.columns


def spikes(items: Sequence[Item], n_timesteps: int) -> Output:
    """Return what is read of a core that sent these items for a sequence."""
    kind, address = np.array(items).T
    n_ends = int((kind != EVENT).sum())
    logs: Any = {
        SENT: Written(kind=kind, address=address, payload=np.ones(len(kind), int)),
        ENDS: Written(cycle=np.arange(n_ends)),
    }
    core = CoreParams(SPIKING.params, HardwareParams(2))
    return read_output(Path("run"), logs, core, 1, n_timesteps, 0)


def test_an_event_after_the_last_timestep_is_a_mismatch() -> None:
    """And one of no neuron: the picture leaves both out."""
    found = spikes([(EVENT, 2), (STEP, 0), (EVENT, 9), (STEP, 0), (EVENT, 1), (END, 0)], 2)
    assert np.array_equal(found.left(0, 3), [[False, False, True], [False] * 3])
    golden = run(SPIKING, np.zeros((1, 2, 4), np.int64), trace=True)
    comparison = Comparison()
    _compare_sent(comparison, golden, found.sent, 0)
    fired = int(golden.layers[-1].spike_counts.sum())
    assert comparison.first[0] == f"items sent at sequence 0: expected {3 + fired}, found 6"


@pytest.mark.parametrize("n_ends", [3, 5])
def test_an_end_too_many_or_too_few_is_one_line(n_ends: int) -> None:
    items = [*[(STEP, 0)] * (n_ends - 1), (END, 0)]
    with pytest.raises(UserError, match=f"run has {n_ends} ends .*: the core should send 4$"):
        spikes(items, 3)


@pytest.mark.parametrize("n_results", [1, 3])
def test_a_result_too_many_or_too_few_is_one_line(n_results: int) -> None:
    index = np.tile([0, 1], n_results)
    zeros = np.zeros(len(index), int)
    logs: Any = {
        SENT: Written(index=index, logit=zeros, best=zeros, last=index),
        ENDS: Written(cycle=np.arange(n_results)),
    }
    core = CoreParams(NETWORK.params, HardwareParams(2))
    with pytest.raises(UserError, match=f"run has {n_results} ends .*: the core should send 2$"):
        read_output(Path("run"), logs, core, 2, 3, 0)
