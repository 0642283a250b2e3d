"""Choose hardware for a network from the events that it receives: no Torch, no RTL.

Cores are priced: cycles a timestep of the slowest part (`golden.cost.cycles`, on measured events),
multipliers, block RAMs, and energy where a caller can tell it. For each choice for a whole core
(`core_choices`: the timesteps a block) all lanes, events and products a cycle of every part are
searched (`golden.cost.part_search`). Those cores that no other one beats in what matters are the
Pareto front; the budgets choose from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import le
from typing import Any, Literal

import numpy as np

from golden.blocks import block_lengths
from golden.cost.activity import Activity, by_block
from golden.cost.block_rams import core_block_rams, outlet_block_rams, part_block_rams
from golden.cost.cycles import Part, block_cycles, loop_cycles, refreshes
from golden.cost.part_search import Costs, cheapest
from golden.cost.timeline import Timeline
from golden.errors import UserError
from golden.hardware.core import CoreParams, possible_blocks
from golden.hardware.layer import LayerHardware
from golden.hardware.params import GRADED, LIST_BUFFERS, HardwareParams, listed
from golden.hardware.stages import DELAY_LATENCY

Objective = Literal["cycles", "multipliers", "energy"]
ONE_LANE: HardwareParams[int] = HardwareParams(1)


@dataclass(frozen=True)
class Candidate:
    """A configuration and what it costs.

    `cycles` a timestep on average, of the slowest part or of the input; `latency`, cycles from a
    sequence's first item to its last result, where it was computed; `energy` of a sequence (uJ),
    where it was.
    """

    hardware: HardwareParams
    cycles: float
    multipliers: int
    block_rams: int
    latency: float | None = None
    energy: float | None = None

    @property
    def costs(self) -> tuple[float, int, int]:
        return self.cycles, self.multipliers, self.block_rams

    @property
    def costs_with_energy(self) -> tuple[float, float, int, int]:
        assert self.energy is not None
        return self.energy, *self.costs

    def make_variables(self) -> str:
        """Return the variables that `make` builds it with."""
        h = self.hardware
        return (
            f"LANES={listed(h.lanes, ',')} BLOCK={h.block}"
            f" EVENTS={listed(h.events_per_cycle, ',')}"
            f" PRODUCTS={listed(h.products_per_cycle, ',')}"
            + f" GRADED={h.graded}" * (h.graded != "own")
            + " REPORTS=1" * h.reports
            + f" LISTS={h.list_buffers}" * (h.list_buffers > min(LIST_BUFFERS))
            + f" LINK={h.link_items}" * (h.link_items > 1)
            + f" INPUT={h.input_items}" * (h.input_items > 1)
        )


@dataclass(frozen=True)
class Budget:
    """The most that may be spent; None is no limit. `cycles` a timestep, `latency` a sequence, and
    `energy` (uJ) as well.
    """

    multipliers: int | None = None
    block_rams: int | None = None
    cycles: float | None = None
    latency: float | None = None
    energy: float | None = None

    def allows(self, candidate: Candidate) -> bool:
        limits = (
            (self.multipliers, candidate.multipliers),
            (self.block_rams, candidate.block_rams),
            (self.cycles, candidate.cycles),
            (self.latency, candidate.latency),
            (self.energy, candidate.energy),
        )
        return all(limit is None or cost is None or cost <= limit for limit, cost in limits)


def part_cycles(
    part: Part, addresses: np.ndarray, n_timesteps: int, spikes: np.ndarray | None = None
) -> float:
    """Return the cycles a timestep that a part takes on average when it never waits for others; a
    recurrent layer's `spikes` (B, K, N) must be given.

    From a refresh to the next, the walk of the groups waits for as many state updates as it took
    timesteps.
    """
    lengths = block_lengths(n_timesteps, part.block)
    cycles = block_cycles(part, addresses, lengths)
    if isinstance(part, LayerHardware) and part.params.recurrent:
        assert spikes is not None
        cycles = cycles + loop_cycles(part, addresses, spikes)
    else:
        cycles = cycles + part.drain
    if isinstance(part, LayerHardware) and part.dense_steps:
        starts = np.flatnonzero(refreshes(part, lengths))  # the first block is one of them
        more = np.diff(np.append(starts, cycles.shape[-1])) - 1
        updates = part.state_update.block_cycles + more * part.block * part.state_update.interval
        cycles = np.maximum(np.add.reduceat(cycles, starts, axis=-1), updates)
    return float(cycles.sum(-1).mean()) / n_timesteps


def delay_cycles(part: LayerHardware, delayed: np.ndarray, items: np.ndarray) -> float:
    """Return the cycles a timestep that a delay line takes on average, out of which these inputs
    come (B, K, M) bool, and into which items (B, K) come from outside; it takes as many as it sends
    where they come from a layer.

    The words that are read hold up what comes in.
    """
    sent = by_block(delayed, part.block).any(2).sum(2) + 1
    received = by_block(items, part.block).sum(2) if part.external else sent
    cycles = np.maximum(
        DELAY_LATENCY + 2 + np.maximum(sent, part.delay_ring.words),
        received + part.delay_ring.words,
    )
    sequence_end = DELAY_LATENCY + part.delay_ring.depth
    return float(cycles.sum(1).mean() + sequence_end) / delayed.shape[1]


def link_cycles(activity: Activity, core: CoreParams) -> float:
    """Return the cycles a timestep on average of the slowest of what is between parts: items that
    pass, one a cycle, and delay lines.
    """
    n_timesteps = activity.n_timesteps
    sent = activity.addresses[core.hardware.block][1:]
    links = [part.received_items for part in core.parts.values()][1:]
    links += [1] * (len(sent) - len(links))  # what leaves the core
    items = [-(-n // width) + 1 for n, width in zip(sent, links, strict=True)]
    # An end of a timestep is an item, also of events that come together.
    items.append(-(-(activity.items - 1) // core.hardware.input_items) + 1)
    if core.spike_output:  # which leave by timesteps
        items.append(activity.run.layers[-1].spike_counts + 1)
    entering = np.count_nonzero(activity.payloads, axis=2) + 1
    return max(
        *((float(of.sum(1).mean()) + 1) / n_timesteps for of in items),
        *(
            delay_cycles(part, layer.delayed, entering)
            for part, layer in zip(core.layers, activity.run.layers, strict=True)
            if layer.delayed is not None
        ),
    )


def price_part(activity: Activity, index: int, part: Part) -> tuple[float, int, int]:
    """Return what a layer, or the readout, costs: its cycles a timestep on average, multipliers,
    block RAMs.
    """
    spikes = [*(layer.spikes for layer in activity.run.layers), None][index]
    addresses = activity.addresses[part.block][index]
    cycles = part_cycles(part, addresses, activity.n_timesteps, spikes)
    return cycles, sum(part.multipliers.values()), part_block_rams(part)


def price(activity: Activity, hardware: HardwareParams) -> Candidate:
    """Return what a configuration costs.

    Its cycles are those of the part that is the slowest on average, or of the items that pass
    between two parts, one a cycle; a wide link is taken to be full. Where parts are slow in turns,
    or a sequence has few blocks, the core takes more (a sixth is common, a third the most seen),
    since only few blocks wait before a part (`HardwareParams.list_buffers`).
    """
    core = CoreParams(activity.network.params, hardware)
    parts = [price_part(activity, i, part) for i, part in enumerate(core.parts.values())]
    cycles = max(link_cycles(activity, core), *(cycles for cycles, _, _ in parts))
    return Candidate(hardware, cycles, core.multipliers, core_block_rams(core))


def core_choices(
    activity: Activity, given: HardwareParams[int] = ONE_LANE
) -> list[HardwareParams[int]]:
    """Return what may be chosen for a whole core, on one lane each: the timesteps of a block, and
    where inputs are graded whose multipliers take them. What else a core has is `given`: reports,
    lists, and the items of links and of the input, of which all are added.
    """
    params = activity.network.params
    most = max(given.link_items, given.input_items)
    first = params.layers[0]
    graded = GRADED if first.formats.payload.width > 1 and first.n_state else GRADED[:1]
    return [
        replace(
            given,
            block=block,
            graded=multipliers,
            events_per_cycle=most,
            products_per_cycle=most,
        )
        for block in (possible_blocks(params) if given.input_items == 1 else (1,))
        for multipliers in graded
    ]


def cores(
    activity: Activity,
    progress: Callable[[int], object] = lambda n: None,
    given: HardwareParams[int] = ONE_LANE,
) -> list[Candidate]:
    """Return for each of the choices for a whole core the cores that no other one with it beats.
    `progress` is called with 1 for each of these choices.
    """
    found = []
    for hardware in core_choices(activity, given):
        core = CoreParams(activity.network.params, hardware)
        parts = list(core.parts.values())

        def of_part(
            index: int, hardware: HardwareParams[int], parts: list[Part] = parts
        ) -> tuple[float, int, int]:
            return price_part(activity, index, replace(parts[index], hardware=hardware))

        least = link_cycles(activity, core), 0, outlet_block_rams(core)
        found += [Candidate(of, *costs) for of, costs in cheapest(core, of_part, least)]
        progress(1)
    return found


def pareto(candidates: Iterable[Candidate], energy: bool = False) -> list[Candidate]:
    """Return the candidates that no other one beats in all costs, the fastest first; or with
    `energy` in this as well, the one that takes least first.
    """
    if not energy:
        given = list(candidates)
        kept = Costs.of([one.costs for one in given]).unbeaten() if given else []
        return sorted((given[place] for place in kept), key=lambda one: one.costs)
    front: dict[tuple[float, ...], Candidate] = {}
    for candidate in sorted(candidates, key=lambda one: one.costs_with_energy):
        cost = candidate.costs_with_energy
        if not any(all(map(le, other, cost)) for other in front):
            front[cost] = candidate
    return list(front.values())


def with_latency(activity: Activity, candidate: Candidate) -> Candidate:
    """Return a candidate with its latency, as the timeline of the first sequence has it."""
    core = CoreParams(activity.network.params, candidate.hardware)
    golden = activity.of_block(candidate.hardware.block)
    first = slice(0, 1)
    layers = [
        replace(
            layer,
            spikes=layer.spikes[first],
            addresses=layer.addresses[first],
            delayed=None if layer.delayed is None else layer.delayed[first],
        )
        for layer in golden.layers
        if layer.spikes is not None
    ]
    ends = Timeline(core, activity.payloads[first], layers).ends
    return replace(candidate, latency=float(ends[0] + 1))


def choose(
    candidates: Sequence[Candidate], budget: Budget, objective: Objective | None = None
) -> Candidate:
    """Return the best candidate within a budget, or raise `UserError`.

    Without an objective it is the one with the fewest multipliers where cycles or a latency are
    asked for, else the fastest.
    """
    allowed = [candidate for candidate in candidates if budget.allows(candidate)]
    if not allowed:
        latencies = [c.latency for c in candidates if c.latency is not None]
        energies = [c.energy for c in candidates if c.energy is not None]
        raise UserError(
            "no configuration is within the budget: the fastest takes"
            f" {min(c.cycles for c in candidates):.1f} cycles a timestep, the smallest"
            f" {min(c.multipliers for c in candidates)} multipliers and"
            f" {min(c.block_rams for c in candidates)} block RAMs"
            + (f", the shortest latency is {min(latencies):.0f} cycles" if latencies else "")
            + (f", the least energy {min(energies):.2f} uJ" if energies else "")
        )
    return min(allowed, key=_order(budget, objective))


def _order(budget: Budget, objective: Objective | None) -> Callable[[Candidate], Any]:
    """Return what is least of the best candidate."""
    asked = budget.cycles is not None or budget.latency is not None
    objective = objective or ("multipliers" if asked else "cycles")
    if objective == "energy":
        return lambda c: c.costs_with_energy
    if objective == "cycles":
        return lambda c: c.costs
    return lambda c: (c.multipliers, c.block_rams, c.cycles)


def least_latency(activity: Activity, hardware: HardwareParams) -> int:
    """Return the cycles that the first sequence takes at least: the steps of the slowest part."""
    core = CoreParams(activity.network.params, hardware)
    lengths = block_lengths(activity.n_timesteps, hardware.block)
    received = activity.addresses[hardware.block]
    return max(
        int(block_cycles(part, addresses[0], lengths).sum())
        for part, addresses in zip(core.parts.values(), received, strict=False)
    )


def with_latencies(
    activity: Activity, front: Sequence[Candidate], budget: Budget, objective: Objective | None
) -> list[Candidate]:
    """Return a front with the latency of its best candidate within the budget, and of those that
    had to be looked at to find it; where there is none, with the shortest latency.
    """
    assert budget.latency is not None
    least = {one.hardware: least_latency(activity, one.hardware) for one in front}
    timed: dict[HardwareParams, Candidate] = {}

    def found() -> list[Candidate]:
        return [timed.get(one.hardware, one) for one in front]

    for one in sorted(front, key=_order(budget, objective)):
        if least[one.hardware] <= budget.latency:
            timed[one.hardware] = with_latency(activity, one)
            if budget.allows(timed[one.hardware]):
                return found()
    shortest = min((one.latency or 0 for one in timed.values()), default=np.inf)
    for one in sorted(front, key=lambda one: least[one.hardware]):
        if one.hardware not in timed and least[one.hardware] < shortest:
            timed[one.hardware] = with_latency(activity, one)
            shortest = min(shortest, timed[one.hardware].latency or 0)
    return found()


def fit(
    activity: Activity,
    budget: Budget,
    progress: Callable[[int], object] = lambda n: None,
    *,
    objective: Objective | None = None,
    energy: Callable[[Candidate], float] | None = None,
    given: HardwareParams[int] = ONE_LANE,
) -> tuple[Candidate, list[Candidate], list[Candidate]]:
    """Return the chosen configuration, the front that it was chosen from, and the cores that no
    other one beats of those with the same choices for a whole core (the timesteps a block).

    `energy` tells that of a candidate. Where a budget or the objective asks for it, it must be
    there; it is then told of all these cores within the other budgets, and the front is also one
    of energy. Else it is told of the front only. Where the budget limits it, the latency is told
    of as many of the front as the choice needs. So a core that is not in the front is not chosen,
    though it may take less energy, or a shorter time alone. `progress` is called with 1 for each
    choice for a whole core. What else the cores have is `given` (see `core_choices`); the sequences
    ask for no reports.
    """
    found = cores(activity, progress, given)

    def within(candidates: list[Candidate], limits: Budget) -> list[Candidate]:
        allowed = [candidate for candidate in candidates if limits.allows(candidate)]
        return allowed or [choose(candidates, limits)]  # says why there is none

    def told(candidates: list[Candidate]) -> list[Candidate]:
        return [replace(c, energy=energy(c)) for c in candidates] if energy else candidates

    area = within(found, replace(budget, latency=None, energy=None))
    if budget.energy is not None or objective == "energy":
        front = pareto(within(told(area), Budget(energy=budget.energy)), energy=True)
    else:
        front = told(pareto(area))
    if budget.latency is None:
        return choose(front, budget, objective), front, found
    front = with_latencies(activity, front, budget, objective)
    known = [candidate for candidate in front if candidate.latency is not None]
    return choose(known, budget, objective), front, found
