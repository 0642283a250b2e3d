"""The walk of a layer's groups where it is ablated (`HardwareParams.ablations`)."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal

from golden.hardware.layer import LayerHardware
from rtl.group_schedule import GroupSchedule


class AblatedSchedule(GroupSchedule):
    """Issue the steps of a timestep as `GroupSchedule` does, in another order.

    ==================  ==============================================================
    ablation            steps
    ==================  ==============================================================
    shared datapath     the columns of the slow state follow the events
    input stationary    a step is taken for all groups before the next step
    no fusion           after all of them, a pass takes the groups in `output_steps` each
    ==================  ==============================================================

    Input stationary and fused, the last step completes one group after another, in `output_steps`
    cycles each. The step, or the cycle of the pass, that hands a group's sums to its neurons is
    its `last` one, and waits for room.

    Parameters
    ----------
    part
        A layer that is `reordered`. Members: of `GroupSchedule`.

    Latency: 1 cycle from `front.available`; throughput: see `LayerHardware.walk`.
    """

    part: LayerHardware

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, issue, front = self.part, self.issue, self.front
        n_groups, slots, n_dense = layer.n_groups, layer.output_steps, layer.dense_steps
        passes, inner = not layer.fused, layer.input_stationary

        walking = Signal()  # a step is due
        passing = Signal()  # a cycle of the pass is due
        ending = Signal()  # an end of sequence is due
        beginning = Signal()  # what is due is the first of its timestep
        fresh = Signal(init=1)
        buffer = Signal.like(issue.buffer)
        draining = Signal(range(layer.drain + 1))
        group = Signal.like(issue.group)
        weight_base = Signal.like(issue.weight_base)
        slot = Signal(range(slots))  # of a group that takes `output_steps` cycles
        count = Signal.like(front.count)
        most = Signal(range(layer.n_addresses + n_dense + slots + 1))  # steps of a group
        step = Signal.like(issue.step)
        first = Signal()  # of a group's steps
        events_left = Signal.like(count)
        dense_left = Signal(range(n_dense + 1))
        left = Signal.like(most)  # steps, this one included

        final = left == 1
        last_group = group == n_groups - 1
        slotted = passing | (final if inner and not passes else Const(0))
        in_turn = ~slotted | (slot == slots - 1)
        taken = walking & in_turn  # a step is taken, not a cycle spent until it is
        complete = taken & final
        handing = (passing & in_turn) if passes else complete
        stalled = (handing | ending) & ~self.room
        valid = (walking | passing) & ~stalled
        has_events = events_left != 0
        dense = (dense_left != 0) & (~has_events if layer.shared else Const(1))
        m.d.comb += [
            self.stalled.eq(stalled),
            self.busy.eq(valid),
            issue.walking.eq(walking | passing),
            issue.valid.eq(valid),
            issue.start.eq(valid & beginning),
            issue.first.eq(taken & first),
            issue.last.eq(handing),
            issue.sparse.eq(taken & has_events),
            issue.dense.eq(taken & dense),
            issue.last_group.eq(last_group),
            issue.sequence_end.eq(ending & ~stalled),
            issue.timesteps.eq(1),
            issue.refresh.eq(n_dense > 0),
            issue.fresh.eq(fresh),
            issue.buffer.eq(buffer),
            issue.step.eq(step),
            issue.group.eq(group),
            issue.weight_base.eq(weight_base),
            issue.complete.eq(complete),
            issue.passing.eq(passing),
            issue.listed.eq(count != 0),
            self.reserve.eq((valid & handing) | issue.sequence_end),
        ]
        finishing = valid & handing & last_group
        m.d.comb += front.release.eq(finishing | issue.sequence_end)

        def restart(events: Signal, steps: Signal) -> list:
            """Return what leads to a group's first step, or to the first step of all groups."""
            return [
                step.eq(0),
                first.eq(1),
                events_left.eq(events),
                dense_left.eq(n_dense),
                left.eq(steps),
            ]

        turning = taken & (last_group if inner else Const(1))  # the next step is another one
        grouping = in_turn & (passing | (Const(1) if inner else final))
        with m.If(valid):
            m.d.sync += [beginning.eq(0), slot.eq(Mux(in_turn, 0, slot + 1))]
            with m.If(turning):
                turned = (events_left == 1) if layer.shared else Const(0)
                m.d.sync += [
                    step.eq(Mux(turned, 0, step + 1)),
                    first.eq(0),
                    left.eq(left - 1),
                    events_left.eq(Mux(has_events, events_left - 1, 0)),
                    dense_left.eq(Mux(dense, dense_left - 1, dense_left)),
                ]
            with m.If(grouping):
                m.d.sync += [
                    group.eq(Mux(last_group, 0, group + 1)),
                    weight_base.eq(Mux(last_group, 0, weight_base + layer.n_addresses)),
                ]
                if not inner:
                    m.d.sync += restart(count, most)
            with m.If(complete & last_group):
                m.d.sync += [walking.eq(0), passing.eq(passes)]
        with m.If(finishing):
            m.d.sync += [passing.eq(0), draining.eq(layer.drain), fresh.eq(0)]
        with m.If(issue.sequence_end):
            m.d.sync += [ending.eq(0), fresh.eq(1)]
        with m.If(draining != 0):
            m.d.sync += draining.eq(draining - 1)

        running = walking | passing
        groups_over = ~running & (draining <= 1) if layer.drain else ~running | finishing
        over = groups_over & (~ending | issue.sequence_end)
        states = front.sequence_end | self.states_ready if n_dense else Const(1)
        idle = ~running & ~ending & (draining == 0)
        m.d.comb += [
            self.starved.eq(idle & ~front.available),
            self.state_wait.eq(idle & front.available & ~states),
        ]
        listed = front.count
        steps = Signal.like(most)
        together = listed + n_dense if layer.shared else Mux(listed > n_dense, listed, n_dense)
        least = 1 if layer.stored else slots
        m.d.comb += steps.eq(Mux(together > least, together, least))
        with m.If(over & front.available & states & ~self.hold):
            with m.If(front.sequence_end):
                m.d.sync += ending.eq(1)
            with m.Else():
                m.d.comb += self.starting.eq(1)
                m.d.sync += [
                    walking.eq(1),
                    beginning.eq(1),
                    count.eq(listed),
                    most.eq(steps),
                    group.eq(0),
                    weight_base.eq(0),
                    slot.eq(0),
                    buffer.eq(front.buffer),
                    *restart(listed, steps),
                ]
        return m
