"""The picture of where the energy of an inference goes: `energy.png`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from golden.hardware.params import listed

if TYPE_CHECKING:  # half a second to load, and only a picture needs it
    from matplotlib.figure import Figure

COLOURS = ("#4477aa", "#66ccee", "#ee6677", "#ccbb44", "#bbbbbb")
SIZE = (9.0, 4.2)  # inches


def plot_energy(summary: dict[str, Any]) -> Figure:
    """Return a picture of `energy.json`: a bar a component, a colour a kind."""
    from matplotlib.figure import Figure

    energy = summary["microjoules"]
    components = energy["components"]
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    left = dict.fromkeys(components, 0.0)
    for kind, colour in zip((*energy["kinds"], "leakage"), COLOURS, strict=True):
        widths = [parts[kind] for parts in components.values()]
        whole = energy["leakage"] if kind == "leakage" else energy["kinds"][kind]
        label = f"{kind} {whole / energy['inference']:.1%}"
        axes.barh(list(components), widths, left=list(left.values()), color=colour, label=label)
        left = {name: left[name] + parts[kind] for name, parts in components.items()}
    axes.invert_yaxis()
    axes.set_xlabel("energy of an inference (uJ)")
    axes.set_title(
        f"{summary['network']}, {listed(summary['lanes'])} lanes, T = {summary['block']}:"
        f" {energy['inference']:.2f} uJ an inference ({summary['technology']['name']})"
    )
    axes.legend()
    return figure
