"""`python -m handoff`: write the package of a generated core."""

from __future__ import annotations

from pathlib import Path

import click

from export.items import report_times
from export.store import find_dataset, load_stored
from golden.command_line import MEGAHERTZ, REPORT_EVERY, Command
from golden.errors import UserError, report_user_errors
from golden.manifest import read_core
from handoff.package import write_package


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to write, replaced if it is a package [default: package beside the manifest]",
)
@click.option(
    "--sequences",
    "n_sequences",
    default=1,
    type=click.IntRange(1),
    help="How many test sequences the testbench runs, from the first",
)
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
    manifest: Path,
    out: Path | None,
    n_sequences: int,
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
    _, card = load_stored(network or core.network.name)
    dataset = find_dataset(card, data)
    if n_sequences > len(dataset):
        raise UserError(f"--sequences {n_sequences}: there are {len(dataset)}")
    payloads = dataset.select(slice(n_sequences)).sequences()[:, :timesteps]
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


if __name__ == "__main__":
    main()
