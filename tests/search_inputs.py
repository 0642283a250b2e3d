"""What tests give the search: activities of drawn networks, and an energy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from golden.cost.activity import Activity, measure_activity
from golden.cost.part_search import part_choices
from golden.cost.search import Candidate, core_choices
from golden.hardware.core import CoreParams
from golden.hardware.params import CHOICES, HardwareParams
from tests.networks import draw_network


def draw_activity(seed: int, n_sequences: int = 6, n_timesteps: int = 48) -> Activity:
    """Return what a drawn network does with drawn sequences."""
    drawn = draw_network(seed, n_sequences=n_sequences, n_timesteps=n_timesteps)
    return measure_activity(drawn.network, drawn.payloads)


def draw_hardware(
    activity: Activity, seed: int, count: int, each: bool = False
) -> list[HardwareParams]:
    """Return hardware for a network, of any choices for a whole core; with `each`, every part has
    numbers of its own.
    """
    rng = np.random.default_rng(seed)
    bases, found = core_choices(activity), []
    for _ in range(count):
        core = CoreParams(activity.network.params, bases[rng.integers(len(bases))])
        options = map(part_choices, core.parts.values())
        picks = [of[rng.integers(len(of))] for of in options]
        if not each:
            layers = 1 if core.hardware.graded == "shared" else len(core.layers)
            picks = [picks[rng.integers(layers)]] * len(picks)
        turned = {name: tuple(getattr(of, name) for of in picks) for name in CHOICES}
        found.append(replace(core.hardware, **turned))
    return found


def of_lanes(one: Candidate) -> float:
    """Return an energy that is least for cores of about 4 lanes."""
    return abs(float(np.mean(one.hardware.lanes)) - 4) + one.cycles / 10
