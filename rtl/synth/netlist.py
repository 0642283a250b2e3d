"""Check a core's netlist for what a flow to a chip refuses, and list its memory macros."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import click

from golden.command_line import Command
from golden.errors import UserError, report_user_errors
from golden.files import scratch_folder
from golden.hardware.core import CoreParams
from golden.hardware.memory import READ_PORTS
from golden.interface import read_verilog
from golden.manifest import read_core
from golden.table import table
from rtl.verilog.generate import TOP
from rtl.verilog.yosys import read_netlist, run_yosys

LATCHES = ("$dlatch", "$adlatch", "$dlatchsr", "$sr")
ASYNCHRONOUS = ("$adff", "$adffe", "$aldff", "$aldffe", "$dffsr", "$dffsre")
UNCLOCKED = ("drives",)  # a short queue whose head must be there at once: a register file


@dataclass(frozen=True, order=True)
class Macro:
    """A memory of `depth` words: one port that writes, and `reads` that read, with a clock or, as
    small register files do, without one.
    """

    part: str
    depth: int
    width: int
    reads: int
    clocked: bool = True


def expected_macros(core: CoreParams) -> dict[str, Macro]:
    """Return the memory macros of a core by the names of `golden.hardware`, the segments of a deep
    one and further copies numbered.

    A memory of one word is a register, and so are the scalars and the first word of a queue of
    masks.
    """
    found = {}
    for part, hardware in core.parts.items():
        for name, memory in (hardware.memories | hardware.buffers).items():
            depths = [memory.depth - (name == "masks")]
            if name in hardware.memories:
                depths = memory.segments
            kinds = product(enumerate(hardware.copies(name)), enumerate(depths))
            for (copy, reads), (index, depth) in kinds:
                if depth > 1 and name != "scalars":
                    where = f"{part}.{name}" + (f"[{index}]" if len(depths) > 1 else "")
                    where += f" (copy {copy})" if copy else ""
                    clocked = name not in UNCLOCKED
                    found[where] = Macro(part, depth, memory.width, reads, clocked)
    return found


def read_macros(verilog: Path, top: str = TOP) -> dict[str, Macro]:
    """Return the memories of a core's netlist by their paths in it.

    Raises
    ------
    UserError
        The netlist has a latch, a register with an asynchronous input, a combinational loop, a wire
        with several drivers or none, or a memory that has not one write port and at most
        `READ_PORTS` read ports.
    """
    text = read_verilog(verilog)
    refused = " ".join(f"t:{kind}" for kind in (*LATCHES, *ASYNCHRONOUS))
    with scratch_folder() as scratch:
        (scratch / "core.v").write_text(text)
        run_yosys(
            scratch,
            "read_verilog core.v",
            f"hierarchy -check -top {top}",
            "proc",
            "flatten",
            f"tee -o refused.txt select -list {refused}",
            "tee -o problems.txt check",
            "opt",
            "memory -nomap",
            "write_json netlist.json",
        )
        cells = (scratch / "refused.txt").read_text().split()
        problems = (scratch / "problems.txt").read_text()
        netlist = read_netlist(scratch / "netlist.json")
    if cells:
        raise UserError(f"{verilog} has a latch, or a register without a clock: {cells[0]}")
    warnings = re.findall(r"Warning: (.*?):?$", problems, re.M)
    if warnings:
        raise UserError(f"{verilog}: Yosys finds {warnings[0]}")
    cells = netlist["modules"][top]["cells"]
    return {
        name: _macro(name, {key: int(value, 2) for key, value in cell["parameters"].items()
                            if set(value) <= {"0", "1"}})
        for name, cell in cells.items()
        if cell["type"] == "$mem_v2"
    }  # fmt: skip


def _macro(name: str, given: dict[str, int]) -> Macro:
    reads, writes = given["RD_PORTS"], given["WR_PORTS"]
    if writes != 1 or reads > READ_PORTS:
        raise UserError(
            f"memory {name} has {writes} write and {reads} read ports: no macro can be that"
        )
    clocked = given["RD_CLK_ENABLE"] == (1 << reads) - 1
    return Macro(name.split(".")[0], given["SIZE"], given["WIDTH"], reads, clocked)


def check_netlist(verilog: Path, core: CoreParams) -> dict[str, Macro]:
    """Return the macros of a core, or raise `UserError` where its netlist is refused (see
    `read_macros`) or has other memories than its parameters say.
    """
    expected = expected_macros(core)
    found = Counter(read_macros(verilog).values())
    wanted = Counter(expected.values())
    for macro in [*(found - wanted), *(wanted - found)]:
        raise UserError(
            f"{macro.part} has {found[macro]} memories of {macro.depth} words of {macro.width} bits"
            f" with {macro.reads} read ports{'' if macro.clocked else ' without a clock'}: its"
            f" parameters ask for {wanted[macro]}"
        )
    return expected


def list_macros(macros: dict[str, Macro]) -> list[str]:
    """Return the lines of a table of macros: how many of each shape, and which they are."""
    shapes: dict[Macro, list[str]] = {}
    for name, macro in macros.items():
        shapes.setdefault(replace(macro, part=""), []).append(name)
    header = ("words", "bits", "read ports", "write ports", "count", "memories")
    rows = []
    for shape, names in sorted(shapes.items(), reverse=True):
        kind = "" if shape.clocked else " (read without a clock: a register file)"
        listed = ", ".join(names) + kind
        rows.append((shape.depth, shape.width, shape.reads, 1, len(names), listed))
    bits = sum(macro.depth * macro.width for macro in macros.values())
    return [
        table(header, rows, left=[5]),
        f"{len(macros)} memories of {len(shapes)} shapes, {bits} bits",
    ]


@click.command(cls=Command)
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option(
    "--verilog",
    type=click.Path(path_type=Path),
    help="The core's Verilog [default: beside the manifest]",
)
@report_user_errors
def main(manifest: Path, verilog: Path | None) -> None:
    """Check the netlist of the core that MANIFEST describes and print the memory macros it needs.

    It has no latch, no combinational loop and no memory that is not one of the list.
    """
    core, _ = read_core(manifest)
    verilog = verilog or manifest.parent / f"{core.network.name}.v"
    print("\n".join(list_macros(check_netlist(verilog, core))))
