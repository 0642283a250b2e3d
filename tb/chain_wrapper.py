"""Write the testbench's Verilog around a chain of standard tops, so that `tb.compiled` drives them
as one core: events into the first, results out of the last, registers of all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from golden.hardware.core import CoreParams
from golden.interface import Field, Interface, Port
from golden.registers import ADDRESS_WIDTH, AXI_TOP, BUS_WIDTH, register_map
from tb.wrapper import SHELL

CORE_WIDTH = 8  # bits of a core's place in the chain
# A counter is read over AXI4-Lite, again and again: twice as long as that takes, and more.
COUNTER_CYCLES = 40
REFUSED = "refused"  # a write of the load stream was not answered with OKAY
ERROR = "ERROR"  # the words of error flags, among the counters


def _fields(*widths: tuple[str, int]) -> dict[str, Field]:
    """Return fields one after another, from the lowest bit."""
    found, offset = {}, 0
    for name, width in widths:
        found[name] = Field(name, offset, width, False)
        offset += width
    return found


def registers_of(cores: Sequence[CoreParams]) -> dict[str, tuple[int, int]]:
    """Return what is read of a chain's cores after a run, the core's place before it: every counter
    (`0.layer0.spikes`) and the words of the error flags (`0.ERROR0`); of each the core's place and
    the register's address.
    """
    found = {}
    for place, core in enumerate(cores):
        registers = register_map(core)
        names = dict(zip(core.counters, registers["COUNTER"].words, strict=True))
        names |= {f"{ERROR}{i}": word for i, word in enumerate(registers[ERROR].words)}
        found |= {f"{place}.{name}": (place, address) for name, address in names.items()}
    return found


def chain_interface(cores: Sequence[CoreParams]) -> Interface:
    """Return what `tb.compiled` needs to know of the shell: an event is a beat, an item of the load
    stream is a write to a register of a core, a result is a beat.
    """
    fields = {
        "i_events": _fields(("data", BUS_WIDTH), ("last", 1), ("user", 1)),
        "i_load": _fields(("data", BUS_WIDTH), ("address", ADDRESS_WIDTH), ("core", CORE_WIDTH)),
        "o_results": _fields(("data", BUS_WIDTH), ("last", 1)),
    }
    ports = {}
    for stream, of in fields.items():
        direction = "output" if stream == "o_results" else "input"
        width = sum(field.width for field in of.values())
        ports[f"{stream}__payload"] = Port(f"{stream}__payload", direction, width)
    return Interface(SHELL, ports, fields, list(registers_of(cores)), [REFUSED])


def renamed(verilog: str, place: int) -> str:
    """Return the Verilog of a standard top whose modules have names of their own in a chain."""
    return re.sub(rf"\b{AXI_TOP}", f"{AXI_TOP}{place}", verilog)


def write_chain(cores: Sequence[CoreParams]) -> str:
    """Return the Verilog of module `shell`: the chain's cores, each core's spikes being the next
    one's events, wire by wire.

    A write of the load stream is over when it is answered. Counters are read while no run goes on.
    """
    n, last = len(cores), len(cores) - 1
    links = "".join(
        f"    wire [{BUS_WIDTH - 1}:0] tdata{i};\n"
        f"    wire tlast{i}, tuser{i}, tvalid{i}, tready{i};\n"
        for i in range(n + 1)
    )
    reads = "".join(
        f"            {index}: {{read_core, read_address}} = "
        f"{{{CORE_WIDTH}'d{place}, {ADDRESS_WIDTH}'d{address}}};\n"
        for index, (place, address) in enumerate(registers_of(cores).values())
    )
    ports = chain_interface(cores).ports
    widths = {name.split("__")[0]: port.width - 1 for name, port in ports.items()}
    core_low = BUS_WIDTH + ADDRESS_WIDTH
    return f"""// Written by tb.chain_wrapper.
