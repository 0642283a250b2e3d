"""From the load stream to words for memories."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from golden.hardware import LOAD_WIDTH, CoreParams
from rtl.component import Component
from rtl.streams import LOAD_HEADER, LOAD_ITEM, LoadBus


def load_bus_width(core: CoreParams) -> int:
    """Return the width of the widest memory, in whole items of the load stream."""
    widest = max(memory.width for memory in core.memories.values())
    return -(-widest // LOAD_WIDTH) * LOAD_WIDTH


class Loader(Component):
    """Assemble the words of a memory from items of `LOAD_WIDTH` bits and write them one after
    another.

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
        The load bus, valid for one cycle a word.

    Latency: 1 cycle from a word's last item; throughput: one item a cycle.
    """

    def __init__(self, core: CoreParams) -> None:
        self.core = core
        super().__init__(
            {"i": In(stream.Signature(LOAD_ITEM)), "o": Out(LoadBus(load_bus_width(core)))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        items = [-(-memory.width // LOAD_WIDTH) for memory in self.core.memories.values()]
        last_items = Array([count - 1 for count in items])
        header = self.i.payload.data
        item = Signal(range(max(items)))
        following = Signal.like(self.o.address)
        parts = self.o.data

        m.d.comb += self.i.ready.eq(1)
        m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid):
            with m.If(self.i.payload.first):
                fields = LOAD_HEADER(header)
                m.d.sync += [
                    self.o.memory.eq(fields.memory),
                    following.eq(fields.address),
                    item.eq(0),
                ]
            with m.Else():
                m.d.sync += parts.word_select(item, LOAD_WIDTH).eq(self.i.payload.data)
                with m.If(item == last_items[self.o.memory]):
                    m.d.sync += [
                        item.eq(0),
                        self.o.valid.eq(1),
                        self.o.address.eq(following),
                        following.eq(following + 1),
                    ]
                with m.Else():
                    m.d.sync += item.eq(item + 1)
        return m
