"""From an AXI4-Lite bus to one request at a time for registers."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.registers import ADDRESS_WIDTH, BUS_WIDTH, WORD_BYTES
from rtl.component import Component
from rtl.host.buses import RegisterBus, RegisterBusPorts
from rtl.signatures import Signature

OKAY, SLVERR = 0, 2


class AxiLiteBusPorts(wiring.PureInterface):
    awaddr: Signal
    awprot: Signal
    awvalid: Signal
    awready: Signal
    wdata: Signal
    wstrb: Signal
    wvalid: Signal
    wready: Signal
    bresp: Signal
    bvalid: Signal
    bready: Signal
    araddr: Signal
    arprot: Signal
    arvalid: Signal
    arready: Signal
    rdata: Signal
    rresp: Signal
    rvalid: Signal
    rready: Signal


class AxiLiteBus(Signature):
    """AXI4-Lite as its manager sees it, with the names of the specification."""

    ports = AxiLiteBusPorts

    def __init__(self) -> None:
        address, data = Out(ADDRESS_WIDTH), Out(BUS_WIDTH)
        super().__init__(
            {
                "awaddr": address, "awprot": Out(3), "awvalid": Out(1), "awready": In(1),
                "wdata": data, "wstrb": Out(WORD_BYTES), "wvalid": Out(1), "wready": In(1),
                "bresp": In(2), "bvalid": In(1), "bready": Out(1),
                "araddr": address, "arprot": Out(3), "arvalid": Out(1), "arready": In(1),
                "rdata": In(BUS_WIDTH), "rresp": In(2), "rvalid": In(1), "rready": Out(1),
            }
        )  # fmt: skip


class AxiLite(Component):
    """Take writes and reads of an AXI4-Lite manager, and answer each when the registers have.

    One write and one read are in work at a time, independently; an address or data that comes
    meanwhile waits, and so does an answer until it is taken: nothing is dropped. No output depends
    on an input of the same cycle.

    Only whole words are written: a write with some strobes does nothing and is answered with
    SLVERR, one with no strobe does nothing and is answered with OKAY. The low bits of an address
    and the protection bits are ignored.

    Members
    -------
    bus
        AXI4-Lite.
    registers
        The requests: see `RegisterBus`. A request for which the registers report an error is
        answered with SLVERR.

    Latency: 2 cycles from a request to its answer where the registers are ready at once;
    throughput: a write, and a read, every 2 cycles.
    """

    bus: AxiLiteBusPorts
    registers: RegisterBusPorts

    def __init__(self) -> None:
        super().__init__({"bus": In(AxiLiteBus()), "registers": Out(RegisterBus())})

    @property
    def latency(self) -> int:
        """From a request to its answer where the registers are ready at once."""
        return 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus, registers = self.bus, self.registers
        # A channel is ready while its register is empty.
        has_address, has_data, has_read = Signal(), Signal(), Signal()
        strobes = Signal(WORD_BYTES)
        m.d.comb += [
            bus.awready.eq(~has_address),
            bus.wready.eq(~has_data),
            bus.arready.eq(~has_read),
        ]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [has_address.eq(1), registers.write_address.eq(bus.awaddr)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [
                has_data.eq(1),
                registers.write_data.eq(bus.wdata),
                strobes.eq(bus.wstrb),
            ]
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [has_read.eq(1), registers.read_address.eq(bus.araddr)]

        writing = has_address & has_data & ~bus.bvalid
        whole = strobes.all()
        m.d.comb += registers.write_valid.eq(writing & whole)
        with m.If(bus.bvalid & bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(writing & (registers.write_ready | ~whole)):
            failed = (whole & registers.write_error) | (~whole & strobes.any())
            m.d.sync += [
                bus.bvalid.eq(1),
                has_address.eq(0),
                has_data.eq(0),
                bus.bresp.eq(OKAY),
            ]
            with m.If(failed):
                m.d.sync += bus.bresp.eq(SLVERR)

        m.d.comb += registers.read_valid.eq(has_read & ~bus.rvalid)
        with m.If(bus.rvalid & bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(registers.read_valid & registers.read_ready):
            m.d.sync += [
                bus.rvalid.eq(1),
                has_read.eq(0),
                bus.rdata.eq(registers.read_data),
                bus.rresp.eq(OKAY),
            ]
            with m.If(registers.read_error):
                m.d.sync += bus.rresp.eq(SLVERR)
        return m
