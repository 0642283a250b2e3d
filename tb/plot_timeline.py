"""The picture of where every cycle of a core went: `timeline.png`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from golden.cost.spans import KINDS, Span, totals

if TYPE_CHECKING:  # half a second to load, and only a picture needs it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = {
    "step": "steps",
    "room": "waits for room",
    "input": "waits for input",
    "state": "waits for slow states",
    "drain": "drains",
    "results": "waits for results to be sent",
    "turn": "starts or ends",
}
COLORS = {
    "step": "#2b6a99",
    "room": "#d1495b",
    "input": "#dfe3e8",
    "state": "#edae49",
    "drain": "#8f6bb3",
    "results": "#66a182",
    "turn": "#1d1d1d",
}
BINS = 300  # of the whole run
BLOCKS_SHOWN = 6  # of the slowest part, cycle by cycle


def plot_timeline(found: Mapping[str, Sequence[Span]], title: str) -> Figure:
    """Return a picture of what the parts of a core do, a part a row: the share of each kind of
    cycle over the whole run; and a few blocks from its middle, in which every cycle can be seen.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    parts = len(found)
    figure = Figure(figsize=(12, 2.4 + 1.9 * parts), layout="constrained")
    figure.suptitle(f"Where every cycle went: {title}")
    panels = figure.subplots(parts + 1, 1, height_ratios=[*[1.0] * parts, 0.35 + 0.45 * parts])
    stop = max(of_part[-1].stop for of_part in found.values())
    sums = {name: totals(of_part, 0, stop) for name, of_part in found.items()}
    for axes, (name, of_part) in zip(panels, found.items(), strict=False):
        _plot_shares(axes, of_part, stop)
        busy = 100 * sums[name]["step"] / stop
        axes.set(ylabel="% of cycles", title=f"{name}: steps in {busy:.1f} % of all cycles")
    panels[parts - 1].set_xlabel(f"cycle, in {min(BINS, stop)} bins")
    slowest = max(found, key=lambda name: sums[name]["step"])
    first, last = _middle(found[slowest])
    _plot_cycles(panels[-1], found, first, last)
    title = f"every cycle from {first} to {last}; a white line is a block's first step"
    panels[-1].set(title=title, xlabel="cycle")
    kinds = [kind for kind in KINDS if any(of[kind] for of in sums.values())]
    figure.legend(
        handles=[Patch(color=COLORS[kind], label=NAMES[kind]) for kind in kinds],
        loc="outside lower center", ncols=len(kinds), fontsize="small",
    )  # fmt: skip
    return figure


def _plot_shares(axes: Axes, of_part: Sequence[Span], stop: int) -> None:
    edges = np.linspace(0, stop, min(BINS, stop) + 1)
    before = np.zeros(len(edges) - 1)
    for kind in KINDS:
        within = cycles_within([span for span in of_part if span.kind == kind], edges)
        until = before + 100 * within / np.diff(edges)
        if within.any():
            axes.stairs(until, edges, baseline=before, fill=True, color=COLORS[kind])
        before = until
    axes.set(xlim=(0, stop), ylim=(0, 100), yticks=[0, 50, 100])


def cycles_within(found: Sequence[Span], edges: np.ndarray) -> np.ndarray:
    """Return how many cycles of these spans, which follow each other, lie between two edges."""
    bounds = np.array([(span.start, span.stop) for span in found]).reshape(-1)
    lasting = np.array([(0, span.stop - span.start) for span in found]).reshape(-1)
    if not len(bounds):
        return np.zeros(len(edges) - 1)
    return np.diff(np.interp(edges, bounds, np.cumsum(lasting)))


def _middle(of_part: Sequence[Span]) -> tuple[int, int]:
    """Return the first cycle of some blocks in the middle of a part's run, and that after them."""
    starts: dict[tuple[int, int], int] = {}
    for span in of_part:
        if span.block is not None and span.kind == "step":
            starts.setdefault((span.sequence, span.block), span.start)
    found = [*starts.values(), of_part[-1].stop]
    at = max(0, (len(found) - 1 - BLOCKS_SHOWN) // 2)
    return found[at], found[min(at + BLOCKS_SHOWN, len(found) - 1)]


def _plot_cycles(axes: Axes, found: Mapping[str, Sequence[Span]], first: int, last: int) -> None:
    for row, of_part in enumerate(found.values()):
        seen = [span for span in of_part if span.stop > first and span.start < last]
        axes.broken_barh(
            [(span.start, span.stop - span.start) for span in seen],
            (row - 0.4, 0.8),
            facecolors=[COLORS[span.kind] for span in seen],
        )
        for span in seen:  # where a block's steps begin
            if span.kind == "step" and span.start >= first:
                axes.vlines(span.start, row - 0.4, row + 0.4, color="white", linewidth=1)
    axes.set(xlim=(first, last), ylim=(len(found) - 0.5, -0.5))
    axes.set_yticks(range(len(found)), list(found))
