"""What Verilator counted of a core, as points that are the same in every core."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.coverage.verilog import modules, plain

LINE, BRANCH, TOGGLE = "line", "branch", "toggle"
_POINT = re.compile(
    "^C '\x01f\x02core.v\x01l\x02(\\d+)\x01n\x02\\d+\x01t\x02(\\w+)\x01page\x02v_\\w+/(\\w+)"
    "\x01o\x02([^\x01]+)[^']*' (\\d+)$"
)
# Signals (`Component.name`) with a bit, a value or a field for each lane, timestep, address, flag:
# that some of it rises and falls is one point, as numbers are left out of names.
_WORDS = re.compile(
    r"Encoder\.(group|left|rest|before_|others|queue__\w+)(_N)*"
    r"|Queue\.(\w+payload__mask|i__payload|o__payload|items_storage_word)"
    r"|(DelayLine|SlotReader)\.(\w+__)?(mask|word|rest|before_|others|lowest|data)(_N)*(_reg(ister)?)?(_N)?"
    r"|Readout\.o__payload"
    r"|\w+\.(\w+_)?(timesteps|refresh|refreshing)(_N)*"
    r"|\w+\.([huy]_word|signature__data|read__data)(_N)?_?(register)?(_N)?"
    r"|(Drive|Layer|StatePath)\.(drive__)?(values_N|drives_N|sums)"
    r"|\w+\.(\w+__)?(plain_end|refreshed_end|issue|now|list_N|errors)(_register)?"
)
_BIT = re.compile(r"(\w+?)(?:\[(\d+)\])?:(0->1|1->0)$")


class Point(NamedTuple):
    """Something that a simulation reaches or not.

    Attributes
    ----------
    component
        The class of the component.
    kind
        `LINE`: a statement of a register, or an arm of several; `BRANCH`: a condition that holds,
        or does not; `TOGGLE`: a bit that rises, or falls.
    place
        What is assigned, and where the condition is in the Python; or a signal and its bit, `any`
        of a word of many values.
    arm
        Which of them.
    """

    component: str
    kind: str
    place: str
    arm: str


def read_points(data: Path, verilog: str) -> dict[Point, int]:
    """Return how often each point of a core was reached: Verilator's file, and what it counted."""
    found: dict[Point, int] = {}
    of_module = modules(verilog)
    places: dict[tuple[str, int], str] = {}
    for line in data.read_text().splitlines():
        counted = _POINT.match(line)
        if not counted or counted[3] not in of_module:
            continue
        number, kind, name, what, count = int(counted[1]), *counted.groups()[1:4], int(counted[5])
        module = of_module[name]
        if kind == TOGGLE:
            bit = _BIT.match(what.replace("___05F", "__"))
            assert bit, what
            of = plain(bit[1])
            word = _WORDS.fullmatch(f"{module.component}.{of}")
            place = f"{of}[{'any' if word else bit[2] or 0}]"
            arm = "rises" if bit[3] == "0->1" else "falls"
        else:
            if not module.decides(number):
                continue
            if (name, number) not in places:
                places[name, number] = module.place(number)
            place = places[name, number]
            arm = "does not hold" if what.endswith("else") else "holds"
        point = Point(module.component, kind, place, arm)
        found[point] = found.get(point, 0) + count
    return found


def merge(runs: Mapping[str, Mapping[Point, int]]) -> dict[Point, set[str]]:
    """Return the runs that reached each point, of the points that any of them has."""
    found: dict[Point, set[str]] = {}
    for name, points in runs.items():
        for point, count in points.items():
            found.setdefault(point, set()).update([name] * (count > 0))
    return found
