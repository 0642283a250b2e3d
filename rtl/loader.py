"""From the load stream to words for memories."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from golden.hardware import LOAD_WIDTH, CoreParams, address_width
from rtl.component import Component
from rtl.streams import LOAD_BUS, LOAD_HEADER, LOAD_ITEM


def collect(
    m: Module, load: Any, number: int, depth: int, width: int
) -> tuple[Signal, Signal, Value]:
    """Collect the words of memory `number` from the load bus: return whether a word within `depth`
    is complete, the cycle after its last item, its address, and its `width` bits.
    """
    complete = Signal()
    address = Signal(address_width(depth), reset_less=True)
    word = Signal(-(-width // LOAD_WIDTH) * LOAD_WIDTH, reset_less=True)
    ours = load.valid & (load.memory == number)
    m.d.sync += [
        complete.eq(ours & load.last & (load.address < depth)),
        address.eq(load.address),
    ]
    for index in range(len(word) // LOAD_WIDTH):
        with m.If(ours & (load.index == index)):
            m.d.sync += word.word_select(index, LOAD_WIDTH).eq(load.data)
    return complete, address, word[:width]


class Loader(Component):
    """Number the items of the words of a memory, and the words: each memory collects its own.

    An item with `first` set is a header: the memory's number and the address of the first word. The
    items after it are the words, the low part first; addresses count up. A header drops a word that
    is not complete. Never stalls. Load only while no sequence runs: what a memory shows while it is
    written is not defined.

    Parameters
    ----------
    core
        Its memories, in order, have the numbers 0, 1, ...

    Members
    -------
    i
        The load stream.
    o
        The load bus, valid for one cycle an item.

    Latency: 1 cycle; throughput: one item a cycle.
    """

    def __init__(self, core: CoreParams) -> None:
        self.core = core
        super().__init__({"i": In(stream.Signature(LOAD_ITEM)), "o": Out(LOAD_BUS)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        items = [memory.items for memory in self.core.memories.values()]
        last_items = Array([count - 1 for count in items])
        item = Signal(range(max(items)))
        following = Signal.like(self.o.address)
        fields = LOAD_HEADER(self.i.payload.data)

        m.d.comb += self.i.ready.eq(1)
        m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.payload.first):
            m.d.sync += [
                self.o.memory.eq(fields.memory),
                following.eq(fields.address),
                item.eq(0),
            ]
        with m.Elif(self.i.valid):
            last = item == last_items[self.o.memory]
            m.d.sync += [
                self.o.valid.eq(1),
                self.o.address.eq(following),
                self.o.index.eq(item),
                self.o.last.eq(last),
                self.o.data.eq(self.i.payload.data),
                item.eq(Mux(last, 0, item + 1)),
                following.eq(following + last),
            ]
        return m
