"""What items do, against a model in Python, cycle for cycle, under random room and gaps."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from golden.formats import Fixed
from golden.hardware import EventKind, HardwareParams, LayerHardware
from golden.params import LayerFormats, LayerParams
from rtl.arrivals import Arrivals
from tests.streams import Item, draw_blocks, draw_timesteps, play, scramble

STROBES = ["fires", "timestep_ended", "closed", "discarded", "out_of_range", "unclosed"]
VALUES = ["address", "payload", "timesteps", "closing_timesteps"]


@dataclass
class Model:
    """What the docstring of `Arrivals` says, and no more."""

    part: LayerHardware
    timestep: int = 0  # of the block
    any_event: bool = False

    def predict(self, item: Item | None, room: bool, may_end: bool) -> dict[str, int]:
        """Return the outputs of this cycle, as far as they are specified."""
        expected = dict.fromkeys(STROBES, 0)
        if item is None:
            return expected
        by_timesteps, block = self.part.by_timesteps, self.part.block
        kind, address, payload = item["kind"], item["address"], item["payload"]
        ends_sequence = kind == EventKind.END_SEQUENCE.value
        last = not by_timesteps or self.timestep == block - 1
        ends = ends_sequence or (kind == EventKind.END_TIMESTEP.value and last)
        if not room or (ends and not may_end):
            return expected | {"i.ready": 0}
        if ends_sequence:
            if by_timesteps and self.timestep:
                closing = (1 << self.timestep) - 1
                return expected | {"i.ready": 0, "closed": 1, "closing_timesteps": closing}
            return expected | {"i.ready": 1, "discarded": 1, "unclosed": self.any_event}
        expected["i.ready"] = 1
        if kind == EventKind.END_TIMESTEP.value:
            expected |= {"timestep_ended": 1, "closed": last}
            closing = (1 << block) - 1 if by_timesteps else payload
            return expected | ({"closing_timesteps": closing} if last else {})
        if kind != EventKind.EVENT.value or (payload and address >= self.part.params.n_inputs):
            return expected | {"out_of_range": 1}
        if payload:
            expected |= {"fires": 1, "address": address}
            expected["payload"] = payload if by_timesteps else 1
            expected["timesteps"] = 1 << self.timestep if by_timesteps else payload
        return expected

    def advance(self, expected: dict[str, int]) -> None:
        if expected["fires"]:
            self.any_event = self.part.by_timesteps
        if expected["timestep_ended"] or expected["discarded"]:
            self.any_event = False
        if expected["timestep_ended"] and self.part.by_timesteps:
            self.timestep += 1
        if expected["closed"] or expected["discarded"]:
            self.timestep = 0


@pytest.mark.parametrize("external", [True, False])
@pytest.mark.parametrize(
    ("n_inputs", "width", "block"), [(1, 1, 1), (5, 8, 1), (6, 1, 4), (9, 3, 16)]
)
def test_every_cycle_is_as_modelled(n_inputs: int, width: int, block: int, external: bool) -> None:
    formats = LayerFormats(payload=Fixed(width, 0, signed=False))
    params = LayerParams(n_inputs, 3, 0, formats=formats)
    part = LayerHardware(params, HardwareParams(2, block), external=external)
    rng = np.random.default_rng([n_inputs, external])
    items = deque((draw_timesteps if external else draw_blocks)(rng, part, 150))
    model, expected, seen = Model(part), list[dict[str, int]](), Counter[str]()
    offered: Item | None = None
    dut = Arrivals(n_inputs, width if external else block, block, by_timesteps=external)

    def step(cycle: int, _: Any) -> dict[str, Any] | None:
        nonlocal offered
        if offered is None and items and rng.random() < 0.8:
            offered = items.popleft()
        if offered is None and not items:
            return None
        room, may_end = bool(rng.random() < 0.8), bool(rng.random() < 0.5)
        now = model.predict(offered, room, may_end)
        expected.append(now)
        seen.update(strobe for strobe in STROBES if now[strobe])
        model.advance(now)
        inputs: dict[str, Any] = {"room": room, "may_end": may_end, "i.valid": offered is not None}
        inputs["i.payload"] = offered or scramble(rng, dut.i.payload.shape())
        if now.get("i.ready"):
            offered = None
        return inputs

    record = play(dut, ["i.ready", *STROBES, *VALUES], step)
    for cycle, (found, now) in enumerate(zip(record, expected, strict=True)):
        assert {name: found[name] for name in now} == now, f"cycle {cycle}"
    errors = {"out_of_range", "unclosed"} if external else set()
    assert set(seen) == {"fires", "timestep_ended", "closed", "discarded", *errors}
