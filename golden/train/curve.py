"""The learning curve of a training: a CSV file, a row an epoch, and its picture."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golden.errors import UserError
from golden.files import write_whole
from golden.picture import clear_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def read_curve(checkpoint: Path) -> list[dict[str, Any]]:
    """Return the rows of the curve beside a checkpoint, an epoch each, values as text."""
    with checkpoint.with_suffix(".csv").open(newline="") as file:
        return list(csv.DictReader(file))


def add_epoch(path: Path, row: dict[str, float]) -> list[dict[str, Any]]:
    """Add an epoch to the curve, in place of what an earlier or interrupted training left from that
    epoch on; return all rows.
    """
    rows: list[dict[str, Any]] = []
    if path.exists():
        try:
            with path.open(newline="") as file:
                rows = [kept for kept in csv.DictReader(file) if int(kept["epoch"]) < row["epoch"]]
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{path} is no learning curve: move it away") from None
    rows.append(row)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, row)
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue())
    return rows


def plot_curve(rows: list[dict[str, Any]], name: str) -> Figure:
    """Return a picture of the learning curve: errors on a logarithmic axis."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    epochs = [int(row["epoch"]) for row in rows]
    for key, label in (("train_accuracy", "training"), ("test_accuracy", "test")):
        errors = [max(100 * (1 - float(row[key])), 0.01) for row in rows]
        axes.semilogy(epochs, errors, marker=".", label=f"{label} error")
    axes.set(xlabel="epoch", ylabel="error / %", title=f"Training of {name}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    clear_ticks(axes.yaxis)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
