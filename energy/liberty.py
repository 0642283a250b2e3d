"""Read Liberty, the format in which foundries give the cells of a process: groups within groups,
each with attributes.

    library = read_liberty(Path("cells.lib"))
    for cell in library.all("cell"):
        print(cell.name, cell.number("area"))
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from golden.errors import UserError
from golden.inputs import reading

_TOKEN = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | \\\r?\n | \s+  # skipped
    | "(?P<text>(?:[^"\\]|\\.|\\\r?\n)*)"
    | (?P<sign>[(){}:;,])
    | (?P<word>[^\s(){}:;,"]+)""",
    re.X | re.S,
)


@dataclass
class Group:
    """A group: `kind (arguments) { ... }`.

    Attributes
    ----------
    simple
        The last value of each attribute `name : value;`.
    complex
        The values of each attribute `name (values);`, of all that have this name.
    groups
        The groups in it, in the file's order.
    """

    kind: str
    arguments: list[str]
    line: int
    simple: dict[str, str] = field(default_factory=dict)
    complex: dict[str, list[list[str]]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.arguments[0] if self.arguments else ""

    def all(self, *kinds: str) -> Iterator[Group]:
        """Yield the groups in it of one of these kinds."""
        return (group for group in self.groups if group.kind in kinds)

    def first(self, kind: str) -> Group | None:
        return next(self.all(kind), None)

    def number(self, name: str, default: float | None = None) -> float:
        """Return an attribute as a number, or raise `UserError` where there is none."""
        if name not in self.simple and default is not None:
            return default
        try:
            return float(self.simple[name])
        except (KeyError, ValueError):
            given = self.simple.get(name)
            what = "no" if given is None else f"{name} {given}, which is no number, not a"
            raise UserError(
                f"{self.kind} {self.name} in line {self.line} has {what} {name}"
            ) from None

    def numbers(self, name: str) -> np.ndarray:
        """Return the numbers of an attribute `name ("a, b", "c, d")`: (rows, columns)."""
        try:
            rows = [
                [float(number) for number in re.split(r"[,\s]+", row.strip(" ,\t\n\\"))]
                for row in self.complex[name][-1]
            ]
            return np.array(rows)
        except (KeyError, ValueError):
            raise UserError(
                f"{self.kind} {self.name} in line {self.line} has no table of numbers {name}"
            ) from None


class _Reader:
    """The tokens of a text, and the place in them."""

    def __init__(self, text: str, source: str) -> None:
        self._source = source
        self._tokens = list(self._split(text))
        self._next = 0

    def _split(self, text: str) -> Iterator[tuple[str, str, int]]:
        at, line = 0, 1
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise UserError(f"{self._source}, line {line}: {text[at]} opens what never ends")
            kind = found.lastgroup
            if kind:
                yield kind, re.sub(r"\\\r?\n", "", found[kind]), line
            line += found[0].count("\n")
            at = found.end()

    def peek(self) -> str:
        """Return the next sign, or nothing where a word or the end is next."""
        if self._next >= len(self._tokens):
            return ""
        kind, value, _ = self._tokens[self._next]
        return value if kind == "sign" else ""

    def take(self, wanted: str) -> tuple[str, int]:
        """Return the next token, a `sign` of this value or a `word`, and its line."""
        if self._next >= len(self._tokens):
            line = self._tokens[-1][2] if self._tokens else 1
            raise UserError(f"{self._source} ends in line {line}, where {wanted} is due")
        kind, value, line = self._tokens[self._next]
        if (kind == "sign") != (wanted != "word") or (kind == "sign" and value != wanted):
            raise UserError(f"{self._source}, line {line}: {value}, where {wanted} is due")
        self._next += 1
        return value, line

    def skip(self, *signs: str) -> None:
        while self.peek() and self.peek() in signs:
            self._next += 1

    def values(self, *ends: str) -> list[str]:
        """Return the words up to one of these signs or the end of the line that they are in."""
        found: list[str] = []
        while self._next < len(self._tokens) and self.peek() not in ends:
            if self.peek() == ",":
                self._next += 1
                continue
            if self.peek() == ":":  # a range of bits, `A[7:0]`
                self._next += 1
                found[-1] += ":" + self.take("word")[0]
                continue
            found.append(self.take("word")[0])
        return found

    def value(self) -> str:
        """Return the value of a simple attribute: all that is in its line. A `;` may lack."""
        first, line = self.take("word")
        words = [first]
        while self._next < len(self._tokens):
            kind, value, here = self._tokens[self._next]
            if here != line or kind == "sign" and value != ",":
                break
            words.append(value)
            self._next += 1
        return " ".join(words)

    def statement(self, into: Group) -> None:
        name, line = self.take("word")
        if self.peek() == ":":
            self.take(":")
            into.simple[name] = self.value()
        else:
            self.take("(")
            arguments = self.values(")")
            self.take(")")
            if self.peek() == "{":
                into.groups.append(self.group(name, arguments, line))
            else:
                into.complex.setdefault(name, []).append(arguments)
        self.skip(";")

    def group(self, kind: str, arguments: list[str], line: int) -> Group:
        found = Group(kind, arguments, line)
        self.take("{")
        self.skip(";")
        while self.peek() != "}":
            self.statement(found)
        self.take("}")
        return found


def parse_liberty(text: str, source: str = "Liberty") -> Group:
    """Return the group `library` of a text.

    Raises
    ------
    UserError
        It is no Liberty: says the line.
    """
    reader = _Reader(text, source)
    file = Group("file", [], 1)
    while not file.groups:
        reader.statement(file)
    if file.groups[0].kind != "library":
        raise UserError(f"{source} has a {file.groups[0].kind} where a library is due")
    return file.groups[0]


def read_liberty(path: Path) -> Group:
    """Return the group `library` of a file; see `parse_liberty`."""
    with reading(path, "give a Liberty file"):
        return parse_liberty(path.read_text(), str(path))
