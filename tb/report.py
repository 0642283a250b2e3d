"""What a simulation showed: `report.json`, one picture, and the lines that `python -m tb`
prints.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from golden.cost.cycles import SLACK, block_cycles, bound_cycles
from golden.cost.other_designs import (
    RELEASED_RTL_LANES,
    released_rtl_cycles,
    released_rtl_multipliers,
    released_rtl_weight_words,
)
from golden.errors import UserError
from golden.files import write_whole
from golden.hardware.core import CoreParams
from golden.hardware.part import HardwareParams
from golden.params import LayerParams
from tb.cocotb_core import COUNTER_CYCLES
from tb.compare import Comparison
from tb.simulate import Simulation

CLOCK_MHZ = 100


def utilisation(core: CoreParams, counters: Mapping[str, int | np.ndarray]) -> dict[str, float]:
    """Return the share of the lane-cycles of each part in which a lane works for one of its
    neurons, of the cycles in which the part neither lacks input nor is stalled by its consumer.

    Parameters
    ----------
    counters
        What the counters were read as, one run or an array of runs each. They are read one after
        another, `COUNTER_CYCLES` apart, in which a part that has ended is starved.
    """
    found = {}
    for name, part in core.parts.items():
        starved = f"{name}.starved_cycles"
        later = COUNTER_CYCLES * core.counters.index(starved)
        waiting = counters[starved] + counters[f"{name}.stall_cycles"] - later
        active = int(np.sum(counters["cycles"] - waiting))
        in_use = part.n_outputs / (part.n_groups * part.lanes)
        busy = int(np.sum(counters[f"{name}.busy_cycles"]))
        found[name] = in_use * busy / active if active else 0.0
    return found


def summarize(simulation: Simulation, comparison: Comparison, labels: np.ndarray) -> dict[str, Any]:
    """Return the content of `report.json` for a simulation of digits with these labels (B,).

    Cycles per timestep are means over all timesteps: `measured` by the core's counters of busy
    cycles, `predicted` by `golden.cost.cycles`, for each layer and the readout. `slowest_layer`
    holds the mean number of cycles from the start of a block of timesteps to the start of the next
    one within a sequence, divided by the block's timesteps, and its bound: that of
    `golden.cost.cycles.bound_cycles` and the `slack`, in which a recurrent layer's loop is.
    `accesses_per_timestep` is what `golden.cost.cycles` says every memory and path does, and
    `spike_weights_per_timestep` how many weights of events all layers read. For `utilisation` see
    there. `released_rtl` holds the closed forms of the paper's released RTL on the same events, and
    how many times this core's figures they are.
    """
    core, events = simulation.core, comparison.events
    if not core.hardware.trace:
        raise UserError("a report needs a core with trace ports: export it with --trace")
    block, n_timesteps = core.hardware.block, simulation.n_timesteps
    timesteps = simulation.n_sequences * n_timesteps
    parts = list(core.parts)
    predicted = {
        name: int(block_cycles(part, addresses, n_timesteps).sum()) / timesteps
        for (name, part), addresses in zip(core.parts.items(), comparison.addresses, strict=True)
    }
    slowest = max(range(len(core.layers)), key=lambda i: predicted[parts[i]])
    start = int(simulation.starts(parts[0])[0, 0])
    # Results of successive sequences are as far apart as the core takes for one; a single one has
    # its latency only.
    between = np.diff(simulation.result_cycles)
    latency = int(simulation.result_cycles[0]) - start
    # The last block of a sequence has no next one to reach; all others are whole.
    reached = np.diff(simulation.starts(parts[slowest]), axis=1)
    bound = bound_cycles(core.layers[slowest], comparison.addresses[slowest], n_timesteps)
    slack = SLACK + core.layers[slowest].loop_latency
    cycles = float(reached.mean()) / block if reached.size else None
    weights = sum(
        comparison.accesses[f"layer{i}.w_f_reads"] * layer.lanes
        for i, layer in enumerate(core.layers)
    )
    released_cycles = float(released_rtl_cycles(core, events[:-1], events[-1]).mean())
    released_words = float(released_rtl_weight_words(core, events[:-1]).mean())
    released_weights = RELEASED_RTL_LANES * released_words
    return {
        "network": core.network.name,
        "lanes": core.hardware.lanes,
        "block": block,
        "events_per_cycle": core.hardware.events_per_cycle,
        "products_per_cycle": core.hardware.products_per_cycle,
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
                part: simulation.counters[f"{part}.busy_cycles"]
                / simulation.counters[f"{part}.timesteps"]
                for part in parts
            },
            "predicted": predicted,
        },
        "slowest_layer": {
            "layer": parts[slowest],
            "cycles_per_timestep": cycles,
            "bound": float((bound[:, :-1] + slack).mean()) / block if reached.size else None,
            "slack": slack,
        },
        "multipliers": core.multipliers,
        "accesses_per_timestep": {
            name: count / timesteps for name, count in comparison.accesses.items()
        },
        "spike_weights_per_timestep": weights / timesteps,
        "utilisation": utilisation(core, simulation.counters),
        "released_rtl": {
            "cycles_per_timestep": released_cycles,
            "multipliers": released_rtl_multipliers(core),
            "spike_weights_per_timestep": released_weights,
            "cycles_ratio": released_cycles / cycles if cycles else None,
            "multipliers_ratio": released_rtl_multipliers(core) / core.multipliers,
            "spike_weights_ratio": released_weights * timesteps / weights if weights else None,
        },
        "microseconds_per_digit": float(between.mean() if len(between) else latency) / CLOCK_MHZ,
        "clock_mhz": CLOCK_MHZ,
        "latency_microseconds": latency / CLOCK_MHZ,
        "counters": simulation.counters,
        "errors": simulation.errors,
        "simulation_seconds": round(simulation.seconds, 2),
        "verilog": str(simulation.verilog),
    }


def write_report(summary: dict[str, Any] | list[dict[str, Any]], path: Path) -> None:
    """Write `report.json`, or another one, whole or not at all."""
    write_whole(path, json.dumps(summary, indent=1) + "\n")


def publish(
    name: str,
    rows: list[dict[str, Any]],
    folder: Path,
    markdown: Callable[[Sequence[dict[str, Any]]], str],
    draw: Callable[[Sequence[dict[str, Any]], Path], list[Path]],
    differences: Sequence[str],
) -> None:
    """Write rows as NAME.json, NAME.md and pictures into a folder, and tell what was written; exit
    with status 1 where anything differs from the golden model.
    """
    write_report(rows, folder / f"{name}.json")  # first: the runs behind it took long
    text = markdown(rows)
    (folder / f"{name}.md").write_text(text)
    pictures = draw(rows, folder)
    click.echo(text)
    for path in (folder / f"{name}.json", folder / f"{name}.md", *pictures):
        click.echo(f"wrote {path}")
    for line in differences:
        click.echo(f"error: {line}", err=True)
    if differences:
        sys.exit(1)


def draw(
    simulation: Simulation, image: np.ndarray, label: int, path: Path, sequence: int = 0
) -> None:
    """Draw a digit (rows, columns), its logits, the spikes of each layer over time, and the slow
    states below, as a PNG.
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
    digit.imshow(image, cmap="gray_r", aspect="auto" if image.shape[0] != image.shape[1] else None)
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


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def describe_hardware(hardware: HardwareParams) -> str:
    """Return in words what is turned on a core."""
    lanes, block = _counted(hardware.lanes, "lane"), _counted(hardware.block, "timestep")
    events = _counted(hardware.events_per_cycle, "event")
    products = _counted(hardware.products_per_cycle, "product")
    return f"{lanes}, {block} at once, {events} and {products} a cycle"


