"""What `tb.study` found, as tables and pictures for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golden.hardware.params import listed
from golden.picture import clear_ticks, save_picture
from golden.table import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Rows = Sequence[dict[str, Any]]

_AXES = {
    "neurons": "neurons a layer",
    "state": "values of the slow state",
    "theta": "window / timesteps",
    "dilation": "timesteps between refreshes",
    "bits": "bits of W_f",
    "delays": "window / timesteps, with short delays",
    "leak": "leak of a membrane",
    "speaker": "speaker left out",
}


def markdown(rows: Rows) -> str:
    """Return a table for each group of trials."""
    header = (
        "architecture", "parameters", "float %", "integers %", "events a step", "memory kbit",
        "cycles", "products", "core (L, T, E, K)",
    )  # fmt: skip
    parts = []
    for group in dict.fromkeys(str(row["group"]) for row in rows):
        lines = [f"## {_AXES.get(group, group)}", ""]
        lines += [f"| {' | '.join((str(_AXES.get(group, group)), *header))} |"]
        lines += ["| ---: | :--- " + "| ---: " * (len(header) - 1) + "|"]
        for row in (row for row in rows if row["group"] == group):
            lines.append(f"| {' | '.join(_cells(row))} |")
        parts.append("\n".join(lines))
    speakers = [row for row in rows if row["group"] == "speaker"]
    if speakers:
        parts.append(_means(speakers))
    return "\n\n".join(parts) + "\n"


def _cells(row: dict[str, Any]) -> list[str]:
    cells = [
        f"{row['value']:g}",
        row["architecture"],
        str(row["parameters"]),
        f"{100 * row['accuracy_float']:.2f}",
        f"{100 * row['accuracy_integer']:.2f}",
        ", ".join(f"{rate:.1f}" for rate in row["events_per_step"]),
    ]
    if "cycles_per_sequence" not in row:
        return [*cells, "", "", "", ""]
    shape = (row[k] for k in ("lanes", "block", "events_per_cycle", "products_per_cycle"))
    return [
        *cells,
        f"{row['memory_bits'] / 1000:.0f}",
        f"{row['cycles_per_sequence']:.0f}",
        f"{products(row):.0f}",
        ", ".join(listed(of, "/") for of in shape),
    ]


def _means(rows: Rows) -> str:
    lines = ["Mean over the speakers left out:", ""]
    for architecture in dict.fromkeys(row["architecture"] for row in rows):
        found = [row for row in rows if row["architecture"] == architecture]
        means = [
            100 * sum(row[key] for row in found) / len(found)
            for key in ("accuracy_float", "accuracy_integer")
        ]
        lines.append(f"- {architecture}: {means[0]:.2f} % float, {means[1]:.2f} % integers")
    return "\n".join(lines)


def products(row: dict[str, Any]) -> float:
    """Return the products of an inference: of the slow state, its update and the leak."""
    timesteps = row["cycles_per_sequence"] / row["cycles_measured"]
    return timesteps * sum(row["products_per_timestep"].values())


def summary(rows: Rows) -> str:
    """Return for a terminal what every trial reached."""
    header = ("trial", "architecture", "parameters", "float %", "integers %", "cycles")
    lines = (
        (
            f"{_AXES.get(row['group'], row['group'])} {row['value']:g}",
            row["architecture"],
            row["parameters"],
            f"{100 * row['accuracy_float']:.2f}",
            f"{100 * row['accuracy_integer']:.2f}",
            f"{row['cycles_per_sequence']:.0f}" if "cycles_per_sequence" in row else "-",
        )
        for row in rows
    )
    speakers = [row for row in rows if row["group"] == "speaker"]
    found = table(header, lines, left=[0, 1])
    return f"{found}\n\n{_means(speakers)}" if speakers else found


def plot(rows: Rows, folder: Path) -> list[Path]:
    """Write pictures of accuracy against cycles, memory and parameters; against each axis; and of
    the delays. Return their paths.
    """
    pictures = {
        "study_pareto": plot_pareto(rows),
        "study_sweeps": plot_sweeps(rows),
        "study_delays": plot_delays(rows),
    }
    return [
        save_picture(figure, folder / f"{name}.png")
        for name, figure in pictures.items()
        if figure is not None
    ]


def plot_pareto(rows: Rows) -> Figure | None:
    """Return a picture of accuracy against cost, or None where no neurons were varied."""
    from matplotlib.figure import Figure

    timed = [row for row in rows if row["group"] == "neurons" and "memory_bits" in row]
    if not timed:
        return None
    figure = Figure(figsize=(14, 4.2), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    over: list[tuple[str, Callable[[dict[str, Any]], float]]] = [
        (f"cycles an inference, at most {timed[0]['budget']} multipliers",
         lambda row: row["cycles_per_sequence"]),
        ("bits of memory", lambda row: row["memory_bits"]),
        ("parameters", lambda row: row["parameters"]),
    ]  # fmt: skip
    for axes, (label, of) in zip(panels, over, strict=True):
        for architecture in dict.fromkeys(row["architecture"] for row in timed):
            found = [row for row in timed if row["architecture"] == architecture]
            found.sort(key=of)
            accuracy = [100 * row["accuracy_integer"] for row in found]
            axes.plot([of(row) for row in found], accuracy, marker="o", label=architecture)
        axes.set(xscale="log", xlabel=label)
        clear_ticks(axes.xaxis)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("accuracy of the integers / %")
    panels[0].legend()
    figure.suptitle("Study: accuracy of each architecture, and what it costs")
    return figure


def plot_sweeps(rows: Rows) -> Figure | None:
    """Return a picture of accuracy and cycles against each axis that was varied, or None."""
    from matplotlib.figure import Figure

    varied = ("state", "theta", "dilation", "bits")
    swept = [group for group in varied if any(row["group"] == group for row in rows)]
    if not swept:
        return None
    figure = Figure(figsize=(max(4.5 * len(swept), 6), 4), layout="constrained")
    panels = figure.subplots(1, len(swept), squeeze=False)[0]
    for axes, group in zip(panels, swept, strict=True):
        found = sorted((row for row in rows if row["group"] == group), key=lambda r: r["value"])
        values = [row["value"] for row in found]
        for key, label in (("accuracy_float", "float"), ("accuracy_integer", "integers")):
            axes.plot(values, [100 * row[key] for row in found], marker="o", label=label)
        beside = axes.twinx()
        cycles = [row["cycles_per_sequence"] for row in found]
        beside.plot(values, cycles, color="C7", linestyle=":", marker="x")
        beside.set_ylabel("cycles an inference (dotted)")
        axes.set(xlabel=_AXES[group], ylabel="accuracy / %")
        axes.legend()
    figure.suptitle("Study: accuracy and cycles when one parameter changes")
    return figure


def plot_delays(rows: Rows) -> Figure | None:
    """Return a picture of the delays that were learned, a trial a panel, or None."""
    from matplotlib.figure import Figure

    delayed = [row for row in rows if any(row["delays"])]
    if not delayed:
        return None
    figure = Figure(figsize=(max(4 * len(delayed), 6), 3.4), layout="constrained")
    panels = figure.subplots(1, len(delayed), squeeze=False)[0]
    for axes, row in zip(panels, delayed, strict=True):
        longest = max(max(delays, default=0) for delays in row["delays"])
        for index, delays in enumerate(row["delays"]):
            if delays:
                axes.hist(delays, bins=range(longest + 2), alpha=0.6, label=f"layer {index}")
        axes.set(xlabel="delay / timesteps", title=row["name"])
        axes.legend()
    panels[0].set_ylabel("inputs")
    figure.suptitle("Study: the delays that each network learned")
    return figure
