"""The three numbers of a layer that are not in a bank: leak, threshold, bias of the drive."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In, Out

from golden.hardware.memory import MemoryParams
from golden.hardware.stages import COLLECT_LATENCY
from golden.params import LayerFormats
from rtl.component import Component
from rtl.fixed import shape_of
from rtl.loader import collect
from rtl.signatures import LoadBus, LoadBusPorts


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

    leak: Signal
    threshold: Signal
    drive_bias: Signal
    load: LoadBusPorts

    def __init__(self, formats: LayerFormats, memory: MemoryParams, number: int) -> None:
        self.memory, self.number = memory, number
        super().__init__(
            {
                "leak": Out(shape_of(formats.leak)),
                "threshold": Out(shape_of(formats.threshold)),
                "drive_bias": Out(shape_of(formats.b_x)),
                "load": In(LoadBus()),
            }
        )

    @property
    def latency(self) -> int:
        return COLLECT_LATENCY + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        complete, address, word = collect(m, self.load, self.number, self.memory)
        for place, port in enumerate((self.leak, self.threshold, self.drive_bias)):
            # Like the words of a memory, they outlive a reset.
            held = Signal(port.shape(), reset_less=True, name=f"held_{port.name}")
            m.d.comb += port.eq(held)
            with m.If(complete & (address == place)):
                m.d.sync += held.eq(word)
        return m
