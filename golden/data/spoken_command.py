"""`dmp spoken`: the spoken digits, from recordings that anybody can get."""

from __future__ import annotations

import time
from pathlib import Path

import click
from tqdm import tqdm

from golden.command_line import FORCE, Command
from golden.data.recordings import Recordings, convert, save
from golden.errors import UserError, report_user_errors
from golden.files import keep


@click.command(name="spoken", cls=Command)
@click.argument("recordings", metavar="FOLDER_OR_ZIP", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("build/spoken/fsdd_140x100.npz"),
    show_default=True,
    help="Give it, or its folder, as DATA to the network spoken; in a folder the name must be"
    " fsdd*140x100*.npz",
)
@FORCE
@report_user_errors
def command(recordings: Path, out: Path, force: bool) -> None:
    """Turn recordings of spoken digits (WAV files named digit_speaker_index.wav, in FOLDER_OR_ZIP)
    into events on 140 inputs, 100 timesteps of 10 ms each.

    \b
    The recordings are those of the Free Spoken Digit Dataset (CC BY-SA 4.0):
      git clone https://github.com/Jakobovski/free-spoken-digit-dataset
      dmp spoken free-spoken-digit-dataset/recordings
      make train NET=spoken DATA=build/spoken
    """
    keep(out, force)
    try:
        import scipy.signal  # noqa: F401
    except ImportError:
        raise UserError("this needs SciPy: install the extra 'train' (make setup)") from None
    found = Recordings(recordings)
    started = time.monotonic()
    with tqdm(total=len(found.all), desc="converted", unit="recording") as bar:
        arrays, statistics = convert(found, bar.update)
    save(out, arrays)
    speakers = ", ".join(f"{place} {name}" for place, name in enumerate(found.speakers))
    click.echo(f"recordings  {len(arrays['train_y'])} train, {len(arrays['test_y'])} test")
    click.echo(f"speakers    {speakers}")
    empty = f"{100 * statistics.empty:.0f} % of timesteps are empty"
    click.echo(
        f"events      {statistics.events:.0f} a recording; {statistics.within:.1f} a timestep of"
        f" its sound, {statistics.most} at the most; {empty}"
    )
    if statistics.cut:
        click.echo(f"cut         {statistics.cut} recordings are longer than 1 second")
    click.echo(f"wrote {out} in {time.monotonic() - started:.0f} s")