def describe(core: CoreParams) -> list[str]:
    """Return lines that say what the core is: sizes, and formats as sign, width and fractional
    bits.
    """
    network = core.network
    lines = [
        f"network   {network.name} on {describe_hardware(core.hardware)}",
        f"          {core.multipliers} multipliers, {core.memory_bits} bits of memory",
        "          formats are sign and width.fractional bits",
    ]
    for index, layer in enumerate(network.layers):
        every = "timestep" if layer.dilation == 1 else f"{layer.dilation} timesteps"
        state = (
            f"slow state of {layer.n_state}, refreshed every {every}"
            if layer.n_state
            else "recurrent"
            if layer.recurrent
            else "no slow state"
        )
        lines.append(
            f"  layer {index}: {_counted(layer.n_inputs, 'input')} ({layer.formats.payload}),"
            f" {_counted(layer.n_neurons, 'neuron')}, {state},"
            f" {_counted(core.layers[index].n_groups, 'group')}"
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
    released, speed = summary["released_rtl"], summary["microseconds_per_digit"]
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
    ratio = ""
    if summary["stalls_seed"] is not None:
        found.append("  (with gaps on the streams)")
    elif slowest["bound"] is not None:
        found.append(
            f"  slowest: {slowest['layer']}, {slowest['cycles_per_timestep']:.2f} cycles from"
            f" start to start; (G*max(S/E, (d+2)/K, T)+{slowest['slack']})/T ="
            f" {slowest['bound']:.2f}"
        )
        ratio = f", {released['cycles_ratio']:.2f} times as many"
    weights, others = summary["spike_weights_per_timestep"], released["spike_weights_per_timestep"]
    fewer = f" ({released['spike_weights_ratio']:.2f} times)" if weights else ""
    clock, latency = summary["clock_mhz"], summary["latency_microseconds"]
    return [
        *found,
        (
            "  the paper's released RTL on these events (closed forms):"
            f" {released['cycles_per_timestep']:.2f} cycles{ratio};"
        ),
        (
            f"    {others:.1f} spike weights read, {weights:.1f} here{fewer};"
            f" {released['multipliers']} multipliers, {summary['multipliers']} here"
        ),
        "",
        f"speed     {speed:.1f} us a digit at {clock} MHz; the first result after {latency:.1f} us",
        f"simulated in {summary['simulation_seconds']:.1f} s",
        f"Verilog   {summary['verilog']}",
        f"report    {report}",
        f"picture   {picture}",
    ]
