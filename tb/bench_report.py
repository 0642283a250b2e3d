"""What the bench measured, as a Markdown table and as pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golden.hardware.params import listed
from golden.picture import clear_ticks, save_picture
from golden.table import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, Any]

_COLUMNS: dict[str, Callable[[Row], str]] = {
    "L": lambda row: listed(row["lanes"]),
    "T": lambda row: str(row["block"]),
    "E": lambda row: listed(row["events_per_cycle"]),
    "K": lambda row: listed(row["products_per_cycle"]),
    "more": lambda row: ", ".join(_more(row)),
    "multipliers": lambda row: str(row["multipliers"]),
    "memory kbit": lambda row: f"{row['memory_bits'] / 1000:.0f}",
    "cycles": lambda row: f"{row['cycles_measured']:.2f}",
    "predicted": lambda row: f"{row['cycles_predicted']:.2f}",
    "bound": lambda row: f"{row['cycles_bound']:.2f}",
    "of": lambda row: row["bound_part"],
    "waits": lambda row: ", ".join(
        f"{kind} {cycles:.2f}" for kind, cycles in row["waits"].items() if cycles
    ),
    "released RTL": lambda row: f"{row['released_rtl_ratio']:.2f}x",
    "at its multipliers": lambda row: f"{per_multiplier(row):.2f}x",
    "ReckOn": lambda row: f"{row['reckon_cycles'] / row['cycles_measured']:.1f}x",
    "utilisation of the layers %": lambda row: ", ".join(
        f"{100 * value:.1f}" for part, value in row["utilisation"].items() if part != "readout"
    ),
    "in the chain %": lambda row: f"{100 * row['chain_utilisation']:.1f}",
    "weights read": lambda row: f"{row['weights_read_per_timestep']:.0f}",
    "of theirs %": lambda row: (
        f"{100 * row['weights_read_per_timestep'] / row['released_rtl_weights_read']:.0f}"
    ),
    "products": lambda row: f"{sum(row['products_per_timestep'].values()):.0f}",
    "bits moved": lambda row: f"{sum(row['bits_per_timestep'].values()):.0f}",
    "a sequence alone": lambda row: f"{max(row['alone_cycles'])}",
}


def _more(row: Row) -> list[str]:
    """Say what few cores have."""
    return [
        *["graded inputs share multipliers"] * (row["graded"] == "shared"),
        *[f"{row['list_buffers']} lists"] * (row["list_buffers"] > 3),
        *[f"links of {row['link_items']} items"] * (row["link_items"] > 1),
    ]


def per_multiplier(row: Row) -> float:
    """Return how many times fewer cycles and multipliers a core takes than the released RTL, the
    one times the other.
    """
    return row["released_rtl_ratio"] * row["released_rtl_multipliers"] / row["multipliers"]


def _table(header: Iterable[str], lines: Iterable[Iterable[str]]) -> list[str]:
    names = list(header)
    rule = [" | ".join(names), " | ".join("---:" for _ in names)]
    return [f"| {line} |" for line in (*rule, *(" | ".join(line) for line in lines))]


def markdown(rows: Sequence[Row]) -> str:
    """Return the tables of a bench: per network its cores, then what their memories move."""
    text = [
        "# Bench",
        "",
        "Every row is a core whose Verilog ran sequences back to back; cycles, words and",
        "operations are means a timestep, counted in the running core. *cycles*: from result to",
        "result, input always waiting; *predicted*: `golden/cost/timeline.py`; *bound*: the",
        "steps that the part named in *of* issues meanwhile, the most of all parts: groups *",
        "max(addresses / E, (d + 1) / K where refreshed, T * fold) a block, which no order of",
        "the work can undo; *waits*: its other cycles, by what it waits for (*turn*: it starts,",
        "or a sequence ends), which with the bound are *cycles*; *released RTL*, *ReckOn*: how",
        "many times more cycles their closed forms take on the same events, and *at its",
        "multipliers*: that, times the ratio of its multipliers to ours. Multipliers are",
        "counted alike on both sides: all that multiply (state path, leak, state update, graded",
        "events), none for events of one bit. *utilisation*: of the lane-cycles in which a",
        "layer did not wait for its neighbours, those in which the path that bounds it works",
        "for a neuron; *in the chain*: of all cycles, for the slowest layer. *weights read*: by",
        "the layers, and against the released RTL's. *a sequence alone*: cycles from its first",
        "item to its last result, of the one that takes longest.",
    ]
    for name in dict.fromkeys(row["network"] for row in rows):
        mine = [row for row in rows if row["network"] == name]
        first = mine[0]
        events = ", ".join(f"{value:.1f}" for value in first["events_per_timestep"])
        text += [
            "",
            f"## {name}",
            "",
            f"Events a timestep into the layers and the readout: {events}.",
            f"Released RTL: {first['released_rtl_cycles']:.1f} cycles a timestep,",
            f"{first['released_rtl_multipliers']} multipliers; ReckOn:",
            f"{first['reckon_cycles']:.0f} cycles.",
            "",
            *_table(_COLUMNS, ([cell(row) for cell in _COLUMNS.values()] for row in mine)),
            "",
            *_memories(mine),
        ]
    return "\n".join(text) + "\n"


def summary(rows: Sequence[Row]) -> str:
    """Return for a terminal how fast every core is, and what bounds it."""
    names = ("lanes", "block", "events_per_cycle", "products_per_cycle", "multipliers")
    header = ("network", "L", "T", "E", "K", "mult.", "cycles", "bound", "of", "released RTL")
    lines = (
        (
            row["network"],
            *(listed(row[name]) for name in names),
            f"{row['cycles_measured']:.2f}",
            f"{row['cycles_bound']:.2f}",
            row["bound_part"],
            f"{row['released_rtl_ratio']:.2f}x",
        )
        for row in rows
    )
    return table(header, lines, left=[0, 8])


def _memories(rows: Sequence[Row]) -> list[str]:
    """What 4 lanes read and write, and what a list costs against stored accumulators."""
    least = min(row["lanes"] for row in rows if isinstance(row["lanes"], int))
    chosen = {row["block"]: row for row in rows if row["lanes"] == least}
    kinds = [name for name in chosen[min(chosen)]["bits_per_timestep"]]
    kinds += [name for row in chosen.values() for name in row["bits_per_timestep"]]
    names = list(dict.fromkeys(kinds))

    def cell(row: Row, name: str) -> str:
        if name not in row["bits_per_timestep"]:
            return ""
        words = row["accesses_per_timestep"][name]
        return f"{words:.1f} ({row['bits_per_timestep'][name]:.0f})"

    def costs(row: Row) -> list[str]:
        ours = row["list_bits_per_synaptic_operation"]
        stored = row["input_stationary_bits_per_synaptic_operation"]
        return ["" if value is None else f"{value:.2f}" for value in (0.0, ours, stored)]

    blocks = [f"T={block}" for block in chosen]
    accumulators = zip(*(costs(row) for row in chosen.values()), strict=True)
    what = (
        "accumulator bits in memory a synaptic operation: this core",
        "its event lists' bits a synaptic operation",
        "accumulator bits of an input-stationary core (model)",
    )
    return [
        f"Words (bits) a timestep by memory, {least} lanes:",
        "",
        *_table(
            ["memory", *blocks],
            [
                *([name, *(cell(row, name) for row in chosen.values())] for name in names),
                *([name, *values] for name, values in zip(what, accumulators, strict=True)),
            ],
        ),
    ]


def plot(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Write pictures of cycles against lanes for every network, and of how far every core is from
    its bound; return the files.
    """
    return [
        save_picture(plot_cycles(rows), folder / "bench_cycles.png"),
        save_picture(plot_roofline(rows), folder / "bench_roofline.png"),
    ]


