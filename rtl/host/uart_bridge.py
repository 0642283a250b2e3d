"""A host's UART as the master of a core's registers and streams."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.uart_protocol import MAX_COMMAND_BYTES
from rtl.component import Component
from rtl.host.buses import RegisterBus, RegisterBusPorts, beat_layout
from rtl.host.uart import BYTE, UartReceiver, UartTransmitter
from rtl.host.uart_commands import UartCommands
from rtl.queue import Queue

DEPTH = 1 << (MAX_COMMAND_BYTES - 1).bit_length()  # bytes that wait; no block RAM is smaller


class UartBridge(Component):
    """Do what a host says over a UART in the protocol of `golden.uart_protocol`.

    A whole command has room in its memory of bytes, so that a host that waits for the response
    before its next command loses nothing, whatever the core stalls. A break resets all but the
    bytes on the two lines: also a command that waits in vain is left.

    Parameters
    ----------
    clocks_per_bit
        Clock cycles of a bit.

    Members
    -------
    rx, tx
        The lines from the host and to it.
    registers, events, results
        Of the core: see `rtl.host.host_core`. A break withdraws what waits for the core.
    lost
        Since the last break a byte was dropped: its stop bit was wrong, or there was no room.

    Latency: see `UartReceiver` and `UartCommands`; 3 cycles more for a byte between them.
    """

    rx: Signal
    tx: Signal
    registers: RegisterBusPorts
    events: stream.Interface
    results: stream.Interface
    lost: Signal

    def __init__(self, clocks_per_bit: int) -> None:
        self.clocks_per_bit = clocks_per_bit
        self.receiver = UartReceiver(clocks_per_bit)
        self.waiting = Queue(BYTE, DEPTH, buffered=True)
        super().__init__(
            {
                "rx": In(1),
                "tx": Out(1),
                "registers": Out(RegisterBus()),
                "events": Out(stream.Signature(beat_layout(user=1))),
                "results": In(stream.Signature(beat_layout())),
                "lost": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """From the first bit of a byte to its command."""
        return self.receiver.latency + self.waiting.latency + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = self.receiver
        m.submodules.transmitter = transmitter = UartTransmitter(self.clocks_per_bit)
        commands, waiting = UartCommands(), self.waiting
        # A break resets these two.
        unbroken: Any = ClockDomain("unbroken", local=True)
        m.domains.unbroken = unbroken
        m.submodules.commands = DomainRenamer("unbroken")(commands)
        m.submodules.waiting = DomainRenamer("unbroken")(waiting)
        m.d.comb += [
            unbroken.clk.eq(ClockSignal()),
            unbroken.rst.eq(ResetSignal() | receiver.broken),
            receiver.line.eq(self.rx),
            self.tx.eq(transmitter.line),
            waiting.i.payload.eq(receiver.o.payload),
            waiting.i.valid.eq(receiver.o.valid),
            waiting.o.ready.eq(~commands.i.valid),
        ]
        # A block RAM is slow: a register is between it and what it decides.
        with m.If(~commands.i.valid):
            m.d.sync += [
                commands.i.payload.eq(waiting.o.payload),
                commands.i.valid.eq(waiting.o.valid & ~receiver.broken),
            ]
        with m.Elif(commands.i.ready | receiver.broken):
            m.d.sync += commands.i.valid.eq(0)
        wiring.connect(m, commands.o, transmitter.i)
        wiring.connect(m, commands.registers, wiring.flipped(self.registers))
        wiring.connect(m, commands.events, wiring.flipped(self.events))
        wiring.connect(m, wiring.flipped(self.results), commands.results)
        with m.If(receiver.broken):
            m.d.sync += self.lost.eq(0)
        with m.Elif(receiver.dropped | (receiver.o.valid & ~waiting.i.ready)):
            m.d.sync += self.lost.eq(1)
        return m
