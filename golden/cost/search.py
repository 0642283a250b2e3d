"""Choose hardware for a network from the events that it receives: no Torch, no RTL.

Every configuration of lanes, block, events and products a cycle is priced: cycles a timestep of the
slowest part (`golden.cost.cycles`, on measured events), multipliers, block RAMs, and energy where a
caller can tell it. Those that no other one beats in what matters are the Pareto front; the budgets
choose from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import le
from typing import Literal

import numpy as np

from golden.blocks import block_lengths, count_arrivals
from golden.cost.cycles import Part, block_cycles, loop_cycles, refreshes
from golden.cost.operands import used_operands
from golden.cost.timeline import Timeline
from golden.errors import UserError
from golden.hardware.core import CoreParams, possible_blocks
from golden.hardware.layer import LayerHardware
from golden.hardware.memory import MemoryParams
from golden.hardware.part import EVENTS, HardwareParams
from golden.hardware.stages import DELAY_LATENCY
from golden.integer import NetworkIntegers, run
from golden.runs import Run

LANES = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128)
# A DP16KD of the ECP5: bits of a word, words.
_BLOCK_RAM_SHAPES = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
Objective = Literal["cycles", "multipliers", "energy"]
_DISTRIBUTED_WORDS = 64  # up to which a memory of the ECP5 lies in its LUTs


@dataclass(frozen=True)
class Activity:
    """What a network did with B sequences of K timesteps.

    `run` is the traced golden run; `addresses` the distinct addresses (B, blocks) that each layer
    and the readout received, for each block that a core can have, and `arrivals` the same before
    delays: what `LayerRun` calls arrivals and slots, None for a layer without delays; `items`
    (B, K) what enters the first layer's list; `used` the share of each layer's
    operands that is not zero.
    """

    network: NetworkIntegers
    payloads: np.ndarray
    run: Run
    addresses: dict[int, list[np.ndarray]]
    arrivals: dict[int, list[tuple[np.ndarray, np.ndarray] | None]]
    items: np.ndarray
    used: list[float]

    @property
    def n_timesteps(self) -> int:
        return self.payloads.shape[1]

    def of_block(self, block: int) -> Run:
        """Return the run with its addresses counted for this block."""
        addresses = self.addresses[block]
        layers = [
            replace(layer, addresses=found)
            for layer, found in zip(self.run.layers, addresses, strict=False)
        ]
        for index, arrived in enumerate(self.arrivals[block]):
            if arrived is not None:
                arrivals, slots = arrived
                layers[index] = replace(layers[index], arrivals=arrivals, arrival_slots=slots)
        lengths = block_lengths(self.n_timesteps, block)
        return replace(self.run, layers=layers, readout_addresses=addresses[-1], lengths=lengths)


def measure_activity(network: NetworkIntegers, payloads: np.ndarray) -> Activity:
    """Run sequences (B, K, M) through the golden network and count what its parts receive."""
    golden = run(network, payloads, trace=True)
    sent = [payloads != 0, *(layer.spikes for layer in golden.layers)]
    delayed = [*(layer.delayed for layer in golden.layers), None]
    received = [d if d is not None else s for d, s in zip(delayed, sent, strict=True)]
    # A timestep's events, own spikes among them, have distinct addresses.
    events = [*(layer.events for layer in golden.layers), golden.layers[-1].spike_counts]
    addresses = {1: events}
    for block in possible_blocks(network.params)[1:]:
        addresses[block] = []
        for spikes in received:
            assert spikes is not None
            addresses[block].append(by_block(spikes, block).any(2).sum(2))
    arrivals: dict[int, list[tuple[np.ndarray, np.ndarray] | None]] = {b: [] for b in addresses}
    for block, found in arrivals.items():
        for index, (params, layer) in enumerate(
            zip(network.params.layers, network.layers, strict=True)
        ):
            values = sent[index]
            assert values is not None
            found.append(
                count_arrivals(layer.delays, values, block, external=index == 0)
                if params.max_delay
                else None
            )
    used = list(map(used_operands, network.params.layers, golden.layers))
    for layer in golden.layers:
        layer.keep_only_spikes()  # of other values nothing depends here
    return Activity(network, payloads, golden, addresses, arrivals, events[0] + 1, used)


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
            f"LANES={h.lanes} BLOCK={h.block} EVENTS={h.events_per_cycle}"
            f" PRODUCTS={h.products_per_cycle}" + " REPORTS=1" * h.reports
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


def block_rams(memory: MemoryParams, n_reads: int = 1) -> int:
    """Return an estimate of the ECP5's block RAMs for a memory; two read ports halve the width of
    a block RAM.
    """
    if memory.depth <= _DISTRIBUTED_WORDS:
        return 0
    shapes = [(w, d) for w, d in _BLOCK_RAM_SHAPES if n_reads == 1 or w <= 18]
    return min(-(-memory.width // w) * -(-memory.depth // d) for w, d in shapes)


def core_block_rams(core: CoreParams) -> int:
    """Return an estimate of the ECP5's block RAMs for all memories of a core."""
    outlet = core.spike_output
    total = sum(map(block_rams, outlet.buffers.values())) if outlet else 0
    for part in core.parts.values():
        total += sum(map(block_rams, part.buffers.values()))
        for name, memory in part.memories.items():
            if name != "scalars":
                segments = [replace(memory, depth=depth) for depth in memory.segments]
                copies = part.copies(name)
                total += sum(block_rams(segment, n) for segment in segments for n in copies)
    return total


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


