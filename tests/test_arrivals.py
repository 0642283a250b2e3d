"""What items do to a block, cycle for cycle against a model: both forms of the stream, under random
room.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import data

from golden.hardware.part import EventKind
from rtl.arrivals import Arrivals
from rtl.streams import event_layout
from tests.streams import Item, play, scramble

EVENT, END_TIMESTEP, END_SEQUENCE, INVALID, REPORT = (kind.value for kind in EventKind)
STROBES = ["fires", "timestep_ended", "closed", "discarded", "out_of_range", "unclosed"]
NO_KINDS = (INVALID, 5, 6, 7)  # the kinds of items that are none, as far as the bits go
OUTPUTS = {
    "i.ready": "i.ready",
    "timestep_ended": "timestep_ended",
    "out_of_range": "errors.out_of_range",
    "unclosed": "errors.unclosed",
    **{
        name: f"o.{name}"
        for name in (
            "fires", "closed", "discarded", "address", "payload", "timesteps", "closing_timesteps",
        )
    },
}  # fmt: skip


class Clocked(Arrivals):
    """With a clock, also where nothing needs one."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.sync += Signal(name="ticks").eq(1)
        return m


@dataclass(frozen=True)
class Form:
    """The parameters of an `Arrivals`."""

    n_inputs: int
    n_addresses: int
    payload_width: int
    block: int
    by_timesteps: bool = True
    reports: bool = False

    def layout(self) -> data.StructLayout:
        return event_layout(self.n_addresses, self.payload_width, reports=self.reports)

    def outputs(self) -> dict[str, str]:
        return OUTPUTS | ({"reported": "reported"} if self.reports else {})

    def build(self) -> Arrivals:
        return Clocked(
            self.n_inputs,
            self.n_addresses,
            self.payload_width,
            self.block,
            by_timesteps=self.by_timesteps,
            reports=self.reports,
        )


FORMS = {
    "one input": Form(1, 1, 1, 1),
    "graded": Form(5, 5, 8, 1),
    "by two": Form(7, 7, 1, 2),
    "graded by eight": Form(3, 3, 4, 8),
    "by sixteen": Form(11, 11, 1, 16),
    "own spikes behind 5 inputs": Form(5, 12, 3, 1),
    "of a layer": Form(6, 6, 1, 1, by_timesteps=False),
    "masks of four": Form(6, 6, 4, 4, by_timesteps=False),
    "masks of sixteen": Form(3, 3, 16, 16, by_timesteps=False),
    "reports": Form(5, 5, 8, 1, reports=True),
    "reports by four": Form(7, 7, 1, 4, reports=True),
    "reports, own spikes": Form(3, 8, 1, 1, reports=True),
    "reports of a layer": Form(6, 6, 4, 4, by_timesteps=False, reports=True),
}


def draw_item(rng: np.random.Generator, form: Form) -> Item:
    """Draw an item, of all fields; from a layer only what a layer sends."""
    item = scramble(rng, form.layout())
    strange = int(rng.choice(NO_KINDS)) if form.reports else INVALID
    kinds = [EVENT, END_TIMESTEP, END_SEQUENCE, strange, REPORT]
    many = max(0.0, 0.3 - 0.6 / form.block)
    odds = np.array([0.55 - many, 0.3 + many, 0.1, 0.05 * form.by_timesteps, 0.2 * form.reports])
    item["kind"] = int(rng.choice(kinds, p=odds / odds.sum()))
    if not form.by_timesteps:
        item["address"] %= form.n_addresses
    if rng.random() < 0.1:
        item["payload"] = 0
    return item


