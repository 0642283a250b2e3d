"""From what the nets of a core do to the energy that they take."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass

from energy.activity import Accesses, Activity
from energy.netlist import Net, Netlist, all_pins, place_of
from energy.technology import Cell, MacroCost, Technology

KINDS = ("logic", "registers", "clock", "memories")
# The component of a path in the core: the first that is found in it.
COMPONENTS = {
    r"^readout": "readout",
    r"^counters|snapshots": "counters",
    r"^loader": "load",
    r"\.spike_path": "spike path",
    r"\.state_path": "dense path",
    r"\.(slow_state|drive)\b": "state update",
    r"\.(neurons|scalars|synapse|walk)\b": "neuron stage",
    r"\.sums\b": "sums of groups",
    r"events|encoder|queue|arrivals|delays|recurrence|line|spike_output": "lists and encoders",
    r"": "control",
}


def component_of(place: str) -> str:
    """Return the component that a path in the core belongs to."""
    return next(name for path, name in COMPONENTS.items() if re.search(path, place))


@dataclass(frozen=True)
class MemoryEnergy:
    """A memory: its size, its ports, what it did, its energy (pJ) and its figures."""

    words: int
    width: int
    ports: int
    accesses: Accesses
    energy: float
    cost: MacroCost


@dataclass(frozen=True)
class Energy:
    """The energy of an activity.

    `dynamic` in pJ by component and kind (`KINDS`); `leakage` in nW by component; `area` in um2 of
    `gates` and `memories`.
    """

    dynamic: dict[tuple[str, str], float]
    memories: dict[str, MemoryEnergy]
    leakage: dict[str, float]
    area: dict[str, float]

    @property
    def total(self) -> float:
        """pJ, without leakage."""
        return sum(self.dynamic.values())

    def of_kind(self, kind: str) -> float:
        """pJ of a kind, in all components."""
        return sum(energy for (_, of), energy in self.dynamic.items() if of == kind)


def capacitances(netlist: Netlist, technology: Technology) -> dict[Net, float]:
    """Return what each net charges: its inputs, and a wire to each of them."""
    found: defaultdict[Net, float] = defaultdict(float)
    for net, kind, pin in all_pins(netlist, technology):
        found[net] += technology.cells[kind].inputs[pin].capacitance + technology.wire
    for memory in netlist.memories:
        nets = [*memory.address, *memory.data, *set(memory.enables)]
        for port in memory.reads:
            nets += [*port.address, port.enable]
        for net in nets:
            found[net] += technology.macro_pin + technology.wire
    return found


def ports_of(netlist: Netlist, *activities: dict[str, Accesses]) -> dict[str, int]:
    """Return the ports of each memory's macro: two where a read and a write ever came in the same
    cycle, or it has two ports that read.
    """
    return {
        memory.name: max(
            len(memory.reads), 1 + any(found[memory.name].both for found in activities)
        )
        for memory in netlist.memories
    }


def calculate(
    netlist: Netlist, technology: Technology, activity: Activity, ports: dict[str, int]
) -> Energy:
    """Return the energy of an activity.

    A net's transition takes C V^2 / 2 and the energy within the cell that drives it; a pin's
    transition, what its cell takes for it; a clock period, two transitions of the clock at every
    register and gate that it reaches, and what is within them.
    """
    spent: defaultdict[tuple[str, str], float] = defaultdict(float)
    leakage: defaultdict[str, float] = defaultdict(float)
    area = {"gates": 0.0, "memories": 0.0}
    charged = capacitances(netlist, technology)
    moves = activity.transitions
    enables = netlist.enables_of(technology)
    clocks = {technology.register, technology.gate}
    for name in netlist.inputs:
        for net in netlist.ports[name]:
            if net != netlist.clock:
                spent["control", "logic"] += moves[net] * technology.switching(charged[net]) / 1e3
    for gate in netlist.gates:
        cell, component = technology.cells[gate.kind], component_of(gate.place)
        kind = {technology.register: "registers", technology.gate: "clock"}.get(gate.kind, "logic")
        energy = sum(
            moves.get(gate.pins[pin], 0) * given.energy for pin, given in cell.inputs.items()
        )
        if gate.kind != technology.gate:
            out = gate.pins[cell.output]
            energy += moves[out] * (cell.energy + technology.switching(charged[out]))
        spent[component, kind] += energy / 1e3
        if gate.kind in clocks:
            spent[component, "clock"] += _clock(gate.pins, cell, technology, activity, enables)
        leakage[component] += cell.leakage
        area["gates"] += cell.area
    memories = {}
    for memory in netlist.memories:
        component = component_of(place_of(memory.name))
        cost = technology.memory(memory.words, memory.width, ports[memory.name])
        accesses = activity.memories[memory.name]
        energy = accesses.reads * cost.read + accesses.writes * cost.write
        out = sum(
            moves[net] * technology.switching(charged[net])
            for port in memory.reads
            for net in port.data
        )
        spent[component, "memories"] += energy
        spent[component, "logic"] += out / 1e3
        leakage[component] += cost.leakage
        area["memories"] += cost.area
        memories[memory.name] = MemoryEnergy(
            memory.words, memory.width, ports[memory.name], accesses, energy, cost
        )
    return Energy(dict(spent), memories, dict(leakage), dict(area))


def _clock(
    pins: dict[str, Net],
    cell: Cell,
    technology: Technology,
    activity: Activity,
    enables: dict[Net, tuple[Net, ...]],
) -> float:
    """Return pJ of the clock at a register or a clock gate, its own periods and its wire."""
    periods = activity.active[enables[pins[cell.clock]]]
    pin = technology.switching(cell.inputs[cell.clock].capacitance + technology.wire)
    out = pins[cell.output]
    # A register changes, or a gate lets the clock pass, in these of them.
    changing = activity.active[enables[out]] if out in enables else activity.transitions[out]
    within = (periods - changing) * cell.still + changing * cell.changing
    return (within + 2 * periods * pin) / 1e3


def total_by_nets(
    netlist: Netlist, technology: Technology, activity: Activity, ports: dict[str, int]
) -> float:
    """Return pJ of an activity, added up another way than by components: by nets, by the
    transitions of each kind of pin, by the periods of each clock. `calculate` must agree.
    """
    moves, charged = activity.transitions, capacitances(netlist, technology)
    total = sum(technology.switching(charged.get(net, 0.0)) * count for net, count in moves.items())
    pins: dict[tuple[str, str], int] = Counter()
    for gate in netlist.gates:
        for pin, net in gate.pins.items():
            pins[gate.kind, pin] += moves.get(net, 0)
    for name, cell in technology.cells.items():
        total += pins[name, cell.output] * cell.energy
        total += sum(pins[name, pin] * given.energy for pin, given in cell.inputs.items())
    enables = netlist.enables_of(technology)
    for clock, passed in enables.items():
        for name in (technology.register, technology.gate):
            cell = technology.cells[name]
            reached = [g for g in netlist.gates if g.kind == name and g.pins[cell.clock] == clock]
            periods = activity.active[passed] * len(reached)
            pin = cell.inputs[cell.clock].capacitance + technology.wire
            outs = [gate.pins[cell.output] for gate in reached]
            changing = sum(
                activity.active[enables[out]] if out in enables else moves[out] for out in outs
            )
            total += periods * (cell.still + 2 * technology.switching(pin))
            total += changing * (cell.changing - cell.still)
    for memory in netlist.memories:
        cost = technology.memory(memory.words, memory.width, ports[memory.name])
        done = activity.memories[memory.name]
        total += 1e3 * (done.reads * cost.read + done.writes * cost.write)
    return total / 1e3
