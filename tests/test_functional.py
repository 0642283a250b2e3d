"""Functional coverage: every row of the table is reached by a network that `make test` runs on a
core, and golden under watch is golden.
"""

from __future__ import annotations

import numpy as np
import pytest

from docs import results
from golden.cost.timeline import Timeline
from golden.hardware.core import CoreParams
from golden.integer import run
from tests import functional, test_core, test_core_cosim
from tests.corners import CHOSEN
from tests.functional import ENDS, PASSES, ROWS, cells, reached, read_to_write, watched
from tests.network_kinds import DRAWS

CASES = sorted({*test_core.QUICK, *test_core.STALLED, *test_core_cosim.QUICK})


def test_every_row_is_reached() -> None:
    """Those that were looked for come first: the others are run until nothing is missing."""
    directed = [(draw, seed) for draw, seeds in functional.DIRECTED.items() for seed in seeds]
    assert {*directed} <= {*CASES} and len(ROWS) >= 250
    missing = set(ROWS)
    for draw, seed in [*directed, *CASES]:
        if missing:
            missing -= reached(DRAWS[draw](seed))
    assert not missing


def test_rows_tell_ends_and_what_they_meet() -> None:
    found = reached(DRAWS["tiny"](1708))
    assert {(PASSES, "T", "2"), ("drive at its largest", "inputs", "signed")} <= found
    others = {("T", "1"), ("inputs", "graded"), ("state", "own spikes")}
    assert not any((option, value) in others for _, option, value in found)


@pytest.mark.parametrize(("draw", "seed"), [("tiny", 726), ("reports", 473)])
def test_golden_under_watch_is_golden(draw: str, seed: int) -> None:
    """The same results, and an arm is seen where, and only where, golden counts a saturation; but
    for drives at 0, which are none.
    """
    drawn = DRAWS[draw](seed)
    done, found = watched(drawn)
    golden = run(
        drawn.network, drawn.payloads, block=drawn.hardware.block, reports=drawn.reports, trace=True
    )
    np.testing.assert_array_equal(done.logits, golden.logits)
    counted = {("logit", -1): golden.logit_saturations.sum()}
    for index, layer in enumerate(golden.layers):
        counted |= {
            ("drive", index): layer.drive_saturations.sum(),
            ("state", index): layer.state_saturations.sum(),
            ("current", index): layer.synapse_saturations.sum(),
            ("membrane", index): layer.membrane_saturations.sum(),
        }
    seen = {(arm.split()[0], of) for of, arm in found if arm != f"drive at its {ENDS[0]}"}
    assert seen == {what for what, times in counted.items() if times}


def test_a_recurrent_layer_reads_no_membrane_that_it_is_writing() -> None:
    """As `functional.NEVER` says."""
    for seed in CHOSEN["loop"]:
        drawn = DRAWS["loop"](seed)
        core = CoreParams(drawn.network.params, drawn.hardware)
        layers = run(drawn.network, drawn.payloads, trace=True).layers
        starts = Timeline(core, drawn.payloads, layers).starts
        for index, layer in enumerate(core.layers):
            if layer.params.recurrent and starts[index].size > 1:
                assert np.diff(starts[index].ravel()).min() >= read_to_write(layer) + 15


@pytest.mark.long
def test_the_page_counts_what_is_reached() -> None:
    columns, rows = results.load(results.FOLDER / "functional.json")
    assert len(columns) == 3 and [row["cells"] for row in rows] == cells(CASES)
