"""`python -m tests.coverage`: what the tests reach, of what must meet and of the Verilog."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from docs.results import FOLDER
from golden.command_line import Command
from golden.errors import report_user_errors
from golden.table import table
from rtl.component import Component
from tests import functional, test_functional
from tests.coverage.points import BRANCH, LINE, TOGGLE, Point, merge
from tests.coverage.runs import cases, measure
from tests.coverage.waivers import WAIVERS, Verdict, judge

HEADER = ["Component", "Lines", "Branches", "Toggles", "Waived"]
OF_WAIVERS = ["Component", "What", "Points", "Reason"]
SHOWN = 60  # of the points that are missing


def cells(reached: Mapping[Point, set[str]], verdict: Verdict) -> list[list[str]]:
    """Return the table: a component a row, what is reached of its points, and how many are waived;
    and a row of all.
    """
    names = sorted({point.component for point in reached})
    rows = []
    for name in [*names, "All"]:
        points = [point for point in reached if name in (point.component, "All")]
        row = [name]
        for kind in (LINE, BRANCH, TOGGLE):
            counted = [p for p in points if p.kind == kind and p not in verdict.waived]
            row.append(f"{sum(bool(reached[p]) for p in counted)} of {len(counted)}")
        rows.append([*row, str(sum(point in verdict.waived for point in points))])
    return rows


def absent(reached: Mapping[Point, set[str]]) -> list[str]:
    """Return the components of cores that none of the runs has; those of ablations are no part of
    the product.
    """
    every = {of.__name__ for of in Component.__subclasses__()
             if re.fullmatch(r"rtl\.(?!ablated)\w+", of.__module__)}  # fmt: skip
    return sorted(every - {point.component for point in reached})


def reasons(verdict: Verdict) -> list[list[str]]:
    """Return the waivers: of which component, what, how many points, and why."""
    times = Counter(verdict.waived.values())
    return [["all" if of.component == ".*" else of.component.replace("|", ", "),
             f"{of.kind} `{of.what}`", str(times[of]), of.reason] for of in WAIVERS]  # fmt: skip


def told(verdict: Verdict) -> list[str]:
    """Return the last lines: all that is wrong."""
    lines = [f"never reached: {', '.join(point)}" for point in verdict.missing[:SHOWN]]
    if len(verdict.missing) > SHOWN:
        lines.append(f"and {len(verdict.missing) - SHOWN} more")
    for waiver, point in verdict.stale:
        why = f"is reached: {', '.join(point)}" if point else "is of nothing"
        lines.append(f"the waiver of {waiver} {why}")
    return lines


def written(name: str, columns: Sequence[str], rows: list[list[str]], commit: str) -> str:
    """Return a file of results (`docs.results`)."""
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    measured = {"commit": commit, "date": today, "commands": ["make coverage"]}
    found: list[dict[str, Any]] = [
        {"id": f"{name}-{number}", "cells": row, **measured} for number, row in enumerate(rows, 1)
    ]
    return json.dumps({"columns": list(columns), "rows": found}, indent=1) + "\n"


@click.command(cls=Command)
@click.option(
    "--record", metavar="COMMIT", help="Write results without a fault, of this commit, into docs."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/coverage"),
    show_default=True,
    help="The folder for the cores and the results.",
)
@report_user_errors
def main(record: str | None, out: Path) -> None:
    """Tell what the networks of the tests reach: of the table of what must meet
    (tests/functional.py), and of the Verilog's lines, branches and bits, by component. Status 1
    where something is not reached that has no waiver (tests/coverage/waivers.py).
    """
    meeting = functional.cells(test_functional.CASES)
    click.echo(table(functional.HEADER, meeting, left=(0, 1, 2)))
    runs = {}
    with tqdm(cases().items(), unit="network") as bar:
        for name, case in bar:
            bar.set_description(name)
            runs[name] = measure(case, out / "core")
    reached = merge(runs)
    verdict = judge(reached, WAIVERS)
    rows = cells(reached, verdict)
    click.echo(table(HEADER, rows, left=(0,)))
    wrong = told(verdict) + [f"in no core: {name}" for name in absent(reached)]
    wrong += [f"never met: {what}, {option}: {met}" for what, option, met in meeting
              if functional.NONE in met]  # fmt: skip
    click.echo("\n".join([*wrong, "FAIL" if wrong else "PASS"]))
    results = {
        "functional": (functional.HEADER, meeting),
        "coverage": (HEADER, rows),
        "waivers": (OF_WAIVERS, reasons(verdict)),
    }
    for name, (columns, of) in results.items():
        text = written(name, columns, of, record or "")
        (FOLDER if record and not wrong else out).joinpath(f"{name}.json").write_text(text)
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
