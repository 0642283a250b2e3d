"""What a study found, as tables and pictures for people."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golden.hardware.params import listed
from golden.picture import clear_ticks, save_picture
from golden.table import table
from study.plan import CHOICE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = dict[str, Any]
Rows = Sequence[Row]

AXES = {
    CHOICE: "leak of a membrane",
    "neurons": "neurons a layer",
    "state": "values of the slow state",
    "theta": "window / timesteps",
    "dilation": "timesteps between refreshes",
    "bits": "bits of W_f",
    "slow bits": "bits of P and V",
    "delays": "window / timesteps, with learned delays",
    "fixed delays": "window / timesteps, with delays as they were drawn",
    "speaker": "speakers left out",
}
_MEASURED = (
    "architecture", "networks", "parameters", "float %", "integers %", "95 % interval",
    "events a step", "memory kbit", "kbit moved", "cycles", "products", "uJ (estimated)",
    "core (L, T, E, K)",
)  # fmt: skip
_CHOSEN = ("architecture", "learning rate", "held out %")


def markdown(rows: Rows) -> str:
    """Return a table for each group of trials, of several networks the mean and range."""
    parts = []
    for group in dict.fromkeys(str(row["group"]) for row in rows):
        of = [row for row in rows if row["group"] == group]
        parts += [f"## {AXES.get(group, group)}", group_table(of)]
    return "\n\n".join(parts) + "\n"


def group_table(rows: Rows) -> str:
    """Return a table of trials of one group; of several networks the mean and range."""
    group = str(rows[0]["group"])
    if group == "speaker":
        return _speakers_table(rows)
    header = (AXES.get(group, group), *(_CHOSEN if group == CHOICE else _MEASURED))
    cells = map(_choice_cells, rows) if group == CHOICE else map(_cells, alike(rows))
    lines = [f"| {' | '.join(header)} |"]
    lines += ["| ---: | :--- " + "| ---: " * (len(header) - 2) + "|"]
    lines += [f"| {' | '.join(of)} |" for of in cells]
    return "\n".join(lines)


def epochs_to(curve: Sequence[float], share: float) -> int | None:
    """Return the first epoch, from 1, after which a curve of shares is at `share` or above."""
    return next((epoch for epoch, found in enumerate(curve, 1) if found >= share), None)


def alike(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield the rows of trials that differ in nothing but the seed and the speaker left out."""
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        key = (row["preset"], row["group"], row["architecture"], f"{row['value']:g}")
        found.setdefault(key, []).append(row)
    yield from found.values()


def mean(rows: Rows, key: str) -> float:
    return sum(row[key] for row in rows) / len(rows)


def spread(rows: Rows, key: str) -> str:
    """Return the mean of shares in per cent and, of several, the least and the most."""
    values = [100 * row[key] for row in rows]
    told = f"{sum(values) / len(values):.2f}"
    return told if len(values) == 1 else f"{told} ({min(values):.2f} to {max(values):.2f})"


def interval(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's interval of a share that was seen in `count` tries; 95 % for z = 1.96."""
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2) * z / (1 + z * z / count)
    return middle - half, middle + half


def _interval(rows: Rows, key: str) -> str:
    """Return the interval that the number of test sequences alone leaves to a mean: other speakers
    add sequences, other seeds do not.
    """
    tested = {row["recipe"].get("without_speaker"): row["tested"] for row in rows}
    ends = interval(mean(rows, key), sum(tested.values()))
    return " to ".join(f"{100 * end:.1f}" for end in ends)


def _choice_cells(row: Row) -> list[str]:
    rate = f"{row['recipe']['learning_rate']:g}"
    return [f"{row['value']:g}", row["architecture"], rate, f"{100 * row['accuracy_float']:.2f}"]


def _cells(rows: Rows) -> list[str]:
    first = rows[0]
    rates = zip(*(row["events_per_step"] for row in rows), strict=True)
    cells = [
        f"{first['value']:g}",
        first["architecture"],
        str(len(rows)),
        str(first["parameters"]),
        spread(rows, "accuracy_float"),
        spread(rows, "accuracy_integer"),
        _interval(rows, "accuracy_integer"),
        ", ".join(f"{sum(rate) / len(rate):.1f}" for rate in rates),
    ]
    timed = [row for row in rows if "cycles_per_sequence" in row]
    if not timed:
        return [*cells, *[""] * 6]
    shape = ("lanes", "block", "events_per_cycle", "products_per_cycle")
    shapes = {", ".join(listed(row[key], "/") for key in shape) for row in timed}
    return [
        *cells,
        f"{mean(timed, 'memory_bits') / 1000:.0f}",
        f"{sum(map(traffic, timed)) / len(timed) / 1000:.0f}",
        f"{mean(timed, 'cycles_per_sequence'):.0f}",
        f"{sum(map(products, timed)) / len(timed):.0f}",
        f"{mean(timed, 'microjoules'):.2f}",
        "; ".join(sorted(shapes)),
    ]


