"""`python -m docs.generate`: write again what is generated in the pages, and the waveform."""

from __future__ import annotations

import ast
import inspect
import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click

from docs import findings, results, waveform
from docs.api import FOLDERS
from docs.blocks import table, with_block
from docs.plan import plan
from energy.estimate import fit, read_runs
from export.store import load_digits, load_network
from formal.proofs import rows
from golden.command_line import Command
from golden.cost.cycles import block_cycles
from golden.data.mnist import to_sequences
from golden.errors import report_user_errors
from golden.formats import Fixed
from golden.hardware import stages
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams, listed
from golden.integer import run
from golden.params import LayerFormats
from rtl.verilog.register_pages import markdown

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
WAVEFORM = DOCS / "pictures" / "waveform.svg"
FORMATS = {
    "payload": "what arrives: a spike is 1",
    "w_f": "weights of the inputs, W_f",
    "w_x": "weights of the drive, w_x",
    "p": "the fused weights of the slow state, P",
    "a": "the transition of the slow state, A",
    "m": "the slow state",
    "x": "the drive",
    "u": "membrane potentials, thresholds and reset",
    "leak": "the leak",
    "bias_width": "the bias c, with the fractional bits of u",
    "drive_bias_width": "the bias b_x, with those of a product w_x s",
    "y": "the synaptic current",
    "alpha": "the decay of the synaptic current",
    "synapse_bias_width": "the bias c_y, with the fractional bits of y",
}
OTHER_FOLDERS = {
    "docs": "these pages, and the results as data",
    "examples": "networks from snnTorch, NIR and arrays to their proof; streams; a notebook",
    "tests": "a test file for each component and command",
}
COSTS = (
    HardwareParams(1),
    HardwareParams(4),
    HardwareParams(8),
    HardwareParams(8, events_per_cycle=2),
    HardwareParams(8, block=4),
    HardwareParams(16, events_per_cycle=2, products_per_cycle=2),
    HardwareParams(32, events_per_cycle=2, products_per_cycle=2),
)


def registers() -> str:
    """Return the registers of `rows` on 8 lanes, below a heading of the second level."""
    core = CoreParams(load_network("rows").params, HardwareParams(8))
    core = replace(core, hardware=replace(core.hardware, trace=False))
    return re.sub("^#", "###", markdown(core), flags=re.M)


def stage_table() -> str:
    """Return the pipeline of `golden.hardware.stages`, a stage a row."""
    lines = inspect.getdoc(stages) or ""
    rows = []
    for line in re.findall(r"^\d .*", lines, re.M):
        stage, constant, what = re.fullmatch(r"(\d) +(?:`(\w+)`)? *(.*)", line).groups()  # type: ignore
        value = getattr(stages, constant) if constant else 0
        rows.append([str(value), f"`{constant}`" if constant else "", what])
    return table(["Stage", "Constant", "What happens to a step"], rows)


def latency_table() -> str:
    """Return the other constants of `golden.hardware.stages`, with their comments."""
    lines = inspect.getsource(stages).splitlines()
    rows = []
    for node in ast.parse("\n".join(lines)).body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        line, before = lines[node.lineno - 1], lines[node.lineno - 2]
        _, beside, comment = line.partition("  # ")
        if not beside and before.startswith("# "):
            comment = before[2:]
        if comment:
            value = getattr(stages, node.targets[0].id)
            shown = " or ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            rows.append([f"`{node.targets[0].id}`", shown, comment])
    return table(["Constant", "Value", "What it is"], rows)


def targets() -> str:
    """Return the targets of the Makefile with what they do."""
    makefile = (ROOT / "Makefile").read_text()
    found = re.findall(r"^([a-z-]+):.*?## (.*)", makefile, re.M)
    return table(["Target", "What it does"], [[f"`make {name}`", what] for name, what in found])


def variables() -> str:
    """Return the variables of the Makefile with their defaults."""
    makefile = (ROOT / "Makefile").read_text()
    found = re.findall(r"^([A-Z]+) \?= ?(.*)", makefile, re.M)
    return ", ".join(f"`{name}={value}`" for name, value in found)


def formats() -> str:
    """Return the formats that a layer chooses, with what each is of."""
    rows = []
    for field in fields(LayerFormats):
        default = field.default
        shown = str(default) if isinstance(default, Fixed) else f"{default} bits"
        rows.append([f"`{field.name}`", FORMATS[field.name], f"`{shown}`"])
    return table(["Format", "Of", "Without calibration"], rows)


