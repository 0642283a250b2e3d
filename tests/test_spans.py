"""What a part does in every cycle, from turns worked out by hand; tests/test_core.py holds whole
cores to their spans.
"""

from __future__ import annotations

from golden.cost.part_timeline import Turn
from golden.cost.spans import KINDS, Span, spans, totals


def test_every_wait_of_a_layer() -> None:
    """A block whose list is open at 5 and whose slow states come so that it is decided on at 8;
    its steps wait for room at 12 and 13. Two cycles drain; the next list is open then, and is
    decided on in the last of them. The end of the sequence comes at once, and waits for room.
    """
    turns = [
        Turn(0, 0, ready=0, opened=5, decided=8, first=9, last=15, stalls=((12, 14),)),
        Turn(0, 1, ready=17, opened=11, decided=17, first=18, last=19, stalls=()),
        Turn(0, None, ready=21, opened=20, decided=21, first=24, last=24, stalls=((22, 24),)),
    ]
    found = spans(turns, 30)
    assert found == [
        Span("input", 0, 5, 0, 0),
        Span("state", 5, 8, 0, 0),
        Span("turn", 8, 9, 0, 0),
        Span("step", 9, 12, 0, 0),
        Span("room", 12, 14, 0, 0),
        Span("step", 14, 16, 0, 0),
        Span("drain", 16, 18, 0, 1),
        Span("step", 18, 20, 0, 1),
        Span("drain", 20, 22, 0, None),
        Span("room", 22, 24, 0, None),
        Span("turn", 24, 25, 0, None),
        Span("input", 25, 30, 0, None),
    ]
    none = dict.fromkeys(KINDS, 0)
    assert totals(found, 0, 30) == none | {
        "input": 10, "state": 3, "turn": 2, "step": 7, "room": 4, "drain": 4,
    }  # fmt: skip
    assert totals(found, 7, 13) == none | {"state": 1, "turn": 1, "step": 3, "room": 1}


def test_a_readout_waits_for_its_results_only_where_a_list_waits() -> None:
    """It ends at 5 and sends results until 19. The next list is open at 12."""
    turns = [
        Turn(0, None, ready=0, opened=4, decided=4, first=5, last=5, stalls=()),
        Turn(1, 0, ready=20, opened=12, decided=20, first=21, last=21, stalls=()),
        Turn(1, None, ready=21, opened=40, decided=40, first=41, last=41, stalls=()),
    ]
    assert spans(turns, 42) == [
        Span("input", 0, 4, 0, None),
        Span("turn", 4, 5, 0, None),
        Span("turn", 5, 6, 0, None),
        Span("input", 6, 12, 1, 0),
        Span("results", 12, 20, 1, 0),
        Span("turn", 20, 21, 1, 0),
        Span("step", 21, 22, 1, 0),
        Span("input", 22, 40, 1, None),
        Span("turn", 40, 41, 1, None),
        Span("turn", 41, 42, 1, None),
    ]