def _speakers_table(rows: Rows) -> str:
    """Return what every architecture of every size reaches on each speaker left out, the mean of
    its seeds; and the mean over the speakers, of several seeds with the least and the most.
    """
    speakers = sorted({row["recipe"]["without_speaker"] for row in rows})
    header = [AXES["neurons"], "architecture", "parameters", "seeds"]
    header += [*(f"speaker {speaker}" for speaker in speakers)]
    header += ["mean, integers %", "95 % interval", "mean, float %"]
    lines = ["| " + " | ".join(header) + " |", "| ---: | :--- " + "| ---: " * len(header[2:]) + "|"]
    for of in alike(rows):
        cells = [f"{of[0]['value']:g}", of[0]["architecture"], str(of[0]["parameters"])]
        cells.append(str(len({row["seed"] for row in of})))
        for speaker in speakers:
            found = [row for row in of if row["recipe"]["without_speaker"] == speaker]
            cells.append(f"{100 * mean(found, 'accuracy_integer'):.1f}" if found else "")
        cells += [_over_speakers(of, "accuracy_integer"), _interval(of, "accuracy_integer")]
        lines.append(f"| {' | '.join([*cells, _over_speakers(of, 'accuracy_float')])} |")
    return "\n".join(lines)


def _over_speakers(rows: Rows, key: str) -> str:
    """Return the mean over the speakers left out; of several seeds their mean, least and most."""
    seeds = [[row for row in rows if row["seed"] == seed] for seed in {row["seed"] for row in rows}]
    return spread([{key: mean(found, key)} for found in seeds], key)


def products(row: Row) -> float:
    """Return the products of an inference: of the slow state, its update and the leak."""
    return _timesteps(row) * sum(row["products_per_timestep"].values())


def traffic(row: Row) -> float:
    """Return the bits that all memories read and write in an inference."""
    return _timesteps(row) * sum(row["bits_per_timestep"].values())


def _timesteps(row: Row) -> float:
    return row["cycles_per_sequence"] / row["cycles_measured"]


def _label(row: Row) -> str:
    """Return which trial a row is of, but for its architecture."""
    left = row["recipe"].get("without_speaker")
    seed = f" seed {row['seed']}" * bool(row["seed"])
    return f"{row['group']} {row['value']:g}" + (seed if left is None else f" without {left}{seed}")


def summary(rows: Rows) -> str:
    """Return for a terminal what every trial reached."""
    header = ("trial", "architecture", "parameters", "float %", "integers %", "cycles")
    lines = (
        (
            _label(row),
            row["architecture"],
            row["parameters"],
            f"{100 * row['accuracy_float']:.2f}",
            f"{100 * row['accuracy_integer']:.2f}" if "accuracy_integer" in row else "-",
            f"{row['cycles_per_sequence']:.0f}" if "cycles_per_sequence" in row else "-",
        )
        for row in rows
    )
    found = [table(header, lines, left=[0, 1])]
    for of in alike(row for row in rows if row["group"] == "speaker"):
        told = [_over_speakers(of, key) for key in ("accuracy_float", "accuracy_integer")]
        name = f"{of[0]['architecture']}, {of[0]['value']:g} neurons a layer, all speakers"
        found.append(f"{name}: {told[0]} % float, {told[1]} % integers")
    return "\n".join(found)


def plot(rows: Rows, folder: Path) -> list[Path]:
    """Write pictures of accuracy against cycles, memory and parameters; against each axis; of how
    fast it is reached; and of the delays. Return their paths.
    """
    pictures = {
        "study_pareto": plot_pareto(rows),
        "study_sweeps": plot_sweeps(rows),
        "study_curves": plot_curves(rows),
        "study_delays": plot_delays(rows),
    }
    return [
        save_picture(figure, folder / f"{name}.png")
        for name, figure in pictures.items()
        if figure is not None
    ]


def _points(axes: Axes, trials: Iterable[Rows], of: Callable[[Row], float], label: str) -> None:
    """Plot the accuracy of trials against what `of` says: the mean of the seeds, and all of them
    from the least to the most.
    """
    points = []
    for rows in trials:
        values = [100 * row["accuracy_integer"] for row in rows]
        middle = sum(values) / len(values)
        place = sum(map(of, rows)) / len(rows)
        points.append((place, middle, middle - min(values), max(values) - middle))
    x, y, below, above = zip(*sorted(points), strict=True)
    axes.errorbar(x, y, yerr=(below, above), marker="o", capsize=2, label=label)


