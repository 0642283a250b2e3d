"""Make steps with which a core differs smaller, as long as it still does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from golden.hardware.part import EventKind
from soak.steps import Step

NO_GAPS = np.zeros(0, np.int64)
Fails = Callable[[list[Step]], bool]
Part = TypeVar("Part")


def reduce(fails: Fails, steps: list[Step]) -> list[Step]:
    """Return fewer and smaller steps that still fail: fewer steps, no gaps, fewer sequences,
    timesteps, items.
    """
    steps = _fewer(steps, fails)
    for place in range(len(steps)):

        def fails_with(step: Step, place: int = place) -> bool:
            return fails([*steps[:place], step, *steps[place + 1 :]])

        steps[place] = _smaller(steps[place], fails_with)
    return steps


def _smaller(step: Step, fails: Callable[[Step], bool]) -> Step:
    for gaps in ({"event_gaps": NO_GAPS}, {"output_gaps": NO_GAPS}):
        if fails(calmer := replace(step, **gaps)):
            step = calmer
    for marks in (
        (EventKind.END_SEQUENCE,),
        (EventKind.END_SEQUENCE, EventKind.END_TIMESTEP),
        tuple(range(8)),
    ):
        groups = _split(step.items, marks)

        def of(kept: Sequence[np.ndarray], step: Step = step) -> Step:
            places = np.concatenate([np.zeros(0, np.int64), *kept]).astype(np.int64)
            gaps = step.event_gaps
            gaps = gaps[places] if len(gaps) == len(step.items) else gaps[: len(places)]
            return replace(step, items=step.items[places], event_gaps=gaps)

        step = of(_fewer(groups, lambda kept, of=of: _whole(of(kept)) and fails(of(kept))))
    return _calmer(_calmer(step, "event_gaps", fails), "output_gaps", fails)


def _calmer(step: Step, name: str, fails: Callable[[Step], bool]) -> Step:
    """Return a step with fewer gaps: of the output one before each transfer, if that fails too."""
    gaps: np.ndarray = getattr(step, name)
    for gap in np.unique(gaps[gaps > 0]) if name == "output_gaps" else []:
        if fails(same := replace(step, output_gaps=np.array([gap]))):
            return same
    for place in np.flatnonzero(gaps):
        fewer = np.where(np.arange(len(gaps)) == place, 0, gaps)
        if fails(calmer := replace(step, **{name: fewer})):
            step, gaps = calmer, fewer
    shorter = replace(step, **{name: np.trim_zeros(gaps, "b")})
    return shorter if len(gaps) and fails(shorter) else step


def _whole(step: Step) -> bool:
    """Return whether no timesteps are left that belong to no sequence."""
    return bool(step.items[-1, 0] == EventKind.END_SEQUENCE)


def _split(items: np.ndarray, marks: Sequence[int]) -> list[np.ndarray]:
    """Return the places of items in groups that end with an item of these kinds. Where that is not
    the end of a sequence, each of these is a group of its own.
    """
    ends = np.isin(items[:, 0], marks)
    if len(marks) > 1:
        before = np.concatenate([items[1:, 0] == EventKind.END_SEQUENCE, [False]])
        ends = ends | before
    return np.split(np.arange(len(items)), np.flatnonzero(ends)[:-1] + 1) if ends.any() else []


def _fewer(parts: list[Part], fails: Callable[[list[Part]], bool]) -> list[Part]:
    """Return fewer parts that still fail: halves are left out first, then ever fewer, in the end
    each alone.
    """
    size = max(1, len(parts) // 2)
    while True:
        place, left_out = 0, False
        while place < len(parts):
            fewer = parts[:place] + parts[place + size :]
            if fewer and fails(fewer):
                parts, left_out = fewer, True
            else:
                place += size
        if size == 1 and not left_out:
            return parts
        size = max(1, size // 2)
