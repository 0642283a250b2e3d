"""`dmp import`: a network of another tool, from its file to a folder that every command takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click
from click.core import ParameterSource
from tqdm import tqdm

from dmp_core.frontends.imported import Imported
from dmp_core.frontends.nir_neurons import Discretization, Fires, GivenReset
from dmp_core.network import Integers, Network, check_free
from golden.command_line import FORCE, Command, Number
from golden.compare_reals import compare
from golden.data.dataset import EventSequences
from golden.data.sequence_files import HDF5, Takes, read_sequences
from golden.errors import UserError, report_user_errors
from golden.formats import SPIKE, Fixed
from golden.integer import NetworkIntegers
from golden.params import check_name
from golden.reals import NetworkReals
from golden.width_search import BITS

NIR_FILES = (".nir",)
LAVA_FILES = (".net", ".h5", ".hdf5")
OF_REALS = ("dt", "discretization", "reset", "fires", "payload_bits", "calibration", "weight_bits",
            "membrane_bits", "leak_bits")  # fmt: skip
FILE = click.Path(path_type=Path)


def read(path: Path, network: Takes, n_timesteps: int | None) -> EventSequences:
    """Return the sequences of a file, as `--data` takes them, of `n_timesteps` where that is given;
    or raise `UserError` where they are none that the network takes.
    """
    if n_timesteps is None and path.suffix.lower() in HDF5:
        raise UserError(f"{path}: say into how many timesteps its first second falls (--timesteps)")
    found = read_sequences(path, network, n_timesteps or 0)
    length = found.events.shape[1]
    if n_timesteps not in (None, length):
        raise UserError(f"--timesteps {n_timesteps}: the sequences of {path} have {length}")
    return found


def what_it_takes(network: NetworkReals | NetworkIntegers, name: str) -> Takes:
    if isinstance(network, NetworkIntegers):
        return Takes.of(network.params)
    first = network.layers[0]
    return Takes(name, first.n_inputs, first.payload, len(network.b_o) or None)


def from_file(source: Path, name: str, given: set[str], options: dict[str, Any]) -> Imported[Any]:
    """Return what a file holds, as a network of this name. A frontend says which of the options it
    needs; a Lava file takes none of them, and so none may be `given`.
    """
    if source.suffix.lower() in NIR_FILES:
        from dmp_core.frontends.nir import from_nir

        return from_nir(source, **options)
    if source.suffix.lower() in LAVA_FILES:
        for option in OF_REALS:
            if option in given:
                flag = option.replace("_", "-")
                right = "give sequences as --test" if option == "calibration" else "leave it out"
                raise UserError(f"--{flag} with a Lava file, which says it itself: {right}")
        from dmp_core.frontends.lava import from_lava

        return from_lava(source, name=name)
    kinds = ", ".join((*NIR_FILES, *LAVA_FILES))
    raise UserError(
        f"{source}: files of networks end with {kinds}; a module of snnTorch's is imported from"
        " Python (dmp_core.from_snntorch)"
    )


@click.command(name="import", cls=Command, context_settings={"show_default": True})
@click.argument("source", type=FILE)
@click.option(
    "--dt", type=Number(0, min_open=True), help="Length of a timestep, in the file's unit"
)
@click.option(
    "--discretization",
    type=click.Choice(get_args(Discretization)),
    help="How time constants become decays",
)
@click.option(
    "--reset",
    type=click.Choice(get_args(GivenReset)),
    help="What a spike does to the membrane",
)
@click.option(
    "--fires", type=click.Choice(get_args(Fires)), help="Of the threshold [default: above]"
)
@click.option(
    "--payload-bits",
    type=click.IntRange(1, 14),
    help="Inputs are unsigned numbers of N bits, the largest just below 1 [default: spikes]",
)
@click.option(
    "--calibration",
    type=FILE,
    help="File of training sequences (.npz, .h5, .aer), from which formats are chosen; a Lava file"
    " needs none",
)
@click.option(
    "--test", type=FILE, help="File of test sequences, to be stored [default: the calibration's]"
)
@click.option(
    "--timesteps", type=click.IntRange(1), help="Of a sequence [default: as the files say]"
)
@click.option(
    "--weight-bits", default=8, type=click.IntRange(*BITS["weight_bits"]), help="Of all weights"
)
@click.option(
    "--membrane-bits", default=16, type=click.IntRange(*BITS["membrane_bits"]), help="Of membranes"
)
@click.option("--leak-bits", default=12, type=click.IntRange(*BITS["leak_bits"]), help="Of leaks")
@click.option("--name", help="Of the network [default: the file's]")
@click.option("--out", type=FILE, help="Folder of the network [default: nets/NAME]")
@FORCE
@report_user_errors
def main(
    source: Path,
    dt: float | None,
    discretization: str | None,
    reset: str | None,
    fires: str | None,
    payload_bits: int | None,
    calibration: Path | None,
    test: Path | None,
    timesteps: int | None,
    weight_bits: int,
    membrane_bits: int,
    leak_bits: int,
    name: str | None,
    out: Path | None,
    force: bool,
) -> None:
    """Import the network in SOURCE, a file of NIR (.nir) or of Lava's netx (.net, .h5): say what
    became of every node, choose formats, compare reals with integers, and store the network with
    its test sequences in a folder that every command takes.
    """
    name = name or source.stem
    check_name(name)
    out = out or Path("nets") / name
    check_free(out, force)
    payload = SPIKE if payload_bits is None else Fixed(payload_bits, payload_bits, signed=False)
    options = {"dt": dt, "discretization": discretization, "reset": reset, "payload": payload}
    options |= {} if fires is None else {"fires": fires}
    imported = from_file(source, name, _given(), options)
    takes = what_it_takes(imported.network, name)
    if timesteps is not None and calibration is None and test is None:
        raise UserError(f"--timesteps {timesteps} without sequences: give --calibration or --test")
    known = None if calibration is None else read(calibration, takes, timesteps)
    tests = known if test is None else read(test, takes, timesteps)
    if isinstance(imported.network, NetworkIntegers):
        click.echo(imported.report())
        integers = Integers(imported.network)
    elif known is None or tests is None:
        raise UserError(f"{source} holds reals: give training sequences (--calibration FILE)")
    else:
        click.echo(imported.report())
        network = Network(imported)
        integers = network.quantize(
            known.events, name=name, weight_bits=weight_bits, membrane_bits=membrane_bits,
            leak_bits=leak_bits,
        )  # fmt: skip
        labels = tests.labels if tests.labelled else None
        with tqdm(total=len(tests), desc="compared", unit="sequence") as bar:
            done = compare(
                network.reals, integers.network, tests.events, labels, progress=bar.update
            )
        click.echo(done.report())
    if tests is None:
        integers.save(out, force=force)
    else:
        integers.save(out, tests.events, tests.labels if tests.labelled else None, force=force)
    data = " --data FILE" * (tests is None)
    click.echo(f"wrote {out}: run it with dmp sim {out}{data}")


def _given() -> set[str]:
    """Return the names of the options that were given."""
    context = click.get_current_context()
    source = context.get_parameter_source
    return {name for name in context.params if source(name) is ParameterSource.COMMANDLINE}
