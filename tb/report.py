"""What a simulation showed, in numbers: `report.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from golden.cost.cycles import block_cycles
from golden.cost.other_designs import (
    RELEASED_RTL_LANES,
    released_rtl_cycles,
    released_rtl_multipliers,
    released_rtl_weight_words,
)
from golden.cost.spans import KINDS, spans, totals
from golden.errors import UserError
from golden.files import write_whole
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.hardware.part import EventKind
from tb.cocotb_core import COUNTER_CYCLES
from tb.compare import Comparison
from tb.simulate import Simulation

CLOCK_MHZ = 100


def utilisation(core: CoreParams, counters: Mapping[str, int | np.ndarray]) -> dict[str, float]:
    """Return the share of the lane-cycles of each part in which a lane works for one of its
    neurons, of the cycles in which the part does not lack input and a layer has room to go on.

    A layer that is stalled has a step to issue, so no cycle is one of `stall_cycles` and one of
    `starved_cycles`. The readout is stalled after its last step: mostly it lacks input then as
    well, and the counters do not tell how often. So its stalls count as far as a list waits.
    Nothing of a core that does not count it.

    Parameters
    ----------
    counters
        What the counters were read as, one run or an array of runs each. They are read one after
        another, `COUNTER_CYCLES` apart, in which a part that has ended is starved.
    """
    found = {}
    for name, part in core.parts.items() if core.hardware.counters == "all" else ():
        starved = f"{name}.starved_cycles"
        later = COUNTER_CYCLES * core.counters.index(starved)
        waiting = counters[starved] - later
        if isinstance(part, LayerHardware):
            waiting = waiting + counters[f"{name}.stall_cycles"]
        active = int(np.sum(counters["cycles"] - waiting))
        in_use = part.n_outputs / (part.n_groups * part.lanes)
        busy = int(np.sum(counters[f"{name}.busy_cycles"]))
        found[name] = in_use * busy / active if active else 0.0
    return found


def summarize(simulation: Simulation, comparison: Comparison, labels: np.ndarray) -> dict[str, Any]:
    """Return the content of `report.json` for a simulation of digits with these labels (B,).

    With a readout, `accuracy` is the share of digits that the core classified right, or None where
    labels are not known (-1). Without one, `spikes_out` says how many spikes left it a timestep,
    and of what share of the last layer's neurons that is. Cycles per timestep are means over all
    timesteps: `measured` by the core's counters of busy cycles, `predicted` by
    `golden.cost.cycles`, for each layer and the readout. `slowest_layer` holds the mean number of
    cycles from the start of a block of timesteps to the start of the next one within a sequence,
    divided by the block's timesteps; its `bound`, the steps that it issues in them; and how many of
    them it waits for what (`golden.cost.spans`), where the streams had no gaps: bound and waits add
    up to the cycles. `accesses_per_timestep` is what `golden.cost.cycles` says every memory and
    path does, and `spike_weights_per_timestep` how many weights of events all layers read. For
    `utilisation` see there. `released_rtl` holds the closed forms of the paper's released RTL on
    the same events, and how many times this core's figures they are.
    """
    core, events = simulation.core, comparison.events
    if not core.hardware.trace:
        raise UserError("a report needs a core with trace ports: export it with --trace")
    counted = core.hardware.counters == "all"
    block, n_timesteps = core.hardware.block, simulation.n_timesteps
    timesteps = simulation.n_sequences * n_timesteps
    parts = list(core.parts)
    lengths = simulation.lengths
    predicted = {
        name: int(block_cycles(part, addresses, lengths).sum()) / timesteps
        for (name, part), addresses in zip(core.parts.items(), comparison.addresses, strict=False)
    }
    slowest = max(range(len(core.layers)), key=lambda i: predicted[parts[i]])
    start = int(simulation.starts(parts[0])[0, 0])
    # Results of successive sequences are as far apart as the core takes for one; a single one has
    # its latency only.
    between = np.diff(simulation.result_cycles)
    latency = int(simulation.result_cycles[0]) - start
    # The last block of a sequence has no next one to reach; those before it have these timesteps.
    reached = np.diff(simulation.starts(parts[slowest]), axis=1)
    within = simulation.n_sequences * int(lengths[:-1].sum())
    steps = block_cycles(core.layers[slowest], comparison.addresses[slowest], lengths)
    cycles = int(reached.sum()) / within if within else None
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
        "ablations": list(core.hardware.ablations),
        "stalls_seed": simulation.stalls_seed,
        "digits": simulation.n_sequences,
        "reports_per_digit": len(simulation.reports),
        "timesteps": timesteps,
        **_outcome(simulation, labels),
        "values_compared": comparison.values_compared,
        "mismatches": comparison.mismatches,
        "first_mismatches": comparison.first,
        "events_per_timestep": {
            part: float(e.mean()) for part, e in zip(parts, events, strict=False)
        },
        "cycles_per_timestep": {
            "measured": {
                part: simulation.counters[f"{part}.busy_cycles"]
                / simulation.counters[f"{part}.timesteps"]
                for part in parts
            }
            if counted
            else {},
            "predicted": predicted,
        },
        "slowest_layer": {
            "layer": parts[slowest],
            "cycles_per_timestep": cycles,
            "bound": int(steps[:, :-1].sum()) / within if within else None,
            "waits": _waits(comparison, slowest, within) if within else None,
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


def _outcome(simulation: Simulation, labels: np.ndarray) -> dict[str, Any]:
    """Return what came out of the core: of its readout, or spikes."""
    network = simulation.core.network
    if network.output is not None:
        known = bool((labels >= 0).all())
        return {"accuracy": float(np.mean(simulation.classes == labels)) if known else None}
    n_neurons = network.layers[-1].n_neurons
    events = sum(int((items[:, 0] == EventKind.EVENT).sum()) for items in simulation.sent)
    rate = events / (simulation.n_sequences * simulation.n_timesteps)
    return {"spikes_out": {"per_timestep": rate, "share_of_neurons": rate / n_neurons}}


def _waits(comparison: Comparison, layer: int, timesteps: int) -> dict[str, float] | None:
    """Return the cycles a timestep that a layer waits for what, from its first block's start to
    that of its last one, in all sequences; None where the cycles were not predicted.
    """
    timeline = comparison.timeline
    if timeline is None:
        return None
    found = spans(timeline.turns[layer], int(timeline.ends[-1]) + 1)
    within = timeline.starts[layer][:, [0, -1]].tolist()
    sums = [totals(found, first, last) for first, last in within]
    return {kind: sum(one[kind] for one in sums) / timesteps for kind in KINDS if kind != "step"}


def write_report(summary: dict[str, Any] | list[dict[str, Any]], path: Path) -> None:
    """Write `report.json`, or another one, whole or not at all."""
    write_whole(path, json.dumps(summary, indent=1) + "\n")


def publish(
    name: str,
    rows: list[dict[str, Any]],
    folder: Path,
    markdown: Callable[[Sequence[dict[str, Any]]], str],
    summary: Callable[[Sequence[dict[str, Any]]], str],
    plot: Callable[[Sequence[dict[str, Any]], Path], list[Path]],
    differences: Sequence[str],
) -> None:
    """Write rows as NAME.json, NAME.md and pictures into a folder, print their summary, and tell
    what was written; exit with status 1 where anything differs from the golden model.
    """
    write_report(rows, folder / f"{name}.json")  # first: its runs took long
    write_whole(folder / f"{name}.md", markdown(rows))
    pictures = plot(rows, folder)
    click.echo(summary(rows))
    for path in (folder / f"{name}.json", folder / f"{name}.md", *pictures):
        click.echo(f"wrote {path}")
    for line in differences:
        click.echo(f"error: {line}", err=True)
    if differences:
        sys.exit(1)
