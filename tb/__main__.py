"""`python -m tb`: run real digits through the generated Verilog and hold every value against the
golden model.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from tqdm import tqdm

from export.store import load_digits, load_stored
from golden.data import to_sequences
from golden.errors import UserError, report_user_errors
from golden.hardware import read_core
from tb.compare import compare
from tb.report import describe, draw, lines, summarize, write_report
from tb.simulate import build_core_model, simulate


@click.command(context_settings={"show_default": True})
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option(
    "--digits",
    "n_digits",
    default=20,
    type=click.IntRange(1),
    help="How many of the shipped digits",
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
@report_user_errors
def main(manifest: Path, n_digits: int, stalls: int | None, network: str | None) -> None:
    """Simulate the core that MANIFEST describes on real digits; write report.json and a picture
    beside the manifest.

    Exits with status 1 where a value differs from the golden model's.
    """
    core, _ = read_core(manifest)
    if not core.hardware.trace:
        raise UserError(f"the core of {manifest} has no trace ports: export it with --trace")
    _, facts = load_stored(network or core.network.name)
    digits = load_digits()
    if n_digits > len(digits):
        raise UserError(f"--digits {n_digits}: {len(digits)} digits are shipped")
    images, labels = digits.images[:n_digits], digits.labels[:n_digits]
    payloads = to_sequences(images, facts.data)
    found, n_inputs = payloads.shape[2], core.network.layers[0].n_inputs
    if found != n_inputs:
        raise UserError(
            f"{facts.data} digits have {found} input{'s' * (found > 1)} a timestep, but the core of"
            f" {manifest} has {n_inputs}: check --network, and 'data' in its network.json"
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
    summary = summarize(simulation, comparison, labels)
    draw(simulation, images[0], int(labels[0]), picture)
    write_report(summary, report)
    click.echo("\n".join(lines(summary, report, picture)))
    if comparison.mismatches:
        click.echo(f"error: {comparison.mismatches} values differ from the golden model", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
