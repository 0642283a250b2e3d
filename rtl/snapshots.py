"""The results of a readout that reports: copies of its logits, which wait to be sent."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from golden.hardware.memory import address_width
from golden.hardware.readout import ReadoutHardware
from golden.hardware.stages import RESULT_SETS
from rtl.claims import claim, claim_stable
from rtl.component import Component
from rtl.fixed import delay, shape_of
from rtl.layouts import Array
from rtl.queue import Queue
from rtl.streams import result_layout


class Snapshots(Component):
    """Copy the logits of all classes, a word a cycle, and send them while the readout goes on.

    Nothing is dropped: a report that finds no room for all its words waits, and the next block's
    logits are not written before it has passed.

    Parameters
    ----------
    readout
        Parameters and lanes.

    Members
    -------
    asked, fresh
        A report, or the end of a sequence, is issued (stage 0); the sequence has had no timestep.
    finishing
        The last step of a block is issued.
    room
        One may be issued in this cycle: there is room for its words, and those of the last block
        will be written when they are read.
    read, address, word
        A word of logits is read in this cycle; what it holds, a cycle later.
    o
        As `Readout.o`.

    Latency: `result_stage` + 3 cycles from what is asked to its first item; throughput: an item a
    cycle.
    """

    asked: Signal
    fresh: Signal
    finishing: Signal
    room: Signal
    read: Signal
    address: Signal
    word: Array
    o: stream.Interface

    def __init__(self, readout: ReadoutHardware) -> None:
        self.readout = readout
        p = readout.params
        words = data.ArrayLayout(shape_of(p.logit), readout.lanes)
        self.queue = Queue(words, readout.buffers["results"].depth)
        super().__init__(
            {
                "asked": In(1),
                "fresh": In(1),
                "finishing": In(1),
                "room": Out(1),
                "read": Out(1),
                "address": Out(address_width(readout.n_groups)),
                "word": In(words),
                "o": Out(stream.Signature(result_layout(p.n_classes, p.logit_width))),
            }
        )

    @property
    def latency(self) -> int:
        return self.readout.result_stage + 2 + self.queue.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        readout, p = self.readout, self.readout.params
        n_groups, settle = readout.n_groups, readout.settle
        m.submodules.queue = queue = self.queue
        popped = queue.o.valid & queue.o.ready

        # What is left to wait for: room, the walk of the last block, the words of the last report.
        free = Signal(range(queue.depth + 1), init=queue.depth)
        writing = Signal(range(settle + 1))
        copying = Signal(range(n_groups))
        m.d.comb += self.room.eq((free >= n_groups) & (writing == 0) & (copying == 0))
        m.d.sync += free.eq(free + popped - Mux(self.asked, n_groups, 0))
        waits = (writing, self.finishing, settle), (copying, self.asked, n_groups - 1)
        for waiting, begins, cycles in waits:
            with m.If(begins):
                m.d.sync += waiting.eq(cycles)
            with m.Elif(waiting != 0):
                m.d.sync += waiting.eq(waiting - 1)

        reading = delay(m, self.asked, readout.result_stage, "reading")
        empty = delay(m, self.fresh, readout.result_stage, "empty")
        more = Signal()  # words of the same report
        cleared = Signal()  # which had no timestep: what the memory holds is an earlier sequence's
        following = Signal.like(self.address)
        m.d.comb += [self.read.eq(reading | more), self.address.eq(Mux(reading, 0, following))]
        with m.If(reading):
            m.d.sync += cleared.eq(empty)
        if n_groups > 1:
            with m.If(self.read):
                m.d.sync += following.eq(self.address + 1)
                m.d.sync += more.eq(self.address != n_groups - 1)
        m.d.comb += [
            queue.i.valid.eq(delay(m, self.read, 1, "copied")),
            queue.i.payload.eq(Mux(cleared, 0, self.word.as_value())),
        ]

        word = Signal(self.word.shape(), reset_less=True)  # what is being sent
        left = Signal(range(readout.lanes + 1))  # lanes of it not yet sent
        index = Signal(range(p.n_classes))
        best_index = Signal(range(p.n_classes))
        best = Signal(shape_of(p.logit))
        logit = word[0]
        better = (index == 0) | (logit > best)
        last = index == p.n_classes - 1
        sent = self.o.valid & self.o.ready
        m.d.comb += [
            self.o.valid.eq(left != 0),
            self.o.payload.index.eq(index),
            self.o.payload.logit.eq(logit),
            self.o.payload.best.eq(Mux(better, index, best_index)),
            self.o.payload.last.eq(last),
            queue.o.ready.eq((left == 0) | (sent & (last | (left == 1)))),
        ]
        with m.If(sent):
            m.d.sync += [
                word.eq(word.as_value() >> p.logit_width),
                left.eq(Mux(last, 0, left - 1)),
                index.eq(Mux(last, 0, index + 1)),
                best_index.eq(Mux(better, index, best_index)),
                best.eq(Mux(better, logit, best)),
            ]
        with m.If(popped):
            m.d.sync += [word.eq(queue.o.payload), left.eq(readout.lanes)]
        claim(m, platform, "the queue has room for what comes", ~queue.i.valid | queue.i.ready)
        claim(m, platform, "a report is asked for where there is room", ~self.asked | self.room)
        claim_stable(m, platform, "o", self.o)
        return m


assert RESULT_SETS > 1, "one report is copied while the one before is sent"
