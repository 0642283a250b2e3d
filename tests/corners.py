"""The corners of the design, which drawn networks reach which, and the few that are chosen to reach
all of them.

    python -m tests.corners

chooses again and prints `CHOSEN` and `VERILATED`: greedily, of many that are drawn, the network
that reaches the most of the corners that are still missing, by the time that it takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from unittest.mock import patch

import numpy as np

from golden.cost.spans import KINDS, spans
from golden.cost.timeline import Timeline
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.hardware.params import BLOCKS, EVENTS, LINK_ITEMS, LIST_BUFFERS
from golden.hardware.part import PartHardware
from golden.integer import run
from golden.runs import LayerRun, Run
from tests.network_kinds import DRAWS
from tests.networks import Drawn

# By their draw in `DRAWS`, the seeds of those that run in Amaranth's simulator.
CHOSEN: dict[str, tuple[int, ...]] = {
    "plain": (
        23, 32, 33, 35, 48, 49, 112, 139, 148, 180, 190, 200, 254, 267, 296, 345, 352, 353, 356,
    ),
    "delays": (
        52, 68, 139, 148, 163, 186, 190, 195, 210, 259, 278, 296, 303, 345, 353, 356, 394,
    ),
    "loop": (86, 163, 175, 259, 263, 266, 285, 327, 330, 359, 393),
    "loop and delays": (81, 303, 307),
    "four events": (23, 30, 34, 37, 48, 102, 114, 148, 190, 191),
    "wide links": (
        11, 14, 17, 21, 23, 37, 92, 103, 107, 114, 131, 133, 144, 160, 196, 202, 254, 283, 293, 296,
    ),
}  # fmt: skip
# The same of those that run as Verilog.
VERILATED: dict[str, tuple[int, ...]] = {
    "plain": (103, 352, 382),
    "delays": (66, 303),
    "loop": (310, 388),
    "loop and delays": (280,),
    "four events": (47,),
    "wide links": (37, 206),
}
TIMES = 2  # how many of the chosen networks reach each corner, at least

SEVERAL = BLOCKS[1:]
BY_BLOCK = ("T=1", "T>1")

# T timesteps at once, E events and K products a cycle, d values of a slow state. What meets in a
# component is listed by twos.
HARDWARE = {
    *(f"{lanes} lanes" for lanes in range(1, 9)),
    *(f"T={block}, E={events}" for block, events in product(BLOCKS, EVENTS)),
    *(f"T={block}, K={products}" for block, products in product(BLOCKS, ("1", "2", "3", "more"))),
    *(f"T={block}, a partial block" for block in SEVERAL),
    *(f"{several}, {buffers} buffers" for several, buffers in product(BY_BLOCK, LIST_BUFFERS)),
    *(f"{several}, more than 3 buffers are full" for several in BY_BLOCK),
}  # fmt: skip
NETWORK = {
    *(f"{count} layers" for count in (1, 2, 3)),
    *(f"d={d}" for d in (0, 1, 2, 5, 12)),
    *(f"T={block}, a slow state" for block in BLOCKS),
    *(f"T={block}, graded" for block in BLOCKS),
    *(f"E={events}, graded" for events in EVENTS),
    *(f"{several}, dilation {n}" for several, n in product(BY_BLOCK, (1, 2, 3, 4))),
    *(f"{several}, slow states {than} drives" for several, than in product(
        BY_BLOCK, ("narrower than", "as wide as", "wider than"))),
    *(f"{place}, reset to {what}" for place, what in product(
        ("first", "later"), ("subtract", "to_value"))),
    *(f"{what} saturates" for what in ("drive", "state", "membrane")),
    *(f"{several}, {what}" for several, what in product(
        BY_BLOCK, ("a silent block", "a block of every input", "all neurons spike"))),
}  # fmt: skip
MICROARCHITECTURE = {
    *(f"{part}: {what}" for part, what in product(
        ("layer", "readout"),
        ("one group", "many groups", "a group partly used", "drains", "reads while it writes"))),
    *(f"fold of T={block}" for block in SEVERAL),
    *(f"{what}, membranes {how}" for what, how in product(BY_BLOCK, ("relaxed", "quick"))),
    *(f"updates {what}" for what in (
        "relaxed", "quick", "of one row group", "of many row groups", "by one", "by many", "lag")),
    *(f"{several}, steps by {what}" for several, what in product(
        BY_BLOCK, ("events", "products"))),
    "T>1, steps by outputs",
    *(f"{several}, a cycle of {kind}" for several, kind in product(BY_BLOCK, KINDS)
      if (several, kind) != ("T=1", "results")),
}  # fmt: skip
DELAYS = {
    *(f"delays of {what}" for what in ("nothing", "the most", "many lengths")),
    *(f"delays of up to {most}" for most in ("1", "2", "17", "more than a sequence")),
    *(f"delays before {place}" for place in ("the first layer", "a later layer")),
    *(f"delays, T={block}" for block in BLOCKS),
    *(f"delays, E={events}" for events in EVENTS),
    "delays into two blocks", "delays of a ring of one word", "delays of a ring of many words",
    "delays before a slow state",
}  # fmt: skip
RECURRENT = {
    *(f"layers {places}" for places in ("r", "rr", "rf", "fr", "rff", "frf", "ffr")),
    *(f"recurrent, E={events}" for events in EVENTS),
    *(f"recurrent, {what}" for what in (
        "graded", "spikes", "after a layer", "one group", "many groups", "last spikes are dropped",
        "all neurons spike", "few spikes", "delays")),
    *(f"recurrent, {what}" for what in ("1 timestep", "2 timesteps", "more timesteps")),
}  # fmt: skip
LINKS = {
    *(f"link of {items}, T={block}" for items, block in product(LINK_ITEMS[1:], BLOCKS)),
    *(f"link of {items}, {what}" for items, what in product(LINK_ITEMS[1:], (
        "E=4", "reports", "a slow state", "segments share no item", "items that are partly full"))),
}  # fmt: skip
CORNERS = HARDWARE | NETWORK | MICROARCHITECTURE | DELAYS | RECURRENT | LINKS
# What shapes the Verilog: each corner once is enough, since values and cycles are those of the
# components.
SHAPES = {
    *(f"T={block}, a slow state" for block in BLOCKS),
    "T=1, E=1", "T=1, E=2", "T=1, E=4", "T=1, 6 buffers", "T>1, 6 buffers",
    "link of 2, T=4", "link of 4, a slow state",
    *(f"{several}, slow states {than} drives" for several, than in product(
        BY_BLOCK, ("narrower than", "wider than"))),
    *(f"{several}, membranes {how}" for several, how in product(BY_BLOCK, ("relaxed", "quick"))),
    *(f"E={events}, graded" for events in EVENTS),
    "T=1, K=more", "T>1, dilation 2", "T=1, dilation 3", "3 layers", "fold of T=2", "updates lag",
    "updates relaxed", "updates by many", "layer: drains", "later, reset to to_value",
    "first, reset to subtract", "drive saturates", "state saturates", "membrane saturates",
    "delays before the first layer", "delays before a later layer", "delays into two blocks",
    "delays of a ring of many words", "layers rf", "recurrent, graded", "recurrent, delays",
    "recurrent, after a layer",
}  # fmt: skip


@dataclass(frozen=True)
class Reached:
    """A drawn network and the corners that it reaches. The times that its test takes, in seconds,
    are fitted to its `cycles`, and to the products of a cycle for which it has room, its `width`.
    """

    draw: str
    seed: int
    corners: frozenset[str]
    layers: int
    width: int
    cycles: int

    @property
    def simulated(self) -> float:
        """In Amaranth's simulator."""
        return self.layers + self.cycles * (1 / 1000 + self.width / 270_000)

    @property
    def verilated(self) -> float:
        """As Verilog, which must be generated and compiled."""
        return 5 + 2 * self.layers + self.width / 100


