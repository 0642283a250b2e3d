"""Steps that are drawn from a seed: sequences of 0 to 40 timesteps, stalls, errors, resets."""

from __future__ import annotations

import numpy as np

from export.items import input_items, pack_events, to_items
from golden.hardware.part import EventKind
from soak.cores import Built
from soak.steps import Step
from tb.gaps import GAPS, GAPS_OF_RESULTS
from tests.networks import draw_payloads

LONGEST = 40  # timesteps
LONGEST_STALL = 20_000  # cycles
N_KINDS = 6  # of sequences in a step: their timesteps, their reports
N_OUTPUT_GAPS = 4096
VARIANTS = 4


def draw_steps(built: Built, rng: np.random.Generator, n_steps: int, size: int) -> list[Step]:
    """Draw what a core is given from one power-up to the next: steps of `size` timesteps each,
    about; every third one, about, is cut by a reset.
    """
    steps, variant = [], int(rng.integers(VARIANTS))
    for _ in range(n_steps):
        if rng.random() < 0.3:
            variant = int(rng.integers(VARIANTS))
        if rng.random() < 0.35:
            cut = int(rng.integers(1, rng.choice([60, 600, 5000])))
            steps.append(draw_step(built, rng, variant, max(20, size // 20), cut))
        steps.append(draw_step(built, rng, variant, size))
    return steps


def draw_step(
    built: Built, rng: np.random.Generator, variant: int, size: int, cut: int | None = None
) -> Step:
    """Draw a step of `size` timesteps, about."""
    core = built.core.params
    first, sequences = core.layers[0].params, []
    for _ in range(N_KINDS):
        few, many = rng.integers(4, 12), rng.integers(4, LONGEST + 1, 5)
        length = int(rng.choice(np.array([0, 1, 2, 3, few, *many])))
        count = max(1, min(400, size // N_KINDS // (length + 1)))
        reports: tuple[int, ...] = ()
        if core.hardware.reports and rng.random() < 0.7:
            reports = tuple(sorted(rng.integers(0, length + 1, rng.integers(1, 5)).tolist()))
        payloads = draw_payloads(rng, first.formats.payload, (count, length, first.n_inputs))
        items = to_items(payloads, rng, reports)
        ends = np.flatnonzero(items[:, 0] == EventKind.END_SEQUENCE)
        sequences += np.split(items, ends[:-1] + 1)
    items = np.concatenate([sequences[place] for place in rng.permutation(len(sequences))])
    if rng.random() < 0.6:
        items = _with_errors(built, rng, items)
    n_gaps = len(pack_events(built.interface, items))
    if rng.random() < 0.4:
        return Step(variant, items, cut=cut)
    return Step(variant, items, *_draw_gaps(built, rng, n_gaps), cut=cut)


def _draw_gaps(built: Built, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the gaps of n items, and of the output: many short ones or few, seldom long ones."""
    dense = rng.choice([0.0, 0.02, 0.3], p=[0.5, 0.4, 0.1])
    events = rng.choice(GAPS, n) * (rng.random(n) < dense)
    of_output = GAPS_OF_RESULTS if built.interface.output == "o_results" else GAPS
    output = rng.choice(of_output, N_OUTPUT_GAPS) * (rng.random(N_OUTPUT_GAPS) < 0.02)
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 4))):
            events[rng.integers(n)] = rng.integers(LONGEST_STALL + 1)
    if rng.random() < 0.15:
        output[rng.integers(N_OUTPUT_GAPS)] = rng.integers(LONGEST_STALL + 1)
    return events.astype(np.int64), output.astype(np.int64)


def _with_errors(built: Built, rng: np.random.Generator, items: np.ndarray) -> np.ndarray:
    """Return items with others among them: events that come again, of any address that can be said,
    of payload 0, without an end of timestep; items of no kind; reports within a timestep.
    """
    fields = built.interface.fields["i_events"]
    several = input_items(built.interface) > 1
    address = fields["address_0" if several else "address"].width
    largest = built.core.params.network.layers[0].formats.payload.max
    events = np.flatnonzero(items[:, 0] == EventKind.EVENT)
    ends = np.flatnonzero(items[:, 0] == EventKind.END_SEQUENCE)
    places, added = [], []

    def add(place: int, *item: int) -> None:
        places.append(place)
        added.append(item)

    reports = built.core.params.hardware.reports
    for _ in range(int(rng.integers(1, 2 + len(items) // 100))):
        place = int(rng.integers(len(items)))
        strange = (EventKind.INVALID, 5, 6, 7) if reports else (EventKind.INVALID,)
        add(place, int(rng.choice(strange)), int(rng.integers(1 << address)), 1)
        place = int(rng.integers(len(items)))
        add(place, EventKind.EVENT, int(rng.integers(1 << address)), int(rng.integers(largest + 1)))
        if len(events):
            place = int(rng.choice(events))
            add(place + 1, EventKind.EVENT, int(items[place, 1]), int(rng.integers(1, largest + 1)))
            if reports:
                add(int(rng.choice(events)) + 1, EventKind.REPORT, 0, 0)
    if rng.random() < 0.4:
        for place in rng.choice(ends, 1 + len(ends) // 20):
            add(int(place), EventKind.EVENT, int(rng.integers(1 << address)), largest)
    return np.insert(items, places, np.array(added, np.int64), axis=0)
