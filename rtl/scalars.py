"""The three numbers of a layer that are not in a bank: leak, threshold, bias of the drive."""

from __future__ import annotations

from amaranth.hdl import Module, Shape, Signal
from amaranth.lib.wiring import In, Out

from golden.formats import Fixed
from golden.params import LayerFormats
from rtl.component import Component
from rtl.streams import LoadBus


def shape_of(fmt: Fixed) -> Shape:
    """Return the Amaranth shape of a format."""
    return Shape(fmt.width, signed=fmt.signed)


class Scalars(Component):
    """Hold leak, threshold and drive bias, loaded as words 0, 1 and 2 of one memory.

    Parameters
    ----------
    formats
        Of the layer.
    number, load_width
        The memory's number on the load bus, and the width of that bus.

    Members
    -------
    leak, threshold, drive_bias
        Constant while a sequence runs; in their formats. A reset keeps them, as it keeps memories.
    load
        The load bus. A word loaded for another memory, or beyond word 2, is ignored.

    Latency: 1 cycle from the load bus.
    """

    def __init__(self, formats: LayerFormats, number: int, load_width: int) -> None:
        self.number = number
        super().__init__(
            {
                "leak": Out(shape_of(formats.leak)),
                "threshold": Out(shape_of(formats.threshold)),
                "drive_bias": Out(shape_of(formats.b_x)),
                "load": In(LoadBus(load_width)),
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
        with m.If(self.load.valid & (self.load.memory == self.number)):
            for address, register in enumerate((leak, threshold, drive_bias)):
                with m.If(self.load.address == address):
                    m.d.sync += register.eq(self.load.data)
        return m
