"""What an inference takes of each component of a core, from the golden model alone: what the
factors of `energy.estimate` are of.

A component's work is a few terms. Most are bits that its pipeline takes in; `cycles` are those of
the bits that may have a clock in every cycle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from energy.technology import Technology, becomes_registers
from golden.cost.cycles import Part, accesses
from golden.formats import Fixed
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.hardware.memory import MemoryParams
from golden.hardware.readout import ReadoutHardware
from golden.runs import Run

# What the memories are called in `golden.hardware`, where an access counter calls them otherwise.
MEMORIES = {"payload": "payloads0", "ring": "ring0"}

Terms = dict[str, float]


@dataclass(frozen=True)
class Work:
    """What an inference takes: its cycles, the energy of all accesses to memories (uJ), and the
    terms (in millions) of each component of `energy.calculate`.
    """

    cycles: float
    memories: float
    components: dict[str, Terms]


def work_of(
    core: CoreParams,
    run: Run,
    used: Sequence[float],
    cycles: float,
    technology: Technology,
) -> Work:
    """Return what an inference takes: the mean of all sequences of a golden run with the core's
    block, the share of each layer's operands that is not zero, and the cycles of an inference.
    """
    count = len(run.logits)
    counts: defaultdict[str, Terms] = defaultdict(dict)
    for name, found in accesses(core, run).items():
        part, _, what = name.partition(".")
        counts[part][what] = float(found.sum()) / count
    memories = 0.0
    components: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))

    def add(component: str, terms: Terms) -> None:
        for term, value in terms.items():
            components[component][term] += value / 1e6

    for name, part in core.parts.items():
        memories += _memories(part, counts[name], cycles, technology)
        add("lists and encoders", _lists(part, counts[name], cycles))
        if isinstance(part, ReadoutHardware):
            add("readout", _readout(part, counts[name], cycles))
            continue
        add("spike path", _spike_path(part, counts[name], part.params.formats.w_f, cycles))
        add("neuron stage", _neurons(part, counts[name], cycles))
        if part.params.n_state:
            share = used[list(core.parts).index(name)]
            add("dense path", _dense_path(part, counts[name], share, cycles))
            add("state update", _state_update(part, counts[name], share, cycles))
    add("counters", {"cycles": cycles * len(core.counters)})
    add("control", {"cycles": cycles})
    add("load", {"cycles": cycles})
    return Work(cycles, memories / 1e6, {name: dict(terms) for name, terms in components.items()})


def _spike_path(part: Part, counts: Terms, weight: Fixed, cycles: float) -> Terms:
    """Additions to sums; products with what a graded event carries, where they have multipliers of
    their own; weights that are read.
    """
    if isinstance(part, ReadoutHardware):
        width, reads = part.params.logit.width, counts["w_o_reads"]
    else:
        width, reads = part.sums["sums"].width, counts["w_f_reads"]
    added = counts["spike_additions"] * part.lanes
    graded = part.payload.width > 1 and not part.shares_products
    return {
        "sums": added * width,
        "products": added * weight.width * part.payload.width * graded,
        "weights": reads * part.lanes * weight.width,
        "cycles": cycles * part.lanes * part.block * width,
    }


def _readout(part: ReadoutHardware, counts: Terms, cycles: float) -> Terms:
    logits = counts["logits_writes"] * part.lanes * part.params.logit.width
    return _spike_path(part, counts, part.params.w_o, cycles) | {"logits": logits}


def _neurons(part: LayerHardware, counts: Terms, cycles: float) -> Terms:
    """Sums that membranes take, and synaptic currents that are updated."""
    f, units = part.params.formats, part.neuron_fold.units
    sums = sum(fmt.width for fmt in part.sums.values())
    taken = counts["leak_products"] * sums + counts.get("synapse_products", 0) * f.y.width
    return {"sums": taken * units, "cycles": cycles * units * f.u.width}


def _dense_path(part: LayerHardware, counts: Terms, share: float, cycles: float) -> Terms:
    """Products with the slow state, of which a `share` is not of zeros; and with what a graded
    event carries, where events share the multipliers.
    """
    f, multipliers = part.params.formats, part.multipliers["state"]
    products = counts["state_products"] * part.lanes
    events = counts["spike_additions"] * part.lanes * part.shares_products
    words = part.memories["p"].width + part.buffers["history"].width
    product, total = f.p.width + f.m.width, [*part.sums.values()][-1].width
    return {
        "used": products * share * f.p.width * f.m.width
        + events * f.w_f.width * part.payload.width,
        "clocked": products * (product + total) + events * product + counts["p_reads"] * words,
        "cycles": cycles * multipliers * product,
    }


def _state_update(part: LayerHardware, counts: Terms, share: float, cycles: float) -> Terms:
    """Also `kept`: the bits of slow states in registers, among which each read chooses."""
    f, multipliers = part.params.formats, part.state_update.multipliers
    products, width = counts["update_products"] * multipliers, f.a.width + f.m.width
    small = (part.buffers[name] for name in ("m", "history"))
    kept = sum(
        counts[f"{memory.name}_reads"] * memory.bits
        for memory in small
        if becomes_registers(memory.depth, memory.width)
    )
    return {
        "used": products * share * f.a.width * f.m.width,
        "clocked": products * width,
        "kept": kept,
        "cycles": cycles * multipliers * width,
    }


def _lists(part: Part, counts: Terms, cycles: float) -> Terms:
    words = counts["list_reads"] + counts["list_writes"]
    return {"words": words * part.list_memory.width, "cycles": cycles}


def _memories(part: Part, counts: Terms, cycles: float, technology: Technology) -> float:
    """Return pJ of a part's accesses to its memories. The queue of drives is read in every
    cycle.
    """
    counts = counts | ({"drives_reads": cycles} if "drives" in part.buffers else {})
    energy = 0.0
    for name, number in counts.items():
        of, _, access = name.rpartition("_")
        if access in ("reads", "writes"):
            energy += number * mean_of_words(part, of, partial(_access, technology, access))
    return energy


def mean_of_words(part: Part, of: str, tell: Callable[[MemoryParams], float]) -> float:
    """Return what `tell` says of an access to a memory, called as its access counters call it: the
    mean over its words, each of which lies in one of its segments.
    """
    memory = (part.memories | part.buffers | {"list": part.list_memory})[MEMORIES.get(of, of)]
    depths = memory.segments if of in part.memories else [memory.depth]
    return sum(depth * tell(replace(memory, depth=depth)) for depth in depths) / sum(depths)


def _access(technology: Technology, access: str, memory: MemoryParams) -> float:
    """Return pJ of an access to a macro; registers are no memory."""
    if becomes_registers(memory.depth, memory.width):
        return 0.0
    cost = technology.access(memory.depth, memory.width)
    return cost.read if access == "reads" else cost.write
