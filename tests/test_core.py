"""Drawn networks on whole cores, in Amaranth's simulator: every value, counter and cycle against
the golden model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden.cost.cycles import accesses, block_cycles, dropped_events
from golden.cost.spans import KINDS, spans, totals
from golden.cost.timeline import Timeline
from golden.hardware.core import CoreParams
from golden.hardware.part import BLOCKS
from golden.integer import Run, run
from tb.simulate import by_timestep
from tests.core_simulator import COUNTER_CYCLES, Recorded, simulate
from tests.networks import Drawn, draw_network, draw_recurrent, with_delays

SEEDS = range(42)
RECURRENT_SEEDS = (0, 1, 2, 3, 4, 6, 8, 11, 12, 15, 32, 52)
DELAY_SEEDS = range(200, 218)


def check(recorded: Recorded, golden: Run, payloads: np.ndarray) -> None:
    """Compare everything that does not depend on stalls."""
    n_timesteps = payloads.shape[0] * payloads.shape[1]
    assert recorded.logits == golden.logits.tolist()
    assert recorded.classes == golden.classes.tolist()
    expected_counters = {"readout.timesteps": n_timesteps, "readout.sequences": len(payloads)}
    expected_counters["readout.logit_saturations"] = int(golden.logit_saturations.sum())
    dropped = dropped_events(recorded.core, golden)
    for i, (hardware, layer) in enumerate(zip(recorded.core.layers, golden.layers, strict=True)):
        params = hardware.params
        assert layer.membrane is not None and layer.spikes is not None
        assert layer.state is not None and layer.drive is not None
        words = (-1, hardware.neuron_fold.units)
        membrane, spikes = (
            by_timestep(np.array(values).reshape(words), hardware, payloads.shape[1])
            for values in (recorded.membrane[i], recorded.spikes[i])
        )
        np.testing.assert_array_equal(membrane, layer.membrane, f"membrane of layer {i}")
        np.testing.assert_array_equal(spikes, layer.spikes, f"spikes of layer {i}")
        assert sum(recorded.spikes[i]) == layer.spikes.sum(), f"layer {i}: a spike of no neuron"
        if params.n_state:
            assert recorded.state[i] == layer.state.ravel().tolist(), f"slow state of layer {i}"
            assert recorded.drive[i] == layer.drive.ravel().tolist(), f"drive of layer {i}"
        expected_counters |= {
            f"layer{i}.timesteps": n_timesteps,
            f"layer{i}.blocks": layer.addresses.size,
            f"layer{i}.busy_cycles": int(
                block_cycles(hardware, layer.addresses, payloads.shape[1]).sum()
            ),
            f"layer{i}.events": int(
                (layer.events if hardware.by_timesteps else layer.addresses).sum()
                + dropped[i].sum()
            ),
            f"layer{i}.spikes": int(layer.spike_counts.sum()),
            f"layer{i}.drive_saturations": int(layer.drive_saturations.sum()),
            f"layer{i}.state_saturations": int(layer.state_saturations.sum()),
            f"layer{i}.membrane_saturations": int(layer.membrane_saturations.sum()),
        }
    errors = ("out_of_range", "repeated", "unclosed")
    expected_counters |= {f"layer0.{name}": 0 for name in errors}
    if recorded.core.hardware.access_counters:
        counted = accesses(recorded.core, golden)
        expected_counters |= {name: int(count.sum()) for name, count in counted.items()}
        assert len(counted) == sum(len(part.accesses) for part in recorded.core.parts.values())
    found = {name: recorded.counters[name] for name in expected_counters}
    assert found == expected_counters
    assert recorded.errors == {name for name in recorded.core.errors if recorded.counters[name]}


def check_cycles(recorded: Recorded, timeline: Timeline) -> None:
    """Compare the cycle of every start; and what every part did in all cycles, with its counters.

    Around the run of the sequences, and while its counters are read, a part waits for input.
    """
    starts = np.array(recorded.starts).reshape(timeline.starts.shape)
    np.testing.assert_array_equal(
        starts, timeline.starts, "cycles in which layers start their blocks"
    )
    stop = int(timeline.ends[-1]) + 1
    counters, places = recorded.counters, recorded.core.counters
    for name, turns in zip(recorded.core.parts, timeline.turns, strict=True):
        found = spans(turns, stop)
        assert [span.start for span in found] == [0, *(span.stop for span in found[:-1])]
        assert found[-1].stop == stop
        did = totals(found, 0, stop)
        until_read = COUNTER_CYCLES * places.index(f"{name}.starved_cycles")
        did["input"] += counters["cycles"] - stop + until_read
        counted = {kind: f"{name}.{counter}" for kind, counter in KINDS.items() if counter}
        assert {kind: did[kind] for kind in counted} == {
            kind: counters.get(counter, 0) for kind, counter in counted.items()
        }, name


@pytest.mark.parametrize(
    ("seed", "delays"), [(s, False) for s in SEEDS] + [(s, True) for s in DELAY_SEEDS]
)
def test_drawn_network_is_bit_and_cycle_exact(seed: int, delays: bool) -> None:
    """Without stalls, also what every layer does in every cycle is what is predicted."""
    drawn = draw_network(seed, delays=delays)
    recorded = simulate(drawn.network, drawn.hardware, drawn.payloads)
    golden = run(recorded.network, drawn.payloads, block=drawn.hardware.block, trace=True)
    check(recorded, golden, drawn.payloads)
    check_cycles(recorded, Timeline(recorded.core, drawn.payloads, golden.layers))


def small_recurrent(seed: int) -> Drawn:
    """Return a network with recurrent layers and four sequences of one or more timesteps."""
    n_timesteps = (9, 2, 8, 1)[seed % 4]
    sizes = {"n_sequences": 4, "n_timesteps": n_timesteps, "max_neurons": 24, "max_inputs": 14}
    return draw_recurrent(seed, **sizes)


def check_recurrent(drawn: Drawn, **options: Any) -> Recorded:
    """Simulate, and compare what does not depend on stalls."""
    recorded = simulate(drawn.network, drawn.hardware, drawn.payloads, **options)
    check(recorded, run(recorded.network, drawn.payloads, trace=True), drawn.payloads)
    return recorded


@pytest.mark.parametrize(
    ("seed", "delays"), [(s, False) for s in RECURRENT_SEEDS] + [(s, True) for s in range(60, 68)]
)
def test_recurrent_network_is_bit_and_cycle_exact(seed: int, delays: bool) -> None:
    """Sequences follow each other without a gap, and own spikes stay in theirs, also behind
    delays.
    """
    drawn = with_delays(small_recurrent(seed)) if delays else small_recurrent(seed)
    recorded = check_recurrent(drawn)
    golden = run(drawn.network, drawn.payloads, trace=True)
    check_cycles(recorded, Timeline(recorded.core, drawn.payloads, golden.layers))


@pytest.mark.parametrize(
    ("seed", "delays"), [(20, False), (21, False), (23, False), (70, True), (71, True)]
)
def test_stalls_change_no_value_of_a_recurrent_network(seed: int, delays: bool) -> None:
    drawn = with_delays(small_recurrent(seed)) if delays else small_recurrent(seed)
    check_recurrent(drawn, stalls=np.random.default_rng(seed))


def test_a_reset_in_the_middle_drops_own_spikes() -> None:
    """The first timestep behind the reset waits for no spikes of the one that was cut off, and has
    none of them: before they come, while they come, and after some of them have.
    """
    drawn = small_recurrent(9)
    core = CoreParams(drawn.network.params, drawn.hardware)
    golden = run(drawn.network, drawn.payloads)
    walk = int(block_cycles(core.layers[0], golden.layers[0].addresses[:1, :1], 1)[0, 0])
    assert golden.layers[0].spike_counts[0, 0] >= 8
    for delay in (0, walk + 14, walk + 19):
        check_recurrent(drawn, reset_after=1, reset_delay=delay)


def test_drawn_recurrent_networks_cover_the_corners() -> None:
    """Recurrent layers alone, first, in the middle and last, one behind another or not; spikes few
    and many, also in the last timestep; one group and many.
    """
    places, parts, rates = set(), [], []
    for seed in RECURRENT_SEEDS:
        drawn = small_recurrent(seed)
        layers = drawn.network.params.layers
        places.add("".join("fr"[layer.recurrent] for layer in layers))
        core = CoreParams(drawn.network.params, drawn.hardware)
        golden = run(drawn.network, drawn.payloads)
        for part, done in zip(core.layers, golden.layers, strict=True):
            if part.params.recurrent:
                parts.append(part)
                own = done.spike_counts / part.params.n_neurons
                rates += [own.mean(), own[:, -1].mean()]
    assert places >= {"r", "rr", "rf", "fr", "rfr", "rff", "frf", "ffr"}, places
    assert {part.hardware.events_per_cycle for part in parts} == {1, 2}
    assert {part.payload.width for part in parts if part.external} == {1, 8}
    assert min(part.n_groups for part in parts) == 1 < 8 <= max(part.n_groups for part in parts)
    assert sum(0.02 < rate < 0.9 for rate in rates) > len(rates) / 2 and max(rates) > 0.9


@pytest.mark.parametrize("seed", [100, 101, 102, 103])
def test_stalls_change_no_value(seed: int) -> None:
    """Random gaps on the way in and out, with the payload scrambled in the gaps: the same values
    and busy cycles.
    """
    drawn = draw_network(seed, max_neurons=24, max_inputs=20)
    recorded = simulate(
        drawn.network, drawn.hardware, drawn.payloads, stalls=np.random.default_rng(seed)
    )
    check(
        recorded,
        run(recorded.network, drawn.payloads, block=drawn.hardware.block, trace=True),
        drawn.payloads,
    )


def test_drawn_networks_cover_the_corners() -> None:
    """The seeds of this file reach what they are meant to reach."""
    layers, parts, saturations = [], [], np.zeros(3, np.int64)
    partial = set()  # blocks of which a sequence has some whole ones and a part of one
    for seed in SEEDS:
        drawn = draw_network(seed)
        core = CoreParams(drawn.network.params, drawn.hardware)
        layers += drawn.network.params.layers
        parts += core.layers
        n_timesteps = drawn.payloads.shape[1]
        if n_timesteps > drawn.hardware.block and n_timesteps % drawn.hardware.block:
            partial.add(drawn.hardware.block)
        for layer in run(drawn.network, drawn.payloads).layers:
            saturations += [
                (s > 0).any()
                for s in (
                    layer.drive_saturations,
                    layer.state_saturations,
                    layer.membrane_saturations,
                )
            ]
    assert {part.hardware.lanes for part in parts} == set(range(1, 9))
    assert {part.block for part in parts} == set(BLOCKS) and partial == set(BLOCKS[1:])
    assert {part.hardware.events_per_cycle for part in parts} == {1, 2}
    assert {part.hardware.products_per_cycle for part in parts} >= {1, 2, 3, 5, 8}
    assert sum(part.params.n_neurons % part.lanes != 0 for part in parts) > 20
    assert sum(part.block > 1 and part.payload.width > 1 for part in parts) > 5
    assert sum(part.block > 1 and part.dilation > 1 for part in parts) > 10
    assert sum(part.fold > 1 for part in parts) > 10 and sum(part.drain > 0 for part in parts) > 2
    assert {layer.n_state for layer in layers} >= {0, 1, 2, 5, 12}
    assert {layer.dilation for layer in layers} == {1, 2, 3, 4}
    assert {layer.reset for layer in layers} == {"subtract", "zero"}
    assert {layer.formats.payload.width for layer in layers} == {1, 8}
    assert (saturations > 10).all(), saturations


@pytest.mark.parametrize("lanes", [None, 20])
def test_a_reset_in_the_middle_keeps_what_was_loaded(lanes: int | None) -> None:
    """After a reset, with sequences half done, the same input gives what a fresh core gives; also
    with copies of registers, several segments in the encoder and words of several items.
    """
    drawn = draw_network(2, max_neurons=24, max_inputs=20)
    hardware = drawn.hardware if lanes is None else replace(drawn.hardware, lanes=lanes)
    recorded = simulate(drawn.network, hardware, drawn.payloads, reset_after=7)
    if lanes:
        assert max(layer.lanes for layer in recorded.core.layers) > 8
        assert max(memory.items for memory in recorded.core.memories.values()) > 4
    check(
        recorded,
        run(recorded.network, drawn.payloads, block=hardware.block, trace=True),
        drawn.payloads,
    )


def test_no_item_is_taken_before_the_rings_are_clear() -> None:
    """257 slots of the last layer take longer than all that is loaded; the first layer has no delay
    line that would wait.
    """
    drawn = draw_network(13, n_timesteps=4, max_neurons=3, max_inputs=3)
    params = drawn.network.params
    layers = (*params.layers[:-1], replace(params.layers[-1], max_delay=255))
    delays = np.arange(layers[-1].n_inputs) % 3
    network = replace(
        drawn.network,
        params=replace(params, layers=layers),
        layers=(*drawn.network.layers[:-1], replace(drawn.network.layers[-1], delays=delays)),
    )
    payloads = np.ones_like(drawn.payloads)
    recorded = simulate(network, replace(drawn.hardware, lanes=3, block=1), payloads)
    loaded = sum(memory.depth + 1 for memory in recorded.core.memories.values())
    assert len(layers) > 1 and loaded < recorded.core.layers[-1].delay_ring.depth == 257
    golden = run(recorded.network, payloads, trace=True)
    check(recorded, golden, payloads)
    check_cycles(recorded, Timeline(recorded.core, payloads, golden.layers))
