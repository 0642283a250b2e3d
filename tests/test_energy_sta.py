"""The calculator against OpenSTA, on one netlist and one library: leakage, gates, registers and
their clock. Where `sta` is not installed (Debian's package opensta) there is nothing to compare.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from energy.activity import Activity
from energy.calculate import calculate
from energy.netlist import Gate, Netlist
from energy.technology import Cell, Technology, read_technology

REGISTERS = 16
CYCLES = 1_000_000
HERTZ = 1e8
CLOCK, INPUT = 1, 2
THRESHOLDS = "".join(
    f" {what}_threshold_pct_{edge} : {value};"
    for what, value in (
        ("input", 50), ("output", 50), ("slew_lower", 20), ("slew_upper", 80),
    )
    for edge in ("rise", "fall")
)  # fmt: skip
ONCE = '(scalar) { values ("0.1"); }'


def power(energy: float, related: str = "") -> str:
    """Return the power of a pin: as much for a rise as for a fall."""
    tables = "".join(
        f' {edge}_power (e) {{ index_1 ("0.01, 1"); values ("{energy}, {energy}"); }}'
        for edge in ("rise", "fall")
    )
    named = f' related_pin : "{related}";' if related else ""
    return f"internal_power () {{{named}{tables} }}"


def cell_text(name: str, cell: Cell) -> str:
    clocked = bool(cell.clock)
    lines = [f" cell ({name}) {{ area : {cell.area}; cell_leakage_power : {cell.leakage};"]
    if clocked:
        lines.append(f'  ff (S, N) {{ clocked_on : "{cell.clock}"; next_state : "{cell.data}"; }}')
    for pin, given in cell.inputs.items():
        is_clock = pin == cell.clock
        energy = cell.still / 2 if is_clock else given.energy
        more = "clock : true;" if is_clock else ""
        if clocked and not is_clock:
            more = (
                f"timing () {{ related_pin : {cell.clock}; timing_type : setup_rising;"
                f" rise_constraint {ONCE} fall_constraint {ONCE} }}"
            )
        lines.append(
            f"  pin ({pin}) {{ direction : input; capacitance : {given.capacitance}; {more}"
            f" {power(energy)} }}"
        )
    related = cell.clock or " ".join(cell.inputs)
    kind = "timing_type : rising_edge;" * clocked
    function = "S" if clocked else cell.function
    times = ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
    delays = " ".join(f"{what} {ONCE}" for what in times)
    lines += [
        f'  pin ({cell.output}) {{ direction : output; function : "{function}";',
        f'   timing () {{ related_pin : "{related}"; {kind} {delays} }}',
        f"   {power(cell.energy, related)} }}",
    ]
    return "\n".join([*lines, " }"])


def library_text(technology: Technology) -> str:
    head = (
        'library (cells) { delay_model : table_lookup; time_unit : "1ns"; voltage_unit : "1V";'
        ' current_unit : "1mA"; pulling_resistance_unit : "1kohm"; leakage_power_unit : "1nW";'
        f" capacitive_load_unit (1, ff);{THRESHOLDS} operating_conditions (typical) {{ process : 1;"
        f" temperature : 25; voltage : {technology.voltage}; }}"
        " default_operating_conditions : typical;"
        ' power_lut_template (e) { variable_1 : input_transition_time; index_1 ("0.01, 1"); }'
    )
    cells = (
        cell_text(name, cell) for name, cell in technology.cells.items() if name != technology.gate
    )
    return "\n".join([head, *cells, "}"])


def find_nand(technology: Technology) -> str:
    alike = (name for name, cell in technology.cells.items() if cell.function == "!(A*B)")
    return next(alike)


@pytest.mark.long
@pytest.mark.skipif(shutil.which("sta") is None, reason="OpenSTA is not installed")
def test_power_is_that_of_opensta(tmp_path: Path) -> None:
    """Registers that each feed a gate, whose other input is one of the netlist. OpenSTA chooses how
    often a net changes, and its switching power tells that.
    """
    shipped = read_technology()
    name, nand = shipped.register, find_nand(shipped)
    register = replace(shipped.cells[name], changing=shipped.cells[name].still)
    technology = replace(shipped, cells={**shipped.cells, name: register}, wire=0.0)
    gates, verilog = [], []
    for i in range(REGISTERS):
        data, out = 10 + 2 * i, 11 + 2 * i
        gates.append(Gate("", nand, {"A": INPUT, "B": out, "Y": data}))
        gates.append(
            Gate("", name, {register.data: data, register.clock: CLOCK, register.output: out})
        )
        verilog.append(f"wire d{i}; {nand} g{i} (.A(i), .B(q[{i}]), .Y(d{i}));")
        pins = f".{register.data}(d{i}), .{register.clock}(clk), .{register.output}(q[{i}])"
        verilog.append(f"{name} r{i} ({pins});")
    ports = f"input clk, i; output [{REGISTERS - 1}:0] q;"
    (tmp_path / "top.v").write_text(
        f"module top (clk, i, q); {ports}\n{' '.join(verilog)} endmodule"
    )
    (tmp_path / "cells.lib").write_text(library_text(technology))
    (tmp_path / "run.tcl").write_text(
        "read_liberty cells.lib\nread_verilog top.v\nlink_design top\n"
        f"create_clock -period {1e9 / HERTZ} [get_ports clk]\n"
        "set_power_activity -input_ports i -activity 0\nreport_power -digits 9\n"
    )
    done = subprocess.run(
        ["sta", "-no_init", "-no_splash", "-exit", "run.tcl"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    version = subprocess.run(["sta", "-version"], capture_output=True, text=True).stdout
    # 2.0 adds the energies of rise and fall at every transition; later ones take their mean.
    edges = 2 if version.startswith("2.0.") else 1
    found = {
        group: [float(value) for value in re.findall(r"\d\.\d+e[+-]\d+", line)]
        for group, line in re.findall(r"^(Sequential|Combinational) (.*)$", done.stdout, re.M)
    }
    internal = {group: values[0] / edges for group, values in found.items()}
    charges = {
        "Sequential": technology.switching(technology.cells[nand].inputs["B"].capacitance),
        "Combinational": technology.switching(register.inputs[register.data].capacitance),
    }
    moves = {
        group: round(found[group][1] / (REGISTERS * charge * 1e-15 * HERTZ) * CYCLES)
        for group, charge in charges.items()
    }
    assert 0 < moves["Combinational"] < moves["Sequential"] < CYCLES
    transitions = {INPUT: 0}
    for i in range(REGISTERS):
        transitions |= {10 + 2 * i: moves["Combinational"], 11 + 2 * i: moves["Sequential"]}
    activity = Activity(CYCLES, {**transitions}, {(): CYCLES}, {})
    netlist = Netlist({"clk": [CLOCK], "i": [INPUT]}, ["clk", "i"], CLOCK, gates, [])
    energy = calculate(netlist, technology, activity, {})
    watts = 1e-12 / (CYCLES / HERTZ)
    # What the clock's own net charges is no group's in OpenSTA.
    pins = (
        2 * CYCLES * REGISTERS * technology.switching(register.inputs[register.clock].capacitance)
    )
    sequential = energy.of_kind("registers") + energy.of_kind("clock") - pins / 1e3
    switched = {group: found[group][1] for group in found}
    assert sequential * watts == pytest.approx(
        internal["Sequential"] + switched["Sequential"], rel=0.01
    )
    assert energy.of_kind("logic") * watts == pytest.approx(
        internal["Combinational"] + switched["Combinational"], rel=0.01
    )
    leaked = sum(found[group][2] for group in found)
    assert sum(energy.leakage.values()) * 1e-9 == pytest.approx(leaked, rel=1e-4)
