"""`python -m rtl`: write the Verilog of an exported core."""

from __future__ import annotations

from pathlib import Path

import click

from golden.errors import report_user_errors
from rtl.generate import generate, generate_axi


@click.command()
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to write to [default: beside the manifest]",
)
@click.option(
    "--top",
    type=click.Choice(("core", "axi")),
    default="core",
    help="The core alone, or behind AXI4-Lite and AXI4-Stream [default: core]",
)
@report_user_errors
def main(manifest: Path, out: Path | None, top: str) -> None:
    """Write the Verilog of the core that MANIFEST describes, and ports.json; with `--top axi`
    NAME_axi.v, and the registers as NAME_axi.h and NAME_axi.md.
    """
    write = generate_axi if top == "axi" else generate
    print(f"Verilog: {write(manifest, out)}")


if __name__ == "__main__":
    main()
