"""`dmp synth`: synthesize a generated core for a device and, with seeds, place and route
it: block RAMs, multipliers, logic, by parts of the core; the clock, and what bounds it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from golden.command_line import MEGAHERTZ, Command
from golden.errors import UserError, report_user_errors
from golden.files import scratch_folder, write_whole
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.interface import PORTS, read_ports, read_verilog
from golden.manifest import read_core
from golden.table import table
from rtl.synth.devices import DEVICES, KINDS, PLACED_KINDS, Device
from rtl.synth.dsp_registers import move_registers
from rtl.synth.floorplan import arrange, multiplier_sites
from rtl.synth.lut_products import build_in_luts
from rtl.synth.pin_wrapper import PINS_TOP, PREFIX, wrap_in_pins
from rtl.synth.place import PLACERS, ROUTERS, Placement, find_placer, place
from rtl.synth.ram_registers import move_into_rams
from rtl.verilog.generate import TOP
from rtl.verilog.yosys import read_netlist, run_yosys


@dataclass(frozen=True)
class Synthesis:
    """What a core becomes on a device.

    Attributes
    ----------
    netlist
        Yosys' JSON, which nextpnr reads.
    parts
        Cells of each kind in each part of the core: `layer0`, ..., `readout`, `core` for what is in
        none of them, and `pins` for what is around the core (`rtl.synth.pin_wrapper`).
    cells
        Cells of each type that counts, as the vendor calls them.
    memories_in_ffs
        Paths of the memories that no RAM of the device could hold: they are flip-flops.
    moved
        Flip-flops that have moved into multipliers (`rtl.synth.dsp_registers`), and are not
        counted.
    arranged
        Multipliers that have a place (`rtl.synth.floorplan`).
    in_luts
        Products that are LUTs (`rtl.synth.lut_products`).
    """

    netlist: Path
    parts: dict[str, Counter[str]]
    cells: Counter[str]
    memories_in_ffs: list[str]
    moved: int = 0
    in_rams: int = 0
    arranged: int = 0
    in_luts: int = 0

    @property
    def total(self) -> Counter[str]:
        """Of the core, without what is around it."""
        of_core = (counts for part, counts in self.parts.items() if part != "pins")
        return sum(of_core, Counter())


def synthesize(
    verilog: Path,
    device: Device,
    folder: Path,
    top: str = TOP,
    floorplan: CoreParams | None = None,
    in_luts: int = 0,
) -> Synthesis:
    """Synthesize Verilog for a device with Yosys into `folder`; a core alone within
    `rtl.synth.pin_wrapper`, by the `ports.json` beside it, where the device asks for that; with a
    core's `floorplan` (`rtl.synth.floorplan`) if it is given, and `in_luts` products in LUTs.
    """
    sites = multiplier_sites(device) if floorplan else []
    text = read_verilog(verilog)
    if device.pins and top == TOP:
        interface, _ = read_ports(verilog.with_name(PORTS))
        text += wrap_in_pins([asdict(port) for port in interface.ports.values()], top)
        top = PINS_TOP
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "core.v").write_text(text)
    command = f"tee -o log.txt {device.synthesis} -top {top}"
    source = "read_verilog core.v"
    if in_luts:
        source = f"read_rtlil {build_in_luts(folder, 'core.v', top, in_luts)}"
    # synth_xilinx leaves cells without the names that tell their part.
    run_yosys(folder, source, command, "autoname", "write_json netlist.json")
    netlist = folder / "netlist.json"
    content = read_netlist(netlist)
    moved = move_registers(content["modules"][top])
    in_rams = move_into_rams(content["modules"][top])
    arranged = arrange(content["modules"][top], floorplan, sites) if floorplan else 0
    if moved or in_rams or arranged:
        netlist.write_text(json.dumps(content))
    parts: dict[str, Counter[str]] = {}
    cells: Counter[str] = Counter()
    for name, cell in content["modules"][top]["cells"].items():
        kind = kind_of(cell["type"], device)
        if kind is not None:
            cells[cell["type"]] += 1
            counted = device.weights.get(cell["type"], 1)
            parts.setdefault(part_of(name), Counter())[kind] += counted
    log = (folder / "log.txt").read_text()
    in_ffs = re.findall(rf"^using FF mapping for memory {top}\.(?:core\.)?(\S+)", log, re.M)
    return Synthesis(
        netlist,
        dict(sorted(parts.items())),
        cells,
        sorted(in_ffs),
        moved,
        in_rams,
        arranged,
        in_luts,
    )


def products_in_luts(core: CoreParams, device: Device, multipliers: int | None) -> int:
    """Return how many products of a core are LUTs, where it may take so many of the device's
    multipliers (None: all of them), or raise `UserError`.
    """
    has = device.multipliers
    if has is None:
        if multipliers is not None:
            raise UserError(
                f"--multipliers on {device.name}: products can be LUTs on an ECP5 only, so leave it"
                " out"
            )
        return 0
    if multipliers is not None and multipliers > has:
        raise UserError(f"--multipliers {multipliers}: {device.name} has {has}, use 0 to {has}")
    return max(0, core.multipliers - (has if multipliers is None else multipliers))


def kind_of(cell_type: str, device: Device) -> str | None:
    """Return what a type of cell counts as, or None."""
    found = (kind for types, kind in device.cells.items() if re.fullmatch(types, cell_type))
    return next(found, None)


def part_of(cell: str) -> str:
    """Return the part of the core that a cell of a flattened netlist is in, by its name; within
    another top, `host.core.layer0.` or `core.layer0.` is what `layer0.` is alone.
    """
    if cell.startswith(PREFIX):
        return "pins"
    part = cell.removeprefix("host.").removeprefix("core.").split(".")[0]
    return part if part == "readout" or part.removeprefix("layer").isdigit() else "core"


def summarize(
    name: str,
    device: str,
    synthesis: Synthesis,
    placements: list[Placement],
    hardware: HardwareParams,
) -> dict[str, Any]:
    """Return what `synth.json` holds: of the fastest seed, if any was placed."""
    found: dict[str, Any] = {
        "network": name,
        "device": device,
        **{
            field: getattr(hardware, field)
            for field in ("lanes", "block", "events_per_cycle", "products_per_cycle")
        },
        **{kind: synthesis.total[kind] for kind in KINDS},
        "block_ram_bits": DEVICES[device].block_ram_bits,
        "cells": dict(sorted(synthesis.cells.items())),
        "memories_in_ffs": synthesis.memories_in_ffs,
        "ffs_in_multipliers": synthesis.moved,
        "ffs_in_block_rams": synthesis.in_rams,
        "multipliers_arranged": synthesis.arranged,
        "products_in_luts": synthesis.in_luts,
        "parts": {part: dict(counts) for part, counts in synthesis.parts.items()},
    }
    if placements:
        best = placements[0]
        found |= {
            "fmax_mhz": best.fmax_mhz,
            "seed": best.seed,
            "seeds_mhz": {str(p.seed): p.fmax_mhz for p in placements},
            "used": best.used,
            "available": best.available,
            "critical_path": [
                {"signal": signal, "logic_ns": logic, "routing_ns": routing}
                for signal, logic, routing in best.path
            ],
        }
    return found


def inference(cycles: int | None, placements: list[Placement]) -> dict[str, Any]:
    """Return, for `synth.json`, what an inference of `cycles` cycles takes at the fastest clock."""
    if not (cycles and placements):
        return {}
    microseconds = cycles / placements[0].fmax_mhz
    return {"inference": {"cycles": cycles, "microseconds": microseconds}}


def speeds(report: Path, fmax_mhz: float) -> dict[str, Any] | None:
    """Return timesteps and samples a second at that clock, from the cycles that `make sim` counted
    in the Verilog, or None where it did not run: of the slowest layer from start to start, which
    is the core's, and in `parts` of every layer and the readout on its own, from its busy cycles.
    """
    try:
        measured = json.loads(report.read_text())
        length = measured["timesteps"] / measured["digits"]

        def speed(cycles: float) -> dict[str, float]:
            per_second = fmax_mhz * 1e6 / cycles
            return {
                "cycles_per_timestep": cycles,
                "timesteps_per_second": per_second,
                "samples_per_second": per_second / length,
            }

        busy = measured["cycles_per_timestep"]["measured"]
        parts = {part: speed(float(cycles)) for part, cycles in busy.items()}
        slowest = speed(float(measured["slowest_layer"]["cycles_per_timestep"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
        return None
    return {**slowest, "parts": parts}


def describe(summary: Mapping[str, Any]) -> str:
    """Return what people read."""
    kinds = [kind for kind in KINDS if summary[kind]]
    shape = (
        f"{summary['lanes']} lanes, T = {summary['block']}, E = {summary['events_per_cycle']},"
        f" K = {summary['products_per_cycle']}"
    )
    lines = [f"{summary['network']}, {shape}, on {summary['device']}"]
    rows = (
        (part, *(counts.get(kind, 0) for kind in kinds))
        for part, counts in (*summary["parts"].items(), ("in all", summary))
    )
    lines.append(table(("", *(KINDS[kind] for kind in kinds)), rows, left=[0]))
    lines.append(f"cells     {', '.join(f'{n} {cell}' for cell, n in summary['cells'].items())}")
    if summary["multipliers_arranged"]:
        found = f"{summary['multipliers_arranged']} of {summary['multipliers']}"
        lines.append(f"floorplan {found} multipliers have their place")
    if summary["products_in_luts"]:
        lines.append(f"products  {summary['products_in_luts']} of them are LUTs and carry chains")
    if summary["memories_in_ffs"]:
        lines.append(f"memories in flip-flops: {', '.join(summary['memories_in_ffs'])}")
    if "fmax_mhz" in summary:
        used = ", ".join(
            f"{PLACED_KINDS[kind]} {summary['used'][kind]} of {summary['available'][kind]}"
            for kind in summary["used"]
        )
        mhz = summary["seeds_mhz"].values()
        lines += [
            f"placed    {used}",
            f"clock     {summary['fmax_mhz']:.1f} MHz, of seed {summary['seed']}",
            f"seeds     {len(mhz)}: {min(mhz):.1f} to {max(mhz):.1f} MHz",
            "critical path, in ns:",
            table(
                ("logic", "routing to it", "signal"),
                (
                    (f"{step['logic_ns']:.2f}", f"{step['routing_ns']:.2f}", step["signal"])
                    for step in summary["critical_path"]
                ),
                left=[2],
            ),
        ]
    if summary.get("inference"):
        took = summary["inference"]
        lines.append(f"inference {took['microseconds']:.2f} us, for {took['cycles']} cycles")
    if summary.get("speed"):
        speed = summary["speed"]
        lines.append(
            f"speed     {speed['timesteps_per_second']:.0f} timesteps a second,"
            f" {speed['samples_per_second']:.1f} samples a second"
            f" ({speed['cycles_per_timestep']:.2f} cycles a timestep, as counted in the Verilog)"
        )
        lines += [
            f"  {part:<8}{of['timesteps_per_second']:.0f} timesteps a second,"
            f" {of['samples_per_second']:.1f} samples a second on its own"
            f" ({of['cycles_per_timestep']:.2f} cycles)"
            for part, of in speed["parts"].items()
        ]
    return "\n".join(lines)


def placer_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of placing that a core alone and a board share."""
    for option in reversed(
        (
            click.option(
                "--placer", default=PLACERS[0], type=click.Choice(PLACERS), help="nextpnr's"
            ),
            click.option(
                "--router", default=ROUTERS[0], type=click.Choice(ROUTERS), help="nextpnr's"
            ),
            click.option(
                "--floorplan",
                is_flag=True,
                help="Of an ECP5: a layer's multipliers lie together, by units",
            ),
            click.option(
                "--multipliers",
                type=click.IntRange(0),
                help="Of an ECP5: those that the core may take, its other products are LUTs"
                " [default: all]",
            ),
            click.option(
                "--cycles",
                type=click.IntRange(1),
                help="Of an inference: what it takes at that clock [optional]",
            ),
            click.option("--jobs", default=2, type=click.IntRange(1), help="Seeds at once"),
        )
    ):
        command = option(command)
    return command


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--device", default="ecp5-85k", type=click.Choice(list(DEVICES)))
@click.option(
    "--seeds", default=0, type=click.IntRange(0), help="Place and route with N seeds; 0: do not"
)
@click.option("--mhz", default=100.0, type=MEGAHERTZ, help="The clock that the placer aims at")
@placer_options
@click.option("--out", type=click.Path(path_type=Path), help="[default: synth.json beside it]")
@report_user_errors
def main(
    manifest: Path,
    device: str,
    seeds: int,
    mhz: float,
    placer: str,
    router: str,
    floorplan: bool,
    multipliers: int | None,
    cycles: int | None,
    jobs: int,
    out: Path | None,
) -> None:
    """Synthesize the core of MANIFEST, whose Verilog is beside it; print and store what it takes,
    and with seeds its clock.
    """
    if cycles and not seeds:
        raise UserError("--cycles: there is no clock without --seeds")
    core, _ = read_core(manifest)
    name, chosen = core.network.name, DEVICES[device]
    in_luts = products_in_luts(core, chosen, multipliers)
    if seeds:
        find_placer(chosen)
    with scratch_folder() as scratch:
        synthesis = synthesize(
            manifest.parent / f"{name}.v",
            chosen,
            scratch,
            floorplan=core if floorplan else None,
            in_luts=in_luts,
        )
        placements: list[Placement] = []
        if seeds:
            placements = place(
                synthesis.netlist,
                chosen,
                range(1, seeds + 1),
                mhz,
                jobs=jobs,
                placer=placer,
                router=router,
            )
        summary = summarize(name, device, synthesis, placements, core.hardware)
    if placements:
        summary |= inference(cycles, placements)
        summary["speed"] = speeds(manifest.parent / "report.json", placements[0].fmax_mhz)
    path = out or manifest.parent / "synth.json"
    write_whole(path, json.dumps(summary, indent=1) + "\n")
    print(describe(summary))
    print(f"report    {path}")
