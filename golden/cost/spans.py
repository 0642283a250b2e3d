"""Where every cycle of a core goes: what its layers and its readout do from cycle to cycle, from
the turns of `golden.cost.timeline`. No Torch, no RTL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from golden.cost.part_timeline import Turn

# What a part can do in a cycle, and the counter of these cycles.
KINDS = {
    "step": "busy_cycles",  # issues a step of a group
    "room": "stall_cycles",  # waits for room for its spikes
    "input": "starved_cycles",  # waits for the list of a block, or of the end of a sequence
    "state": "state_wait_cycles",  # has a list and waits for its slow states
    "drain": None,  # waits until its own membranes, or logits, are written
    "results": None,  # has a list and waits until the results of the last sequence are sent
    "turn": None,  # starts a block after a wait, or passes on the end of a sequence
}


@dataclass(frozen=True)
class Span:
    """Cycles from `start` to before `stop` in which a part does one kind of thing, for a block, or
    for the end of a sequence, where `block` is None.
    """

    kind: str
    start: int
    stop: int
    sequence: int
    block: int | None


def spans(turns: Sequence[Turn], stop: int) -> list[Span]:
    """Return what a part does from cycle 0 to before `stop`, every cycle once, from its turns."""
    found = []
    at = 0
    before: Turn | None = None
    for turn in turns:
        for kind, until in (*_waits(before, turn), *_steps(turn)):
            if until > at:
                found.append(Span(kind, at, until, turn.sequence, turn.block))
                at = until
        before = turn
    if stop > at:
        found.append(Span("input", at, stop, turns[-1].sequence, None))
    return found


def _waits(before: Turn | None, turn: Turn) -> Iterator[tuple[str, int]]:
    """Yield what is waited for between two turns, each with the first cycle after it."""
    after_results = False
    if before is not None and before.block is not None:
        yield "drain", turn.ready + 1
    elif before is not None:
        after_results = turn.ready > before.last
    yield "input", turn.opened
    yield "results" if after_results else "state", turn.decided
    yield "turn", turn.decided + 1


def _steps(turn: Turn) -> Iterator[tuple[str, int]]:
    """Yield the steps of a turn and the waits between them, each with the first cycle after it."""
    for start, stop in turn.stalls:
        yield "step", start
        yield "room", stop
    yield "turn" if turn.block is None else "step", turn.last + 1


def totals(found: Iterable[Span], start: int, stop: int) -> dict[str, int]:
    """Return the cycles of each kind from `start` to before `stop`."""
    sums = dict.fromkeys(KINDS, 0)
    for span in found:
        sums[span.kind] += max(0, min(span.stop, stop) - max(span.start, start))
    return sums
