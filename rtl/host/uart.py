"""Bytes on a line: a receiver and a transmitter of a UART, 8N1."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from golden.uart_protocol import FRAME_BITS
from rtl.component import Component

BYTE = 8
LEAST_CLOCKS = 5  # a bit: with fewer, a sender may not be 3 % faster and 3 % slower


class UartReceiver(Component):
    """Receive bytes: wait for a start bit, then look at the middle of every bit.

    A low line that is high again in the middle of its start bit is no byte. A byte whose stop bit
    is low is dropped; the next start bit is looked for when the line was high again. Nobody may
    stall.

    Parameters
    ----------
    clocks_per_bit
        Clock cycles of a bit; a sender may be 3 % faster or slower.

    Members
    -------
    line
        From outside, of any clock; high while nothing is sent.
    o
        The bytes, each valid for one cycle.
    dropped
        A byte had a wrong stop bit, for one cycle.
    broken
        The line has been low for a frame or longer, and still is: a break.

    Latency: 2 cycles, then a frame up to the middle of its stop bit, then 1 cycle; throughput: a
    byte a frame.
    """

    line: Signal
    o: stream.Interface
    dropped: Signal
    broken: Signal

    def __init__(self, clocks_per_bit: int) -> None:
        assert clocks_per_bit >= LEAST_CLOCKS
        self.clocks_per_bit = clocks_per_bit
        super().__init__(
            {
                "line": In(1),
                "o": Out(stream.Signature(BYTE, always_ready=True)),
                "dropped": Out(1),
                "broken": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from the one in which the line falls to the one in which the byte is valid."""
        return 2 + self.middle + (FRAME_BITS - 1) * self.clocks_per_bit + 1

    @property
    def middle(self) -> int:
        """Cycles of a bit before that in which it is looked at. The line falls up to a cycle before
        a clock edge that sees it, so half a cycle less than half a bit is the middle.
        """
        return (self.clocks_per_bit - 1) // 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.line, line, init=1)
        timer = Signal(range(self.clocks_per_bit))
        place = Signal(range(FRAME_BITS))  # of the bit in the frame
        low = Signal(range(FRAME_BITS * self.clocks_per_bit + 1))  # cycles, no more than a frame's
        m.d.comb += self.broken.eq(low == FRAME_BITS * self.clocks_per_bit)
        with m.If(line):
            m.d.sync += low.eq(0)
        with m.Elif(~self.broken):
            m.d.sync += low.eq(low + 1)

        m.d.sync += [self.o.valid.eq(0), self.dropped.eq(0), timer.eq(timer - 1)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [timer.eq(self.middle - 1), place.eq(0)]
                with m.If(~line):
                    m.next = "BITS"
            with m.State("BITS"):
                with m.If(timer == 0):
                    m.d.sync += [timer.eq(self.clocks_per_bit - 1), place.eq(place + 1)]
                    with m.If(place == 0):
                        with m.If(line):
                            m.next = "IDLE"
                    with m.Elif(place < FRAME_BITS - 1):
                        m.d.sync += self.o.payload.eq(Cat(self.o.payload[1:], line))
                    with m.Else():
                        m.d.sync += [self.o.valid.eq(line), self.dropped.eq(~line)]
                        m.next = "IDLE"  # at once: the next start bit may come early
                        with m.If(~line):
                            m.next = "RELEASE"
            with m.State("RELEASE"):
                with m.If(line):
                    m.next = "IDLE"
        return m


class UartTransmitter(Component):
    """Send bytes; the line is high while there is none.

    Parameters
    ----------
    clocks_per_bit
        Clock cycles of a bit.

    Members
    -------
    i
        The bytes.
    line
        To outside.

    Latency: 1 cycle to the start bit; throughput: a byte a frame, without a gap.
    """

    i: stream.Interface
    line: Signal

    def __init__(self, clocks_per_bit: int) -> None:
        assert clocks_per_bit >= LEAST_CLOCKS
        self.clocks_per_bit = clocks_per_bit
        super().__init__({"i": In(stream.Signature(BYTE)), "line": Out(1)})

    @property
    def latency(self) -> int:
        return 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timer = Signal(range(self.clocks_per_bit))
        bits = Signal(FRAME_BITS, init=(1 << FRAME_BITS) - 1)  # the lowest is on the line
        left = Signal(range(FRAME_BITS + 1))
        m.d.comb += [
            self.line.eq(bits[0]),
            self.i.ready.eq((left == 0) | ((left == 1) & (timer == 0))),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                bits.eq(Cat(Const(0, 1), self.i.payload, Const(1, 1))),
                left.eq(FRAME_BITS),
                timer.eq(self.clocks_per_bit - 1),
            ]
        with m.Elif(left.any()):
            m.d.sync += timer.eq(timer - 1)
            with m.If(timer == 0):
                m.d.sync += [
                    timer.eq(self.clocks_per_bit - 1),
                    bits.eq(Cat(bits[1:], Const(1, 1))),
                    left.eq(left - 1),
                ]
        return m
