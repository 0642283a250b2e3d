"""The group schedule against its contract: every step, in its cycle, with room, lists and slow
states given at random.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Value

from golden.cost.cycles import block_cycles
from golden.hardware.layer import LayerHardware
from golden.hardware.params import HardwareParams
from golden.hardware.readout import ReadoutHardware
from golden.params import LayerParams
from golden.readout_params import ReadoutParams
from rtl.group_schedule import GroupSchedule
from tests.hardware_layers import GRADED
from tests.streams import Item, simulate, walk

Part = LayerHardware | ReadoutHardware
N_CYCLES = 20_000  # more than any case takes


def hardware(
    lanes: int, block: int = 1, n_events: int = 1, n_products: int = 1, **others: Any
) -> HardwareParams:
    return HardwareParams(lanes, block, n_events, n_products, **others)


PARTS: dict[str, Part] = {
    "ordinary": LayerHardware(LayerParams(9, 30, 4), hardware(4)),
    "one group": LayerHardware(LayerParams(3, 2, 7, dilation=3), hardware(4)),
    "two groups, drained": LayerHardware(LayerParams(6, 6, 1, dilation=2), hardware(3)),
    "no state, two events a cycle": LayerHardware(LayerParams(5, 9, 0), hardware(2, n_events=2)),
    "no state, drained": LayerHardware(LayerParams(2, 2, 0, dilation=4), hardware(2)),
    "drained for a cycle": LayerHardware(LayerParams(2, 6, 0), hardware(3)),
    "wide dilation": LayerHardware(LayerParams(4, 21, 2, dilation=5), hardware(2)),
    "blocks of two, one group": LayerHardware(
        LayerParams(9, 3, 7, dilation=3), hardware(4, 2, 2, 2)
    ),
    "blocks of four, dilation of three": LayerHardware(
        LayerParams(11, 9, 12, dilation=3), hardware(3, 4, 1)
    ),
    "blocks of four, dilation of seven": LayerHardware(
        LayerParams(14, 4, 12, dilation=7), hardware(2, 4, 2)
    ),
    "blocks of eight, dilation of four": LayerHardware(
        LayerParams(20, 5, 3, dilation=4), hardware(3, 8, 2)
    ),
    "blocks of sixteen": LayerHardware(LayerParams(40, 5, 12, dilation=5), hardware(4, 16, 2, 3)),
    "four events a cycle": LayerHardware(LayerParams(21, 9, 2), hardware(2, n_events=4)),
    "blocks of two, four events a cycle": LayerHardware(LayerParams(30, 5, 4), hardware(2, 2, 4)),
    "readout of four events a cycle": ReadoutHardware(ReadoutParams(13, 7), hardware(3, 1, 4)),
    "readout": ReadoutHardware(ReadoutParams(6, 10), hardware(3)),
    "readout of many groups": ReadoutHardware(ReadoutParams(3, 12), hardware(1)),
    "readout of blocks": ReadoutHardware(ReadoutParams(13, 3), hardware(4, 4, 2)),
    "reports": LayerHardware(LayerParams(9, 13, 4, dilation=3), hardware(4, reports=True)),
    "reports, blocks of four, dilation of three": LayerHardware(
        LayerParams(11, 9, 12, dilation=3), hardware(3, 4, reports=True)
    ),
    "reports, blocks of two, dilation of seven": LayerHardware(
        LayerParams(6, 5, 3, dilation=7), hardware(2, 2, 2, reports=True)
    ),
    "shared products": LayerHardware(
        LayerParams(9, 13, 4, dilation=3, formats=GRADED), hardware(4, graded="shared")
    ),
    "shared products, blocks of four, two of each": LayerHardware(
        LayerParams(11, 9, 12, dilation=5, formats=GRADED), hardware(3, 4, 2, 3, graded="shared")
    ),
    "reports of a readout": ReadoutHardware(ReadoutParams(6, 4), hardware(2, reports=True)),
}


@dataclass
class List:
    """A list of the event list: a block, or the end of a sequence (of no timesteps)."""

    addresses: int
    n_timesteps: int
    opens: int
    reported: bool = False  # a report goes before it


@dataclass
class Given:
    """By cycle: what is given beside the lists."""

    room: np.ndarray
    hold: np.ndarray
    states_ready: np.ndarray
    states_near: np.ndarray
    result_room: np.ndarray


@dataclass
class Expected:
    """By cycle: what is issued, and where what happens; and the distinct addresses that were
    walked, block by block, with the timesteps of each sequence.
    """

    issues: dict[int, Item] = field(default_factory=dict)
    stalled: set[int] = field(default_factory=set)
    starved: set[int] = field(default_factory=set)
    state_wait: set[int] = field(default_factory=set)
    starting: set[int] = field(default_factory=set)
    releases: set[int] = field(default_factory=set)
    due: set[int] = field(default_factory=set)
    reports: set[int] = field(default_factory=set)
    sequences: list[tuple[list[int], list[int]]] = field(default_factory=lambda: [([], [])])


def predict(part: Part, lists: list[List], given: Given) -> Expected:
    """Follow the contract."""
    found = Expected()
    over = -1  # the last cycle of what came before: the next thing may be decided on in it
    released = -1

    def next_room(cycle: int, room: np.ndarray) -> int:
        while cycle in found.due or not room[cycle]:
            found.stalled.add(cycle)
            cycle += 1
        return cycle

    for index, now in enumerate(lists):
        addresses, lengths = found.sequences[-1]
        walked = sum(lengths)
        if now.reported:  # due until there is room, and before any group of what follows it ends
            passes = released + 1
            while not given.result_room[passes]:
                passes += 1
            found.due |= set(range(released + 1, passes + 1))
            found.reports.add(passes)
        refresh = 0
        if part.dense_steps:
            refresh = sum(
                1 << t for t in range(now.n_timesteps) if (walked + t) % part.dilation == 0
            )
        decided = max(over, 0)
        while True:
            states = bool(
                not part.dense_steps
                or not now.n_timesteps
                or (given.states_ready if refresh else given.states_near)[decided]
            )
            opened = now.opens <= decided
            if opened and states and not given.hold[decided]:
                break
            if decided > over and not opened:
                found.starved.add(decided)
            elif decided > over and not states:
                found.state_wait.add(decided)
            decided += 1
        if not now.n_timesteps:
            ends = given.result_room if part.reports else given.room
            over = released = next_room(decided + 1, ends)
            found.issues[over] = {"sequence_end": 1, "fresh": not walked}
            found.releases.add(over)
            found.sequences.append(([], []))
            continue
        found.starting.add(decided)
        cycle = decided
        for step in walk(
            part,
            now.addresses,
            timesteps=(1 << now.n_timesteps) - 1,
            refresh=refresh,
            fresh=not walked,
            buffer=index % part.n_lists,
        ):
            cycle = next_room(cycle + 1, given.room) if step["last"] else cycle + 1
            found.issues[cycle] = step
        found.releases.add(cycle)
        over, released = cycle + part.drain, cycle
        addresses.append(now.addresses)
        lengths.append(now.n_timesteps)
    return found


def draw_lists(rng: np.random.Generator, part: Part, largest_gap: int) -> list[List]:
    """Draw sequences of whole blocks, the last ones partial or not; one of no timesteps."""
    n_inputs, opens = part.params.n_inputs, 0
    lists: list[List] = []

    def append(addresses: int, n_timesteps: int) -> None:
        nonlocal opens
        opens += int(rng.integers(largest_gap + 1))
        reported = part.reports and bool(rng.random() < 0.4)
        lists.append(List(addresses, n_timesteps, opens, reported))

    for _ in range(4):
        n_blocks = int(rng.integers(1, 7))
        last = int(rng.integers(1, part.block + 1))
        for block in range(n_blocks):
            addresses = rng.choice([0, 1, n_inputs, int(rng.integers(n_inputs + 1))])
            length = part.block if block < n_blocks - 1 else last
            if part.reports and rng.random() < 0.4:  # a report closes it early
                length = int(rng.integers(1, part.block + 1))
            append(int(addresses), length)
        append(0, 0)
    append(0, 0)
    append(n_inputs, 1)
    return lists


@pytest.mark.parametrize(
    ("room", "waits"),
    [(1.0, True), pytest.param(0.6, True, marks=pytest.mark.long), (0.3, False)],
)
@pytest.mark.parametrize("name", PARTS)
def test_every_step_is_issued_in_its_cycle(name: str, room: float, waits: bool) -> None:
    """Lists and slow states that always wait, or that come at random, with holds."""
    part = PARTS[name]
    rng = np.random.default_rng([list(PARTS).index(name), int(room * 100)])
    n_inputs, n_lists = part.params.n_inputs, part.n_lists
    lists = draw_lists(rng, part, 0 if waits else 60)

    def at_random(probability: float) -> np.ndarray:
        return rng.random(N_CYCLES) < probability

    given = Given(
        room=at_random(room),
        hold=at_random(0 if waits else 0.3),
        states_ready=at_random(1 if waits else 0.2),
        states_near=at_random(1 if waits else 0.5),
        result_room=at_random(room),
    )
    expected = predict(part, lists, given)
    length = max(expected.issues) + 10
    dut = GroupSchedule(part)
    strobes = {
        "release": expected.releases,
        "starting": expected.starting,
        "stalled": expected.stalled,
        "starved": expected.starved | set(range(max(expected.issues) + part.drain + 1, length)),
        "state_wait": expected.state_wait,
    }
    fields = [str(field) for field, _ in dut.issue.shape()]
    record: list[Item] = []

    def known(index: int, cycle: int) -> dict[str, int]:
        """Return what is told of a list, at random where it is not open."""
        available = index < len(lists) and lists[index].opens <= cycle
        some = int(rng.integers(part.block + 1))
        n_timesteps = lists[index].n_timesteps if available else some
        return {
            "available": int(available),
            "length": (1 << n_timesteps) - 1,
            "sequence_end": int(not n_timesteps),
        }

    async def testbench(ctx: Any) -> None:
        front = 0
        for cycle in range(length):
            for name, values in vars(given).items():
                if part.reports or name != "result_room":
                    ctx.set(getattr(dut, name), int(values[cycle]))
            if part.reports:
                ctx.set(dut.front.report, int(cycle in expected.due))
            release = bool(ctx.get(dut.front.release))
            here, behind = (known(index, cycle) for index in (front, front + 1))
            ctx.set(dut.front.here, here)
            ctx.set(dut.front.behind, behind)
            shown = behind if release else here
            for name, value in shown.items():
                ctx.set(getattr(dut.front, name), value)
            seen = front + release  # the list behind one that is being released
            now = lists[seen] if shown["available"] else None
            ctx.set(dut.front.count, now.addresses if now else int(rng.integers(n_inputs + 1)))
            for of, others in (("plain", 0), ("refreshed", part.dense_steps)):
                n_events = part.hardware.events_per_cycle
                sparse = -(-now.addresses // n_events) if now else int(rng.integers(n_inputs + 1))
                taken = sparse + others if part.shares_products else max(sparse, others)
                steps = max(taken, part.output_steps)
                ctx.set(getattr(dut.front, f"{of}_end"), {"last": steps - 1, "single": steps == 1})
            ctx.set(dut.front.buffer, seen % n_lists)
            outputs = [dut.front.release, *(getattr(dut, strobe) for strobe in [*strobes][1:])]
            outputs += [dut.busy, dut.reserve]
            taken = ["report_taken"] * part.reports
            outputs += [dut.front.report_taken] if part.reports else []
            outputs += [Value.cast(dut.issue[field]) for field in fields]
            _, _, *values = await ctx.tick().sample(*outputs)
            record.append(
                dict(zip([*strobes, "busy", "reserve", *taken, *fields], values, strict=True))
            )
            front += release

    simulate(dut, testbench)
    for cycle, row in enumerate(record):
        where = f"cycle {cycle}"
        wanted = expected.issues.get(cycle, {"valid": 0, "start": 0, "sequence_end": 0})
        assert {field: row[field] for field in wanted} == wanted, where
        assert row["valid"] == row["busy"] == wanted.get("valid", 0), where
        reported = cycle in expected.reports
        reserve = wanted.get("last", 0) or wanted["sequence_end"] or reported
        assert row["reserve"] == reserve, where
        assert not part.reports or row["report"] == row["report_taken"] == reported, where
        happens = {strobe: cycle in cycles for strobe, cycles in strobes.items()}
        assert {strobe: row[strobe] for strobe in strobes} == happens, where
    cycles = sum(
        int(block_cycles(part, np.array(addresses, np.int64), np.array(lengths, np.int64)).sum())
        for addresses, lengths in expected.sequences
    )
    assert bool(expected.reports) == part.reports
    assert sum(row["busy"] for row in record) == cycles
    assert part.reports or bool(expected.stalled) == (room < 1)
    assert bool(expected.state_wait) == (not waits and part.dense_steps > 0)


def test_parts_cover_the_corners() -> None:
    """Among the parts are drains of none, one and more cycles, dense paths shorter and longer than
    what comes behind them, and dilations at every phase of a block.
    """
    parts = PARTS.values()
    assert {part.drain for part in parts} == {0, 1, 2}
    assert any(part.drain and part.block > 1 for part in parts)
    blocks = [part for part in parts if part.block > 1]
    assert {np.sign(part.dense_steps - part.output_steps) for part in blocks} == {-1, 0, 1}
    assert {part.block % part.dilation for part in blocks} >= {0, 1, 2, 4}
