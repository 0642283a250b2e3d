"""Proofs of what passes a stream on: a register, queues."""

from __future__ import annotations

from functools import partial

from amaranth.hdl import Const, Mux, Signal, Value

from formal.harness import Harness, Opened, implies
from formal.proof import Bug, Proof
from formal.scoreboard import Scoreboard
from rtl.host.stream_register import StreamRegister
from rtl.queue import Queue


def stream_register(harness: Harness) -> None:
    dut = harness.add(StreamRegister(4)).component
    harness.offer(dut.i)
    harness.accept(dut.o)
    board = Scoreboard(harness, 4)
    board.goes_in(dut.i.valid & dut.i.ready, (1, dut.i.payload))
    board.comes_out("items", dut.o.valid, dut.o.ready, dut.o.payload)
    board.holds(1, dut.o.valid, dut.o.payload)
    harness.stable(dut.o, "the output stays")
    harness.prove("never idle", implies(dut.o.ready, dut.i.ready))


def queue(harness: Harness, buffered: bool) -> None:
    depth = 3
    opened = harness.add(Queue(4, depth, buffered=buffered))
    dut = opened.component
    harness.offer(dut.i)
    harness.accept(dut.o)
    board = Scoreboard(harness, 4)
    board.goes_in(dut.i.valid & dut.i.ready, (1, dut.i.payload))
    board.comes_out("items", dut.o.valid, dut.o.ready, dut.o.payload)
    follow_queue(harness, board, opened, "items", depth, buffered)
    harness.stable(dut.o, "the output stays")


def follow_queue(
    harness: Harness,
    board: Scoreboard,
    opened: Opened,
    path: str,
    depth: int,
    buffered: bool,
    last: tuple[Value, Value] | None = None,
) -> None:
    """Claim that a queue of the standard library holds what is inside; but for the `last` item
    where it is still before the queue.
    """
    at = Signal(range(2 * depth), name="followed_at")
    consume, produce = (opened.signal(f"{path}.{name}") for name in ("consume", "produce"))
    size = depth - buffered
    stored = opened.word(f"{path}.storage", Mux(at >= size, at - size, at))
    first: Value = Const(0)  # the place of the first item of the memory
    level = opened.signal(f"{path}.level")
    if buffered:
        first = opened.signal(f"{path}.r_rdy")
        inner = opened.signal(f"{path}.inner_level")
        level = inner + first
        harness.invariant(first | (inner <= 1))
        stored = Mux(first & (board.place == 0), opened.signal(f"{path}.r_data"), stored)
    harness.m.d.comb += at.eq(consume + board.place - first)
    content = level
    if last is not None:
        before, item = last
        content = level + before
        stored = Mux(board.place == level, item, stored)
    board.holds(depth + (last is not None), content, stored)
    harness.invariant((consume < size) & (produce < size) & (level <= depth))
    behind = Mux(consume + (level - first) >= size, size, 0)
    harness.invariant(produce == consume + (level - first) - behind)


PROOFS = (
    Proof(
        "stream_register",
        StreamRegister,
        stream_register,
        induction=1,
        steps=8,
        bugs=(
            Bug(
                "an item is taken while another one waits",
                "none is lost",
                (("self.i.ready.eq(~self.o.valid | self.o.ready)", "self.i.ready.eq(1)"),),
            ),
        ),
    ),
    *(
        Proof(
            name,
            Queue,
            partial(queue, buffered=buffered),
            induction=1,
            steps=10,
            bugs=(
                Bug(
                    "an item is taken without room",
                    "none is lost",
                    (("self.i.ready.eq(items.w_rdy)", "self.i.ready.eq(1)"),),
                ),
                Bug(
                    "an item is sent twice",
                    "none is lost",
                    (
                        (
                            "items.r_en.eq(self.o.ready)",
                            "items.r_en.eq(self.o.ready & ~self.i.valid)",
                        ),
                    ),
                ),
            ),
        )
        for name, buffered in (("queue", False), ("queue_buffered", True))
    ),
)
