"""The picture of one sequence on its way through a core: `report.png`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tb.report_text import counted
from tb.simulate import LayerTrace, Simulation

if TYPE_CHECKING:  # half a second to load, and only a picture needs it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, PANEL_HEIGHT = 12.0, 1.9  # inches
# More spikes than these in a panel run into each other: then their density is shown.
MOST_LINES = 4000
BINS = (200, 40)  # of a density: timesteps, neurons


def plot_report(
    simulation: Simulation, payloads: np.ndarray, image: np.ndarray, label: int, sequence: int = 0
) -> Figure:
    """Return a picture of a sequence: what it is and what the core made of it (logits, or
    the spikes that left), then, over one time axis, its input, the spikes of each layer and the
    slow states.

    Parameters
    ----------
    payloads
        Of the sequence (K, M).
    image
        The sequence for people (rows, columns).
    label
        What it is; -1 where that is not known.
    """
    from matplotlib.figure import Figure

    core = simulation.core
    traces = [simulation.layer(i, sequence, 1) for i in range(len(core.layers))]
    with_state = [i for i, layer in enumerate(core.layers) if layer.params.n_state]
    n_panels = 1 + len(traces) + len(with_state)
    height = 2.4 + PANEL_HEIGHT * n_panels
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    head, body = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.4, height - 2.4])[:, 0]
    classifies = core.network.output is not None
    known = [f"class {label}"] * (label >= 0)
    read = [f"read as {simulation.classes[sequence]}"] * classifies
    what = ": " * bool(known or read) + ", ".join([*known, *read])
    figure.suptitle(
        f"{core.network.name}, test sequence {sequence}{what}"
        f" ({simulation.n_timesteps} timesteps, in the running Verilog)"
    )
    if np.array_equal(image, payloads.T):  # which is the panel of the input
        outcome = head.subplots()
    else:
        picture, outcome = head.subplots(1, 2, width_ratios=[1, 3])
        square = image.shape[0] == image.shape[1]
        picture.imshow(image, cmap="gray_r", aspect="equal" if square else "auto")
        picture.set(xticks=[], yticks=[], title="what it shows")
    if classifies:
        _plot_logits(outcome, simulation, sequence)
    else:
        left = simulation.left(sequence, core.network.layers[-1].n_neurons)
        _plot_spikes(outcome, left, "what left the core")
        outcome.set(xlabel="timestep", xlim=(-0.5, len(left) - 0.5))

    panels = body.subplots(n_panels, 1, sharex=True, squeeze=False)[:, 0]
    _plot_input(panels[0], payloads)
    for index, trace in enumerate(traces):
        _plot_spikes(panels[1 + index], trace.spikes[0], f"layer {index}")
    for panel, index in zip(panels[1 + len(traces) :], with_state, strict=True):
        _plot_state(panel, simulation, traces[index], index)
    panels[-1].set(xlabel="timestep", xlim=(-0.5, simulation.n_timesteps - 0.5))
    return figure


def _plot_logits(axes: Axes, simulation: Simulation, sequence: int) -> None:
    values = simulation.core.network.readout.logit.to_real(simulation.logits[sequence])
    best = int(simulation.classes[sequence])
    colors = ["C3" if i == best else "C7" for i in range(len(values))]
    axes.bar(range(len(values)), values, color=colors)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set(title="its logits, the largest in red", xlabel="class")
    step = -(-len(values) // 20)
    axes.set_xticks(range(0, len(values), step))


def _plot_input(axes: Axes, payloads: np.ndarray) -> None:
    n_timesteps, n_inputs = payloads.shape
    rate = np.count_nonzero(payloads) / n_timesteps
    title = f"input: {rate:.1f} events a timestep from {counted(n_inputs, 'input')}"
    if n_inputs == 1:
        axes.fill_between(np.arange(n_timesteps), payloads[:, 0], step="mid", color="C0")
        axes.set(ylabel="payload", title=title, ylim=(0, None))
    elif payloads.max(initial=0) <= 1:
        _plot_spikes(axes, payloads.astype(bool), "input", row="input")
        axes.set_title(title)
    else:
        _plot_map(axes, payloads.T, "payload", "Blues", (0, payloads.max()))
        axes.set(ylabel="input", title=title)


def _plot_spikes(axes: Axes, spikes: np.ndarray, name: str, row: str = "neuron") -> None:
    """Plot spikes (K, N): a line each, or where there are many, how many lie close together."""
    n_timesteps, n_rows = spikes.shape
    rate = np.count_nonzero(spikes) / n_timesteps
    title = f"{name}: {rate:.1f} spikes a timestep from {counted(n_rows, 'neuron')}"
    timestep, place = np.nonzero(spikes)
    if len(timestep) <= MOST_LINES:
        half = max(0.45, n_rows / 120)
        width = min(max(1.2, 0.15 * 72 * WIDTH / n_timesteps), 4.0)
        axes.vlines(timestep, place - half, place + half, color="black", linewidth=width)
    else:
        bins = [min(most, n) for most, n in zip(BINS, (n_timesteps, n_rows), strict=True)]
        counts, *edges = np.histogram2d(
            timestep, place, bins=bins, range=[(-0.5, n_timesteps - 0.5), (-0.5, n_rows - 0.5)]
        )
        cell = (edges[0][1] - edges[0][0]) * (edges[1][1] - edges[1][0])
        shares = 100 * counts.T / cell
        shown = axes.pcolormesh(*edges, shares, cmap="Greys", vmin=0, vmax=shares.max())
        axes.figure.colorbar(shown, ax=axes, pad=0.01, label="% spike")
        wide, high = -(-n_timesteps // bins[0]), -(-n_rows // bins[1])
        title += f" (density, in cells of about {wide} timesteps x {high} neurons)"
    axes.set(ylabel=row, title=title, ylim=(-0.5, n_rows - 0.5))


def _plot_state(axes: Axes, simulation: Simulation, trace: LayerTrace, index: int) -> None:
    """Plot the values of a slow state over time as a heat map, white where they are zero."""
    state = simulation.core.layers[index].params.formats.m.to_real(trace.state[0])
    # The few largest values would leave all others white.
    largest = float(np.percentile(np.abs(state), 99)) or 1.0
    _plot_map(axes, state.T, "m", "RdBu_r", (-largest, largest))
    title = f"layer {index}: slow state m, {counted(state.shape[1], 'value')}"
    axes.set(ylabel="row of m", title=title)


def _plot_map(
    axes: Axes, values: np.ndarray, label: str, colors: str, limits: tuple[float, float]
) -> None:
    """Plot values (rows, K) as colors."""
    low, high = limits
    shown = axes.imshow(
        values, cmap=colors, vmin=low, vmax=high, aspect="auto", origin="lower",
        interpolation="nearest",
    )  # fmt: skip
    axes.figure.colorbar(shown, ax=axes, pad=0.01, label=label)
