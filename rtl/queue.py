"""A queue of the items of a stream."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import stream
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from rtl.component import Component


class Queue(Component):
    """Hold up to `depth` items, and send them in order.

    Parameters
    ----------
    shape
        Of an item.
    depth
        The most items that wait.
    buffered
        Items come from a register, which costs a cycle; else from a memory that is read without a
        clock.

    Members
    -------
    i, o
        The stream.

    Latency: 1 cycle, or 2 if buffered; throughput: one item a cycle.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape: Any, depth: int, *, buffered: bool = False) -> None:
        self.depth, self.buffered = depth, buffered
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    @property
    def latency(self) -> int:
        return 1 + self.buffered

    def elaborate(self, platform: object) -> Module:
        m = Module()
        kind = SyncFIFOBuffered if self.buffered else SyncFIFO
        width = len(Value.cast(Signal(self.i.payload.shape())))
        m.submodules.items = items = kind(width=width, depth=self.depth)
        m.d.comb += [
            items.w_data.eq(self.i.payload),
            items.w_en.eq(self.i.valid),
            self.i.ready.eq(items.w_rdy),
            Value.cast(self.o.payload).eq(items.r_data),
            self.o.valid.eq(items.r_rdy),
            items.r_en.eq(self.o.ready),
        ]
        return m
