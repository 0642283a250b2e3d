"""The standard top: the core behind AXI4-Lite and AXI4-Stream."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockDomain, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.hardware import CoreParams, EventKind
from golden.registers import BUS_WIDTH
from rtl.axi_events import AxiEvents
from rtl.axi_lite import AxiLite, AxiLiteBus
from rtl.axi_results import AxiResults
from rtl.component import Component
from rtl.core import Core
from rtl.register_file import RegisterFile

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
IN_CORE_WIDTH = 16  # bits of a count of sequences: many more than all lists of a core hold


class AxiCore(Component):
    """Give a core the buses that systems have: events on one AXI4-Stream, results on another, and
    registers on AXI4-Lite, through which every memory is loaded.

    The words of the streams and the registers are those of `golden.registers`; what they mean is
    with `AxiEvents`, `AxiResults` and `RegisterFile`, how the bus answers with `AxiLite`. Nothing
    is dropped: each side may stall the others for as long as it likes. No output depends on an
    input of the same cycle.

    Load every memory before the first event, and again only while STATUS.BUSY is 0. A reset keeps
    what was loaded. To leave a sequence that was broken off, end it, and throw its result away.

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

    Latency: an inference takes 3 cycles more than with the core alone: one on the way in, two to
    the class, which is a word of its own. Throughput: that of the core, a beat's event and ends of
    timestep and sequence being an item each.
    """

    def __init__(self, core: CoreParams) -> None:
        assert not core.hardware.trace
        self.core = core
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

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first, readout = self.core.network.layers[0], self.core.network.readout
        domain: Any = ClockDomain("sync")
        m.domains.sync = domain
        domain.clk = self.aclk
        m.d.comb += domain.rst.eq(~self.aresetn)
        m.submodules.core = core = Core(self.core)
        m.submodules.bus = bus = AxiLite()
        m.submodules.registers = registers = RegisterFile(self.core)
        m.submodules.events = events = AxiEvents(first.n_inputs, first.formats.payload.width)
        m.submodules.results = results = AxiResults(readout.n_classes, readout.logit_width)

        for name, member in bus.bus.signature.members.items():
            port, signal = getattr(self, f"s_axi_{name}"), getattr(bus.bus, name)
            m.d.comb += signal.eq(port) if member.flow == wiring.In else port.eq(signal)
        wiring.connect(m, bus.registers, registers.bus)
        wiring.connect(m, registers.load, core.i_load)
        wiring.connect(m, events.o, core.i_events)
        wiring.connect(m, core.o_results, results.i)
        m.d.comb += [
            events.i.payload.data.eq(self.s_axis_events_tdata),
            events.i.payload.last.eq(self.s_axis_events_tlast),
            events.i.payload.user.eq(self.s_axis_events_tuser),
            events.i.valid.eq(self.s_axis_events_tvalid),
            self.s_axis_events_tready.eq(events.i.ready),
            self.m_axis_results_tdata.eq(results.o.payload.data),
            self.m_axis_results_tlast.eq(results.o.payload.last),
            self.m_axis_results_tvalid.eq(results.o.valid),
            results.o.ready.eq(self.m_axis_results_tready),
            core.i_counter.eq(registers.counter),
            registers.counter_value.eq(core.o_counter),
            core.i_clear.eq(registers.clear),
            registers.errors.eq(core.o_errors),
        ]

        in_core = Signal(IN_CORE_WIDTH)  # sequences that have ended, their results not taken
        ends = core.i_events.payload.kind == EventKind.END_SEQUENCE
        ended = core.i_events.valid & core.i_events.ready & ends
        taken = results.o.valid & results.o.ready & results.o.payload.last
        m.d.sync += in_core.eq(in_core + ended - taken)
        m.d.comb += registers.busy.eq(events.begun | in_core.any())
        return m
