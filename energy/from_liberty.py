"""Make a technology from a foundry's files: Liberty of its cells and of its memory macros."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from energy.functions import Tree, evaluate, names, parse, truth
from energy.liberty import Group, read_liberty
from energy.technology import Cell, Macro, Pin, Technology
from golden.errors import UserError
from golden.inputs import reading

SLEW = 0.1  # ns
LOAD = 15.0  # fF: two inputs and their wires
WIRE = 4.0  # fF
MAX_ADDRESS_WIDTH = 32  # of a memory macro
UNUSED = ("three_state", "statetable", "latch", "latch_bank", "ff_bank", "test_cell")


class Units:
    """What a library's numbers are in, as factors to fF, ns, fJ, nW."""

    def __init__(self, library: Group) -> None:
        farads = library.complex.get("capacitive_load_unit", [["1", "pf"]])[-1]
        self.capacitance = float(farads[0]) * {"pf": 1e3, "ff": 1.0}[farads[1].lower()]
        self.time = _unit(library, "time_unit", "s", 1e9)
        self.leakage = _unit(library, "leakage_power_unit", "W", 1e9)
        voltage = _unit(library, "voltage_unit", "V", 1.0)
        self.energy = self.capacitance * voltage**2


def _unit(library: Group, name: str, unit: str, factor: float) -> float:
    given = library.simple.get(name, f"1{unit}")
    prefix = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}
    number = given.removesuffix(unit).rstrip("munpf")
    try:
        return float(number) * prefix[given.removesuffix(unit)[len(number) :]] * factor
    except (KeyError, ValueError):
        raise UserError(f"{library.name}: {name} is {given}: use one such as 1n{unit}") from None


def _energy(table: Group | None, units: Units, voltage: float) -> float:
    """Return the energy in a table of power at `SLEW` and `LOAD`.

    Some libraries count in it what the output's load takes: where the table rises with the load by
    more than half of V^2 / 2, that part is left out.
    """
    if table is None:
        return 0.0
    values = table.numbers("values") * units.energy
    if "index_1" not in table.complex:
        return float(values.mean())
    slews = table.numbers("index_1")[0] * units.time
    if "index_2" not in table.complex:
        return float(np.interp(SLEW, slews, values.reshape(-1)))
    loads = table.numbers("index_2")[0] * units.capacitance
    by_load = [float(np.interp(SLEW, slews, column)) for column in values.T]
    found = float(np.interp(LOAD, loads, by_load))
    per_load = (by_load[-1] - by_load[0]) / (loads[-1] - loads[0])
    return found - (LOAD * voltage**2 / 2 if per_load > voltage**2 / 4 else 0.0)


def _powers(pin: Group, quiet: dict[str, bool]) -> list[tuple[Tree, Group]]:
    """Return the conditions and groups of a pin's power, without those that contradict the pins in
    `quiet`, nor those of an edge of these.
    """
    found = []
    for power in pin.all("internal_power"):
        if power.simple.get("related_pin", "") in quiet:
            continue
        when = parse(power.simple.get("when", "1"))
        if _possible(when, quiet):
            found.append((when, power))
    conditional = [entry for entry in found if entry[0] != "1"]
    return conditional or found


def _possible(when: Tree, given: dict[str, bool]) -> bool:
    free = [name for name in names(when) if name not in given]
    return any(
        evaluate(when, {**given, **dict(zip(free, values, strict=True))})
        for values in product((False, True), repeat=len(free))
    )


def _mean(powers: Iterable[Group], units: Units, voltage: float, *edges: str) -> float:
    values = [
        _energy(power.first(edge) or power.first("power"), units, voltage)
        for power in powers
        for edge in edges or ("rise_power", "fall_power")
    ]
    return float(np.mean(values)) if values else 0.0


def _figures(cell: Group, units: Units) -> tuple[float, float]:
    """Return a cell's area and leakage."""
    states = [float(group.number("value")) for group in cell.all("leakage_power")]
    mean = float(np.mean(states)) if states else 0.0
    return cell.number("area"), cell.number("cell_leakage_power", mean) * units.leakage


