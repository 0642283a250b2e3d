"""What is taken of a foundry's files, and what a memory of another size takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from energy.command import find_technology
from energy.from_liberty import from_liberty, read_macro
from energy.technology import Technology, read_technology, write_technology
from energy.technology_command import main
from golden.errors import UserError
from tests.energy_library import CELLS, NAND, REGISTER, macro


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, list[Path]]:
    cells = tmp_path / "cells.lib"
    cells.write_text(CELLS)
    macros = []
    shapes = [(6, 8, "A"), (8, 8, "A"), (8, 32, "A"), (6, 8, "AB"), (8, 8, "AB"), (7, 16, "AB")]
    for index, (address, width, ports) in enumerate(shapes):
        path = tmp_path / f"ram{index}.lib"
        path.write_text(macro(address, width, ports))
        macros.append(path)
    return cells, macros


@pytest.fixture
def small(files: tuple[Path, list[Path]]) -> Technology:
    return from_liberty(*files)


def test_figures_of_cells(small: Technology) -> None:
    assert set(small.cells) == {"inv", "nand", "dff", "icg"}, "the smallest of each function"
    assert (small.name, small.voltage) == ("small", 2.0)
    assert (small.register, small.gate) == ("dff", "icg")
    inverter, nand = small.cells["inv"], small.cells["nand"]
    assert (inverter.area, inverter.leakage, inverter.function) == (1.0, 1.0, "!A")
    assert inverter.inputs["A"].capacitance == pytest.approx(1.0)
    # pJ in units of capacitance * V^2 of the file: fJ; mean of rise and fall.
    assert inverter.energy == pytest.approx(3.0)
    assert nand.energy == pytest.approx(5.0) and nand.inputs["A"].energy == 0
    assert nand.inputs["B"].energy == pytest.approx(2.0)


def test_figures_of_the_register(small: Technology) -> None:
    """Both outputs' energy, without what their loads take and without a reset; a clock period with
    and without a change.
    """
    register = small.cells["dff"]
    assert (register.data, register.clock, register.output) == ("D", "C", "Q")
    assert register.energy == pytest.approx(45 + 55)
    assert register.still == pytest.approx((10 + 12) / 2 + (20 + 22) / 2)
    assert register.changing == pytest.approx(0 + (40 + 34) / 2)
    assert register.inputs["D"].energy == pytest.approx(2.0)
    assert register.inputs["C"].energy == 0, "that of its periods has it"


def test_figures_of_the_clock_gate(small: Technology) -> None:
    gate = small.cells["icg"]
    assert (gate.data, gate.clock, gate.output) == ("E", "C", "G")
    assert gate.still == pytest.approx(3 + 5)
    assert gate.changing == pytest.approx(3 + 5 + 7 + 9)
    assert gate.inputs["E"].energy == pytest.approx(8.0)


@pytest.mark.parametrize(("words", "width", "ports"), [(64, 8, 1), (100, 24, 1), (1024, 64, 2)])
def test_a_memory_of_another_size(small: Technology, words: int, width: int, ports: int) -> None:
    cost = small.memory(words, width, ports)
    read = 1 + 0.5 * width + 0.001 * words * width
    assert cost.read == pytest.approx(read) and cost.write == pytest.approx(2 * read)
    assert cost.leakage == pytest.approx(0.01 * words * width)
    assert cost.area == pytest.approx(2 * words * width)
    assert small.macro_pin == pytest.approx(4.0)


def test_a_memory_without_a_macro_of_its_ports(small: Technology) -> None:
    with pytest.raises(UserError, match="no memory macro of 3 ports"):
        small.memory(64, 8, 3)


def test_a_table_and_the_files_that_it_is_made_from_are_the_same(
    files: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    cells, macros = files
    table = tmp_path / "technology.json"
    options = [option for path in macros for option in ("--sram", str(path))]
    arguments = ["--liberty", str(cells), *options, "--source", "from here", "--out", str(table)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    made, read = read_technology(table), find_technology(cells, tuple(macros))
    assert made.sources[0] == "from here" and "SHA-256" in made.sources[2]
    assert str(tmp_path) not in table.read_text()
    for what in ("cells", "macros", "register", "gate", "voltage", "wire", "slew", "load"):
        assert getattr(made, what) == getattr(read, what), what


def test_only_some_files_of_a_user(files: tuple[Path, list[Path]]) -> None:
    cells, macros = files
    own = read_technology()
    assert find_technology(cells, ()).macros == own.macros
    assert find_technology(None, tuple(macros)).cells == own.cells
    assert find_technology(None, ()) == own


def test_the_shipped_technology() -> None:
    """It has sources, and figures of the right size: an inverter's input is some fF, a register
    takes more than any gate without a state.
    """
    own = read_technology()
    assert own.voltage == 1.2 and any("Apache-2.0" in line for line in own.sources)
    register = own.cells[own.register]
    logic = [cell for name, cell in own.cells.items() if name not in (own.register, own.gate)]
    assert 25 <= len(own.cells) <= 40 and all(1 < cell.area < register.area for cell in logic)
    assert all(1 < pin.capacitance < 10 for cell in logic for pin in cell.inputs.values())
    assert all(0 < cell.energy < register.energy for cell in logic)
    assert 20 < own.memory(256, 32, 1).read < own.memory(256, 32, 1).write < 40
    for macro_ in own.macros:
        cost = own.memory(macro_.words, macro_.width, macro_.ports)
        for what in ("read", "write", "leakage", "area"):
            assert getattr(cost, what) == pytest.approx(getattr(macro_, what), rel=0.07), what
    assert not [line for line in own.sources if line.startswith("/") or " /" in line]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (REGISTER, "", "small has no register"),
        ('clock_gating_integrated_cell : "latch_posedge"; dont_use : true;', "", "no clock gate"),
        ('time_unit : "1ns"', 'time_unit : "1 day"', "small: time_unit is 1 day"),
        (NAND, NAND.replace("!(A*B)", "!(A*B"), "is no function of Liberty"),
        ("nom_voltage : 2.0;", "", "library small in line 1 has no nom_voltage"),
    ],
)
def test_a_library_that_lacks_something(
    files: tuple[Path, list[Path]], old: str, new: str, says: str
) -> None:
    cells, macros = files
    assert old in CELLS
    cells.write_text(CELLS.replace(old, new))
    with pytest.raises(UserError, match=says):
        from_liberty(cells, macros)


def test_a_macro_that_lacks_something(files: tuple[Path, list[Path]], tmp_path: Path) -> None:
    cells, _ = files
    with pytest.raises(UserError, match="has no cell with a group memory"):
        read_macro(cells)
    other = tmp_path / "other.lib"
    other.write_text(macro(6, 8).replace("A_MEN", "A_CEN"))
    with pytest.raises(UserError, match=r"no energy for pins \*MEN, \*WEN, \*REN"):
        read_macro(other)


def test_a_file_that_is_no_technology(small: Technology, tmp_path: Path) -> None:
    path = tmp_path / "technology.json"
    write_technology(small, path)
    assert read_technology(path) == small
    content = json.loads(path.read_text())
    for wrong in ({**content, "register": "none"}, {**content, "volts": 1}, [], {"cells": {}}):
        path.write_text(json.dumps(wrong))
        with pytest.raises(UserError, match="is no technology file"):
            read_technology(path)
    with pytest.raises(UserError, match="is no technology file"):
        read_technology(tmp_path / "none.json")
