"""From a manifest to one Verilog file and a description of its ports."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.lib import data, wiring

from golden.errors import UserError
from golden.hardware import VERSION, CoreParams, EventKind, read_core
from rtl.axi import AxiCore
from rtl.board import BOARDS, BoardCore, Clocking
from rtl.component import Component
from rtl.core import Core
from rtl.names import make_readable
from rtl.register_pages import c_header, markdown
from rtl.streams import LOAD_HEADER, LOAD_ITEM, event_layout, result_layout

TOP = "dmp_core"
AXI_TOP = "dmp_core_axi"
BOARD_TOP = "dmp_core_board"

_YOSYS = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.argv[1:]:
    libyosys.run_pass("tee -q " + command, design)
"""


def run_yosys(folder: Path, *commands: str) -> None:
    """Run Yosys commands in `folder`, in a process of their own, or raise `UserError` with its
    reason. Yosys takes no file name with a space: commands name files of `folder`.
    """
    done = subprocess.run(
        [sys.executable, "-c", _YOSYS, *commands], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        words = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        reasons = [line for line in words if "ERROR" in line] or words[-1:]
        raise UserError(f"Yosys failed: {reasons[0] if reasons else 'it said nothing'}")


def _ports(core: Core) -> list[dict[str, Any]]:
    found = [{"name": name, "direction": "input", "width": 1} for name in ("clk", "rst")]
    for path, member, value in core.signature.flatten(core):
        found.append(
            {
                "name": "__".join(map(str, path)),
                "direction": "input" if member.flow == wiring.In else "output",
                "width": len(value.as_value() if isinstance(value, data.View) else value),
            }
        )
    return found


def _fields(layout: data.StructLayout) -> list[dict[str, Any]]:
    return [
        {
            "name": str(name),
            "offset": field.offset,
            "width": field.width,
            "signed": bool(getattr(field.shape, "signed", False)),
        }
        for name, field in layout
    ]


def describe_ports(core: CoreParams, top: Core, manifest_sha256: str) -> dict[str, Any]:
    """Return what `ports.json` holds: ports, the fields of the streams' payloads (and of the data
    of a `first` item of the load stream, `load_header`), the kinds of events, counters and
    error flags by name.
    """
    first, readout = core.network.layers[0], core.network.readout
    return {
        "top": TOP,
        "manifest_sha256": manifest_sha256,
        "ports": _ports(top),
        "fields": {
            "i_events": _fields(event_layout(first.n_inputs, first.formats.payload.width)),
            "i_load": _fields(LOAD_ITEM),
            "load_header": _fields(LOAD_HEADER),
            "o_results": _fields(result_layout(readout.n_classes, readout.logit_width)),
        },
        "event_kinds": {kind.name: kind.value for kind in EventKind},
        "counters": core.counters,
        "errors": core.errors,
    }


def _write_if_changed(path: Path, content: str) -> None:
    if path.exists() and path.read_text() == content:
        return
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as partial:
        partial.write(content)
    Path(partial.name).chmod(0o644)
    Path(partial.name).rename(path)


def _without_traces_of_yosys(verilog: str) -> str:
    """Return Verilog without the line with Yosys' version, the attributes of wires that follow a
    register, names that must be escaped (of registers for some bits of a word), and wires whose
    only use was optimized away.
    """
    body = verilog.split("\n", 1)[1]
    body = re.sub(r"\\(\w+)\[(\d+)\] ", r"\1_\2", body)
    body = re.sub(r"\\(\w+)\[(\d+):(\d+)\] ", r"\1_\2_\3", body)
    body = re.sub(r"^ *\(\* init = \S+ \*\)\n", "", body, flags=re.M)
    modules = body.split("\nendmodule\n")
    return "\nendmodule\n".join(_without_undriven(text) for text in modules)


def _without_undriven(module: str) -> str:
    """Return a module without wires that nothing drives: what drove them had no use, and only other
    names for them are left.
    """
    uses = Counter(re.findall(r"\w+", module))
    wires = set(re.findall(r"^  wire (?:signed )?(?:\[\d+:0\] )?(\w+);$", module, re.M))
    aliases = re.findall(r"^  assign (\w+) = (\w+)(?: ?\[[\d:]+\])?;$", module, re.M)
    # The declaration, and the name that it is given to, are all there is of them.
    unused = {wire for wire in wires if uses[wire] == 1}
    unused |= {wire for alias in aliases for wire in alias
               if wires.issuperset(alias) and uses[alias[0]] == uses[alias[1]] == 2}  # fmt: skip
    for wire in sorted(unused):
        module = re.sub(rf"^  (?:wire|assign) (?:.* )?{wire}(?: = .*)?;\n", "", module, flags=re.M)
    return module


def _with_known_memories(verilog: str) -> str:
    """Return Verilog in which memories, and what was last read of them, start as 0 in simulators.

    What a core reads before it was written it multiplies by 0, which synthesis may rely on; but to
    a simulator of four values, an unknown number times 0 is unknown.
    """
    modules = verilog.split("\nendmodule\n")
    for index, text in enumerate(modules):
        memories = re.findall(r"^ *reg (?:\[\d+:0\] )?(\w+) \[(\d+):0\];", text, re.M)
        registers = re.findall(r"^ *reg (?:\[\d+:0\] )?(\w+);", text, re.M)
        if not memories + registers:
            continue
        lines = ["`ifndef SYNTHESIS", "  integer simulated_word;", "  initial begin"]
        for name, last in memories:
            lines.append(
                "    for (simulated_word = 0;"
                f" simulated_word <= {last}; simulated_word = simulated_word + 1)"
            )
            lines.append(f"      {name}[simulated_word] = 0;")
        lines += [f"    {name} = 0;" for name in registers]
        modules[index] = "\n".join([text, *lines, "  end", "`endif"])
    return "\nendmodule\n".join(modules)


def _shape_of(core: CoreParams) -> str:
    layers = ", ".join(
        f"{layer.n_inputs} inputs to {layer.n_neurons} neurons with a slow state of {layer.n_state}"
        for layer in core.network.layers
    )
    return f"{layers}, {core.network.readout.n_classes} classes"


def _header(top: str, core: CoreParams, digest: str, options: str) -> str:
    """Return the comment that opens the Verilog: the same for the same manifest and version."""
    hardware = core.hardware
    given = ", ".join(f"{name} {value}" for name, value in asdict(hardware).items())
    command = (
        f"python -m export core {core.network.name} --lanes {hardware.lanes} --block"
        f" {hardware.block} --events-per-cycle {hardware.events_per_cycle}"
        f" --products-per-cycle {hardware.products_per_cycle}"
        f"{' --access-counters' * hardware.access_counters}{' --trace' * hardware.trace}"
    )
    return (
        f"// {top}: the core of network {core.network.name}, by dmp-core {VERSION}.\n"
        f"// Network: {_shape_of(core)}.\n"
        f"// Hardware: {given}.\n"
        f"// SHA-256 of the manifest: {digest}\n"
        f"// Made by: {command} && python -m rtl manifest.json{options}\n"
    )


def _verilog(
    top: Component, name: str, core: CoreParams, digest: str, out: Path, options: str = ""
) -> str:
    """Return the Verilog of a component and all that is in it; `out` is for scratch, `options` are
    those of the command that makes it.
    """
    text = make_readable(rtlil.convert(top, name=name, emit_src=False))
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        (Path(scratch) / "core.il").write_text(text)
        run_yosys(
            Path(scratch),
            "read_rtlil core.il",
            # Registers and assignments only: simulators differ on whether a combinational block is
            # evaluated at time 0.
            "proc -norom",
            # Memories start undefined: what is read before it was written is not used.
            "delete t:$meminit_v2",
            # Copies of a register stay apart if the register says so, not only its wire.
            "setattr -set keep 1 a:keep %ci1:+[Q] t:$*dff* %i",
            "memory_collect",
            *("opt_expr", "opt_merge", "opt_clean", "opt_dff -simple-dffe", "opt_clean"),
            *(
                f"attrmap {mode}-remove generator -remove top -remove amaranth.hierarchy -remove"
                " amaranth.decoding"
                for mode in ("", "-modattr ")
            ),
            "write_verilog core.v",
        )
        body = _without_traces_of_yosys((Path(scratch) / "core.v").read_text())
    return _header(name, core, digest, options) + _with_known_memories(body)


def generate(manifest: Path, out: Path | None = None) -> Path:
    """Write a core's Verilog and `ports.json` into `out` (default: beside the manifest); return the
    Verilog's path.

    Files are only touched when their content changes, and never left half-written.

    Raises
    ------
    UserError
        The manifest is missing, of another version, or describes a core that cannot be built.
    """
    core, _ = read_core(manifest)
    out = out or manifest.parent
    out.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
    top = Core(core)
    verilog = out / f"{core.network.name}.v"
    _write_if_changed(verilog, _verilog(top, TOP, core, digest, out))
    _write_if_changed(
        out / "ports.json", json.dumps(describe_ports(core, top, digest), indent=1) + "\n"
    )
    return verilog


def generate_axi(manifest: Path, out: Path | None = None) -> Path:
    """Write the Verilog of a core within its standard top (`rtl.axi`), and beside it the registers
    as a C header and as a page in Markdown; return the Verilog's path.

    They are called `NAME_axi` and hold the whole core, without trace ports. For the rest see
    `generate`.
    """
    core, _ = read_core(manifest)
    core = replace(core, hardware=replace(core.hardware, trace=False))
    pages = {".h": c_header(core), ".md": markdown(core)}
    out = out or manifest.parent
    out.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
    verilog = out / f"{core.network.name}_axi.v"
    _write_if_changed(verilog, _verilog(AxiCore(core), AXI_TOP, core, digest, out, " --top axi"))
    for suffix, page in pages.items():
        _write_if_changed(verilog.with_suffix(suffix), page)
    return verilog


def generate_board(manifest: Path, clocking: Clocking, out: Path | None = None) -> Path:
    """Write the Verilog of a core on a board (`rtl.board`), beside it the board's pins (LPF) and
    what a host must know (JSON); return the Verilog's path.

    They are called `NAME_BOARD` and hold the whole core, without trace ports. For the rest see
    `generate`; there is a `UserError` too where the board cannot make the clock or the baud rate.
    """
    core, _ = read_core(manifest)
    core = replace(core, hardware=replace(core.hardware, trace=False))
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
    described = {
        **asdict(clocking),
        "device": BOARDS[clocking.board].device,
        "top": BOARD_TOP,
        "clocks_per_bit": clocking.clocks_per_bit,
        "pll": asdict(clocking.pll),
        "manifest_sha256": digest,
    }
    out = out or manifest.parent
    out.mkdir(parents=True, exist_ok=True)
    verilog = out / f"{core.network.name}_{clocking.board.replace('-', '_')}.v"
    options = f" --top {clocking.board} --mhz {clocking.mhz:g} --baud {clocking.baud}"
    top = BoardCore(core, clocking)
    _write_if_changed(verilog, _verilog(top, BOARD_TOP, core, digest, out, options))
    _write_if_changed(verilog.with_suffix(".lpf"), BOARDS[clocking.board].constraints())
    _write_if_changed(verilog.with_suffix(".json"), json.dumps(described, indent=1) + "\n")
    return verilog
