"""The findings: rows of studies, kept in docs/findings/*.json, as tables and pictures of the page
of the findings.

`python -m docs.findings spoken build/study/study.json --command 'make study ..'` keeps the rows of
a study.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from docs.blocks import table
from golden.command_line import Command
from golden.errors import UserError, report_user_errors
from golden.files import write_whole
from golden.picture import description, save_picture
from study import report
from study.report import (
    AXES,
    alike,
    epochs_to,
    group_table,
    plot_curves,
    plot_delays,
    plot_pareto,
    plot_sweeps,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path(__file__).with_name("findings")
PICTURES = Path(__file__).with_name("pictures")
KEPT = (
    "group", "value", "preset", "architecture", "changes", "recipe", "measured", "seed", "tested",
    "parameters", "budget", "accuracy_float", "accuracy_integer", "curve", "events_per_step",
    "delays", "lanes", "block", "events_per_cycle", "products_per_cycle", "multipliers",
    "memory_bits", "cycles_measured", "cycles_per_sequence", "products_per_timestep",
    "bits_per_timestep", "microjoules", "seconds",
)  # fmt: skip
REACHED = (0.5, 0.6, 0.7)  # how soon a network is there
SPEED = ("theta", "state", "delays", "fixed delays")  # of which the learning curves are told
# Each with the groups of which one is needed.
PLOTS: dict[str, tuple[set[str], Callable[[Sequence[dict[str, Any]]], Figure | None]]] = {
    "pareto": ({"neurons"}, plot_pareto),
    "sweeps": ({"state", "theta", "dilation", "bits", "slow bits"}, plot_sweeps),
    "curves": ({"state", "theta"}, plot_curves),
    "delays": ({"delays"}, plot_delays),
}


def load(preset: str) -> dict[str, Any]:
    """Return what is kept of a preset's study: the `commands` that measure it, and its `rows`, each
    with the `commit` and the `date` at which it was measured.
    """
    content: dict[str, Any] = json.loads((FOLDER / f"{preset}.json").read_text())
    assert content["rows"] and content["commands"]
    assert all(row["commit"] and row["date"] for row in content["rows"])
    return content


def presets() -> list[str]:
    """Return the presets with a study."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def blocks() -> dict[str, str]:
    """Return the tables of the page, by the name of their block: PRESET_GROUP."""
    found = {}
    for preset in presets():
        content = load(preset)
        rows: list[dict[str, Any]] = content["rows"]
        for group in dict.fromkeys(row["group"] for row in rows):
            of = [row for row in rows if row["group"] == group]
            parts = [group_table(of)]
            if group in SPEED and len(of) > 1:
                parts.append(speed(of))
            parts.append(_measured(content, group, of))
            found[f"{preset}_{group}".replace(" ", "_")] = "\n\n".join(parts)
    return found


def _measured(content: dict[str, Any], group: str, rows: Sequence[dict[str, Any]]) -> str:
    """Return how a group's table was measured, and in how much time."""
    quoted = f"'{group}'" if " " in group else group
    called = "\n".join(command.replace("GROUP", quoted) for command in content["commands"])
    known = [row["seconds"] for row in rows if row.get("seconds") is not None]
    more = (
        "" if len(known) == len(rows) else f" (without {len(rows) - len(known)} interrupted ones)"
    )
    told = f"{len(rows)} trainings, {sum(known) / 3600:.1f} processor hours{more}"
    at = dict.fromkeys(f"{row['date']}, `{row['commit']}`" for row in rows)
    return f"{told}; {'; '.join(at)}:\n\n```sh\n{called}\n```"


def speed(rows: Sequence[dict[str, Any]]) -> str:
    """Return after how many epochs the mean of alike networks is as good as `REACHED` says, and how
    good it is after the last one.
    """
    lines = []
    for of in alike(rows):
        curve = [sum(epoch) / len(epoch) for epoch in zip(*(r["curve"] for r in of), strict=True)]
        epochs = [epochs_to(curve, share) for share in REACHED]
        reached = ["never" if epoch is None else str(epoch) for epoch in epochs]
        lines.append([f"{of[0]['value']:g}", *reached, f"{100 * curve[-1]:.2f}"])
    header = [f"epochs to {100 * share:g} %" for share in REACHED]
    return table([str(AXES[rows[0]["group"]]), *header, "after the last, %"], lines)


