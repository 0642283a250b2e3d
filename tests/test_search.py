"""Hardware chosen under a budget: choices against brute force."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmp_core.fit_command import energy_of
from energy.command import measure_work
from energy.estimate import read_estimate
from energy.technology import read_technology
from golden.cost.search import (
    LANES,
    Budget,
    Candidate,
    choose,
    configurations,
    fit,
    pareto,
    price,
    with_latency,
)
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.part import BLOCKS, EVENTS, HardwareParams
from tests.search_inputs import draw_activity, of_lanes


def test_configurations_are_those_worth_a_price() -> None:
    activity = draw_activity(2)  # at most 29 neurons, 5 rows of the slow state
    found = configurations(activity)
    lanes = [*(n for n in LANES if n < 29), 29]
    assert len(found) == len(set(found)) == len(lanes) * len(BLOCKS) * len(EVENTS) * 6
    assert {one.lanes for one in found} == set(lanes)
    assert {one.products_per_cycle for one in found} == set(range(1, 7))


def test_a_fit_to_an_energy() -> None:
    """The front is one of energy too: the choice is the best of all that were priced."""
    activity = draw_activity(2)
    chosen, front, priced = fit(activity, Budget(), objective="energy", energy=of_lanes)
    told = [replace(one, energy=of_lanes(one)) for one in priced]
    energies = sorted(of_lanes(one) for one in priced)
    assert chosen.energy == energies[0] and chosen in front
    assert front == pareto(told, energy=True) and len(front) > len(pareto(told))
    most = energies[len(energies) // 8]
    budget = Budget(energy=most)
    allowed = [one for one in told if of_lanes(one) <= most]
    chosen, front, _ = fit(activity, budget, energy=of_lanes)
    assert chosen in front and budget.allows(chosen)
    fewest = choose(front, budget, "multipliers")
    for one, key in ((chosen, "cycles"), (fewest, "multipliers")):
        least = min(getattr(one, key) for one in allowed)
        assert getattr(one, key) == least
    assert chosen.cycles > min(one.cycles for one in priced)
    plain, front, _ = fit(activity, Budget(), energy=of_lanes)
    assert plain.cycles < chosen.cycles and plain.energy == of_lanes(plain)
    assert front == [replace(one, energy=of_lanes(one)) for one in pareto(priced)]
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
    chosen, front, priced = fit(activity, budget, done.append)
    assert sum(done) == len(priced) == len(configurations(activity))
    assert [one.hardware for one in priced] == configurations(activity)
    assert chosen in front and budget.allows(chosen)
    assert chosen.costs == choose(priced, budget).costs
    assert chosen == price(activity, chosen.hardware)
    assert chosen.multipliers == CoreParams(activity.network.params, chosen.hardware).multipliers


def test_a_fit_to_a_latency() -> None:
    activity = draw_activity(2)
    _, front, _ = fit(activity, Budget())
    timed = [with_latency(activity, one) for one in front]
    most = sorted(one.latency or 0 for one in timed)[len(timed) // 2]
    chosen, front, _ = fit(activity, Budget(latency=most))
    assert front == timed
    fewest = min(one.multipliers for one in timed if (one.latency or 0) <= most)
    assert chosen.multipliers == fewest and chosen.latency is not None and chosen.latency <= most
    with pytest.raises(UserError, match=r"shortest latency is \d+ cycles"):
        fit(activity, Budget(latency=10))


@pytest.mark.parametrize("budget", [Budget(1), Budget(cycles=0.5), Budget(200, 0, 1)])
def test_a_budget_for_nothing_names_the_least(budget: Budget) -> None:
    activity = draw_activity(2)
    with pytest.raises(UserError, match="within the budget: the fastest takes") as error:
        fit(activity, budget)
    assert "\n" not in str(error.value)
