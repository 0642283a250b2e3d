"""The walk of a part's groups, a step a cycle."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from rtl.claims import PRODUCT, claim
from rtl.component import Component
from rtl.layouts import Part, Struct, issue_layout, walk_end_layout
from rtl.signatures import ListFront, ListFrontPorts


class GroupSchedule(Component):
    """Issue the steps of a block of timesteps: for each group, as many as the longest of its paths
    needs.

    A group takes max(sparse steps, dense steps, output steps) cycles, or, where events share the
    multipliers of the dense path, max(sparse steps + dense steps, output steps). Groups follow each
    other without a bubble. So do blocks, but for `drain` cycles where the groups are too few to
    cover the pipeline. A block with a refresh starts when its slow states are stored. The last step
    of a group waits for room in the queue of spike masks.

    Parameters
    ----------
    part
        A layer or the readout: its groups, steps and drain.

    Members
    -------
    front
        The list that is to be walked next.
    states_ready, states_near
        The slow states of the next block are stored; the updates lag by few enough blocks to start
        a block without a refresh.
    starting
        The next block is decided on: its first step is issued from the next cycle on.
    room
        The queue of spike masks has room for one group more.
    reserve
        A group's last step (or the end of a sequence) is issued: it takes its room.
    hold
        Start nothing new: neither a block nor the end of a sequence.
    result_room
        Where the part has reports: there is room for a report, or for the end of a sequence.
    issue
        What is issued in this cycle: see `issue_layout`.
    busy, stalled, starved, state_wait
        For the counters, each for this cycle: a step is issued; a step waits for room; there is no
        list to walk; a list waits for its slow states.

    Latency: 1 cycle from `front.available`; throughput: groups * steps + drain cycles a block.
    """

    front: ListFrontPorts
    states_ready: Signal
    states_near: Signal
    starting: Signal
    room: Signal
    reserve: Signal
    hold: Signal
    result_room: Signal
    issue: Struct
    busy: Signal
    stalled: Signal
    starved: Signal
    state_wait: Signal

    def __init__(self, part: Part) -> None:
        self.part = part
        members = {
            "front": In(ListFront(part)),
            "states_ready": In(1),
            "states_near": In(1),
            "starting": Out(1),
            "room": In(1),
            "reserve": Out(1),
            "hold": In(1),
            "issue": Out(issue_layout(part)),
            "busy": Out(1),
            "stalled": Out(1),
            "starved": Out(1),
            "state_wait": Out(1),
        }
        super().__init__(members | ({"result_room": In(1)} if part.reports else {}))

    @property
    def latency(self) -> int:
        return 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        part, issue, block = self.part, self.issue, self.part.block
        n_groups, n_events = part.n_groups, part.hardware.events_per_cycle

        walking = Signal()  # a step is due
        ending = Signal()  # an end of sequence is due
        step = Signal.like(issue.step)
        last_step = Signal.like(issue.step)
        group = Signal.like(issue.group)
        weight_base = Signal.like(issue.weight_base)
        count = Signal(range(part.n_addresses + 1))  # addresses not yet issued in this group
        left = Signal.like(count)
        dense_left = Signal(range(part.dense_steps + 1))
        has_dense = Signal()
        timesteps = Signal(block)
        refresh = Signal(block)
        buffer = Signal.like(self.front.buffer)
        fresh = Signal(init=1)
        phase = Signal(range(part.dilation))  # timesteps since the last refresh, at the next start
        draining = Signal(range(part.drain + 1))

        dense: Value = dense_left != 0
        dense_kept: Any = 0
        if part.shares_products:  # the columns follow the events
            dense &= left == 0
            dense_kept = dense_left
        last = Signal()  # the step is its group's last one
        single = Signal()  # a group has but one
        last_group = Signal()
        stalled: Value = ((walking & last) | ending) & ~self.room
        reserved: Value = (issue.valid & last) | issue.sequence_end
        if part.reports:
            # A report goes before what is to follow it: the first group's last step waits.
            due = self.front.report
            stalled = (walking & last & (due | ~self.room)) | (ending & (due | ~self.result_room))
            m.d.comb += [
                issue.report.eq(due & self.result_room),
                self.front.report_taken.eq(issue.report),
            ]
            reserved |= issue.report
        m.d.comb += [
            self.stalled.eq(stalled),
            self.busy.eq(issue.valid),
            issue.walking.eq(walking),
            issue.valid.eq(walking & ~stalled),
            issue.start.eq(issue.valid & issue.first & (group == 0)),
            issue.first.eq(step == 0),
            issue.last.eq(last),
            issue.sparse.eq(Cat(left > event for event in range(n_events))),
            issue.dense.eq(dense),
            issue.last_group.eq(last_group),
            issue.sequence_end.eq(ending & ~stalled),
            issue.timesteps.eq(timesteps),
            issue.refresh.eq(refresh),
            issue.fresh.eq(fresh),
            issue.buffer.eq(buffer),
            issue.step.eq(step),
            issue.group.eq(group),
            issue.weight_base.eq(weight_base),
            self.reserve.eq(reserved),
        ]
        finishing = issue.valid & last & last_group
        m.d.comb += self.front.release.eq(finishing | issue.sequence_end)
        with m.If(finishing):
            m.d.sync += [walking.eq(0), draining.eq(part.drain), fresh.eq(0)]
        with m.If(issue.sequence_end):
            m.d.sync += [ending.eq(0), fresh.eq(1), phase.eq(0)]
        with m.If(draining != 0):
            m.d.sync += draining.eq(draining - 1)

        # Over by the end of this cycle, so that the next block's first step is issued in the next
        # one.
        now = Mux(ending, 0, phase)  # timesteps since the last refresh, at the next block's first

        def judged(of: Any, name: str) -> tuple[Signal, Value, Value, Value]:
            """Of a list: the timesteps that refresh; whether its slow states are stored; whether
            it may be walked; whether the end of a sequence that it is may be issued.
            """
            refreshing = Signal(block, name=f"refreshing_{name}")
            for t in range(block):
                m.d.comb += refreshing[t].eq(
                    (now == -t % part.dilation) & of.length[t] if part.dense_steps else 0
                )
            states: Value = Const(1)
            if part.dense_steps:
                needed = Mux(refreshing.any(), self.states_ready, self.states_near)
                states = of.sequence_end | needed
            due = of.available & states & ~self.hold
            return refreshing, states, due & ~of.sequence_end, due & of.sequence_end

        # Both lists are judged, the one in front and the one behind it: `release`, which says which
        # of them is next, is known late in the cycle.
        refreshes, states, starts, closes = judged(self.front.here, "here")
        refreshes_behind, _, starts_behind, closes_behind = judged(self.front.behind, "behind")
        refreshing = Signal(block)
        m.d.comb += refreshing.eq(Mux(self.front.release, refreshes_behind, refreshes))
        idle = ~walking & ~ending & (draining == 0)
        m.d.comb += [
            self.starved.eq(idle & ~self.front.here.available),
            self.state_wait.eq(idle & self.front.here.available & ~states),
        ]
        quiet = ~walking & (draining <= 1) if part.drain else ~walking
        over = quiet & ~ending
        over_with_release = (
            quiet & issue.sequence_end
            if part.drain
            else finishing | (~walking & issue.sequence_end)
        )
        starting = self.starting
        m.d.comb += starting.eq((over & starts) | (over_with_release & starts_behind))
        with m.If((over & closes) | (over_with_release & closes_behind)):
            m.d.sync += ending.eq(1)
        end = Signal(walk_end_layout(part))
        m.d.comb += end.eq(Mux(refreshing.any(), self.front.refreshed_end, self.front.plain_end))
        # What moves with every step, and what moves with every group: each with one enable.
        with m.If(issue.valid | starting):
            with m.If(starting):
                m.d.sync += [
                    step.eq(0),
                    last.eq(end.single),
                    left.eq(self.front.count),
                    dense_left.eq(Mux(refreshing.any(), part.dense_steps, 0)),
                ]
            with m.Elif(last):
                m.d.sync += [
                    step.eq(0),
                    last.eq(single),
                    left.eq(count),
                    dense_left.eq(Mux(has_dense, part.dense_steps, 0)),
                ]
            with m.Else():
                m.d.sync += [
                    step.eq(step + 1),
                    last.eq(step + 1 == last_step),
                    left.eq(Mux(left > n_events, left - n_events, 0)),
                    dense_left.eq(Mux(issue.dense, dense_left - 1, dense_kept)),
                ]
        if part.shares_products:
            column = Signal.like(issue.column)
            m.d.comb += issue.column.eq(column)
            with m.If(starting | (issue.valid & last)):
                m.d.sync += column.eq(0)
            with m.Elif(issue.valid & issue.dense):
                m.d.sync += column.eq(column + 1)
        with m.If((issue.valid & last) | starting):
            m.d.sync += [
                last_group.eq(Mux(starting, n_groups == 1, group + 1 == n_groups - 1)),
                group.eq(Mux(starting, 0, group + 1)),
                weight_base.eq(Mux(starting, 0, weight_base + part.n_addresses)),
            ]
        with m.If(starting):
            m.d.sync += [
                walking.eq(1),
                last_step.eq(end.last),
                single.eq(end.single),
                count.eq(self.front.count),
                has_dense.eq(refreshing.any()),
                timesteps.eq(self.front.length),
                refresh.eq(refreshing),
                buffer.eq(self.front.buffer),
            ]
            passed: Value = Const(block % part.dilation)
            if part.reports:  # which may close a block early
                passed = self._passed(m)
            after = (now + passed).as_unsigned()
            m.d.sync += phase.eq(Mux(after >= part.dilation, after - part.dilation, after))
        if platform is not PRODUCT:
            ends = issue.valid & last
            claim(
                m,
                platform,
                "a block and the end of a sequence are never walked at once",
                ~(walking & ending),
            )
            claim(
                m,
                platform,
                "a block's last step is the one that was told",
                ~walking | (last == (step == last_step)),
            )
            claim(
                m,
                platform,
                "the last group is the last one",
                ~walking | (last_group == (group == n_groups - 1)),
            )
            claim(
                m,
                platform,
                "weights lie group by group",
                ~walking | (weight_base == group * part.n_addresses),
            )
            claim(m, platform, "a group's last step has its last event", ~ends | (left <= n_events))
            claim(
                m,
                platform,
                "a group's last step has its last column",
                ~ends | (dense_left <= issue.dense),
            )
            claim(m, platform, "a group that is complete has room", ~ends | self.room)
        return m

    def _passed(self, m: Module) -> Signal:
        """The timesteps of the block in front, of which only what is left over by whole dilations
        counts.
        """
        part, length = self.part, self.front.length
        passed = Signal(range(part.dilation))
        for t in range(part.block):
            is_last = length[t] & ~length[t + 1] if t + 1 < part.block else length[t]
            with m.If(is_last):
                m.d.comb += passed.eq((t + 1) % part.dilation)
        return passed