def by_block(values: np.ndarray, block: int) -> np.ndarray:
    """Return (B, blocks, block, ...) of (B, K, ...), with zeros after the last timestep."""
    missing = [(0, 0)] * values.ndim
    missing[1] = 0, -values.shape[1] % block
    return np.pad(values, missing).reshape(len(values), -1, block, *values.shape[2:])


def price(activity: Activity, hardware: HardwareParams) -> Candidate:
    """Return what a configuration costs.

    Its cycles are those of the part that is the slowest on average, or of the items that pass
    between two parts, one a cycle; a wide link is taken to be full. Where parts are slow in turns,
    or a sequence has few blocks, the core takes more (a sixth is common, a third the most seen),
    since only few blocks wait before a part (`HardwareParams.list_buffers`).
    """
    core = CoreParams(activity.network.params, hardware)
    addresses, n_timesteps = activity.addresses[hardware.block], activity.n_timesteps
    links = [part.received_items for part in core.parts.values()][1:]
    links += [1] * (len(addresses) - 1 - len(links))  # what leaves the core
    sent = zip(addresses[1:], links, strict=True)
    items = [activity.items, *(-(-found // width) + 1 for found, width in sent)]
    if core.spike_output:  # which leave by timesteps
        items.append(activity.run.layers[-1].spike_counts + 1)
    spikes = [*(layer.spikes for layer in activity.run.layers), None]
    received = zip(addresses, spikes, strict=True)  # those of the output last
    cycles = max(
        *(
            part_cycles(part, found, n_timesteps, sent)
            for part, (found, sent) in zip(core.parts.values(), received, strict=False)
        ),
        *((float(sent.sum(1).mean()) + 1) / n_timesteps for sent in items),
        *(
            delay_cycles(part, layer.delayed, np.count_nonzero(activity.payloads, axis=2) + 1)
            for part, layer in zip(core.layers, activity.run.layers, strict=True)
            if layer.delayed is not None
        ),
    )
    return Candidate(hardware, cycles, core.multipliers, core_block_rams(core))


def configurations(activity: Activity, reports: bool = False) -> list[HardwareParams]:
    """Return every configuration that is worth a price: more lanes than neurons, or more products
    than columns, are not. All are to have reports, or none.
    """
    params = activity.network.params
    most = max(layer.n_neurons for layer in params.layers)
    columns = max(layer.n_state for layer in params.layers) + 1
    lanes = [n for n in LANES if n < most] + [most]
    return [
        HardwareParams(n, block, events, products, reports=reports)
        for n in lanes
        if n <= 256
        for block in possible_blocks(params)
        for events in EVENTS
        for products in range(1, min(8, columns) + 1)
    ]


def pareto(candidates: Iterable[Candidate], energy: bool = False) -> list[Candidate]:
    """Return the candidates that no other one beats in all costs, the fastest first; or with
    `energy` in this as well, the one that takes least first.
    """
    front: dict[tuple[float, ...], Candidate] = {}
    costs = Candidate.costs_with_energy.fget if energy else Candidate.costs.fget
    assert costs is not None
    for candidate in sorted(candidates, key=costs):
        cost = costs(candidate)
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
    asked = budget.cycles is not None or budget.latency is not None
    objective = objective or ("multipliers" if asked else "cycles")
    if objective == "energy":
        return min(allowed, key=lambda c: c.costs_with_energy)
    if objective == "cycles":
        return min(allowed, key=lambda c: c.costs)
    return min(allowed, key=lambda c: (c.multipliers, c.block_rams, c.cycles))


def fit(
    activity: Activity,
    budget: Budget,
    progress: Callable[[int], object] = lambda n: None,
    *,
    objective: Objective | None = None,
    energy: Callable[[Candidate], float] | None = None,
    reports: bool = False,
) -> tuple[Candidate, list[Candidate], list[Candidate]]:
    """Return the chosen configuration, the front that it was chosen from, and all that were priced.

    `energy` tells that of a candidate. Where a budget or the objective asks for it, it must be
    there, and the front is also one of energy; else it is told of the front only, and so are
    latencies, where the budget limits them. `progress` is called with 1 after every configuration
    priced. With `reports` the cores have them, but the sequences ask for none.
    """
    priced = []
    for hardware in configurations(activity, reports):
        priced.append(price(activity, hardware))
        progress(1)

    def within(candidates: list[Candidate], limits: Budget) -> list[Candidate]:
        found = [candidate for candidate in candidates if limits.allows(candidate)]
        return found or [choose(candidates, limits)]  # says why there is none

    def told(candidates: list[Candidate]) -> list[Candidate]:
        return [replace(c, energy=energy(c)) for c in candidates] if energy else candidates

    area = within(priced, replace(budget, latency=None, energy=None))
    if budget.energy is not None or objective == "energy":
        front = pareto(within(told(area), Budget(energy=budget.energy)), energy=True)
    else:
        front = told(pareto(area))
    if budget.latency is not None:
        front = [with_latency(activity, candidate) for candidate in front]
    return choose(front, budget, objective), front, priced
