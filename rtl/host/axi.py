"""The standard top: the core with AXI4-Lite and AXI4-Stream."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockDomain, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.hardware.core import CoreParams
from golden.registers import BUS_WIDTH
from rtl.component import Component
from rtl.host.axi_lite import AxiLite, AxiLiteBus
from rtl.host.host_core import HostCore

# What IP packagers that know these attributes (Vivado's among them) need beyond the names of the
# ports: the clock of each bus.
_CLOCK = {
    "X_INTERFACE_INFO": "xilinx.com:signal:clock:1.0 aclk CLK",
    "X_INTERFACE_PARAMETER": "ASSOCIATED_BUSIF s_axi:s_axis_events:m_axis_results,"
    " ASSOCIATED_RESET aresetn",
}
_RESET = {
    "X_INTERFACE_INFO": "xilinx.com:signal:reset:1.0 aresetn RST",
    "X_INTERFACE_PARAMETER": "POLARITY ACTIVE_LOW",
}


class AxiCore(Component):
    """Give a core the buses that systems have: events on one AXI4-Stream, results on another, and
    registers on AXI4-Lite, through which every memory is loaded.

    What the buses reach, and how to use it, is with `HostCore`; how the bus of the registers
    answers, with `AxiLite`. Nothing is dropped: each side may stall the others for as long as it
    likes. No output depends on an input of the same cycle.

    Parameters
    ----------
    core
        The network and the hardware; it must not have trace ports.

    Members
    -------
    aclk, aresetn
        The clock, and a synchronous reset, active low.
    s_axi_...
        AXI4-Lite, 32 bits wide.
    s_axis_events_...
        Events, 32 bits wide, with TLAST and one bit of TUSER.
    m_axis_results_...
        Results, 32 bits wide, with TLAST.

    Latency: an inference takes 4 cycles more than with the core alone: two on the way in, two to
    the class, which is a word of its own. Throughput: that of the core, a beat's event and ends of
    timestep and sequence being an item each.
    """

    aclk: Signal
    aresetn: Signal
    s_axi_awaddr: Signal
    s_axi_awprot: Signal
    s_axi_awvalid: Signal
    s_axi_awready: Signal
    s_axi_wdata: Signal
    s_axi_wstrb: Signal
    s_axi_wvalid: Signal
    s_axi_wready: Signal
    s_axi_bresp: Signal
    s_axi_bvalid: Signal
    s_axi_bready: Signal
    s_axi_araddr: Signal
    s_axi_arprot: Signal
    s_axi_arvalid: Signal
    s_axi_arready: Signal
    s_axi_rdata: Signal
    s_axi_rresp: Signal
    s_axi_rvalid: Signal
    s_axi_rready: Signal
    s_axis_events_tdata: Signal
    s_axis_events_tlast: Signal
    s_axis_events_tuser: Signal
    s_axis_events_tvalid: Signal
    s_axis_events_tready: Signal
    m_axis_results_tdata: Signal
    m_axis_results_tlast: Signal
    m_axis_results_tvalid: Signal
    m_axis_results_tready: Signal

    def __init__(self, core: CoreParams) -> None:
        assert not core.hardware.trace
        self.host = HostCore(core)
        bus = AxiLiteBus().flip().members
        super().__init__(
            {
                "aclk": In(1),
                "aresetn": In(1),
                **{f"s_axi_{name}": member for name, member in bus.items()},
                "s_axis_events_tdata": In(BUS_WIDTH),
                "s_axis_events_tlast": In(1),
                "s_axis_events_tuser": In(1),
                "s_axis_events_tvalid": In(1),
                "s_axis_events_tready": Out(1),
                "m_axis_results_tdata": Out(BUS_WIDTH),
                "m_axis_results_tlast": Out(1),
                "m_axis_results_tvalid": Out(1),
                "m_axis_results_tready": In(1),
            }
        )
        self.aclk.attrs.update(_CLOCK)
        self.aresetn.attrs.update(_RESET)

    @property
    def latency(self) -> int:
        """What an inference takes more than with the core alone."""
        return self.host.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        domain: Any = ClockDomain("sync")
        m.domains.sync = domain
        domain.clk = self.aclk
        m.d.comb += domain.rst.eq(~self.aresetn)
        m.submodules.bus = bus = AxiLite()
        m.submodules.host = host = self.host

        for name, member in bus.bus.signature.members.items():
            port, signal = getattr(self, f"s_axi_{name}"), getattr(bus.bus, name)
            m.d.comb += signal.eq(port) if member.flow == wiring.In else port.eq(signal)
        wiring.connect(m, bus.registers, host.registers)
        m.d.comb += [
            host.events.payload.data.eq(self.s_axis_events_tdata),
            host.events.payload.last.eq(self.s_axis_events_tlast),
            host.events.payload.user.eq(self.s_axis_events_tuser),
            host.events.valid.eq(self.s_axis_events_tvalid),
            self.s_axis_events_tready.eq(host.events.ready),
            self.m_axis_results_tdata.eq(host.results.payload.data),
            self.m_axis_results_tlast.eq(host.results.payload.last),
            self.m_axis_results_tvalid.eq(host.results.valid),
            host.results.ready.eq(self.m_axis_results_tready),
        ]
        return m
