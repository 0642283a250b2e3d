"""`python -m formal`: prove properties of the core's components."""

from __future__ import annotations

from pathlib import Path

import click
from tqdm import tqdm

from formal.proof import Outcome, run
from formal.proofs import named
from golden.command_line import Command
from golden.errors import report_user_errors
from golden.table import table

HEADER = ("Proof", "Method", "Properties", "Covers", "Bugs", "Seconds", "")


def row(outcome: Outcome) -> list[object]:
    """Return what a table says of an outcome."""
    proof = outcome.proof
    harness = proof.written()
    covers, bugs = len(harness.covers), len(proof.bugs)
    return [
        proof.name,
        proof.method,
        len(harness.properties),
        f"{covers - len(outcome.unreached)} of {covers}",
        f"{bugs - len(outcome.missed)} of {bugs}",
        f"{outcome.seconds:.1f}",
        "holds" if outcome.holds else "FAILS",
    ]


def summary(outcomes: list[Outcome], folder: Path) -> list[str]:
    """Return the last lines: how much is proved, and all that is wrong."""
    counts = {True: 0, False: 0}
    for outcome in outcomes:
        counts[outcome.proof.induction != 0] += len(outcome.proof.written().properties)
    bugs = sum(len(outcome.proof.bugs) for outcome in outcomes)
    proved = f"{counts[True]} properties by induction, {counts[False]} in bounded time"
    seconds = sum(outcome.seconds for outcome in outcomes)
    lines = [f"{proved}; {bugs} seeded bugs; {seconds:.0f} seconds"]
    for outcome in outcomes:
        name = outcome.proof.name
        where = folder / name / f"{name}.vcd"
        wrong = [
            *(f"{claim} fails: see {where}" for claim in outcome.failed),
            *(f"never reached: {cover}" for cover in outcome.unreached),
            *(f"not found: {bug}" for bug in outcome.missed),
        ]
        lines += [f"{name}: {what}" for what in wrong]
    lines.append("PASS" if all(outcome.holds for outcome in outcomes) else "FAIL")
    return lines


@click.command(cls=Command)
@click.option("--only", multiple=True, metavar="NAME", help="This proof; may come several times.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/formal"),
    show_default=True,
    help="The folder for what the solvers read and write; traces of what fails are there.",
)
@report_user_errors
def main(only: tuple[str, ...], out: Path) -> None:
    """Prove properties of the core's components, as the product has them: each proof with covers
    that it must reach and seeded bugs that it must find. Status 1 where one does not hold.
    """
    outcomes = []
    with tqdm(named(only), unit="proof") as bar:
        for proof in bar:
            bar.set_description(proof.name)
            outcomes.append(run(proof, out / proof.name))
    click.echo(table(HEADER, map(row, outcomes), left=(0, 1, 6)))
    click.echo("\n".join(summary(outcomes, out)))
    if not all(outcome.holds for outcome in outcomes):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
