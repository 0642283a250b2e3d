"""Check that a generated core synthesizes: block RAMs, multipliers, logic on an ECP5."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import click

from golden.errors import UserError, report_user_errors
from rtl.generate import TOP, run_yosys

BLOCK_RAM, MULTIPLIER = "DP16KD", "MULT18X18D"


def synthesize_ecp5(verilog: Path) -> dict[str, int]:
    """Run Yosys' synth_ecp5 on a generated core and return how many cells of each type it needs."""
    if not verilog.exists():
        raise UserError(f"no Verilog {verilog}: generate it first (make rtl)")
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(verilog, Path(scratch) / "core.v")
        run_yosys(
            Path(scratch),
            "read_verilog core.v",
            f"synth_ecp5 -top {TOP} -abc9",
            "tee -q -o stat.json stat -json",
        )
        statistics = json.loads((Path(scratch) / "stat.json").read_text())
    cells = statistics["design"].get("num_cells_by_type", {})
    return {name: int(count) for name, count in sorted(cells.items())}


@click.command()
@click.argument("verilog", type=click.Path(path_type=Path))
@report_user_errors
def main(verilog: Path) -> None:
    """Synthesize VERILOG for an ECP5 and print its cells."""
    cells = synthesize_ecp5(verilog)
    logic = {"LUT4": "LUTs", "TRELLIS_FF": "flip-flops", "TRELLIS_DPR16X4": "distributed RAMs",
             BLOCK_RAM: "block RAMs", MULTIPLIER: "multipliers"}  # fmt: skip
    for cell, meaning in logic.items():
        print(f"{meaning:>16}: {cells.get(cell, 0):6d}  ({cell})")


if __name__ == "__main__":
    main()
