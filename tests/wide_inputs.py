"""Drawn networks whose input brings several events a cycle, and errors among those."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import numpy as np

from golden.hardware.part import EventKind
from tests.core_simulator import Item
from tests.network_kinds import with_neurons, with_reports
from tests.networks import Drawn, draw_network


def draw_wide_input(seed: int) -> Drawn:
    """Draw a small network of plain or whole neurons on a core that takes two or four events at
    once, of some timesteps several times, and adds as many a cycle or more; links have one item or
    as many. Every fourth one reports.
    """
    events, items = ((2, 2), (4, 2), (4, 4))[seed % 3]
    draws = (
        draw_network(n, n_timesteps=8, max_neurons=9, max_inputs=18) for n in count(seed, 1000)
    )
    drawn = next(d for d in draws if (np.count_nonzero(d.payloads, axis=2) > items).sum() >= 4)
    if seed % 5 == 4:
        drawn = with_neurons(drawn, seed)
    hardware = replace(
        drawn.hardware,
        block=1,
        events_per_cycle=events,
        input_items=items,
        link_items=items if seed % 2 else 1,
    )
    first = drawn.network.params.layers[0]
    if first.formats.payload.width > 1 and first.n_state and seed % 4 < 2:
        products = max(hardware.products_per_cycle, events)
        hardware = replace(hardware, graded="shared", products_per_cycle=products)
    drawn = replace(drawn, hardware=hardware)
    return with_reports(drawn) if seed % 4 == 2 else drawn


def with_errors(
    rng: np.random.Generator, items: Sequence[Item], width: int, n_inputs: int, largest: int
) -> tuple[list[Item], Counter[str]]:
    """Return the same items with more events in the places that they leave free, none of which
    counts, and how many are wrong in which way: `within` an item and `across` items of a timestep
    an address comes again, with another payload maybe; others are `out_of_range`.
    """
    found: list[Item] = []
    wrong: Counter[str] = Counter()
    before: list[int] = []  # addresses of this timestep
    for item in items:
        if item.kind != EventKind.EVENT:
            found.append(item)
            before = []
            continue
        places = sorted(rng.choice(width, len(item.events), replace=False).tolist())
        events: list[tuple[int, int]] = []
        for place in range(width):
            if place in places:
                events.append(item.events[places.index(place)])
                continue
            ways = ["none"]
            ways += ["out_of_range"] if n_inputs & (n_inputs - 1) else []
            lower = [address for address, payload in events if payload and address < n_inputs]
            ways += ["within"] if lower else []
            ways += ["across"] if before else []
            way = str(rng.choice(ways))
            some = {"within": lower, "across": before, "none": [*range(n_inputs)]}
            some["out_of_range"] = [n_inputs]
            payload = 0 if way == "none" else int(rng.integers(1, largest + 1))
            events.append((int(rng.choice(some[way])), payload))
            wrong[way] += 1
        before = [*before, *(address for address, _ in item.events)]
        found.append(Item(EventKind.EVENT, events))
    return found, wrong
