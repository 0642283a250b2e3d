"""A net between the instances in a module has the name of the output that drives it.

Amaranth calls such a net after any of the signals that it reaches, and declares a wire for each of
them. Here it is called `events__front__count`, after the instance and its port, and an input that
gets a whole net has no wire of its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

_NAME = re.compile(r"[\\$][^\s{}]+")
_WIRE = re.compile(r"  wire width (\d+)( (?:input|output) \d+ )?.* (\S+)$")
_ALIAS = re.compile(r"connect (\\\S+) ([\\$]\S+)(?: \[(?:(\d+):)?0\])?$")


def with_driver_names(module: str, outputs: Collection[str], inputs: Collection[str]) -> str:
    """Return the RTLIL text of a module (of `amaranth.back.rtlil`) with names of drivers.

    Parameters
    ----------
    outputs, inputs
        The signals that its instances have on their ports: `\\events__front__count`.
    """
    lines = module.splitlines()
    wires = {wire[3]: wire for line in lines if (wire := _WIRE.match(line))}
    aliases: dict[str, str] = {}  # names of whole nets, and the names that other lines use for them
    for line in lines:
        alias = _ALIAS.match(line)
        if alias and alias[2] in wires and int(wires[alias[2]][1]) == int(alias[3] or 0) + 1:
            aliases[alias[1]] = alias[2]
    drivers = {aliases[name]: name for name in outputs if name in aliases}
    drivers |= dict(_unread(lines))

    def rename(value: str) -> str:
        return _NAME.sub(lambda name: drivers.get(name[0], name[0]), value)

    def rewritten() -> Iterator[str]:
        for line in lines:
            wire = _WIRE.match(line)
            if wire:
                name = wire[3]
                parts = re.split(r"[.\[]", name, maxsplit=1)
                of_input = parts[0] in inputs and (len(parts) > 1 or name in aliases)
                if of_input or drivers.get(name) in wires and not wire[2]:
                    yield ""  # and what is said of it
                    continue
                yield line if drivers.get(name, name) in wires else rename(line)
            elif line.startswith("connect "):
                name, value = line.split(maxsplit=2)[1:]
                parts = re.split(r"[.\[]", name, maxsplit=1)
                if drivers.get(aliases.get(name, "")) == name:
                    other = aliases[name]
                    if wires[other][2]:
                        yield f"connect {other} {name}"
                elif not (parts[0] in inputs and (len(parts) > 1 or name in aliases)):
                    yield f"connect {name} {rename(value)}"
            elif line.startswith("    connect "):
                port, value = line.split(maxsplit=2)[1:]
                yield f"    connect {port} {rename(value)}"
            elif line.split()[:1] in (["assign"], ["switch"]):
                yield rename(line)
            else:
                yield line

    return _without_lost_attributes(list(rewritten()))


def _unread(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield what an output of an instance that nobody reads is called, and its name."""
    instance = ""
    for line in lines:
        if cell := re.match(r"  cell \\\S+ (\\\S+)$", line):
            instance = cell[1]
        elif line.startswith("  cell "):
            instance = ""
        elif instance and (found := re.match(r"    connect \\(\S+) (\$\d+)$", line)):
            yield found[2], f"{instance}__{found[1]}"


def _without_lost_attributes(lines: list[str]) -> str:
    """Return lines without the attributes of wires that are no longer there."""
    kept: list[str] = []
    for index, line in enumerate(lines):
        if line.startswith("  attribute "):
            following = (later for later in lines[index:] if not later.startswith("  attribute "))
            if not next(following, ""):
                continue
        kept.append(line)
    return "\n".join(kept) + "\n"
