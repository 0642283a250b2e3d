"""Drawn networks on whole cores, in Amaranth's simulator: every value, counter and cycle against
the golden model.
"""

from __future__ import annotations

import numpy as np
import pytest

from golden.cycles import Timeline, timestep_cycles
from golden.integer import Run, run
from tests.core_simulator import Recorded, simulate
from tests.networks import draw_network

SEEDS = range(42)


def check(recorded: Recorded, golden: Run, payloads: np.ndarray) -> None:
    """Compare everything that does not depend on stalls."""
    n_timesteps = payloads.shape[0] * payloads.shape[1]
    assert recorded.logits == golden.logits.tolist()
    assert recorded.classes == golden.classes.tolist()
    expected_counters = {"readout.timesteps": n_timesteps, "readout.sequences": len(payloads)}
    expected_counters["readout.logit_saturations"] = int(golden.logit_saturations.sum())
    for i, (hardware, layer) in enumerate(zip(recorded.core.layers, golden.layers, strict=True)):
        params, lanes = hardware.params, hardware.hardware.lanes
        assert layer.membrane is not None and layer.spikes is not None
        assert layer.state is not None and layer.drive is not None
        padded = (n_timesteps, hardware.n_groups * lanes)
        membrane = np.array(recorded.membrane[i]).reshape(padded)
        spikes = np.array(recorded.spikes[i]).reshape(padded)
        n = params.n_neurons
        np.testing.assert_array_equal(
            membrane[:, :n], layer.membrane.reshape(n_timesteps, n), f"membrane of layer {i}"
        )
        np.testing.assert_array_equal(
            spikes[:, :n], layer.spikes.reshape(n_timesteps, n), f"spikes of layer {i}"
        )
        assert not spikes[:, n:].any(), f"a lane without a neuron spikes in layer {i}"
        if params.n_state:
            assert recorded.state[i] == layer.state.ravel().tolist(), f"slow state of layer {i}"
            assert recorded.drive[i] == layer.drive.ravel().tolist(), f"drive of layer {i}"
        expected_counters |= {
            f"layer{i}.timesteps": n_timesteps,
            f"layer{i}.busy_cycles": int(timestep_cycles(hardware, layer.events).sum()),
            f"layer{i}.events": int(layer.events.sum()),
            f"layer{i}.spikes": int(layer.spike_counts.sum()),
            f"layer{i}.out_of_range": 0,
            f"layer{i}.repeated": 0,
            f"layer{i}.unclosed": 0,
            f"layer{i}.drive_saturations": int(layer.drive_saturations.sum()),
            f"layer{i}.state_saturations": int(layer.state_saturations.sum()),
            f"layer{i}.membrane_saturations": int(layer.membrane_saturations.sum()),
        }
    found = {name: recorded.counters[name] for name in expected_counters}
    assert found == expected_counters
    assert recorded.errors == {name for name in recorded.core.errors if recorded.counters[name]}


@pytest.mark.parametrize("seed", SEEDS)
def test_drawn_network_is_bit_and_cycle_exact(seed: int) -> None:
    """Without stalls, also the cycle in which every layer starts every timestep is the predicted
    one.
    """
    drawn = draw_network(seed)
    recorded = simulate(drawn.network, drawn.lanes, drawn.payloads)
    golden = run(recorded.network, drawn.payloads, trace=True)
    check(recorded, golden, drawn.payloads)
    timeline = Timeline(recorded.core, drawn.payloads, golden.layers)
    starts = np.array(recorded.starts).reshape(timeline.starts.shape)
    np.testing.assert_array_equal(
        starts, timeline.starts, "cycles in which layers start their timesteps"
    )


@pytest.mark.parametrize("seed", [100, 101, 102, 103])
def test_stalls_change_no_value(seed: int) -> None:
    """Random gaps on the way in and out, with the payload scrambled in the gaps: the same values
    and busy cycles.
    """
    drawn = draw_network(seed, max_neurons=24, max_inputs=20)
    recorded = simulate(
        drawn.network, drawn.lanes, drawn.payloads, stalls=np.random.default_rng(seed)
    )
    check(recorded, run(recorded.network, drawn.payloads, trace=True), drawn.payloads)


def test_drawn_networks_cover_the_corners() -> None:
    """The seeds of this file reach what they are meant to reach."""
    layers, saturations, lanes = [], np.zeros(3, np.int64), set()
    uneven = 0
    for seed in SEEDS:
        drawn = draw_network(seed)
        lanes.add(drawn.lanes)
        layers += drawn.network.params.layers
        uneven += sum(layer.n_neurons % drawn.lanes != 0 for layer in drawn.network.params.layers)
        for layer in run(drawn.network, drawn.payloads).layers:
            saturations += [
                (s > 0).any()
                for s in (
                    layer.drive_saturations,
                    layer.state_saturations,
                    layer.membrane_saturations,
                )
            ]
    assert lanes == set(range(1, 9)) and uneven > 20
    assert {layer.n_state for layer in layers} >= {0, 1, 2, 5, 12}
    assert {layer.dilation for layer in layers} == {1, 2, 3, 4}
    assert {layer.reset for layer in layers} == {"subtract", "zero"}
    assert {layer.formats.payload.width for layer in layers} == {1, 8}
    assert (saturations > 10).all(), saturations


def test_a_reset_in_the_middle_keeps_what_was_loaded() -> None:
    """After a reset, with sequences half done, the same input gives what a fresh core gives."""
    drawn = draw_network(2, max_neurons=24, max_inputs=20)
    recorded = simulate(drawn.network, drawn.lanes, drawn.payloads, reset_after=7)
    check(recorded, run(recorded.network, drawn.payloads, trace=True), drawn.payloads)
