"""The event list against a model in Python, cycle for cycle: every output, under random items, gaps
and releases.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from golden.hardware import CLOSE_LATENCY, EventKind, address_width
from rtl.event_list import EventList
from rtl.streams import event_layout
from tests.streams import Item, play, scramble

ERRORS = ["out_of_range", "repeated", "unclosed"]
STROBES = ["accepted", "closed", "discarded", *ERRORS]
OUTPUTS = [
    "i.ready", *STROBES, "event.address", "event.payload", "closing_buffer",
    "available", "count", "sequence_end", "buffer", "walked.address", "walked.payload",
]  # fmt: skip


@dataclass
class Closed:
    """A list that is closed: its entries (address, payload), whether it is the end of a sequence,
    and when it opens.
    """

    entries: list[tuple[int, int]]
    sequence_end: bool
    opens: int


@dataclass
class Model:
    """What the docstring of `EventList` says, and no more."""

    n_inputs: int
    entries: list[tuple[int, int]] = field(default_factory=list)
    closed: deque[Closed] = field(default_factory=deque)
    n_closed: int = 0
    n_released: int = 0

    def predict(self, cycle: int, item: Item | None, release: bool) -> dict[str, int]:
        """Return the outputs of this cycle, as far as they are specified."""
        expected: dict[str, int] = {"i.ready": len(self.closed) < 2} | dict.fromkeys(STROBES, 0)
        if item is not None and len(self.closed) < 2:
            kind, address, payload = item["kind"], item["address"], item["payload"]
            if kind == EventKind.EVENT.value and payload:
                seen = address in [a for a, _ in self.entries]
                name = (
                    "out_of_range"
                    if address >= self.n_inputs
                    else "repeated"
                    if seen
                    else "accepted"
                )
                expected[name] = 1
                if name == "accepted":
                    expected |= {"event.address": address, "event.payload": payload}
            elif kind >= len(EventKind):
                expected["out_of_range"] = 1
            elif kind == EventKind.END_TIMESTEP.value:
                expected |= {"closed": 1, "closing_buffer": self.n_closed % 2}
            elif kind == EventKind.END_SEQUENCE.value:
                expected |= {"discarded": 1, "unclosed": bool(self.entries)}
        visible = list(self.closed)[release:]
        expected["available"] = bool(visible) and visible[0].opens <= cycle
        if expected["available"]:
            buffer = (self.n_released + release) % 2
            front = visible[0]
            expected |= {
                "count": len(front.entries),
                "sequence_end": front.sequence_end,
                "buffer": buffer,
            }
        return expected

    def advance(
        self, cycle: int, expected: dict[str, int], item: Item | None, release: bool
    ) -> None:
        if release:
            self.closed.popleft()
            self.n_released += 1
        if item is not None and expected["accepted"]:
            self.entries.append((item["address"], item["payload"]))
        if expected["closed"] or expected["discarded"]:
            kept = self.entries if expected["closed"] else []
            self.closed.append(Closed(kept, bool(expected["discarded"]), cycle + CLOSE_LATENCY))
            self.n_closed += 1
            self.entries = []


def draw_items(rng: np.random.Generator, n_inputs: int, payload_width: int) -> list[Item]:
    """Draw timesteps: empty, full, and with repeated addresses, addresses out of range, payloads of
    0.
    """
    items = []
    largest = (1 << payload_width) - 1
    for _ in range(150):
        kind = rng.choice(["empty", "full", "any", "unclosed"])
        if kind == "full":
            events = [(int(a), largest) for a in rng.permutation(n_inputs)]
        else:
            n = 0 if kind == "empty" else int(rng.integers(2 * n_inputs + 2))
            addresses = rng.integers(1 << address_width(n_inputs), size=n)
            events = [(int(a), int(rng.integers(largest + 1))) for a in addresses]
        items += [{"kind": EventKind.EVENT.value, "address": a, "payload": p} for a, p in events]
        if rng.random() < 0.2:
            items.append({"kind": len(EventKind), "address": 0, "payload": 1})  # of no kind
        ends = (
            EventKind.END_SEQUENCE
            if kind == "unclosed" or rng.random() < 0.1
            else EventKind.END_TIMESTEP
        )
        items.append({"kind": ends.value, "address": int(rng.integers(2)), "payload": 1})
    return items


@pytest.mark.parametrize("gaps", [0.0, 0.3, 0.8])
@pytest.mark.parametrize(("n_inputs", "payload_width"), [(1, 1), (2, 8), (5, 1), (8, 3), (11, 8)])
def test_every_cycle_is_as_modelled(n_inputs: int, payload_width: int, gaps: float) -> None:
    rng = np.random.default_rng([n_inputs, payload_width, int(gaps * 10)])
    layout = event_layout(n_inputs, payload_width)
    items, model = deque(draw_items(rng, n_inputs, payload_width)), Model(n_inputs)
    expected: list[dict[str, int]] = []
    seen: Counter[str] = Counter()
    offered: Item | None = None
    walked: dict[str, int] = {}

    def step(cycle: int, _: Any) -> dict[str, Any] | None:
        nonlocal offered, walked
        if not items and not model.closed and offered is None:
            return None
        if offered is None and items and rng.random() >= gaps:
            offered = items.popleft()
        opened = bool(model.closed) and model.closed[0].opens <= cycle
        release = opened and rng.random() < (0.5 if cycle // 50 % 2 else 0.05)
        now = model.predict(cycle, offered, release)
        expected.append(now | walked)
        inputs: dict[str, Any] = {
            "release": release,
            "index": int(rng.integers(1 << address_width(n_inputs))),
        }
        walked = {}
        if opened and model.closed[0].entries:
            inputs["index"] = int(rng.integers(len(model.closed[0].entries)))
            address, payload = model.closed[0].entries[inputs["index"]]
            walked = {"walked.address": address, "walked.payload": payload}
        inputs |= {"i.valid": offered is not None, "i.payload": offered or scramble(rng, layout)}
        seen.update(name for name in STROBES if now[name])
        seen.update({"stalled": offered is not None and not now["i.ready"]})
        model.advance(cycle, now, offered, release)
        if now["i.ready"]:
            offered = None
        return inputs

    record = play(EventList(n_inputs, payload_width), OUTPUTS, step)
    for cycle, (found, now) in enumerate(zip(record, expected, strict=True)):
        assert {name: found[name] for name in now} == now, f"cycle {cycle}"
    possible = set(STROBES) - ({"out_of_range"} if n_inputs in (2, 8) else set())
    assert {name for name, count in seen.items() if count} >= possible | {"stalled"}


def test_open_lists_from_an_end_marker_on() -> None:
    """Two markers in successive cycles fill both buffers; each list opens `CLOSE_LATENCY` cycles
    after its marker.
    """
    marker = {"kind": EventKind.END_TIMESTEP.value, "address": 0, "payload": 0}

    def step(cycle: int, last: dict[str, int]) -> dict[str, Any] | None:
        if cycle == 20:
            return None
        return {"i.valid": 1, "i.payload": marker, "release": cycle == CLOSE_LATENCY + 1}

    record = play(EventList(3, 1), ["i.ready", "available", "buffer"], step)
    assert [row["i.ready"] for row in record[:9]] == [1, 1, *[0] * CLOSE_LATENCY, 1, 0]
    assert [row["available"] for row in record[:9]] == [*[0] * CLOSE_LATENCY, 1, 1, 1, 1]
    assert [row["buffer"] for row in record[CLOSE_LATENCY : CLOSE_LATENCY + 3]] == [0, 1, 1]
