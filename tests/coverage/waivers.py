"""What no run can reach, or none needs to: reviewed, each with its reason. A waiver that matches a
point that is reached, or no point, is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.coverage.points import Point


@dataclass(frozen=True)
class Waiver:
    """Points by regular expressions of their whole component and place, and of the arm, if only one
    of them is meant.
    """

    component: str
    kind: str
    place: str
    reason: str
    arm: str = ".*"

    def matches(self, point: Point) -> bool:
        wanted = (self.component, self.kind, self.place, self.arm)
        return all(re.fullmatch(of, value) for of, value in zip(wanted, point, strict=True))

    def __str__(self) -> str:
        return f"{self.component}, {self.kind}, {self.place}, {self.arm}"


@dataclass(frozen=True)
class Verdict:
    """What is wrong: points that nothing reached and nothing waives, and waivers of what is
    reached, or of nothing; and the points that are waived.
    """

    missing: list[Point]
    stale: list[tuple[Waiver, Point | None]]
    waived: set[Point]


def judge(reached: Mapping[Point, set[str]], waivers: Iterable[Waiver]) -> Verdict:
    """Hold what was reached, by which runs, to the waivers."""
    waived: set[Point] = set()
    stale: list[tuple[Waiver, Point | None]] = []
    for waiver in waivers:
        matched = [point for point in reached if waiver.matches(point)]
        wrong = next((point for point in sorted(matched) if reached[point]), None)
        if wrong is not None or not matched:
            stale.append((waiver, wrong))
        waived |= {point for point in matched if not reached[point]}
    missing = sorted(point for point, runs in reached.items() if not runs and point not in waived)
    return Verdict(missing, stale, waived)


WAIVERS: tuple[Waiver, ...] = ()
