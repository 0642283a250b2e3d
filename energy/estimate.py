"""Estimate the energy of an inference without gates: the golden model's accesses to memories times
the macros of a technology, and the work of every component times factors.

    energy = accesses x macros + the sum over components of (terms x factors)

The factors are fitted to runs in gates, component by component (`fit`). `estimate.json` beside this
file has the runs: those to fit to, and others that are held out of the fit, to test it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import click
import numpy as np

from energy.work import Terms, Work
from golden.command_line import Command
from golden.errors import UserError, report_user_errors
from golden.files import write_whole
from golden.hardware.memory import SEGMENT_WORDS
from golden.hardware.params import LIST_BUFFERS, listed
from golden.table import table

FITTED = Path(__file__).with_name("estimate.json")
SHAPE = {"T": "block", "E": "events_per_cycle", "K": "products_per_cycle"}
CLOCK = 100  # MHz of the runs in gates, whose leakage is a part of what is fitted
OTHER = ("memories", "total")  # of a component in a report: what no factor is fitted to


@dataclass(frozen=True)
class Measured:
    """A run in gates: its network, the core, the energy of an inference, that of each component
    without its memories (uJ), and the work.
    """

    network: str
    core: str
    energy: float
    components: dict[str, float]
    work: Work


@dataclass(frozen=True)
class Estimate:
    """The factors (pJ) of the terms of each component. Errors are shares of the energy in gates:
    the largest of the `cores` that the factors were fitted to, the largest of these with the
    network left out of the fit, and those of cores that were held out, by name.
    """

    factors: dict[str, Terms]
    cores: list[str]
    fitted_error: float
    left_out_error: float
    held_out: dict[str, float]

    def components(self, work: Work) -> dict[str, float]:
        """Return the energy (uJ) of each component, without memories."""
        return _components(self.factors, work)

    def microjoules(self, work: Work) -> float:
        return work.memories + sum(self.components(work).values())


def _components(factors: dict[str, Terms], work: Work) -> dict[str, float]:
    return {
        name: sum(factors.get(name, {}).get(term, 0.0) * value for term, value in terms.items())
        for name, terms in work.components.items()
    }


def _error(factors: dict[str, Terms], run: Measured) -> float:
    estimate = run.work.memories + sum(_components(factors, run.work).values())
    return abs(estimate / run.energy - 1)


def _least_squares(terms: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the factors of columns, none of them negative, with the least squares: the best ones
    of all choices of columns. A column of zeros gets none.
    """
    best, least = np.zeros(terms.shape[1]), float(wanted @ wanted)
    columns = [i for i in range(terms.shape[1]) if terms[:, i].any()]
    for number in range(1, len(columns) + 1):
        for chosen in map(list, combinations(columns, number)):
            found = np.linalg.lstsq(terms[:, chosen], wanted, rcond=None)[0]
            left = wanted - terms[:, chosen] @ found
            if (found >= 0).all() and left @ left < least * (1 - 1e-9):
                best, least = np.zeros(terms.shape[1]), float(left @ left)
                best[chosen] = found
    return best


def _factors(runs: Sequence[Measured]) -> dict[str, Terms]:
    """Return the factors that miss the energies of each component by least, as shares of what each
    run takes in all.
    """
    names = {component: terms for run in runs for component, terms in run.work.components.items()}
    factors = {}
    for component, terms in names.items():
        rows = [
            [run.work.components.get(component, {}).get(term, 0.0) / run.energy for term in terms]
            for run in runs
        ]
        wanted = [run.components.get(component, 0.0) / run.energy for run in runs]
        found = _least_squares(np.array(rows), np.array(wanted))
        factors[component] = dict(zip(terms, found.tolist(), strict=True))
    return factors


def fit(runs: Sequence[Measured], held_out: Sequence[Measured] = ()) -> Estimate:
    """Return the estimate fitted to runs in gates, with its errors."""
    networks = {run.network for run in runs}
    if len(networks) < 2:
        raise UserError(f"{len(networks)} network to fit to: use reports of at least two")
    factors = _factors(runs)
    without = {name: _factors([run for run in runs if run.network != name]) for name in networks}
    return Estimate(
        factors,
        [run.core for run in runs],
        max(_error(factors, run) for run in runs),
        max(_error(without[run.network], run) for run in runs),
        {run.core: _error(factors, run) for run in held_out},
    )


def read_runs(path: Path = FITTED) -> tuple[list[Measured], list[Measured]]:
    """Return the runs to fit to, and those that are held out."""
    content = json.loads(path.read_text())
    fitted, held_out = (
        [Measured(**{**run, "work": Work(**run["work"])}) for run in content[name]]
        for name in ("fitted", "held_out")
    )
    return fitted, held_out


