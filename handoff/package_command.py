"""`dmp package`: write the package of a generated core."""

from __future__ import annotations

from pathlib import Path

import click

from export.items import report_times
from export.sequences import first_sequences
from export.store import find_dataset
from golden.command_line import DATA, MEGAHERTZ, NETWORK, REPORT_EVERY, Command, Count, count_option
from golden.errors import report_user_errors
from golden.manifest import read_core
from handoff.package import write_package


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to write, replaced if it is a package [default: package beside the manifest]",
)
@count_option(1, "--sequences", "test sequences the testbench runs")
@click.option(
    "--timesteps",
    type=click.IntRange(1),
    help="Timesteps of each sequence that it runs, from the first [default: all]",
)
@REPORT_EVERY
@click.option("--clock", default=100.0, type=MEGAHERTZ, help="In MHz")
@click.option(
    "--wrapper",
    "wrappers",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A further Verilog file to put beside the core; may be repeated",
)
@NETWORK
@DATA
@report_user_errors
def main(
    manifest: Path,
    out: Path | None,
    count: Count,
    timesteps: int | None,
    report_every: int | None,
    clock: float,
    wrappers: tuple[Path, ...],
    network: str | None,
    data: Path | None,
) -> None:
    """Write Verilog, memory images, a self-checking testbench on real sequences, constraints and
    the descriptions that FuseSoC, Vivado and IP-XACT tools read, of the core that MANIFEST
    describes.
    """
    core, _ = read_core(manifest)
    dataset = find_dataset(network or core.network.name, data)
    dataset = first_sequences(core, manifest, dataset, count)
    payloads = dataset.sequences()[:, :timesteps]
    reports = report_times(core, report_every, payloads.shape[1])
    click.echo("running the golden model...", err=True)
    package = write_package(
        manifest,
        payloads,
        out or manifest.parent / "package",
        reports=reports,
        clock_mhz=clock,
        wrappers=wrappers,
    )
    click.echo(
        f"wrote {package.folder}: {package.n_files} files, core {package.core}; its testbench sends"
        f" {package.n_events} items and compares {package.n_results} results"
    )
