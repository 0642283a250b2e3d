"""The group schedule against its contract: every step, in its cycle, with room and lists given at
random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Value

from golden.cycles import timestep_cycles
from golden.hardware import HardwareParams, LayerHardware, ReadoutHardware
from golden.params import LayerParams, ReadoutParams
from rtl.group_schedule import GroupSchedule
from tests.streams import Item, simulate, walk

PARTS: dict[str, LayerHardware | ReadoutHardware] = {
    "ordinary": LayerHardware(LayerParams(9, 30, 4), HardwareParams(4)),
    "one group, bound by its state": LayerHardware(
        LayerParams(3, 2, 7, dilation=3), HardwareParams(4)
    ),
    "two groups, drained": LayerHardware(LayerParams(6, 6, 1, dilation=2), HardwareParams(3)),
    "no state": LayerHardware(LayerParams(5, 9, 0), HardwareParams(2)),
    "no state, drained": LayerHardware(LayerParams(2, 2, 0, dilation=4), HardwareParams(1)),
    "drained for a cycle": LayerHardware(LayerParams(2, 14, 0), HardwareParams(2)),
    "wide dilation": LayerHardware(LayerParams(4, 21, 2, dilation=5), HardwareParams(2)),
    "readout": ReadoutHardware(ReadoutParams(6, 10), HardwareParams(3)),
    "readout of many groups": ReadoutHardware(ReadoutParams(3, 12), HardwareParams(1)),
}


@dataclass
class Expected:
    """By cycle: what is issued, where the clock runs or stands still, when lists are released; and
    what was walked.
    """

    issues: dict[int, Item]
    stalled: set[int]
    busy: set[int]
    releases: set[int]
    sequences: list[list[int]]


def predict(
    part: LayerHardware | ReadoutHardware,
    lists: list[int | None],
    opens: list[int],
    room: np.ndarray,
    hold: np.ndarray,
) -> Expected:
    """Follow the contract: `lists` are event counts (None ends a sequence), list i is open from
    cycle `opens[i]` on.
    """
    found = Expected({}, set(), set(), set(), [[]])
    free, timestep = 0, 0

    def next_room(cycle: int) -> int:
        while not room[cycle]:
            found.stalled.add(cycle)
            cycle += 1
        return cycle

    for index, (events, opened) in enumerate(zip(lists, opens, strict=True)):
        decided = max(free, opened)
        while hold[decided]:
            decided += 1
        if events is None:
            free = next_room(decided + 1)
            found.issues[free] = {"sequence_end": 1}
            timestep = 0
            found.sequences.append([])
        else:
            refresh = timestep % part.dilation == 0
            cycle = decided
            for step in walk(part, events, refresh=refresh, fresh=timestep == 0, buffer=index % 2):
                cycle = next_room(cycle + 1) if step["last"] else cycle + 1
                found.issues[cycle] = step
            timestep += 1
            found.sequences[-1].append(events)
            free = cycle + part.drain
            clock, passed = decided, 0
            while clock < free or passed < part.state_cycles:
                clock += 1
                if clock not in found.stalled:
                    found.busy.add(clock)
                    passed += 1
            free = clock
            found.releases.add(cycle)
            continue
        found.releases.add(free)
    return found


@pytest.mark.parametrize(
    ("room_given", "lists_wait"), [(1.0, True), (0.6, True), (0.9, False), (0.15, False)]
)
@pytest.mark.parametrize("name", PARTS)
def test_every_step_is_issued_in_its_cycle(name: str, room_given: float, lists_wait: bool) -> None:
    part = PARTS[name]
    rng = np.random.default_rng([len(name), int(room_given * 100)])
    n_inputs = part.params.n_inputs
    lists: list[int | None] = []
    for _ in range(4):
        lists += [
            int(n)
            for n in rng.choice(
                [0, 0, 1, n_inputs, int(rng.integers(n_inputs + 1))], rng.integers(1, 7)
            )
        ]
        lists.append(None)
    lists.append(None)  # a sequence of no timesteps
    lists.append(n_inputs)
    room = rng.random(20_000) < room_given
    hold = rng.random(20_000) < (0 if lists_wait else 0.3)
    opens = [0] * len(lists) if lists_wait else np.cumsum(rng.integers(0, 60, len(lists))).tolist()
    expected = predict(part, lists, opens, room, hold)
    length = max(expected.busy | expected.issues.keys()) + 10
    dut = GroupSchedule(part)
    fields = [str(field) for field, _ in dut.issue.shape()]
    record: list[Item] = []

    async def bench(ctx: Any) -> None:
        front = 0
        for cycle in range(length):
            ctx.set(dut.room, int(room[cycle]))
            ctx.set(dut.hold, int(hold[cycle]))
            release = bool(ctx.get(dut.release))
            seen = front + release  # the list behind one that is being released
            available = seen < len(lists) and opens[seen] <= cycle
            count = lists[seen] if available else int(rng.integers(n_inputs + 1))
            ctx.set(dut.available, int(available))
            ctx.set(dut.count, count or 0)
            ctx.set(dut.sequence_end, int(count is None))
            ctx.set(dut.buffer, seen % 2)
            values = [Value.cast(dut.issue[field]) for field in fields]
            _, _, busy, stalled, reserve, *now = await ctx.tick().sample(
                dut.busy, dut.stalled, dut.reserve, *values
            )
            issue = dict(zip(fields, now, strict=True))
            record.append(
                issue | {"busy": busy, "stalled": stalled, "reserve": reserve, "release": release}
            )
            front += release

    simulate(dut, bench)
    for cycle, row in enumerate(record):
        where = f"cycle {cycle}"
        wanted = expected.issues.get(cycle, {"valid": 0, "start": 0, "sequence_end": 0})
        assert {field: row[field] for field in wanted} == wanted, where
        assert row["valid"] == wanted.get("valid", 0), where
        assert row["reserve"] == (wanted.get("last", 0) or wanted["sequence_end"]), where
        assert row["release"] == (cycle in expected.releases), where
        assert (row["busy"], row["stalled"]) == (
            cycle in expected.busy,
            cycle in expected.stalled,
        ), where
    cycles = sum(
        int(timestep_cycles(part, np.array(events, np.int64)).sum())
        for events in expected.sequences
    )
    assert sum(row["busy"] for row in record) == cycles
    assert bool(expected.stalled) == (room_given < 1)


def test_parts_cover_the_corners() -> None:
    """Among the parts are drains of none, one and many cycles, and timesteps that only their state
    update bounds.
    """
    assert {part.drain for part in PARTS.values()} >= {0, 1, 7}
    bounds = [
        part.n_groups * part.dense_steps(True) + part.drain - part.state_cycles
        for part in PARTS.values()
    ]
    assert min(bounds) < 0 < max(bounds)
