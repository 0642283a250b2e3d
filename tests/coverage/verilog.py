"""Places in generated Verilog that are the same in every core: the component's class, names without
numbers, and the line of Python.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SRC = re.compile(r'\(\* src = "([^"]+)" \*\)')
_MODULE = re.compile(r"^// (\w+), rtl/\S+\n(?://[^\n]*\n)*module (\w+).*?^endmodule$", re.M | re.S)
_DECLARED = re.compile(r"^ *(?:input|output|wire|reg) (?:signed )?(?:\[\d+:0\] )?(\w+)(?: = .*)?;$")
_ASSIGNED = re.compile(r"^ *assign (?:\{ *)?(\w+).*? = (.*);$")
_TAKEN = re.compile(r"(\w+)(?:\[[^]]*\])? <= ")
_ALIAS = re.compile(r"^ *assign (\w+) = (\w+)(?: ?\[(?:\d+:)?\d+\])?;$")
_CONSTANT = re.compile(r"^ *assign (\w+) = -?\d*'s?[hbd][0-9a-fx]+;$")
_WORD = re.compile(
    r"^ *assign (\w+) = \{ *[a-z]\w*(?:\[[\d:]+\])?(?:, *[a-z]\w*(?:\[[\d:]+\])?)* *\};$"
)
_OUTPUT = re.compile(r"^ *output (?:\[\d+:0\] )?(\w+);$")
_INSTANCE = re.compile(r"^  (\w+) \w+ \($")
_PORT = re.compile(r"^    \.(\w+)\((\w+)\),?$")
_MEMORY = re.compile(r"^ *reg (?:signed )?(?:\[\d+:0\] )?(\w+) \[\d+:0\];$")
_CHOICE = re.compile(
    r"^ *assign (?:\{ *)?(\w+).*? = (\S+) \? (?:\(\* src = \"([^\"]+)\" \*\) )?(.*);$"
)
_CASE = re.compile(r"^ *(\d+'b[01?]+|default):$")
_EQUAL = re.compile(r"(?:(.*) == \d+'h([0-9a-f]+)|! (.*))$")
_FUNCTION = re.compile(r"^ *function (?:\[\d+:0\] )?(\w+);$")
_IF = re.compile(r"if \((.*?)\)(?: begin| \w|$)")
_LITERAL = re.compile(r" *-?\d+'s?[hbd]\w+ *")
_NAME = re.compile(r"\b[A-Za-z_]\w*\b")
OFF, ON = "/*verilator coverage_off*/ ", " /*verilator coverage_on*/"


def plain(name: str) -> str:
    """Return a name without the numbers of layers, lanes, timesteps, registers in a row, copies."""
    return re.sub(r"\d+(?=_|$)", "N", name)


@cache
def python(source: str) -> str:
    """Return the text of a line of Python (`rtl/drive.py:174`): it stays where its number does
    not.
    """
    file, _, number = source.split("|")[0].rpartition(":")
    text = linecache.getline(str(ROOT / file), int(number)).strip()
    return f"{Path(file).name}: {text}"


def _anonymous(name: str) -> bool:
    return bool(re.fullmatch(r"_\d+_", name))


@dataclass
class Module:
    """A module of the Verilog: its component's class and its lines, from number `first`."""

    component: str
    first: int
    lines: list[str] = field(default_factory=list)

    @cached_property
    def _assigned(self) -> dict[str, str]:
        """What is assigned to each net."""
        matches = (_ASSIGNED.match(line) for line in self.lines)
        return {match[1]: _SRC.sub("", match[2]).replace("  ", " ") for match in matches if match}

    @cached_property
    def _sources(self) -> dict[str, str]:
        """The line of Python of each anonymous net's operator."""
        found = {}
        for line in self.lines:
            if (assigned := _ASSIGNED.match(line)) and (source := _SRC.search(assigned[2])):
                found[assigned[1]] = source[1]
        return found

    @cached_property
    def _readers(self) -> dict[str, set[str]]:
        """The nets and registers that an anonymous net is read for."""
        found: dict[str, set[str]] = {}
        for line in self.lines:
            assigned = _ASSIGNED.match(line)
            taken = _TAKEN.search(line)
            target = assigned[1] if assigned else taken[1] if taken else None
            if target is None:
                continue
            value = assigned[2] if assigned else line[taken.end() :] if taken else ""
            for name in _NAME.findall(_SRC.sub("", value)):
                if _anonymous(name):
                    found.setdefault(name, set()).add(target)
        return found

    def target(self, name: str) -> str:
        """Return the plain name of a net, or of the first named one that a nameless net reaches."""
        seen, wave = {name}, {name}
        while wave:
            named = sorted(plain(net) for net in wave if not _anonymous(net))
            if named:
                return named[0]
            wave = {reader for net in wave for reader in self._readers.get(net, ())} - seen
            seen |= wave
        return ""

    def condition(self, text: str) -> str:
        """Return a condition's name, or the line of Python that it comes from."""
        name = (_NAME.findall(text) or ["1"])[0]
        if not _anonymous(name):
            return plain(name)
        source = self._sources.get(name)
        return python(source) if source else "a reset"

    def decides(self, number: int) -> bool:
        """Whether a line of the Verilog is a statement, and no initial value or constant choice."""
        line = self.lines[number - self.first]
        if chosen := _CHOICE.match(line):
            return not _LITERAL.fullmatch(chosen[2])
        return bool(_CASE.match(line) or _IF.search(line))

    def place(self, number: int) -> str:
        """Return what is decided in a line of the Verilog: what is assigned, and on which condition
        or where in the Python.
        """
        line = self.lines[number - self.first]
        chosen = _CHOICE.match(line)
        if chosen:
            target, condition, source, arms = chosen.groups()
            where = python(source) if source else self.condition(condition)
            constants = all(_LITERAL.fullmatch(arm) for arm in arms.split(" : "))
            return f"{self.target(target)}: {where}{', a constant' if constants else ''}"
        here = number - self.first
        if case := _CASE.match(line):
            return self._of_case(here, case[1])
        below = (_TAKEN.search(line) for line in self.lines[here:])
        taken = next(name[1] for name in below if name)
        condition = _IF.search(line)
        where = self.condition(condition[1]) if condition else "every cycle"
        return f"{self.target(taken)}: {where}"

    def _of_case(self, here: int, bits: str) -> str:
        """Return what an arm of a selection decides: of conditions of which one holds, or none. Its
        values are those of `bits`, the first condition's at the right.
        """
        above = (_FUNCTION.match(line) for line in reversed(self.lines[:here]))
        name = next(function[1] for function in above if function)
        called = rf"assign (\w+).* = {name}\(.*\{{ ([^{{}}]*) \}}\);"
        call = next(found for line in self.lines[here:] if (found := re.search(called, line)))
        target = self.target(call[1])
        _, quote, bits = bits.partition("'b")
        if "1" not in bits:
            return f"{target}: {'none holds' if quote else 'several hold'}"
        condition = call[2].split(", ")[bits.index("1")]
        equal = _EQUAL.match(self._assigned.get(condition, ""))
        if not equal:
            return f"{target}: {self.condition(condition)}"
        of, value, none = equal.groups()
        return f"{target}: {self.condition(of or none)} is {int(value or '0', 16)}"

    @cached_property
    def outputs(self) -> set[str]:
        """The names of its output ports."""
        return {port[1] for line in self.lines if (port := _OUTPUT.match(line))}

    def uncounted(self, of: Mapping[str, Module]) -> Iterator[int]:
        """Yield the lines that declare what is not counted bit by bit: memories, constants, words
        of several values (their values are), and other names of what is counted: of the same bits,
        of an input, of an output of a module in it. `of` are the modules by name.
        """
        names, dropped, inputs = set(), set(), set()
        outputs: set[str] = set()
        for line in self.lines:
            if declared := _DECLARED.match(line):
                names.add(declared[1])
                if line.lstrip().startswith("input"):
                    inputs.add(declared[1])
            if instance := _INSTANCE.match(line):
                outputs = of[instance[1]].outputs if instance[1] in of else set()
            elif (port := _PORT.match(line)) and port[1] in outputs:
                dropped.add(port[2])
        for line in self.lines:
            if constant := _CONSTANT.match(line) or _WORD.match(line):
                dropped.add(constant[1])
            if alias := _ALIAS.match(line):
                inner, outer = alias[1], alias[2]
                if inner.startswith(f"{outer}_") and outer in names:
                    dropped.add(outer)
                elif not _anonymous(outer):
                    dropped.add(inner)
        dropped |= inputs
        for number, line in enumerate(self.lines):
            declared = _DECLARED.match(line)
            if _MEMORY.match(line) or declared and declared[1] in dropped:
                yield number


def modules(verilog: str) -> dict[str, Module]:
    """Return the modules of a core's Verilog by name."""
    found = {}
    for match in _MODULE.finditer(verilog):
        first = verilog.count("\n", 0, match.start(2)) + 1
        body = verilog[match.start(2) : match.end()]
        found[match[2]] = Module(match[1], first, body.split("\n"))
    return found


def with_counting(verilog: str) -> str:
    """Return a core's Verilog, of the same lines, in which only what is told apart is counted."""
    lines = verilog.split("\n")
    of = modules(verilog)
    for module in of.values():
        for number in module.uncounted(of):
            place = module.first - 1 + number
            lines[place] = f"{OFF}{lines[place]}{ON}"
    return "\n".join(lines)
