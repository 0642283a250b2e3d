"""What a simulation showed, as the lines that `dmp sim` prints."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import Any

from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams, listed
from golden.params import LayerParams, NetworkParams
from golden.table import table

WIDTH = 80  # columns of a terminal
# What a layer waits for, by the kinds of `golden.cost.spans`.
WAITS = {
    "input": "waits for input",
    "state": "waits for slow states",
    "room": "waits for room at the next layer",
    "drain": "waits for its own membranes",
    "results": "waits for results to be sent",
    "turn": "starts, after a wait",
}


def _formats(layer: LayerParams) -> list[str]:
    f = layer.formats
    formats = {"W_f": f.w_f, "u": f.u, "leak": f.leak}
    if layer.n_state:
        formats |= {"w_x": f.w_x, "P": f.p, "V": f.v, "A": f.a, "B": f.b, "m": f.m, "x": f.x}
    return [f"{name} {fmt}" for name, fmt in formats.items()]


def counted(count: int | tuple[int, ...], noun: str) -> str:
    """Return a number, or those of the parts of a core, with what it counts."""
    return f"{listed(count)} {noun}{'s' * (count != 1)}"


def describe_hardware(hardware: HardwareParams) -> str:
    """Return in words what is turned on a core."""
    lanes, block = counted(hardware.lanes, "lane"), counted(hardware.block, "timestep")
    events = counted(hardware.events_per_cycle, "event")
    products = counted(hardware.products_per_cycle, "product")
    return f"{lanes}, {block} at once, {events} and {products} a cycle"


def describe(core: CoreParams) -> list[str]:
    """Return lines that say what the core is: sizes, and formats as sign, width and fractional
    bits.
    """
    network = core.network
    lines = [
        f"network   {network.name} on {describe_hardware(core.hardware)}",
        f"          {core.multipliers} multipliers, {core.memory_bits} bits of memory"
        + ", results at any time" * core.hardware.reports,
        *(f"          ablated: {name}" for name in core.hardware.ablations),
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
        name = f"  layer {index}: "
        what = (
            f"{counted(layer.n_inputs, 'input')} ({layer.formats.payload}),"
            f" {counted(layer.n_neurons, 'neuron')}, {state},"
            f" {counted(core.layers[index].n_groups, 'group')}"
        )
        below = " " * len(name)
        lines += wrap(what, WIDTH, initial_indent=name, subsequent_indent=below)
        formats = _formats(layer)  # at most 7 fit a line
        lines += [
            below + ", ".join(formats[first : first + 7]) for first in range(0, len(formats), 7)
        ]
    return [*lines, f"  {_describe_output(network)}"]


def _describe_output(network: NetworkParams) -> str:
    readout = network.output
    if readout is None:
        return f"output:  the spikes of layer {len(network.layers) - 1}"
    return f"readout: {readout.n_classes} classes, W_o {readout.w_o}, logits {readout.logit}"


def _slowest(slowest: dict[str, Any], *, ablated: bool) -> list[str]:
    """Return the lines that say where the cycles of the slowest layer go."""
    waits = {
        WAITS[kind]: cycles for kind, cycles in (slowest["waits"] or {}).items() if cycles >= 0.005
    }
    steps = "steps, at least"
    if not ablated:
        steps += ": G * max(ceil(S/E), ceil((d+1)/K), O) / T"
    return [
        (
            f"  slowest: {slowest['layer']}, {slowest['cycles_per_timestep']:.2f} cycles from the"
            " start of a block to the next one's"
        ),
        *(
            f"{cycles:>12.2f}  {what}"
            for what, cycles in ({steps: slowest["bound"]} | waits).items()
        ),
    ]


def lines(summary: dict[str, Any], report: Path, picture: Path) -> list[str]:
    """Return the lines that tell a user what a summary holds."""
    cycles, slowest = summary["cycles_per_timestep"], summary["slowest_layer"]
    speed = summary["microseconds_per_digit"]
    n_timesteps = summary["timesteps"] // summary["digits"]
    reports = summary["reports_per_digit"]
    asked = f" and {counted(reports, 'report')}" if reports else ""
    if out := summary.get("spikes_out"):
        share = 100 * out["share_of_neurons"]
        outcome = f"{out['per_timestep']:.2f} spikes out a timestep ({share:.1f} % of the neurons)"
        first = "the end of the first one"
    else:
        accuracy, first = summary["accuracy"], "the first result"
        outcome = "no labels" if accuracy is None else f"accuracy {100 * accuracy:.1f} %"
    found = [
        f"sequences {summary['digits']} of {n_timesteps} timesteps{asked}, {outcome}",
        (
            f"compared  {summary['values_compared']} values with the golden model:"
            f" {summary['mismatches']} mismatches"
        ),
        *(f"  {line}" for line in summary["first_mismatches"]),
        "",
        table(
            ("a timestep", "events", "cycles measured", "predicted", "lanes in use"),
            (
                (
                    part,
                    f"{summary['events_per_timestep'][part]:.2f}",
                    f"{cycles['measured'][part]:.2f}" if cycles["measured"] else "not counted",
                    f"{predicted:.2f}",
                    f"{100 * summary['utilisation'][part]:.1f} %" if cycles["measured"] else "",
                )
                for part, predicted in cycles["predicted"].items()
            ),
            left=[0],
        ),
    ]
    timed = summary["stalls_seed"] is None and slowest["bound"] is not None
    if summary["stalls_seed"] is not None:
        found.append("  (with gaps on the streams)")
    elif timed:
        found += _slowest(slowest, ablated=bool(summary["ablations"]))
    clock, latency = summary["clock_mhz"], summary["latency_microseconds"]
    return [
        *found,
        "",
        _beside_released(summary, timed),
        "",
        f"speed     {speed:.1f} us a sequence at {clock} MHz; {first} after {latency:.1f} us",
        f"simulated in {summary['simulation_seconds']:.1f} s",
        f"Verilog   {summary['verilog']}",
        f"report    {report}",
        f"picture   {picture}",
    ]


def _beside_released(summary: dict[str, Any], timed: bool) -> str:
    """Return a table of this core beside the paper's released RTL; without this one's cycles where
    they are not `timed`.
    """
    released, none = summary["released_rtl"], ("-", "-")
    cycles = summary["slowest_layer"]["cycles_per_timestep"]
    weights, ratio = summary["spike_weights_per_timestep"], released["spike_weights_ratio"]
    here = {
        "cycles_per_timestep": (f"{cycles:.2f}", f"{released['cycles_ratio']:.2f}x")
        if timed
        else none,
        "spike_weights_per_timestep": (f"{weights:.2f}", f"{ratio:.2f}x" if ratio else "-"),
        "multipliers": (summary["multipliers"], f"{released['multipliers_ratio']:.2f}x"),
    }
    names = ("cycles a timestep", "weights of spikes read a timestep", "multipliers")
    lines = (
        (name, mine, theirs if isinstance(theirs := released[key], int) else f"{theirs:.2f}", times)
        for name, (key, (mine, times)) in zip(names, here.items(), strict=True)
    )
    header = ("on these events", "here", "released RTL (closed form)", "times")
    return table(header, lines, left=[0])
