"""`python -m mutants`: does a test fail where the code is changed in one place?"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from datetime import date
from pathlib import Path

import click
from tqdm import tqdm

from golden.command_line import SEED, Command
from golden.errors import report_user_errors
from golden.table import table
from mutants.files import ROOT, mutable
from mutants.judge import EQUIVALENT, KILLED, SURVIVED, TIMEOUT, Verdict, judged
from mutants.mutate import draw

RESULTS = (KILLED, TIMEOUT, EQUIVALENT, SURVIVED)


def rows(verdicts: list[Verdict]) -> list[list[object]]:
    """Return how many mutants of each folder came to each result."""
    folders = sorted({verdict.mutant.path.rsplit("/", 1)[0] for verdict in verdicts})
    counted = Counter((v.mutant.path.rsplit("/", 1)[0], v.result) for v in verdicts)
    lines: list[list[object]] = [
        [folder, *(counted[folder, result] for result in RESULTS)] for folder in folders
    ]
    every = Counter(verdict.result for verdict in verdicts)
    return [*lines, ["all", *(every[result] for result in RESULTS)]]


def score(verdicts: list[Verdict]) -> str:
    """Return how many of the mutants that change anything are killed."""
    alive = sum(verdict.result == SURVIVED for verdict in verdicts)
    asked = sum(verdict.result != EQUIVALENT for verdict in verdicts)
    part = f" ({100 * (asked - alive) / asked:.1f} %)" if asked else ""
    return f"{asked - alive} of {asked} mutants are killed{part}"


def results(verdicts: list[Verdict], command: str, commit: str) -> dict[str, object]:
    """Return what `docs/results/mutants.json` says of a run."""
    columns = ["In", "Mutants", "Killed", "Of them by a time limit", "Equivalent", "Survive"]
    found = []
    for folder, *counts in rows(verdicts):
        killed, timeouts, equivalent, alive = map(int, map(str, counts))
        cells = [
            f"`{folder}`" if folder != "all" else "all",
            killed + timeouts + equivalent + alive,
        ]
        cells += [killed + timeouts, timeouts, equivalent, alive]
        about = {"commit": commit, "date": str(date.today()), "commands": [command]}
        name = f"mutants-{str(folder).replace('/', '-')}"
        found.append({"id": name, "cells": list(map(str, cells)), **about})
    return {"columns": columns, "rows": found}


@click.command(cls=Command)
@click.option("--count", default=100, show_default=True, type=click.IntRange(1), help="Mutants")
@click.option("--seed", default=1, show_default=True, type=SEED, help="Which ones")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1), help="Processes")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/mutants"),
    show_default=True,
    help="The folder for result.json, and for what is known already when it runs again.",
)
@click.option("--record", metavar="COMMIT", help="Put the score into docs/results, as this one's.")
@report_user_errors
def main(count: int, seed: int, jobs: int, out: Path, record: str | None) -> None:
    """Change one token of what computes, packs or drives, at random places, and run the tests that
    reach it. Each change that no test notices is printed, with status 1.
    """
    sources = {path: (ROOT / path).read_text() for path in mutable()}
    chosen = draw(sources, count, seed)
    with tqdm(total=len(chosen), unit="mutant") as bar:

        def show(verdict: Verdict) -> None:
            bar.set_postfix_str(f"{verdict.result} {verdict.mutant.path}:{verdict.mutant.line}")
            bar.update()

        verdicts = judged(chosen, out, jobs, show)
        bar.update(len(verdicts) - bar.n)  # what was known
    result = {"count": count, "seed": seed, "verdicts": [asdict(verdict) for verdict in verdicts]}
    (out / "result.json").write_text(json.dumps(result, indent=1))
    if record is not None:
        told = results(verdicts, f"make mutants N={count} SEED={seed}", record)
        (ROOT / "docs/results/mutants.json").write_text(json.dumps(told, indent=1) + "\n")
    click.echo(table(("Folder", *RESULTS), rows(verdicts), left=(0,)))
    survivors = [verdict for verdict in verdicts if verdict.result == SURVIVED]
    for verdict in survivors:
        click.echo(f"\nsurvives {verdict.asked[0]} tests:\n{verdict.diff()}")
    click.echo(f"\n{score(verdicts)}\n{'FAIL' if survivors else 'PASS'}")
    if survivors:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
