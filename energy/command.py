"""`dmp energy`: the energy of real inferences, from the gates of a core."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from energy.activity import build, measure
from energy.ecp5 import count as count_on_fpga
from energy.ecp5 import lines as fpga_lines
from energy.ecp5 import read_figures, registers_of
from energy.estimate import lines as estimate_lines
from energy.estimate import read_estimate
from energy.from_liberty import from_liberty, read_macro
from energy.gates import synthesize
from energy.plot import plot_energy
from energy.report import Sequences, lines, summarize
from energy.technology import Technology, read_technology
from energy.work import Work, work_of
from export.core import read_images
from export.images import unpack
from export.items import load_items
from export.sequences import first_sequences
from export.store import find_dataset, load_stored
from golden.command_line import DATA, MEGAHERTZ, NETWORK, Command, Count, count_option
from golden.cost.operands import used_operands
from golden.cost.timeline import Timeline
from golden.data.synthetic import draw_events
from golden.errors import UserError, report_user_errors
from golden.files import write_whole
from golden.hardware.core import CoreParams
from golden.integer import NetworkIntegers, run
from golden.interface import read_interface
from golden.picture import save_picture
from golden.runs import Run
from tb.batch import Job

REPORT, PICTURE = "energy.json", "energy.png"
SEED = 1


def find_technology(liberty: Path | None, sram: tuple[Path, ...]) -> Technology:
    """Return the technology of a user's files; what he does not give is the project's own."""
    own = read_technology()
    macros = tuple(read_macro(path) for path in sram) or own.macros
    named = [path.name for path in sram]
    if liberty is None:
        return replace(own, macros=macros, sources=[*own.sources, *named])
    return replace(from_liberty(liberty, ()), macros=macros, sources=[liberty.name, *named])


def find_sequences(
    core: CoreParams, manifest: Path, name: str, data: Path | None, count: Count
) -> tuple[np.ndarray, str]:
    """Return sequences (B, K, M) of a network and where they are from; drawn ones, with as many
    events a timestep as its data set has, where none are shipped and none are given.
    """
    stored, card = load_stored(name)
    try:
        dataset = find_dataset(name, data)
    except UserError:
        if data is not None or not card.events_per_step:
            raise
        rate = card.events_per_step[0]
        drawn = draw_events(
            rate, count.number or 1, SEED, card.n_timesteps, stored.params.layers[0].n_inputs
        )
        return drawn, f"drawn, with {rate:g} events a timestep as {card.data or name} has"
    dataset = first_sequences(core, manifest, dataset, count)
    return dataset.sequences(), "those of the network" if data is None else f"of {data.name}"


def measure_work(
    core: CoreParams, network: NetworkIntegers, payloads: np.ndarray, technology: Technology
) -> tuple[Work, Run]:
    """Return what an inference takes, the mean of sequences (B, K, M) that run one by one; and the
    golden run of all of them.
    """
    cycles = []
    for index in range(len(payloads)):
        sequence = payloads[index : index + 1]
        alone = run(network, sequence, block=core.hardware.block, trace=True)
        cycles.append(int(Timeline(core, sequence, alone.layers).ends[0]) + 2)
    golden = run(network, payloads, block=core.hardware.block, trace=True)
    used = list(map(used_operands, core.network.layers, golden.layers))
    return work_of(core, golden, used, sum(cycles) / len(cycles), technology), golden


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("manifest", type=click.Path(path_type=Path))
@DATA
@NETWORK
@count_option(1)
@click.option("--timesteps", type=click.IntRange(1), help="Of each sequence only the first N")
@click.option("--mhz", default=100.0, type=MEGAHERTZ, help="The clock, for the leakage")
@click.option(
    "--liberty", type=click.Path(path_type=Path), help="Of cells, in place of the project's own"
)
@click.option(
    "--sram",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Liberty of a memory macro, in place of the project's own; one option each",
)
@click.option(
    "--estimate", is_flag=True, help="Without gates: seconds, not minutes, and less exact"
)
@click.option(
    "--device",
    type=click.Choice(list(read_figures().idle_watts)),
    help="Estimate it on this FPGA, from published figures, without gates",
)
@click.option("--optimize", default="-O1", help="The C++ compiler's option for the model")
@report_user_errors
def main(
    manifest: Path,
    data: Path | None,
    network: str | None,
    count: Count,
    timesteps: int | None,
    mhz: float,
    liberty: Path | None,
    sram: tuple[Path, ...],
    estimate: bool,
    device: str | None,
    optimize: str,
) -> None:
    """Synthesize the core that MANIFEST describes to gates, run sequences through them, and tell
    the energy of an inference by components and memories; write energy.json and energy.png beside
    the manifest.

    Every logit and every counter is held against the golden model: a difference ends it. With
    --estimate or --device nothing runs in gates and nothing is written.
    """
    if estimate and liberty is not None:
        raise UserError(
            f"--estimate with --liberty {liberty}: its factors are of the project's own"
            " cells, so leave one of them out"
        )
    of_chips = {"--liberty": liberty, "--sram": sram[0] if sram else None}
    given = [f"{option} {path}" for option, path in of_chips.items() if path is not None]
    if device and (of_chip := [*["--estimate"] * estimate, *given]):
        raise UserError(
            f"--device {device} with {of_chip[0]}, which is of a chip: leave one of them out"
        )
    technology = find_technology(liberty, sram)
    core, images = read_images(manifest)
    _ = core.network.readout  # or raise: a library answers with results
    payloads, source = find_sequences(core, manifest, network or core.network.name, data, count)
    length = payloads.shape[1]
    payloads = payloads[:, : timesteps or length]
    verilog = manifest.parent / f"{core.network.name}.v"
    stored = unpack(images, core)
    work, golden = measure_work(core, stored, payloads, technology)
    if device:
        counts = count_on_fpga(core, golden, work, registers_of(verilog))
        seconds = work.cycles / (mhz * 1e6)
        told = fpga_lines(core.network.name, device, read_figures(), counts, seconds)
        click.echo("\n".join(told))
        return
    if estimate:
        if core.hardware.ablations:
            raise UserError(
                f"--estimate of a core ablated by {core.hardware.ablations[0]}: it is fitted to"
                " whole ones, so leave out one of the two"
            )
        click.echo("\n".join(estimate_lines(core.network.name, read_estimate(), work)))
        return
    report = manifest.parent / REPORT
    report.unlink(missing_ok=True)  # a run that fails must not leave the report of another one
    interface = read_interface(manifest)
    started = time.monotonic()
    with tqdm(total=3 + len(payloads), desc="synthesis", unit="step", leave=False) as bar:
        netlist = synthesize(verilog, technology, manifest.parent / "gates")
        bar.update()
        bar.set_description("building the model")
        library, watched = build(
            netlist, technology, interface, manifest.parent / "verilator", optimize
        )
        bar.update()
        bar.set_description("running")
        job = Job(library, core, stored, interface, load_items(interface, core, images))
        measured = measure(netlist, technology, job, watched, payloads, bar.update)
    sequences = Sequences(source, len(payloads), payloads.shape[1], length)
    summary = summarize(core, netlist, technology, measured, sequences, golden, mhz)
    summary["work"] = asdict(work)
    summary["seconds"] = round(time.monotonic() - started, 1)
    write_whole(report, json.dumps(summary, indent=1) + "\n")
    click.echo("\n".join(lines(summary)))
    picture = save_picture(plot_energy(summary), manifest.parent / PICTURE)
    click.echo(f"report     {report}\npicture    {picture}")
