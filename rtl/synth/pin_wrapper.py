"""A top that places a core alone, to find its clock, whatever pins the device has: shift registers
on five of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PINS_TOP = "dmp_core_pins"
PREFIX = "pins_"  # of what is the wrapper's


def wrap_in_pins(ports: Sequence[Mapping[str, Any]], top: str) -> str:
    """Return Verilog of `PINS_TOP`: the module `top`, as the instance `core`, with five pins.

    Every input but `clk` and `rst` is a bit of a register that shifts in `pins_i`; every output is
    loaded into another one while `pins_load` is high, which shifts out through `pins_o`. So
    synthesis can leave out nothing of the core, and all paths of the core are from register to
    register. It adds a flip-flop a bit of a port and a LUT a bit of an output.

    Parameters
    ----------
    ports
        Those of `ports.json`: `name`, `direction` and `width`.
    """
    wires = [port for port in ports if port["name"] not in ("clk", "rst")]
    widths = {
        direction: sum(port["width"] for port in wires if port["direction"] == direction)
        for direction in ("input", "output")
    }
    joined = {
        direction: ", ".join(port["name"] for port in wires if port["direction"] == direction)
        for direction in widths
    }
    declared = "\n".join(f"  wire [{port['width'] - 1}:0] {port['name']};" for port in wires)
    connected = ", ".join(f".{port['name']}({port['name']})" for port in ports)
    pins = "input clk, input rst, input pins_i, input pins_load, output pins_o"
    return f"""module {PINS_TOP}({pins});
{declared}
  reg [{widths["input"] - 1}:0] pins_inputs;
  reg [{widths["output"] - 1}:0] pins_outputs;
  assign {{{joined["input"]}}} = pins_inputs;
  assign pins_o = pins_outputs[{widths["output"] - 1}];
  always @(posedge clk) begin
    pins_inputs <= {{pins_inputs, pins_i}};
    pins_outputs <= pins_load ? {{{joined["output"]}}} : {{pins_outputs, 1'b0}};
  end
  {top} core({connected});
endmodule
"""
