"""The proof that two netlists of an ECP5 do the same, with a model of one of its cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rtl.verilog.yosys import run_yosys


def prove_equal(
    folder: Path, before: dict[str, Any], after: dict[str, Any], model: str, cycles: int
) -> None:
    """Prove that the module `design` of two of Yosys' JSON gives the same for every input over so
    many cycles, all registers starting with 0; `model` is the cell in Verilog.
    """
    (folder / "model.v").write_text(model)
    for name, netlist in (("before", before), ("after", after)):
        design = {"design": netlist["modules"]["design"]}
        (folder / f"{name}.json").write_text(json.dumps({"modules": design}))
        run_yosys(
            folder,
            f"read_json {name}.json",
            "read_verilog model.v",
            "read_verilog -nooverwrite +/lattice/cells_sim_ecp5.v",
            "hierarchy -top design",
            "setattr -mod -unset whitebox -unset lib_whitebox =*",
            *("proc", "flatten", "opt", "memory", "opt -full", "async2sync"),
            f"rename design {name}",
            f"write_rtlil {name}.il",
        )
    run_yosys(
        folder,
        "read_rtlil before.il",
        "read_rtlil after.il",
        "miter -equiv -flatten before after both",
        f"sat -verify -set-init-zero -prove trigger 0 -seq {cycles} both",
    )
