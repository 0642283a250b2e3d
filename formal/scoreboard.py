"""Order, loss and duplication: an arbitrary item that goes in is the one that comes out in its
place.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Mux, Signal, Value

from formal.harness import Harness, implies

WIDTH = 6  # of the counters: more items than can wait anywhere


class Scoreboard:
    """Follow the item of an arbitrary number, modulo 2 ** WIDTH, through a component.

    Attributes
    ----------
    number
        Of the item that is followed: an arbitrary constant.
    sent, received
        The items that have gone in, and out.
    kept
        The item, once it has gone in.
    waits
        It has gone in and not out.
    """

    def __init__(self, harness: Harness, shape: Any) -> None:
        self._harness = harness
        self.number = harness.constant(WIDTH, "number")
        self.kept = Signal(len(Value.cast(Signal(shape))), name="kept")
        self.sent = Signal(WIDTH, name="sent")
        self.received = Signal(WIDTH, name="received")

    @property
    def inside(self) -> Value:
        """The items that are inside."""
        return (self.sent - self.received)[:WIDTH]

    @property
    def place(self) -> Value:
        """How many items go out before the one that is followed, if it `waits`."""
        return (self.number - self.received)[:WIDTH]

    @property
    def waits(self) -> Value:
        return self.place < self.inside

    def goes_in(self, transfer: Any, *items: tuple[Any, Any]) -> None:
        """Say what goes in in this cycle: one item after another, each if its condition is met."""
        m, count = self._harness.m, Const(0)
        for condition, item in items:
            taken = Value.cast(transfer) & condition
            with m.If(taken & ((self.sent + count)[:WIDTH] == self.number)):
                m.d.sync += self.kept.eq(item)
            count = count + taken
        m.d.sync += self.sent.eq(self.sent + count)

    def comes_out(self, name: str, valid: Any, ready: Any, item: Any) -> None:
        """Claim that what is offered is what has gone in in its place, and that nothing is
        offered when nothing is inside.
        """
        harness = self._harness
        transfer = Value.cast(valid) & ready
        harness.m.d.sync += self.received.eq(self.received + transfer)
        due = self.received == self.number
        harness.prove(f"{name}: none is made up", implies(valid, self.inside != 0))
        harness.prove(
            f"{name}: each in its place",
            implies(Value.cast(valid) & due, Value.cast(item) == self.kept),
        )
        harness.cover(f"{name}: the item followed comes out", transfer & due & (self.sent > 1))

    def holds(self, capacity: int, content: Value, stored: Value) -> None:
        """Claim that nothing is lost: the component holds `content` items, all that are inside,
        `capacity` at the most; where the item that is followed waits, it is `stored`.
        """
        harness = self._harness
        harness.prove("none is lost", (self.inside == content) & (content <= capacity))
        harness.invariant(Mux(self.waits, stored == self.kept, 1))
