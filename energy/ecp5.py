"""Estimate the energy of an inference on an ECP5: what the core does, times published figures.

    energy = block RAM accesses x a + multiplications x b + transitions x c + register clocks x d

Accesses and multiplications are the golden model's, but for the few multiplications of drives.
Transitions are half of the bits that the pipelines take in (`energy.work`), and half of those that
memories in LUTs read and write. Registers are those of the Verilog. Each figure has a range;
`ecp5.json` beside this file has them, with their sources, and says which are measured on an ECP5
and which are not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from energy.work import Work, mean_of_words
from golden.cost.block_rams import block_rams
from golden.cost.cycles import accesses
from golden.files import scratch_folder
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.interface import read_verilog
from golden.runs import Run
from golden.table import table
from rtl.verilog.generate import TOP
from rtl.verilog.yosys import read_netlist, run_yosys

SHIPPED = Path(__file__).with_name("ecp5.json")
PASSING = ("sums", "weights", "clocked", "words", "logits")  # terms that are bits
RANGE = ("low", "likely", "high")
REGISTERS = ("$dff", "$dffe", "$sdff", "$sdffe", "$sdffce", "$adff", "$adffe")


@dataclass(frozen=True)
class Figures:
    """What an ECP5 takes: pJ (low, likely, high) of each thing that `count` counts; watts of boards
    that idle, by device.
    """

    picojoules: dict[str, dict[str, float]]
    idle_watts: dict[str, float]


def read_figures(path: Path = SHIPPED) -> Figures:
    content: dict[str, Any] = json.loads(path.read_text())
    figures = content["figures"]
    return Figures(
        {name: {key: figure[key] for key in RANGE} for name, figure in figures.items()},
        content["idle_watts"],
    )


def registers_of(verilog: Path) -> int:
    """Return the bits of a core's registers, from a coarse synthesis."""
    with scratch_folder() as scratch:
        folder = scratch
        (folder / "core.v").write_text(read_verilog(verilog))
        run_yosys(
            folder,
            *("read_verilog core.v", f"hierarchy -check -top {TOP}", "proc", "flatten"),
            *("opt_expr", "opt_clean", "opt", "opt_clean", "memory -nomap", "opt_clean"),
            "write_json netlist.json",
        )
        cells = read_netlist(folder / "netlist.json")["modules"][TOP]["cells"].values()
    found = (cell for cell in cells if cell["type"] in REGISTERS)
    return sum(int(cell["parameters"]["WIDTH"], 2) for cell in found)


def count(core: CoreParams, run: Run, work: Work, registers: int) -> dict[str, float]:
    """Return how often an inference does what `Figures` has figures of: the mean of the sequences
    of a golden run with the core's block.
    """
    blocks = products = 0.0
    terms = (item for of in work.components.values() for item in of.items())
    bits = 1e6 * sum(value for term, value in terms if term in PASSING)
    for name, found in accesses(core, run).items():
        part_name, _, what = name.partition(".")
        part, number = core.parts[part_name], float(found.sum()) / len(run.logits)
        of, _, kind = what.rpartition("_")
        if kind == "products":
            lanes = part.lanes
            if isinstance(part, LayerHardware) and of != "state":
                lanes = part.state_update.multipliers if of == "update" else part.neuron_fold.units
            products += number * lanes
        elif kind == "additions":
            products += number * part.lanes * (part.payload.width > 1)
        else:
            taken = mean_of_words(part, of, partial(block_rams, n_reads=part.copies(of)[0]))
            blocks += number * taken
            if not taken:
                bits += number * mean_of_words(part, of, lambda m: m.width)
    return {
        "block RAM accesses": blocks,
        "multiplications": products,
        "transitions": bits / 2,
        "register clocks": work.cycles * registers,
    }


def lines(
    name: str, device: str, figures: Figures, counts: dict[str, float], seconds: float
) -> Iterator[str]:
    """Yield what people read of an inference that takes `seconds`."""
    energies = {
        what: [number * figures.picojoules[what][key] / 1e6 for key in RANGE]
        for what, number in counts.items()
    }
    low, likely, high = (sum(of) for of in zip(*energies.values(), strict=True))
    yield (
        f"estimate   {name} on {device}: about {likely:.3g} uJ an inference ({low:.3g} to"
        f" {high:.3g}), beside what the chip takes when it idles"
    )
    rows = [
        (
            what,
            f"{counts[what]:.0f}",
            *(f"{figures.picojoules[what][key]:g}" for key in RANGE),
            *(f"{energy:.3g}" for energy in energies[what]),
        )
        for what in counts
    ]
    header = ("what", "number", "pJ: low", "likely", "high", "uJ: low", "likely", "high")
    yield table(header, rows, left=[0])
    idle = figures.idle_watts[device]
    yield (
        f"idle       at most {idle * seconds * 1e6:.3g} uJ in the {seconds * 1e6:.4g} us of an"
        f" inference: a board that idles takes {idle:g} W"
    )
    yield (
        "an estimate from published figures, most of them of other devices: energy/ecp5.json has"
        " the sources; measure a board before you rely on it"
    )
