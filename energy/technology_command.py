"""`dmp technology`: make a technology file from a foundry's Liberty files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from energy.from_liberty import from_liberty
from energy.liberty import read_liberty
from energy.technology import write_technology
from golden.command_line import Command
from golden.errors import report_user_errors


def source_of(path: Path) -> str:
    """Return a line that says which file that is: its name, date, revision and SHA-256."""
    library = read_liberty(path)
    date, revision = (library.simple.get(what, "").strip("$ ") for what in ("date", "revision"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{path.name}: {library.name}, {date}, {revision}, SHA-256 {digest}"


@click.command(cls=Command)
@click.option("--liberty", required=True, type=click.Path(path_type=Path), help="Of cells")
@click.option(
    "--sram",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Liberty of a memory macro; one option each",
)
@click.option("--source", multiple=True, help="A line that says where these files are from")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The file to write")
@report_user_errors
def main(liberty: Path, sram: tuple[Path, ...], source: tuple[str, ...], out: Path) -> None:
    """Make a technology file from Liberty files: of each cell and macro the figures that dmp energy
    needs, with their sources.
    """
    files = " ".join(f"--sram {path.name}" for path in sram)
    command = f"dmp technology --liberty {liberty.name} {files}"
    sources = [*source, f"Made by: {command}", *map(source_of, (liberty, *sram))]
    technology = from_liberty(liberty, sram, sources)
    write_technology(technology, out)
    print(f"{len(technology.cells)} cells, {len(technology.macros)} memory macros: {out}")
