"""Synthesize a core to the gates of a technology, with Yosys."""

from __future__ import annotations

from pathlib import Path

from energy.netlist import MEMORY, Netlist, read_gates
from energy.technology import REGISTER_BITS, REGISTER_WORDS, Technology
from golden.interface import read_verilog
from rtl.verilog.generate import TOP
from rtl.verilog.yosys import read_netlist, run_yosys

GATED = 3  # registers with the same enable, from which a clock gate saves energy
CELLS, ENABLES = "cells.lib", "enables.v"
KINDS = ("$_DFF_P_", "$_DFFE_PP_", "$_SDFF_PP?_", "$_SDFFE_PP?P_", "$_SDFFCE_PP?P_")
# A register whose enable lets its reset pass too.
ENABLE_OF_BOTH = """
module \\$_SDFFE_PP{value}P_ (input D, C, R, E, output Q);
  wire either;
  \\$_OR_ both (.A(E), .B(R), .Y(either));
  \\$_SDFFCE_PP{value}P_ register (.D(D), .C(C), .R(R), .E(either), .Q(Q));
endmodule
"""


def liberty_text(technology: Technology) -> str:
    """Return the Liberty file that Yosys maps to: functions, areas and capacitances, no times."""
    cells = "\n".join(
        _cell_text(technology, name) for name in technology.cells if name != technology.gate
    )
    return f'library (cells) {{\n capacitive_load_unit (1, ff);\n time_unit : "1ns";\n{cells}\n}}\n'


def _cell_text(technology: Technology, name: str) -> str:
    cell = technology.cells[name]
    lines = [f" cell ({name}) {{", f"  area : {cell.area};"]
    function = cell.function
    if name == technology.register:
        function = "IQ"
        lines.append(
            f'  ff (IQ, IQN) {{ clocked_on : "{cell.clock}"; next_state : "{cell.data}"; }}'
        )
    for pin, given in cell.inputs.items():
        clock = " clock : true;" if pin == cell.clock else ""
        lines.append(
            f"  pin ({pin}) {{ direction : input; capacitance : {given.capacitance};{clock} }}"
        )
    lines.append(f'  pin ({cell.output}) {{ direction : output; function : "{function}"; }}')
    return "\n".join([*lines, " }"])


def synthesize(verilog: Path, technology: Technology, folder: Path, top: str = TOP) -> Netlist:
    """Return a core in gates, synthesized in `folder`.

    Modules are synthesized one by one, so that every gate is in one of them; constants and unused
    ports pass between them before that. Small memories become registers (`becomes_registers`).
    Registers start undefined: what the Verilog says of them before the reset is left out.
    """
    gate = technology.cells[technology.gate]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "core.v").write_text(read_verilog(verilog))
    (folder / CELLS).write_text(liberty_text(technology))
    (folder / ENABLES).write_text("".join(ENABLE_OF_BOTH.format(value=v) for v in (0, 1)))
    run_yosys(
        folder,
        *("read_verilog core.v", f"hierarchy -check -top {top}", "proc"),
        "setattr -unset init w:*",
        *("opt_expr", "opt_clean", "opt -nodffe -nosdff", "wreduce", "peepopt", "opt_clean"),
        *("booth", "alumacc", "share", "opt", "memory -nomap", "opt_clean"),
        *("opt_hier", "opt", "opt_hier", "opt -fast -full"),
        f"memory_map t:{MEMORY} r:SIZE<={REGISTER_WORDS} %i",
        *(
            f"memory_map t:{MEMORY} r:WIDTH={width} %i r:SIZE<={REGISTER_BITS // width} %i"
            for width in range(1, -(-REGISTER_BITS // REGISTER_WORDS))
        ),
        *("opt -undriven -fine", "techmap", "opt -fast", "opt"),
        # A clock gate takes no enable that a reset goes before: it becomes the enable of both.
        f"dfflegalize {' '.join(f'-cell {kind} 01' for kind in KINDS)}",
        *(f"techmap -map {ENABLES}", "opt_merge"),
        *(f"dfflegalize -cell {KINDS[0]} 01 -cell {KINDS[1]} 01", "opt_clean"),
        f"clockgate -pos {technology.gate} {gate.data}:{gate.clock}:{gate.output}"
        f" -min_net_size {GATED}",
        *(f"dfflibmap -liberty {CELLS}", "opt", f"abc -liberty {CELLS}", "opt_clean"),
        *("flatten -noscopeinfo", "opt_clean -purge", "write_json netlist.json"),
    )
    return read_gates(read_netlist(folder / "netlist.json")["modules"][top], technology)
