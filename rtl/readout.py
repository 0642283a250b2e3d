"""The readout: logits of the classes, and the class."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.hardware.readout import ReadoutHardware
from rtl.bank import Bank
from rtl.component import NEVER_COLLIDES, Component
from rtl.event_list import EventList
from rtl.fixed import delay, lane, saturate, shape_of
from rtl.group_schedule import GroupSchedule
from rtl.output_walk import Chains, OutputWalk
from rtl.sparse_walk import connect_schedule, counts_signature
from rtl.spike_path import SpikePath
from rtl.streams import LOAD_BUS, event_layout, result_layout


class Readout(Component):
    """Add W_o s + b_o to the logits at every timestep, those of a block one after another, and send
    them with the class at the end of a sequence.

    Classes take the place of neurons under the same group schedule. Timesteps of the next sequence
    wait until the results are sent. After a sequence of no timesteps every logit is 0.

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

    Throughput: groups of classes * max(events, 1) + drain cycles a timestep.
    """

    def __init__(self, readout: ReadoutHardware, numbers: dict[str, int]) -> None:
        self.readout, self.numbers = readout, numbers
        p = readout.params
        super().__init__(
            {
                "i": In(stream.Signature(event_layout(p.n_inputs, readout.block))),
                "o": Out(stream.Signature(result_layout(p.n_classes, p.logit_width))),
                "load": In(LOAD_BUS),
                "counts": Out(counts_signature(readout)),
                "start": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        readout, p = self.readout, self.readout.params
        lanes, n_groups, block = readout.lanes, readout.n_groups, readout.block
        memories, numbers = readout.memories, self.numbers
        m.submodules.events = events = EventList(readout)
        m.submodules.schedule = schedule = GroupSchedule(readout)
        m.submodules.spike_path = spike_path = SpikePath(
            readout, p.spike_sum, memories["w_o"], numbers["w_o"]
        )
        m.submodules.biases = biases = Bank(memories["b_o"], numbers["b_o"])
        m.submodules.walk = walk = OutputWalk(readout)
        collides = readout.reads_while_writing
        m.submodules.logits = logits = Memory(
            shape=lanes * p.logit_width,
            depth=n_groups,
            init=[],
            attrs=None if collides else NEVER_COLLIDES,
        )
        write = logits.write_port()
        read = logits.read_port(transparent_for=(write,) if collides else ())
        wiring.connect(m, wiring.flipped(self.i), events.i)
        wiring.connect(m, wiring.flipped(self.load), spike_path.load)
        wiring.connect(m, wiring.flipped(self.load), biases.load)
        connect_schedule(m, events, schedule, spike_path, self.counts, events)
        m.d.comb += [
            schedule.room.eq(1),
            self.counts.input_stall_cycles.eq(self.i.valid & ~self.i.ready),
        ]

        sending_group = Signal(range(n_groups))
        sending = Signal()
        step = [walk.o, delay(m, walk.o, 1, "step_1")]
        step.append(delay(m, step[1], 1, "step_2"))
        first = walk.o.valid & walk.o.first
        m.d.comb += [
            walk.issue.eq(schedule.issue),
            biases.enable.eq(first),
            biases.address.eq(walk.o.word),
            read.en.eq(sending | first),
            read.addr.eq(Mux(sending, sending_group, walk.o.word)),
        ]
        # Cycle 0: logits and biases are addressed. 1: what they are and what is added. 2: the sums.
        chains = Chains(m, walk, lanes)
        kept, saturated = [], []
        for index in range(lanes):
            places = [t * lanes + index for t in range(block)]
            words = [
                (spike_path.sums.word_select(place, p.spike_sum.width).as_signed(), index)
                for place in places
            ]
            link = chains.feed(m, words, f"link_{index}")
            loaded = lane(biases.data, index, p.b_o)
            bias = Signal(shape_of(p.b_o), name=f"bias_{index}")
            old = Mux(step[1].fresh, 0, lane(read.data, index, p.logit)).as_signed()
            total = Signal(shape_of(p.logit), name=f"total_{index}")
            if block > 1:
                held = delay(m, bias, 1, f"held_{index}", reset_less=True)
                m.d.comb += bias.eq(Mux(step[1].first, loaded, held))
                old = Mux(step[1].first, old, total).as_signed()
            else:
                m.d.comb += bias.eq(loaded)
            added = link + bias
            adding = Signal(added.shape(), name=f"adding_{index}", reset_less=True)
            before = Signal(shape_of(p.logit), name=f"before_{index}", reset_less=True)
            m.d.sync += [adding.eq(added), before.eq(old)]
            clamped, outside = saturate(before + adding, p.logit)
            m.d.comb += total.eq(clamped)
            kept.append(total)
            in_use = ~step[2].last_group if index >= readout.last_group_lanes else 1
            told = outside & step[2].valid & in_use
            saturated.append(delay(m, told, 1, f"saturated_{index}"))  # counted a cycle later
        m.d.comb += [
            write.en.eq(step[2].valid & step[2].last),
            write.addr.eq(step[2].word),
            write.data.eq(Cat(*kept)),
            self.counts.logit_saturations.eq(sum(saturated[1:], saturated[0])),
        ]
        if readout.accesses:
            m.d.comb += [
                self.counts.w_o_reads.eq(spike_path.weight_reads),
                self.counts.spike_additions.eq(spike_path.additions),
                self.counts.b_o_reads.eq(first),
                self.counts.logits_reads.eq(first),
                self.counts.logits_writes.eq(write.en),
            ]

        # After the end of a sequence: word by word, lane by lane.
        ending = schedule.issue.sequence_end
        sequence_end = delay(m, ending, readout.write_stage, "sequence_end")
        fresh = delay(m, schedule.issue.fresh, readout.write_stage, "fresh")
        ended = Signal()  # from the end's issue until its results are sent
        with m.If(ending):
            m.d.sync += ended.eq(1)
        m.d.comb += schedule.hold.eq(ending | ended)
        word = Signal(lanes * p.logit_width, reset_less=True)
        empty = Signal()  # the sequence had no timestep: what the memory holds is an earlier one's
        left = Signal(range(lanes + 1))  # lanes of `word` not yet sent
        reading = Signal(range(3))  # cycles until the addressed word is there
        index = Signal(range(p.n_classes))
        best_index = Signal(range(p.n_classes))
        best = Signal(shape_of(p.logit))
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
                m.d.sync += [word.eq(Mux(empty, 0, read.data)), left.eq(lanes)]
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
                m.d.sync += [sending_group.eq(sending_group + 1), reading.eq(2)]

        m.d.comb += [
            self.start.eq(schedule.issue.start),
            self.counts.stall_cycles.eq(self.o.valid & ~self.o.ready),
            self.counts.sequences.eq(self.o.valid & self.o.ready & last),
        ]
        return m
