"""Names that a reader of the Verilog can follow: no anonymous ports, nothing that must be escaped.

Amaranth numbers what it cannot name alike in two modules (`\\valid$25`, `\\port$843$0`) by where it
is in the whole design. Here a wire that hangs on a submodule's port is called after both
(`neurons__spikes_0`), a port after what its module calls its bits, and ports come in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_NAME = re.compile(r"[\\$]\S+")
_WIRE = re.compile(r"  wire width (\d+)(?: (input|output|inout) \d+ )?( signed)? (\S+)$")
_WHOLE = re.compile(r"(\S+)(?: \[(\d+):0\]| \[0\])?$")
_PART = re.compile(r"(\d+)'[01xz]+|([\\$]\S+) \[(\d+)(?::(\d+))?\]")
_MOST_NAMES = 3  # in the name of a port that has several
# Reserved by IEEE 1364-2005 or 1800-2017.
_RESERVED = frozenset(
    """
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic
    before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle
    checker class clocking cmos config const constraint context continue cover covergroup coverpoint
    cross deassign default defparam design disable dist do edge else end endcase endchecker endclass
    endclocking endconfig endfunction endgenerate endgroup endinterface endmodule endpackage
    endprimitive endprogram endproperty endsequence endspecify endtable endtask enum event
    eventually expect export extends extern final first_match for force foreach forever fork
    forkjoin function generate genvar global highz0 highz1 if iff ifnone ignore_bins illegal_bins
    implements implies import incdir include initial inout input inside instance int integer
    interconnect interface intersect join join_any join_none large let liblist library local
    localparam logic longint macromodule matches medium modport module nand negedge nettype new
    nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter pmos
    posedge primitive priority program property protected pull0 pull1 pulldown pullup
    pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime
    ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always
    s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled
    signed small soft solve specify specparam static string strong strong0 strong1 struct super
    supply0 supply1 sync_accept_on sync_reject_on table tagged task this throughout time
    timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef union
    unique unique0 unsigned until until_with untyped use uwire var vectored virtual void wait
    wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
    """.split()
)


@dataclass
class _Wire:
    width: int
    direction: str | None


@dataclass
class _Cell:
    kind: str
    name: str
    ports: dict[str, str] = field(default_factory=dict)


@dataclass
class _Module:
    """A module of RTLIL text, its lines but the `module` and the `end`."""

    name: str
    lines: list[str]
    wires: dict[str, _Wire] = field(default_factory=dict)
    memories: set[str] = field(default_factory=set)
    cells: list[_Cell] = field(default_factory=list)
    aliases: list[tuple[str, str]] = field(default_factory=list)  # (name, value) of each `connect`

    def whole(self, value: str) -> str | None:
        """Return the wire that a value is, all of it."""
        found = _WHOLE.match(value)
        if found is None or found[1] not in self.wires:
            return None
        return found[1] if self.wires[found[1]].width == int(found[2] or 0) + 1 else None


def _read(text: str) -> Iterator[str | _Module]:
    """Return the modules of RTLIL text, and the lines that are between them."""
    module: _Module | None = None
    for line in text.splitlines():
        if module is None:
            if not line.startswith("module "):
                yield line
                continue
            module = _Module(line.split()[1], [])
        elif line == "end":
            yield module
            module = None
        else:
            _read_line(module, line)


def _read_line(module: _Module, line: str) -> None:
    module.lines.append(line)
    words = line.split()
    if wire := _WIRE.match(line):
        module.wires[wire[4]] = _Wire(int(wire[1]), wire[2])
    elif line.startswith("  memory "):
        module.memories.add(words[-1])
    elif line.startswith("  cell "):
        module.cells.append(_Cell(words[1], words[2]))
    elif line.startswith("    connect "):
        module.cells[-1].ports[words[1]] = line.split(maxsplit=2)[2]
    elif line.startswith("connect "):
        module.aliases.append((words[1], line.split(maxsplit=2)[2]))


def _plain(name: str) -> str:
    """Return a name without its number and with nothing that must be escaped."""
    plain = re.sub(r"\W", "__", re.sub(r"\$\d+", "", name[1:])).strip("_") or "unnamed"
    return f"{plain}_" if plain in _RESERVED else plain


def _unused(name: str, used: set[str]) -> str:
    """Return the name, or its first free variant, and mark it as used."""
    choices = (name if number == 1 else f"{name}_{number}" for number in range(1, len(used) + 3))
    found = next(choice for choice in choices if choice not in used)
    used.add(found)
    return found


def _bits_of(port: str, aliases: Iterable[tuple[str, str]]) -> str | None:
    """Return what a module calls the bits of one of its ports, lowest first."""
    found: dict[tuple[int, int], str] = {}
    for alias, value in aliases:
        parts = list(_PART.finditer(value))
        offset = 0
        for part in reversed(parts):
            if part[1]:
                offset += int(part[1])
                continue
            high, low = int(part[3]), int(part[4] or part[3])
            if part[2] == port:
                name = _plain(alias)
                found.setdefault((low, -high), name if len(parts) == 1 else f"{name}_{offset}")
            offset += high - low + 1
    names = [found[place] for place in sorted(found)]
    if len(names) > _MOST_NAMES:
        names = [names[0], "etc"]
    return "_".join(names) or None


class _Names:
    """The new names in a design."""

    def __init__(self, modules: list[_Module]) -> None:
        self.modules = {module.name: module for module in modules}
        used: set[str] = set()
        self.of_modules = {name: "\\" + _unused(_plain(name), used) for name in self.modules}
        self._shared = self._name_anonymous_ports()
        # Names of what is inside; submodules first, whose ports name their parents' wires.
        self.inside: dict[str, dict[str, str]] = {}
        for name in sorted(self.modules, key=lambda name: -name.count(".")):
            self.inside[name] = self._name_module(self.modules[name])

    def _name_anonymous_ports(self) -> dict[str, str]:
        """Return a name for each net that is a port of several modules and has none."""
        found: dict[str, str] = {}
        for module in self.modules.values():
            for port, wire in module.wires.items():
                if wire.direction == "input" and port.startswith("\\port$") and port not in found:
                    name = _bits_of(port, module.aliases)
                    if name:
                        found[port] = name
        return found

    def _name_module(self, module: _Module) -> dict[str, str]:
        used = {name[1:] for name in module.memories}
        found = {name: name for name in module.memories}
        ports = [name for name, wire in module.wires.items() if wire.direction]
        clear = [name for name in module.wires if "$" not in name]
        parts = [cell.name for cell in module.cells if cell.kind in self.modules]
        for name in dict.fromkeys((*ports, *parts, *clear)):
            found[name] = "\\" + _unused(self._shared.get(name) or _plain(name), used)
        on_ports = self._names_on_ports(module, found)
        for name in module.wires:
            if name not in found and (name in on_ports or name.startswith("\\")):
                found[name] = "\\" + _unused(on_ports.get(name, _plain(name)), used)
        return found

    def _names_on_ports(self, module: _Module, found: dict[str, str]) -> dict[str, str]:
        """Return names of wires after the submodule's port that they are on, an output first."""
        names: dict[str, str] = {}
        for direction in ("output", "input"):
            for cell in module.cells:
                if cell.kind not in self.modules:
                    continue
                child, inside = self.modules[cell.kind], self.inside[cell.kind]
                for port, value in cell.ports.items():
                    name = module.whole(value)
                    if name and child.wires[port].direction == direction:
                        names.setdefault(name, f"{found[cell.name][1:]}__{inside[port][1:]}")
        return names

    def write(self, module: _Module) -> Iterator[str]:
        """Return the lines of a module under its new names, its ports in order."""
        names = self.inside[module.name]
        ports = [name for name, wire in module.wires.items() if wire.direction]
        ports.sort(key=lambda name: (names[name] not in ("\\clk", "\\rst"), names[name]))
        places = {name: place for place, name in enumerate(ports, 1)}
        empty = {name for name, wire in module.wires.items() if not wire.width}
        of_child: dict[str, str] = {}

        written = {**names, **dict.fromkeys(empty, "{ }")}

        def rename(text: str) -> str:
            return _NAME.sub(lambda name: written.get(name[0], name[0]), text)

        yield f"module {self.of_modules[module.name]}"
        for line in module.lines:
            words = line.split()
            wire = _WIRE.match(line)
            if wire and wire[4] in empty or words[:1] == ["connect"] and words[1] in empty:
                continue  # Verilog has no wire of no bits: `wire [-1:0]` has two
            if wire and wire[2]:
                signed = wire[3] or ""
                yield (
                    f"  wire width {wire[1]} {wire[2]} {places[wire[4]]}{signed} {names[wire[4]]}"
                )
            elif line.startswith("  cell "):
                of_child = self.inside.get(words[1], {})
                kind = self.of_modules.get(words[1], words[1])
                yield f"  cell {kind} {names.get(words[2], words[2])}"
            elif line.startswith("    connect "):
                port, value = line.split(maxsplit=2)[1:]
                yield f"    connect {of_child.get(port, port)} {rename(value)}"
            elif words[:1] in (["attribute"], ["parameter"]):
                yield line
            else:
                yield rename(line)
        yield "end"


def make_readable(rtlil: str) -> str:
    """Return a design's RTLIL text (of `amaranth.back.rtlil`) with names for people."""
    parts = list(_read(rtlil))
    names = _Names([part for part in parts if isinstance(part, _Module)])
    lines = list[str]()
    for part in parts:
        lines.extend([part] if isinstance(part, str) else names.write(part))
    return "\n".join(lines) + "\n"
