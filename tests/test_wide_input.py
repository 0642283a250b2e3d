"""Cores whose input brings several events a cycle, against the golden model."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.items import pack_events, to_items
from golden.cost.timeline import Timeline
from golden.hardware.core import CoreParams
from golden.hardware.part import EventKind
from golden.integer import run
from golden.interface import Interface
from rtl.streams import input_layout
from rtl.verilog.generate import fields_of
from tb.compare import compare
from tb.simulate import simulate_items
from tests import core_simulator
from tests.core_simulator import Item, simulate
from tests.networks import Drawn
from tests.test_core import check, check_cycles
from tests.test_core_cosim import FAST, check_core, make_core, with_events
from tests.test_core_cosim import with_errors as items_with_errors
from tests.wide_inputs import draw_wide_input, with_errors

QUICK = (4, 10, 14, 23, 44, 108)
LONG = (0, 1, 2, 3, *range(5, 10), 11, 12, 17, 20, 29, 32, *range(100, 108))


def draw_errors(drawn: Drawn) -> tuple[list[Item], Counter[str]]:
    """Return the items of a drawn network, with wrong events among them."""
    width, first = drawn.hardware.input_items, drawn.network.params.layers[0]
    items = core_simulator.to_items(drawn.payloads, width, drawn.reports)
    rng = np.random.default_rng([drawn.seed, 1])
    return with_errors(rng, items, width, first.n_inputs, first.formats.payload.max)


@pytest.mark.parametrize("seed", [*QUICK, *(pytest.param(n, marks=pytest.mark.long) for n in LONG)])
def test_a_drawn_core_is_bit_and_cycle_exact(seed: int) -> None:
    """Also with wrong events in the places that the right ones leave free: each is counted, and
    none takes a cycle.
    """
    drawn = draw_wide_input(seed)
    items, wrong = draw_errors(drawn)
    recorded = simulate(
        drawn.network, drawn.hardware, drawn.payloads, reports=drawn.reports, items=items
    )
    golden = run(recorded.network, drawn.payloads, reports=drawn.reports, trace=True)
    wrong["repeated"] = wrong["within"] + wrong["across"]
    check(recorded, golden, drawn.payloads, wrong)
    check_cycles(recorded, Timeline(recorded.core, drawn.payloads, golden.layers, drawn.reports))


@pytest.mark.long
def test_stalls_change_no_value() -> None:
    drawn = draw_wide_input(107)
    stalls = np.random.default_rng(1)
    recorded = simulate(
        drawn.network, drawn.hardware, drawn.payloads, stalls, reports=drawn.reports
    )
    golden = run(recorded.network, drawn.payloads, reports=drawn.reports, trace=True)
    check(recorded, golden, drawn.payloads)


def test_the_drawn_ones_differ() -> None:
    """In items and events, graded or not, shared products, reports, links; with every error."""
    found: Counter[str] = Counter()
    for seed in QUICK:
        drawn = draw_wide_input(seed)
        hardware, first = drawn.hardware, drawn.network.params.layers[0]
        _, wrong = draw_errors(drawn)
        found += Counter({way: min(count, 1) for way, count in wrong.items()})
        found[f"{hardware.input_items} of {hardware.events_per_cycle}"] += 1
        found[f"{hardware.graded}, {first.formats.payload.width} bits"] += 1
        found["signed"] += first.formats.payload.signed
        found["a slow state"] += first.n_state > 0
        found["reports"] += hardware.reports
        found["wide links"] += hardware.link_items > 1
    assert set(found) == {
        *("none", "within", "across", "out_of_range", "2 of 2", "2 of 4", "4 of 4"),
        *("own, 1 bits", "own, 8 bits", "shared, 8 bits"),
        *("signed", "a slow state", "reports", "wide links"),
    }
    assert min(found.values()) >= 1 and min(found["within"], found["across"]) >= 3


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 2, 4, 23])
def test_a_core_in_verilog(seed: int, tmp_path: Path) -> None:
    """Under cocotb, with stalls and events in any order, and without."""
    drawn = draw_wide_input(seed)
    assert drawn.hardware.input_items == {0: 2, 2: 4, 4: 2, 23: 4}[seed]
    check_core(drawn, seed, tmp_path)


def test_errors_of_whole_items(tmp_path: Path) -> None:
    """Items of no kind count once, however many events they seem to have; events without an end
    are dropped with their sequence.
    """
    drawn = draw_wide_input(14)
    hardware = replace(drawn.hardware, access_counters=False, reports=False)
    params = drawn.network.params.layers[0]
    assert hardware.input_items == 4 and params.n_inputs & (params.n_inputs - 1)
    payloads = with_events(drawn.payloads)
    items = items_with_errors(payloads, params.formats.payload.max)
    strange = [EventKind.INVALID, params.n_inputs, 1]
    items = np.insert(items, [0, 0, 5], strange, axis=0)
    unclosed = int(np.argmax(items[:, 0] == EventKind.END_SEQUENCE)) - 1
    items = np.insert(items, unclosed, [EventKind.EVENT, 0, 0], axis=0)  # beside no event
    manifest = make_core(drawn.network, hardware, tmp_path)
    simulation = simulate_items(manifest, items, *payloads.shape[:2], stalls_seed=1, optimize=FAST)
    expected = {"repeated": 2, "out_of_range": 1 + 3, "unclosed": 1}
    expected["events"] = int(np.count_nonzero(payloads)) + 1
    counted = {f"layer0.{name}": count for name, count in expected.items()}
    comparison = compare(simulation, payloads, counted=counted)
    assert comparison.mismatches == 0, comparison.first


@pytest.mark.parametrize("seed", [2, 4, 14])
def test_events_of_a_timestep_are_packed_in_order(seed: int) -> None:
    """As many as fit; an end comes alone; signs stay."""
    drawn = draw_wide_input(seed)
    core = CoreParams(drawn.network.params, drawn.hardware)
    fields = {"i_events": fields_of(input_layout(core))}
    interface, width = Interface("core", {}, fields, [], []), core.hardware.input_items
    items = to_items(drawn.payloads, np.random.default_rng(seed), drawn.reports)
    packed = interface.unpack("i_events", pack_events(interface, items))
    found = []
    for n, kind in enumerate(packed["kind"].tolist()):
        events = [
            [kind, int(packed[f"address_{e}"][n]), int(packed[f"payload_{e}"][n])]
            for e in range(width)
        ]
        used = sum(payload != 0 for *_, payload in events)
        assert not any(payload for *_, payload in events[used:])
        found += events[: max(used, 1)]
    assert found == items.tolist()
    # As many items as can be.
    assert len(packed["kind"]) == len(core_simulator.to_items(drawn.payloads, width, drawn.reports))
