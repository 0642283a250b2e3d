"""Commands of a core that take a network: they make the core, then do what they are for."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from dmp_core.commands import Making, Top
from dmp_core.fit_command import CHOSEN
from dmp_core.shape import BESIDE_FIT, SHAPE, TRACE
from export.claim import claimed
from export.core import folder_of_core, make_core
from export.store import load_network
from golden.command_line import Command
from golden.errors import UserError, report_user_errors
from golden.files import alone_at
from golden.hardware.params import HardwareParams
from golden.manifest import MANIFEST, unlisted

# Where the files of a core lie is `--out`; what a command writes lies beside them.
CORE = "the core of NETWORK (a shipped one, a folder, or a core's manifest.json)"
OF_MANIFEST = r"the\s+core\s+(that\s+MANIFEST\s+describes|of\s+MANIFEST)"
LEFT_OUT = ("manifest", "network", "out")
NETWORK = click.Argument(["network"])
SIMULATED_BAUD = 12_500_000
FIT = click.Option(
    ["--fit"], is_flag=True, help=f"Take the hardware that dmp fit chose for it: {CHOSEN} in --out"
)
OUT = click.Option(
    ["--out"], type=click.Path(path_type=Path), help="Folder of the core [default: build/NAME]"
)


def with_core(command: click.Command, making: Making) -> click.Command:
    """Return a command like one that takes MANIFEST, which takes NETWORK and the shape of the core
    instead.

    NETWORK is a shipped network, a network's folder, or a core's manifest.json, which is used as it
    is.
    """
    left_out = (*LEFT_OUT, *["verilog"] * making.board)
    own = [option for option in command.params if option.name not in left_out]
    takes_network = any(option.name == "network" for option in command.params)

    @report_user_errors
    def call(network: str, fit: bool, out: Path | None, **given: Any) -> None:
        shape = {option.name: given.pop(str(option.name)) for option in SHAPE}
        context = click.get_current_context()
        if making.board:
            check_board(given["board"])
        made = Path(network).name == MANIFEST
        with alone_at(Path(network).parent if made else out or folder_of_core(network)):
            run(context, network, fit, out, shape, given)

    def run(
        context: click.Context,
        network: str,
        fit: bool,
        out: Path | None,
        shape: dict[str, Any],
        given: dict[str, Any],
    ) -> None:
        if Path(network).name == MANIFEST:
            refuse_shape(context, network)
            manifest, named = Path(network), claimed(Path(network).parent)
            given.pop("trace", None)
        else:
            shape = fitted(context, network, out) if fit else shape
            if making.results:
                _ = load_network(network).params.readout  # or raise
            trace = given.pop("trace") if making.trace is None else making.trace
            manifest = make_core(network, HardwareParams(**shape, trace=trace), out)
            named = network
        write_verilog(manifest, making.tops)
        if making.board:
            given["verilog"] = write_board(manifest, given["board"])
        if takes_network:
            given["network"] = named
        if any(option.name == "out" for option in command.params):
            given["out"] = None
        context.invoke(command, manifest=manifest, **given)

    return Command(
        command.name,
        params=[NETWORK, *SHAPE, *[TRACE] * (making.trace is None), FIT, OUT, *own],
        callback=call,
        help=re.sub(OF_MANIFEST, CORE, cleandoc(command.help or "")),
        context_settings=command.context_settings,
    )


@click.command(cls=Command)
@click.argument("manifest")
def export(manifest: Path) -> None:
    """Write manifest.json and one .hex image a memory of the core that MANIFEST describes."""


def _chosen(context: click.Context, options: Sequence[click.Parameter]) -> list[str]:
    """Return the options that were given."""
    sources = ((option, context.get_parameter_source(str(option.name))) for option in options)
    return [o.opts[0] for o, source in sources if source is ParameterSource.COMMANDLINE]


def refuse_shape(context: click.Context, manifest: str) -> None:
    """Raise `UserError` where options of the hardware come with a core that is made."""
    if given := _chosen(context, [*SHAPE, TRACE, FIT, OUT]):
        raise UserError(
            f"{given[0]} with {manifest}: that core is made already; name the network instead"
        )


def fitted(context: click.Context, network: str, out: Path | None) -> dict[str, Any]:
    """Return the hardware that `dmp fit` chose for a network, with the options that go with it; or
    raise `UserError` where it has chosen none, or other options were given.
    """
    if given := _chosen(context, [option for option in SHAPE if option.name not in BESIDE_FIT]):
        raise UserError(f"--fit with {given[0]}: use one of the two")
    beside = {option.opts[0]: str(option.name) for option in SHAPE if option.name in BESIDE_FIT}
    asked = {beside[name]: context.params[beside[name]] for name in _chosen(context, SHAPE)}
    folder = out or folder_of_core(network)
    path = folder / CHOSEN
    if not path.exists():
        raise UserError(f"no {path}: run dmp fit {network} first, with --out {folder}")
    try:
        hardware = json.loads(path.read_text())["chosen"]["hardware"]
        shape = {str(option.name): unlisted(hardware[option.name]) for option in SHAPE}
        HardwareParams(**shape)  # or raise
        return shape | asked
    except (KeyError, TypeError, UserError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(
            f"{path} holds no choice of hardware ({error!r}): run dmp fit {network} again"
        ) from None


def check_board(board: str) -> None:
    """Raise `UserError` where there is no such board."""
    from rtl.host.board import BOARDS

    if board not in BOARDS:
        raise UserError(f"--board {board}: use one of {', '.join(BOARDS)}")


def write_board(manifest: Path, board: str) -> Path:
    """Write the Verilog of a manifest's core on a board whose UART is fast enough to be simulated;
    return its folder.
    """
    from rtl.host.board import Clocking
    from rtl.verilog.generate import generate_board

    folder = manifest.parent / "uart"
    generate_board(manifest, Clocking(board, 100.0, SIMULATED_BAUD), folder)
    return folder


def write_verilog(manifest: Path, tops: Sequence[Top]) -> None:
    """Write the Verilog of a manifest's core with these tops."""
    # Amaranth and Yosys take half a second to load.
    from rtl.verilog.generate import generate, generate_axi

    for top in tops:
        verilog = {"core": generate, "axi": generate_axi}[top](manifest)
        click.echo(f"Verilog: {verilog}")
