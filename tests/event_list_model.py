"""What the docstring of `EventList` says, cycle by cycle."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from golden.hardware.layer import LayerHardware
from golden.hardware.part import EventKind
from golden.hardware.stages import CLOSE_LATENCY, LOOP_CLOSE_LATENCY, RELEASE_LATENCY
from rtl.layouts import Part
from tests.streams import Item

ERRORS = ["out_of_range", "repeated", "unclosed"]
STROBES = ["accepted", "first_accepted", "closed", "discarded", *ERRORS]


def latency(part: Part) -> int:
    recurrent = isinstance(part, LayerHardware) and part.params.recurrent
    return LOOP_CLOSE_LATENCY if recurrent else CLOSE_LATENCY


@dataclass
class Closed:
    """A list that is closed: its payloads by address, timestep by timestep, and when it opens."""

    payloads: dict[int, list[int]]
    timesteps: int
    sequence_end: bool
    opens: int


@dataclass
class Model:
    """What the docstring of `EventList` says, and no more."""

    part: Part
    timestep: int = 0  # of the block
    payloads: dict[int, list[int]] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)  # in this timestep
    any_event: bool = False  # since the last end of a timestep
    fresh: bool = True
    last_close: int = -1000
    closed: deque[Closed] = field(default_factory=deque)
    n_closed: int = 0
    n_released: int = 0
    released: deque[int] = field(default_factory=deque)  # cycles, of buffers that are not free yet
    due: bool = False  # a report is, before the list in front
    flagged: set[int] = field(default_factory=set)  # lists, by number, that a report follows
    waits: int | None = None  # the kind of an item that has closed a block, and passes after it

    def full(self, cycle: int) -> bool:
        """Whether no buffer is free."""
        while self.released and cycle - self.released[0] >= RELEASE_LATENCY:
            self.released.popleft()
        return len(self.closed) + len(self.released) == self.part.n_lists

    def predict(self, cycle: int, item: Item | None, release: bool) -> dict[str, int]:
        """Return the outputs of this cycle, as far as they are specified."""
        expected: dict[str, int] = dict.fromkeys(STROBES, 0)
        if self.part.reports:
            expected["report"] = self.due
        if self.waits is not None:
            expected["i.ready"] = 0
            free = not self.full(cycle) and cycle >= self.last_close + self.part.block
            if self.waits == EventKind.END_SEQUENCE.value and free:
                expected |= {"discarded": 1, "unclosed": self.any_event}
        elif item is not None:
            expected["i.ready"] = 0
            if self._reports(item):
                expected["i.ready"] = self._may_report()
            elif not self.full(cycle):
                expected |= self._receive(cycle, **item)
        if expected["closed"]:
            expected |= {
                "closing_buffer": self.n_closed % self.part.n_lists,
                "closing_fresh": self.fresh,
            }
        visible = list(self.closed)[release:]
        expected["available"] = bool(visible) and visible[0].opens <= cycle
        if expected["available"]:
            front = visible[0]
            expected |= {
                "count": len(front.payloads),
                "sequence_end": front.sequence_end,
                "buffer": (self.n_released + release) % self.part.n_lists,
            }
            if not front.sequence_end:
                expected["length"] = front.timesteps
                sparse = math.ceil(len(front.payloads) / self.part.hardware.events_per_cycle)
                for name, dense in (("plain", 0), ("refreshed", self.part.dense_steps)):
                    in_turn = sparse + dense if self.part.shares_products else 0
                    steps = max(sparse, dense, in_turn, self.part.output_steps)
                    expected[f"{name}_end.last"] = steps - 1
                    expected[f"{name}_end.single"] = steps == 1
        return expected

    def _reports(self, item: Item) -> bool:
        """Whether an item is a report that closes no block, and is not void."""
        void = self.part.external and (self.any_event or self.timestep > 0)
        return item["kind"] == EventKind.REPORT and not void

    def _may_report(self) -> bool:
        """A report follows the list that was closed last, one after each; or it is due at once."""
        return self.n_closed - 1 not in self.flagged if self.closed else not self.due

    def _receive(self, cycle: int, kind: int, address: int, payload: int) -> dict[str, int]:
        """Return what an item does that finds a buffer."""
        external, block = self.part.external, self.part.block
        if kind == EventKind.EVENT.value:
            expected = {"i.ready": 1}
            if external and payload and address >= self.part.n_addresses:
                expected["out_of_range"] = 1
            elif external and payload and address in self.seen:
                expected["repeated"] = 1
            elif payload:
                expected |= {
                    "accepted": 1,
                    "first_accepted": address not in self.payloads,
                    "address": address,
                    "payload": payload if external else 1,
                    "timesteps": 1 << self.timestep if external else payload,
                }
            return expected
        if kind == EventKind.INVALID:
            return {"i.ready": 1, "out_of_range": 1}
        if kind == EventKind.REPORT and self.any_event:
            return {"i.ready": 1, "unclosed": 1}
        # A report closes a block that has begun, as the end of a sequence does.
        ends_sequence = kind != EventKind.END_TIMESTEP
        if external and not ends_sequence and self.timestep < block - 1:
            return {"i.ready": 1}
        if cycle < self.last_close + block:
            return {"i.ready": 0}
        if not ends_sequence:
            whole = (1 << block) - 1
            return {
                "i.ready": 1,
                "closed": 1,
                "closing_timesteps": whole if external else payload,
            }
        if external and self.timestep:
            return {"i.ready": 1, "closed": 1, "closing_timesteps": (1 << self.timestep) - 1}
        return {"i.ready": 1, "discarded": 1, "unclosed": external and self.any_event}

    def advance(
        self, cycle: int, expected: dict[str, int], item: Item | None, release: bool
    ) -> None:
        accepted = item is not None and self._reports(item) and expected["i.ready"]
        if self.waits == EventKind.REPORT.value and self._may_report():
            accepted, self.waits = True, None
        if expected["discarded"]:
            self.waits = None
        if expected["closed"] and item is not None and item["kind"] != EventKind.END_TIMESTEP.value:
            self.waits = item["kind"]
        if accepted and self.closed:
            self.flagged.add(self.n_closed - 1)
        self.due |= bool(accepted and not self.closed)
        if release:
            self.due = self.n_released in self.flagged
            self.closed.popleft()
            self.n_released += 1
            self.released.append(cycle)
        if expected["accepted"]:
            payloads = self.payloads.setdefault(expected["address"], [0] * self.part.block)
            for t in range(self.part.block):
                payloads[t] = payloads[t] or expected["payload"] * (expected["timesteps"] >> t & 1)
            if expected["address"] < self.part.params.n_inputs:
                self.seen.add(expected["address"])
                self.any_event = True
        elif item and item["kind"] == EventKind.END_TIMESTEP.value and expected["i.ready"]:
            self.timestep += self.part.external
            self.seen, self.any_event = set(), False
        if expected["closed"] or expected["discarded"]:
            kept = self.payloads if expected["closed"] else {}
            timesteps = expected.get("closing_timesteps", 0)
            ends = bool(expected["discarded"])
            self.closed.append(Closed(kept, timesteps, ends, cycle + latency(self.part)))
            self.n_closed += 1
            self.fresh, self.last_close = ends, cycle
            self.payloads, self.seen, self.timestep = {}, set(), 0
            if ends:
                self.any_event = False
