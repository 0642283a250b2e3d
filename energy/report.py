"""What a run in gates tells: `energy.json`, and tables for people."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from energy.accesses import check_accesses, moved_bits, synaptic_operations
from energy.activity import Measured
from energy.calculate import KINDS, Energy, calculate, ports_of, total_by_nets
from energy.netlist import Netlist
from energy.technology import Technology
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams, listed
from golden.runs import Run
from golden.table import table

SINKS = 16  # registers that a buffer of a clock tree drives
GLITCHES = (0.2, 0.5)  # of the logic's energy: what sums and products without delays do not show
AGREE = 1e-9  # two sums of the same energies


@dataclass(frozen=True)
class Sequences:
    """What ran: where it is from, how many, and how long (of how many timesteps)."""

    source: str
    count: int
    timesteps: int
    of_timesteps: int


def summarize(
    core: CoreParams,
    netlist: Netlist,
    technology: Technology,
    measured: Measured,
    sequences: Sequences,
    golden: Run,
    mhz: float,
) -> dict[str, Any]:
    """Return the content of `energy.json`. Energies are those of an inference, the mean of all.

    Raises
    ------
    UserError
        The energy by components is not the energy by nets, or the accesses of a memory are not
        those of the `golden` run.
    """
    checked = check_accesses(core, golden, measured.settled)
    ports = ports_of(netlist, measured.load.memories, measured.settled)
    energy = calculate(netlist, technology, measured.run, ports)
    whole = total_by_nets(netlist, technology, measured.run, ports)
    if not math.isclose(energy.total, whole, rel_tol=AGREE):
        raise UserError(f"the parts' energy is {energy.total} pJ, but that of all nets {whole} pJ")
    count = sequences.count
    cycles = measured.run.cycles / count
    seconds = cycles / (mhz * 1e6)
    operations = synaptic_operations(core, golden) / count
    leakage = {name: power * seconds * 1e-3 for name, power in energy.leakage.items()}
    inference = energy.total / count / 1e6 + sum(leakage.values())
    return {
        "network": core.network.name,
        **_shape(core.hardware),
        "ablations": list(core.hardware.ablations),
        "technology": {
            "name": technology.name,
            "voltage": technology.voltage,
            "sources": technology.sources,
        },
        "sequences": asdict(sequences),
        "mhz": mhz,
        "cycles": cycles,
        "synaptic_operations": operations,
        "microjoules": {
            "inference": inference,
            "dynamic": energy.total / count / 1e6,
            "leakage": sum(leakage.values()),
            "kinds": {kind: energy.of_kind(kind) / count / 1e6 for kind in KINDS},
            "components": _components(energy, leakage, count),
            "load": calculate(netlist, technology, measured.load, ports).total / 1e6,
        },
        "nanojoules_per_timestep": 1e3 * inference / sequences.timesteps,
        "picojoules_per_synaptic_operation": 1e6 * inference / operations if operations else None,
        "milliwatts": 1e-3 * inference / seconds,
        "leakage_microwatts": sum(energy.leakage.values()) / 1e3,
        "square_millimetres": {what: area / 1e6 for what, area in energy.area.items()},
        "gates": len(netlist.gates),
        "registers": sum(gate.kind == technology.register for gate in netlist.gates),
        "clock_gates": sum(gate.kind == technology.gate for gate in netlist.gates),
        "clocked_register_cycles": _clocked(netlist, technology, measured),
        "modules": _modules(netlist, technology, measured),
        "memories_as_golden": checked,
        "memories": {name: _memory(memory, count) for name, memory in energy.memories.items()},
        "memory_bits": moved_bits(core, golden) / count,
        "not_seen": _not_seen(netlist, technology, measured, energy),
    }


def _shape(hardware: HardwareParams) -> dict[str, Any]:
    names = ("lanes", "block", "events_per_cycle", "products_per_cycle")
    options = ("graded", "hold_operands", "segment_words", "counters")
    options += ("list_buffers", "link_items", "input_items")
    return {name: getattr(hardware, name) for name in (*names, *options)}


def _components(energy: Energy, leakage: dict[str, float], count: int) -> dict[str, Any]:
    found = {}
    for name in sorted({component for component, _ in energy.dynamic} | set(leakage)):
        parts = {kind: energy.dynamic.get((name, kind), 0.0) / count / 1e6 for kind in KINDS}
        parts["leakage"] = leakage.get(name, 0.0)
        found[name] = parts | {"total": sum(parts.values())}
    return dict(sorted(found.items(), key=lambda item: -item[1]["total"]))


def _memory(memory: Any, count: int) -> dict[str, Any]:
    return {
        "words": memory.words,
        "width": memory.width,
        "ports": memory.ports,
        "reads": memory.accesses.reads / count,
        "writes": memory.accesses.writes / count,
        "read_picojoules": memory.cost.read,
        "write_picojoules": memory.cost.write,
        "microjoules": memory.energy / count / 1e6,
    }


def _clocked(netlist: Netlist, technology: Technology, measured: Measured) -> dict[str, float]:
    """Return the shares of the registers' cycles in which they have a clock, and change."""
    cell, activity = technology.cells[technology.register], measured.run
    enables = netlist.enables_of(technology)
    registers = [gate for gate in netlist.gates if gate.kind == technology.register]
    cycles = activity.cycles * len(registers) or 1
    clocked = sum(activity.active[enables[gate.pins[cell.clock]]] for gate in registers)
    changed = sum(activity.transitions[gate.pins[cell.output]] for gate in registers)
    return {"clocked": clocked / cycles, "changed": changed / cycles}


