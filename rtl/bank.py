"""A memory whose words are loaded at run time."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.params import MemoryParams, address_width
from rtl.component import Component
from rtl.streams import LoadBus


class Bank(Component):
    """Hold one value a lane in every word; one read port, one write port that belongs to the load
    bus.

    Parameters
    ----------
    memory, number
        Its shape, and its number on the load bus.
    load_width
        Width of the load bus.

    Members
    -------
    address, data
        The word read: `data` is valid the cycle after `address`.
    load
        The load bus. A word loaded for another memory, or beyond the last word, is ignored.

    Latency: 1 cycle; throughput: one word a cycle. A loaded word can be addressed two cycles after
    it was on the bus.
    """

    def __init__(self, memory: MemoryParams, number: int, load_width: int) -> None:
        self.memory, self.number = memory, number
        super().__init__(
            {
                "address": In(address_width(memory.depth)),
                "data": Out(memory.width),
                "load": In(LoadBus(load_width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.words = words = Memory(
            shape=self.memory.width, depth=self.memory.depth, init=[]
        )
        write, read = words.write_port(), words.read_port()
        selected = (
            self.load.valid
            & (self.load.memory == self.number)
            & (self.load.address < self.memory.depth)
        )
        m.d.sync += [
            write.en.eq(selected),
            write.addr.eq(self.load.address),
            write.data.eq(self.load.data),
        ]
        m.d.comb += [read.en.eq(1), read.addr.eq(self.address), self.data.eq(read.data)]
        return m
