"""What the commands of all packages share: how they take their options."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from click.core import ParameterSource
from click.exceptions import NoArgsIsHelpError

from golden.files import alone_at

Takes = TypeVar("Takes", bound=Callable[..., None])


class Command(click.Command):
    """A command that answers an option it cannot take with one line and status 2. Two that write to
    one place run one after the other.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            _refuse(ctx, error)

    def invoke(self, ctx: click.Context) -> Any:
        """Run it, alone at the `--out` that was given; of the processes that torchrun starts as one
        command, the first is alone for all.
        """
        out, first = ctx.params.get("out"), os.environ.get("RANK", "0") == "0"
        with alone_at(out) if first and isinstance(out, Path) else nullcontext():
            return super().invoke(ctx)


class Group(click.Group):
    """A command of several of these; it answers the name of none of them in the same way."""

    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except NoArgsIsHelpError:  # its help, which is not one line
            raise
        except click.UsageError as error:
            _refuse(ctx, error)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            _refuse(ctx, error)


def _refuse(ctx: click.Context, error: click.UsageError) -> NoReturn:
    words = " ".join(error.format_message().split()).rstrip(".")
    print(f"error: {words}: see {ctx.command_path} --help", file=sys.stderr)
    raise SystemExit(error.exit_code) from None


class Number(click.FloatRange):
    """A number in a range. `nan` is in none, and infinity is no number."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is no number.", param, ctx)
        return number


MEGAHERTZ = Number(1, 2000)
SEED = click.IntRange(0, (1 << 31) - 1)


@dataclass(frozen=True)
class Count:
    """How many of what there is: the `number` that a user asks for with `option`, or where nobody
    asks (not `asked`) that number at the most, or all (None).
    """

    number: int | None
    asked: bool
    option: str = "--digits"


def _count(ctx: click.Context, param: click.Parameter, value: int | None) -> Count:
    asked = ctx.get_parameter_source(str(param.name)) is not ParameterSource.DEFAULT
    return Count(value, asked, param.opts[0])


def count_option(
    default: int | None, name: str = "--digits", what: str = "sequences"
) -> Callable[[Takes], Takes]:
    """Give a command an option of a `Count`, `count`."""
    most = "all" if default is None else f"{default}, or all where there are fewer"
    return click.option(
        name,
        "count",
        default=default,
        show_default=False,
        type=click.IntRange(1),
        callback=_count,
        help=f"How many {what}, from the first [default: {most}]",
    )


BAUD_RATE = click.IntRange(1, 100_000_000)
FORCE = click.option("--force", is_flag=True, help="Replace what is there")
DATA = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="File of sequences (.npz, .h5, .aer), or folder with the network's data set [default:"
    " sequences.npz in the network's folder, else the shipped digits]",
)
DATA_WHOLE = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="File of sequences (.npz, .h5, .aer), or folder with the network's data set [default:"
    " sequences.npz in the network's folder, else MNIST is fetched]",
)
NETWORK = click.option(
    "--network",
    help="The shipped network, or the folder, that the core was made from [default: by its name]",
)
REPORT_EVERY = click.option(
    "--report-every",
    type=click.IntRange(1),
    help="Ask for the results so far after every N timesteps; the core must be exported with"
    " --reports [default: results come at the end only]",
)