def costs() -> str:
    """Return what `rows` costs on some hardware, and the cycles that it takes."""
    network = load_network("rows")
    payloads = to_sequences(load_digits().images[:20], "rows")
    rows = []
    for hardware in COSTS:
        core = CoreParams(network.params, hardware)
        done = run(network, payloads, block=hardware.block)
        received = [*(layer.addresses for layer in done.layers), done.readout_addresses]
        cycles = {
            name: block_cycles(part, addresses, done.lengths).sum() / payloads[..., 0].size
            for (name, part), addresses in zip(core.parts.items(), received, strict=True)
        }
        slowest = max(cycles, key=lambda name: cycles[name])
        turned = [hardware.lanes, hardware.block, hardware.events_per_cycle]
        turned.append(hardware.products_per_cycle)
        bits = f"{core.memory_bits / 1024:.0f}"
        rows.append(
            [*map(listed, turned), f"{cycles[slowest]:.1f}", str(core.multipliers), bits, slowest]
        )
    columns = ["L", "T", "E", "K", "Cycles a timestep", "Multipliers", "Memory, kbit", "Slowest"]
    return table(columns, rows)


def way() -> str:
    """Return the commands from a module of snnTorch's to a bitstream, and what each took."""
    _, rows = results.load(results.FOLDER / "way.json")
    return table(
        ["Command", "Processor seconds", "What it gives"],
        [[f"`{row['commands'][-1]}`", *row["cells"][1:]] for row in rows],
    )


def estimates() -> str:
    """Return how far the estimate of energies is from gates, core by core."""
    fitted, held_out = read_runs()
    rows = []
    for one in [*fitted, *held_out]:
        inside = one in fitted
        others = [run for run in fitted if run.network != one.network]
        told = [fit(some).microjoules(one.work) for some in [fitted, *[others] * inside]]
        errors = [f"{told_one / one.energy - 1:+.1%}" for told_one in told]
        left_out = errors[1] if inside else "never in it"
        rows.append([one.core, f"{one.energy:.2f}", f"{told[0]:.2f}", errors[0], left_out])
    header = ["Core", "In gates, uJ", "Estimated, uJ", "Off by", "Its network left out of the fit"]
    return table(header, rows)


def cells_of(name: str) -> str:
    """Return measured results, without how to measure them again."""
    columns, rows = results.load(results.FOLDER / f"{name}.json")
    return table(columns, [row["cells"] for row in rows])


def proofs() -> str:
    """Return what is proved of which component, and the bugs that each proof must find."""
    header = ["Proof", "Of", "What is proved", "How", "Seeded bugs, which it finds"]
    return table(header, rows())


def folders() -> str:
    """Return the tree: a folder a row."""
    shown = FOLDERS | OTHER_FOLDERS
    return table(
        ["Folder", "What is in it"], [[f"`{name}/`", what] for name, what in shown.items()]
    )


# What is measured with the results called coverage, and is told in the page of verification alone.
OF_COVERAGE = ("functional", "waivers")


def pages() -> dict[Path, str]:
    """Return every page that holds something generated, as it should be."""
    blocks: dict[Path, dict[str, str]] = {
        ROOT / "README.md": {"headlines": results.headlines()},
        DOCS / "index.md": {"folders": folders()},
        DOCS / "equations.md": {"formats": formats()},
        DOCS / "hardware.md": {"costs": costs()},
        DOCS / "importing.md": {"way": way()},
        DOCS / "integration.md": {"registers": registers()},
        DOCS / "architecture.md": {"stages": stage_table(), "latencies": latency_table()},
        DOCS / "energy.md": {
            "energies": cells_of("energy"),
            "ablations": cells_of("energy_ablations"),
            "architectures": cells_of("energy_architectures"),
            "steps": cells_of("energy_steps"),
            "estimates": estimates(),
        },
        DOCS / "verification.md": {
            "plan": plan(),
            "proofs": proofs(),
            "soak": cells_of("soak"),
            "fuzz": cells_of("fuzz"),
            **{name: cells_of(name) for name in ("coverage", *OF_COVERAGE)},
            "mutants": cells_of("mutants"),
        },
        DOCS / "findings.md": findings.blocks(),
        DOCS / "commands.md": {"targets": targets(), "variables": variables()},
        DOCS / "results.md": {
            path.stem: results.markdown(path)
            for path in sorted(results.FOLDER.glob("*.json"))
            if path.stem not in OF_COVERAGE
        },
    }
    found = {}
    for path, texts in blocks.items():
        page = path.read_text()
        for name, text in texts.items():
            page = with_block(page, name, text)
        found[path] = page
    return found


def plotted() -> Any:
    """Return the recording that the waveform's picture holds, or None."""
    found = re.search(r"<dc:description>(.*?)</dc:description>", WAVEFORM.read_text(), re.S)
    return json.loads(found[1].replace("&quot;", '"')) if found else None


@click.command(cls=Command)
@report_user_errors
def main() -> None:
    """Write the generated parts of README.md and docs again: tables from the results, the
    hardware's constants, the Makefile and the registers of `rows`; the pictures of the findings,
    and the waveform of a small core.
    """
    for path, page in pages().items():
        if path.read_text() != page:
            path.write_text(page)
            click.echo(f"wrote {path.relative_to(ROOT)}")
    for path in findings.write_pictures():
        click.echo(f"wrote {path.relative_to(ROOT)}")
    recorded = waveform.record()
    if not WAVEFORM.exists() or plotted() != recorded:
        waveform.plot(recorded, WAVEFORM)
        click.echo(f"wrote {WAVEFORM.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
