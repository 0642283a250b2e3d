"""The numbers that all neurons of a layer share: decays, threshold, reset, bias of the drive."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In, Out

from golden.formats import Fixed
from golden.hardware.memory import MemoryParams
from golden.hardware.stages import COLLECT_LATENCY
from rtl.component import Component
from rtl.fixed import shape_of
from rtl.loader import collect
from rtl.signatures import LoadBus, LoadBusPorts


class Scalars(Component):
    """Hold numbers that are loaded as the words of one memory, in order.

    Parameters
    ----------
    formats
        Of each number by its name (`LayerHardware.scalars`).
    memory, number
        The memory that they are words of, and its number on the load bus.

    Members
    -------
    leak, threshold, drive_bias, alpha, reset
        Those that there are; constant while a sequence runs, in their formats. A reset keeps them,
        as it keeps memories.
    load
        The load bus. Items for another memory, or beyond the last word, are ignored.

    Latency: 3 cycles from the load bus.
    """

    leak: Signal
    threshold: Signal
    drive_bias: Signal
    alpha: Signal
    reset: Signal
    load: LoadBusPorts

    def __init__(self, formats: Mapping[str, Fixed], memory: MemoryParams, number: int) -> None:
        self.memory, self.number = memory, number
        self.names = ["drive_bias" if name == "b_x" else name for name in formats]
        shapes = zip(self.names, formats.values(), strict=True)
        members = {name: Out(shape_of(fmt)) for name, fmt in shapes}
        super().__init__(members | {"load": In(LoadBus())})

    @property
    def latency(self) -> int:
        return COLLECT_LATENCY + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        complete, address, word = collect(m, self.load, self.number, self.memory)
        for place, name in enumerate(self.names):
            port: Signal = getattr(self, name)
            # Like the words of a memory, they outlive a reset.
            held = Signal(port.shape(), reset_less=True, name=f"held_{name}")
            m.d.comb += port.eq(held)
            with m.If(complete & (address == place)):
                m.d.sync += held.eq(word)
        return m