def corners(drawn: Drawn) -> set[str]:
    """Return the corners that a drawn network reaches on its hardware with its input."""
    core = CoreParams(drawn.network.params, drawn.hardware)
    block, reports = core.hardware.block, drawn.reports
    golden = run(drawn.network, drawn.payloads, block=block, reports=reports, trace=True)
    hardware, n_timesteps = core.hardware, drawn.payloads.shape[1]
    products = hardware.products_per_cycle
    several = "T>1" if block > 1 else "T=1"
    found = {
        f"T={block}, E={hardware.events_per_cycle}",
        f"T={block}, K={products if products < 4 else 'more'}",
        f"{several}, {hardware.list_buffers} buffers",
        f"{len(core.layers)} layers",
        f"layers {''.join('fr'[layer.params.recurrent] for layer in core.layers)}",
        *(f"{layer.lanes} lanes" for layer in core.layers),
    }
    if n_timesteps > block and n_timesteps % block:
        found.add(f"T={block}, a partial block")
    timeline = Timeline(core, drawn.payloads, golden.layers, reports)
    stop = int(timeline.ends[-1])
    if hardware.link_items > 1 and _tells_segments(drawn, golden, timeline):
        found.add(f"link of {hardware.link_items}, segments share no item")
    if hardware.list_buffers > 3 and _needs_more(drawn, golden, timeline):
        found.add(f"{several}, more than 3 buffers are full")
    for turns in timeline.turns:
        found |= {f"{several}, a cycle of {span.kind}" for span in spans(turns, stop)}
    for name, part in core.parts.items():
        kind = "readout" if name == "readout" else "layer"
        found |= {f"{kind}: {what}" for what in _of_groups(part)}
    for index, (layer, done) in enumerate(zip(core.layers, golden.layers, strict=True)):
        found |= set(_of_layer(layer, several, index > 0))
        found |= set(_of_run(layer, done, several))
        if layer.delayed:
            delays = drawn.network.layers[index].delays
            found |= set(_of_delays(layer, done, delays, n_timesteps, index > 0))
        if layer.sent_items > 1:
            found |= {f"link of {layer.sent_items}, {what}" for what in _of_link(layer, done)}
            if index + 1 < len(core.layers) and core.layers[index + 1].params.n_state:
                found.add(f"link of {layer.sent_items}, a slow state")
        if layer.params.recurrent:
            found |= {f"recurrent, {what}" for what in _of_loop(layer, done, index > 0)}
    return found


