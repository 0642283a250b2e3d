"""A netlist of gates: what Yosys wrote as JSON, as the cells of a technology and memories."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from energy.technology import Technology
from golden.errors import UserError

Net = int | str  # a net's number, or "0", "1", "x" for what is constant
MEMORY = "$mem_v2"
_PLACE = re.compile(r"(?:\$flatten)?((?:\\?[A-Za-z_]\w*\.)*)")


@dataclass(frozen=True)
class Gate:
    """A cell: its path in the core (`layer0.spike_path`, nothing for the top), the technology's
    name of its kind, and the net of each pin.
    """

    place: str
    kind: str
    pins: dict[str, Net]


@dataclass(frozen=True)
class ReadPort:
    """A port that reads: `data` follow `address` with the clock when `enable` is 1. What is written
    in the same cycle is read where it is `transparent`.
    """

    address: list[Net]
    data: list[Net]
    enable: Net
    transparent: bool


@dataclass(frozen=True)
class Memory:
    """A memory with one port that writes: `enables` for each bit."""

    name: str
    words: int
    width: int
    reads: list[ReadPort]
    address: list[Net]
    data: list[Net]
    enables: list[Net]


@dataclass(frozen=True)
class Netlist:
    """A core in gates.

    `ports` are its ports' nets by name, lowest bit first; `inputs` the names of those that are
    inputs. `clock` is the net of the clock.
    """

    ports: dict[str, list[Net]]
    inputs: list[str]
    clock: Net
    gates: list[Gate]
    memories: list[Memory]

    def driven(self, technology: Technology) -> list[tuple[Net, str]]:
        """Return every net with a value, and the path of what drives it: all but the clocks."""
        found: list[tuple[Net, str]] = []
        for name in self.inputs:
            found += [(net, "") for net in self.ports[name] if net != self.clock]
        for gate in self.gates:
            if gate.kind != technology.gate:
                found.append((gate.pins[technology.cells[gate.kind].output], gate.place))
        for memory in self.memories:
            for port in memory.reads:
                found += [(net, place_of(memory.name)) for net in port.data]
        return found

    def enables_of(self, technology: Technology) -> dict[Net, tuple[Net, ...]]:
        """Return the enables through which each clock passes: of the core's own, none."""
        found: dict[Net, tuple[Net, ...]] = {self.clock: ()}
        cell = technology.cells[technology.gate]
        waiting = [gate for gate in self.gates if gate.kind == technology.gate]
        while waiting:
            left = []
            for gate in waiting:
                above = found.get(gate.pins[cell.clock])
                if above is None:
                    left.append(gate)
                else:
                    found[gate.pins[cell.output]] = (*above, gate.pins[cell.data])
            if len(left) == len(waiting):
                raise UserError(f"a clock gate of {left[0].place or 'the core'} has no clock")
            waiting = left
        return found


def place_of(name: str) -> str:
    """Return the path of the module that a cell of a flattened netlist was in."""
    found = _PLACE.match(name)
    return found[1].replace("\\", "").rstrip(".") if found else ""


def read_gates(module: dict[str, Any], technology: Technology, clock: str = "clk") -> Netlist:
    """Return the netlist of a module of Yosys' JSON, or raise `UserError` where it has a cell that
    is none of the technology's, or a memory that no macro can be.
    """
    gates, memories = [], []
    for name, cell in module["cells"].items():
        if cell["type"] == MEMORY:
            memories.append(_memory(name, cell))
        elif cell["type"] in technology.cells:
            pins = {pin: bits[0] for pin, bits in cell["connections"].items()}
            gates.append(Gate(place_of(name), cell["type"], pins))
        else:
            raise UserError(f"{name} is a {cell['type']}, which {technology.name} does not have")
    ports = {name: port["bits"] for name, port in module["ports"].items()}
    inputs = [name for name, port in module["ports"].items() if port["direction"] == "input"]
    return Netlist(ports, inputs, ports[clock][0], gates, memories)


def _memory(name: str, cell: dict[str, Any]) -> Memory:
    given = {key: int(value, 2) for key, value in cell["parameters"].items()
             if key != "MEMID" and set(value) <= {"0", "1"}}  # fmt: skip
    nets: dict[str, list[Net]] = cell["connections"]
    reads, width, bits = given["RD_PORTS"], given["WIDTH"], given["ABITS"]
    resets = {*nets["RD_ARST"], *nets["RD_SRST"]}
    clocked = given["RD_CLK_ENABLE"] == (1 << reads) - 1 and given["WR_CLK_ENABLE"] == 1
    if given["WR_PORTS"] != 1 or not clocked or resets - {"0"} or given["OFFSET"]:
        raise UserError(f"memory {name} is none that reads and writes with the clock")
    ports = [
        ReadPort(
            nets["RD_ADDR"][i * bits : (i + 1) * bits],
            nets["RD_DATA"][i * width : (i + 1) * width],
            nets["RD_EN"][i],
            bool(given["RD_TRANSPARENCY_MASK"] >> i & 1),
        )
        for i in range(reads)
    ]
    return Memory(
        name, given["SIZE"], width, ports, nets["WR_ADDR"], nets["WR_DATA"], nets["WR_EN"]
    )


def all_pins(netlist: Netlist, technology: Technology) -> Iterator[tuple[Net, str, str]]:
    """Yield the net, the kind and the pin of every input of every gate."""
    for gate in netlist.gates:
        for pin in technology.cells[gate.kind].inputs:
            yield gate.pins[pin], gate.kind, pin
