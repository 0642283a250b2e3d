"""Options that cannot be taken are one line."""

from __future__ import annotations

import math
from collections.abc import Sequence

import click
import pytest
from click.testing import CliRunner

from dmp_core.fit_command import command as fit
from driver.__main__ import main as driver
from golden.command_line import BAUD_RATE, MEGAHERTZ, Command, Group, Number
from golden.errors import UserError
from golden.train.train_command import main as train
from handoff.package_command import main as handoff
from rtl.host.board import Clocking
from rtl.synth.bitstream import main as bitstream
from rtl.synth.report import main as synth
from rtl.verilog.rtl_command import main as verilog
from tb.batch import main as batch
from tb.board import main as board
from tb.sim_command import main as simulate


@click.group(cls=Group)
def group() -> None:
    """Take commands."""


@group.command()
@click.argument("kind", type=click.Choice(["one", "two"]))
@click.option("--mhz", type=MEGAHERTZ, default=100)
@click.option("--baud", type=BAUD_RATE, default=9600)
@click.option("--share", type=Number(0, 1), default=0)
def take(kind: str, mhz: float, baud: int, share: float) -> None:
    click.echo(f"{kind} {mhz} {baud} {share}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["one", "--mhz", "0"], "'--mhz': 0.0 is not in the range 1<=x<=2000"),
        (["one", "--mhz", "-5"], "'--mhz': -5.0 is not in the range 1<=x<=2000"),
        (["one", "--mhz", "nan"], "'--mhz': nan is no number"),
        (["one", "--mhz", "inf"], "'--mhz': inf is not in the range 1<=x<=2000"),
        (["one", "--mhz", "fast"], "'--mhz': 'fast' is not a valid float"),
        (["one", "--baud", "0"], "'--baud': 0 is not in the range"),
        (["one", "--share", "nan"], "'--share': nan is no number"),
        (["one", "--nonesuch"], "No such option"),
        (["three"], "'three' is not one of 'one', 'two'"),
        ([], "Missing argument"),
    ],
)
def test_an_option_that_cannot_be_taken_is_one_line(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(group, ["take", *arguments], prog_name="all")
    assert done.exit_code == 2 and not done.stdout
    assert done.stderr.startswith("error: ") and words in done.stderr
    assert done.stderr.endswith(": see all take --help\n") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["give"], "No such command 'give'"), (["--nonesuch", "take"], "No such option")],
)
def test_a_command_that_there_is_not_is_one_line(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(group, arguments, prog_name="all")
    assert done.exit_code == 2 and not done.stdout
    assert done.stderr.startswith("error: ") and words in done.stderr
    assert done.stderr.endswith(": see all --help\n") and done.stderr.count("\n") == 1
    assert "Commands:" in CliRunner().invoke(group, [], prog_name="all").output


def test_the_others_are_taken() -> None:
    done = CliRunner().invoke(group, ["take", "two", "--mhz", "12.5", "--share", "1"])
    assert (done.exit_code, done.stdout) == (0, "two 12.5 9600 1.0\n")
    assert isinstance(take, Command)


CLOCKS = ("0", "-5", "nan", "inf", "fast", "2001")
BAUDS = ("0", "-9600", "fast", "1.5")


@pytest.mark.parametrize(
    ("command", "option", "values"),
    [
        (verilog, "--mhz", CLOCKS),
        (verilog, "--baud", BAUDS),
        (synth, "--mhz", CLOCKS),
        (synth, "--seeds", ("-1", "many")),
        (bitstream, "--mhz", CLOCKS),
        (bitstream, "--baud", BAUDS),
        (handoff, "--clock", CLOCKS),
        (handoff, "--sequences", ("0",)),
        (driver, "--baud", BAUDS),
        (driver, "--timeout", ("0", "nan", "inf")),
        (simulate, "--digits", ("0", "all")),
        (simulate, "--stalls", ("-1",)),
        (batch, "--jobs", ("0",)),
        (board, "--digits", ("0",)),
        (fit, "--cycles", ("nan", "0")),
        (fit, "--latency", ("nan", "-3")),
        (train, "--learning-rate", ("nan", "0", "-1")),
        (train, "--augmentation", ("nan", "-1")),
        (train, "--theta", ("inf", "0")),
        (train, "--epochs", ("0",)),
        (train, "--seed", ("-1", "2147483648")),
    ],
)
def test_every_command_refuses_such_options_in_one_line(
    command: click.Command, option: str, values: Sequence[str]
) -> None:
    for value in values:
        done = CliRunner().invoke(command, ["nothing", option, value])
        assert done.exit_code == 2 and not done.stdout, value
        assert f"'{option}'" in done.stderr and done.stderr.count("\n") == 1, value


def test_a_board_has_a_clock_and_a_baud_rate() -> None:
    for mhz, baud in ((0, 9600), (-5, 9600), (math.nan, 9600), (math.inf, 9600), (100, 0)):
        with pytest.raises(UserError):
            Clocking("ulx3s-85f", mhz, baud)
