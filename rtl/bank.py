"""A memory whose words are loaded at run time."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.hardware.memory import SEGMENT_DEPTH, MemoryParams, address_width
from rtl.component import NEVER_COLLIDES, Component
from rtl.fixed import delay
from rtl.loader import collect
from rtl.streams import LOAD_BUS


class Bank(Component):
    """Hold one value a lane in every word; read ports, and one write port that belongs to the load
    bus.

    A deep memory lies in segments of `SEGMENT_DEPTH` words, of which a read enables one.

    Parameters
    ----------
    memory, number
        Its shape, and its number on the load bus.
    n_reads
        Read ports. The last of two shares its address with the write port, as a block RAM of two
        ports does.
    registered
        What is read passes a register of its segment before it is chosen from the segments.

    Members
    -------
    address, enable, data
        The words read, those of the first port lowest: `data` is valid the cycle after `address`
        and `enable`, or two cycles after if registered.
    load
        The load bus. Items for another memory, or beyond the last word, are ignored.

    Latency: 1 cycle, or 2 if registered; throughput: one word a cycle. A loaded word can be
    addressed three cycles after its last item was on the bus.
    """

    def __init__(
        self,
        memory: MemoryParams,
        number: int,
        n_reads: int = 1,
        *,
        registered: bool = False,
    ) -> None:
        self.memory, self.number, self.n_reads = memory, number, n_reads
        self.registered = registered
        super().__init__(
            {
                "address": In(n_reads * address_width(memory.depth)),
                "enable": In(n_reads),
                "data": Out(n_reads * memory.width),
                "load": In(LOAD_BUS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory, segments = self.memory, self.memory.segments
        width, address_bits = memory.width, address_width(memory.depth)
        low_bits = address_width(min(memory.depth, SEGMENT_DEPTH))
        writing, loaded, word = collect(m, self.load, self.number, memory)
        addresses = [self.address.word_select(port, address_bits) for port in range(self.n_reads)]
        read_words: list[list[Value]] = [[] for _ in addresses]
        for index, depth in enumerate(segments):
            name = "words" if len(segments) == 1 else f"words_{index}"
            m.submodules[name] = words = Memory(
                shape=width, depth=depth, init=[], attrs=NEVER_COLLIDES
            )
            write = words.write_port()
            bits = len(write.addr)
            m.d.comb += [
                write.en.eq(writing & (loaded[low_bits:] == index)),
                write.addr.eq(loaded[:bits]),
                write.data.eq(word),
            ]
            for port, wanted in enumerate(addresses):
                read = words.read_port()
                address: Value = wanted[:bits]
                if port == 1:
                    address = Signal.like(write.addr, name=f"shared_address_{index}")
                    m.d.comb += [
                        address.eq(Mux(writing, loaded[:bits], wanted[:bits])),
                        write.addr.eq(address),
                    ]
                m.d.comb += [
                    read.en.eq(self.enable[port] & (wanted[low_bits:] == index)),
                    read.addr.eq(address),
                ]
                name = f"segment_{index}_of_{port}"
                read_words[port].append(delay(m, read.data, self.registered, name, reset_less=True))
        for port, (wanted, found) in enumerate(zip(addresses, read_words, strict=True)):
            chosen = Signal(address_bits - low_bits, name=f"chosen_{port}")
            with m.If(self.enable[port]):
                m.d.sync += chosen.eq(wanted[low_bits:])
            place = delay(m, chosen, self.registered, f"place_{port}")
            data = Array(found)[place] if len(found) > 1 else found[0]
            m.d.comb += self.data.word_select(port, width).eq(data)
        return m