module {SHELL} (
    input logic clk, input logic rst,
    input logic i_events_valid, output logic i_events_ready,
    input logic [{widths["i_events"]}:0] i_events_payload,
    input logic i_load_valid, output logic i_load_ready,
    input logic [{widths["i_load"]}:0] i_load_payload,
    output logic o_results_valid, input logic o_results_ready,
    output logic [{widths["o_results"]}:0] o_results_payload,
    input logic [15:0] i_counter, output logic [{BUS_WIDTH - 1}:0] o_counter,
    input logic i_clear, i_clear_errors, output logic [0:0] o_errors
);
    logic aresetn;
    always @(posedge clk) aresetn <= ~rst;

    // The streams before each core, and after the last one.
{links}    assign {{tuser0, tlast0, tdata0}} = i_events_payload;
    assign tvalid0 = i_events_valid;
    assign i_events_ready = tready0;
    assign o_results_payload = {{tlast{n}, tdata{n}}};
    assign o_results_valid = tvalid{n};
    assign tready{n} = o_results_ready;

    // Writes, one after another.
    wire [{n - 1}:0] awready, wready, bvalid;
    wire [1:0] bresp [0:{last}];
    wire [{CORE_WIDTH - 1}:0] core = i_load_payload[{widths["i_load"]}:{core_low}];
    logic address_taken, data_taken;
    assign i_load_ready = bvalid[core];
    always @(posedge clk) begin
        address_taken <= i_load_valid & ~i_load_ready & (address_taken | awready[core]);
        data_taken <= i_load_valid & ~i_load_ready & (data_taken | wready[core]);
        if (i_load_valid & i_load_ready & |bresp[core]) o_errors <= 1;
        if (~aresetn) {{address_taken, data_taken, o_errors}} <= 0;
    end

    // Reads, one after another.
    wire [{n - 1}:0] arready, rvalid;
    wire [{BUS_WIDTH - 1}:0] rdata [0:{last}];
    logic [{CORE_WIDTH - 1}:0] read_core, reading_core;
    logic [{ADDRESS_WIDTH - 1}:0] read_address, reading_address;
    logic reading, asked;
    always_comb begin
        case (i_counter)
{reads}            default: {{read_core, read_address}} = 0;
        endcase
    end
    always @(posedge clk) begin
        if (~reading) begin
            reading <= ~i_events_valid & ~o_results_ready;
            asked <= 0;
            {{reading_core, reading_address}} <= {{read_core, read_address}};
        end else begin
            if (arready[reading_core]) asked <= 1;
            if (rvalid[reading_core]) begin
                o_counter <= rdata[reading_core];
                reading <= 0;
            end
        end
        if (~aresetn) reading <= 0;
    end

{"".join(_instance(place, core) for place, core in enumerate(cores))}endmodule
"""


def _instance(place: int, core: CoreParams) -> str:
    """Return the standard top at a place of the chain."""
    after = place + 1
    spikes = core.network.output is None
    sent = f"m_axis_{'spikes' if spikes else 'results'}"
    user = f"        .{sent}_tuser(tuser{after}),\n" if spikes else ""
    low, high = BUS_WIDTH, BUS_WIDTH + ADDRESS_WIDTH - 1
    return f"""    wire writes{place} = i_load_valid & core == {place};
    wire reads{place} = reading & reading_core == {place};
    {AXI_TOP}{place} core{place} (
        .aclk(clk), .aresetn(aresetn),
        .s_axi_awaddr(i_load_payload[{high}:{low}]), .s_axi_awprot(3'd0),
        .s_axi_awvalid(writes{place} & ~address_taken), .s_axi_awready(awready[{place}]),
        .s_axi_wdata(i_load_payload[{low - 1}:0]), .s_axi_wstrb(4'd15),
        .s_axi_wvalid(writes{place} & ~data_taken), .s_axi_wready(wready[{place}]),
        .s_axi_bresp(bresp[{place}]), .s_axi_bvalid(bvalid[{place}]),
        .s_axi_bready(writes{place}),
        .s_axi_araddr(reading_address), .s_axi_arprot(3'd0),
        .s_axi_arvalid(reads{place} & ~asked), .s_axi_arready(arready[{place}]),
        .s_axi_rdata(rdata[{place}]), .s_axi_rresp(),
        .s_axi_rvalid(rvalid[{place}]), .s_axi_rready(reads{place}),
        .s_axis_events_tdata(tdata{place}), .s_axis_events_tlast(tlast{place}),
        .s_axis_events_tuser(tuser{place}),
        .s_axis_events_tvalid(tvalid{place}), .s_axis_events_tready(tready{place}),
{user}        .{sent}_tdata(tdata{after}), .{sent}_tlast(tlast{after}),
        .{sent}_tvalid(tvalid{after}), .{sent}_tready(tready{after})
    );
"""
