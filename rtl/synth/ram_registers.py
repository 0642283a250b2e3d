"""Registers behind the block RAMs of an ECP5 move into them: Yosys leaves them in the fabric, where
a word comes late and far from its memory.
"""

from __future__ import annotations

from typing import Any

from rtl.synth.dsp_registers import REGISTER, Cells, readers_of

BLOCK_RAM = "DP16KD"
WIDE = 36  # bits of a word that takes the outputs of both ports; the second one reads
# Of a register that a block RAM has as well: with the clock, never reset.
FITS = {"CLKMUX": ("CLK",), "CEMUX": ("1 ", "CE"), "LSRMUX": ("LSR",), "REGSET": ("RESET",)}

Register = tuple[Any, Any]  # the nets of its clock and of its enable


def move_into_rams(module: dict[str, Any]) -> int:
    """Move the registers of what is read, of a module of Yosys' JSON, into its block RAMs; return
    how many registers are left out for that.

    A port takes the registers where each of its bits goes to one alone, and all share a clock and
    an enable. What a module does is the same in every cycle.
    """
    cells: Cells = module["cells"]
    readers = readers_of(module)
    moved: list[str] = []
    for name, cell in cells.items():
        if cell["type"] == BLOCK_RAM:
            wide = int(cell["parameters"]["DATA_WIDTH_B"], 2) == WIDE
            for ports in ["AB"] if wide else ["A", "B"]:
                moved += _move(name, cell, ports, cells, readers)
    for name in moved:
        del cells[name]
    return len(moved)


def _move(
    name: str,
    cell: dict[str, Any],
    ports: str,
    cells: Cells,
    readers: dict[Any, list[tuple[str, str]]],
) -> list[str]:
    """Move what follows a port, or two ports that are one, into a block RAM; return the registers
    that it no longer needs.
    """
    nets, clock = cell["connections"], ports[-1]
    outputs = [
        (port, readers[found[0]])
        for port, found in nets.items()
        if port[:2] == "DO" and port[2] in ports and found and found[0] in readers
    ]
    if any(nets[f"RST{port}"] != ["0"] for port in ports):  # it would clear the registers too
        return []
    if not outputs or any(len(found) != 1 or found[0][1] != "DI" for _, found in outputs):
        return []
    registers = {port: found[0][0] for port, found in outputs}
    controls = {_control(cells[register]) for register in registers.values()}
    control = controls.pop()
    if controls or control is None or control[0] != nets[f"CLK{clock}"][0]:
        return []
    for port, register in registers.items():
        nets[port] = list(cells[register]["connections"]["Q"])
    for port in ports:
        cell["parameters"][f"REGMODE_{port}"] = "OUTREG"
        nets[f"OCE{port}"] = [control[1]]
    return list(registers.values())


def _control(register: dict[str, Any]) -> Register | None:
    """Return the clock and the enable of a register, or None of a cell that is none, or none that
    fits.
    """
    if register["type"] != REGISTER:
        return None
    parameters, nets = register["parameters"], register["connections"]
    if any(parameters.get(key) not in values for key, values in FITS.items()):
        return None
    if nets["LSR"] != ["0"]:
        return None
    return nets["CLK"][0], nets["CE"][0] if parameters["CEMUX"] == "CE" else "1"
