"""What a simulation showed: `report.json`, one picture, and the lines that `python -m tb`
prints.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from golden.cycles import (
    SLACK,
    bound_cycles,
    group_steps,
    memory_words,
    released_rtl_cycles,
    timestep_cycles,
)
from golden.errors import UserError
from golden.hardware import CoreParams
from golden.params import LayerParams
from tb.compare import Comparison
from tb.simulate import Simulation

CLOCK_MHZ = 100


def summarize(simulation: Simulation, comparison: Comparison, labels: np.ndarray) -> dict[str, Any]:
    """Return the content of `report.json` for a simulation of digits with these labels (B,).

    Cycles per timestep are means over all timesteps: `measured` by the core's counters of busy
    cycles, `predicted` by `golden.cycles`, for each layer and the readout. `slowest_layer` holds
    the mean number of cycles from the start of a timestep to the start of the next one within a
    sequence, and its bound G * max(S, d + 2) + 8 (only the leak counts between refreshes).
    `utilisation` is the share of all lane-cycles, from the first start to the last result, in which
    a lane of the layer works for one of its neurons on the path that bounds it.
    `memory_words_per_timestep` is what `golden.cycles` says a timestep reads and writes.
    """
    core, events = simulation.core, comparison.events
    if not core.hardware.trace:
        raise UserError("a report needs a core with trace ports: export it with --trace")
    timesteps = simulation.n_sequences * simulation.n_timesteps
    parts = [*(f"layer{i}" for i in range(len(core.layers))), "readout"]
    hardware = (*core.layers, core.readout)
    means = {
        part: float(timestep_cycles(of, received).mean())
        for part, of, received in zip(parts, hardware, events, strict=True)
    }
    slowest = max(range(len(core.layers)), key=lambda i: means[parts[i]])
    start = simulation.starts(parts[0])
    elapsed = int(simulation.result_cycles[-1] - start[0, 0])
    # Results of successive sequences are as far apart as the core takes for one; a single one has
    # its latency only.
    between = np.diff(simulation.result_cycles)
    cycles_per_digit = float(between.mean()) if len(between) else float(elapsed)
    neurons = [layer.n_neurons for layer in core.network.layers] + [core.network.readout.n_classes]
    useful = {
        part: count * int(group_steps(of, received).sum())
        for part, count, of, received in zip(parts, neurons, hardware, events, strict=True)
    }
    bound = (bound_cycles(core.layers[slowest], events[slowest]) + SLACK)[:, :-1]
    return {
        "network": core.network.name,
        "lanes": core.hardware.lanes,
        "stalls_seed": simulation.stalls_seed,
        "digits": simulation.n_sequences,
        "timesteps": timesteps,
        "accuracy": float(np.mean(simulation.classes == labels)),
        "values_compared": comparison.values_compared,
        "mismatches": comparison.mismatches,
        "first_mismatches": comparison.first,
        "events_per_timestep": {
            part: float(e.mean()) for part, e in zip(parts, events, strict=True)
        },
        "cycles_per_timestep": {
            "measured": {
                part: simulation.counters[f"{part}.busy_cycles"] / timesteps for part in parts
            },
            "predicted": means,
        },
        "slowest_layer": {
            "layer": parts[slowest],
            "cycles_per_timestep": float(np.diff(simulation.starts(parts[slowest]), axis=1).mean())
            if bound.size
            else None,
            "bound": float(bound.mean()) if bound.size else None,
        },
        "multipliers": sum(layer.multipliers for layer in core.layers),
        "memory_words_per_timestep": {
            f"{part}.{memory}": float(words.mean())
            for part, of, received in zip(parts, hardware, events, strict=True)
            for memory, words in memory_words(of, received).items()
        },
        "utilisation": {
            part: work / (core.hardware.lanes * elapsed) for part, work in useful.items()
        },
        "released_rtl_cycles_per_timestep": float(
            released_rtl_cycles(core, events[:-1], events[-1]).mean()
        ),
        "microseconds_per_digit": cycles_per_digit / CLOCK_MHZ,
        "clock_mhz": CLOCK_MHZ,
        "latency_microseconds": int(simulation.result_cycles[0] - start[0, 0]) / CLOCK_MHZ,
        "counters": simulation.counters,
        "errors": simulation.errors,
        "simulation_seconds": round(simulation.seconds, 2),
        "verilog": str(simulation.verilog),
    }


def write_report(summary: dict[str, Any], path: Path) -> None:
    """Write `report.json`, whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as partial:
        partial.write(json.dumps(summary, indent=1) + "\n")
    Path(partial.name).chmod(0o644)
    Path(partial.name).rename(path)


