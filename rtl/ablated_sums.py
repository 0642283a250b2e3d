"""The sums of a layer's groups where it is ablated (`HardwareParams.ablations`)."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.hardware.layer import LayerHardware
from golden.hardware.stages import MULTIPLY_STAGE, NEURON_STAGE
from rtl.claims import claim_apart
from rtl.component import NEVER_COLLIDES, Component
from rtl.fixed import align, pipeline, shape_of
from rtl.layouts import Array, Struct, issue_layout, sums_layout


class AblatedSums(Component):
    """Keep the sums of the groups: those of the events and those of the slow state's columns, or,
    shared, one of both, on one adder a lane.

    Shared, the events come first: at the first column their sum is rounded to the scale of the
    membranes, and then has that of the columns. So the integers are those of separate sums.

    Input stationary, a step reads, adds to and writes a word of a memory; without fusion a complete
    word is written, and read in the pass. Else sums stay in registers. A word to which a timestep
    adds nothing is neither written nor read.

    Parameters
    ----------
    layer
        A layer that is `reordered`.

    Members
    -------
    issue
        From the schedule (stage 0).
    events, columns
        `[timestep][lane]`: what a step adds, in `NEURON_STAGE` - 1; 0 where it adds nothing.
    sums, currents
        Of the group that is handed to its neurons, in `NEURON_STAGE`; shared, no `currents`.
    sums_read, sums_write, currents_read, currents_write
        A word is read, or written, where they are stored.

    Latency: `NEURON_STAGE` cycles; throughput: a step a cycle.
    """

    issue: Struct
    events: Array
    columns: Array
    sums: Array
    currents: Array
    sums_read: Signal
    sums_write: Signal
    currents_read: Signal
    currents_write: Signal

    def __init__(self, layer: LayerHardware) -> None:
        self.layer = layer
        members = {
            "issue": In(issue_layout(layer)),
            "events": In(sums_layout(layer, layer.added["events"])),
            **{name: Out(sums_layout(layer, fmt)) for name, fmt in layer.sums.items()},
        }
        if layer.params.n_state:
            members["columns"] = In(sums_layout(layer, layer.added["columns"]))
        if layer.stored:
            members |= {
                f"{name}_{what}": Out(1) for name in layer.sums for what in ("read", "write")
            }
        super().__init__(members)

    @property
    def latency(self) -> int:
        return NEURON_STAGE

    def elaborate(self, platform: object) -> Module:
        m = Module()
        issues = pipeline(m, self.issue, "valid", NEURON_STAGE - 1, "issue", self.issue.walking)
        early, now = issues[MULTIPLY_STAGE], issues[-1]
        for name in self.layer.sums:
            self._keep(m, platform, name, early, now)
        return m

    def _adds(self, name: str, issue: Any) -> Value:
        """Whether a step adds to these sums."""
        if self.layer.shared:
            return issue.valid & (issue.sparse | issue.dense)
        return issue.valid & (issue.dense if name == "currents" else issue.sparse)

    def _begins(self, issue: Any) -> Value:
        """Whether nothing was added before a step that adds."""
        after_events = issue.dense & issue.listed if self.layer.shared else Const(0)
        return (issue.step == 0) & ~after_events

    def _used(self, name: str, issue: Any) -> Value:
        """Whether the timestep adds anything to these sums."""
        always = self.layer.shared or name == "currents"
        return Const(1) if always else issue.listed

    def _words(
        self, m: Module, platform: object, name: str, early: Any, now: Any
    ) -> tuple[Any, Any]:
        """Make the memory of these sums; return its write port, and what was read."""
        layer, shape = self.layer, self.layer.buffers[name]
        alone = layer.n_groups == 1  # read while it is written
        m.submodules[name] = words = Memory(
            shape=data.ArrayLayout(shape_of(shape.element), shape.n_lanes),
            depth=shape.depth,
            init=[],
            attrs=None if alone else NEVER_COLLIDES,
        )
        write = words.write_port()
        read = words.read_port(transparent_for=(write,) if alone else ())
        if not alone:
            claim_apart(m, platform, name, write, read)
        # What hands a word over reads it, too.
        handed = early.valid & early.last & self._used(name, early)
        adds, writing = self._adds(name, early), self._adds(name, now)
        if layer.input_stationary:
            reading = Mux(adds, ~self._begins(early), handed)
            if layer.fused:
                writing = writing & ~now.complete
        else:
            reading = handed
            writing = now.valid & now.complete & self._used(name, now)
        m.d.comb += [
            read.en.eq(reading),
            read.addr.eq(early.group),
            write.en.eq(writing),
            write.addr.eq(now.group),
            getattr(self, f"{name}_read").eq(reading),
            getattr(self, f"{name}_write").eq(writing),
        ]
        return write, read.data

    def _keep(self, m: Module, platform: object, name: str, early: Any, now: Any) -> None:
        layer, p = self.layer, self.layer.params
        write, words = self._words(m, platform, name, early, now) if layer.stored else (None, None)
        adds, begins, used = self._adds(name, now), self._begins(now), self._used(name, now)
        for lane in range(layer.lanes):
            held = Signal(shape_of(layer.sums[name]), name=f"{name}_{lane}", reset_less=True)
            before: Value = held
            if words is not None:
                stored = words[lane]
                before = stored if layer.input_stationary else Mux(now.passing, stored, held)
            kept = Mux(Mux(adds, begins, ~used), 0, before).as_signed()
            added = self.columns[0][lane] if name == "currents" else self.events[0][lane]
            if layer.shared:
                rounded = align(kept, p.spike_shift) << p.current_shift
                kept = Mux(now.dense & (now.step == 0), rounded, kept).as_signed()
                added = Mux(now.dense, self.columns[0][lane], added).as_signed()
            following = Signal.like(held, name=f"{name}_next_{lane}")
            m.d.comb += following.eq(kept + added)
            with m.If(now.valid):
                m.d.sync += held.eq(following)
            m.d.comb += getattr(self, name)[0][lane].eq(held)
            if write is not None:
                m.d.comb += write.data[lane].eq(following)
