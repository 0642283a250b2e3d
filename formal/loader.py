"""Proofs of the loader: every item has its place in its word, every word its address."""

from __future__ import annotations

from amaranth.hdl import Array, Signal

from formal.harness import Harness, implies
from formal.proof import Bug, Proof
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.params import LayerParams, NetworkParams
from golden.readout_params import ReadoutParams
from rtl.loader import Loader
from rtl.streams import LOAD_HEADER

NETWORK = NetworkParams("proved", (LayerParams(2, 3, 1),), ReadoutParams(3, 2))
CORE = CoreParams(NETWORK, HardwareParams(5))  # with words of one item, and of several


def loader(harness: Harness) -> None:
    m = harness.m
    opened = harness.add(Loader(CORE))
    dut = opened.component
    harness.offer(dut.i)
    sizes = [memory.items for memory in CORE.memories.values()]
    assert max(sizes) > 1
    header = LOAD_HEADER(dut.i.payload.data)
    taken = dut.i.valid & dut.i.ready
    first, item = taken & dut.i.payload.first, taken & ~dut.i.payload.first
    harness.assume(implies(dut.i.valid & dut.i.payload.first, header.memory < len(sizes)))
    # The last header, and the items after it.
    memory, base = (
        Signal.like(header.memory, name="memory"),
        Signal.like(header.address, name="base"),
    )
    n_items, begun = Signal(len(base), name="n_items"), Signal(name="begun")
    with m.If(first):
        m.d.sync += [memory.eq(header.memory), base.eq(header.address), n_items.eq(0), begun.eq(1)]
    with m.Elif(item):
        m.d.sync += n_items.eq(n_items + 1)
    harness.assume(implies(item, begun))
    size = Signal(8, name="size")
    m.d.comb += size.eq(Array(sizes)[memory])
    due = harness.past(item)
    width = len(base)
    number = (n_items - 1)[:width]  # of the item on the bus
    word = (dut.o.address - base)[:width]
    harness.prove(
        "every item is on the bus a cycle later, once",
        (dut.o.valid == due) & implies(due, dut.o.data == harness.past(dut.i.payload.data)),
    )
    harness.prove(
        "an item has its place in its word",
        implies(due, (dut.o.index < size) & (dut.o.last == (dut.o.index == size - 1))),
    )
    harness.prove(
        "a word has its address",
        implies(due, (dut.o.memory == memory) & ((word * size + dut.o.index)[:width] == number)),
    )
    harness.prove("never stalls", dut.i.ready)
    place, following = opened.signal("item"), opened.signal("following")
    last_item = opened.signal("last_item")
    ahead = (following - base)[:width]
    harness.invariant(implies(begun, (last_item == size - 1) & (place < size)))
    harness.invariant(implies(begun, (memory < len(sizes)) & (dut.o.memory == memory)))
    harness.invariant(implies(begun, (ahead * size + place)[:width] == n_items))
    harness.invariant(implies(due, begun))
    harness.cover("a second word of several items", due & (size > 1) & dut.o.last & (word == 1))
    harness.cover("a header in the middle of a word", first & begun & (place == 1))


PROOFS = (
    Proof(
        "loader",
        Loader,
        loader,
        12,
        (
            Bug(
                "a header does not drop the word that is not complete",
                "an item has its place in its word",
                (("                item.eq(0),\n", ""),),
            ),
            Bug(
                "addresses count items, not words",
                "a word has its address",
                (("following.eq(following + last)", "following.eq(following + 1)"),),
            ),
        ),
        induction=1,
    ),
)
