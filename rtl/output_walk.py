"""The walk of a complete group: its neurons, or classes, for one timestep of the block after
another.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from golden.hardware.memory import address_width
from golden.hardware.stages import NEURON_STAGE
from rtl.claims import claim
from rtl.component import Component
from rtl.fixed import hold, ones, pipeline, spread
from rtl.layouts import Part, Struct, issue_layout


def walk_layout(part: Part) -> data.StructLayout:
    """Return the layout of what `OutputWalk` says of a cycle.

    `valid`
        Word `word` of the neurons is taken in a timestep that the block has.
    `shift`
        A word is taken, also for a timestep that a partial block lacks.
    `first`, `last`
        It is the block's first timestep, its last one.
    `refresh`, `any_refresh`
        The current from the slow state is refreshed in this timestep, in any of the block.
    `fresh`
        It is a sequence's first timestep.
    `final`, `last_group`
        It is the group's last word; the group is the block's last one.
    `timesteps`
        Those that the block has, a bit each.
    """
    words = part.n_groups * part.fold
    flags = ("valid", "first", "last", "refresh", "any_refresh", "fresh", "shift", "final")
    return data.StructLayout(
        dict.fromkeys(flags, 1)
        | {"last_group": 1, "timesteps": part.block, "word": address_width(words)}
    )


class OutputWalk(Component):
    """Walk a group's words of neurons, a word a cycle, timestep by timestep, from the cycle in
    which its sums are complete; always in `output_steps` cycles.

    Parameters
    ----------
    part
        A layer or the readout.

    Members
    -------
    issue
        From the group schedule (stage 0).
    o
        What is to be done, as registers: see `walk_layout`. Without `shift`, nothing but that is
        said.
    coming
        A group's sums are complete in the next cycle.
    moving
        `coming` is set, or a word is taken in this cycle, also for a timestep that the block lacks.

    Latency: `NEURON_STAGE` cycles from a group's last step; throughput: a group in `output_steps`.
    """

    issue: Struct
    o: Struct
    coming: Signal
    moving: Signal

    def __init__(self, part: Part) -> None:
        self.part = part
        members = {"issue": In(issue_layout(part)), "o": Out(walk_layout(part))}
        super().__init__(members | {"coming": Out(1), "moving": Out(1)})

    @property
    def latency(self) -> int:
        return NEURON_STAGE

    def elaborate(self, platform: object) -> Module:
        m = Module()
        part, o = self.part, self.o
        block = part.block
        fold, interval = part.fold, part.interval
        issued = self.issue
        complete = Signal(
            data.StructLayout(
                {"valid": 1, "timesteps": block, "refresh": block, "fresh": 1}
                | {"last_group": 1, "first_group": 1}
            )
        )
        m.d.comb += [
            complete.valid.eq(issued.valid & issued.last),
            Cat(complete.timesteps, complete.refresh).eq(Cat(issued.timesteps, issued.refresh)),
            Cat(complete.fresh, complete.last_group).eq(Cat(issued.fresh, issued.last_group)),
            complete.first_group.eq(issued.group == 0),
        ]
        issue = pipeline(m, complete, "valid", NEURON_STAGE - 1, "complete", issued.walking)[-1]
        load = issue.valid
        now = Signal(walk_layout(part))  # a cycle before `o`, which is a register

        running = Signal()  # after a group's first cycle
        timestep = Signal(block, init=1)  # where the walk is
        place = Signal(range(interval))
        base = Signal.like(o.word)  # of the group's words
        group = Signal(
            data.StructLayout({"timesteps": block, "refresh": block, "fresh": 1, "last_group": 1})
        )
        begun = Signal.like(group)
        first_word = Signal.like(o.word)
        m.d.comb += [begun.eq(group), first_word.eq(base)]
        with m.If(load):
            m.d.comb += [
                Cat(begun.timesteps, begun.refresh).eq(Cat(issue.timesteps, issue.refresh)),
                begun.fresh.eq(issue.fresh),
                begun.last_group.eq(issue.last_group),
                first_word.eq(Mux(issue.first_group, 0, base + fold)),
            ]
            m.d.sync += [group.eq(begun), base.eq(first_word), running.eq(1)]
        active = load | running
        ends_timestep = place == interval - 1
        claim(m, platform, "a group is walked to its end before the next one",
              ~load | (timestep[0] & (place == 0)))  # fmt: skip
        claim(m, platform, "a walk is in one timestep", ones(timestep) == 1)
        with m.If(active):
            m.d.sync += place.eq(place + 1)
            with m.If(ends_timestep):
                m.d.sync += [place.eq(0), timestep.eq(timestep.rotate_left(1))]
                with m.If(timestep[-1]):
                    m.d.sync += running.eq(0)

        later = Cat(begun.timesteps[1:], Const(0, 1))  # the next timestep is in the block too
        taken = active & (place < fold)
        m.d.comb += [
            now.shift.eq(taken),
            now.valid.eq(taken & (timestep & begun.timesteps).any()),
            now.first.eq(timestep[0]),
            now.last.eq(~(timestep & later).any()),
            now.refresh.eq((timestep & begun.refresh).any()),
            now.any_refresh.eq(begun.refresh.any()),
            now.fresh.eq(begun.fresh & timestep[0]),
            now.final.eq(taken & timestep[-1] & (place == fold - 1)),
            now.last_group.eq(begun.last_group),
            now.timesteps.eq(begun.timesteps),
            now.word.eq(first_word + place),
        ]
        hold(m, taken | o.shift, o.eq(now))
        m.d.comb += [self.coming.eq(load), self.moving.eq(load | o.shift)]
        return m


class Chains:
    """Registers in which the sums of complete groups wait for their turn in a walk.

    Parameters
    ----------
    m
        The module that they are in.
    walk
        The walk.
    n_lanes
        Lanes that sums come from: what moves the registers goes to all of them.
    """

    def __init__(self, m: Module, walk: OutputWalk, n_lanes: int) -> None:
        self._loading = spread(m, walk.coming, 1, n_lanes, "loading")
        self._moving = spread(m, walk.moving, 1, n_lanes, "moving")

    def feed(self, m: Module, sums: list[tuple[Value, int]], name: str) -> Signal:
        """Return one of these sums after another: the first one in the cycle after a group is
        complete, the next one whenever a word is taken. Each sum comes with the lane it is of.
        """
        links = [
            Signal(total.shape(), name=f"{name}_{index}", reset_less=True)
            for index, (total, _) in enumerate(sums)
        ]
        following_links: list[Value] = [*links[1:], sums[-1][0]]
        for link, (total, lane), following in zip(links, sums, following_links, strict=True):
            with m.If(self._moving[lane]):
                m.d.sync += link.eq(Mux(self._loading[lane], total, following))
        return links[0]
