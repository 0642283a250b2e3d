"""From the load stream to words for memories."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from golden.hardware.core import CoreParams
from golden.hardware.memory import LOAD_WIDTH, MemoryParams, address_width
from golden.hardware.stages import COLLECT_LATENCY
from rtl.component import Component
from rtl.fixed import delay, stages
from rtl.signatures import LoadBus, LoadBusPorts
from rtl.streams import LOAD_HEADER, LOAD_ITEM


def collect(
    m: Module, load: LoadBusPorts, number: int, memory: MemoryParams
) -> tuple[Signal, Signal, Value]:
    """Collect the words of memory `number` from the load bus.

    Return whether a word of the memory is complete, its address, and its bits: `COLLECT_LATENCY`
    cycles after the word's last item. One cycle leads from the bus to a register that says which
    item it is, one from there to the word: a wide word lies far from the loader.
    """
    n_items = memory.items
    ours = load.valid & (load.memory == number)
    items = delay(
        m, Cat(ours & (load.index == index) for index in range(n_items)), 1, "loaded_item"
    )
    coming = stages(m, load.valid, COLLECT_LATENCY - 1, "coming")
    item = delay(m, load.data, 1, "loaded_data", reset_less=True, moving=coming)
    word = Signal(n_items * LOAD_WIDTH, reset_less=True, name="loaded_word")
    for index in range(n_items):
        with m.If(items[index]):
            m.d.sync += word.word_select(index, LOAD_WIDTH).eq(item)
    ends = ours & load.last & (load.address < memory.depth)
    complete = delay(m, ends, COLLECT_LATENCY, "loaded")
    address: Any = load.address[: address_width(memory.depth)]
    address = delay(m, address, COLLECT_LATENCY, "loaded_address", reset_less=True, moving=coming)
    return complete, address, word[: memory.width]


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

    Latency: 1 cycle; throughput: one item a cycle. A word can be read from the fourth cycle after
    its last item was taken: no event, and no reset, before that.
    """

    i: stream.Interface
    o: LoadBusPorts

    def __init__(self, core: CoreParams) -> None:
        self.core = core
        super().__init__({"i": In(stream.Signature(LOAD_ITEM)), "o": Out(LoadBus())})

    @property
    def latency(self) -> int:
        return 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        items = [memory.items for memory in self.core.memories.values()]
        last_items = Array([count - 1 for count in items])
        item = Signal(range(max(items)))
        last_item = Signal.like(item)
        following = Signal.like(self.o.address)
        fields = LOAD_HEADER(self.i.payload.data)

        m.d.comb += self.i.ready.eq(1)
        m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.payload.first):
            m.d.sync += [
                self.o.memory.eq(fields.memory),
                following.eq(fields.address),
                last_item.eq(last_items[fields.memory]),
                item.eq(0),
            ]
        with m.Elif(self.i.valid):
            last = item == last_item
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