def plot_pareto(rows: Rows) -> Figure | None:
    """Return a picture of accuracy against cost, or None where no neurons were varied."""
    from matplotlib.figure import Figure

    timed = [row for row in rows if row["group"] == "neurons" and "memory_bits" in row]
    if not timed:
        return None
    figure = Figure(figsize=(14, 8), layout="constrained")
    panels = figure.subplots(2, 2, sharey=True).ravel()
    over: list[tuple[str, Callable[[Row], float]]] = [
        ("parameters", lambda row: row["parameters"]),
        ("bits of memory", lambda row: row["memory_bits"]),
        (f"cycles an inference, at most {timed[0]['budget']} multipliers",
         lambda row: row["cycles_per_sequence"]),
        ("uJ an inference, estimated", lambda row: row["microjoules"]),
    ]  # fmt: skip
    for axes, (label, of) in zip(panels, over, strict=True):
        for architecture in dict.fromkeys(row["architecture"] for row in timed):
            trials = alike(row for row in timed if row["architecture"] == architecture)
            _points(axes, trials, of, architecture)
        axes.set(xscale="log", xlabel=label, ylabel="accuracy of the integers / %")
        clear_ticks(axes.xaxis)
        axes.grid(alpha=0.3)
    panels[0].legend()
    figure.suptitle("Study: accuracy of each architecture, and what it costs")
    return figure


def plot_sweeps(rows: Rows) -> Figure | None:
    """Return a picture of accuracy and cycles against each axis that was varied, or None."""
    from matplotlib.figure import Figure

    varied = ("state", "theta", "dilation", "bits", "slow bits")
    swept = [group for group in varied if any(row["group"] == group for row in rows)]
    if not swept:
        return None
    figure = Figure(figsize=(max(4.5 * len(swept), 6), 4), layout="constrained")
    panels = figure.subplots(1, len(swept), squeeze=False)[0]
    beside_theta = {"theta": ("delays", "fixed delays")}
    for axes, group in zip(panels, swept, strict=True):
        for other in (group, *beside_theta.get(group, ())):
            of = [row for row in rows if row["group"] == other]
            if of:
                _points(axes, alike(of), lambda row: row["value"], other.replace(group, "memory"))
        beside = axes.twinx()
        timed = (r for r in rows if r["group"] == group and "cycles_per_sequence" in r)
        found = [(of[0]["value"], mean(of, "cycles_per_sequence")) for of in alike(timed)]
        beside.plot(*zip(*sorted(found), strict=True), color="C7", linestyle=":", marker="x")
        beside.set_ylabel("cycles an inference (dotted)")
        beside.set_ylim(0, 1.1 * max((cycles for _, cycles in found), default=1))
        axes.set(xlabel=AXES[group], ylabel="accuracy of the integers / %")
        if group == "theta":
            axes.legend()
    figure.suptitle("Study: accuracy and cycles when one parameter changes")
    return figure


def plot_curves(rows: Rows) -> Figure | None:
    """Return a picture of the test error after each epoch, a line a size of the slow state and a
    window, or None where neither was varied. Of several seeds it is the mean.
    """
    from matplotlib.figure import Figure

    swept = [group for group in ("state", "theta") if any(row["group"] == group for row in rows)]
    if not swept:
        return None
    figure = Figure(figsize=(max(5.5 * len(swept), 6), 4), layout="constrained")
    panels = figure.subplots(1, len(swept), squeeze=False)[0]
    for axes, group in zip(panels, swept, strict=True):
        for trial in alike(row for row in rows if row["group"] == group):
            curves = zip(*(row["curve"] for row in trial), strict=True)
            errors = [max(100 * (1 - sum(epoch) / len(epoch)), 0.01) for epoch in curves]
            label = f"{trial[0]['value']:g}"
            axes.semilogy(range(1, len(errors) + 1), errors, marker=".", label=label)
        axes.set(xlabel="epoch", ylabel="test error / %", title=AXES[group])
        clear_ticks(axes.yaxis)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle("Study: how fast it learns")
    return figure


def plot_delays(rows: Rows) -> Figure | None:
    """Return a picture of the delays that were learned, a trial a panel, or None; of several seeds
    those of the first.
    """
    from matplotlib.figure import Figure

    first = [of[0] for of in alike(rows)]
    delayed = [
        row
        for row in first
        if any(row.get("delays", ())) and row["recipe"].get("learn_delays", True)
        if row["group"] != "speaker"
    ]
    if not delayed:
        return None
    across = min(len(delayed), 5)
    down = math.ceil(len(delayed) / across)
    figure = Figure(figsize=(max(4 * across, 6), 3.4 * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False)
    for axes in panels.flat[len(delayed) :]:
        axes.remove()
    for axes, row in zip(panels.flat[: len(delayed)], delayed, strict=True):
        longest = max(max(delays, default=0) for delays in row["delays"])
        for index, delays in enumerate(row["delays"]):
            if delays:
                axes.hist(delays, bins=range(longest + 2), alpha=0.6, label=f"layer {index}")
        of = "window" if row["group"] == "delays" else row["group"]
        title = f"{row['architecture']}, {of} {row['value']:g}"
        axes.set(xlabel="delay / timesteps", title=title)
        axes.legend()
    for axes in panels[:, 0]:
        axes.set_ylabel("inputs")
    figure.suptitle("Study: the delays that each network learned")
    return figure
