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
    toggles = [
        _toggle(stream.split("_")[1], f"{stream}__valid && {stream}__ready")
        for stream in (*STREAMS_IN, interface.output)
    ]
    of_ends = next(log.valid for log in logs if log.name == ENDS)
    newline = "\n"
    return f"""// Written by tb.wrapper.
module {TOP};
    logic clk /*verilator public_flat_rw*/ = 0;
{newline.join(signals)}
    {interface.top} core (
        .clk(clk),
{connections}
    );
{newline.join(toggles)}
    logic [31:0] ends /*verilator public_flat_rw*/ = 0;
    always @(posedge clk) if (!rst && {of_ends}) ends <= ends + 1;
    logic [63:0] idle = 0;
    logic stuck /*verilator public_flat_rw*/ = 0;
    always @(posedge clk) begin
        idle <= (rst || {" || ".join(active)}) ? 0 : idle + 1;
        if (idle == {watchdog_cycles}) stuck <= 1;
    end
{_write_logs(logs)}
endmodule
"""


def _toggle(name: str, transfer: str) -> str:
    return (
        f"    logic {name}_toggle /*verilator public_flat_rw*/ = 0;\n"
        f"    always @(posedge clk) if (!rst && {transfer}) {name}_toggle <= ~{name}_toggle;"
    )


def _write_logs(logs: Iterable[Log]) -> str:
    """Return the Verilog that writes logs into the folder that the argument `+logs=` names."""
    opened, written, closed = [], [], []
    for i, log in enumerate(logs):
        values = ", ".join(column.expression for column in log.columns)
        line = "%h" * len(log.columns)
        opened.append(f'        file_{i} = $fopen({{folder, "/{log.file}"}}, "w");')
        closed.append(f"        $fclose(file_{i});")
        written.append(
            f"    integer file_{i};\n    always @(posedge clk) if (!rst && {log.valid})"
            f' $fwrite(file_{i}, "{line}\\n", {values});'
        )
    newline = "\n"
    return f"""    logic [{CYCLE.width - 1}:0] cycle = 0;
    always @(posedge clk) cycle <= cycle + 1;
{newline.join(written)}
    string folder;
    initial begin
        if (!$value$plusargs("logs=%s", folder)) folder = ".";
{newline.join(opened)}
    end
    final begin
{newline.join(closed)}
    end"""


def write_shell(interface: Interface, logs: Iterable[Log] = (), *, traces: bool = False) -> str:
    """Return the Verilog of module `shell`: the core, its trace ports only if `traces`, for
    `tb.compiled`. It writes `logs`, which may be of trace ports.

    Its ports are the core's, with single underscores. All that is no stream passes a register on
    its way in: a model evaluates what depends on an input twice a cycle, and everything depends on
    `rst`.
    """
    ports, body, connections = [], [], []
    for port in interface.ports.values():
        bits, inner = f"[{port.width - 1}:0]", port.name
        if port.name.startswith("trace") and not traces:
            body.append(f"    wire {bits} {inner};")
        else:
            outer = port.name.replace("__", "_")
            ports.append(f"    {port.direction} logic {bits} {outer}")
            if outer != inner:
                pair = (inner, outer) if port.direction == "input" else (outer, inner)
                body += [f"    wire {bits} {inner};", "    assign {} = {};".format(*pair)]
            elif port.direction == "input" and port.name != "clk":
                inner = f"held_{outer}"
                body += [
                    f"    logic {bits} {inner};",
                    f"    always @(posedge clk) {inner} <= {outer};",
                ]
        connections.append(f"        .{port.name}({inner})")
    logs, listed, newline = list(logs), ",\n", "\n"
    return f"""// Written by tb.wrapper.
module {SHELL} (
{listed.join(ports)}
);
{newline.join(body)}
    {interface.top} core (
{listed.join(connections)}
    );
{_write_logs(logs) if logs else ""}
endmodule
"""
