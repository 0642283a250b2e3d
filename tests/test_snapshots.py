"""Copies of the logits, cycle for cycle against a model: when there is room for one, when words are
read, and what is sent, under random reports and stalls.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import numpy as np
import pytest

from golden.formats import Fixed
from golden.hardware.params import HardwareParams
from golden.hardware.readout import ReadoutHardware
from golden.hardware.stages import RESULT_SETS
from golden.readout_params import ReadoutParams
from rtl.snapshots import Snapshots
from tests.streams import join, play

FIELDS = ("index", "logit", "best", "last")
OUTPUTS = {name: name for name in ("room", "read", "address")} | {
    name: f"o.{name}" for name in ("valid", *(f"payload.{field}" for field in FIELDS))
}


def make_readout(
    classes: int, lanes: int, block: int = 1, width: int = 32, **options: Any
) -> ReadoutHardware:
    params = ReadoutParams(6, classes, Fixed(8, 5), logit_width=width, **options)
    return ReadoutHardware(params, HardwareParams(lanes, block, reports=True))


READOUTS = {
    "one class": make_readout(1, 1),
    "one group": make_readout(5, 5, width=3),
    "a group partly used": make_readout(3, 8, report="max"),
    "two groups": make_readout(7, 4, width=2),
    "many groups": make_readout(13, 2, leaky=True),
    "a class a group": make_readout(6, 1, width=2, leaky=True, report="max"),
    "blocks": make_readout(10, 4, 4),
    "large blocks, one class": make_readout(1, 2, 16, leaky=True),
    "blocks, many groups": make_readout(11, 2, 2, width=3, leaky=True, report="max"),
}


class Model:
    """What the docstring of `Snapshots` promises."""

    def __init__(self, readout: ReadoutHardware, rng: np.random.Generator) -> None:
        self.readout, self.rng = readout, rng
        self.free = RESULT_SETS * readout.n_groups  # words for which there is room
        self.finished = self.asked = -1000  # cycles of the last block and of the last report
        self.words: dict[int, np.ndarray] = {}  # what the memory shows, by cycle
        self.reads: dict[int, int] = {}  # by cycle
        # Items of words that are copied, and the first cycle in which the word can be taken.
        self.copied: deque[tuple[int, list[tuple[int, ...]]]] = deque()
        self.sending: deque[tuple[int, ...]] = deque()  # of the word that is being sent
        self.seen: Counter[str] = Counter()

    def room(self, cycle: int) -> bool:
        readout = self.readout
        written = cycle > self.finished + readout.settle
        copied = cycle >= self.asked + readout.n_groups
        enough = self.free >= readout.n_groups
        self.seen.update(
            what
            for what, there in (("unwritten", written), ("copying", copied), ("full", enough))
            if not there
        )
        return written and copied and enough

    def ask(self, cycle: int, fresh: bool) -> None:
        """Draw what the memory holds for a report that is issued in this cycle."""
        readout, p = self.readout, self.readout.params
        self.asked, self.free = cycle, self.free - readout.n_groups
        shape, logit = (readout.n_groups, readout.lanes), p.logit
        memory = self.rng.integers(logit.min, logit.max + 1, shape)
        told = [0] * p.n_classes if fresh else memory.ravel()[: p.n_classes].tolist()
        best = told.index(max(told))
        self.seen["fresh"] += fresh
        self.seen["tie"] += not fresh and told.count(max(told)) > 1
        items = [(index, value, best) for index, value in enumerate(told)]
        for group in range(readout.n_groups):
            read = cycle + readout.result_stage + group
            self.reads[read] = group
            self.words[read + 1] = memory[group]
            self.copied.append((read + 2, items[group * readout.lanes :][: readout.lanes]))

    def send(self, cycle: int, ready: bool) -> tuple[int, ...] | None:
        """Return the item that is offered in this cycle, and let it go if the other side is
        ready.
        """
        offered = self.sending[0] if self.sending else None
        if offered and ready:
            self.sending.popleft()
        if not self.sending and self.copied and self.copied[0][0] <= cycle:
            self.sending.extend(self.copied.popleft()[1])
            self.free += 1
        return offered


@pytest.mark.parametrize("stall", [0.0, pytest.param(0.3, marks=pytest.mark.long), 0.8])
@pytest.mark.parametrize("name", READOUTS)
def test_every_cycle_is_as_modelled(name: str, stall: float) -> None:
    """Reports come as soon as there is room, or later, and between them the ends of blocks; at all
    other times the memory shows noise.
    """
    readout = READOUTS[name]
    rng = np.random.default_rng([list(READOUTS).index(name), int(stall * 10)])
    model, logit = Model(readout, rng), readout.params.logit
    expected: list[dict[str, int]] = []
    offers: list[tuple[int, ...] | None] = []

    def step(cycle: int, _: Any) -> dict[str, Any] | None:
        if cycle == 900:
            return None
        ready, room = bool(rng.random() >= stall), model.room(cycle)
        often = cycle // 150 % 3  # seldom, often, always
        finishing = bool(rng.random() < 0.15 / (1 + readout.settle))
        asked = room and not finishing and rng.random() < (0.02, 0.3, 1)[often]
        fresh = bool(rng.random() < 0.3)
        expected.append({"room": room, "read": cycle in model.reads})
        if cycle in model.reads:
            expected[-1]["address"] = model.reads[cycle]
        offers.append(model.send(cycle, ready))
        if asked:
            model.ask(cycle, fresh)
        if finishing:
            model.finished = cycle
        noise = rng.integers(logit.min, logit.max + 1, readout.lanes)
        word = join(model.words.get(cycle, noise), logit.width)
        return {
            "asked": asked, "fresh": fresh, "finishing": finishing, "word": word, "o.ready": ready,
        }  # fmt: skip

    record = play(Snapshots(readout), OUTPUTS, step)
    sent = 0
    for cycle, (row, wanted, offer) in enumerate(zip(record, expected, offers, strict=True)):
        assert {output: row[output] for output in wanted} == wanted, f"cycle {cycle}"
        assert row["valid"] == (offer is not None), f"cycle {cycle}"
        if offer is None:
            continue
        index, value, best = offer
        last = index == readout.n_outputs - 1
        found = [row[f"payload.{field}"] for field in FIELDS]
        assert found[:2] == [index, value] and found[3] == last, f"cycle {cycle}"
        assert not last or found[2] == best, f"cycle {cycle}"
        sent += 1
    assert sent > 50
    assert model.seen["fresh"] and model.seen["full"]
    assert model.seen["tie"] or readout.n_outputs == 1 or logit.width > 3
    assert bool(model.seen["copying"]) == (readout.n_groups > 1)
    assert bool(model.seen["unwritten"]) == (readout.settle > 0)


@pytest.mark.parametrize("name", READOUTS)
def test_the_first_item_comes_as_late_as_the_component_says(name: str) -> None:
    readout = READOUTS[name]
    dut = Snapshots(readout)
    record = play(dut, OUTPUTS, lambda cycle, _: {"asked": cycle == 4} if cycle < 99 else None)
    valid = [cycle for cycle, row in enumerate(record) if row["valid"]]
    assert valid[0] == 4 + dut.latency == 4 + readout.result_stage + 3
    assert [row["room"] for row in record[: 5 + readout.n_groups]] == [
        *[1] * 5, *[0] * (readout.n_groups - 1), 1
    ]  # fmt: skip
