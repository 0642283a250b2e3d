"""The three numbers of a layer that are not in a bank: leak, threshold, bias of the drive."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In, Out

from golden.hardware.memory import MemoryParams
from golden.params import LayerFormats
from rtl.component import Component
from rtl.fixed import shape_of
from rtl.loader import collect
from rtl.streams import LOAD_BUS


class Scalars(Component):
    """Hold leak, threshold and drive bias, loaded as words 0, 1 and 2 of one memory.

    Parameters
    ----------
    formats
        Of the layer.
    memory, number
        The memory that they are words of, and its number on the load bus.

    Members
    -------
    leak, threshold, drive_bias
        Constant while a sequence runs; in their formats. A reset keeps them, as it keeps memories.
    load
        The load bus. Items for another memory, or beyond word 2, are ignored.

    Latency: 3 cycles from the load bus.
    """

    def __init__(self, formats: LayerFormats, memory: MemoryParams, number: int) -> None:
        self.memory, self.number = memory, number
        super().__init__(
            {
                "leak": Out(shape_of(formats.leak)),
                "threshold": Out(shape_of(formats.threshold)),
                "drive_bias": Out(shape_of(formats.b_x)),
                "load": In(LOAD_BUS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Like the words of a memory, they outlive a reset.
        leak = Signal(self.leak.shape(), reset_less=True)
        threshold = Signal(self.threshold.shape(), reset_less=True)
        drive_bias = Signal(self.drive_bias.shape(), reset_less=True)
        m.d.comb += [
            self.leak.eq(leak),
            self.threshold.eq(threshold),
            self.drive_bias.eq(drive_bias),
        ]
        registers = (leak, threshold, drive_bias)
        complete, address, word = collect(m, self.load, self.number, self.memory)
        for place, register in enumerate(registers):
            with m.If(complete & (address == place)):
                m.d.sync += register.eq(word)
        return m
