"""`dmp events`: a file of events at times, as sequences at timesteps."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import click
import numpy as np
from click.core import ParameterSource
from tqdm import tqdm

from golden.command_line import FORCE, Command
from golden.data.binning import Binning, bin_events
from golden.data.event_list import EventList
from golden.data.event_text import read_text
from golden.data.sequence_files import check_labels, npz_events, read_arrays, save_sequences
from golden.data.speech import read_spikes
from golden.errors import UserError, report_user_errors
from golden.files import keep

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
HDF5 = (".h5", ".hdf5")
DELAY = 0.2  # seconds, so that what is refused at once is one line
MICROSECONDS = (".aer", ".txt", ".npz")


class Duration(click.ParamType):
    """A time with its unit, as 10ms; in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found = re.fullmatch(r"\s*([0-9.]+)\s*(s|ms|us)\s*", str(value))
        try:
            seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < math.inf:
            self.fail(f"'{value}' is no duration with a unit: use 10ms, 0.5s or 500us", param, ctx)
        return seconds


def read_events(path: Path) -> EventList:
    """Read a file of events at times, or raise `UserError`."""
    if not path.exists():
        raise UserError(f"there is no {path}: name a file of events")
    suffix = path.suffix.lower()
    if suffix in HDF5:
        return read_spikes(path)[0]
    if suffix == ".npz":
        return npz_events(path, read_arrays(path), "time")
    if suffix in MICROSECONDS:
        return read_text(path, whole_times=False)
    raise UserError(f"{path} is of no kind that is known: use {', '.join(MICROSECONDS + HDF5)}")


@click.command(name="events", cls=Command, context_settings={"show_default": True})
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--timesteps", required=True, type=click.IntRange(1), help="Of every sequence")
@click.option("--step", required=True, type=Duration(), help="Of a timestep, as 10ms, 0.5s, 500us")
@click.option("--inputs", required=True, type=click.IntRange(1, 1 << 16), help="Of the network")
@click.option(
    "--channels",
    type=click.IntRange(1),
    help="Addresses of the file, from 0, of which neighbours share an input [default: the inputs]",
)
@click.option(
    "--unit",
    type=click.Choice(list(UNITS)),
    help="Of the file's times [default: s for HDF5, us for all else]",
)
@click.option(
    "--counts/--binary",
    default=True,
    help="A payload is the number of its events, or 1 where there are any",
)
@click.option(
    "--payload-bits", type=click.IntRange(1, 16), default=8, help="Of --counts: what is more is cut"
)
@click.option(
    "--at-least", type=click.IntRange(1), default=1, help="Of --binary: events that make a 1"
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="An .npz")
@FORCE
@report_user_errors
def command(
    file: Path,
    timesteps: int,
    step: float,
    inputs: int,
    channels: int | None,
    unit: str | None,
    counts: bool,
    payload_bits: int,
    at_least: int,
    out: Path,
    force: bool,
) -> None:
    """Turn FILE, events at times, into sequences of payloads at timesteps.

    FILE is text of lines `time address [payload]` (.aer, .txt), HDF5 in the layout of SHD (.h5), or
    an .npz of the arrays sequence, time, address, and payload and labels where there are any.
    """
    source = click.get_current_context().get_parameter_source
    for name, option, needs, there in (
        ("payload_bits", "--payload-bits", "--counts", counts),
        ("at_least", "--at-least", "--binary", not counts),
    ):
        if source(name) is ParameterSource.COMMANDLINE and not there:
            raise UserError(f"{option} without {needs}, of which it is: leave it out")
    if out.suffix.lower() != ".npz":
        raise UserError(f"--out {out}: use a name that ends with .npz")
    keep(out, force)
    scale = UNITS[unit or ("s" if file.suffix.lower() in HDF5 else "us")]
    binning = Binning(
        timesteps, step / scale, inputs, channels or inputs, (1 << payload_bits) - 1,
        not counts, at_least,
    )  # fmt: skip
    try:
        events = read_events(file)
        labels = events.labels
        if labels is not None:
            labels = check_labels(np.asarray(labels), events.n_sequences, None)
        with tqdm(total=events.n_sequences, desc="binned", unit="sequence", delay=DELAY) as bar:
            binned = bin_events(events, binning, bar.update)
    except UserError as error:
        told = str(error)
        raise UserError(told if str(file) in told else f"{file}: {told}") from None
    save_sequences(out, binned.payloads, labels)
    known = "with labels" if labels is not None else "without labels"
    per = np.count_nonzero(binned.payloads) / binned.payloads.shape[0]
    click.echo(f"sequences   {events.n_sequences} of {timesteps} x {inputs}, {known}")
    left = f"{binned.left_out} before the first timestep or after the last"
    click.echo(f"events      {len(events.time)} in the file, {left}")
    click.echo(f"payloads    {per:.1f} a sequence, {per / timesteps:.2f} a timestep")
    if counts:
        click.echo(f"clipped     {binned.clipped} payloads to {binning.largest}")
    click.echo(f"wrote {out}")
