"""What no run can reach, or none needs to: reviewed, each with its reason. A waiver that matches a
point that is reached, or no point, is an error.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.coverage.points import BRANCH, LINE, TOGGLE, Point


@dataclass(frozen=True)
class Waiver:
    """Points by regular expressions of their whole component and place, and of the arm, if only one
    of them is meant. With `above`, the bits of a signal above the highest one that is reached, if
    bit `above` is; with `partly`, those that are not of a signal of which others are.
    """

    component: str
    kind: str
    place: str
    reason: str
    arm: str = ".*"
    above: int | None = None
    partly: bool = False

    def matches(self, point: Point) -> bool:
        wanted = (self.component, self.kind, self.place, self.arm)
        return all(re.fullmatch(of, value) for of, value in zip(wanted, point, strict=True))

    @property
    def what(self) -> str:
        """What a table says of the points."""
        plain = re.sub(r"\\(?=\W)", "", self.place).replace("|", " or ")
        return plain if self.arm == ".*" else f"{plain} {self.arm}"

    def __str__(self) -> str:
        return f"{self.component}, {self.kind}, {self.place}, {self.arm}"


@dataclass(frozen=True)
class Verdict:
    """What is wrong: points that nothing reached and nothing waives, and waivers of what is
    reached, or of nothing; and the points that are waived, by what.
    """

    missing: list[Point]
    stale: list[tuple[Waiver, Point | None]]
    waived: dict[Point, Waiver]


def signal(point: Point) -> tuple[str, str]:
    """Return what a toggle is of: the component and the signal."""
    return point.component, point.place.partition("[")[0]


def bit(point: Point) -> int:
    found = point.place.partition("[")[2].rstrip("]")
    return int(found) if found.isdigit() else 0


def judge(reached: Mapping[Point, set[str]], waivers: Iterable[Waiver]) -> Verdict:
    """Hold what was reached, by which runs, to the waivers."""
    highest: Counter[tuple[str, str]] = Counter()
    for point, runs in reached.items():
        if runs and point.kind == TOGGLE:
            highest[signal(point)] = max(highest[signal(point)], bit(point))
    waived: dict[Point, Waiver] = {}
    stale: list[tuple[Waiver, Point | None]] = []
    for waiver in waivers:
        matched = [point for point in reached if waiver.matches(point)]
        if waiver.above is not None:
            matched = [p for p in matched if highest[signal(p)] >= waiver.above
                       and bit(p) > highest[signal(p)]]  # fmt: skip
        if waiver.partly:
            matched = [p for p in matched if not reached[p] and signal(p) in highest]
        wrong = next((point for point in sorted(matched) if reached[point]), None)
        if wrong is not None or not matched:
            stale.append((waiver, wrong))
        waived |= {point: waiver for point in matched if not reached[point]}
    missing = sorted(point for point, runs in reached.items() if not runs and point not in waived)
    return Verdict(missing, stale, waived)


_WIDE = "as wide as a count of years, for which no run has time; a carry beyond 8 bits is reached"
_LARGEST = "as wide as what the largest core has to load"
_AT_ONCE = "as wide as the most that can come in a cycle, which is 0, or the same, in a narrow core"
_NO_STATE = "a readout has no slow state, whose currents were to be refreshed"
WAIVERS: tuple[Waiver, ...] = (
    Waiver(".*", LINE, ".*: several hold", "conditions of a selection exclude each other"),
    Waiver("Counters|Encoder|EventList|SpikeOutput", LINE, ".*: none holds",
           "a selection by a number that is always one of those that there are"),
    Waiver("Counters", TOGGLE, r"(cycles|value|(layerN|readout)_\w+(?<!_added_N))\[\d+\]", _WIDE,
           above=8),
    Waiver("Loader", TOGGLE, r"(following|o__address|o__index|o__memory)\[\d+\]", _LARGEST,
           above=2),
    Waiver("Counters|Layer|Readout|SpikePath|StatePath|DelayLine", TOGGLE,
           r"(counts__\w+|\w+_added_N|additions|products|ring_writes)\[\d+\]", _AT_ONCE,
           partly=True),
    Waiver("Drive", BRANCH, r"o__value: fixed.py: clamped = .*, a constant",
           "a drive is at least 0, and never clamped at its smallest", "holds"),
    Waiver("NeuronStage", TOGGLE, r"held_word_N_N\[\d+\]",
           "as wide as the largest current of the layer with most products; its weights mix signs",
           above=16),
    Waiver("DelayLine", TOGGLE, r"mask_reg_N\[any\]",
           "of one timestep at a time: it rises with the first item, and every other one has it",
           "falls"),
    Waiver("Readout", BRANCH, "read__data_register: counts__peaks_writes",
           "a largest logit is written 1 cycle after its read, and walks are at least 2 apart",
           "holds"),
    Waiver("SpikePath", TOGGLE, r"weight_base_N\[\d+\]", _LARGEST, above=7),
    Waiver("Readout", TOGGLE,
           r"(schedule__issue__dense|(.*__|kept_N__|step_N__)?(any_)?refresh)\[.*\]", _NO_STATE),
    Waiver("Drive|Layer|Queue|SlowState|StatePath", TOGGLE,
           r"((\w+__)?(o__value|values?_N_N|payload__value)|drive|drives_N_N|driving_N)\[15\]",
        "a drive is at least 0: the sign of its format stays 0"),
    Waiver("Queue", TOGGLE, r"level\[\d+\]",
           "its highest bit is a full queue; these hold more than can wait in them", above=4),
    Waiver("Core", TOGGLE, r"cleared\[0\]",
           "it falls with a reset, and no run has a second one; tests/test_core.py has", "falls"),
)  # fmt: skip
