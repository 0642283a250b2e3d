"""From a manifest to one Verilog file and a description of its ports."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib import data, wiring

from golden.files import scratch_folder, write_whole, writing
from golden.hardware.core import CoreParams
from golden.hardware.params import CHOICES, HardwareParams, listed
from golden.interface import PORTS, Field, Interface, Port, interface_text
from golden.manifest import VERSION, digest, read_core
from golden.registers import AXI_TOP, register_map
from rtl.component import Component
from rtl.core import Core
from rtl.host.axi import AxiCore
from rtl.host.board import BOARDS, BoardCore, Clocking
from rtl.streams import LOAD_HEADER, LOAD_ITEM, input_layout, output_layouts
from rtl.verilog.cleanup import (
    with_claims,
    with_comments,
    with_copies_apart,
    with_known_memories,
    without_traces_of_yosys,
)
from rtl.verilog.hierarchy import Hierarchy
from rtl.verilog.register_pages import c_header, markdown
from rtl.verilog.yosys import run_yosys

TOP = "dmp_core"
BOARD_TOP = "dmp_core_board"


def describe(core: CoreParams, top: Core) -> Interface:
    """Return the ports of a core, the fields of its streams, its counters and error flags."""
    ports = [Port(name, "input", 1) for name in ("clk", "rst")]
    for path, member, value in top.signature.flatten(top):
        ports.append(
            Port(
                "__".join(map(str, path)),
                "input" if member.flow == wiring.In else "output",
                len(value.as_value() if isinstance(value, data.View) else value),
            )
        )
    layouts = {
        "i_events": input_layout(core),
        "i_load": LOAD_ITEM,
        "load_header": LOAD_HEADER,
        **output_layouts(core),
    }
    return Interface(
        TOP,
        {port.name: port for port in ports},
        {name: fields_of(layout) for name, layout in layouts.items()},
        core.counters,
        core.errors,
    )


def fields_of(layout: data.StructLayout) -> dict[str, Field]:
    """Return the fields of a stream's items, those of several events by `address_0`, ..."""
    found = {}
    for name, field in layout:
        of: Any = field.shape
        each = [(str(name), 0, of)]
        if isinstance(of, data.ArrayLayout):
            each = [(f"{name}_{n}", part.offset, part.shape) for n, part in of]
        for key, offset, shape in each:
            signed = bool(getattr(shape, "signed", False))
            found[key] = Field(key, field.offset + offset, Shape.cast(shape).width, signed)
    return found


def _write_if_changed(path: Path, content: str) -> None:
    if path.exists() and path.read_text() == content:
        return
    write_whole(path, content)


def _later(hardware: HardwareParams) -> str:
    """Return the options that few cores have."""
    found, usual = "", HardwareParams()
    if hardware.segment_words != usual.segment_words:
        found += f" --segment-words {hardware.segment_words}"
    if hardware.graded != usual.graded:
        found += f" --graded {hardware.graded}"
    if hardware.counters != usual.counters:
        found += f" --counters {hardware.counters}"
    if hardware.list_buffers != usual.list_buffers:
        found += f" --list-buffers {hardware.list_buffers}"
    if hardware.link_items != usual.link_items:
        found += f" --link-items {hardware.link_items}"
    if hardware.input_items != usual.input_items:
        found += f" --input-items {hardware.input_items}"
    return found + " --hold-operands" * hardware.hold_operands


def _shape_of(core: CoreParams) -> str:
    network, readout = core.network, core.network.output
    layers = ", ".join(f"{layer.n_inputs} inputs to {layer.summary}" for layer in network.layers)
    return f"{layers}, {'spikes out' if readout is None else f'{readout.n_classes} classes'}"


def _header(top: str, core: CoreParams, manifest: Path, options: str) -> str:
    """Return the comment that opens the Verilog: the same for the same manifest and version."""
    hardware = core.hardware
    each = {name: listed(getattr(hardware, name), ",") for name in CHOICES}
    given = ", ".join(f"{name} {value}" for name, value in (asdict(hardware) | each).items())
    command = (
        f"dmp rtl {core.network.name} --lanes {each['lanes']} --block"
        f" {hardware.block} --events-per-cycle {each['events_per_cycle']}"
        f" --products-per-cycle {each['products_per_cycle']}"
        f"{' --access-counters' * hardware.access_counters}{' --trace' * hardware.trace}"
        f"{' --reports' * hardware.reports}{_later(hardware)}"
        f"{''.join(f' --ablate {name}' for name in hardware.ablations)}{options}"
    )
    return (
        f"// {top}: the core of network {core.network.name}, by dmp-core {VERSION}.\n"
        f"// Network: {_shape_of(core)}.\n"
        f"// Hardware: {given}.\n"
        f"// SHA-256 of the manifest: {digest(manifest)}\n"
        f"// Made by: {command}\n"
    )


