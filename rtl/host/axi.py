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
def _clock(sent: str) -> dict[str, str]:
    return {
        "X_INTERFACE_INFO": "xilinx.com:signal:clock:1.0 aclk CLK",
        "X_INTERFACE_PARAMETER": f"ASSOCIATED_BUSIF s_axi:s_axis_events:m_axis_{sent},"
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
        Of a core with a readout, results, 32 bits wide, with TLAST.
    m_axis_spikes_...
        Of a core without one, spikes, 32 bits wide, with TLAST and one bit of TUSER: they may go
        straight into the events of another core.

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
    m_axis_spikes_tdata: Signal
    m_axis_spikes_tlast: Signal
    m_axis_spikes_tuser: Signal
    m_axis_spikes_tvalid: Signal
    m_axis_spikes_tready: Signal

    def __init__(self, core: CoreParams) -> None:
        assert not core.hardware.trace
        self.host = HostCore(core)
        classifies = core.network.output is not None
        self.sent = sent = "results" if classifies else "spikes"
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
                f"m_axis_{sent}_tdata": Out(BUS_WIDTH),
                f"m_axis_{sent}_tlast": Out(1),
                **({} if classifies else {f"m_axis_{sent}_tuser": Out(1)}),
                f"m_axis_{sent}_tvalid": Out(1),
                f"m_axis_{sent}_tready": In(1),
            }
        )
        self.aclk.attrs.update(_clock(sent))
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
        ]
        out = getattr(host, self.sent)
        for name, _ in out.payload.shape():
            m.d.comb += getattr(self, f"m_axis_{self.sent}_t{name}").eq(out.payload[name])
        m.d.comb += [
            getattr(self, f"m_axis_{self.sent}_tvalid").eq(out.valid),
            out.ready.eq(getattr(self, f"m_axis_{self.sent}_tready")),
        ]
        return m