@dataclass
class Model:
    """What the docstring of `Arrivals` says."""

    form: Form
    timestep: int = 0  # of the block
    any_event: bool = False  # of an input, since the last end of timestep
    waits: int | None = None  # the kind of an item that has closed a block, and passes after it

    def predict(
        self, item: Item | None, room: bool, may_end: bool, may_report: bool
    ) -> dict[str, int]:
        """Return the outputs of a cycle, in which an item may be offered."""
        form = self.form
        found = dict.fromkeys(STROBES + ["reported"] * form.reports, 0)
        if self.waits == REPORT:
            return found | {"i.ready": 0, "reported": int(may_report)}
        if self.waits == END_SEQUENCE:
            passes = room and may_end
            void = {"unclosed": int(passes and self.any_event)}
            return found | {"i.ready": 0, "discarded": int(passes)} | void
        if item is None:
            return found
        kind, payload = item["kind"], item["payload"]
        found["i.ready"] = int(room)
        if form.reports:
            if kind == REPORT:
                return found | self._report(room, may_end, may_report)
        last = kind == END_TIMESTEP and (not form.by_timesteps or self.timestep == form.block - 1)
        if (last or kind == END_SEQUENCE) and not may_end:
            room = False
        if not room:
            return found | {"i.ready": 0}
        if kind == END_SEQUENCE and form.by_timesteps and self.timestep:
            begun = (1 << self.timestep) - 1
            return found | {"closed": 1, "closing_timesteps": begun}
        if kind == END_SEQUENCE:
            return found | {"discarded": 1, "unclosed": int(self.any_event)}
        if kind == END_TIMESTEP:
            whole = (1 << form.block) - 1 if form.by_timesteps else payload
            closing = {"closed": 1, "closing_timesteps": whole} if last else {}
            return found | {"timestep_ended": 1} | closing
        strange = kind != EVENT or (payload and item["address"] >= form.n_addresses)
        if form.by_timesteps and strange:
            return found | {"out_of_range": 1}
        if not payload:
            return found
        return found | {
            "fires": 1,
            "address": item["address"],
            "payload": payload if form.by_timesteps else 1,
            "timesteps": 1 << self.timestep if form.by_timesteps else payload,
        }

    def _report(self, room: bool, may_end: bool, may_report: bool) -> dict[str, int]:
        """Return the outputs that a report changes. The block that it closes must have ended its
        timestep.
        """
        if self.form.by_timesteps and self.any_event:
            return {"i.ready": int(room), "unclosed": int(room)}
        if self.form.by_timesteps and self.timestep:
            closes, begun = room and may_end, (1 << self.timestep) - 1
            closing = {"closing_timesteps": begun} if closes else {}
            return {"i.ready": int(closes), "closed": int(closes)} | closing
        return {"i.ready": int(may_report), "reported": int(may_report)}

    def advance(self, item: Item | None, found: dict[str, int]) -> None:
        if found["fires"] and item is not None and self.form.by_timesteps:
            self.any_event |= item["address"] < self.form.n_inputs
        if found["discarded"] or found.get("reported"):
            self.waits = None
        if found["closed"] and item is not None and item["kind"] != END_TIMESTEP:
            self.waits = item["kind"]
        if found["timestep_ended"]:
            self.timestep += 1
        if found["timestep_ended"] or found["discarded"]:
            self.any_event = False
        if found["closed"] or found["discarded"] or not self.form.by_timesteps:
            self.timestep = 0


@pytest.mark.parametrize("gaps", [0.0, 0.5])
@pytest.mark.parametrize("name", FORMS)
def test_every_cycle_is_as_modelled(name: str, gaps: float) -> None:
    form = FORMS[name]
    rng = np.random.default_rng([list(FORMS).index(name), int(gaps * 10)])
    items, model = deque(draw_item(rng, form) for _ in range(600)), Model(form)
    dut = form.build()
    layout = form.layout()
    expected: list[dict[str, int]] = []
    seen: Counter[str] = Counter()

    def step(cycle: int, _: Any) -> dict[str, Any] | None:
        if not items:
            return None
        room, may_end = rng.random() >= gaps / 2, rng.random() >= gaps
        may_report = rng.random() >= gaps
        inputs: dict[str, Any] = {"room": room, "may_end": may_end}
        if form.reports:
            inputs["may_report"] = may_report
        item = items[0] if rng.random() >= gaps else None
        now = model.predict(item, room, may_end, may_report)
        expected.append(now)
        seen.update(strobe for strobe in (*STROBES, "reported") if now.get(strobe))
        seen["withdrawn"] += item is None and model.waits is not None
        model.advance(item, now)
        if item is None:
            return inputs | {"i.valid": 0, "i.payload": scramble(rng, layout)}
        seen["partial"] += now["closed"] and item["kind"] != END_TIMESTEP
        seen["void report"] += item["kind"] == REPORT and now["unclosed"]
        if now["i.ready"]:
            items.popleft()
        return inputs | {"i.valid": 1, "i.payload": item}

    record = play(dut, form.outputs(), step)
    for cycle, (found, now) in enumerate(zip(record, expected, strict=True)):
        assert {output: found[output] for output in now} == now, f"cycle {cycle}"
    wanted = {"fires", "timestep_ended", "closed", "discarded"}
    if form.by_timesteps:
        wanted |= {"out_of_range", "unclosed"} | ({"partial"} if form.block > 1 else set())
        wanted |= {"withdrawn"} if form.block > 1 and gaps else set()
    if form.reports:
        wanted |= {"reported"} | ({"void report"} if form.by_timesteps else set())
    assert {strobe for strobe in seen if seen[strobe]} == wanted


@pytest.mark.parametrize(("address", "missed"), [(4, 1), (5, 0), (11, 0)])
def test_own_spikes_are_not_missed_at_the_end_of_a_sequence(address: int, missed: int) -> None:
    """Five inputs, and 7 own spikes behind them."""
    items = [
        {"kind": EVENT, "address": address, "payload": 1},
        {"kind": END_SEQUENCE, "address": 0, "payload": 0},
        {"kind": END_SEQUENCE, "address": 0, "payload": 0},
    ]
    record = play(
        FORMS["own spikes behind 5 inputs"].build(),
        OUTPUTS,
        lambda cycle, _: (
            {"room": 1, "may_end": 1, "i.valid": 1, "i.payload": items[cycle]}
            if cycle < 3
            else None
        ),
    )
    found = [(row["fires"], row["discarded"], row["unclosed"]) for row in record]
    assert found == [(1, 0, 0), (0, 1, missed), (0, 1, 0)]