def _inputs(
    pins: Iterable[Group], units: Units, voltage: float, quiet: dict[str, bool], clock: str = ""
) -> dict[str, Pin]:
    found = {}
    for pin in pins:
        powers = [power for _, power in _powers(pin, quiet)]
        energy = 0.0 if pin.name == clock else _mean(powers, units, voltage)
        found[pin.name] = Pin(pin.number("capacitance") * units.capacitance, energy)
    return found


def _logic(cell: Group, units: Units, voltage: float) -> Cell | None:
    """Return a cell without a state and with one output, or None where it is another kind."""
    pins = list(cell.all("pin"))
    outputs = [pin for pin in pins if pin.simple.get("direction") == "output"]
    inputs = [pin for pin in pins if pin.simple.get("direction") == "input"]
    if len(outputs) != 1 or len(inputs) + 1 != len(pins) or not inputs:
        return None
    function = outputs[0].simple.get("function", "")
    if not function or "three_state" in outputs[0].simple:
        return None
    if set(names(parse(function))) != {pin.name for pin in inputs}:
        return None
    powers = [power for _, power in _powers(outputs[0], {})]
    energy = _mean(powers, units, voltage)
    area, leakage = _figures(cell, units)
    found = _inputs(inputs, units, voltage, {})
    return Cell(area, leakage, found, outputs[0].name, function, energy)


def _register(cell: Group, units: Units, voltage: float) -> Cell | None:
    """Return a register that takes its data at each rising edge, its set and clear inputs tied off,
    or None.
    """
    state = cell.first("ff")
    if state is None or cell.first("test_cell") or len(state.arguments) != 2:
        return None
    clock, data = (parse(state.simple.get(what, "0")) for what in ("clocked_on", "next_state"))
    if not isinstance(clock, str) or not isinstance(data, str):
        return None
    pins = {pin.name: pin for pin in cell.all("pin")}
    if clock not in pins or data not in pins:
        return None
    quiet: dict[str, bool] = {}
    for what in ("clear", "preset"):
        tree = parse(state.simple.get(what, "0"))
        tied = names(tree)
        quiet |= {name: not evaluate(tree, dict.fromkeys(tied, True)) for name in tied}
    outputs = [pin for pin in pins.values() if pin.simple.get("direction") == "output"]
    kept = [pin for pin in outputs if parse(pin.simple.get("function", "0")) == state.name]
    if not kept:
        return None
    # Both outputs change together, each with its own power; the second one drives nothing.
    energy = sum(_mean((p for _, p in _powers(pin, quiet)), units, voltage) for pin in outputs)
    conditions = _powers(pins[clock], quiet)

    def period(changes: bool) -> float:
        alike = [
            power
            for when, power in conditions
            if any(
                _possible(when, {**quiet, data: bit != changes, state.arguments[0]: bit,
                                 **_outputs(outputs, state, bit)})
                for bit in (False, True)
            )
        ]  # fmt: skip
        return sum(_mean(alike, units, voltage, edge) for edge in ("rise_power", "fall_power"))

    inputs = _inputs((pins[data], pins[clock]), units, voltage, quiet, clock)
    area, leakage = _figures(cell, units)
    return Cell(
        area, leakage, inputs, kept[0].name, data, energy, clock, period(False), period(True)
    )


def _outputs(outputs: list[Group], state: Group, bit: bool) -> dict[str, bool]:
    """Return the values of a register's outputs when it holds `bit`."""
    values = {state.arguments[0]: bit, state.arguments[1]: not bit}
    return {pin.name: evaluate(parse(pin.simple["function"]), values) for pin in outputs}


def _gate(cell: Group, units: Units, voltage: float) -> Cell | None:
    """Return a clock gate that passes whole high phases, or None."""
    if cell.simple.get("clock_gating_integrated_cell", "").strip('"') != "latch_posedge":
        return None
    pins = [pin for pin in cell.all("pin") if pin.simple.get("direction") != "internal"]
    clock, enable, out = (
        next((pin for pin in pins if pin.simple.get(f"clock_gate_{role}_pin") == "true"), None)
        for role in ("clock", "enable", "out")
    )
    if clock is None or enable is None or out is None:
        return None
    inputs = _inputs((enable, clock), units, voltage, {}, clock.name)
    still = 2 * _mean((power for _, power in _powers(clock, {})), units, voltage)
    passing = 2 * _mean((power for _, power in _powers(out, {})), units, voltage)
    area, leakage = _figures(cell, units)
    return Cell(
        area, leakage, inputs, out.name, enable.name, 0.0, clock.name, still, still + passing
    )