def _verilog(
    top: Component,
    name: str,
    core: CoreParams,
    manifest: Path,
    out: Path,
    options: str = "",
    sources: bool = False,
) -> str:
    """Return the Verilog of a component and all that is in it.

    Parameters
    ----------
    name
        Of the top module.
    out
        A folder for scratch.
    options
        Those of the command that makes it.
    sources
        Keep the lines of Python that each part comes from, as attributes `src`.
    """
    hierarchy = Hierarchy(top, name, sources=sources, claims=core.hardware.trace)
    with writing(out), scratch_folder(out) as scratch:
        (scratch / "core.il").write_text(hierarchy.text())
        run_yosys(
            scratch,
            "read_rtlil core.il",
            # Registers and assignments only: simulators differ on whether a combinational block is
            # evaluated at time 0.
            "proc -norom",
            # Memories start undefined: what is read before it was written is not used.
            "delete t:$meminit_v2",
            # Copies of a register stay apart if the register says so, not only its wire.
            "setattr -set keep 1 a:keep %ci1:+[Q] t:$*dff* %i",
            "setattr -unset full_case t:*",
            "memory_collect",
            *("opt_expr", "opt_merge", "opt_clean", "opt_dff -simple-dffe", "opt_clean"),
            *(
                f"attrmap {mode}-remove generator -remove top -remove amaranth.hierarchy -remove"
                " amaranth.decoding"
                for mode in ("", "-modattr ")
            ),
            "write_verilog -noparallelcase core.v",
        )
        written = (scratch / "core.v").read_text()
        if not written.endswith("endmodule\n"):  # Yosys does not notice that a disk is full
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(out))
        body = with_claims(with_copies_apart(without_traces_of_yosys(written)))
    body = with_comments(with_known_memories(body), hierarchy.comments())
    return _header(name, core, manifest, options) + body


def generate(manifest: Path, out: Path | None = None, *, sources: bool = False) -> Path:
    """Write a core's Verilog and `ports.json` into `out` (default: beside the manifest); return the
    Verilog's path.

    Files are only touched when their content changes, and never left half-written. `sources`: see
    `_verilog`.

    Raises
    ------
    UserError
        The manifest is missing, of another version, or describes a core that cannot be built.
    """
    core, _ = read_core(manifest)
    out = out or manifest.parent
    out.mkdir(parents=True, exist_ok=True)
    top = Core(core)
    verilog = out / f"{core.network.name}.v"
    _write_if_changed(verilog, _verilog(top, TOP, core, manifest, out, sources=sources))
    _write_if_changed(out / PORTS, interface_text(describe(core, top), manifest))
    return verilog


def generate_axi(manifest: Path, out: Path | None = None, *, sources: bool = False) -> Path:
    """Write the Verilog of a core within its standard top (`rtl.host.axi`), and beside it the
    registers as a C header and as a page in Markdown; return the Verilog's path.

    They are called `NAME_axi` and hold the whole core, without trace ports. For the rest see
    `generate`.
    """
    core, _ = read_core(manifest)
    core = replace(core, hardware=replace(core.hardware, trace=False))
    pages = {".h": c_header(core), ".md": markdown(core)}
    out = out or manifest.parent
    out.mkdir(parents=True, exist_ok=True)
    verilog = out / f"{core.network.name}_axi.v"
    _write_if_changed(
        verilog, _verilog(AxiCore(core), AXI_TOP, core, manifest, out, " --top axi", sources)
    )
    for suffix, page in pages.items():
        _write_if_changed(verilog.with_suffix(suffix), page)
    return verilog


def generate_board(
    manifest: Path, clocking: Clocking, out: Path | None = None, *, sources: bool = False
) -> Path:
    """Write the Verilog of a core on a board (`rtl.host.board`), beside it the board's pins (LPF)
    and what a host must know (JSON); return the Verilog's path.

    They are called `NAME_BOARD` and hold the whole core, without trace ports. For the rest see
    `generate`; there is a `UserError` too where the board cannot make the clock or the baud rate,
    the network has no readout, or a word has no room for what the core takes or sends.
    """
    core, _ = read_core(manifest)
    _ = core.network.readout  # or raise: a UART answers with results
    core = replace(core, hardware=replace(core.hardware, trace=False))
    register_map(core)  # or raise
    described = {
        **asdict(clocking),
        "device": BOARDS[clocking.board].device,
        "top": BOARD_TOP,
        "clocks_per_bit": clocking.clocks_per_bit,
        "pll": asdict(clocking.pll),
        "manifest_sha256": digest(manifest),
    }
    out = out or manifest.parent
    out.mkdir(parents=True, exist_ok=True)
    verilog = out / f"{core.network.name}_{clocking.board.replace('-', '_')}.v"
    options = f" --top {clocking.board} --mhz {clocking.mhz:g} --baud {clocking.baud}"
    top = BoardCore(core, clocking)
    _write_if_changed(verilog, _verilog(top, BOARD_TOP, core, manifest, out, options, sources))
    _write_if_changed(verilog.with_suffix(".lpf"), BOARDS[clocking.board].constraints())
    _write_if_changed(verilog.with_suffix(".json"), json.dumps(described, indent=1) + "\n")
    return verilog
