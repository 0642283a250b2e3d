"""Drawn networks on whole cores, in Amaranth's simulator: every value, counter and cycle against
the golden model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from golden.cost.cycles import accesses, block_cycles, dropped_events
from golden.cost.spans import KINDS, spans, totals
from golden.cost.timeline import Timeline
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.integer import run
from golden.runs import Run
from tb.simulate import by_timestep
from tests import functional, neuron_corners
from tests.core_simulator import COUNTER_CYCLES, Recorded, simulate
from tests.corners import CHOSEN, CORNERS, SHAPES, TIMES, VERILATED, corners
from tests.network_kinds import DRAWS
from tests.networks import Drawn, draw_network

SLOW = [("delays", 52), ("delays", 68)]  # ten seconds each
# What is not run at once is in the long tier; the corners of all of them are below.
SOME = {"wide links": (21, 37, 107), "four events": (23, 102, 190)}
# What these reach, others reach, too: the second time is in the long tier.
SECOND = {
    "plain": (23, 32, 112, 139, 148, 180, 190, 254, 353, 356),
    "delays": (139, 163, 186, 296, 394),
    "loop": (163, 263, 330, 393),
    "loop and delays": (303, 307),
    "reports": (202, 430, 520, 705),
    "whole neurons": (421,),
}
SHARED = range(12)  # each with other hardware
PARTS = (0, 1, 2, 3, 5, 7, 8, 9)  # each with hardware of its own
QUICK = [
    (draw, seed)
    for chosen in (CHOSEN, neuron_corners.CHOSEN)
    for draw, seeds in chosen.items()
    for seed in seeds
    if (draw, seed) not in SLOW and (draw not in SOME or seed in SOME[draw])
    if seed not in SECOND.get(draw, ())
]
QUICK += [("parts", seed) for seed in (2, 3)]
QUICK += [("shared products", seed) for seed in (1, 5)]
QUICK += [(draw, seed) for draw, seeds in functional.DIRECTED.items() for seed in seeds]
LONG = {
    "large": range(42),
    "large with delays": range(200, 218),
    "plain": range(400, 420),
    "shared products": sorted({*range(40)} - {1, 5}),
    **{draw: sorted({*CHOSEN[draw]} - {*seeds}) for draw, seeds in SOME.items()},
    "delays": (52, 68, *range(400, 410)),
    "loop": (0, 1, 2, 3, 4, 6, 8, 11, 12, 15, 32, 52, *range(400, 410)),
    "loop and delays": (*range(60, 68), *range(400, 405)),
    "parts": (0, 1, 5, 7, 8, 9, *range(400, 430)),
    **{draw: sorted({*seeds} - {seed for of, seed in QUICK if of == draw})
       for draw, seeds in neuron_corners.PAIRED.items()},
}  # fmt: skip
STALLED = [
    *(("plain", seed) for seed in (101, 103)),
    *(("delays", 14), ("loop", 21), ("loop and delays", 70)),
    *(("whole neurons", 9), ("reports", 7), ("reports", 4), ("parts", 14), ("shared products", 0)),
    ("wide links", 21),
]


def long(draws: Mapping[str, Iterable[int]]) -> list[Any]:
    """Return the cases of the long tier of these draws and seeds."""
    return [
        pytest.param(draw, seed, marks=pytest.mark.long)
        for draw, seeds in draws.items()
        for seed in seeds
    ]


def check(
    recorded: Recorded, golden: Run, payloads: np.ndarray, wrong: Mapping[str, int] | None = None
) -> None:
    """Compare everything that does not depend on stalls; `wrong` are the errors of the input."""
    n_timesteps = payloads.shape[0] * payloads.shape[1]
    assert recorded.logits == golden.logits.tolist()
    assert recorded.classes == golden.classes.tolist()
    n_sequences, n_reports, n_classes = golden.reports.shape
    assert [logits for *logits, _ in recorded.reports] == (
        golden.reports.reshape(-1, n_classes).tolist()
    )
    assert [best for *_, best in recorded.reports] == golden.reports.argmax(2).ravel().tolist()
    expected_counters = {"readout.timesteps": n_timesteps, "readout.sequences": len(payloads)}
    expected_counters["readout.logit_saturations"] = int(golden.logit_saturations.sum())
    if recorded.core.hardware.reports:
        expected_counters["readout.reports"] = n_sequences * n_reports
    dropped = dropped_events(recorded.core, golden)
    for i, (hardware, layer) in enumerate(zip(recorded.core.layers, golden.layers, strict=True)):
        params = hardware.params
        assert layer.membrane is not None and layer.spikes is not None
        assert layer.state is not None and layer.drive is not None
        for name in ("membrane", "spikes", *["synapse"] * params.synapse):
            words = np.array(getattr(recorded, name)[i]).reshape(-1, hardware.neuron_fold.units)
            traced = by_timestep(words, hardware, golden.lengths)
            np.testing.assert_array_equal(traced, getattr(layer, name), f"{name} of layer {i}")
        if params.synapse:
            clamped = int(layer.synapse_saturations.sum())
            expected_counters[f"layer{i}.synapse_saturations"] = clamped
        assert sum(recorded.spikes[i]) == layer.spikes.sum(), f"layer {i}: a spike of no neuron"
        if params.n_state:
            assert recorded.state[i] == layer.state.ravel().tolist(), f"slow state of layer {i}"
            assert recorded.drive[i] == layer.drive.ravel().tolist(), f"drive of layer {i}"
        expected_counters |= {
            f"layer{i}.timesteps": n_timesteps,
            f"layer{i}.blocks": layer.addresses.size,
            f"layer{i}.busy_cycles": int(
                block_cycles(hardware, layer.addresses, golden.lengths).sum()
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
    expected_counters |= {f"layer0.{name}": (wrong or {}).get(name, 0) for name in errors}
    if recorded.core.hardware.access_counters:
        counted = accesses(recorded.core, golden)
        expected_counters |= {name: int(count.sum()) for name, count in counted.items()}
        assert len(counted) == sum(len(part.accesses) for part in recorded.core.parts.values())
    core = recorded.core
    counted = {name: count for name, count in expected_counters.items() if name in core.counters}
    assert {name: recorded.counters[name] for name in counted} == counted
    assert recorded.errors == {name for name in core.errors if expected_counters[name]}


def check_cycles(recorded: Recorded, timeline: Timeline) -> None:
    """Compare the cycle of every start; and what every part did in all cycles, with its counters.

    Around the run of the sequences, and while its counters are read, a part waits for input.
    """
    starts = np.array(recorded.starts).reshape(timeline.starts.shape)
    np.testing.assert_array_equal(
        starts, timeline.starts, "cycles in which layers start their blocks"
    )
    ends = np.concatenate([timeline.report_ends, timeline.ends[:, None]], 1)
    assert recorded.result_cycles == ends.ravel().tolist(), "cycles of the last results"
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


def test_the_chosen_networks_reach_every_corner() -> None:
    """Twice, those that are run as Verilog once. What is reached in the long tier for the second
    time is reached at once for the first time.
    """
    found: dict[tuple[str, int], set[str]] = {}
    for chosen, wanted, times in ((CHOSEN, CORNERS, TIMES), (VERILATED, SHAPES, 1)):
        cases = [(draw, seed) for draw, seeds in chosen.items() for seed in seeds]
        found |= {(draw, seed): corners(DRAWS[draw](seed)) for draw, seed in cases}
        reached = Counter(corner for case in cases for corner in found[case])
        assert {corner for corner in wanted if reached[corner] < times} == set()
    second = {(draw, seed) for draw, seeds in SECOND.items() for seed in seeds}
    again = set().union(*(of for case, of in found.items() if case in second))
    at_once = set().union(*(of for case, of in found.items() if case in QUICK))
    assert again & CORNERS <= at_once


def test_shared_products_are_drawn_in_every_way() -> None:
    """Steps of events and of columns, both and none of one, with and without blocks and refreshes
    that pass; a step of fewer events than products.
    """
    found = set()
    for seed in SHARED:
        drawn = DRAWS["shared products"](seed)
        layer = CoreParams(drawn.network.params, drawn.hardware).layers[0]
        block, hardware = drawn.hardware.block, layer.hardware
        golden = run(drawn.network, drawn.payloads, block=block, reports=drawn.reports)
        sparse = layer.sparse_steps(golden.layers[0].addresses)
        several = "T>1" if block > 1 else "T=1"
        found |= {
            f"{several}, {'events' if any_events else 'silent'}" for any_events in sparse.flat
        }
        found |= {f"{several}, dilation"} if layer.dilation > 1 else set()
        found |= {"E=2"} if hardware.events_per_cycle == 2 else set()
        found |= {"E<K"} if hardware.events_per_cycle < hardware.products_per_cycle else set()
        found |= {"reports"} if hardware.reports else set()
        found |= {"held"} if hardware.hold_operands else set()
    assert found == {
        *(f"{t}, {what}" for t in ("T=1", "T>1")
          for what in ("events", "silent", "dilation")),
        "E=2", "E<K", "reports", "held",
    }  # fmt: skip


def test_the_parts_that_are_simulated_differ() -> None:
    """In lanes, events and products, next to each other, of each kind of network."""
    differ: Counter[str] = Counter()
    for seed in PARTS:
        drawn = DRAWS["parts"](seed)
        parts = list(CoreParams(drawn.network.params, drawn.hardware).parts.values())
        for one, other in pairwise(parts):
            layers = [part for part in (one, other) if isinstance(part, LayerHardware)]
            differ["lanes"] += one.lanes != other.lanes
            differ["events"] += one.hardware.events_per_cycle != other.hardware.events_per_cycle
            differ["products"] += (
                len({layer.hardware.products_per_cycle for layer in layers if layer.columns}) > 1
            )
        differ["delays"] += any(part.delayed for part in parts)
        differ["recurrent"] += any(layer.recurrent for layer in drawn.network.params.layers)
        differ["reports"] += bool(drawn.reports)
        differ["blocks"] += drawn.hardware.block > 1
        differ["graded"] += parts[0].payload.width > 1
    assert min(differ.values()) >= 2 and len(differ) == 8, differ


def test_the_chosen_neurons_have_every_pair_of_options() -> None:
    """And they reach every corner twice; those that are run as Verilog have every option twice."""
    found: dict[tuple[str, int], set[str]] = {}

    def reached(*chosen: Mapping[str, Iterable[int]]) -> Counter[str]:
        cases = {(draw, seed) for of in chosen for draw, seeds in of.items() for seed in seeds}
        for draw, seed in cases - set(found):
            found[draw, seed] = neuron_corners.neuron_corners(DRAWS[draw](seed))
        return Counter(corner for case in cases for corner in found[case])

    chosen = (neuron_corners.CHOSEN, functional.DIRECTED)
    corners_of, pairs_of = reached(*chosen), reached(*chosen, neuron_corners.PAIRED)
    assert {corner for corner in neuron_corners.CORNERS if corners_of[corner] < TIMES} == set()
    assert {pair for pair in neuron_corners.PAIRS if not pairs_of[pair]} == set()
    assert len(found) >= 60
    options = reached(neuron_corners.VERILATED)
    values = map(neuron_corners.named, neuron_corners.VALUES)
    assert {value for value in values if options[value] < TIMES} == set()
    assert sum(map(len, neuron_corners.VERILATED.values())) >= 12


def simulate_and_check(drawn: Drawn, **options: Any) -> tuple[Recorded, Run]:
    """Simulate, and compare everything that does not depend on stalls."""
    recorded = simulate(
        drawn.network, drawn.hardware, drawn.payloads, reports=drawn.reports, **options
    )
    block, reports = drawn.hardware.block, drawn.reports
    golden = run(recorded.network, drawn.payloads, block=block, reports=reports, trace=True)
    check(recorded, golden, drawn.payloads)
    return recorded, golden


@pytest.mark.parametrize(("draw", "seed"), [*QUICK, *long(SECOND), *long(LONG)])
def test_drawn_network_is_bit_and_cycle_exact(draw: str, seed: int) -> None:
    """Without stalls, also what every layer does in every cycle is what is predicted. Sequences
    follow each other without a gap, and own spikes stay in theirs, also behind delays.
    """
    drawn = DRAWS[draw](seed)
    recorded, golden = simulate_and_check(drawn)
    timeline = Timeline(recorded.core, drawn.payloads, golden.layers, drawn.reports)
    check_cycles(recorded, timeline)


@pytest.mark.parametrize("counters", ["errors", "none"])
def test_a_core_that_counts_less_tells_the_same_flags(counters: str) -> None:
    drawn = DRAWS["plain"](148)
    hardware = replace(drawn.hardware, access_counters=False, counters=counters)
    recorded, golden = simulate_and_check(replace(drawn, hardware=hardware))
    assert list(recorded.counters) == recorded.core.errors * (counters == "errors")
    assert recorded.errors
    timeline = Timeline(recorded.core, drawn.payloads, golden.layers)
    assert recorded.result_cycles == timeline.ends.tolist()


@pytest.mark.long
def test_a_word_of_a_ring_is_read_in_the_cycle_in_which_an_item_leaves() -> None:
    """The delay line's last item moves on in the very cycle in which it could read its next word:
    it reads that one later.
    """
    drawn = draw_network(3, max_neurons=20, max_inputs=14, delays=True)
    recorded, golden = simulate_and_check(drawn)
    check_cycles(recorded, Timeline(recorded.core, drawn.payloads, golden.layers))


@pytest.mark.parametrize(
    ("draw", "seed"),
    [
        *STALLED,
        *long(CHOSEN),
        *long(neuron_corners.CHOSEN),
        *long({"plain": (100, 102), "loop": (20, 23), "loop and delays": (71,), "parts": (20,)}),
        *long({"shared products": (4,)}),
    ],
)
def test_stalls_change_no_value(draw: str, seed: int) -> None:
    """Random gaps on the way in and out, with the payload scrambled in the gaps: the same values
    and busy cycles.
    """
    simulate_and_check(DRAWS[draw](seed), stalls=np.random.default_rng(seed))


def test_a_reset_in_the_middle_drops_own_spikes() -> None:
    """The first timestep behind the reset waits for no spikes of the one that was cut off, and has
    none of them: before they come, while they come, and after some of them have.
    """
    drawn = DRAWS["loop"](9)
    core = CoreParams(drawn.network.params, drawn.hardware)
    golden = run(drawn.network, drawn.payloads)
    walk = int(block_cycles(core.layers[0], golden.layers[0].addresses, golden.lengths)[0, 0])
    assert golden.layers[0].spike_counts[0, 0] >= 8
    for delay in (0, walk + 14, walk + 19):
        simulate_and_check(drawn, reset_after=1, reset_delay=delay)


@pytest.mark.parametrize("lanes", [None, 20])
def test_a_reset_in_the_middle_keeps_what_was_loaded(lanes: int | None) -> None:
    """After a reset, with sequences half done, the same input gives what a fresh core gives; also
    with copies of registers, several segments in the encoder and words of several items.
    """
    drawn = DRAWS["plain"](2)
    hardware = drawn.hardware if lanes is None else replace(drawn.hardware, lanes=lanes)
    recorded, _ = simulate_and_check(replace(drawn, hardware=hardware), reset_after=7)
    if lanes:
        assert max(layer.lanes for layer in recorded.core.layers) > 8
        assert max(memory.items for memory in recorded.core.memories.values()) > 4


@pytest.mark.parametrize("first", [0, 2])
def test_no_item_is_taken_before_the_rings_are_clear(first: int) -> None:
    """257 slots of the last layer take longer than all that is loaded; the first layer has no delay
    line that would wait, or one that is clear long before.
    """
    drawn = draw_network(19, n_timesteps=4, max_neurons=3, max_inputs=3)
    params, layers = drawn.network.params, list(drawn.network.layers)
    delayed = list(params.layers)
    for number, most in ((0, first), (-1, 255)):
        delayed[number] = replace(delayed[number], max_delay=most)
        delays = np.arange(delayed[number].n_inputs) % (min(most, 2) + 1)
        layers[number] = replace(layers[number], delays=delays if most else np.zeros(0, np.int64))
    network = replace(
        drawn.network, params=replace(params, layers=tuple(delayed)), layers=tuple(layers)
    )
    hardware = replace(drawn.hardware, lanes=3, block=1)
    slow = replace(drawn, network=network, hardware=hardware, payloads=np.ones_like(drawn.payloads))
    recorded, golden = simulate_and_check(slow)
    loaded = sum(memory.depth + 1 for memory in recorded.core.memories.values())
    assert len(delayed) > 1 and loaded < recorded.core.layers[-1].delay_ring.depth == 257
    assert recorded.core.layers[0].delayed == (first > 0)
    check_cycles(recorded, Timeline(recorded.core, slow.payloads, golden.layers))
