"""Registers that move into block RAMs: the netlist does the same in every cycle, with a model of
the block RAM's ports and registers that is written from its data sheet.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rtl.synth.devices import DEVICES
from rtl.synth.dsp_registers import REGISTER
from rtl.synth.ram_registers import BLOCK_RAM, move_into_rams
from rtl.verilog.yosys import run_yosys
from tests.equal_netlists import prove_equal

CYCLES = 5  # a word is written, read, registered, and shown, and one more
HEAD = """
    (* ram_style = "block", no_rw_check *) reg [{last}:0] words [0:{depth}];
    reg [{last}:0] found, q;
    always @(posedge clk) begin
        if (write) words[wa[{bits}:0]] <= {{2{{d}}}};
        if (read) found <= words[ra[{bits}:0]];
    end
"""
NARROW = HEAD.format(last=17, depth=1023, bits=9)
WIDE = HEAD.format(last=35, depth=511, bits=8)
# What is behind a memory, how many registers move, and how many ports have them.
DESIGNS = {
    "a register": (NARROW + "always @(posedge clk) q <= found; assign o = q;", 18, 1),
    "a register with an enable": (
        NARROW + "always @(posedge clk) if (e) q <= found; assign o = q;", 18, 1),
    "a wide word": (WIDE + "always @(posedge clk) if (e) q <= found; assign o = q;", 36, 2),
    "what is read is used at once": (
        NARROW + "always @(posedge clk) q <= found; assign o = q ^ found;", 0, 0),
    "what is read leaves as well": (
        NARROW + "always @(posedge clk) q <= found; assign o = {q, found};", 0, 0),
    "a register that is reset": (
        NARROW + "always @(posedge clk) if (rst) q <= 0; else q <= found; assign o = q;", 0, 0),
    "two enables": (
        NARROW + "always @(posedge clk) begin if (e) q[8:0] <= found[8:0];"
        " if (~e) q[17:9] <= found[17:9]; end assign o = q;", 0, 0),
    "logic before the register": (
        NARROW + "always @(posedge clk) q <= found ^ {18{rst}}; assign o = q;", 0, 0),
}  # fmt: skip


def model() -> str:
    """Return the block RAM in Verilog, of two words, which are told by the parity of addresses."""
    inputs = [f"{kind}{i}" for kind in ("DIA", "DIB") for i in range(18)]
    inputs += [f"{kind}{i}" for kind in ("ADA", "ADB") for i in range(14)]
    inputs += [f"{kind}{port}" for kind in ("CE", "CLK", "OCE", "RST", "WE") for port in "AB"]
    inputs += [f"CS{port}{i}" for port in "AB" for i in range(3)]
    outputs = [f"{kind}{i}" for kind in ("DOA", "DOB") for i in range(18)]
    texts = ["ASYNC_RESET_RELEASE", "GSR", "RESETMODE", "WRITEMODE_A", "WRITEMODE_B"]
    texts += [f"{kind}_{port}" for kind in ("CSDECODE", "REGMODE") for port in "AB"]
    texts += [f"CLK{port}MUX" for port in "AB"]
    parameters = [f'{name} = ""' for name in texts] + [f"DATA_WIDTH_{port} = 18" for port in "AB"]
    parameters += [f"INITVAL_{i:02X} = 0" for i in range(64)]

    def joined(letter: str, width: int) -> str:
        return "{" + ", ".join(f"{letter}{i}" for i in reversed(range(width))) + "}"

    return f"""
        module {BLOCK_RAM} #(parameter {", ".join(parameters)})
            (input {", ".join(inputs)}, output {", ".join(outputs)});
        reg [35:0] words [0:1]; reg [35:0] seen = 0, kept = 0; reg [17:0] seen_a = 0, kept_a = 0;
        wire a = ^{joined("ADA", 14)}, b = ^{joined("ADB", 14)};
        wire wide = DATA_WIDTH_B == 36;
        initial begin words[0] = 0; words[1] = 0; end
        always @(posedge CLKA) if (CEA) begin
            if (WEA) words[a] <= {{{joined("DIB", 18)}, {joined("DIA", 18)}}};
            seen_a <= words[a][17:0];
        end
        always @(posedge CLKA) if (OCEA) kept_a <= seen_a;
        always @(posedge CLKB) if (CEB) seen <= words[b];
        always @(posedge CLKB) if (OCEB) kept <= seen;
        wire [17:0] low = REGMODE_B == "OUTREG" ? kept[17:0] : seen[17:0];
        wire [17:0] high = REGMODE_B == "OUTREG" ? kept[35:18] : seen[35:18];
        wire [17:0] of_a = REGMODE_A == "OUTREG" ? kept_a : seen_a;
        assign {joined("DOA", 18)} = wide ? low : of_a;
        assign {joined("DOB", 18)} = wide ? high : low;
        endmodule
    """


@pytest.mark.parametrize("name", DESIGNS)
def test_a_folded_netlist_does_the_same(name: str, tmp_path: Path) -> None:
    """For every input over more cycles than there are registers behind one another."""
    body, expected, ports = DESIGNS[name]
    width = 36 if ports == 2 or "{q, found}" in body else 18
    (tmp_path / "design.v").write_text(
        "module design(input clk, rst, e, read, write, input [9:0] wa, ra, input [17:0] d,"
        f" output [{width - 1}:0] o);\n{body}\nendmodule\n"
    )
    synthesis = DEVICES["ecp5-85k"].synthesis
    run_yosys(
        tmp_path, "read_verilog design.v", f"{synthesis} -top design", "write_json before.json"
    )
    before = json.loads((tmp_path / "before.json").read_text())
    after = copy.deepcopy(before)
    moved = move_into_rams(after["modules"]["design"])

    def cells(netlist: dict[str, Any], kind: str) -> list[dict[str, Any]]:
        return [c for c in netlist["modules"]["design"]["cells"].values() if c["type"] == kind]

    assert moved == expected == len(cells(before, REGISTER)) - len(cells(after, REGISTER))
    (memory,) = cells(after, BLOCK_RAM)
    modes = Counter(memory["parameters"].get(f"REGMODE_{port}") for port in "AB")
    assert modes["OUTREG"] == ports
    prove_equal(tmp_path, before, after, model(), CYCLES)
