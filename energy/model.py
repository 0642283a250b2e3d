"""Write a netlist of gates as the Verilog that Verilator runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from energy.functions import parse, verilog
from energy.netlist import Memory, Net, Netlist
from energy.technology import Technology
from golden.interface import Interface
from tb.wrapper import SHELL

NETS = "nets"  # the port with the values that are counted
WORD = 32


@dataclass(frozen=True)
class Watched:
    """The bits of the port `nets`: first the nets whose transitions are counted, then expressions
    whose cycles at 1 are counted.
    """

    nets: list[Net]
    levels: list[str]

    @property
    def first_level(self) -> int:
        """Where the levels start: at a word of their own."""
        return -(-len(self.nets) // WORD) * WORD

    @property
    def width(self) -> int:
        return -(-(self.first_level + len(self.levels)) // WORD) * WORD


def wire(net: Net) -> str:
    """Return a net as Verilog; what is undefined is 0."""
    return f"n{net}" if isinstance(net, int) else f"1'b{int(net == '1')}"


def bits(nets: list[Net]) -> str:
    return "{" + ", ".join(wire(net) for net in reversed(nets)) + "}"


def all_of(nets: tuple[Net, ...]) -> str:
    return " & ".join(map(wire, nets)) or "1'b1"


def any_of(nets: list[Net]) -> str:
    return " | ".join(dict.fromkeys(map(wire, nets)))


def write_model(netlist: Netlist, technology: Technology, watched: Watched, top: str) -> str:
    """Return the Verilog of module `top`: the ports of the core, and a port `nets` (see `Watched`).

    A net behind a clock gate has no clock of its own: a register takes its data when the enables of
    its clock are 1 at the rising edge, as with a gate whose latch is open while the clock is low.
    """
    ports = ["input wire clk"]
    body: list[str] = []
    for name, nets in netlist.ports.items():
        if nets == [netlist.clock]:
            continue
        way = "input" if name in netlist.inputs else "output"
        ports.append(f"{way} wire [{len(nets) - 1}:0] {name}")
        if way == "input":
            body += [f"wire {wire(net)} = {name}[{i}];" for i, net in enumerate(nets)]
        else:
            body.append(f"assign {name} = {bits(nets)};")
    ports.append(f"output wire [{watched.width - 1}:0] {NETS}")
    body += _gates(netlist, technology)
    for index, memory in enumerate(netlist.memories):
        body += _memory(index, memory)
    values = [wire(net) for net in watched.nets]
    values += ["1'b0"] * (watched.first_level - len(values)) + watched.levels
    values += ["1'b0"] * (watched.width - len(values))
    for at in range(0, watched.width, WORD):
        word = ", ".join(reversed(values[at : at + WORD]))
        body.append(f"assign {NETS}[{at + WORD - 1}:{at}] = {{{word}}};")
    listed, lines = ",\n    ".join(ports), "\n    ".join(body)
    return (
        f"// Written by energy.model.\nmodule {top} (\n    {listed}\n);\n    {lines}\nendmodule\n"
    )


def _gates(netlist: Netlist, technology: Technology) -> list[str]:
    functions = {name: parse(cell.function) for name, cell in technology.cells.items()}
    enables = netlist.enables_of(technology)
    logic, declared = [], []
    registers: dict[tuple[Net, ...], list[str]] = {}
    for gate in netlist.gates:
        cell = technology.cells[gate.kind]
        if gate.kind == technology.gate:
            continue
        out = wire(gate.pins[cell.output])
        if gate.kind == technology.register:
            declared.append(f"reg {out};")
            taken = registers.setdefault(enables[gate.pins[cell.clock]], [])
            taken.append(f"{out} <= {wire(gate.pins[cell.data])};")
        else:
            pins: Mapping[str, str] = {pin: wire(gate.pins[pin]) for pin in cell.inputs}
            logic.append(f"wire {out} = {verilog(functions[gate.kind], pins)};")
    clocked = [
        f"always @(posedge clk) if ({all_of(nets)}) begin\n" + "\n".join(taken) + "\nend"
        for nets, taken in registers.items()
    ]
    return [*declared, *logic, *clocked]


def _memory(index: int, memory: Memory) -> list[str]:
    name, width = f"memory{index}", memory.width
    lines = [f"reg [{width - 1}:0] {name} [0:{memory.words - 1}]; // {memory.name}"]
    address, data = bits(memory.address), bits(memory.data)
    if len(set(memory.enables)) == 1:
        taken = f"if ({wire(memory.enables[0])}) {name}[{address}] <= {data};"
    else:
        mask = bits(memory.enables)
        kept = f"({name}[{address}] & ~{mask})"
        taken = f"if (|{mask}) {name}[{address}] <= {kept} | ({data} & {mask});"
    lines.append(f"always @(posedge clk) {taken}")
    for number, port in enumerate(memory.reads):
        read = f"{name}_{number}"
        lines.append(f"reg [{width - 1}:0] {read};")
        found = f"{name}[{bits(port.address)}]"
        if port.transparent:
            same = f"{any_of(memory.enables)} && {bits(port.address)} == {address}"
            found = f"({same}) ? {data} : {found}"
        lines.append(f"always @(posedge clk) if ({wire(port.enable)}) {read} <= {found};")
        lines += [f"wire {wire(net)} = {read}[{i}];" for i, net in enumerate(port.data)]
    return lines


def write_shell(interface: Interface, watched: Watched) -> str:
    """Return the Verilog of module `shell`, for `tb.compiled`: the model behind registers at all
    its inputs, so that what depends on an input is evaluated once a cycle.

    The ports are those of `tb.wrapper.write_shell`, and `nets`. A stream that enters passes a
    register with valid and ready, which adds a cycle and loses none.
    """
    ports, body, connections = [], [], list[str]()
    for port in interface.ports.values():
        flat = port.name.replace("__", "_")
        ports.append(f"{port.direction} wire [{port.width - 1}:0] {flat}")
        stream, _, signal = port.name.partition("__")
        enters = stream.startswith("i_") and bool(signal)
        inner = flat
        if enters and signal == "ready":
            inner = f"open_{flat}"
            body.append(f"wire {inner}; assign {flat} = {inner} | ~held_{stream}_valid;")
        elif port.direction == "input" and port.name != "clk":
            inner = f"held_{flat}"
            taken = f"if ({stream}_ready) " if enters else ""
            body.append(f"reg [{port.width - 1}:0] {inner};")
            body.append(f"always @(posedge clk) {taken}{inner} <= {flat};")
        connections.append(f".{port.name}({inner})")
    ports.append(f"output wire [{watched.width - 1}:0] {NETS}")
    listed, lines = ",\n    ".join(ports), "\n    ".join(body)
    connected = ",\n        ".join([*connections, f".{NETS}({NETS})"])
    return (
        f"// Written by energy.model.\nmodule {SHELL} (\n    {listed}\n);\n    {lines}\n"
        f"    {interface.top} core (\n        {connected}\n    );\nendmodule\n"
    )
