"""Proofs of the AXI4-Streams: each beat expands to exactly its items, each result to its words."""

from __future__ import annotations

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Shape, Signal, Value

from formal.harness import Harness, implies
from formal.proof import Bug, Proof
from formal.scoreboard import Scoreboard
from formal.streams import follow_queue
from golden.hardware.part import EventKind
from golden.hardware.stages import BEAT_QUEUE_DEPTH
from golden.registers import EVENT_WORD, REPORTING_EVENT_WORD
from rtl.host.axi_events import AxiEvents
from rtl.host.axi_results import AxiResults

N_INPUTS = 3


def axi_events(harness: Harness, payload: Shape, reports: bool) -> None:
    m = harness.m
    opened = harness.add(AxiEvents(N_INPUTS, payload, reports=reports))
    dut = opened.component
    harness.offer(dut.i)
    harness.accept(dut.o)
    taken = dut.o.valid & dut.o.ready
    popped = dut.beats.o.valid & dut.beats.o.ready
    board = Scoreboard(harness, dut.i.payload.shape())
    board.goes_in(dut.i.valid & dut.i.ready, (1, dut.i.payload))
    board.comes_out("beats", dut.beats.o.valid, dut.beats.o.ready, dut.beats.o.payload)
    queued = opened.signal("beats.items.level")
    follow_queue(harness, board, opened, "beats.items", BEAT_QUEUE_DEPTH, buffered=False)
    # The items of the beat that is followed, from what went in.
    beat = dut.beats.o.payload.shape()(board.kept)
    due = (queued != 0) & (board.place == 0)
    place = Signal(3, name="place")  # items of the beat that have gone out
    with m.If(popped):
        m.d.sync += place.eq(0)
    with m.Elif(taken):
        m.d.sync += place.eq(place + 1)
    for followed, given in ((due, beat), (queued != 0, dut.beats.o.payload)):
        kinds = _kinds(given, payload, reports)
        has = Cat(present for present, _ in kinds)
        total = sum((present for present, _ in kinds), Const(0))
        item: Value = Const(0)
        for n, (present, kind) in enumerate(kinds):
            before = sum((other for other, _ in kinds[:n]), Const(0))
            item = Mux(present & (place == before), kind, item)
        done = opened.signal("done")
        mask = Cat(
            present & (sum((other for other, _ in kinds[:n]), Const(0)) < place)
            for n, (present, _) in enumerate(kinds)
        )
        harness.invariant(implies(followed, (done == mask) & ((place < total) | (place == 0))))
        harness.invariant(implies(queued == 0, (done == 0) & (place == 0)))
        if followed is due:
            prove = partial(_prove_items, harness, dut, due)
            prove(place, total, item, taken, popped, given)
    harness.stable(dut.o, "the items stay")
    harness.cover("a beat of all its items", popped & due & taken & (total == len(has)))
    harness.cover("a beat of nothing", popped & due & ~dut.o.valid)


def _prove_items(
    harness: Harness,
    dut: AxiEvents,
    due: Value,
    place: Value,
    total: Value,
    item: Value,
    taken: Value,
    popped: Value,
    given: Any,
) -> None:
    harness.prove(
        "an item is the beat's next one",
        implies(due & dut.o.valid, (place < total) & (dut.o.payload.kind == item)),
    )
    word = {bits.name: given.data[bits.low :][: bits.width] for bits in EVENT_WORD[:2]}
    sent = dut.o.payload
    uncut = (sent.address == word["ADDRESS"]) & (
        Value.cast(sent.payload)[:] == word["PAYLOAD"][: len(Value.cast(sent.payload))]
    )
    harness.prove(
        "an event is uncut", implies(due & dut.o.valid & (sent.kind == EventKind.EVENT), uncut)
    )
    harness.prove(
        "a beat goes with its last item", implies(due, popped == ((place + taken) == total))
    )


