"""What components claim of themselves: a broken one breaks a claim, in Amaranth's simulator and in
Verilog; the product has none.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from formal.harness import mutant
from golden.errors import UserError
from rtl.encoder import Encoder
from rtl.event_list import EventList
from rtl.group_schedule import GroupSchedule
from rtl.output_walk import OutputWalk
from rtl.slow_state import SlowState
from rtl.snapshots import Snapshots
from tb.simulate import simulate as simulate_verilog
from tests.core_simulator import simulate
from tests.network_kinds import DRAWS
from tests.small_core import make_small_core

# The component, what is changed in it, and the claim that breaks.
BROKEN: list[tuple[type, str, str, str, str, int]] = [
    (EventList, "room.eq(has_room)", "room.eq(1)",
     "what arrives finds a free buffer", "plain", 103),
    (GroupSchedule, "Mux(left > n_events, left - n_events, 0)", "left",
     "a group's last step has its last event", "plain", 103),
    (Encoder, "advance = ~self.o.valid | self.o.ready", "advance = Const(1)",
     "what o offers stays until it is taken", "plain", 103),
    (OutputWalk, "timestep.rotate_left(1)", "timestep << 1",
     "a walk is in one timestep", "plain", 103),
    (SlowState, "settled = age >= update.interval - 1", "settled = age >= 0",
     "no word of values is read while it is written", "plain", 103),
]  # fmt: skip
SLOW: list[tuple[type, str, str, str, str, int]] = [
    (EventList, "delay(m, front, cycles,", "delay(m, self._after(front), cycles,",
     "a buffer that is freed was taken", "plain", 103),
    (GroupSchedule, "last.eq(step + 1 == last_step)", "last.eq(step == last_step)",
     "a block's last step is the one that was told", "loop", 21),
    (GroupSchedule, "group + 1 == n_groups - 1", "group == n_groups - 1",
     "the last group is the last one", "loop", 21),
    (GroupSchedule, "weight_base + part.n_addresses", "weight_base + part.n_addresses + 1",
     "weights lie group by group", "loop", 21),
    (GroupSchedule, "Mux(issue.dense, dense_left - 1, dense_kept)", "dense_left",
     "a group's last step has its last column", "plain", 103),
    (GroupSchedule, "(issue.valid & last) | issue.sequence_end", "issue.valid | issue.sequence_end",
     "room is reserved where there is some", "plain", 103),
    (GroupSchedule, "(issue.valid & last) | issue.sequence_end", "issue.sequence_end",
     "every group has its room", "plain", 103),
    (Encoder, "base.eq(Mux(self.i.last_group, 0, base + lanes))", "base.eq(base + lanes)",
     "a block's last group comes last", "plain", 103),
    (Encoder, "(0, -1, 1, 0, 1, 0, 2, 1)", "(0, -1, 1, 0, 0, 0, 2, 1)",
     "no room is lost, none is given back twice", "plain", 103),
    (Encoder, "free > 1)", "free > 0)", "room is told as counted", "shared products", 0),
    (OutputWalk, "with m.If(timestep[-1]):", "with m.If(timestep[0]):",
     "a group is walked to its end before the next one", "plain", 103),
    (SlowState, "drives.o.ready.eq(begin)", "drives.o.ready.eq(0)",
     "the queue has room for what comes", "shared products", 0),
    (SlowState, "Cat(word, written.buffer)", "Cat(word, ~written.buffer)",
     "no word of history_words is read while it is written", "reports", 4),
    (Snapshots, "(free >= n_groups) & ", "", "the queue has room for what comes", "reports", 7),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of who waited
@pytest.mark.parametrize(
    ("component", "old", "new", "claim", "draw", "seed"),
    [*BROKEN, *(pytest.param(*case, marks=pytest.mark.long) for case in SLOW)],
)
def test_what_is_broken_breaks_a_claim(
    component: type, old: str, new: str, claim: str, draw: str, seed: int
) -> None:
    drawn = DRAWS[draw](seed)
    with mutant(component, ((old, new),)), pytest.raises(AssertionError, match=f": {claim}"):
        simulate(
            drawn.network, drawn.hardware, drawn.payloads, np.random.default_rng(seed),
            reports=drawn.reports,
        )  # fmt: skip


def test_verilog_with_trace_ports_checks_them_and_the_product_has_none(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    product = tmp_path / "product"
    make_small_core(product, trace=False)
    assert "$error" not in (product / "core" / "small.v").read_text()
    with mutant(GroupSchedule, (("Mux(left > n_events, left - n_events, 0)", "left"),)):
        core, _ = make_small_core(tmp_path)
    verilog = (tmp_path / "core" / "small.v").read_text()
    claims = re.findall(r"^    if \(!\S+\) \$error\(\"(.*)\"\);$", verilog, re.M)
    assert len(set(claims)) > 15 and "assert" not in verilog
    rows = np.ones((1, 2, core.layers[0].params.n_inputs), np.int64)
    with pytest.raises(UserError, match="a claim of the core does not hold"):
        simulate_verilog(tmp_path / "core" / "manifest.json", rows, optimize="-O0")
    place = r"Assertion failed in TOP\.shell\.core\.\w+\.schedule: a group's last step has its last"
    assert re.search(place, capfd.readouterr().out)
