"""A register in a stream."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from rtl.claims import claim_stable
from rtl.component import Component


class StreamRegister(Component):
    """Pass a stream on a cycle later, so that what computes an item and what takes it do not share
    a path. The consumer may stall; an item waits in the register.

    Parameters
    ----------
    shape
        Of the payload.

    Members
    -------
    i, o
        The stream.

    Latency: 1 cycle; throughput: one item a cycle.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape: Any) -> None:
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    @property
    def latency(self) -> int:
        return 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
            with m.If(self.i.valid):
                m.d.sync += self.o.payload.eq(self.i.payload)
        claim_stable(m, platform, "o", self.o)
        return m
