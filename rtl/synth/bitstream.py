"""`dmp bitstream`: a core on a board, synthesized, placed on the board's pins and
routed with several seeds; the fastest becomes a bitstream, if it holds the clock.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import click

from golden.command_line import BAUD_RATE, MEGAHERTZ, Command
from golden.errors import UserError, guard_children, report_user_errors
from golden.files import scratch_folder, write_whole
from golden.manifest import read_core
from golden.uart_protocol import BAUD
from rtl.host.board import BOARDS, Clocking
from rtl.host.pll import fastest_pll
from rtl.synth.devices import DEVICES
from rtl.synth.place import PACKER, find_program, place
from rtl.synth.report import (
    describe,
    inference,
    placer_options,
    products_in_luts,
    summarize,
    synthesize,
)
from rtl.verilog.generate import BOARD_TOP, generate_board


def configuration(seed: int) -> str:
    """Return the file of a seed's placement, which the packer reads."""
    return f"seed{seed}.config"


def pack(configuration: Path, bitstream: Path) -> None:
    """Write the bitstream of a placement in nextpnr's text, or raise `UserError`."""
    program = find_program(PACKER)
    made = configuration.with_suffix(".bit")
    command = [program, "--compress", configuration.name, made.name]
    guard_children()
    done = subprocess.run(command, cwd=configuration.parent, capture_output=True, text=True)
    if done.returncode or not made.exists():
        words = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise UserError(f"ecppack failed: {words[0]}")
    write_whole(bitstream, made.read_bytes())


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--board", default=next(iter(BOARDS)), type=click.Choice(list(BOARDS)))
@click.option("--mhz", default=100.0, type=MEGAHERTZ, help="The core's clock, which a PLL makes")
@click.option("--baud", default=BAUD, type=BAUD_RATE, help="Bits a second of the UART")
@click.option("--seeds", default=1, type=click.IntRange(1), help="Place and route with N seeds")
@placer_options
@report_user_errors
def main(
    manifest: Path,
    board: str,
    mhz: float,
    baud: int,
    seeds: int,
    placer: str,
    router: str,
    floorplan: bool,
    multipliers: int | None,
    cycles: int | None,
    jobs: int,
) -> None:
    """Write the Verilog, the pins, the bitstream and synth.json of the core of MANIFEST on a board,
    beside it.

    Ends with an error, and without a bitstream, where no seed holds the clock.
    """
    clocking, device = Clocking(board, mhz, baud), DEVICES[BOARDS[board].device]
    core, _ = read_core(manifest)
    in_luts = products_in_luts(core, device, multipliers)
    verilog = generate_board(manifest, clocking)
    bitstream, report = verilog.with_suffix(".bit"), manifest.with_name("synth.json")
    for earlier in (bitstream, report):
        earlier.unlink(missing_ok=True)
    pins = verilog.with_suffix(".lpf")
    with scratch_folder() as scratch:
        synthesis = synthesize(
            verilog,
            device,
            scratch,
            BOARD_TOP,
            floorplan=core if floorplan else None,
            in_luts=in_luts,
        )
        (scratch / pins.name).write_text(pins.read_text())

        def options(seed: int) -> list[str]:
            return ["--lpf", pins.name, "--textcfg", configuration(seed)]

        placements = place(
            synthesis.netlist,
            device,
            range(1, seeds + 1),
            mhz,
            jobs=jobs,
            placer=placer,
            router=router,
            options=options,
        )
        best = placements[0]
        holds = best.fmax_mhz >= mhz
        if holds:
            pack(scratch / configuration(best.seed), bitstream)
    summary = summarize(
        core.network.name, BOARDS[board].device, synthesis, placements, core.hardware
    )
    summary |= {"board": board, "mhz": mhz, "baud": baud, **inference(cycles, placements)}
    if holds:
        digest = hashlib.sha256(bitstream.read_bytes()).hexdigest()
        summary |= {"bitstream": bitstream.name, "bitstream_sha256": digest}
    write_whole(report, json.dumps(summary, indent=1) + "\n")
    print(describe(summary))
    print(f"report    {report}")
    if not holds:
        slower = fastest_pll(BOARDS[board].clock_mhz, best.fmax_mhz).output_mhz
        raise UserError(
            f"the best of {seeds} seeds holds {best.fmax_mhz:.1f} MHz, not {mhz:g}: no bitstream;"
            f" use more seeds, or --mhz {slower:.7g} (make: CLOCK={slower:.7g})"
        )
    print(f"bitstream {bitstream}")
