"""The walk of a layer's groups, a step a cycle."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from golden.params import LayerHardware, ReadoutHardware
from rtl.component import Component
from rtl.streams import issue_layout


class GroupSchedule(Component):
    """Issue the steps of a timestep: for each group, as many as the longer of its two paths needs.

    A group takes max(events, dense steps) cycles and groups follow each other without a bubble; so
    do timesteps, but for `drain` cycles where the groups are too few to cover the pipeline, and
    unless the state update takes longer. The last step of a group waits for room in the queue of
    spike masks; the wait is a stall, and the clock of the timestep stands still in it.

    Parameters
    ----------
    part
        A layer or the readout: its groups, steps, drain and state update.

    Members
    -------
    available, count, sequence_end, buffer
        From the event list.
    release
        To the event list: its front buffer is read for the last time in this cycle.
    room
        The queue of spike masks has room for one group more.
    reserve
        A group's last step (or the end of a sequence) is issued: it takes its room.
    hold
        Start nothing new: neither a timestep nor the end of a sequence.
    issue
        What is issued in this cycle: see `issue_layout`.
    busy, stalled
        A timestep's clock runs, or stands still.

    Latency: 1 cycle from `available`; throughput: max(groups * steps + drain, state update) cycles
    a timestep.
    """

    def __init__(self, part: LayerHardware | ReadoutHardware) -> None:
        self.part = part
        super().__init__(
            {
                "available": In(1),
                "count": In(range(part.params.n_inputs + 1)),
                "sequence_end": In(1),
                "buffer": In(1),
                "release": Out(1),
                "room": In(1),
                "reserve": Out(1),
                "hold": In(1),
                "issue": Out(issue_layout(part)),
                "busy": Out(1),
                "stalled": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        part, issue = self.part, self.issue
        n_groups = part.n_groups

        walking = Signal()  # a step is due
        ending = Signal()  # an end of sequence is due
        step, last_step = Signal.like(issue.step), Signal.like(issue.step)
        group = Signal.like(issue.group)
        weight_base = Signal.like(issue.weight_base)
        events = Signal(range(part.params.n_inputs + 1))
        dense_steps = Signal(range(part.dense_steps(refresh=True) + 1))
        refresh, fresh, buffer = Signal(), Signal(init=1), Signal()
        phase = Signal(range(part.dilation))  # timesteps since the last refresh, at the next start
        draining = Signal(range(part.drain + 1))
        state_left = Signal(range(part.state_cycles + 1))

        last = step == last_step
        last_group = group == n_groups - 1
        m.d.comb += [
            self.stalled.eq(((walking & last) | ending) & ~self.room),
            issue.valid.eq(walking & ~self.stalled),
            issue.start.eq(issue.valid & issue.first & (group == 0)),
            issue.first.eq(step == 0),
            issue.last.eq(last),
            issue.sparse.eq(step < events),
            issue.dense.eq(step < dense_steps),
            issue.last_group.eq(last_group),
            issue.sequence_end.eq(ending & ~self.stalled),
            issue.refresh.eq(refresh),
            issue.fresh.eq(fresh),
            issue.buffer.eq(buffer),
            issue.step.eq(step),
            issue.group.eq(group),
            issue.weight_base.eq(weight_base),
            self.reserve.eq((issue.valid & last) | issue.sequence_end),
        ]
        finishing = issue.valid & last & last_group
        m.d.comb += self.release.eq(finishing | issue.sequence_end)
        with m.If(issue.valid):
            m.d.sync += step.eq(step + 1)
            with m.If(last):
                m.d.sync += [
                    step.eq(0),
                    group.eq(group + 1),
                    weight_base.eq(weight_base + part.params.n_inputs),
                ]
        with m.If(finishing):
            m.d.sync += [walking.eq(0), draining.eq(part.drain), fresh.eq(0)]
        with m.If(issue.sequence_end):
            m.d.sync += [ending.eq(0), fresh.eq(1), phase.eq(0)]

        # A timestep's clock runs until the groups, the drain and the state update are all over.
        m.d.comb += self.busy.eq((walking | (draining != 0) | (state_left != 0)) & ~self.stalled)
        with m.If(draining != 0):
            m.d.sync += draining.eq(draining - 1)
        with m.If((state_left != 0) & ~self.stalled):
            m.d.sync += state_left.eq(state_left - 1)

        # Over by the end of this cycle, so that the next timestep's first step is issued in the
        # next one.
        groups_over = ~walking & (draining <= 1) if part.drain else ~walking | finishing
        state_over = state_left <= 1  # (in a stall, its group or its end is not over)
        ending_over = ~ending | issue.sequence_end
        with m.If(groups_over & state_over & ending_over & self.available & ~self.hold):
            with m.If(self.sequence_end):
                m.d.sync += ending.eq(1)
            with m.Else():
                refreshing = (phase == 0) | ending
                needed = Mux(
                    refreshing, part.dense_steps(refresh=True), part.dense_steps(refresh=False)
                )
                m.d.sync += [
                    walking.eq(1),
                    step.eq(0),
                    last_step.eq(Mux(self.count > needed, self.count, needed) - 1),
                    events.eq(self.count),
                    dense_steps.eq(needed),
                    group.eq(0),
                    weight_base.eq(0),
                    refresh.eq(refreshing),
                    buffer.eq(self.buffer),
                    state_left.eq(part.state_cycles),
                ]
                if part.dilation > 1:
                    after = Mux(refreshing, 1, phase + 1)
                    m.d.sync += phase.eq(Mux(after == part.dilation, 0, after))
        return m