def _kinds(beat: Any, payload: Shape, reports: bool) -> list[tuple[Value, Value]]:
    """Return the kinds of item that a beat may have, in their order, and whether it has them, as
    the documentation of the words says it.
    """
    words = REPORTING_EVENT_WORD if reports else EVENT_WORD
    word = {bits.name: beat.data[bits.low :][: bits.width] for bits in words}
    value = word["PAYLOAD"]
    low, high = (
        (-(1 << payload.width - 1), 1 << payload.width - 1)
        if payload.signed
        else (0, 1 << payload.width)
    )
    signed = value.as_signed() if payload.signed else value
    holds = (signed >= low) & (signed < high)
    addresses = 1 << (N_INPUTS - 1).bit_length()
    fits = (word["ADDRESS"] < addresses) & holds
    report = word["REPORT"] if reports else Const(0)
    ends = word["END_TIMESTEP"] | (beat.last & ~report)
    kinds = [
        (value != 0, Mux(fits, Const(EventKind.EVENT, 3), Const(EventKind.INVALID, 3))),
        (ends, Const(EventKind.END_TIMESTEP, 3)),
        (report, Const(EventKind.REPORT, 3)),
        (word["END_SEQUENCE"] | beat.user, Const(EventKind.END_SEQUENCE, 3)),
    ]
    return kinds if reports else [*kinds[:2], kinds[3]]


def axi_results(harness: Harness) -> None:
    opened = harness.add(AxiResults(3, 4))
    dut = opened.component
    harness.offer(dut.i)
    harness.accept(dut.o)
    result = dut.i.payload
    word = dut.o.payload
    extended = Signal(len(word.data), name="extended")
    harness.m.d.comb += extended.eq(result.logit.as_signed())
    board = Scoreboard(harness, word.shape())
    board.goes_in(
        dut.i.valid & dut.i.ready,
        (1, Cat(extended, 0)),
        (result.last, Cat(result.best, Const(0, len(word.data) - len(result.best)), 1)),
    )
    board.comes_out("words", dut.o.valid, dut.o.ready, word)
    pending, best = opened.signal("has_class"), opened.signal("best")
    follow_queue(
        harness,
        board,
        opened,
        "beats.items",
        2,
        buffered=False,
        last=(pending, Cat(best, Const(0, len(word.data) - len(best)), 1)),
    )
    harness.stable(dut.o, "the words stay")
    harness.cover("a class leaves", dut.o.valid & dut.o.ready & word.last)


PROOFS = (
    *(
        Proof(
            name,
            AxiEvents,
            partial(axi_events, payload=payload, reports=reports),
            induction=1,
            steps=10,
            bugs=(
                Bug(
                    "an item of a beat is sent again",
                    "an item is the beat's next one",
                    (("done | (left & ~following)", "done | following"),),
                ),
                Bug(
                    "a beat goes with its first item",
                    "a beat goes with its last item",
                    (("~following.any() & (self.o.ready", "(self.o.ready"),),
                ),
                Bug(
                    "an address that is too large is cut",
                    "an item is the beat's next one",
                    (("fits = (address >> len(item.address) == 0) & ", "fits = "),),
                ),
            ),
            quick=name == "axi_events",
        )
        for name, payload, reports in (
            ("axi_events", Shape(1), False),
            ("axi_events_signed", Shape(3, signed=True), False),
            ("axi_events_reports", Shape(1), True),
        )
    ),
    Proof(
        "axi_results",
        AxiResults,
        axi_results,
        induction=1,
        steps=10,
        bugs=(
            Bug(
                "a logit loses its sign",
                "words: each in its place",
                (("beat.data.eq(self.i.payload.logit)", "beat.data.eq(self.i.payload.logit[:])"),),
            ),
            Bug(
                "a result is taken while the class waits",
                "none is lost",
                (("beats.i.ready & ~has_class", "beats.i.ready"),),
            ),
        ),
    ),
)
