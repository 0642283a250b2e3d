"""Registers around the multipliers of an ECP5 move into them: Yosys leaves them in the fabric."""

from __future__ import annotations

from typing import Any

MULTIPLIER, REGISTER = "MULT18X18D", "TRELLIS_FF"
FACTORS, FACTOR_WIDTH, PRODUCT_WIDTH = ("A", "B"), 18, 36
# Of a register that a multiplier has as well: always enabled, reset to 0, with the clock; or never
# reset, when Yosys leaves out the mode.
FITS = {
    "CEMUX": ("1 ",), "CLKMUX": ("CLK",), "LSRMUX": ("LSR",), "REGSET": ("RESET",),
    "SRMODE": ("LSR_OVER_CE", None),
}  # fmt: skip

Cells = dict[str, dict[str, Any]]
Control = tuple[Any, Any]  # the nets of a clock and a reset


def move_registers(module: dict[str, Any]) -> int:
    """Move the registers of operands and products of a module of Yosys' JSON into its multipliers;
    return how many registers are left out for that.

    A register in front of a multiplier that feeds others too stays for those. What a module does
    is the same in every cycle.
    """
    cells: Cells = module["cells"]
    driver = {
        cell["connections"]["Q"][0]: name
        for name, cell in cells.items()
        if cell["type"] == REGISTER and cell["connections"].get("Q")
    }
    products = {
        cell["connections"][f"P{i}"][0]
        for cell in cells.values()
        if cell["type"] == MULTIPLIER
        for i in range(PRODUCT_WIDTH)
        if cell["connections"].get(f"P{i}")
    }
    # A register between two multipliers goes to the first one.
    driver = {
        net: name
        for net, name in driver.items()
        if cells[name]["connections"]["DI"][0] not in products
    }
    readers = readers_of(module)
    touched: set[str] = set()
    for name, cell in cells.items():
        if cell["type"] == MULTIPLIER:
            touched |= _move(name, cell, cells, driver, readers)
    readers = readers_of(module)
    unused = [name for name in touched if not readers.get(cells[name]["connections"]["Q"][0])]
    for name in unused:
        del cells[name]
    return len(unused)


def readers_of(module: dict[str, Any]) -> dict[Any, list[tuple[str, str]]]:
    """Return by net: the cells and the ports of theirs that read it; "" is the world outside."""
    found: dict[Any, list[tuple[str, str]]] = {}
    for name, cell in module["cells"].items():
        for port, nets in cell["connections"].items():
            if cell["port_directions"].get(port) != "output":
                for net in nets:
                    found.setdefault(net, []).append((name, port))
    for port in module["ports"].values():
        if port["direction"] != "input":
            for net in port["bits"]:
                found.setdefault(net, []).append(("", ""))
    return found


def _move(
    name: str,
    cell: dict[str, Any],
    cells: Cells,
    driver: dict[Any, str],
    readers: dict[Any, list[tuple[str, str]]],
) -> set[str]:
    """Move into one multiplier what it can take; return the registers that it no longer needs."""
    nets = cell["connections"]
    touched: set[str] = set()
    taken: dict[str, Control] = {}
    # Both factors or none: with one in a register, the other's way leads through the multiplier.
    factors = {factor: _registers(nets, factor, driver) for factor in FACTORS}
    controls = {f: _control(names.values(), cells) for f, names in factors.items() if names}
    if controls and None not in controls.values():
        for factor, control in controls.items():
            assert control is not None
            taken[f"INPUT{factor}"] = control
            for port, register in factors[factor].items():
                assert register is not None
                nets[port] = list(cells[register]["connections"]["DI"])
                touched.add(register)
    ports = [f"P{i}" for i in range(PRODUCT_WIDTH) if readers.get(nets.get(f"P{i}", [None])[0])]
    followers = {port: readers[nets[port][0]] for port in ports}
    if all(len(found) == 1 and found[0][1] == "DI" for found in followers.values()):
        registers = {port: found[0][0] for port, found in followers.items()}
        control = _control(registers.values(), cells)
        if control is not None:
            taken["OUTPUT"] = control
            for port, register in registers.items():
                nets[port] = list(cells[register]["connections"]["Q"])
                # The register drives nothing any more; its place is the multiplier's.
                cells[register]["connections"]["Q"] = [f"moved into {name}"]
                touched.add(register)
    _clock(cell, taken)
    return touched


def _registers(
    nets: dict[str, list[Any]], factor: str, driver: dict[Any, str]
) -> dict[str, str | None]:
    """Return by port of a factor the register that drives it, None where none does; not of bits
    that are 0.
    """
    ports = [f"{factor}{i}" for i in range(FACTOR_WIDTH) if nets.get(f"{factor}{i}")]
    return {port: driver.get(nets[port][0]) for port in ports if nets[port][0] != "0"}


def _control(names: Any, cells: Cells) -> Control | None:
    """Return the clock and the reset that these cells share, or None where one of them is no
    register that fits.
    """
    found: set[Control] = set()
    for name in names:
        register = cells.get(name) if name else None
        if register is None or register["type"] != REGISTER:
            return None
        if any(register["parameters"].get(key) not in values for key, values in FITS.items()):
            return None
        nets = register["connections"]
        found.add((nets["CLK"][0], nets["LSR"][0]))
    return found.pop() if len(found) == 1 else None


def _clock(cell: dict[str, Any], taken: dict[str, Control]) -> None:
    """Let the multiplier have these registers, by the names of its parameters."""
    controls = list(dict.fromkeys(taken.values()))
    for stage, control in taken.items():
        index = controls.index(control)
        cell["parameters"] |= {
            f"REG_{stage}_CLK": f"CLK{index}",
            f"REG_{stage}_CE": f"CE{index}",
            f"REG_{stage}_RST": f"RST{index}",
        }
    if taken:
        cell["parameters"] |= {"RESETMODE": "SYNC", "GSR": "DISABLED"}
    for index, (clock, reset) in enumerate(controls):
        for port, net in ((f"CLK{index}", clock), (f"CE{index}", "1"), (f"RST{index}", reset)):
            cell["connections"][port] = [net]
            cell["port_directions"][port] = "input"
