"""Hardware chosen under a budget: choices against brute force."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import product
from operator import le

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmp_core.fit_command import energy_of
from energy.command import measure_work
from energy.estimate import read_estimate
from energy.technology import read_technology
from golden.cost.activity import Activity, measure_activity
from golden.cost.block_rams import outlet_block_rams
from golden.cost.part_search import (
    EVENTS,
    Choices,
    Costs,
    as_one,
    lane_choices,
    part_choices,
    product_choices,
)
from golden.cost.search import (
    Budget,
    Candidate,
    Objective,
    choose,
    core_choices,
    cores,
    fit,
    least_latency,
    link_cycles,
    pareto,
    price,
    with_latency,
)
from golden.errors import UserError
from golden.hardware.core import CoreParams, possible_blocks
from golden.hardware.layer import LayerHardware
from golden.hardware.params import BLOCKS, HardwareParams
from golden.hardware.readout import ReadoutHardware
from golden.integer import without_readout
from golden.params import LayerParams
from golden.readout_params import ReadoutParams
from tests.hardware_layers import network
from tests.networks import draw_network
from tests.search_inputs import draw_activity, of_lanes


def uniform(activity: Activity, lanes: Iterable[int]) -> list[Candidate]:
    """Return cores whose parts have the same numbers."""
    return [
        price(activity, HardwareParams(n, block, events, products))
        for n in lanes
        for block in possible_blocks(activity.network.params)
        for events in (1, 2)
        for products in range(1, 9)
    ]


def beats(one: Candidate, other: Candidate) -> bool:
    """Whether one costs no more of anything."""
    return all(a <= b for a, b in zip(one.costs, other.costs, strict=True))


def test_choices_for_a_part_are_those_worth_a_price() -> None:
    """100 neurons are 1 to 4 groups of 100, 50, 34 and 25 lanes; 35, 36 and 40 lanes are as many
    groups as 34, and 5, 6 or 8 of their neurons share a unit. 12 columns of a slow state of 11.
    """
    params = LayerParams(9, 100, 11)
    part = LayerHardware(params, HardwareParams(1, 4))
    lanes = lane_choices(part)
    groups = {n: [of for of in lanes if -(-100 // of) == n] for n in (1, 2, 3, 4)}
    assert groups[1] == [100] and groups[3] == [34, 35, 36, 40, 48]
    assert groups[2][0] == 50 and groups[4][0] == 25
    assert {-(-100 // n) for n in lanes} == {-(-100 // n) for n in range(1, 101)}
    assert product_choices(part) == [1, 2, 3, 4, 6, 8]  # 2, 4 columns of the update: 6, 8
    choices = part_choices(part)
    assert len(choices) == len(set(choices)) == len(lanes) * len(EVENTS) * 6
    assert {choice.block for choice in choices} == {4}
    readout = ReadoutHardware(ReadoutParams(9, 1100), HardwareParams())
    assert max(lane_choices(readout)) <= 1024 and product_choices(readout) == [1]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_is_joined_is_what_brute_force_finds(seed: int) -> None:
    """Costs drawn at random, many of them equal: of all combinations, those that nothing beats."""
    rng = np.random.default_rng(seed)
    drawn = [[tuple(of) for of in rng.integers(1, 9, (12, 3)).tolist()] for _ in range(3)]
    found = Choices(Costs.of([(3.5, 0, 2)]), np.zeros((1, 0, 3), int))
    for costs in drawn:
        numbers = np.arange(len(costs)).repeat(3).reshape(-1, 1, 3)
        found = found.with_part(Choices(Costs.of(costs), numbers))
    every = {}
    for picks in product(*(range(len(costs)) for costs in drawn)):
        cycles, multipliers, rams = zip(
            *(of[pick] for of, pick in zip(drawn, picks, strict=True)), strict=True
        )
        every[picks] = max(3.5, *cycles), sum(multipliers), 2 + sum(rams)
    costs = set(every.values())
    wanted = {one for one in costs if not any(o != one and all(map(le, o, one)) for o in costs)}
    total = found.costs
    mine = list(
        zip(*(of.tolist() for of in (total.cycles, total.multipliers, total.block_rams)),
            strict=True)
    )  # fmt: skip
    assert len(mine) == len(set(mine)) and set(mine) == wanted and len(wanted) > 5
    for numbers, cost in zip(found.numbers, mine, strict=True):
        assert every[tuple(numbers[:, 0].tolist())] == cost


@pytest.mark.parametrize("seed", [27, *(pytest.param(n, marks=pytest.mark.long) for n in (23, 30))])
def test_the_cores_found_are_those_of_brute_force(seed: int) -> None:
    """Of every combination of all numbers that the parts of a small network can have, also those
    that are no choice for a part.
    """
    drawn = draw_network(seed, n_sequences=2, n_timesteps=12, max_neurons=9, max_inputs=6)
    activity = measure_activity(drawn.network, drawn.payloads)
    params = activity.network.params
    [layer], readout = params.layers, params.readout
    found = cores(activity)
    assert all(price(activity, one.hardware) == one for one in found)
    numbers = range(1, layer.n_neurons + 1), range(1, readout.n_classes + 1), EVENTS, EVENTS
    for block in (1, 4):
        every = [
            price(activity, HardwareParams((n, classes), block, (e, of), k, graded))
            for n, classes, e, of in product(*numbers)
            for k in range(1, 9)
            for graded in sorted({one.hardware.graded for one in found})
            if graded == "own" or e <= k
        ]
        mine = [one.costs for one in found if one.hardware.block == block]
        best = [one.costs for one in pareto(every)]
        assert [
            one.costs for one in pareto(of for of in found if of.hardware.block == block)
        ] == best
        assert set(mine) >= set(best)
    assert len(found) > 4 and any(isinstance(one.hardware.lanes, tuple) for one in found)


@pytest.mark.parametrize("seed", [3, 5])
def test_no_core_beats_those_found(seed: int) -> None:
    """Any core of a network of several layers costs no less than one that is found."""
    drawn = draw_network(seed, n_sequences=2, n_timesteps=12, max_neurons=30, max_inputs=6)
    activity = measure_activity(drawn.network, drawn.payloads)
    params = activity.network.params
    sizes = [*(layer.n_neurons for layer in params.layers), params.readout.n_classes]
    assert len(sizes) > 2
    rng, front = np.random.default_rng(seed), cores(activity)
    for _ in range(300):
        one = price(
            activity,
            HardwareParams(
                tuple(int(rng.integers(1, n + 1)) for n in sizes),
                int(rng.choice(BLOCKS)),
                tuple(rng.choice(EVENTS, len(sizes)).tolist()),
                tuple(rng.integers(1, 9, len(sizes)).tolist()),
            ),
        )
        assert any(beats(other, one) for other in front), one


@pytest.mark.parametrize("sends", [False, pytest.param(True, marks=pytest.mark.long)])
def test_cores_pay_for_what_is_between_their_parts(sends: bool) -> None:
    """Items that pass bound the fastest ones; spikes that leave by timesteps take block RAMs."""
    drawn = draw_network(4 if sends else 0, n_sequences=2, n_timesteps=24, max_neurons=90)
    network = drawn.network
    if sends:
        network = without_readout(network.params, network.layers)
    activity = measure_activity(network, drawn.payloads)
    found = cores(activity)
    assert all(price(activity, one.hardware) == one for one in found)
    fastest = min(found, key=lambda one: one.costs)
    assert fastest.cycles == link_cycles(activity, CoreParams(network.params, fastest.hardware))
    outlets = {outlet_block_rams(CoreParams(network.params, one.hardware)) for one in found}
    assert (max(outlets) > 0) == sends


def test_numbers_that_make_the_same_core_are_one() -> None:
    """7 lanes of 3 classes are 3 lanes of them, and a part without a slow state makes no
    products.
    """
    params = network(LayerParams(5, 20, 4), LayerParams(20, 9, 0), n_classes=3)
    core = CoreParams(params, HardwareParams(1, 2, reports=True))
    turned = (7, 2, 4), (7, 2, 1), (3, 2, 1)
    found = as_one(core, np.array(turned))
    assert found == HardwareParams(7, 2, 2, 4, reports=True)
    assert as_one(core, np.array([*turned[:2], (2, 1, 1)])) == replace(
        found, lanes=(7, 7, 2), events_per_cycle=(2, 2, 1)
    )
    deep = CoreParams(network(LayerParams(5, 20, 4), LayerParams(20, 9, 4), n_classes=3))
    assert as_one(deep, np.array(turned)).products_per_cycle == (4, 1, 1)


def test_cores_of_one_number_are_searched_too() -> None:
    activity = draw_activity(2)
    front = pareto(cores(activity))
    for one in uniform(activity, (1, 3, 8, 16, 29)):
        assert any(beats(other, one) for other in front), one


def test_a_fit_to_an_energy() -> None:
    """The front is one of energy too: the choice is the best of the cores of every block that no
    other one of it beats.
    """
    activity = draw_activity(2)
    chosen, front, found = fit(activity, Budget(), objective="energy", energy=of_lanes)
    told = [replace(one, energy=of_lanes(one)) for one in found]
    energies = sorted(of_lanes(one) for one in found)
    assert chosen.energy == energies[0] and chosen in front
    assert front == pareto(told, energy=True) and len(front) > len(pareto(told))
    most = energies[3]
    budget = Budget(energy=most)
    allowed = [one for one in told if of_lanes(one) <= most]
    chosen, front, _ = fit(activity, budget, energy=of_lanes)
    assert chosen in front and budget.allows(chosen)
    fewest = choose(front, budget, "multipliers")
    for one, key in ((chosen, "cycles"), (fewest, "multipliers")):
        least = min(getattr(one, key) for one in allowed)
        assert getattr(one, key) == least
    assert chosen.cycles > min(one.cycles for one in found)
    plain, front, _ = fit(activity, Budget(), energy=of_lanes)
    assert plain.cycles < chosen.cycles and plain.energy == of_lanes(plain)
    assert front == [replace(one, energy=of_lanes(one)) for one in pareto(found)]
    with pytest.raises(UserError, match=f"the least energy {energies[0]:.2f} uJ"):
        choose(told, Budget(energy=energies[0] / 2))


def test_energies_of_candidates_are_those_of_their_cores() -> None:
    """A core of the estimate is as dear to a fit as to `dmp energy --estimate`, but for cycles."""
    activity = draw_activity(4, n_sequences=2)
    technology, estimate = read_technology(), read_estimate()
    tell = energy_of(activity, technology, estimate)
    for hardware in (HardwareParams(3), HardwareParams(8, 4, 2, 2)):
        one = price(activity, hardware)
        chip = replace(hardware, hold_operands=True, segment_words=256)
        core = CoreParams(activity.network.params, chip)
        work, _ = measure_work(core, activity.network, activity.payloads, technology)
        assert tell(replace(one, cycles=work.cycles / activity.n_timesteps)) == pytest.approx(
            estimate.microjoules(work)
        )
        assert tell(one) == pytest.approx(estimate.microjoules(work), rel=0.15)


costs = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 9), st.integers(1, 9))
limit = st.none() | st.integers(0, 10)


def make_candidates(drawn: list[tuple[int, int, int, int]]) -> list[Candidate]:
    return [
        Candidate(HardwareParams(index + 1), float(cycles), multipliers, rams, float(latency))
        for index, (cycles, multipliers, rams, latency) in enumerate(drawn)
    ]


@given(st.lists(costs, max_size=30))
def test_the_front_is_what_nothing_beats(drawn: list[tuple[int, int, int, int]]) -> None:
    candidates = make_candidates(drawn)
    front = pareto(candidates)
    kept = {one.costs for one in front}
    assert [one.costs for one in front] == sorted(kept), "one of those that cost the same"
    assert set(front) <= set(candidates)
    for one in candidates:
        beaten = any(
            all(a <= b for a, b in zip(other.costs, one.costs, strict=True))
            and other.costs != one.costs
            for other in candidates
        )
        assert (one.costs in kept) == (not beaten)


@given(st.lists(costs, min_size=1, max_size=20), limit, limit, limit, limit)
def test_a_choice_is_the_best_within_the_budget(
    drawn: list[tuple[int, int, int, int]],
    multipliers: int | None,
    rams: int | None,
    cycles: int | None,
    latency: int | None,
) -> None:
    candidates = make_candidates(drawn)
    budget = Budget(multipliers, rams, cycles, latency)
    best = None
    for one in candidates:
        spent = (one.multipliers, one.block_rams, one.cycles, one.latency or 0)
        given_ = (multipliers, rams, cycles, latency)
        if any(most is not None and cost > most for cost, most in zip(spent, given_, strict=True)):
            continue
        timed = cycles is not None or latency is not None
        order = (one.multipliers, one.block_rams, one.cycles) if timed else one.costs
        if best is None or order < best[0]:
            best = order, one
    if best:
        assert choose(candidates, budget) == best[1]
        return
    with pytest.raises(UserError, match="no configuration is within the budget") as error:
        choose(candidates, budget)
    least = [min(c.multipliers for c in candidates), min(c.block_rams for c in candidates)]
    numbers = re.findall(r"[\d.]+", str(error.value))
    fastest, shortest = min(c.cycles for c in candidates), min(c.latency or 0 for c in candidates)
    assert [float(number) for number in numbers] == [fastest, *least, shortest]
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "budget", [Budget(), Budget(30), Budget(block_rams=2), Budget(cycles=40), Budget(40, None, 60)]
)
def test_a_fit_is_the_best_of_all(budget: Budget) -> None:
    activity = draw_activity(2)
    done: list[int] = []
    chosen, front, found = fit(activity, budget, done.append)
    assert sum(done) == len(core_choices(activity))
    assert front == [one for one in pareto(found) if budget.allows(one)]
    assert chosen in front
    assert chosen.costs == choose(found, budget).costs
    assert chosen == price(activity, chosen.hardware)
    assert chosen.multipliers == CoreParams(activity.network.params, chosen.hardware).multipliers


def test_a_fit_of_a_wide_input_and_wide_links() -> None:
    """Every part adds all events that come at once; blocks are of a timestep."""
    activity = draw_activity(2)
    given = HardwareParams(1, list_buffers=6, link_items=2, input_items=4)
    chosen, _, found = fit(activity, Budget(), given=given)
    assert chosen == price(activity, chosen.hardware)
    for one in found:
        h = one.hardware
        assert (h.block, h.list_buffers, h.link_items, h.input_items) == (1, 6, 2, 4)
        parts = CoreParams(activity.network.params, h).parts.values()
        assert all(p.hardware.events_per_cycle >= p.received_items for p in parts)
    assert {one.hardware.events_per_cycle for one in found} != {4}
    narrow = price(activity, replace(chosen.hardware, input_items=1, link_items=1))
    assert chosen.cycles < narrow.cycles


@pytest.mark.parametrize("objective", ["multipliers", "cycles"])
def test_a_fit_to_a_latency(objective: Objective) -> None:
    """It is the best of all, of which few are looked at."""
    activity = draw_activity(2)
    _, front, _ = fit(activity, Budget())
    timed = [with_latency(activity, one) for one in front]
    for one in timed:
        assert 0 < least_latency(activity, one.hardware) < (one.latency or 0)
    latencies = sorted(one.latency or 0 for one in timed)
    most = latencies[len(timed) // 2]
    chosen, found, _ = fit(activity, Budget(latency=most), objective=objective)
    allowed = [one for one in timed if (one.latency or 0) <= most]
    assert chosen == choose(allowed, Budget(), objective) and chosen in found
    looked = [one for one in found if one.latency is not None]
    assert len(looked) < len(timed) and set(looked) <= set(timed)
    with pytest.raises(UserError, match=rf"shortest latency is {latencies[0]:.0f} cycles"):
        fit(activity, Budget(latency=10))


def test_the_shortest_latency_need_not_be_of_the_core_with_the_fewest_steps() -> None:
    activity = draw_activity(12)
    _, front, _ = fit(activity, Budget())
    by_steps = sorted(front, key=lambda one: least_latency(activity, one.hardware))
    latencies = [with_latency(activity, one).latency or 0 for one in by_steps]
    assert min(latencies) < latencies[0]
    with pytest.raises(UserError, match=rf"shortest latency is {min(latencies):.0f} cycles"):
        fit(activity, Budget(latency=10))


@pytest.mark.parametrize("budget", [Budget(1), Budget(cycles=0.5), Budget(200, 0, 1)])
def test_a_budget_for_nothing_names_the_least(budget: Budget) -> None:
    activity = draw_activity(2)
    with pytest.raises(UserError, match="within the budget: the fastest takes") as error:
        fit(activity, budget)
    assert "\n" not in str(error.value)