def _needs_more(drawn: Drawn, golden: Run, timeline: Timeline) -> bool:
    """Return whether the core would take another time with three buffers."""
    fewer = CoreParams(drawn.network.params, replace(drawn.hardware, list_buffers=3))
    other = Timeline(fewer, drawn.payloads, golden.layers, drawn.reports)
    return not np.array_equal(other.starts, timeline.starts)


def _tells_segments(drawn: Drawn, golden: Run, timeline: Timeline) -> bool:
    """Return whether the core would take another time if all lanes of a group shared items."""
    core = CoreParams(drawn.network.params, drawn.hardware)
    with patch("golden.cost.core_timeline.MASK_SEGMENT", 256):
        other = Timeline(core, drawn.payloads, golden.layers, drawn.reports)
    return not np.array_equal(other.starts, timeline.starts)


def _of_groups(part: PartHardware) -> Iterator[str]:
    if part.n_groups == 1:
        yield "one group"
    if part.n_groups >= 8 or (part.n_outputs < 12 and part.n_groups >= 4):
        yield "many groups"
    if part.last_group_lanes < part.lanes:
        yield "a group partly used"
    if part.drain:
        yield "drains"
    if part.reads_while_writing:
        yield "reads while it writes"


def _of_layer(layer: LayerHardware, several: str, later: bool) -> Iterator[str]:
    params, block = layer.params, layer.block
    yield f"d={params.n_state}"
    yield f"{'later' if later else 'first'}, reset to {params.reset}"
    yield f"{several}, membranes {'relaxed' if layer.neuron_fold.relaxed else 'quick'}"
    if layer.fold > 1:
        yield f"fold of T={block}"
    if layer.payload.width > 1:
        yield f"T={block}, graded"
        yield f"E={layer.hardware.events_per_cycle}, graded"
    if not params.n_state:
        return
    update = layer.state_update
    yield f"T={block}, a slow state"
    yield f"{several}, dilation {params.dilation}"
    states, drives = params.formats.m.width, params.formats.x.width
    than = (
        "as wide as" if states == drives else "wider than" if states > drives else "narrower than"
    )
    yield f"{several}, slow states {than} drives"
    yield f"updates {'relaxed' if update.relaxed else 'quick'}"
    yield f"updates of {'one row group' if update.row_groups == 1 else 'many row groups'}"
    yield f"updates by {'one' if update.lanes == 1 else 'many'}"
    if update.lag > 1:
        yield "updates lag"


def _of_run(layer: LayerHardware, done: LayerRun, several: str) -> Iterator[str]:
    for what in ("drive", "state", "membrane"):
        if getattr(done, f"{what}_saturations").any():
            yield f"{what} saturates"
    if not done.addresses.all():
        yield f"{several}, a silent block"
    if (done.addresses == layer.n_addresses).any() and layer.n_addresses > 1:
        yield f"{several}, a block of every input"
    if (done.spike_counts == layer.params.n_neurons).any() and layer.params.n_neurons > 1:
        yield f"{several}, all neurons spike"
    sparse = layer.sparse_steps(done.addresses)
    if (sparse > max(layer.dense_steps, layer.output_steps)).any():
        yield f"{several}, steps by events"
    if layer.dense_steps > layer.output_steps and (sparse < layer.dense_steps).any():
        yield f"{several}, steps by products"
    if layer.output_steps > layer.dense_steps and (sparse < layer.output_steps).any():
        yield f"{several}, steps by outputs"


