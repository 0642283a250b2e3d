"""`dmp sim`: run real digits through the generated Verilog and hold every value against the
golden model.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from tqdm import tqdm

from export.items import report_times
from golden.command_line import REPORT_EVERY, Command, Count
from golden.errors import report_user_errors
from golden.picture import save_picture
from tb.compare import compare
from tb.drivers import build_core_model
from tb.plot import plot_report
from tb.report import summarize, write_report
from tb.report_text import describe, lines
from tb.sequences import find_sequences, sequence_options
from tb.simulate import simulate


@click.command(cls=Command, context_settings={"show_default": True})
@sequence_options(20)
@click.option(
    "--stalls",
    type=click.IntRange(0),
    help="Draw gaps on every stream from this seed [default: no gaps]",
)
@REPORT_EVERY
@report_user_errors
def main(
    manifest: Path,
    count: Count,
    network: str | None,
    data: Path | None,
    stalls: int | None,
    report_every: int | None,
) -> None:
    """Simulate the core that MANIFEST describes on real sequences; write report.json and a picture
    beside the manifest.

    Exits with status 1 where a value differs from the golden model's.
    """
    core, dataset = find_sequences(manifest, count, network, data)
    payloads = dataset.sequences()
    reports = report_times(core, report_every, payloads.shape[1])
    click.echo("\n".join(describe(core)))
    report, picture = manifest.parent / "report.json", manifest.parent / "report.png"
    for earlier in (report, picture):  # a run that fails must not leave the report of another one
        earlier.unlink(missing_ok=True)
    click.echo("building the Verilator model...", err=True)
    build_core_model(manifest)
    with tqdm(total=len(payloads), desc="simulated", unit="sequence") as bar:
        simulation = simulate(
            manifest, payloads, reports=reports, stalls_seed=stalls, progress=bar.update
        )
    with tqdm(total=len(payloads), desc="compared", unit="sequence") as bar:
        comparison = compare(simulation, payloads, progress=bar.update)
    summary = summarize(simulation, comparison, dataset.labels)
    figure = plot_report(simulation, payloads[0], dataset.picture(0), int(dataset.labels[0]))
    save_picture(figure, picture)
    write_report(summary, report)
    click.echo("\n".join(lines(summary, report, picture)))
    if comparison.mismatches:
        click.echo(f"error: {comparison.mismatches} values differ from the golden model", err=True)
        sys.exit(1)
