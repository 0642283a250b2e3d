"""What a run of a chain of cores showed: `chain.json`, and the lines that `dmp chain` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from golden.cost.activity import Activity
from golden.cost.search import price
from golden.hardware.params import listed
from golden.registers import LATENCY
from golden.table import table
from tb.chain import Chain, ChainRun
from tb.compare import Comparison


def summarize_chain(
    chain: Chain, activities: Sequence[Activity], ran: ChainRun, comparison: Comparison
) -> dict[str, Any]:
    """Return what a run of a chain showed, as `chain.json` has it. Cycles of a core are those a
    timestep of its slowest part, or of the items into it, as `dmp fit` predicts them; the core with
    the most of them bounds the chain.
    """
    assert comparison.timeline is not None
    predicted = comparison.timeline.ends + LATENCY
    n_sequences, n_timesteps, _ = activities[0].payloads.shape
    rows = []
    for core, activity in zip(chain.cores, activities, strict=True):
        priced, hardware = price(activity, core.hardware), core.hardware
        rows.append(
            {
                "network": core.network.name,
                "lanes": hardware.lanes,
                "block": hardware.block,
                "events_per_cycle": hardware.events_per_cycle,
                "products_per_cycle": hardware.products_per_cycle,
                "multipliers": priced.multipliers,
                "block_rams_estimated": priced.block_rams,
                "events_per_timestep": float(np.count_nonzero(activity.payloads))
                / (n_sequences * n_timesteps),
                "cycles_per_timestep": priced.cycles,
            }
        )
    slowest = max(range(len(rows)), key=lambda place: rows[place]["cycles_per_timestep"])
    return {
        "cores": rows,
        "bound": slowest,
        "sequences": n_sequences,
        "timesteps": n_timesteps,
        "latency": {"predicted": int(predicted[0] + 1), "simulated": int(ran.ends[0] + 1)},
        "cycles_per_timestep": {
            "predicted": float(predicted[-1] + 1) / (n_sequences * n_timesteps),
            "simulated": float(ran.ends[-1] + 1) / (n_sequences * n_timesteps),
        },
        "values_compared": comparison.values_compared,
        "differences": comparison.mismatches,
        "first_differences": comparison.first,
    }  # fmt: skip


def chain_lines(summary: dict[str, Any]) -> list[str]:
    """Return what a run of a chain showed, as lines."""
    header = ["", "core", "lanes", "T", "E", "K", "multipliers", "RAMs", "events", "cycles"]
    rows = [
        [
            "->" if place == summary["bound"] else "",
            row["network"],
            listed(row["lanes"], ","),
            row["block"],
            listed(row["events_per_cycle"], ","),
            listed(row["products_per_cycle"], ","),
            row["multipliers"],
            row["block_rams_estimated"],
            f"{row['events_per_timestep']:.1f}",
            f"{row['cycles_per_timestep']:.1f}",
        ]
        for place, row in enumerate(summary["cores"])
    ]
    latency, pace = summary["latency"], summary["cycles_per_timestep"]
    n_sequences, n_timesteps = summary["sequences"], summary["timesteps"]
    latency_line = (
        f"latency    {latency['simulated']} cycles for a sequence of {n_timesteps} timesteps,"
        f" predicted {latency['predicted']}"
    )
    pace_line = (
        f"pace       {pace['simulated']:.1f} cycles a timestep in {n_sequences} sequences,"
        f" predicted {pace['predicted']:.1f}"
    )
    compared = (
        f"compared   {summary['values_compared']} results, cycles, counters and flags:"
        f" {summary['differences']} differences"
    )
    bound = summary["cores"][summary["bound"]]["network"]
    return [
        table(header, rows, left=[1]),
        f"bound      {bound} takes the most cycles a timestep",
        latency_line,
        pace_line,
        compared,
        *summary["first_differences"],
    ]
