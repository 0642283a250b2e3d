"""The drive against its equation, with the cycle in which each value is there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden.formats import Fixed, rshift
from golden.hardware import CLOSE_LATENCY, HardwareParams, LayerHardware
from golden.params import LayerFormats, LayerParams
from rtl.drive import Drive
from rtl.streams import event_layout
from tests.streams import LOAD_WIDTH, load_cycles, replay, scramble, split

FORMATS = {
    "spikes": LayerFormats(w_x=Fixed(8, 7), x=Fixed(16, 13)),  # a negative shift
    "graded": LayerFormats(payload=Fixed(8, 8, signed=False), w_x=Fixed(8, 7), x=Fixed(16, 11)),
    "saturating": LayerFormats(payload=Fixed(8, 8, signed=False), w_x=Fixed(8, 2), x=Fixed(8, 7)),
    "unshifted": LayerFormats(w_x=Fixed(6, 7), x=Fixed(12, 7), drive_bias_width=9),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", FORMATS)
def test_values_are_as_the_equation_says(name: str, seed: int) -> None:
    rng = np.random.default_rng([seed, len(name)])
    f = FORMATS[name]
    params = LayerParams(7, 3, 2, formats=f)
    layer = LayerHardware(params, HardwareParams(2))
    w_x = rng.integers(f.w_x.min, f.w_x.max + 1, 7)
    w_x[:4] = f.w_x.min, f.w_x.max, f.w_x.min // 2, f.w_x.max // 2
    b_x = int(rng.integers(-(1 << 8), 1 << 8)) if seed else 0
    layout = event_layout(7, f.payload.width)
    cycles: list[dict[str, Any]] = [*load_cycles(4, w_x.tolist())]
    expected: dict[int, tuple[int, int, bool]] = {}  # by cycle: buffer, value, saturated
    total, buffer = b_x, 0

    def nothing() -> dict[str, Any]:
        return {"accepted": 0, "closed": 0, "discarded": 0, "closing_buffer": int(rng.integers(2)),
                "event": scramble(rng, layout)}  # fmt: skip

    for _ in range(120):
        for _ in range(int(rng.choice([0, 0, 1, 3, 12]))):
            while rng.random() < 0.2:
                cycles.append(nothing())
            address, payload = int(rng.integers(7)), int(rng.integers(1, f.payload.max + 1))
            total += int(w_x[address]) * payload
            event = {"kind": 0, "address": address, "payload": payload}
            cycles.append(nothing() | {"accepted": 1, "event": event})
        ends = bool(rng.random() < 0.8)
        cycles.append(nothing() | {"closed": ends, "discarded": not ends, "closing_buffer": buffer})
        if ends:
            exact = max(rshift(total, params.drive_shift), 0)
            there = len(cycles) - 1 + CLOSE_LATENCY
            expected[there] = buffer, min(exact, f.x.max), exact > f.x.max
        buffer ^= 1
        total = b_x
    cycles += [nothing() for _ in range(CLOSE_LATENCY + 3)]
    cycles[0] = cycles[0] | nothing() | {"bias": b_x}
    dut = Drive(params, layer.memories["w_x"], 4, LOAD_WIDTH)
    record = replay(dut, ["valid", "value", "saturated", "values"], cycles)
    assert [cycle for cycle, row in enumerate(record) if row["valid"]] == sorted(expected), (
        f"seed {seed}"
    )
    held: dict[int, int] = {}
    for cycle, row in enumerate(record):
        if cycle in expected:
            which, value, saturated = expected[cycle]
            held[which] = value
            assert (row["value"], row["saturated"]) == (value, saturated), (
                f"cycle {cycle}, seed {seed}"
            )
        else:
            assert not row["saturated"]
        for which, value in held.items():
            assert split(row["values"], f.x.width, 2)[which] == value, (
                f"buffer {which} in cycle {cycle}, seed {seed}"
            )
    drives = [value for _, value, _ in expected.values()]
    assert 0 in drives and any(drives)
    assert any(saturated for *_, saturated in expected.values()) or name != "saturating"
