"""Write the testbench's own Verilog: the core, its clock, a cycle counter, and a file for
everything that is traced.
"""

from __future__ import annotations

from collections.abc import Iterable

from golden.interface import Interface
from tb.logs import CYCLE, ENDS, Log

TOP = "testbench"
SHELL = "shell"
STREAMS_IN = ("i_events", "i_load")


def write_wrapper(interface: Interface, logs: Iterable[Log], watchdog_cycles: int) -> str:
    """Return the Verilog of module `testbench`.

    Every port of the core is a signal of its name. Beside them cocotb finds `clk`; a toggle for
    each stream (`events_toggle`, `load_toggle`, and `results_toggle` or `spikes_toggle`) that turns
    over with every transfer, so that Python wakes once a transfer and not once a cycle; `ends`, how
    many lines the log of that name has; and `stuck`, which rises when nothing was transferred or
    traced for `watchdog_cycles`.
    """
    logs = list(logs)
    ports = [port for port in interface.ports.values() if port.name != "clk"]
    signals = [f"    logic [{p.width - 1}:0] {p.name} /*verilator public_flat_rw*/;" for p in ports]
    connections = ",\n".join(f"        .{p.name}({p.name})" for p in ports)
    active = ["(i_load__valid && i_load__ready)", *(f"({log.valid})" for log in logs)]
    opened = [
        f'    integer file_{i};\n    initial file_{i} = $fopen("{log.file}", "w");'
        for i, log in enumerate(logs)
    ]
    written = [_write(i, log) for i, log in enumerate(logs)]
    toggles = [
        _toggle(stream.split("_")[1], f"{stream}__valid && {stream}__ready")
        for stream in (*STREAMS_IN, interface.output)
    ]
    newline = "\n"
    return f"""// Written by tb.wrapper.
module {TOP};
    logic clk /*verilator public_flat_rw*/ = 0;
{newline.join(signals)}
    {interface.top} core (
        .clk(clk),
{connections}
    );
    logic [{CYCLE.width - 1}:0] cycle = 0;
    always @(posedge clk) cycle <= cycle + 1;
{newline.join(toggles)}
    logic [31:0] ends /*verilator public_flat_rw*/ = 0;
    logic [63:0] idle = 0;
    logic stuck /*verilator public_flat_rw*/ = 0;
    always @(posedge clk) begin
        idle <= (rst || {" || ".join(active)}) ? 0 : idle + 1;
        if (idle == {watchdog_cycles}) stuck <= 1;
    end
{newline.join(opened)}
{newline.join(written)}
endmodule
"""


def _toggle(name: str, transfer: str) -> str:
    return (
        f"    logic {name}_toggle /*verilator public_flat_rw*/ = 0;\n"
        f"    always @(posedge clk) if (!rst && {transfer}) {name}_toggle <= ~{name}_toggle;"
    )


def _write(index: int, log: Log) -> str:
    values = ", ".join(column.expression for column in log.columns)
    line = "%h" * len(log.columns)
    # Progress is read off the file of the ends while the simulation runs.
    counted = f" $fflush(file_{index}); ends <= ends + 1;" if log.name == ENDS else ""
    return (
        f"    always @(posedge clk) if (!rst && {log.valid}) begin"
        f' $fwrite(file_{index}, "{line}\\n", {values});{counted} end'
    )


def write_shell(interface: Interface) -> str:
    """Return the Verilog of module `shell`: the core without its trace ports, for `tb.batch`.

    Its ports are the core's, with single underscores. All that is no stream passes a register on
    its way in: a model evaluates what depends on an input twice a cycle, and everything depends on
    `rst`.
    """
    ports = [port for port in interface.ports.values() if not port.name.startswith("trace")]
    lines, connections = [], []
    for port in ports:
        name = port.name.replace("__", "_")
        lines.append(f"    {port.direction} logic [{port.width - 1}:0] {name}")
        held = port.direction == "input" and port.name != "clk" and "__" not in port.name
        connections.append(f"        .{port.name}({'held_' if held else ''}{name})")
    registers = [
        f"    logic [{port.width - 1}:0] held_{port.name};\n"
        f"    always @(posedge clk) held_{port.name} <= {port.name};"
        for port in ports
        if f"        .{port.name}(held_{port.name})" in connections
    ]
    listed, newline = ",\n", "\n"
    return f"""// Written by tb.wrapper.
module {SHELL} (
{listed.join(lines)}
);
{newline.join(registers)}
    {interface.top} core (
{listed.join(connections)}
    );
endmodule
"""
