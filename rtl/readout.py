"""The readout: logits of the classes, and the class."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.hardware.readout import ReadoutHardware
from rtl.bank import Bank
from rtl.claims import claim_apart, claim_stable
from rtl.component import NEVER_COLLIDES, Component
from rtl.event_list import EventList
from rtl.fixed import at_multiplier, delay, delay_rare, hold, pipeline, saturate, shape_of, total
from rtl.group_schedule import GroupSchedule
from rtl.layouts import Array
from rtl.neuron_words import decay
from rtl.output_walk import Chains, OutputWalk
from rtl.scalars import Scalars
from rtl.signatures import LoadBus, LoadBusPorts
from rtl.snapshots import Snapshots
from rtl.sparse_walk import connect_walk, count, counts_signature
from rtl.spike_path import SpikePath
from rtl.streams import event_layout, result_layout


class Readout(Component):
    """Add W_o s + b_o to what is kept of the logits at every timestep, those of a block one after
    another, and send them, or the largest so far, with the class at the end of a sequence.

    Classes take the place of neurons under the same group schedule. After a sequence of no
    timesteps every logit is 0. Without reports, timesteps of the next sequence wait until the
    results are sent; with reports, `Snapshots` sends them.

    Parameters
    ----------
    readout
        Parameters and lanes.
    numbers
        The load bus number of each of its memories.

    Members
    -------
    i
        Spikes of the last layer.
    o
        One item a class, in order; the item with `last` holds the class in `best`: the largest
        logit, the lowest index on ties.
    load, counts
        As in `Layer`.
    start
        A timestep starts (for the trace).

    Latency: from the end of a block's arrival to the write of its first logits: `close_latency` + 1
    + steps of the group + `NEURON_STAGE` + `output_latency` cycles; throughput: groups of classes *
    max(sparse steps, output steps) + drain cycles a block.
    """

    i: stream.Interface
    o: stream.Interface
    load: LoadBusPorts
    counts: wiring.PureInterface
    start: Signal

    def __init__(self, readout: ReadoutHardware, numbers: dict[str, int]) -> None:
        self.readout = readout
        p, memories = readout.params, readout.memories
        self.events = EventList(readout)
        self.schedule = GroupSchedule(readout)
        self.spike_path = SpikePath(readout, p.spike_sum, memories["w_o"], numbers["w_o"])
        self.biases = Bank(memories["b_o"], numbers["b_o"])
        self.walk = OutputWalk(readout)
        self.scalars = None
        if p.leaky:
            self.scalars = Scalars(readout.scalars, memories["scalars"], numbers["scalars"])
        self.snapshots = Snapshots(readout) if readout.reports else None
        super().__init__(
            {
                "i": In(
                    stream.Signature(
                        event_layout(
                            p.n_inputs,
                            readout.block,
                            reports=readout.reports,
                            items=readout.received_items,
                        )
                    )
                ),
                "o": Out(stream.Signature(result_layout(p.n_classes, p.logit_width))),
                "load": In(LoadBus()),
                "counts": Out(counts_signature(readout)),
                "start": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Without the steps of the group."""
        own = (self.events, self.schedule, self.walk)
        return sum(component.latency for component in own) + self.readout.output_latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        readout, counts = self.readout, self.counts
        p = readout.params
        m.submodules.events = events = self.events
        m.submodules.schedule = schedule = self.schedule
        m.submodules.spike_path = spike_path = self.spike_path
        m.submodules.biases = biases = self.biases
        m.submodules.walk = walk = self.walk
        logits, read, write = self._memory(m, platform, "logits", readout.reads_while_writing)
        wiring.connect(m, wiring.flipped(self.i), events.i)
        wiring.connect(m, wiring.flipped(self.load), spike_path.load)
        wiring.connect(m, wiring.flipped(self.load), biases.load)
        connect_walk(m, events, schedule, spike_path, counts, events.errors)
        m.d.comb += schedule.room.eq(1)
        count(m, counts, input_stall_cycles=self.i.valid & ~self.i.ready)

        sending_group = Signal(range(readout.n_groups))
        sending = Signal()
        written = readout.output_latency
        step = pipeline(m, walk.o, "shift", written, "step")
        first = walk.o.valid & walk.o.first
        m.d.comb += [
            walk.issue.eq(schedule.issue),
            biases.enable.eq(first),
            biases.address[0].eq(walk.o.word),
            read.en.eq(sending | first),
            read.addr.eq(Mux(sending, sending_group, walk.o.word)),
            write.en.eq(step[written].valid & step[written].last),
            write.addr.eq(step[written].word),
        ]
        if self.scalars is not None:
            m.submodules.scalars = self.scalars
            wiring.connect(m, wiring.flipped(self.load), self.scalars.load)
        saturated = self._add(m, step, read.data, write.data)
        count(m, counts, logit_saturations=total(saturated))
        kept, port = logits, read
        if p.report == "max":
            kept, port = self._keep_largest(m, platform, step[written], write.data)
        if readout.accesses:
            count(
                m,
                counts,
                w_o_reads=spike_path.weight_reads,
                spike_additions=spike_path.additions,
                b_o_reads=first,
                logits_reads=first,
                logits_writes=write.en,
            )
            if p.leaky:
                count(m, counts, leak_products=walk.o.valid)
        if self.snapshots is None:
            if port is not read:
                with m.If(sending):
                    m.d.comb += [port.en.eq(1), port.addr.eq(sending_group)]
            self._send(m, port.data, sending, sending_group)
        else:
            self._report(m, self.snapshots, kept)
        m.d.comb += self.start.eq(schedule.issue.start)
        claim_stable(m, platform, "o", self.o)
        return m

    def _memory(
        self, m: Module, platform: object, name: str, collides: bool
    ) -> tuple[Any, Any, Any]:
        """Make a memory of words of classes; return it, its read and its write port. Where it
        `collides`, what is being written can already be read.
        """
        readout = self.readout
        # A second read, for the snapshots, may be of the word that is being written.
        attrs = None if collides or readout.reports else NEVER_COLLIDES
        m.submodules[name] = memory = Memory(
            shape=data.ArrayLayout(shape_of(readout.params.logit), readout.lanes),
            depth=readout.n_groups,
            init=[],
            attrs=attrs,
        )
        write = memory.write_port()
        read = memory.read_port(transparent_for=(write,) if collides else ())
        if attrs is not None:
            claim_apart(m, platform, name, write, read)
        return memory, read, write

    def _keep_largest(
        self, m: Module, platform: object, step: Any, logits: Array
    ) -> tuple[Any, Any]:
        """Keep the largest logit so far of every class, a cycle after it is computed (`step`);
        return the memory and its read port.
        """
        readout, shape = self.readout, shape_of(self.readout.params.logit)
        alone = readout.n_groups * readout.output_steps == 1  # read in the next cycle again
        memory, read, write = self._memory(m, platform, "peaks", alone)
        then = delay(m, step, 1, "kept")
        m.d.comb += [
            read.en.eq(step.valid & step.first),
            read.addr.eq(step.word),
            write.en.eq(then.valid & then.last),
            write.addr.eq(then.word),
        ]
        for lane in range(readout.lanes):
            logit = delay(m, logits[lane], 1, f"peak_logit_{lane}", reset_less=True)
            before: Value = read.data[lane]
            peak = Signal(shape, name=f"peak_{lane}")
            if readout.block > 1:
                held = delay(m, peak, readout.interval, f"peak_before_{lane}", reset_less=True)
                before = Mux(then.first, before, held).as_signed()
            m.d.comb += [
                peak.eq(Mux(then.fresh | (logit > before), logit, before)),
                write.data[lane].eq(peak),
            ]
        if readout.accesses:
            count(m, self.counts, peaks_reads=step.valid & step.first, peaks_writes=write.en)
        return memory, read

    def _report(self, m: Module, snapshots: Snapshots, memory: Any) -> None:
        """Send what is in the memory at every report, and at the end of a sequence."""
        m.submodules.snapshots = snapshots
        issue, schedule, port = self.schedule.issue, self.schedule, memory.read_port()
        m.d.comb += [
            schedule.result_room.eq(snapshots.room),
            snapshots.asked.eq(issue.report | issue.sequence_end),
            snapshots.fresh.eq(issue.fresh),
            snapshots.finishing.eq(issue.valid & issue.last & issue.last_group),
            port.en.eq(snapshots.read),
            port.addr.eq(snapshots.address),
            snapshots.word.eq(port.data),
        ]
        wiring.connect(m, snapshots.o, wiring.flipped(self.o))
        count(
            m,
            self.counts,
            stall_cycles=schedule.stalled,
            sequences=issue.sequence_end,
            reports=issue.report,
        )

    def _add(self, m: Module, step: Any, old_words: Array, new_words: Array) -> list[Signal]:
        """Add what a timestep adds to every logit of a word; return which had to be clamped.

        Cycle 0: logits and biases are addressed. 1: what they are and what is added. 2: the sums;
        with a leak: 2: the products. 3: the sums. 4: these clamped.
        """
        readout, p, block = self.readout, self.readout.params, self.readout.block
        done = step[readout.output_latency]
        chains = Chains(m, self.walk, readout.lanes)
        saturated = []
        for lane in range(readout.lanes):
            in_order = [(self.spike_path.sums[t][lane], lane) for t in range(block)]
            link = chains.feed(m, in_order, f"link_{lane}")
            loaded = self.biases.words[0][lane]
            bias = Signal(shape_of(p.b_o), name=f"bias_{lane}")
            old = Mux(step[1].fresh, 0, old_words[lane]).as_signed()
            logit = Signal(shape_of(p.logit), name=f"logit_{lane}")
            if block > 1:
                held = delay(m, bias, readout.interval, f"held_{lane}", reset_less=True)
                m.d.comb += bias.eq(Mux(step[1].first, loaded, held))
                old = Mux(step[1].first, old, logit).as_signed()
            else:
                m.d.comb += bias.eq(loaded)
            added = link + bias
            adding = Signal(added.shape(), name=f"adding_{lane}", reset_less=True)
            before = Signal(shape_of(p.logit), name=f"before_{lane}", reset_less=True)
            with m.If(step[1].shift):
                m.d.sync += [adding.eq(added), before.eq(old)]
            summed = before + adding
            if self.scalars is not None:
                moving = [step[2].shift, step[3].shift]
                summed = self._decay(m, lane, before, adding, moving)
            clamped, outside = saturate(summed, p.logit)
            m.d.comb += [logit.eq(clamped), new_words[lane].eq(logit)]
            in_use = ~done.last_group if lane >= readout.last_group_lanes else 1
            told = outside & done.valid & in_use
            saturated.append(delay(m, told, 1, f"saturated_{lane}"))  # counted a cycle later
        return saturated

    def _decay(
        self, m: Module, lane: int, before: Signal, adding: Signal, moving: list[Value]
    ) -> Signal:
        """Return what is kept of a logit plus what is added, two cycles after them."""
        p, scalars = self.readout.params, self.scalars
        assert scalars is not None
        product = Signal((before * scalars.leak).shape(), name=f"product_{lane}", reset_less=True)
        multiplying = at_multiplier(self.readout.hardware, moving[0])
        hold(m, multiplying, product.eq(before * scalars.leak))
        added = delay(m, adding, 1, f"added_{lane}", reset_less=True, moving=moving)
        decayed = decay(product, added, p.leak.frac, p.decay_rounding)
        summed = Signal(decayed.shape(), name=f"summed_{lane}", reset_less=True)
        hold(m, moving[1], summed.eq(decayed))
        return summed

    def _send(self, m: Module, words: Array, sending: Signal, sending_group: Signal) -> None:
        """After the end of a sequence, send the logits: word by word, lane by lane."""
        readout, p, schedule = self.readout, self.readout.params, self.schedule
        ending = schedule.issue.sequence_end
        sequence_end, moving = delay_rare(m, ending, readout.result_stage, "sequence_end")
        cycles = readout.result_stage
        fresh = delay(m, schedule.issue.fresh, cycles, "fresh", moving=moving)
        ended = Signal()  # from the end's issue until its results are sent
        with m.If(ending):
            m.d.sync += ended.eq(1)
        m.d.comb += schedule.hold.eq(ending | ended)
        empty = Signal()  # the sequence had no timestep: what the memory holds is an earlier one's
        valid = Signal()  # `logit` is being sent
        logit = Signal(shape_of(p.logit), reset_less=True)
        following = Signal(range(readout.lanes + 1))  # the lane of the word that is sent after it
        reading = Signal(range(3))  # cycles until the addressed word is read
        index = Signal(range(p.n_classes))
        best_index = Signal(range(p.n_classes))
        best = Signal(shape_of(p.logit))
        # Nothing else reads meanwhile: the memory shows the word until its last lane is sent.
        with m.If((reading == 1) | (self.o.valid & self.o.ready)):
            m.d.sync += [
                logit.eq(
                    Mux(empty, 0, _choose([words[i] for i in range(readout.lanes)], following))
                ),
                following.eq(following + 1),
            ]
        better = (index == 0) | (logit > best)
        last = index == p.n_classes - 1
        m.d.comb += [
            self.o.valid.eq(valid),
            self.o.payload.index.eq(index),
            self.o.payload.logit.eq(logit),
            self.o.payload.best.eq(Mux(better, index, best_index)),
            self.o.payload.last.eq(last),
        ]
        with m.If(sequence_end):
            m.d.sync += [
                sending.eq(1),
                sending_group.eq(0),
                reading.eq(2),
                index.eq(0),
                empty.eq(fresh),
            ]
        with m.If(reading != 0):
            m.d.sync += reading.eq(reading - 1)
            with m.If(reading == 1):
                m.d.sync += valid.eq(1)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [
                index.eq(index + 1),
                best_index.eq(Mux(better, index, best_index)),
                best.eq(Mux(better, logit, best)),
            ]
            with m.If(last):
                m.d.sync += [valid.eq(0), following.eq(0), sending.eq(0), ended.eq(0)]
            with m.Elif(following == readout.lanes):
                m.d.sync += [
                    valid.eq(0),
                    following.eq(0),
                    sending_group.eq(sending_group + 1),
                    reading.eq(2),
                ]
        count(
            m,
            self.counts,
            stall_cycles=self.o.valid & ~self.o.ready,
            sequences=self.o.valid & self.o.ready & last,
        )


def _choose(values: list[Value], index: Signal) -> Value:
    """Return `values[index]` by a tree, which takes fewer LUTs than the cases of an `Array`."""
    for bit in index[: (len(values) - 1).bit_length()]:
        above = [*values[1::2], values[-1]]  # beside a last one without a partner, itself
        values = [Mux(bit, odd, even) for even, odd in zip(values[::2], above, strict=False)]
    return values[0]
