"""Products of an ECP5 that are LUTs, where a core has more of them than the device multipliers."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from golden.errors import UserError
from rtl.verilog.yosys import run_yosys

# A multiplication of Yosys' netlist in text: its cell, then the widths of its factors.
_PRODUCT = re.compile(r"^  cell \$mul (\S+)\n((?:    parameter .*\n)+)", re.M)
_WIDTH = re.compile(r"parameter \\[AB]_WIDTH (\d+)")


def build_in_luts(folder: Path, source: str, top: str, count: int) -> str:
    """Turn `count` products of a Verilog file of `folder` into LUTs (`lut_product.v`): the smallest
    ones, of the last parts where they are equal. Return the name of the flat netlist of Yosys,
    beside it, whose other products are left for multipliers.

    Raises
    ------
    UserError
        There are fewer products.
    """
    run_yosys(
        folder, f"read_verilog {source}", f"hierarchy -check -top {top}", "proc", "flatten",
        "opt_expr", "opt_clean", "wreduce t:$mul", "opt_clean", "write_rtlil flat.il",
    )  # fmt: skip
    text = (folder / "flat.il").read_text()
    sizes = {cell[1]: _size(cell[2]) for cell in _PRODUCT.finditer(text)}
    if count > len(sizes):
        raise UserError(f"{count} products in LUTs: the core has {len(sizes)}")
    order = list(sizes)
    chosen = sorted(order, key=lambda name: (sizes[name], -order.index(name)))[:count]
    for name in chosen:
        text = text.replace(f"  cell $mul {name}\n", f"  cell $__lut_mul {name}\n")
    (folder / "flat.il").write_text(text)
    (folder / "lut_product.v").write_text(files("rtl.synth").joinpath("lut_product.v").read_text())
    run_yosys(folder, "read_rtlil flat.il", "techmap -map lut_product.v", "write_rtlil mapped.il")
    return "mapped.il"


def _size(parameters: str) -> int:
    """Return the bits of a product's rows."""
    a, b = map(int, _WIDTH.findall(parameters))
    return a * b
