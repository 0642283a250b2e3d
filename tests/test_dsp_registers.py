"""Registers that move into multipliers: the netlist does the same in every cycle, with a model of
the multiplier that is written from its data sheet.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rtl.synth.devices import DEVICES
from rtl.synth.dsp_registers import (
    FACTOR_WIDTH,
    MULTIPLIER,
    PRODUCT_WIDTH,
    REGISTER,
    move_registers,
)
from rtl.verilog.yosys import run_yosys
from tests.equal_netlists import prove_equal

WIDTH = 4
CYCLES = 4  # one more than there are registers behind one another

# Where the registers are, what uses them beside the multiplier, and how many move.
DESIGNS = {
    "all": ("""
        reg signed [3:0] x, y; reg signed [7:0] z;
        always @(posedge clk) if (rst) begin x <= 0; y <= 0; z <= 0; end
            else begin x <= a; y <= b; z <= x * y; end
        assign o = z;""", 16, {"INPUTA", "INPUTB", "OUTPUT"}),
    "a factor is read elsewhere": ("""
        reg signed [3:0] x, y; reg signed [7:0] z;
        always @(posedge clk) if (rst) begin x <= 0; y <= 0; z <= 0; end
            else begin x <= a; y <= b; z <= x * y; end
        assign o = z + x;""", 12, {"INPUTA", "INPUTB", "OUTPUT"}),
    "the product is read at once": ("""
        reg signed [3:0] x, y; reg signed [7:0] z;
        always @(posedge clk) if (rst) begin x <= 0; y <= 0; z <= 0; end
            else begin x <= a; y <= b; z <= x * y; end
        assign o = z ^ (x * y);""", 8, {"INPUTA", "INPUTB"}),
    "one factor has no register": ("""
        reg signed [3:0] x; reg signed [7:0] z;
        always @(posedge clk) if (rst) begin x <= 0; z <= 0; end
            else begin x <= a; z <= x * b; end
        assign o = z;""", 8, {"OUTPUT"}),
    "registers that are never reset": ("""
        reg signed [3:0] x, y; reg signed [7:0] z;
        always @(posedge clk) begin x <= a; if (rst) y <= 0; else y <= b; z <= x * y; end
        assign o = z;""", 16, {"INPUTA", "INPUTB", "OUTPUT"}),
    "registers that are enabled, or reset to 1": ("""
        reg signed [3:0] x, y; reg signed [7:0] z;
        always @(posedge clk) begin
            if (rst) x <= 0; else if (a[0]) x <= a;
            if (rst) y <= 1; else y <= b;
            if (rst) z <= 0; else z <= x * y;
        end
        assign o = z;""", 8, {"OUTPUT"}),
    "two multipliers behind one another": ("""
        reg signed [3:0] x, y; reg signed [7:0] z; reg signed [11:0] w;
        always @(posedge clk) if (rst) begin x <= 0; y <= 0; z <= 0; w <= 0; end
            else begin x <= a; y <= b; z <= x * y; w <= z * a; end
        assign o = w[11:4] ^ w[7:0];""", 28, {"INPUTA", "INPUTB", "OUTPUT"}),
}  # fmt: skip


def model() -> str:
    """Return the multiplier in Verilog: each register of it is there where its clock is named."""
    factors = [f"{f}{i}" for f in "AB" for i in range(FACTOR_WIDTH)]
    others = [f"C{i}" for i in range(FACTOR_WIDTH)]
    controls = [f"{kind}{i}" for kind in ("CLK", "CE", "RST") for i in range(4)]
    signs = ["SIGNEDA", "SIGNEDB", "SOURCEA", "SOURCEB"]
    products = [f"P{i}" for i in range(PRODUCT_WIDTH)]
    names = [f"REG_{s}_{k}" for s in ("INPUTA", "INPUTB", "OUTPUT") for k in ("CLK", "CE", "RST")]
    parameters = ", ".join(f'{n} = "NONE"' for n in [*names, "RESETMODE", "GSR"])

    def joined(letter: str, width: int) -> str:
        return "{" + ", ".join(f"{letter}{i}" for i in reversed(range(width))) + "}"

    stages = "".join(
        f"reg [{width - 1}:0] {s}_q = 0; wire [{width - 1}:0] {s}_d = {value};\n"
        f'wire {s}_rst = REG_{s}_RST == "RST1" ? RST1 : RST0;\n'
        f'wire {s}_ce = REG_{s}_CE == "CE1" ? CE1 : CE0;\n'
        f"always @(posedge CLK0) if ({s}_rst) {s}_q <= 0; else if ({s}_ce) {s}_q <= {s}_d;\n"
        f'wire [{width - 1}:0] {s} = REG_{s}_CLK == "NONE" ? {s}_d : {s}_q;\n'
        for s, width, value in (
            ("INPUTA", FACTOR_WIDTH, joined("A", FACTOR_WIDTH)),
            ("INPUTB", FACTOR_WIDTH, joined("B", FACTOR_WIDTH)),
            (
                "OUTPUT", PRODUCT_WIDTH,
                "$signed({SIGNEDA & INPUTA[17], INPUTA}) * $signed({SIGNEDB & INPUTB[17], INPUTB})",
            ),
        )
    )  # fmt: skip
    inputs = ", ".join([*factors, *others, *controls, *signs])
    return (
        f"module {MULTIPLIER} #(parameter {parameters})"
        f"(input {inputs}, output {', '.join(products)});"
        f"\n{stages}assign {joined('P', PRODUCT_WIDTH)} = OUTPUT;\nendmodule\n"
    )


@pytest.mark.parametrize("name", DESIGNS)
def test_a_folded_netlist_does_the_same(name: str, tmp_path: Path) -> None:
    """For every input over more cycles than there are registers behind one another."""
    body, expected, stages = DESIGNS[name]
    (tmp_path / "design.v").write_text(
        "module design(input clk, input rst, input signed [3:0] a, b, output [7:0] o);\n"
        f"{body}\nendmodule\n"
    )
    synthesis = DEVICES["ecp5-85k"].synthesis
    run_yosys(
        tmp_path, "read_verilog design.v", f"{synthesis} -top design", "write_json before.json"
    )
    before = json.loads((tmp_path / "before.json").read_text())
    after = copy.deepcopy(before)
    moved = move_registers(after["modules"]["design"])

    def registers(netlist: dict[str, Any]) -> int:
        return Counter(c["type"] for c in netlist["modules"]["design"]["cells"].values())[REGISTER]

    assert moved == expected == registers(before) - registers(after)
    found: set[str] = set()
    for cell in after["modules"]["design"]["cells"].values():
        if cell["type"] == MULTIPLIER:
            clocks = [key for key in cell["parameters"] if key.endswith("_CLK")]
            found |= {key.split("_")[1] for key in clocks}
    assert found == stages
    prove_equal(tmp_path, before, after, model(), CYCLES)
