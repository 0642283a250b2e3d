"""From the bytes of a host's commands to requests, and from their answers to bytes."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from golden.registers import ADDRESS_WIDTH, BUS_WIDTH, WORD_BYTES
from golden.uart_protocol import (
    ADDRESS_BYTES,
    BURST,
    EVENTS,
    FLAG_LAST,
    MAX_WORDS,
    OKAY,
    READ,
    READ_RESPONSE_BYTES,
    RESULT_BYTES,
    RESULTS,
    SLAVE_ERROR,
    UNKNOWN,
    WRITE,
)
from rtl.component import Component
from rtl.host.buses import RegisterBus, RegisterBusPorts, beat_layout
from rtl.host.uart import BYTE


class UartCommands(Component):
    """Do the commands of `golden.uart_protocol`, one after another.

    Bytes, results and the ends of requests are waited for as long as it takes, and so is room for
    a response. Of a word of events and of a request only a reset makes this withdraw what waits.

    Members
    -------
    i, o
        Bytes from the host and to it.
    registers
        Requests for registers.
    events
        Beats of events; neither `last` nor `user` is set.
    results
        Beats of results.

    Latency: 1 cycle a byte, 1 cycle more a word, and what is waited for.
    """

    i: stream.Interface
    o: stream.Interface
    registers: RegisterBusPorts
    events: stream.Interface
    results: stream.Interface

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(BYTE)),
                "o": Out(stream.Signature(BYTE)),
                "registers": Out(RegisterBus()),
                "events": Out(stream.Signature(beat_layout(user=1))),
                "results": In(stream.Signature(beat_layout())),
            }
        )

    @property
    def latency(self) -> int:
        return 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus, byte = self.registers, self.i.payload
        taken = self.i.valid & self.i.ready
        command = Signal(BYTE)
        address = Signal(ADDRESS_BYTES * BYTE)
        word = Signal(BUS_WIDTH)
        place = Signal(range(WORD_BYTES))  # of the byte in an address or a word
        left = Signal(range(MAX_WORDS))  # words of the command after this one
        more = Signal()  # results to wait for after this one
        status = Signal(BYTE)
        response = Signal(max(READ_RESPONSE_BYTES, RESULT_BYTES) * BYTE)  # the lowest byte is next
        to_send = Signal(range(max(READ_RESPONSE_BYTES, RESULT_BYTES) + 1))
        unknown = address >> ADDRESS_WIDTH != 0
        m.d.comb += [
            bus.write_address.eq(address),
            bus.write_data.eq(word),
            bus.read_address.eq(address),
            self.events.payload.data.eq(word),
            self.o.payload.eq(response),
        ]

        def answer(content: Value, n_bytes: int) -> None:
            m.d.sync += [response.eq(content), to_send.eq(n_bytes)]
            m.next = "SEND"

        def finish_word(with_status: Value) -> None:
            """Go on after a word that was taken."""
            m.d.sync += [status.eq(with_status), left.eq(left - 1)]
            with m.If(left == 0):
                answer(with_status, 1)
            with m.Else():
                m.next = "WORD"

        with m.FSM():
            with m.State("COMMAND"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [command.eq(byte), status.eq(OKAY), left.eq(0), more.eq(0)]
                with m.If(taken):
                    with m.Switch(byte):
                        with m.Case(WRITE, READ, BURST):
                            m.next = "ADDRESS"
                        with m.Case(EVENTS, RESULTS):
                            m.next = "COUNT"
                        with m.Default():
                            answer(Const(UNKNOWN, BYTE), 1)
            with m.State("ADDRESS"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(taken):
                    m.d.sync += [address.eq(Cat(address[BYTE:], byte)), place.eq(place + 1)]
                    with m.If(place == ADDRESS_BYTES - 1):
                        m.d.sync += place.eq(0)
                        with m.Switch(command):
                            with m.Case(WRITE):
                                m.next = "WORD"
                            with m.Case(READ):
                                m.next = "READ"
                            with m.Default():
                                m.next = "COUNT"
            with m.State("COUNT"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += left.eq(byte)
                with m.If(taken):
                    m.next = "WORD"
                    with m.If(command == RESULTS):
                        m.next = "RESULT"
            with m.State("WORD"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(taken):
                    m.d.sync += [word.eq(Cat(word[BYTE:], byte)), place.eq(place + 1)]
                    with m.If(place == WORD_BYTES - 1):
                        m.next = "WRITE"
                        with m.If(command == EVENTS):
                            m.next = "EVENT"
            with m.State("WRITE"):
                m.d.comb += bus.write_valid.eq(~unknown)
                with m.If(unknown | bus.write_ready):
                    failed = unknown | bus.write_error
                    finish_word(status | Mux(failed, SLAVE_ERROR, OKAY))
            with m.State("READ"):
                m.d.comb += bus.read_valid.eq(~unknown)
                with m.If(unknown):
                    answer(Const(SLAVE_ERROR, BYTE), READ_RESPONSE_BYTES)
                with m.Elif(bus.read_ready):
                    found = Mux(bus.read_error, Const(SLAVE_ERROR, BYTE), OKAY)
                    answer(Cat(found, bus.read_data), READ_RESPONSE_BYTES)
            with m.State("EVENT"):
                m.d.comb += self.events.valid.eq(1)
                with m.If(self.events.ready):
                    finish_word(status)
            with m.State("RESULT"):
                m.d.comb += self.results.ready.eq(1)
                with m.If(self.results.valid):
                    beat = self.results.payload
                    m.d.sync += [left.eq(left - 1), more.eq(left != 0)]
                    answer(Cat(beat.data, Mux(beat.last, FLAG_LAST, 0)), RESULT_BYTES)
            with m.State("SEND"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [response.eq(response >> BYTE), to_send.eq(to_send - 1)]
                    with m.If(to_send == 1):
                        m.next = "COMMAND"
                        with m.If(more):
                            m.next = "RESULT"
        return m
