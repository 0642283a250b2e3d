"""Place and route a synthesized core with nextpnr, several seeds at once: its highest clock, and
what lies on its critical path.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from golden.errors import UserError, guard_children
from rtl.synth.devices import Device

# nextpnr's: the second takes longer, and leaves a core that fills its device routable.
PLACERS = ("heap", "static")
# nextpnr's: the second looks less at time. It ended where the first hung, at a lower clock.
ROUTERS = ("router1", "router2")
PACKER = "yowasp-ecppack"  # from the placement of an ECP5 to its bitstream
# What nextpnr does from a line of its log on, which begins so.
_STAGES = {
    "Info: Packing": "packing",
    "Info: Creating initial": "placing",
    "Info: Running Static": "placing",
    "Info: Routing": "routing",
}
# Beginnings of the types of cells, which Yosys puts after the name of a signal.
_CELLS = "TRELLIS|LUT[1-8]|CCU2C|PFUMX|L6MUX|MUX2|MULT|DP16KD|SB_|DFF|ALU|RAM16"


@dataclass(frozen=True)
class Placement:
    """One placed and routed seed.

    Attributes
    ----------
    used, available
        Cells of the device by kind.
    path
        The critical path: signals by name, with the nanoseconds of logic and of routing up to them
        since the one before.
    """

    seed: int
    fmax_mhz: float
    used: dict[str, int]
    available: dict[str, int]
    path: list[tuple[str, float, float]]


def find_program(name: str) -> str:
    """Return the path of a program of this environment, or raise `UserError`."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise UserError(f"there is no {name}: install this project with '.[synth]', or make synth")
    return found


def find_placer(device: Device) -> str:
    """Return the path of a device's placer, or raise `UserError`."""
    if device.placer is None:
        raise UserError(f"{device.name} has no placer here: synthesize it only (make synth-check)")
    return find_program(device.placer)


def place(
    netlist: Path,
    device: Device,
    seeds: Sequence[int],
    mhz: float,
    *,
    jobs: int,
    placer: str = PLACERS[0],
    router: str = ROUTERS[0],
    options: Callable[[int], Sequence[str]] = lambda seed: (),
) -> list[Placement]:
    """Place and route a netlist (Yosys' JSON) with every seed, for a clock of `mhz`; return the
    placements, fastest first. A clock that is not reached is no error. A bar on the screen tells
    what was done last: a stage of a seed, or the clock of one that ended.

    Parameters
    ----------
    placer
        One of `PLACERS`.
    router
        One of `ROUTERS`.
    options
        More of nextpnr's options for a seed; files lie beside the netlist.

    Raises
    ------
    UserError
        It does not fit, or nextpnr refuses it.
    """
    program = find_placer(device)
    guard_children()
    folder = netlist.parent
    (folder / "pins.cst").write_text(device.constraints)

    def run(seed: int, bar: tqdm[NoReturn]) -> Placement:
        report = f"seed{seed}.json"
        command = [
            program, *device.options, "--json", netlist.name, "--seed", str(seed), "--freq",
            f"{mhz:g}", "--placer", placer, "--router", router, "--timing-allow-fail", "--report",
            report, *options(seed),
        ]  # fmt: skip
        said: list[str] = []
        with subprocess.Popen(
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                said.append(line)
                for beginning, stage in _STAGES.items():
                    if line.startswith(beginning):
                        bar.set_postfix_str(f"seed {seed}: {stage}")
        if process.returncode:
            text = "".join(said)
            errors = re.findall(r"^ERROR: (.*)", text, re.MULTILINE)
            words = errors or text.strip().splitlines()[-1:] or ["it said nothing"]
            raise UserError(f"nextpnr failed: {words[0]}")
        placement = read_report(json.loads((folder / report).read_text()), device, seed)
        bar.set_postfix_str(f"seed {seed}: {placement.fmax_mhz:.1f} MHz")
        bar.update()
        return placement

    with (
        tqdm(total=len(seeds), desc="placed", unit="seed") as bar,
        ThreadPoolExecutor(jobs) as pool,
    ):
        placements = list(pool.map(lambda seed: run(seed, bar), seeds))
    return sorted(placements, key=lambda placement: -placement.fmax_mhz)


def read_report(report: dict[str, Any], device: Device, seed: int) -> Placement:
    """Return what nextpnr's report of a seed says."""
    clocks = {name: float(clock["achieved"]) for name, clock in report["fmax"].items()}
    if not clocks:
        raise UserError("nextpnr found no clock: the design has no register")
    slowest = min(clocks, key=lambda name: clocks[name])
    within = (
        path["path"]
        for path in report["critical_paths"]
        if path["from"].endswith(slowest) and path["to"].endswith(slowest)
    )
    known = report["utilization"]
    used, available = (
        {kind: int(known.get(cell, {}).get(key, 0)) for kind, cell in device.used.items()}
        for key in ("used", "available")
    )
    return Placement(seed, clocks[slowest], used, available, _signals(next(within, [])))


def _signals(steps: Sequence[dict[str, Any]]) -> list[tuple[str, float, float]]:
    """Return the signals along a path, with the delays of all cells of a signal added up."""
    found: list[tuple[str, float, float]] = []
    for step in steps:
        signal, delay = signal_of(step["to"]["cell"]), float(step["delay"])
        routing = delay if step["type"] == "routing" else 0.0
        logic = delay - routing
        if found and found[-1][0] == signal:
            _, before, way = found.pop()
            logic, routing = logic + before, routing + way
        found.append((signal, round(logic, 3), round(routing, 3)))
    return found


def signal_of(cell: str) -> str:
    """Return the signal that a cell is named after: Yosys names the cells that compute
    `layer0.encoder.left` as that, a bit or a port, and `_LUT4_Z` or another cell after it. What
    is within the pins of `rtl.synth.pin_wrapper` has `core.` before it.
    """
    return re.sub(rf"(_[A-Z0-9]+)?_({_CELLS}).*", "", cell.removeprefix("core."))
