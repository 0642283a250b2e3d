"""`dmp waves`: every signal of a short run as an FST file, with a view of it for GTKWave
and one for Surfer.

Which signals a view shows is chosen by the names of the core's components, and read from the file:
streams of the core and of each layer, and the ports of each layer's schedule and event list, and
its sums.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from pywellen import Waveform  # pyright: ignore[reportAttributeAccessIssue]  # it has no stubs

from golden.command_line import Command, Count
from golden.errors import UserError, report_user_errors
from golden.files import write_whole
from golden.hardware.core import CoreParams
from tb.cocotb_core import PERIOD
from tb.drivers import build_core_model
from tb.sequences import find_sequences, sequence_options
from tb.simulate import simulate
from tb.wrapper import TOP

CORE = f"{TOP}.core"
STREAM = re.compile(r"(i|o)_[a-z_]+__[a-z]+|(i|o)__[a-z]+")
# Of each layer and the readout: which signals of which component.
SHOWN = {
    "": STREAM,
    "events": re.compile(r".*"),
    "schedule": re.compile(r".*"),
    "spike_path": re.compile(r"sums.*"),
    "state_path": re.compile(r"sums.*"),
}


@dataclass(frozen=True)
class Wave:
    """A signal of a waveform, by its full name, and its bits."""

    name: str
    width: int


def read_view(core: CoreParams, waveform: Path) -> dict[str, list[Wave]]:
    """Return the signals to show, by the instance that they are ports of.

    Raises
    ------
    UserError
        The core has no signal of a component that it must have.
    """
    ports: dict[str, list[Wave]] = {}
    for signal in Waveform(str(waveform)).all_vars():
        scope, _, name = signal.full_name.rpartition(".")
        if signal.direction in ("Input", "Output") and name not in ("clk", "rst"):
            ports.setdefault(scope, []).append(Wave(signal.full_name, signal.bitwidth or 1))
    view = {CORE: _matching(ports.get(CORE, []), STREAM)}
    for part in core.parts:
        for component, pattern in SHOWN.items():
            scope = f"{CORE}.{part}" + (f".{component}" if component else "")
            if found := _matching(ports.get(scope, []), pattern):
                view[scope] = found
            elif component in ("events", "schedule"):
                raise UserError(f"{waveform} has no ports of {scope}: simulate again")
    return view


def _matching(signals: Sequence[Wave], pattern: re.Pattern[str]) -> list[Wave]:
    found = (wave for wave in signals if pattern.fullmatch(wave.name.rpartition(".")[2]))
    return sorted(found, key=lambda wave: wave.name)


def gtkwave_view(view: dict[str, list[Wave]], waveform: str, start: int) -> str:
    """Return GTKWave's save file of a view, whose waveform lies beside it, from time `start` on."""

    def lines() -> Iterator[str]:
        yield f'[dumpfile] "{waveform}"'
        yield f"[timestart] {start}"
        yield f"*-6.0 {start}"
        for scope, waves in view.items():
            yield "@200"
            yield f"-{scope}"
            for wave in waves:
                yield "@22" if wave.width > 1 else "@28"  # hexadecimal, binary
                yield f"{wave.name}[{wave.width - 1}:0]" if wave.width > 1 else wave.name

    return "\n".join(lines()) + "\n"


def surfer_view(view: dict[str, list[Wave]]) -> str:
    """Return Surfer's command file for a view."""
    lines = []
    for scope, waves in view.items():
        lines += [f"divider_add {scope}", *(f"variable_add {wave.name}" for wave in waves)]
    return "\n".join([*lines, "zoom_fit"]) + "\n"


@click.command(cls=Command, context_settings={"show_default": True})
@sequence_options(1)
@click.option(
    "--timesteps", default=16, type=click.IntRange(1), help="Of each sequence, from the first"
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of waves.fst, waves.gtkw and waves.sucl [default: beside the manifest]",
)
@click.option("--optimize", default="-O0", help="The C++ compiler's option for the model")
@report_user_errors
def main(
    manifest: Path,
    count: Count,
    network: str | None,
    data: Path | None,
    timesteps: int,
    out: Path | None,
    optimize: str,
) -> None:
    """Run the first timesteps of sequences through the core of MANIFEST and write every signal into
    waves.fst, with a view for GTKWave (waves.gtkw) and one for Surfer (waves.sucl).
    """
    core, dataset = find_sequences(manifest, count, network, data)
    payloads = np.ascontiguousarray(dataset.sequences()[:, :timesteps])
    out = out or manifest.parent
    out.mkdir(parents=True, exist_ok=True)
    waveform, gtkwave, surfer = (out / f"waves.{kind}" for kind in ("fst", "gtkw", "sucl"))
    for earlier in (waveform, gtkwave, surfer):  # no view of another run's waveform
        earlier.unlink(missing_ok=True)
    click.echo("building the Verilator model...", err=True)
    build_core_model(manifest, optimize=optimize, waves=True)
    folder = manifest.parent / "sim_waves"
    simulation = simulate(manifest, payloads, folder=folder, optimize=optimize, waves=waveform)
    view = read_view(core, waveform)
    write_whole(gtkwave, gtkwave_view(view, waveform.name, PERIOD * simulation.first_cycle))
    write_whole(surfer, surfer_view(view))
    click.echo(
        f"{len(payloads)} x {payloads.shape[1]} timesteps of {core.network.name};"
        f" {sum(map(len, view.values()))} signals of {len(view)} components in the view"
    )
    click.echo(f"wrote {waveform}; open it with one of")
    click.echo(f"  gtkwave {waveform} {gtkwave}")
    click.echo(f"  surfer --command-file {surfer} {waveform}")