def plot_cycles(rows: Sequence[Row]) -> Figure:
    """Return a picture of cycles against multipliers, a network a panel: of every core, and below
    each its bound.
    """
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(row["network"] for row in rows))
    figure = Figure(figsize=(max(4.2 * len(names), 6), 4), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        mine = [row for row in rows if row["network"] == name]
        kinds = {"one number for all parts": False, "numbers a part, shared, wider": True}
        for (label, new), mark in zip(kinds.items(), "os", strict=True):
            some = [row for row in mine if is_new(row) == new]
            points = [(row["multipliers"], row["cycles_measured"]) for row in some]
            axes.plot(*zip(*sorted(points), strict=True), mark, ms=4, label=label) if some else None
        bounds = sorted((row["multipliers"], row["cycles_bound"]) for row in mine)
        axes.plot(*zip(*bounds, strict=True), "_", color="black", ms=7, label="bound of each")
        axes.axhline(mine[0]["released_rtl_cycles"], color="black", ls="--", label="released RTL")
        axes.axhline(mine[0]["reckon_cycles"], color="grey", ls=":", label="ReckOn")
        axes.set(title=name, xlabel="multipliers", xscale="log", yscale="log")
        clear_ticks(axes.xaxis)
        clear_ticks(axes.yaxis)
    panels[0].set_ylabel("cycles a timestep")
    panels[0].legend(fontsize="small")
    figure.suptitle("Bench: cycles that cores of every size take")
    return figure


def is_new(row: Row) -> bool:
    """Return whether a core has more than one number of each kind for all its parts."""
    each = (row[name] for name in ("lanes", "events_per_cycle", "products_per_cycle"))
    return bool(_more(row)) or not all(isinstance(of, int) for of in each)


def plot_roofline(rows: Sequence[Row]) -> Figure:
    """Return a picture of how near every core is to its bound, by what bounds it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    for name in dict.fromkeys(row["network"] for row in rows):
        points = [roofline_point(row) for row in rows if row["network"] == name]
        axes.scatter(*zip(*points, strict=True), s=18, label=name)
    axes.axhline(100, color="black", lw=1)
    axes.axvline(1, color="grey", lw=0.8, ls=":")
    axes.set(
        xscale="log",
        xlabel="steps for events / steps for the slow state and the membranes",
        ylabel="cycles of the bound / cycles measured, %",
        title="Bench: left of 1 the state or the membranes bound, right of it the events",
    )
    clear_ticks(axes.xaxis)
    axes.legend(fontsize="small")
    return figure


def roofline_point(row: Row) -> tuple[float, float]:
    """Return where a core stands: steps for events over those for all else, of the part that bounds
    it, and the share of its bound that it reaches in percent.
    """
    steps = row["bound_steps"]
    return steps["sparse"] / steps["floor"], 100 * row["cycles_bound"] / row["cycles_measured"]
