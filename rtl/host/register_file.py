"""The registers of the standard top."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from golden.hardware.core import CoreParams
from golden.hardware.counters import COUNTER_WIDTH
from golden.registers import BUS_WIDTH, WORD_BYTES, register_map
from rtl.component import Component
from rtl.host.buses import RegisterBus, RegisterBusPorts
from rtl.streams import LOAD_ITEM


class RegisterFile(Component):
    """Answer requests for the registers of `golden.registers.register_map`.

    A write to LOAD_HEADER or LOAD_DATA is an item of the core's load stream and waits until it is
    taken: none is dropped. A read of an address where there is no register to be read returns 0 and
    an error; a write to one where there is none to be written does nothing but report an error. A
    counter is as wide as a word, so that it is read at once.

    Parameters
    ----------
    core
        Its registers, memories and counters.

    Members
    -------
    bus
        The requests.
    load
        The core's load stream.
    counter, counter_value
        As `i_counter` and `o_counter` of the core.
    clear
        Clears counters and error flags, for a cycle.
    clear_errors
        Clears the error flags whose bits are 1, for a cycle.
    errors
        The core's error flags.
    busy
        A sequence has begun, or its result is not yet taken.

    Latency: a write in the cycle of its request, but for what the load stream waits; a read 2
    cycles after. Throughput: a write a cycle, a read every 3 cycles.
    """

    bus: RegisterBusPorts
    load: stream.Interface
    counter: Signal
    counter_value: Signal
    clear: Signal
    clear_errors: Signal
    errors: Signal
    busy: Signal

    def __init__(self, core: CoreParams) -> None:
        self.registers = register_map(core)
        super().__init__(
            {
                "bus": In(RegisterBus()),
                "load": Out(stream.Signature(LOAD_ITEM)),
                "counter": Out(core.counter_bits),
                "counter_value": In(COUNTER_WIDTH),
                "clear": Out(1),
                "clear_errors": Out(len(core.errors)),
                "errors": In(len(core.errors)),
                "busy": In(1),
            }
        )

    @property
    def latency(self) -> int:
        """Of a read."""
        return 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus, registers = self.bus, self.registers
        shift = (WORD_BYTES - 1).bit_length()

        def is_at(address: Signal, name: str) -> Value:
            return address[shift:] == registers[name].offset >> shift

        to_header = is_at(bus.write_address, "LOAD_HEADER")
        to_load = to_header | is_at(bus.write_address, "LOAD_DATA")
        to_control = is_at(bus.write_address, "CONTROL")
        (clear,) = registers["CONTROL"].bits
        flags = registers["ERROR"].words
        to_flags = [bus.write_address[shift:] == offset >> shift for offset in flags]
        cleared = (Mux(bus.write_valid & here, bus.write_data, 0) for here in to_flags)
        m.d.comb += [
            self.load.valid.eq(bus.write_valid & to_load),
            self.load.payload.first.eq(to_header),
            self.load.payload.data.eq(bus.write_data),
            self.clear.eq(bus.write_valid & to_control & bus.write_data[clear.low]),
            bus.write_ready.eq(self.load.ready | ~to_load),
            self.clear_errors.eq(Cat(cleared)),
            bus.write_error.eq(~(to_load | to_control | Cat(to_flags).any())),
        ]

        # A counter's number is registered, as its way to all counters is long; the value is there
        # the cycle after that. Every read waits for it.
        window = registers["COUNTER"]
        number = (bus.read_address - window.offset)[shift:]
        busy, error = registers["STATUS"].bits
        answers: dict[int, Any] = {
            r.offset: r.value for r in registers.values() if r.value is not None
        }
        answers[registers["STATUS"].offset] = (self.busy << busy.low) | (
            self.errors.any() << error.low
        )
        for index, offset in enumerate(registers["ERROR"].words):
            answers[offset] = self.errors[index * BUS_WIDTH : (index + 1) * BUS_WIDTH]
        looking, looked = Signal(), Signal()
        m.d.sync += [
            looking.eq(bus.read_valid & ~(looking | looked)),
            looked.eq(looking),
            self.counter.eq(number),
        ]
        m.d.comb += [bus.read_ready.eq(looked), bus.read_error.eq(1)]
        with m.Switch(bus.read_address[shift:]):
            for offset, answer in answers.items():
                with m.Case(offset >> shift):
                    m.d.comb += [bus.read_data.eq(answer), bus.read_error.eq(0)]
        is_counter = (bus.read_address >= window.offset) & (bus.read_address < window.words.stop)
        with m.If(is_counter):
            m.d.comb += [bus.read_data.eq(self.counter_value), bus.read_error.eq(0)]
        return m