def pictures() -> Iterator[tuple[Path, str, Callable[[], Figure | None]]]:
    """Yield the path of every picture, what it must say that it shows, and how to plot it."""
    plotting = inspect.getsource(report).encode()
    for preset in presets():
        rows = load(preset)["rows"]
        # What is plotted, and how.
        shown = hashlib.sha256(json.dumps(rows).encode() + plotting).hexdigest()
        groups = {row["group"] for row in rows}
        for name, (needed, plot) in PLOTS.items():
            if not needed & groups:
                continue
            yield PICTURES / f"{preset}_{name}.png", shown, lambda plot=plot, rows=rows: plot(rows)


def write_pictures() -> Iterator[Path]:
    """Plot every picture that does not show its rows; yield the paths."""
    for path, shown, plot in pictures():
        if description(path) != shown:
            figure = plot()
            assert figure is not None, path
            yield save_picture(figure, path, shown)


def _check(preset: str, rows: Any, path: Path) -> None:
    """Raise `UserError` where rows are not of a whole study of this preset."""
    try:
        for row in rows:
            if row["preset"] != preset:
                raise UserError(f"{path} is a study of {row['preset']}, not of {preset}")
            if row.get("differences"):
                raise UserError(f"{path}: a core of {row['name']} differs from the golden model")
            if "limit" in row["recipe"]:
                raise UserError(f"{path}: {row['name']} is of a part of the data set (limit)")
            if row["budget"] != rows[0]["budget"]:
                raise UserError(f"{path}: cores with different numbers of multipliers")
            assert row["group"] and row["curve"] is not None and row["tested"]
    except (KeyError, TypeError, AssertionError) as error:
        raise UserError(f"{path} holds no rows of a study: {error!r}") from None


@click.command(cls=Command)
@click.argument("preset")
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--command",
    "commands",
    multiple=True,
    required=True,
    help="GROUP in it stands for the group of a table",
)
@click.option("--commit", required=True, help="At which it was measured")
@click.option("--date", required=True, help="On which day")
@report_user_errors
def main(preset: str, study: Path, commands: tuple[str, ...], commit: str, date: str) -> None:
    """Keep the rows of STUDY (study.json) as those of PRESET. Those that are kept already keep the
    commit and the date at which they were measured.
    """
    try:
        rows = json.loads(study.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"{study} holds no rows of a study: {error}") from None
    _check(preset, rows, study)
    few = [{key: row[key] for key in KEPT if key in row} for row in rows]
    for row in few:
        if row["group"] not in ("delays", "fixed delays"):
            row.pop("delays", None)
        for key in ("accuracy_float", "accuracy_integer", "cycles_measured", "microjoules"):
            if key in row:
                row[key] = round(row[key], 5)
        if "bits_per_timestep" in row:
            row["bits_per_timestep"] = {"all": round(sum(row["bits_per_timestep"].values()), 2)}
        row["curve"] = [round(value, 4) for value in row["curve"]]
    measured = {}
    if preset in presets():
        for row in load(preset)["rows"]:
            when = {key: row.pop(key) for key in ("commit", "date")}
            measured[json.dumps(row)] = when
    now = {"commit": commit, "date": date}
    lines = ",\n".join(json.dumps(row | measured.get(json.dumps(row), now)) for row in few)
    head = json.dumps({"commands": commands})
    FOLDER.mkdir(exist_ok=True)
    write_whole(FOLDER / f"{preset}.json", f'{head[:-1]}, "rows": [\n{lines}\n]}}\n'.encode())
    click.echo(f"kept {len(few)} rows: run make docs")


if __name__ == "__main__":
    main()