def _of_delays(
    layer: LayerHardware, done: LayerRun, delays: np.ndarray, n_timesteps: int, later: bool
) -> Iterator[str]:
    most = layer.params.max_delay
    yield f"delays before {'a later layer' if later else 'the first layer'}"
    yield f"delays, T={layer.block}"
    yield f"delays, E={layer.hardware.events_per_cycle}"
    yield f"delays of up to {most if most <= n_timesteps else 'more than a sequence'}"
    if len(set(delays.tolist())) > 1:
        yield "delays of many lengths"
    elif len(delays) > 1:
        yield f"delays of {'the most' if delays[0] else 'nothing'}"
    if done.arrivals is not None and done.arrival_slots is not None:
        if (done.arrival_slots > done.arrivals).any():
            yield "delays into two blocks"
    yield f"delays of a ring of {'one word' if layer.delay_ring.words == 1 else 'many words'}"
    if layer.params.n_state:
        yield "delays before a slow state"


def _of_loop(layer: LayerHardware, done: LayerRun, later: bool) -> Iterator[str]:
    n_timesteps, rates = done.events.shape[1], done.spike_counts / layer.params.n_neurons
    yield f"E={layer.hardware.events_per_cycle}"
    yield "graded" if layer.payload.width > 1 else "spikes"
    yield (
        "1 timestep"
        if n_timesteps == 1
        else "2 timesteps"
        if n_timesteps == 2
        else "more timesteps"
    )
    if later:
        yield "after a layer"
    if layer.n_groups == 1 or layer.n_groups >= 8:
        yield "one group" if layer.n_groups == 1 else "many groups"
    if done.spike_counts[:, -1].any():
        yield "last spikes are dropped"
    if rates.max() == 1:
        yield "all neurons spike"
    if 0.02 < rates.mean() < 0.5:
        yield "few spikes"
    if layer.delayed:
        yield "delays"


def _of_link(layer: LayerHardware, done: LayerRun) -> Iterator[str]:
    """What a layer reaches that sends more spikes at once than an item of its link holds."""
    assert done.spikes is not None
    if done.spike_counts.max() <= layer.sent_items:
        return
    yield f"T={layer.block}"
    if layer.hardware.events_per_cycle == 4:
        yield "E=4"
    if layer.reports:
        yield "reports"
    if (done.spikes.sum(2) % layer.sent_items).any():
        yield "items that are partly full"


def choose(
    pool: Sequence[Reached],
    wanted: Iterable[str],
    times: int,
    seconds: Callable[[Reached], float],
) -> list[Reached]:
    """Return a few quick networks, of which `times` reach each corner that is wanted."""
    missing = Counter(dict.fromkeys(wanted, times))
    chosen: list[Reached] = []
    while +missing:
        left = [of for of in pool if of not in chosen]
        best = max(left, key=lambda of: sum(missing[c] > 0 for c in of.corners) / seconds(of))
        if not any(missing[corner] > 0 for corner in best.corners):
            raise ValueError(f"too few networks reach {sorted(+missing)}")
        chosen.append(best)
        missing.subtract(best.corners & missing.keys())
    for of in sorted(chosen, key=seconds, reverse=True):  # what later ones made superfluous
        reached = Counter(corner for other in chosen if other != of for corner in other.corners)
        if all(reached[corner] >= times for corner in wanted):
            chosen.remove(of)
    return chosen


def reach(draw: str, seed: int) -> Reached:
    """Return a drawn network with what it reaches."""
    drawn = DRAWS[draw](seed)
    core = CoreParams(drawn.network.params, drawn.hardware)
    block, reports = core.hardware.block, drawn.reports
    golden = run(drawn.network, drawn.payloads, block=block, reports=reports, trace=True)
    loaded = sum(memory.depth * memory.items for memory in core.memories.values())
    cycles = loaded + int(Timeline(core, drawn.payloads, golden.layers, reports).ends[-1])
    a_lane = core.hardware.products_per_cycle + core.hardware.events_per_cycle
    width = sum(layer.lanes * layer.block * a_lane for layer in core.layers)
    found = frozenset(corners(drawn))
    return Reached(draw, seed, found, len(core.layers), width, cycles)


def main() -> None:
    pool = [reach(draw, seed) for draw in CHOSEN for seed in range(400)]
    for name, wanted, times, seconds in (
        ("CHOSEN", CORNERS, TIMES, lambda of: of.simulated),
        ("VERILATED", SHAPES, 1, lambda of: of.verilated),
    ):
        chosen = choose(pool, wanted, times, seconds)
        seeds = {draw: sorted(of.seed for of in chosen if of.draw == draw) for draw in CHOSEN}
        print(f"{name} = {seeds}  # {len(chosen)} networks, {sum(map(seconds, chosen)):.0f} s")


if __name__ == "__main__":
    main()
