"""`python -m tb`: run real digits through the generated Verilog and hold every value against the
golden model.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from tqdm import tqdm

from export.store import find_dataset, load_stored
from golden.command_line import Command
from golden.errors import UserError, report_user_errors
from golden.manifest import read_core
from tb.compare import compare
from tb.report import describe, draw, lines, summarize, write_report
from tb.simulate import build_core_model, simulate


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option(
    "--digits",
    "n_digits",
    default=20,
    type=click.IntRange(1),
    help="How many sequences, from the first",
)
@click.option(
    "--stalls",
    type=click.IntRange(0),
    help="Draw gaps on every stream from this seed [default: no gaps]",
)
@click.option(
    "--network",
    help="The shipped network, or the folder, that the core was made from [default: by its name]",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder with the data set, of which test sequences are run [default: the shipped digits]",
)
@report_user_errors
def main(
    manifest: Path, n_digits: int, stalls: int | None, network: str | None, data: Path | None
) -> None:
    """Simulate the core that MANIFEST describes on real sequences; write report.json and a picture
    beside the manifest.

    Exits with status 1 where a value differs from the golden model's.
    """
    core, _ = read_core(manifest)
    if not core.hardware.trace:
        raise UserError(f"the core of {manifest} has no trace ports: export it with --trace")
    _, card = load_stored(network or core.network.name)
    dataset = find_dataset(card, data)
    if n_digits > len(dataset):
        raise UserError(f"--digits {n_digits}: there are {len(dataset)}")
    dataset = dataset.select(slice(n_digits))
    payloads = dataset.sequences()
    found, n_inputs = payloads.shape[2], core.network.layers[0].n_inputs
    if found != n_inputs:
        raise UserError(
            f"{card.data} sequences have {found} input{'s' * (found > 1)} a timestep, but the core"
            f" of {manifest} has {n_inputs}: check --network, and 'data' in its card.json"
        )
    click.echo("\n".join(describe(core)))
    report, picture = manifest.parent / "report.json", manifest.parent / "report.png"
    for earlier in (report, picture):  # a run that fails must not leave the report of another one
        earlier.unlink(missing_ok=True)
    click.echo("building the Verilator model...", err=True)
    build_core_model(manifest)
    with tqdm(total=n_digits, desc="simulated", unit="digit") as bar:
        simulation = simulate(manifest, payloads, stalls_seed=stalls, progress=bar.update)
    with tqdm(total=n_digits, desc="compared", unit="digit") as bar:
        comparison = compare(simulation, payloads, progress=bar.update)
    summary = summarize(simulation, comparison, dataset.labels)
    draw(simulation, dataset.picture(0), int(dataset.labels[0]), picture)
    write_report(summary, report)
    click.echo("\n".join(lines(summary, report, picture)))
    if comparison.mismatches:
        click.echo(f"error: {comparison.mismatches} values differ from the golden model", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
