"""C++ and cocotb drive the same core: what they write down is the same, to the cycle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.core import write_core
from golden.hardware.core import CoreParams
from golden.integer import without_readout
from rtl.verilog.generate import generate
from tb.gaps import GAPS, draw_gaps
from tb.simulate import Simulation, simulate
from tests.networks import Drawn, draw_network

FAST = "-O0"


def make_core(drawn: Drawn, folder: Path) -> Path:
    hardware = replace(drawn.hardware, trace=True)
    manifest = write_core(drawn.network, CoreParams(drawn.network.params, hardware), folder)
    generate(manifest)
    return manifest


def written(simulation: Simulation) -> dict[str, np.ndarray]:
    """Return all columns of all logs; cycles count from the first item's."""
    return {
        f"{name}.{column}": values - simulation.first_cycle * (column == "cycle")
        for name, log in simulation.logs.items()
        for column, values in log.read(simulation.folder).items()
    }


@pytest.mark.long
@pytest.mark.parametrize("spikes_out", [False, True])
def test_drivers_agree_to_the_cycle(spikes_out: bool, tmp_path: Path) -> None:
    drawn = draw_network(31, max_neurons=20, max_inputs=12)
    if spikes_out:
        network = without_readout(drawn.network.params, drawn.network.layers)
        drawn = replace(drawn, network=network)
    manifest = make_core(drawn, tmp_path)
    first: dict[int | None, np.ndarray] = {}
    for seed in (None, 1, 2):
        fast, slow = (
            simulate(
                manifest, drawn.payloads, stalls_seed=seed, optimize=FAST, cocotb=cocotb,
                folder=tmp_path / f"run-{cocotb}",
            )
            for cocotb in (False, True)
        )  # fmt: skip
        found, expected = written(fast), written(slow)
        assert set(found) == set(expected) and len(found) > 5
        for name, values in expected.items():
            assert np.array_equal(found[name], values), name
        assert len(found["items.cycle"])
        assert fast.errors == slow.errors and fast.errors_cleared == slow.errors_cleared
        for name, count in slow.counters.items():  # C++ reads a cycle later, when the core rests
            resting = name.split(".")[-1] in ("cycles", "starved_cycles")
            assert fast.counters[name] - count == resting, name
        first[seed] = found["items.cycle"]
    assert not np.array_equal(first[None], first[1])
    assert not np.array_equal(first[1], first[2])


def test_gaps_are_of_their_seed() -> None:
    none, one, again, two = (draw_gaps(seed, 300, 400, "o_spikes") for seed in (None, 1, 1, 2))
    assert len(none.load) == 300 and len(none.events) == 400 and not none.output.any()
    for name in ("load", "events", "output"):
        gaps = getattr(one, name)
        assert set(gaps.tolist()) == set(GAPS)
        assert np.array_equal(gaps, getattr(again, name))
        assert not np.array_equal(gaps, getattr(two, name)) and not getattr(none, name).any()
    assert not np.array_equal(one.load[:300], one.events[:300])