def _modules(
    netlist: Netlist, technology: Technology, measured: Measured
) -> dict[str, dict[str, float]]:
    """Return of each module of the core its registers, how many of them have no clock gate, and of
    how many of all the clock comes, and the value changes, in a cycle of the mean.
    """
    cell, activity = technology.cells[technology.register], measured.run
    enables = netlist.enables_of(technology)
    found: dict[str, dict[str, float]] = {}
    for gate in netlist.gates:
        if gate.kind == technology.register:
            gated_by = enables[gate.pins[cell.clock]]
            module = found.setdefault(
                gate.place, {"registers": 0, "without_gate": 0, "clocked": 0.0, "changing": 0.0}
            )
            module["registers"] += 1
            module["without_gate"] += not gated_by
            module["clocked"] += activity.active[gated_by] / activity.cycles
            module["changing"] += activity.transitions[gate.pins[cell.output]] / activity.cycles
    return dict(sorted(found.items(), key=lambda item: -item[1]["clocked"]))


def _not_seen(
    netlist: Netlist, technology: Technology, measured: Measured, energy: Energy
) -> dict[str, Any]:
    """Return the likely size of what the figures do not have, as shares of the dynamic energy."""
    bare = replace(technology, wire=0.0)
    ports = {name: memory.ports for name, memory in energy.memories.items()}
    wires = energy.total - calculate(netlist, bare, measured.run, ports).total
    buffer = min(
        (cell for cell in technology.cells.values() if cell.function in cell.inputs),
        key=lambda cell: cell.area,
    )
    of_buffer = buffer.energy + technology.switching(
        buffer.inputs[buffer.function].capacitance + technology.wire
    )
    registers = [gate for gate in netlist.gates if gate.kind == technology.register]
    clock = technology.cells[technology.register].clock
    enables = netlist.enables_of(technology)
    periods = sum(measured.run.active[enables[gate.pins[clock]]] for gate in registers)
    tree = 2 * periods / SINKS * of_buffer / 1e3
    logic = energy.of_kind("logic")
    return {
        "wires_assumed": wires / energy.total,
        "clock_tree_buffers": tree / energy.total,
        "glitches": [share * logic / energy.total for share in GLITCHES],
    }


def lines(summary: dict[str, Any]) -> Iterator[str]:
    """Yield what people read."""
    energy, ran = summary["microjoules"], summary["sequences"]
    cut = ran["timesteps"] < ran["of_timesteps"]
    length = f"{ran['timesteps']} timesteps" + f" (cut from {ran['of_timesteps']})" * cut
    yield (
        f"{summary['network']}, {listed(summary['lanes'])} lanes, T = {summary['block']},"
        f" E = {listed(summary['events_per_cycle'])}, K = {listed(summary['products_per_cycle'])},"
        " in"
        f" {summary['technology']['name']}, {summary['technology']['voltage']:g} V"
    )
    if summary["ablations"]:
        yield f"ablated    {', '.join(summary['ablations'])}"
    yield f"sequences  {ran['count']}, {length}, {ran['source']}"
    yield f"cycles     {summary['cycles']:.0f} an inference; all logits are the golden model's"
    header = ("uJ an inference", *KINDS, "leakage", "in all")
    rows = [
        (name, *(f"{value:.3f}" for value in parts.values()))
        for name, parts in energy["components"].items()
    ]
    kinds = (*energy["kinds"].values(), energy["leakage"], energy["inference"])
    yield table(header, [*rows, ("in all", *(f"{value:.3f}" for value in kinds))], left=[0])
    header = ("memory", "words", "bits", "ports", "reads", "writes", "uJ")
    rows = [
        (name, m["words"], m["width"], m["ports"], f"{m['reads']:.0f}", f"{m['writes']:.0f}",
         f"{m['microjoules']:.3f}")
        for name, m in summary["memories"].items()
    ]  # fmt: skip
    yield table(header, rows, left=[0])
    yield f"accesses   of {summary['memories_as_golden']} memories are the golden model's"
    moved = summary["memory_bits"] / 1000
    yield f"memories   {moved:.0f} kbit read and written an inference, those in registers included"
    per_operation = summary["picojoules_per_synaptic_operation"]
    yield (
        f"inference  {energy['inference']:.3f} uJ at {summary['mhz']:g} MHz:"
        f" {summary['milliwatts']:.3f} mW"
    )
    yield f"timestep   {summary['nanojoules_per_timestep']:.2f} nJ"
    if per_operation is not None:
        operations = f"{summary['synaptic_operations']:.0f} synaptic operations"
        yield f"operation  {per_operation:.2f} pJ, of {operations} an inference"
    yield f"load       {energy['load']:.3f} uJ, of all weights, once"
    area = summary["square_millimetres"]
    yield (
        f"area       {area['gates']:.3f} mm2 of {summary['gates']} gates,"
        f" {area['memories']:.3f} mm2 of memories"
    )
    clocked = summary["clocked_register_cycles"]
    yield (
        f"clock      {summary['clock_gates']} gates for {summary['registers']} registers,"
        f" clocked in {clocked['clocked']:.1%} of their cycles, changing in"
        f" {clocked['changed']:.1%}"
    )
    unseen = summary["not_seen"]
    low, high = unseen["glitches"]
    yield (f"in it      wires as assumed: {unseen['wires_assumed']:.1%} of the dynamic energy")
    yield (
        f"not in it  a clock tree: its buffers about {unseen['clock_tree_buffers']:.1%} more;"
        f" glitches: about {low:.1%} to {high:.1%} more"
    )