def draw(
    simulation: Simulation, image: np.ndarray, label: int, path: Path, sequence: int = 0
) -> None:
    """Draw a digit (28, 28), its logits, the spikes of each layer over time, and the slow states
    below, as a PNG.
    """
    import matplotlib  # half a second to load, and only a picture needs it

    matplotlib.use("Agg")
    from matplotlib import pyplot

    traces = [simulation.layer(i, sequence, 1) for i in range(len(simulation.core.layers))]
    with_state = [i for i, layer in enumerate(simulation.core.layers) if layer.params.n_state]
    rows = len(traces) + len(with_state)
    figure = pyplot.figure(figsize=(13, 2.2 + 1.9 * rows), layout="constrained")
    grid = figure.add_gridspec(rows + 1, 2, height_ratios=[1.2] + [1] * rows, width_ratios=[1, 3])
    digit = figure.add_subplot(grid[0, 0])
    digit.imshow(image, cmap="gray_r")
    digit.set(xticks=[], yticks=[], title=f"digit {label}, read as {simulation.classes[sequence]}")
    logits = figure.add_subplot(grid[0, 1])
    values = simulation.core.network.readout.logit.to_real(simulation.logits[sequence])
    logits.bar(
        range(len(values)),
        values,
        color=["C3" if i == values.argmax() else "C7" for i in range(len(values))],
    )
    logits.set(title="logits", xticks=range(len(values)))
    for row, (index, trace) in enumerate(enumerate(traces), start=1):
        axes = figure.add_subplot(grid[row, :])
        timestep, neuron = np.nonzero(trace.spikes[0])
        axes.plot(timestep, neuron, ",", color="black", alpha=0.8)
        rate = trace.spikes[0].sum() / simulation.n_timesteps
        axes.set(
            ylabel="neuron",
            title=f"layer {index}: spikes, {rate:.1f} a timestep",
            xlim=(0, simulation.n_timesteps),
        )
    for row, index in enumerate(with_state, start=len(traces) + 1):
        axes = figure.add_subplot(grid[row, :])
        state = simulation.core.layers[index].params.formats.m.to_real(traces[index].state[0])
        axes.plot(state, linewidth=0.8)
        axes.set(
            ylabel="m",
            title=f"layer {index}: slow state, {state.shape[1]} values",
            xlim=(0, simulation.n_timesteps),
        )
    figure.axes[-1].set_xlabel("timestep")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _formats(layer: LayerParams) -> str:
    f = layer.formats
    formats = {"W_f": f.w_f, "u": f.u, "leak": f.leak}
    if layer.n_state:
        formats |= {"w_x": f.w_x, "P": f.p, "V": f.v, "A": f.a, "B": f.b, "m": f.m, "x": f.x}
    return ", ".join(f"{name} {fmt}" for name, fmt in formats.items())


def describe(core: CoreParams) -> list[str]:
    """Return lines that say what the core is: sizes, and formats as sign, width and fractional
    bits.
    """
    network = core.network
    lines = [
        (
            f"network   {network.name}: {core.hardware.lanes} lanes;"
            " formats are sign and width.fractional bits"
        )
    ]
    for index, layer in enumerate(network.layers):
        state = (
            f"slow state of {layer.n_state}, refreshed every {layer.dilation}"
            if layer.n_state
            else "no slow state"
        )
        lines.append(
            f"  layer {index}: {layer.n_inputs} inputs ({layer.formats.payload}),"
            f" {layer.n_neurons} neurons, {state},"
            f" {core.layers[index].n_groups} groups"
        )
        lines.append(f"           {_formats(layer)}")
    lines.append(
        f"  readout: {network.readout.n_classes} classes, W_o {network.readout.w_o}, logits"
        f" {network.readout.logit}"
    )
    return lines


def lines(summary: dict[str, Any], report: Path, picture: Path) -> list[str]:
    """Return the lines that tell a user what a summary holds."""
    cycles, slowest = summary["cycles_per_timestep"], summary["slowest_layer"]
    released, speed = summary["released_rtl_cycles_per_timestep"], summary["microseconds_per_digit"]
    n_timesteps = summary["timesteps"] // summary["digits"]
    found = [
        (
            f"digits    {summary['digits']} of {n_timesteps} timesteps,"
            f" accuracy {100 * summary['accuracy']:.1f} %"
        ),
        (
            f"compared  {summary['values_compared']} values with the golden model:"
            f" {summary['mismatches']} mismatches"
        ),
        *(f"  {line}" for line in summary["first_mismatches"]),
        "",
        (
            f"{'a timestep':<12}{'events':>10}{'cycles measured':>18}"
            f"{'predicted':>12}{'lanes in use':>15}"
        ),
    ]
    for part, measured in cycles["measured"].items():
        received, predicted = summary["events_per_timestep"][part], cycles["predicted"][part]
        use = 100 * summary["utilisation"][part]
        found.append(
            f"  {part:<10}{received:>10.2f}{measured:>18.2f}{predicted:>12.2f}{use:>13.1f} %"
        )
    if summary["stalls_seed"] is not None:
        found.append("  (with gaps on the streams, which count as lanes not in use)")
    elif slowest["bound"] is not None:
        found.append(
            f"  slowest: {slowest['layer']}, {slowest['cycles_per_timestep']:.2f} cycles from"
            " start to start;"
            f" G*max(S, d+2)+{SLACK} = {slowest['bound']:.2f}"
        )
    clock, latency = summary["clock_mhz"], summary["latency_microseconds"]
    return [
        *found,
        f"  the paper's released RTL on these events: {released:.2f} cycles (closed form)",
        "",
        f"speed     {speed:.1f} us a digit at {clock} MHz; the first result after {latency:.1f} us",
        f"simulated in {summary['simulation_seconds']:.1f} s",
        f"Verilog   {summary['verilog']}",
        f"report    {report}",
        f"picture   {picture}",
    ]
