"""Hold what the memories of a core did against the golden model."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace

import numpy as np

from energy.activity import Accesses
from golden.cost.cycles import accesses
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.runs import Run
from tb.bench import memory_bits

# What the golden model calls a memory, by its place in a part; a deep one is several.
NAMES = {
    r"layer\d+\.spike_path\.weights\.words_\d+(_copy_\d+)?": "w_f",
    r"layer\d+\.state_path\.coefficients\.words_\d+": "p",
    r"layer\d+\.slow_state\.coefficients\.words_\d+": "ab",
    r"layer\d+\.slow_state\.values": "m",
    r"layer\d+\.slow_state\.history_words": "history",
    r"layer\d+\.drive\.weights\.words_\d+(_copy_\d+)?": "w_x",
    r"layer\d+\.neurons\.biases\.words_\d+": "c",
    r"layer\d+\.neurons\.u": "u",
    r"layer\d+\.sums\.sums_\d+": "sums",
    r"layer\d+\.sums\.currents_\d+": "currents",
    r"\w+\.events\.addresses(_\d+)?": "list",
    r"readout\.spike_path\.weights\.words_\d+(_copy_\d+)?": "w_o",
}


def check_accesses(core: CoreParams, run: Run, found: dict[str, Accesses]) -> int:
    """Return how many memories have done what the golden model says of a run with the core's block.
    Where a segment or a copy of a memory became registers, whose accesses nobody counts, the others
    have done at most that.

    Raises
    ------
    UserError
        One has not.
    """
    golden = accesses(core, run)
    done: defaultdict[str, int] = defaultdict(int)
    segments: defaultdict[str, int] = defaultdict(int)
    checked = 0
    for memory, counted in found.items():
        name = next((name for path, name in NAMES.items() if re.fullmatch(path, memory)), None)
        if name is not None:
            checked += 1
            part = memory.split(".")[0]
            segments[f"{part}.{name}"] += 1
            done[f"{part}.{name}_reads"] += counted.reads
            done[f"{part}.{name}_writes"] += counted.writes
    for name, count in done.items():
        expected = int(golden.get(name, np.zeros(1)).sum())
        part, of = name.rsplit("_", 1)[0].split(".")
        hardware = core.parts[part]
        loaded = hardware.memories.get(of)
        n_copies = len(hardware.copies(of))
        whole = loaded is None or segments[f"{part}.{of}"] >= n_copies * len(loaded.segments)
        if count > expected or (whole and count < expected):
            raise UserError(f"{name} are {count} in the gates, {expected} in the golden model")
    return checked


def moved_bits(core: CoreParams, run: Run) -> int:
    """Return the bits that a run reads from the memories of a core and writes to them, whether they
    become registers or macros.
    """
    counts = {name: float(count.sum()) for name, count in accesses(core, run).items()}
    counting = replace(core.hardware, access_counters=True, counters="all")
    return round(sum(memory_bits(replace(core, hardware=counting), counts).values()))


def synaptic_operations(core: CoreParams, run: Run) -> int:
    """Return the additions of a weight that a run's events ask for: each event, at every neuron of
    the part that takes it.
    """
    received = [*(layer.events for layer in run.layers), run.layers[-1].spike_counts]
    parts = core.parts.values()
    return sum(
        int(events.sum()) * part.n_outputs for events, part in zip(received, parts, strict=True)
    )
