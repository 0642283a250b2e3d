"""A technology: what its gates and its memories take. `technology.json` beside this file is the
project's own; `energy.from_liberty` makes one from a foundry's files.

Units: fF, fJ, nW, um2; pJ for an access of a memory.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from golden.errors import UserError
from golden.files import write_whole
from golden.inputs import BROKEN, check_fields, read_json, reason

SHIPPED = Path(__file__).with_name("technology.json")
# A memory becomes registers where it has at most so many words, or bits: a macro is larger.
REGISTER_WORDS, REGISTER_BITS = 16, 512


def becomes_registers(words: int, width: int) -> bool:
    return words <= REGISTER_WORDS or words * width <= REGISTER_BITS


@dataclass(frozen=True)
class Pin:
    """An input of a cell: its capacitance, and the energy within the cell for each transition of
    this pin, beside that for transitions of the output.
    """

    capacitance: float
    energy: float


@dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes
    ----------
    area, leakage
        Its area, and its leakage as the mean over its states.
    inputs
        Its inputs by name: of a register its data and its clock, of a clock gate its enable and its
        clock.
    output, function
        Its output, and this one's function of the inputs as Liberty writes it. Of a register it is
        its data's name, of a clock gate its enable's.
    energy
        Within the cell for a transition of the output. What the output charges is not in it.
    clock
        Of a register or a clock gate: the input that is its clock.
    still, changing
        Of these: energy within the cell for a clock period (two transitions of the clock): in which
        a register keeps its value, or a gate lets no clock pass; and in which that is not so.
    """

    area: float
    leakage: float
    inputs: dict[str, Pin]
    output: str
    function: str
    energy: float
    clock: str = ""
    still: float = 0.0
    changing: float = 0.0

    @property
    def data(self) -> str:
        """Of a register or a clock gate: its input that is no clock."""
        return next(name for name in self.inputs if name != self.clock)


@dataclass(frozen=True)
class Macro:
    """A memory macro: pJ for a read and for a write of a word, through a port; `pin` is the mean
    capacitance of its inputs.
    """

    words: int
    width: int
    ports: int
    read: float
    write: float
    leakage: float
    area: float
    pin: float

    def __post_init__(self) -> None:
        for name in ("words", "width", "ports", "read", "write", "leakage", "area"):
            if not getattr(self, name) > 0:
                raise UserError(
                    f"a memory macro whose {name} is {getattr(self, name)}: use more than 0"
                )


@dataclass(frozen=True)
class MacroCost:
    """What a memory of a given size takes; see `Macro`."""

    read: float
    write: float
    leakage: float
    area: float


@dataclass(frozen=True)
class Technology:
    """A process at a voltage: its cells by name, its memory macros, and what is assumed of wires.

    Attributes
    ----------
    register, gate
        The names of the cells that are the register and the clock gate.
    wire
        Capacitance of the wire to each input that a net has.
    slew, load
        At which the energies within cells were read (ns, fF).
    sources
        Where the figures are from, a line each.
    """

    name: str
    voltage: float
    cells: dict[str, Cell]
    register: str
    gate: str
    macros: tuple[Macro, ...]
    wire: float
    slew: float
    load: float
    sources: list[str] = field(default_factory=list)

    @property
    def macro_pin(self) -> float:
        """The capacitance of an input of a memory."""
        return sum(macro.pin for macro in self.macros) / len(self.macros)

    def switching(self, capacitance: float) -> float:
        """Return fJ for a transition of a net of this capacitance: C V^2 / 2."""
        return capacitance * self.voltage**2 / 2

    def access(self, words: int, width: int) -> MacroCost:
        """Return what a memory of this size takes, where only its energies count: those of macros
        of one port and of two are the same.
        """
        return self.memory(words, width, min(self._macro_factors))

    def memory(self, words: int, width: int, ports: int) -> MacroCost:
        """Return what a memory of this size takes.

        Each figure is a + b width + c words width (what is there once, for each column, for each
        bit), fitted with the least relative error to the macros of `ports` ports; energies to all
        macros, as an access takes the same through either port of two.
        """
        if ports not in self._macro_factors:
            raise UserError(f"the technology {self.name} has no memory macro of {ports} ports")
        terms = _terms(words, width)
        return MacroCost(
            **{what: float(terms @ by) for what, by in self._macro_factors[ports].items()}
        )

    @cached_property
    def _macro_factors(self) -> dict[int, dict[str, np.ndarray]]:
        """By ports, the factors of `_terms` of each figure of `MacroCost`."""
        return {
            ports: {
                "read": _factors(self.macros, "read"),
                "write": _factors(self.macros, "write"),
                "leakage": _factors(alike, "leakage"),
                "area": _factors(alike, "area"),
            }
            for ports in {macro.ports for macro in self.macros}
            for alike in [[macro for macro in self.macros if macro.ports == ports]]
        }


def _terms(words: int, width: int) -> list[float]:
    return [1.0, width, words * width]


def _factors(macros: Sequence[Macro], what: str) -> np.ndarray:
    given = np.array([getattr(macro, what) for macro in macros])
    terms = np.array([_terms(macro.words, macro.width) for macro in macros])
    return np.linalg.lstsq(terms / given[:, None], np.ones(len(given)), rcond=None)[0]


def technology_text(technology: Technology) -> str:
    """Return a technology as JSON: a cell a line, a macro a line."""
    content = asdict(technology)
    cells, macros = content.pop("cells"), content.pop("macros")
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
    rows = [f"  {json.dumps(name)}: {json.dumps(cell)}" for name, cell in cells.items()]
    lines.append(' "cells": {\n' + ",\n".join(rows) + "\n }")
    lines.append(' "macros": [\n' + ",\n".join(f"  {json.dumps(m)}" for m in macros) + "\n ]")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write_technology(technology: Technology, path: Path) -> None:
    write_whole(path, technology_text(technology))


def read_technology(path: Path = SHIPPED) -> Technology:
    """Read a technology file, or raise `UserError` where it is none."""
    try:
        content: dict[str, Any] = read_json(path)
        cells = {
            name: Cell(**{**cell, "inputs": {x: Pin(**pin) for x, pin in cell["inputs"].items()}})
            for name, cell in content.pop("cells").items()
        }
        macros = tuple(Macro(**macro) for macro in content.pop("macros"))
        technology = Technology(cells=cells, macros=macros, **content)
        pins = [pin for cell in cells.values() for pin in cell.inputs.values()]
        for made in (technology, *cells.values(), *pins, *macros):
            check_fields(made)
        if not macros:
            raise ValueError("it has no memory macro")
        _ = technology.cells[technology.register], technology.cells[technology.gate]
    except BROKEN as error:
        raise UserError(
            f"{path} is no technology file ({reason(error)}): make one by dmp technology"
        ) from None
    return technology