def read_estimate(path: Path = FITTED) -> Estimate:
    return fit(*read_runs(path))


def runs_text(fitted: Sequence[Measured], held_out: Sequence[Measured]) -> str:
    """Return what `read_runs` reads: a run a line."""
    kinds = {"fitted": fitted, "held_out": held_out}
    parts = (
        f' "{name}": [\n' + ",\n".join("  " + json.dumps(asdict(run)) for run in runs) + "\n ]"
        for name, runs in kinds.items()
    )
    return "{\n" + ",\n".join(parts) + "\n}\n"


def lines(name: str, estimate: Estimate, work: Work) -> list[str]:
    """Return the lines that tell a user what was estimated."""
    parts = {"memories": work.memories} | estimate.components(work)
    ordered = sorted(parts.items(), key=lambda item: -item[1])
    rows = [(part, f"{energy:.3f}") for part, energy in ordered]
    return [
        f"estimate   {name}: {estimate.microjoules(work):.2f} uJ an inference at {CLOCK} MHz",
        f"cycles     {work.cycles:.0f} an inference",
        table(("uJ an inference", ""), rows, left=[0]),
        *error_lines(estimate),
    ]


def error_lines(estimate: Estimate) -> list[str]:
    """Return the lines that say how far the estimate is from gates."""
    fitted, left_out = estimate.fitted_error, estimate.left_out_error
    lines = [
        f"error      at most {fitted:.1%} on the {len(estimate.cores)} cores that it was fitted to",
        f"           at most {left_out:.1%} on each of them, its network left out of the fit",
    ]
    if others := estimate.held_out.values():
        lines.append(f"           at most {max(others):.1%} on {len(others)} cores held out of it")
    return lines


def _core(report: dict[str, Any]) -> str:
    """Return what tells a core from others, and what it ran where that is drawn."""
    told = [
        f"{report['network']}, {listed(report['lanes'])} lanes",
        *(f"{name} = {listed(report[key])}" for name, key in SHAPE.items() if report[key] != 1),
        *["graded inputs share multipliers"] * (report["graded"] == "shared"),
        *[f"{report['list_buffers']} lists"] * (report["list_buffers"] > min(LIST_BUFFERS)),
        *[
            f"{what} of {report[key]} items"
            for what, key in (("links", "link_items"), ("input", "input_items"))
            if report[key] > 1
        ],
        *["operands hold"] * report["hold_operands"],
        *[f"segments of {report['segment_words']}"] * (report["segment_words"] != SEGMENT_WORDS),
        *[f"counters: {report['counters']}"] * (report["counters"] != "all"),
        *["drawn events"] * report["sequences"]["source"].startswith("drawn"),
    ]
    return ", ".join(told)


def read_report(path: Path) -> Measured:
    """Return what `energy.json` of a run in gates has to fit to, or raise `UserError`."""
    try:
        report: dict[str, Any] = json.loads(path.read_text())
        assert isinstance(report, dict)
    except (AssertionError, UnicodeDecodeError, json.JSONDecodeError):
        raise UserError(f"{path} is no report of dmp energy: use its energy.json") from None
    try:
        if report["mhz"] != CLOCK:
            raise UserError(f"{path} is at {report['mhz']:g} MHz: measure it at {CLOCK}")
        if ablations := report["ablations"]:
            raise UserError(f"{path} is of a core ablated by {ablations[0]}: use others")
        energy = report["microjoules"]
        components: dict[str, float] = {
            name: sum(value for kind, value in parts.items() if kind not in OTHER)
            for name, parts in energy["components"].items()
        }
        work = Work(**report["work"])
        return Measured(report["network"], _core(report), energy["inference"], components, work)
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} has no {error}: measure it again by dmp energy") from None


REPORT = click.Path(path_type=Path)


@click.command(cls=Command)
@click.argument("reports", nargs=-1, required=True, type=REPORT)
@click.option("--held-out", multiple=True, type=REPORT, help="To test the fit on; one option each")
@click.option("--out", required=True, type=REPORT, help="The file to write")
@report_user_errors
def main(reports: tuple[Path, ...], held_out: tuple[Path, ...], out: Path) -> None:
    """Fit dmp energy --estimate to the REPORTS (energy.json) of runs in gates: say how far it is
    off, and write the file that it is fitted from.
    """
    fitted, others = [*map(read_report, reports)], [*map(read_report, held_out)]
    estimate = fit(fitted, others)
    write_whole(out, runs_text(fitted, others))
    print("\n".join([*error_lines(estimate), f"wrote {out}"]))
