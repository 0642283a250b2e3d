"""From a last layer's blocks to timesteps, where its spikes leave the core."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.hardware.memory import address_width
from golden.hardware.part import EventKind
from golden.hardware.spike_output import SpikeOutputHardware
from rtl.claims import claim_stable
from rtl.component import Component
from rtl.streams import event_layout


class SpikeOutput(Component):
    """Send the spikes of each timestep of a block, in the order in which they came, then its end;
    the end of a sequence after those of its timesteps.

    While a block is sent, the next one is taken; the one after that waits. Its consumer may stall
    it: nothing is dropped.

    Parameters
    ----------
    output
        Its neurons and timesteps.

    Members
    -------
    i
        By blocks: an event has a bit for each timestep in which its neuron spikes, an end of block
        one for each timestep of the block.
    o
        By timesteps, as they enter a core: an event's payload is 1.

    Latency: 3 cycles from the end of a block to its first item; throughput: one item a cycle.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, output: SpikeOutputHardware) -> None:
        self.output = output
        n_neurons = output.n_neurons
        super().__init__(
            {
                "i": In(stream.Signature(event_layout(n_neurons, output.block))),
                "o": Out(stream.Signature(event_layout(n_neurons, 1))),
            }
        )

    @property
    def latency(self) -> int:
        return self.output.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        block, n_lists = self.output.block, self.output.n_lists
        address = address_width(self.output.n_neurons)
        assert n_lists == 2
        counts = [
            [Signal(range(self.output.n_neurons + 1), name=f"count_{b}_{t}") for t in range(block)]
            for b in range(n_lists)
        ]
        lengths = [Signal(block, name=f"timesteps_{b}") for b in range(n_lists)]
        filled, sent = Signal(), Signal()  # the lists that are filled, and sent
        waiting = Signal(range(n_lists + 1))  # lists that are complete
        advance = ~self.o.valid | self.o.ready

        # In: an address goes into the list of each timestep in which it fires.
        item = self.i.payload
        transfer = self.i.valid & self.i.ready
        closes = transfer & (item.kind != EventKind.EVENT)
        m.d.comb += self.i.ready.eq(waiting != n_lists)
        memories = []
        for t, shape in enumerate(self.output.buffers.values()):
            m.submodules[shape.name] = memory = Memory(
                shape=shape.width, depth=shape.depth, init=[]
            )
            memories.append(memory)
            write = memory.write_port()
            place = Signal(range(self.output.n_neurons + 1), name=f"place_{t}")
            fires = transfer & (item.kind == EventKind.EVENT) & item.payload[t]
            m.d.comb += [
                place.eq(Array(of[t] for of in counts)[filled]),
                write.en.eq(fires),
                write.addr.eq(Cat(place[:address], filled)),
                write.data.eq(item.address),
            ]
            for b in range(n_lists):
                with m.If(fires & (filled == b)):
                    m.d.sync += counts[b][t].eq(place + 1)
        with m.If(closes):
            m.d.sync += filled.eq(~filled)
            for b in range(n_lists):
                with m.If(filled == b):
                    ends_block = item.kind == EventKind.END_TIMESTEP
                    m.d.sync += lengths[b].eq(Mux(ends_block, item.payload, 0))

        # Out, cycle 0: an item is chosen and its address read. 1: the address. 2: the register `o`.
        timestep = Signal(range(block))
        index = Signal(range(self.output.n_neurons + 1))  # in the timestep's list
        length = Signal(block)  # of the list that is sent, from its timestep on; 0: a sequence ends
        left = Signal()  # events of the timestep
        m.d.comb += [
            length.eq(Array(lengths)[sent] >> timestep),
            left.eq(index != Array(Array(of) for of in counts)[sent][timestep]),
        ]
        is_event = length.any() & left
        fetched = Signal(data.StructLayout({"valid": 1, "kind": 2, "timestep": timestep.shape()}))
        chosen = waiting.any()
        released = chosen & advance & ~is_event & ~length[1:].any()
        read = []
        for memory in memories:
            port = memory.read_port()
            m.d.comb += [port.addr.eq(Cat(index[:address], sent)), port.en.eq(advance)]
            read.append(port.data)
        m.d.sync += waiting.eq(waiting + closes - released)
        with m.If(advance):
            m.d.sync += [
                fetched.valid.eq(chosen),
                fetched.timestep.eq(timestep),
                fetched.kind.eq(
                    Mux(is_event, EventKind.EVENT,
                        Mux(length.any(), EventKind.END_TIMESTEP, EventKind.END_SEQUENCE))
                ),
                self.o.valid.eq(fetched.valid),
                self.o.payload.kind.eq(fetched.kind),
                self.o.payload.payload.eq(fetched.kind == EventKind.EVENT),
                self.o.payload.address.eq(
                    Mux(fetched.kind == EventKind.EVENT, Array(read)[fetched.timestep], 0)
                ),
            ]  # fmt: skip
            with m.If(chosen):
                m.d.sync += [
                    index.eq(Mux(is_event, index + 1, 0)),
                    timestep.eq(Mux(is_event, timestep, timestep + 1)),
                ]
        with m.If(released):
            m.d.sync += [sent.eq(~sent), timestep.eq(0)]
            for b in range(n_lists):
                with m.If(sent == b):
                    m.d.sync += [count.eq(0) for count in counts[b]]
        claim_stable(m, platform, "o", self.o)
        return m
