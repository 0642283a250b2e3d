"""The command line that chooses the hardware: its table, its picture, and what it refuses."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dmp_core.__main__ import main
from dmp_core.fit_command import SHOWN, front_table, plot, thinned
from golden.cost.activity import measure_activity
from golden.cost.block_rams import core_block_rams
from golden.cost.search import Budget, Candidate, fit
from golden.hardware.params import HardwareParams, listed
from golden.manifest import read_core
from tests.networks import draw_network
from tests.pictures import faults
from tests.search_inputs import of_lanes


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["fit", *arguments])


def error_of(result: Result) -> str:
    """Return the one line of an error, behind what shows progress."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    last = result.output.splitlines()[-1]
    assert last.startswith("error: ") and result.output.count("error: ") == 1
    return last


@pytest.mark.parametrize("reports", [False, pytest.param(True, marks=pytest.mark.long)])
def test_rows_from_the_command_line(tmp_path: Path, reports: bool) -> None:
    asked = ["--reports"] * reports
    result = call("rows", "--multipliers", "40", "--digits", "2", *asked, "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "fit.json").read_text())
    assert (tmp_path / "fit.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fit.json",
        "fit.png",
        "network.txt",
    ]
    chosen, front = content["chosen"], content["front"]
    assert all(one["multipliers"] <= 40 for one in front)
    assert chosen["cycles"] == min(one["cycles"] for one in front) and chosen["latency"] > 0
    assert chosen | {"latency": None} in front

    lines = result.stdout.splitlines()
    header = next(i for i, line in enumerate(lines) if line.split()[:2] == ["lanes", "block"])
    rows = lines[header + 2 : header + 2 + min(len(front), SHOWN)]
    marked = [line.split() for line in rows if line.strip().startswith("->")]
    hardware = chosen["hardware"]
    shape = ("lanes", "block", "events_per_cycle", "products_per_cycle")
    cells = [listed(hardware[name], ",") for name in shape]
    cells += [hardware["graded"], f"{chosen['cycles']:.1f}"]
    cells += [str(chosen["multipliers"]), str(chosen["block_rams"]), f"{chosen['energy']:.2f}"]
    assert marked == [["->", *cells]]

    assert lines[-2] == f"build it: dmp rtl rows --fit --out {tmp_path}, or"
    made = re.fullmatch(r"make rtl NET=(\S+) (.*)", lines[-1])
    assert made and made[1] == "rows"
    variables = dict(part.split("=") for part in made[2].split())
    assert variables.pop("REPORTS", None) == ("1" if reports else None)
    names = {"LANES": "lanes", "BLOCK": "block"}
    names |= {"EVENTS": "events-per-cycle", "PRODUCTS": "products-per-cycle"}
    names |= {"GRADED": "graded"} if "GRADED" in variables else {}
    options = [part for key, name in names.items() for part in (f"--{name}", variables.pop(key))]
    assert not variables
    built = CliRunner().invoke(
        main, ["export", "rows", *options, *asked, "--out", str(tmp_path / "core")]
    )
    assert built.exit_code == 0, built.output
    core, _ = read_core(tmp_path / "core" / "manifest.json")
    assert (
        json.loads(json.dumps(asdict(core.hardware))) == hardware
        and core.multipliers == chosen["multipliers"]
    )
    assert core_block_rams(core) == chosen["block_rams"]


@pytest.mark.parametrize(("seed", "told"), [(0, False), (5, True), (8, True)])
def test_no_texts_overlap_in_the_picture(seed: int, told: bool) -> None:
    """Cycles against multipliers, and against energies where these are told."""
    drawn = draw_network(seed)
    activity = measure_activity(drawn.network, drawn.payloads)
    chosen, front, priced = fit(activity, Budget(), energy=of_lanes if told else None)
    figure = plot("some", front, priced, chosen)
    assert not faults(figure) and len(figure.axes) == 1 + told


def test_a_long_front_is_thinned() -> None:
    """Its ends and the chosen one stay, in order; what others beat but in block RAMs goes first."""
    front = [
        Candidate(HardwareParams(1 + i, block), float(100 - i), 10 + i + 5 * beaten, 9 - beaten)
        for i in range(60)
        for block, beaten in ((1, False), (2, True))
    ]
    chosen = front[51]
    some = thinned(front, chosen)
    assert SHOWN - 1 <= len(some) <= SHOWN and some == [one for one in front if one in some]
    assert front[0] in some and front[-2] in some and chosen in some
    assert [one for one in some if one.hardware.block == 2] == [chosen]
    assert thinned(front[:SHOWN], chosen) == front[:SHOWN]
    assert len(front_table(front, chosen).splitlines()) == len(some) + 2


def test_latencies_are_in_the_table_where_they_are_known() -> None:
    """No column is empty, and no line longer than a terminal's."""
    one = Candidate(HardwareParams(3), 2.0, 7, 1)
    other = Candidate(HardwareParams(12, 16, 2, 8), 1.5, 123, 45)
    names = ["lanes", "block", "events", "products", "cycles", "multipliers", "RAMs"]
    cells = [
        ["12", "16", "2", "8", "1.5", "123", "45"],
        ["->", "3", "1", "1", "1", "2.0", "7", "1"],
    ]
    head, _, *lines = front_table([other, one], one).splitlines()
    assert head.split() == names and [line.split() for line in lines] == cells
    timed = [replace(other, latency=678.4), replace(one, latency=12345678.0)]
    head, rule, *lines = front_table(timed, timed[1]).splitlines()
    assert head.split() == [*names, "latency"] and len(rule) <= 80
    assert [line.split() for line in lines] == [[*cells[0], "678"], [*cells[1], "12345678"]]
    told = [replace(one, energy=energy) for one, energy in zip(timed, (1.234, 456.8), strict=True)]
    head, rule, *lines = front_table(told, told[1]).splitlines()
    assert head.split() == [*names, "uJ", "latency"] and len(rule) <= 80
    energies = [[*cells[0], "1.23", "678"], [*cells[1], "457", "12345678"]]
    assert [line.split() for line in lines] == energies


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nonesuch",), "unknown network 'nonesuch': use a folder"),
        (("rows", "--digits", "201"), "--digits 201: there are 200"),
        (("rows", "--digits", "1", "--multipliers", "2"), "no configuration is within the budget"),
        pytest.param(
            ("rows", "--digits", "1", "--cycles", "0.1"),
            "no configuration is within the budget",
            marks=pytest.mark.long,
        ),
        (("rows", "--digits", "1", "--cycles", "nan"), "nan is no number"),
        pytest.param(
            ("rows", "--digits", "1", "--energy", "0.01"),
            "the least energy",
            marks=pytest.mark.long,
        ),
        (("rows", "--digits", "1", "--energy", "0"), "0.0 is not in the range x>0"),
        (("rows", "--digits", "1", "--objective", "area"), "'area' is not one of 'cycles'"),
        (("rows", "--digits", "1", "--multipliers", "9", "--latency", "50"), "shortest latency is"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert words in error_of(call(*arguments, "--out", str(out)))
    assert not out.exists()


def test_a_file_in_the_way_is_named_before_anything_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmp_core.fit_command.fit", None)
    out = tmp_path / "out"
    out.write_text("mine")
    assert f"{out}: File exists" in error_of(call("rows", "--digits", "1", "--out", str(out)))
    assert out.read_text() == "mine"


@pytest.mark.parametrize("rate", ["-1", "0", "nan", "141"])
def test_rates_that_cannot_be_drawn(rate: str, tmp_path: Path) -> None:
    assert "events" in error_of(call("shd", "--rate", rate, "--out", str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()
