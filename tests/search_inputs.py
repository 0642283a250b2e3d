"""What tests give the search: activities of drawn networks, and an energy."""

from __future__ import annotations

from golden.cost.search import Activity, Candidate, measure_activity
from tests.networks import draw_network


def draw_activity(seed: int, n_sequences: int = 6, n_timesteps: int = 48) -> Activity:
    """Return what a drawn network does with drawn sequences."""
    drawn = draw_network(seed, n_sequences=n_sequences, n_timesteps=n_timesteps)
    return measure_activity(drawn.network, drawn.payloads)


def of_lanes(one: Candidate) -> float:
    """Return an energy that is least for cores of about 4 lanes."""
    return abs(one.hardware.lanes - 4) + one.cycles / 10
