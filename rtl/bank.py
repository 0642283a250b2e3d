"""A memory whose words are loaded at run time."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.hardware import MemoryParams, address_width
from rtl.component import NEVER_COLLIDES, Component
from rtl.streams import LoadBus


class Bank(Component):
    """Hold one value a lane in every word; read ports, and one write port that belongs to the load
    bus.

    Parameters
    ----------
    memory, number
        Its shape, and its number on the load bus.
    load_width
        Width of the load bus.
    n_reads
        Read ports. The last of two shares its address with the write port, as a block RAM of two
        ports does.

    Members
    -------
    address, enable, data
        The words read, those of the first port lowest: `data` is valid the cycle after `address`
        and `enable`.
    load
        The load bus. A word loaded for another memory, or beyond the last word, is ignored.

    Latency: 1 cycle; throughput: one word a cycle. A loaded word can be addressed two cycles after
    it was on the bus.
    """

    def __init__(
        self, memory: MemoryParams, number: int, load_width: int, n_reads: int = 1
    ) -> None:
        self.memory, self.number, self.n_reads = memory, number, n_reads
        super().__init__(
            {
                "address": In(n_reads * address_width(memory.depth)),
                "enable": In(n_reads),
                "data": Out(n_reads * memory.width),
                "load": In(LoadBus(load_width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.words = words = Memory(
            shape=self.memory.width,
            depth=self.memory.depth,
            init=[],
            attrs=NEVER_COLLIDES,
        )
        write = words.write_port()
        selected = (
            self.load.valid
            & (self.load.memory == self.number)
            & (self.load.address < self.memory.depth)
        )
        loaded = Signal.like(write.addr)
        m.d.sync += [
            write.en.eq(selected),
            loaded.eq(self.load.address),
            write.data.eq(self.load.data),
        ]
        m.d.comb += write.addr.eq(loaded)
        width, address_bits = self.memory.width, address_width(self.memory.depth)
        for port in range(self.n_reads):
            read = words.read_port()
            address = self.address.word_select(port, address_bits)
            if port == 1:
                address = Signal.like(write.addr, name="shared_address")
                wanted = self.address.word_select(port, address_bits)
                m.d.comb += [address.eq(Mux(write.en, loaded, wanted)), write.addr.eq(address)]
            m.d.comb += [
                read.en.eq(self.enable[port]),
                read.addr.eq(address),
                self.data.word_select(port, width).eq(read.data),
            ]
        return m
