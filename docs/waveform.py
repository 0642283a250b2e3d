"""A waveform of a small core, recorded in Amaranth's simulator: when each of its paths works.

The core has one layer of 8 neurons on 4 lanes, so 2 groups, and a slow state of 2 values. What is
recorded are the strobes of its counters: a strobe is high in the cycle in which the thing happens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.sim import Simulator

from export.images import pack
from golden.cost.cycles import accesses, block_cycles
from golden.data.synthetic import draw_layers
from golden.hardware.core import CoreParams
from golden.hardware.memory import LOAD_WIDTH, load_header
from golden.hardware.params import HardwareParams
from golden.hardware.part import EventKind
from golden.hardware.stages import MULTIPLY_STAGE, NEURON_STAGE, bank_stage
from golden.integer import NetworkIntegers, run
from rtl.core import Core

# Inputs that fire in each timestep; the second one arrives while the first one is walked.
PAYLOADS = np.array([[[1, 1, 0, 1, 0, 1], [0, 1, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0]]])
NEUTRAL, SPARSE, DENSE, NEURON = "#7a8794", "#2f6fb7", "#c96f1a", "#2e8b57"
# The rows of the picture: what a row is called, the counter whose strobe it shows, its colour.
ROWS = (
    ("w_x of an event read", "w_x_reads", NEUTRAL),
    ("a step is issued", "busy_cycles", NEUTRAL),
    ("weights read", "w_f_reads", SPARSE),
    ("weights added", "spike_additions", SPARSE),
    ("slow state read", "history_reads", DENSE),
    ("coefficients read", "p_reads", DENSE),
    ("products added", "state_products", DENSE),
    ("state update multiplies", "update_products", DENSE),
    ("slow state written", "m_writes", DENSE),
    ("membranes read", "u_reads", NEURON),
    ("membranes written", "u_writes", NEURON),
)
ITEMS, SPIKES = "i_events", "spikes sent"


def small_core() -> tuple[NetworkIntegers, CoreParams]:
    """Return the network and the core that are recorded."""
    network = draw_layers("waveform", (6, 8), n_state=2, n_classes=2, seed=1, threshold=16)
    return network, CoreParams(network.params, HardwareParams(lanes=4, access_counters=True))


def items() -> list[tuple[EventKind, int]]:
    """Return what is sent: kind and address of each item."""
    found = []
    for timestep in PAYLOADS[0]:
        found += [(EventKind.EVENT, int(address)) for address in np.flatnonzero(timestep)]
        found.append((EventKind.END_TIMESTEP, 0))
    return [*found, (EventKind.END_SEQUENCE, 0)]


def record() -> dict[str, list[Any]]:
    """Simulate the core; return by row what it shows in each cycle from the first item on.

    `ITEMS` and `SPIKES` have an address, `end` for the end of a timestep or sequence, or None;
    other rows have the timestep that the core works for, or None.
    """
    network, core = small_core()
    top, images = Core(core), pack(network, core)
    simulator = Simulator(top)
    simulator.add_clock(1e-8)
    counters = [counter for _, counter, _ in ROWS]
    recorded: dict[str, list[Any]] = {name: [] for name in (ITEMS, SPIKES, *counters)}

    async def drive(ctx: Any) -> None:
        ctx.set(top.i_load.valid, 1)
        for number, (name, memory) in enumerate(core.memories.items()):
            ctx.set(top.i_load.payload, {"first": 1, "data": load_header(number)})
            await ctx.tick()
            for word in images[name]:
                for place in range(memory.items):
                    data = word >> place * LOAD_WIDTH & (1 << LOAD_WIDTH) - 1
                    ctx.set(top.i_load.payload, {"first": 0, "data": data})
                    await ctx.tick()
        ctx.set(top.i_load.valid, 0)
        await ctx.tick().repeat(8)
        for kind, address in items():
            ctx.set(top.i_events.payload, {"kind": kind, "address": address, "payload": 1})
            ctx.set(top.i_events.valid, 1)
            await ctx.tick().until(top.i_events.ready)
        ctx.set(top.i_events.valid, 0)
        ctx.set(top.o_results.ready, 1)
        await ctx.tick().until(top.o_results.valid & top.o_results.payload.last)

    async def watch(ctx: Any) -> None:
        layer = top.layers[0]
        strobes = [getattr(layer.counts, counter) for counter in counters]
        streams = [s for port in (top.i_events, layer.o) for s in (port.valid, port.ready)]
        payloads = [top.i_events.payload, layer.o.payload]
        async for _, _, taken, ready, sent, room, item, spike, *values in ctx.tick().sample(
            *streams, *payloads, *strobes
        ):
            if not recorded[ITEMS] and not taken:
                continue
            for name, transfer, content in (
                (ITEMS, taken and ready, item),
                (SPIKES, sent and room, spike),
            ):
                event = content.kind == EventKind.EVENT
                recorded[name].append((content.address if event else "end") if transfer else None)
            for counter, value in zip(counters, values, strict=True):
                recorded[counter].append(bool(value))

    simulator.add_testbench(drive)
    simulator.add_process(watch)
    simulator.run()
    for counter, expected in expected_counts(network, core, counters).items():
        recorded[counter] = list(_timesteps(recorded[counter], expected))
    return recorded


def expected_counts(
    network: NetworkIntegers, core: CoreParams, counters: list[str]
) -> dict[str, list[int]]:
    """Return for each counter in how many cycles of each timestep golden says it is active."""
    totals: dict[str, list[int]] = {counter: [0] for counter in counters}
    for length in range(1, PAYLOADS.shape[1] + 1):
        done = run(network, PAYLOADS[:, :length])
        found = accesses(core, done)
        busy = block_cycles(core.layers[0], done.layers[0].addresses, done.lengths).sum()
        for counter in counters:
            counted = busy if counter == "busy_cycles" else found[f"layer0.{counter}"][0]
            totals[counter].append(int(counted))
    # The additions of several timesteps may be one strobe, but not with a block of 1.
    return {counter: np.diff(total).tolist() for counter, total in totals.items()}


def _timesteps(active: list[bool], expected: list[int]) -> Iterator[int | None]:
    """Give each active cycle the number of its timestep: they come in order."""
    if sum(active) != sum(expected):
        raise AssertionError(f"{sum(active)} active cycles, where golden says {expected}")
    numbers = iter(np.repeat(np.arange(len(expected)), expected).tolist())
    for busy in active:
        yield next(numbers) if busy else None


def plot(recorded: dict[str, list[Any]], path: Path) -> None:
    """Plot what `record` returned as an SVG, which holds it as its description."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    n_cycles = 2 + max(i for i, value in enumerate(recorded[SPIKES]) if value is not None)
    labels = [ITEMS, *(label for label, _, _ in ROWS), SPIKES]
    with pyplot.rc_context({"svg.hashsalt": "waveform", "font.size": 9}):
        figure, axes = pyplot.subplots(figsize=(11.5, 4.8), layout="constrained")
        axes.set(
            xlim=(0, n_cycles), ylim=(len(labels) - 0.4, -1.4), xlabel="clock cycle",
            xticks=range(0, n_cycles, 5), yticks=range(len(labels)), yticklabels=labels,
        )  # fmt: skip
        axes.set_xticks(range(n_cycles), minor=True)
        axes.grid(axis="x", which="both", color="#e4e7eb", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(length=0, which="both")
        axes.spines[:].set_visible(False)
        _draw_items(axes, 0, recorded[ITEMS], NEUTRAL)
        for row, (_, counter, colour) in enumerate(ROWS, start=1):
            for cycle, timestep in enumerate(recorded[counter][:n_cycles]):
                if timestep is not None:
                    _draw_cell(axes, row, cycle, colour, timestep)
        _draw_items(axes, len(labels) - 1, recorded[SPIKES], NEURON)
        _draw_stages(axes, recorded, len(labels))
        for timestep in range(PAYLOADS.shape[1]):
            _draw_cell(axes, 6 + timestep, 0.5, NEUTRAL, timestep)
            axes.text(1.9, 6 + timestep, f"for timestep {timestep}", va="center")
        _draw_cell(axes, 9, 0.5, NEUTRAL, 0, "e")
        axes.text(1.9, 9, "end of a timestep or sequence", va="center")
        metadata = {"Date": None, "Creator": None, "Description": json.dumps(recorded)}
        figure.savefig(path, metadata=metadata)
        pyplot.close(figure)


def _draw_items(axes: Any, row: int, values: list[Any], colour: str) -> None:
    timestep = 0
    for cycle, value in enumerate(values):
        if value is not None:
            text = "e" if value == "end" else str(value)
            _draw_cell(axes, row, cycle, colour, timestep, text)
            timestep += value == "end"


def _draw_cell(
    axes: Any, row: int, cycle: float, colour: str, timestep: int, text: str = ""
) -> None:
    alpha = (1.0, 0.62, 0.34)[min(timestep, 2)]
    axes.broken_barh(
        [(cycle + 0.06, 0.88)], (row - 0.36, 0.72), facecolor=colour, alpha=alpha, linewidth=0
    )
    ink = "white" if timestep == 0 else "black"
    axes.text(cycle + 0.5, row, text, color=ink, ha="center", va="center", fontsize=8)


def _draw_stages(axes: Any, recorded: dict[str, list[Any]], n_rows: int) -> None:
    """Mark the stages of the first group's last step, with which its sums are complete."""
    _, core = small_core()
    steps = max(int(PAYLOADS[0, 0].sum()), core.layers[0].dense_steps)
    last = recorded["busy_cycles"].index(0) + steps - 1
    red = "#b03a48"
    weights = bank_stage(core.layers[0].payload.width > 1, core.hardware.hold_operands)
    for stage in (0, weights, MULTIPLY_STAGE, NEURON_STAGE):
        axes.plot([last + stage + 0.5] * 2, [-0.6, n_rows - 0.5], color=red, lw=0.8, ls=":")
        axes.text(last + stage + 0.5, -0.7, str(stage), color=red, ha="center", va="bottom")
    axes.text(last - 0.4, -0.7, "last step of group 0 in stage", color=red, ha="right", va="bottom")
