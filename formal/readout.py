"""Proofs of what leaves the readout: every class, in order, and the right best one."""

from __future__ import annotations

from functools import partial

from amaranth.hdl import Mux, Signal

from formal.harness import Harness, implies
from formal.proof import PDR, Bug, Proof
from golden.hardware.params import HardwareParams
from golden.hardware.readout import ReadoutHardware
from golden.readout_params import ReadoutParams
from rtl.readout import Readout
from rtl.snapshots import Snapshots

PARAMS = ReadoutParams(2, 3, logit_width=6)
PLAIN = ReadoutHardware(PARAMS, HardwareParams(2))
REPORTING = ReadoutHardware(PARAMS, HardwareParams(2, reports=True))


def results(harness: Harness, readout: ReadoutHardware) -> None:
    """Whatever the logits are: events, ends and what is loaded come freely."""
    numbers = {name: number for number, name in enumerate(readout.memories)}
    dut = harness.add(Readout(readout, numbers)).component
    harness.offer(dut.i)
    for name in dut.load.signature.members:
        port = getattr(dut.load, name)
        harness.m.d.comb += port.eq(harness.free(len(port), name))
    _packets(harness, dut, readout)


def snapshots(harness: Harness) -> None:
    """Reports, whose words of logits come freely."""
    dut = harness.add(Snapshots(REPORTING)).component
    asked = harness.free(1, "asked")
    harness.m.d.comb += [
        dut.asked.eq(asked),
        dut.fresh.eq(harness.free(1, "fresh")),
        dut.finishing.eq(harness.free(1, "finishing")),
        dut.word.as_value().eq(harness.free(len(dut.word.as_value()), "word")),
    ]
    harness.assume(implies(asked, dut.room))
    reports = harness.count(4, asked, "reports")
    _packets(harness, dut, REPORTING)
    last = dut.o.valid & dut.o.ready & dut.o.payload.last
    sent = harness.count(4, last, "sent")
    harness.prove("no result is made up", implies(dut.o.valid, reports != sent))
    harness.prove("no report is dropped", implies(dut.queue.i.valid, dut.queue.i.ready))
    harness.cover("two reports wait", (reports - sent)[:4] == 2)


def _packets(harness: Harness, dut: Readout | Snapshots, readout: ReadoutHardware) -> None:
    harness.accept(dut.o)
    m, item, n_classes = harness.m, dut.o.payload, readout.params.n_classes
    goes = dut.o.valid & dut.o.ready
    index = Signal(range(n_classes + 1), name="due_class")
    best = Signal(readout.params.logit_width, name="best")  # of the classes before
    winner = Signal(range(n_classes), name="winner")
    logit, largest = item.logit.as_signed(), best.as_signed()
    better = (index == 0) | (logit > largest)
    with m.If(goes):
        m.d.sync += index.eq(Mux(item.last, 0, index + 1))
        with m.If(better):
            m.d.sync += [best.eq(item.logit), winner.eq(index)]
    harness.prove(
        "every class in its place",
        implies(dut.o.valid, (item.index == index) & (item.last == (index == n_classes - 1))),
    )
    harness.prove(
        "the best is the largest logit, the lowest class of several",
        implies(dut.o.valid & item.last, item.best == Mux(better, index, winner)),
    )
    harness.stable(dut.o, "a result stays")
    harness.cover(
        "a second packet ends", goes & item.last & (harness.count(3, goes & item.last, "n") == 1)
    )


BEST = Bug(
    "of equal logits the last class wins",
    "the best is the largest logit, the lowest class of several",
    (("(logit > best)", "(logit >= best)"),),
)
PROOFS = (
    Proof(
        "readout",
        Readout,
        partial(results, readout=PLAIN),
        50,
        (
            BEST,
            Bug(
                "the next group is shown before the last lane is sent",
                "a result stays",
                (("| (self.o.valid & self.o.ready)):", "| self.o.valid):"),),
            ),
        ),
        induction=PDR,
        quick=False,
    ),
    Proof(
        "snapshots",
        Snapshots,
        snapshots,
        24,
        (
            BEST,
            Bug(
                "a report is taken without room for its words",
                "no report is dropped",
                (("(free >= n_groups) & ", ""),),
            ),
        ),
        induction=PDR,
        quick=False,
    ),
)
