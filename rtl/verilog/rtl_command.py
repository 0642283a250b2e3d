"""`dmp rtl`: write the Verilog of an exported core."""

from __future__ import annotations

from pathlib import Path

import click

from golden.command_line import BAUD_RATE, MEGAHERTZ, Command
from golden.errors import report_user_errors
from golden.uart_protocol import BAUD
from rtl.host.board import BOARDS, Clocking
from rtl.verilog.generate import generate, generate_axi, generate_board


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to write to [default: beside the manifest]",
)
@click.option(
    "--top",
    type=click.Choice(("core", "axi", *BOARDS)),
    default="core",
    help="The core alone, or with AXI4-Lite and AXI4-Stream, or on a board with a UART",
)
@click.option(
    "--mhz", default=100.0, type=MEGAHERTZ, help="Of a board: the core's clock, which a PLL makes"
)
@click.option("--baud", default=BAUD, type=BAUD_RATE, help="Of a board: bits a second of the UART")
@click.option(
    "--sources",
    is_flag=True,
    help="Keep the lines of Python as attributes src",
)
@report_user_errors
def main(manifest: Path, out: Path | None, top: str, mhz: float, baud: int, sources: bool) -> None:
    """Write the Verilog of the core that MANIFEST describes, and ports.json; with `--top axi`
    NAME_axi.v, and the registers as NAME_axi.h and NAME_axi.md; with a board NAME_BOARD.v, its pins
    as .lpf and its clocks as .json.
    """
    if top in BOARDS:
        verilog = generate_board(manifest, Clocking(top, mhz, baud), out, sources=sources)
    else:
        write = generate_axi if top == "axi" else generate
        verilog = write(manifest, out, sources=sources)
    print(f"Verilog: {verilog}")
