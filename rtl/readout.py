"""The readout: logits of the classes, and the class."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.params import BIAS_STAGE, NEURON_STAGE, READOUT_COUNTERS, WRITE_STAGE, ReadoutHardware
from rtl.bank import Bank
from rtl.component import Component
from rtl.event_list import EventList
from rtl.fixed import delay, lane, saturate
from rtl.group_schedule import GroupSchedule
from rtl.layer import connect_schedule
from rtl.scalars import shape_of
from rtl.spike_path import SpikePath
from rtl.streams import LoadBus, event_layout, result_layout


class Readout(Component):
    """Add W_o s + b_o to the logits at every timestep, and send them with the class at the end of a
    sequence.

    Classes take the place of neurons under the same group schedule. Timesteps of the next sequence
    wait until the results are sent. After a sequence of no timesteps every logit is 0.

    Parameters
    ----------
    readout
        Parameters and lanes.
    numbers
        The load bus number of each of its memories.
    load_width
        Width of the load bus.

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

    Throughput: groups of classes * max(events, 1) + drain cycles a timestep.
    """

    def __init__(self, readout: ReadoutHardware, numbers: dict[str, int], load_width: int) -> None:
        self.readout, self.numbers, self.load_width = readout, numbers, load_width
        p = readout.params
        counts = {name: Out(1) for name in READOUT_COUNTERS}
        counts |= {"logit_saturations": Out(range(readout.hardware.lanes + 1))}
        super().__init__(
            {
                "i": In(stream.Signature(event_layout(p.n_inputs, 1))),
                "o": Out(stream.Signature(result_layout(p.n_classes, p.logit_width))),
                "load": In(LoadBus(load_width)),
                "counts": Out(wiring.Signature(counts)),
                "start": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        readout, p, width = self.readout, self.readout.params, self.load_width
        lanes, n_groups = readout.hardware.lanes, readout.n_groups
        memories, numbers = readout.memories, self.numbers
        m.submodules.events = events = EventList(p.n_inputs, 1)
        m.submodules.schedule = schedule = GroupSchedule(readout)
        m.submodules.spike_path = spike_path = SpikePath(
            readout, p.spike_sum, p.payload, memories["w_o"], numbers["w_o"], width
        )
        m.submodules.biases = biases = Bank(memories["b_o"], numbers["b_o"], width)
        m.submodules.logits = logits = Memory(shape=lanes * p.logit_width, depth=n_groups, init=[])
        read, write = logits.read_port(), logits.write_port()
        wiring.connect(m, wiring.flipped(self.i), events.i)
        wiring.connect(m, wiring.flipped(self.load), spike_path.load)
        wiring.connect(m, wiring.flipped(self.load), biases.load)
        connect_schedule(m, events, schedule, self.counts)
        m.d.comb += [
            schedule.room.eq(1),
            spike_path.issue.eq(schedule.issue),
            spike_path.address.eq(events.walked.address),
            spike_path.payload.eq(events.walked.payload),
        ]

        early = delay(m, schedule.issue, BIAS_STAGE, "early")
        issue = delay(m, early, NEURON_STAGE - BIAS_STAGE, "issue")
        written = delay(m, issue, WRITE_STAGE - NEURON_STAGE, "written")
        sending_group = Signal.like(early.group)
        sending = Signal()
        m.d.comb += [
            biases.address.eq(early.group),
            read.en.eq(1),
            read.addr.eq(Mux(sending, sending_group, early.group)),
        ]
        bias_word = delay(m, biases.data, 1, "bias_word")
        logit_word = delay(m, read.data, 1, "logit_word")
        kept, saturated = [], []
        for index in range(lanes):
            old = Mux(issue.fresh, 0, lane(logit_word, index, p.logit)).as_signed()
            added = lane(spike_path.sums, index, p.spike_sum) + lane(bias_word, index, p.b_o)
            step = Signal(added.shape(), name=f"step_{index}")  # stage 7
            before = Signal(shape_of(p.logit), name=f"before_{index}")
            logit, outside = saturate(before + step, p.logit)
            clamped = Signal(shape_of(p.logit), name=f"logit_{index}")  # stage 8
            m.d.sync += [step.eq(added), before.eq(old), clamped.eq(logit)]
            kept.append(delay(m, clamped, 1, f"kept_{index}"))  # stage 9
            saturated.append(delay(m, outside, 2, f"saturated_{index}"))
        done = written.valid & written.last
        in_use = [
            ~written.last_group if i >= p.n_classes - (n_groups - 1) * lanes else 1
            for i in range(lanes)
        ]
        clamped_in_use = [was & used for was, used in zip(saturated, in_use, strict=True)]
        m.d.comb += [
            write.en.eq(done),
            write.addr.eq(written.group),
            write.data.eq(Cat(*kept)),
            self.counts.logit_saturations.eq(
                Mux(done, sum(clamped_in_use[1:], clamped_in_use[0]), 0)
            ),
        ]

        # After the end of a sequence: word by word, lane by lane.
        ended = Signal()  # from the end's issue until its results are sent
        with m.If(schedule.issue.sequence_end):
            m.d.sync += ended.eq(1)
        m.d.comb += schedule.hold.eq(schedule.issue.sequence_end | ended)
        word = Signal(lanes * p.logit_width)
        empty = Signal()  # the sequence had no timestep: what the memory holds is an earlier one's
        left = Signal(range(lanes + 1))  # lanes of `word` not yet sent
        reading = Signal(range(4))  # cycles until the addressed word is there
        index = Signal(range(p.n_classes))
        best_index, best = Signal(range(p.n_classes)), Signal(shape_of(p.logit))
        logit = lane(word, 0, p.logit)
        better = (index == 0) | (logit > best)
        last = index == p.n_classes - 1
        m.d.comb += [
            self.o.valid.eq(left != 0),
            self.o.payload.index.eq(index),
            self.o.payload.logit.eq(logit),
            self.o.payload.best.eq(Mux(better, index, best_index)),
            self.o.payload.last.eq(last),
        ]
        with m.If(written.sequence_end):
            m.d.sync += [
                sending.eq(1),
                sending_group.eq(0),
                reading.eq(3),
                index.eq(0),
                empty.eq(written.fresh),
            ]
        with m.If(reading != 0):
            m.d.sync += reading.eq(reading - 1)
            with m.If(reading == 1):
                m.d.sync += [word.eq(Mux(empty, 0, logit_word)), left.eq(lanes)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [
                word.eq(word >> p.logit_width),
                left.eq(left - 1),
                index.eq(index + 1),
                best_index.eq(Mux(better, index, best_index)),
                best.eq(Mux(better, logit, best)),
            ]
            with m.If(last):
                m.d.sync += [left.eq(0), sending.eq(0), ended.eq(0)]
            with m.Elif(left == 1):
                m.d.sync += [sending_group.eq(sending_group + 1), reading.eq(3)]

        m.d.comb += [
            self.start.eq(schedule.issue.start),
            self.counts.stall_cycles.eq(self.o.valid & ~self.o.ready),
            self.counts.sequences.eq(self.o.valid & self.o.ready & last),
        ]
        return m
