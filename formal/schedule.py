"""Proofs of the group schedule: no group is lost, no buffer freed early."""

from __future__ import annotations

from functools import partial

from amaranth.hdl import Const, Mux, Signal

from formal.harness import Harness, implies
from formal.proof import PDR, Bug, Proof
from golden.hardware.layer import LayerHardware
from golden.hardware.params import HardwareParams
from golden.hardware.readout import ReadoutHardware
from golden.params import LayerParams
from golden.readout_params import ReadoutParams
from rtl.group_schedule import GroupSchedule
from rtl.layouts import Part

LAYER = LayerHardware(LayerParams(3, 5, 2, dilation=2), HardwareParams(2))
BLOCKS = LayerHardware(LayerParams(3, 4, 2, dilation=3), HardwareParams(2, 2, 2))
READOUT = ReadoutHardware(ReadoutParams(3, 3), HardwareParams(2))


def schedule(harness: Harness, part: Part) -> None:
    """Let lists, room and slow states come freely."""
    m = harness.m
    dut = harness.add(GroupSchedule(part)).component
    front, issue, n_groups = dut.front, dut.issue, part.n_groups
    events = part.hardware.events_per_cycle
    for of, name in ((front.here, "here"), (front.behind, "behind")):
        m.d.comb += of.as_value().eq(harness.free(len(of.as_value()), name))
        steps = of.length
        whole = (steps != 0) & ((steps & (steps + 1))[: part.block] == 0)
        harness.assume(implies(~of.sequence_end, whole))
    told = Signal.like(front.here, name="told")
    m.d.comb += told.as_value().eq(
        Mux(front.release, front.behind.as_value(), front.here.as_value())
    )
    available, length, ends = told.available, told.length, told.sequence_end
    count = harness.free(len(front.count), "count")
    buffer = harness.free(len(front.buffer), "buffer")
    harness.assume(count <= part.n_addresses)
    # What is in front stays there until it is released: in that cycle another one is shown.
    shown = [available, count, length, ends, buffer]
    waits = harness.past(available) & ~front.release
    for value in shown:
        harness.assume(implies(waits, value == harness.past(value)))
    for name in ("states_ready", "states_near", "room", "hold"):
        m.d.comb += getattr(dut, name).eq(harness.free(1, name))
    m.d.comb += [
        front.available.eq(available),
        front.count.eq(count),
        front.length.eq(length),
        front.sequence_end.eq(ends),
        front.buffer.eq(buffer),
    ]
    sparse = ((count + (events - 1)) >> (events - 1).bit_length())[: len(count)]
    for name, dense in (("plain_end", 0), ("refreshed_end", part.dense_steps)):
        least = max(dense, part.output_steps)
        steps = Mux(sparse > least, sparse, least)
        m.d.comb += [
            getattr(front, name).last.eq(steps - 1),
            getattr(front, name).single.eq(steps == 1),
        ]
    # The list that is walked, as it was when the schedule decided on it.
    walked, chosen = Signal(len(count), name="walked"), Signal.like(buffer, name="chosen")
    refreshes = Signal(name="refreshes")
    with m.If(dut.starting):
        m.d.sync += [walked.eq(count), chosen.eq(buffer)]
    group = Signal(range(n_groups + 1), name="due_group")
    step = Signal(8, name="due_step")
    seen = Signal(8, name="seen")  # events of the group
    columns = Signal(8, name="columns")
    active = Signal(name="active")  # from the decision to the last step
    m.d.comb += refreshes.eq(issue.refresh != 0)
    told = sum((bit for bit in issue.sparse), Const(0))
    now, dense_now = seen + told, columns + issue.dense
    finishing = issue.valid & issue.last & issue.last_group
    with m.If(issue.valid):
        m.d.sync += [step.eq(step + 1), seen.eq(now), columns.eq(dense_now)]
        with m.If(issue.last):
            m.d.sync += [step.eq(0), seen.eq(0), columns.eq(0), group.eq(group + 1)]
        with m.If(finishing):
            m.d.sync += [active.eq(0), group.eq(0)]
    with m.If(dut.starting):
        m.d.sync += active.eq(1)
    due_columns = Mux(refreshes, part.dense_steps, 0)
    harness.prove(
        "a step is of the block in work", implies(issue.valid, active & (issue.buffer == chosen))
    )
    harness.prove(
        "groups and steps are in order",
        implies(issue.valid, (issue.group == group) & (issue.step == step)),
    )
    harness.prove(
        "a group has every event and column",
        implies(issue.valid & issue.last, (now == walked) & (dense_now == due_columns)),
    )
    harness.prove(
        "no group is lost",
        implies(issue.valid & issue.last, issue.last_group == (group == n_groups - 1)),
    )
    harness.prove(
        "a group takes its steps and no more",
        implies(
            issue.valid & ~issue.last,
            (step + 1 < part.output_steps) | (now < walked) | (dense_now < due_columns),
        ),
    )
    harness.prove(
        "a buffer is freed by its last step", (front.release == (finishing | issue.sequence_end))
    )
    harness.prove(
        "what is freed is what was walked",
        implies(finishing, harness.past(available) & (harness.past(buffer) == chosen)),
    )
    harness.prove(
        "no group without room",
        implies(dut.reserve, dut.room)
        & (dut.reserve == ((issue.valid & issue.last) | issue.sequence_end)),
    )
    harness.prove("nothing starts over a walk", implies(dut.starting, ~active | finishing))
    harness.cover("a second block is finished", finishing & (harness.count(3, finishing, "n") == 1))
    harness.cover("a sequence ends", issue.sequence_end)
    if part.drain == 0:
        harness.cover("a block without a bubble", dut.starting & finishing)


BUGS = (
    Bug(
        "the last group is never walked",
        "no group is lost",
        (("group + 1 == n_groups - 1)", "group + 2 == n_groups - 1)"),),
    ),
    Bug(
        "a buffer is freed with the first step of its last group",
        "a buffer is freed by its last step",
        (("front.release.eq(finishing |", "front.release.eq((issue.valid & last_group) |"),),
    ),
    Bug(
        "an event is left out of the later groups",
        "a group has every event and column",
        (("left.eq(count),", "left.eq(count - (count != 0)),"),),
    ),
    Bug(
        "a list starts while it is walked",
        "nothing starts over a walk",
        (("over = quiet & ~ending", "over = ~ending"),),
    ),
    Bug(
        "the list that is released is judged for the one behind it",
        "what is freed is what was walked",
        (("(over_with_release & starts_behind)", "(over_with_release & starts)"),),
    ),
    Bug(
        "a group is issued without room",
        "no group without room",
        (("((walking & last) | ending) & ~self.room", "(ending) & ~self.room"),),
    ),
)
PROOFS = (
    Proof("schedule", GroupSchedule, partial(schedule, part=LAYER), 24, BUGS, induction=PDR),
    Proof(
        "schedule_blocks",
        GroupSchedule,
        partial(schedule, part=BLOCKS),
        24,
        BUGS[1:],
        induction=PDR,
        quick=False,
    ),
    Proof(
        "schedule_readout",
        GroupSchedule,
        partial(schedule, part=READOUT),
        24,
        BUGS[1:],
        induction=PDR,
        quick=False,
    ),
)
