"""`python -m rtl`: write the Verilog of an exported core."""

from __future__ import annotations

from pathlib import Path

import click

from golden.errors import report_user_errors
from rtl.generate import generate


@click.command()
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to write to [default: beside the manifest]",
)
@report_user_errors
def main(manifest: Path, out: Path | None) -> None:
    """Write the Verilog of the core that MANIFEST describes, and ports.json."""
    print(f"Verilog: {generate(manifest, out)}")


if __name__ == "__main__":
    main()