def _smallest(cells: dict[str, Cell], what: str, library: Group) -> str:
    if not cells:
        raise UserError(f"library {library.name} has no {what}")
    return min(cells, key=lambda name: cells[name].area)


def read_macro(path: Path) -> Macro:
    """Return the memory macro of a Liberty file: its access energies are those of the rising edge
    of the clock, by the pins of a port whose names end in MEN, WEN, REN (enable, write, read).
    """
    with reading(path, "give the Liberty file of an SRAM"):
        return _macro(path)


def _macro(path: Path) -> Macro:
    library = read_liberty(path)
    units, cell = Units(library), library.first("cell")
    memory = cell and cell.first("memory")
    if cell is None or memory is None:
        raise UserError(f"{path} has no cell with a group memory: give the Liberty file of an SRAM")
    address, width = (int(memory.number(f"{of}_width")) for of in ("address", "word"))
    if not 0 < address <= MAX_ADDRESS_WIDTH:
        raise UserError(f"{path}: address_width {address}: use 1 to {MAX_ADDRESS_WIDTH}")
    words = 1 << address
    area, leakage = _figures(cell, units)
    clocks = [
        pin for pin in cell.all("pin")
        if pin.simple.get("clock") == "true" and any(pin.all("internal_power"))
        and "BIST" not in pin.name
    ]  # fmt: skip
    energies = {}
    for clock in clocks[:1]:
        for power in clock.all("internal_power"):
            when = parse(power.simple.get("when", "1"))
            for what, (write, read) in {"read": (False, True), "write": (True, False)}.items():
                pins = {"MEN": True, "WEN": write, "REN": read}
                values = {x: pins[x[-3:]] for x in names(when) if x[-3:] in pins}
                if len(values) == 3 and evaluate(when, values):
                    energies[what] = _mean([power], units, 1.0, "rise_power") / 1e3
    if len(energies) < 2:
        raise UserError(
            f"{path}: the clock of {cell.name} has no energy for pins *MEN, *WEN, *REN (enable,"
            " write, read): no access of it is known"
        )
    pins = [
        bus.number("capacitance") * units.capacitance
        for bus in cell.all("bus")
        if bus.simple.get("direction") == "input" and "BIST" not in bus.name
    ]
    pin = float(np.mean(pins)) if pins else 0.0
    return Macro(words, width, len(clocks), energies["read"], energies["write"], leakage, area, pin)


def from_liberty(cells: Path, macros: Iterable[Path], sources: Iterable[str] = ()) -> Technology:
    """Return the technology of a library of cells and of SRAM macros.

    Of cells with the same function the smallest one is taken. Energies are means over the inputs
    that cause a transition, over the states of the others, and over rise and fall.
    """
    with reading(cells, "give the Liberty file of a library of cells"):
        technology = _cells(cells)
    made = tuple(read_macro(path) for path in macros)
    return replace(technology, macros=made, sources=list(sources))


def _cells(cells: Path) -> Technology:
    """Return the technology of a library of cells, without memory macros."""
    library = read_liberty(cells)
    units = Units(library)
    voltage = library.number("nom_voltage")
    found: dict[str, Cell] = {}
    functions: dict[str, str] = {}
    registers: dict[str, Cell] = {}
    gates: dict[str, Cell] = {}
    for group in library.all("cell"):
        if gate := _gate(group, units, voltage):
            gates[group.name] = gate
        elif group.simple.get("dont_use") == "true" or any(group.all(*UNUSED)):
            continue
        elif any(group.all("ff")):
            if register := _register(group, units, voltage):
                registers[group.name] = register
        elif cell := _logic(group, units, voltage):
            key = truth(parse(cell.function), names(parse(cell.function)))
            if key not in functions or cell.area < found[functions[key]].area:
                found.pop(functions.get(key, ""), None)
                functions[key], found[group.name] = group.name, cell
    register = _smallest(registers, "register (ff with clocked_on and next_state a pin)", library)
    gate = _smallest(gates, "clock gate (clock_gating_integrated_cell latch_posedge)", library)
    found |= {register: registers[register], gate: gates[gate]}
    return Technology(library.name, voltage, found, register, gate, (), WIRE, SLEW, LOAD)
