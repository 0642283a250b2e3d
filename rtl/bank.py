"""A memory whose words are loaded at run time."""

from __future__ import annotations

from itertools import product

from amaranth.hdl import Array as Choice
from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.hardware.memory import READ_PORTS, MemoryParams, address_width, read_copies
from golden.hardware.stages import BANK_LATENCY
from rtl.component import NEVER_COLLIDES, Component
from rtl.fixed import delay, shape_of
from rtl.layouts import Array
from rtl.loader import collect
from rtl.signatures import LoadBus, LoadBusPorts


class Bank(Component):
    """Hold one value a lane in every word. One or several ports read; the load bus writes.

    A deep memory lies in segments of `segment_words` words, of which a read enables one.

    Parameters
    ----------
    memory, number
        Its shape, and its number on the load bus.
    n_reads
        Read ports. A memory has two at the most; for more, all is held in several copies. The
        second port of a copy shares its address with the write port, as a block RAM of two ports
        does.
    registered
        What is read passes a register of its segment before it is chosen from the segments.
    holds
        That register holds unless its segment is read. It does anyway where there are several; one
        alone lies next to a multiplier (see `HardwareParams.hold_operands`).

    Members
    -------
    address, enable, words
        Of each read port: `address[port]`, a bit of `enable`, and `words[port][lane]`, valid the
        cycle after, or two cycles after if registered.
    load
        The load bus. Items for another memory, or beyond the last word, are ignored.

    Latency: 1 cycle, or 2 if registered; throughput: one word a cycle. A loaded word can be
    addressed three cycles after its last item was on the bus.
    """

    address: Array
    enable: Signal
    words: Array
    load: LoadBusPorts

    def __init__(
        self,
        memory: MemoryParams,
        number: int,
        n_reads: int = 1,
        *,
        registered: bool = False,
        holds: bool = False,
    ) -> None:
        self.memory, self.number, self.n_reads = memory, number, n_reads
        self.registered, self.holds = registered, holds
        word = data.ArrayLayout(shape_of(memory.element), memory.n_lanes)
        super().__init__(
            {
                "address": In(data.ArrayLayout(address_width(memory.depth), n_reads)),
                "enable": In(n_reads),
                "words": Out(data.ArrayLayout(word, n_reads)),
                "load": In(LoadBus()),
            }
        )

    @property
    def latency(self) -> int:
        return BANK_LATENCY + self.registered

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory, segments = self.memory, self.memory.segments
        address_bits = address_width(memory.depth)
        low_bits = address_width(min(memory.depth, memory.segment_words))
        writing, loaded, word = collect(m, self.load, self.number, memory)
        read_words: list[list[Value]] = [[] for _ in range(self.n_reads)]
        placed = product(enumerate(segments), enumerate(read_copies(self.n_reads)))
        for (index, depth), (copy, n_reads) in placed:
            name = "words" if len(segments) == 1 else f"words_{index}"
            suffix = f"_copy_{copy}" if copy else ""
            m.submodules[name + suffix] = words = Memory(
                shape=memory.width, depth=depth, init=[], attrs=NEVER_COLLIDES
            )
            write = words.write_port()
            bits = len(write.addr)
            m.d.comb += [
                write.en.eq(writing & (loaded[low_bits:] == index)),
                write.addr.eq(loaded[:bits]),
                write.data.eq(word),
            ]
            for port in range(copy * READ_PORTS, copy * READ_PORTS + n_reads):
                wanted = self.address[port]
                read = words.read_port()
                address: Value = wanted[:bits]
                if port % READ_PORTS == 1:
                    address = Signal.like(write.addr, name=f"shared_address_{index}{suffix}")
                    m.d.comb += [
                        address.eq(Mux(writing, loaded[:bits], wanted[:bits])),
                        write.addr.eq(address),
                    ]
                m.d.comb += [
                    read.en.eq(self.enable[port] & (wanted[low_bits:] == index)),
                    read.addr.eq(address),
                ]
                name_of_read, found = f"segment_{index}_of_{port}", read.data
                if self.registered:
                    moving = None
                    if self.holds or len(segments) > 1:
                        moving = [delay(m, read.en, 1, f"enabled_{index}_of_{port}")]
                    found = delay(m, found, 1, name_of_read, reset_less=True, moving=moving)
                read_words[port].append(found)
        for port, found in enumerate(read_words):
            chosen = Signal(address_bits - low_bits, name=f"chosen_{port}")
            with m.If(self.enable[port]):
                m.d.sync += chosen.eq(self.address[port][low_bits:])
            place = delay(m, chosen, self.registered, f"place_{port}")
            m.d.comb += self.words[port].eq(Choice(found)[place] if len(found) > 1 else found[0])
        return m
