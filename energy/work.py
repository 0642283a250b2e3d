"""What an inference takes of each component of a core, from the golden model alone: what the
factors of `energy.estimate` are of.

A component's work is a few terms. Most are bits that its pipeline takes in; `cycles` are those of
the bits that may have a clock in every cycle, `free` of those that have one unless operands hold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from energy.technology import Technology, becomes_registers
from golden.cost.cycles import Part, accesses
from golden.cost.operands import Operands
from golden.formats import Fixed
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
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
    operands: Sequence[Operands],
    cycles: float,
    technology: Technology,
) -> Work:
    """Return what an inference takes: the mean of all sequences of a golden run with the core's
    block, its layers' operands, and the cycles of an inference.
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
            seen = operands[list(core.parts).index(name)]
            add("dense path", _dense_path(part, counts[name], seen, cycles))
            add("state update", _state_update(part, counts[name], seen, cycles))
    add("counters", {"cycles": cycles * len(core.counters)})
    add("control", {"cycles": cycles})
    add("load", {"cycles": cycles})
    return Work(cycles, memories / 1e6, {name: dict(terms) for name, terms in components.items()})


def _spike_path(part: Part, counts: Terms, weight: Fixed, cycles: float) -> Terms:
    """Additions to sums; products with what a graded event carries; weights that are read."""
    if isinstance(part, ReadoutHardware):
        width, reads = part.params.logit.width, counts["w_o_reads"]
    else:
        width, reads = part.sums["sums"].width, counts["w_f_reads"]
    added = counts["spike_additions"] * part.lanes
    graded = part.payload.width > 1
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
    """Updates of membranes and synaptic currents; sums, that are kept for the neurons of a unit."""
    f, units = part.params.formats, part.neuron_fold.units
    updates = counts["leak_products"] * f.u.width + counts.get("synapse_products", 0) * f.y.width
    sums = sum(fmt.width for fmt in part.sums.values())
    return {
        "updates": updates * units,
        "sums": counts["c_reads"] * part.lanes * part.block * sums,
        **_clocked(part, cycles * units * f.u.width),
    }


def _multiplied(products: float, area: int, seen: Operands) -> Terms:
    """Products of multipliers of so many bits times bits."""
    return {"used": products * area * seen.used, "toggling": products * area * seen.toggling}


def _clocked(part: Part, bits: float) -> Terms:
    """Cycles of bits next to multipliers."""
    return {"cycles": bits, "free": bits * (not part.hardware.hold_operands)}


def _dense_path(part: LayerHardware, counts: Terms, seen: Operands, cycles: float) -> Terms:
    f, multipliers = part.params.formats, part.multipliers["state"]
    products = counts["state_products"] * part.lanes
    words = part.memories["p"].width + part.buffers["history"].width
    product, total = f.p.width + f.m.width, [*part.sums.values()][-1].width
    return _multiplied(products, f.p.width * f.m.width, seen) | {
        "clocked": products * (product + total) + counts["p_reads"] * words,
        **_clocked(part, cycles * multipliers * product),
    }


def _state_update(part: LayerHardware, counts: Terms, seen: Operands, cycles: float) -> Terms:
    """Also `kept`: the bits of slow states in registers, among which each read chooses."""
    f, lanes = part.params.formats, part.state_update.lanes
    products, width = counts["update_products"] * lanes, f.a.width + f.m.width
    small = (part.buffers[name] for name in ("m", "history"))
    kept = sum(
        counts[f"{memory.name}_reads"] * memory.bits
        for memory in small
        if becomes_registers(memory.depth, memory.width)
    )
    return _multiplied(products, f.a.width * f.m.width, seen) | {
        "clocked": products * width,
        "kept": kept,
        **_clocked(part, cycles * lanes * width),
    }


def _lists(part: Part, counts: Terms, cycles: float) -> Terms:
    words = counts["list_reads"] + counts["list_writes"]
    return {"words": words * part.buffers["list"].width, "cycles": cycles}


def _memories(part: Part, counts: Terms, cycles: float, technology: Technology) -> float:
    """Return pJ of a part's accesses to its memories. The queue of drives is read in every
    cycle.
    """
    counts = counts | ({"drives_reads": cycles} if "drives" in part.buffers else {})
    energy = 0.0
    for name, number in counts.items():
        of, _, access = name.rpartition("_")
        if access in ("reads", "writes"):
            memory = (part.memories | part.buffers)[MEMORIES.get(of, of)]
            depths = memory.segments if of in part.memories else [memory.depth]
            energy += number * _access(technology, depths, memory.width, access)
    return energy


def _access(technology: Technology, depths: Sequence[int], width: int, access: str) -> float:
    """Return pJ of an access to a word of any of these memories, each as likely as another."""
    total = 0.0
    for words in depths:
        if not becomes_registers(words, width):
            cost = technology.memory(words, width, 1)
            total += words * (cost.read if access == "reads" else cost.write)
    return total / sum(depths)
