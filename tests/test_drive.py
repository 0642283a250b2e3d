"""The drive against its equation, with the cycle in which each value is there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden.formats import Fixed, rshift
from golden.hardware.layer import LayerHardware
from golden.hardware.params import LIST_BUFFERS, HardwareParams
from golden.hardware.stages import DRIVE_LATENCY
from golden.params import LayerFormats, LayerParams
from rtl.drive import Drive
from tests.streams import join, load_cycles, replay, split

FORMATS = {
    "spikes": LayerFormats(w_x=Fixed(8, 7), x=Fixed(16, 13)),  # a negative shift
    "graded": LayerFormats(payload=Fixed(8, 8, signed=False), w_x=Fixed(8, 7), x=Fixed(16, 11)),
    "saturating": LayerFormats(payload=Fixed(8, 8, signed=False), w_x=Fixed(8, 2), x=Fixed(8, 7)),
    "unshifted": LayerFormats(w_x=Fixed(6, 7), x=Fixed(12, 7), drive_bias_width=9),
}
N_INPUTS, N_BLOCKS = 7, 25
PORTS = {  # by what a cycle calls them
    "accepted": "arrival.fires",
    **{
        name: f"arrival.{name}"
        for name in (
            "closed", "discarded", "address", "payload", "timesteps", "closing_timesteps",
        )
    },
}  # fmt: skip
OUTPUTS = {
    **{name: f"o.{name}" for name in ("valid", "value", "first", "last")},
    **{name: name for name in ("saturated", "values", "w_x_read")},
}


@pytest.mark.parametrize("coefficients", ["any", "least", "largest"])
@pytest.mark.parametrize("block", [1, 2, 4, 16])
@pytest.mark.parametrize("name", FORMATS)
def test_values_are_as_the_equation_says(name: str, block: int, coefficients: str) -> None:
    """Events come one by one from outside, or (`spikes`) as masks of the block's timesteps. With
    the least or largest coefficients, the largest sums fill the accumulators.
    """
    rng = np.random.default_rng([list(FORMATS).index(name), block, len(coefficients)])
    f = FORMATS[name]
    masks = name == "spikes"
    params = LayerParams(N_INPUTS, 3, 2, formats=f)
    layer = LayerHardware(
        params, HardwareParams(2, block=block, list_buffers=LIST_BUFFERS[masks]), external=not masks
    )
    if coefficients == "any":
        w_x = rng.integers(f.w_x.min, f.w_x.max + 1, N_INPUTS)
        w_x[:4] = f.w_x.min, f.w_x.max, f.w_x.min // 2, f.w_x.max // 2
        b_x = int(rng.integers(-f.w_x.max, f.w_x.max)) * f.payload.max // 4
    else:
        w_x = np.full(N_INPUTS, f.w_x.min if coefficients == "least" else f.w_x.max)
        b_x = f.b_x.min if coefficients == "least" else f.b_x.max
    cycles: list[dict[str, Any]] = load_cycles(4, w_x.tolist())
    expected: dict[int, dict[str, int]] = {}  # by cycle: what leaves
    kept: dict[int, dict[tuple[int, int], int]] = {}  # by cycle: values by buffer and timestep
    forgotten: dict[int, int] = {}  # by cycle: a buffer whose values may change from then on
    buffer, fresh, last_end = 0, True, -block

    def cycle_of(**inputs: Any) -> dict[str, Any]:
        """Return a cycle in which everything that is not qualified is random."""
        named = {
            "accepted": 0,
            "closed": 0,
            "discarded": 0,
            "address": int(rng.integers(N_INPUTS)),
            "payload": int(rng.integers(f.payload.max + 1)),
            "timesteps": int(rng.integers(1 << block)),
            "closing_buffer": int(rng.integers(layer.n_lists)),
            "closing_timesteps": int(rng.integers(1 << block)),
            "closing_fresh": int(rng.integers(2)),
        } | inputs
        return {PORTS.get(name, name): value for name, value in named.items()}

    def draw_events() -> np.ndarray:
        """Return payloads (timesteps, inputs)."""
        largest = np.full((block, N_INPUTS), f.payload.max)
        chosen = rng.choice(["none", "all", "any"])
        density = rng.random((block, 1)) if chosen == "any" else chosen == "all"
        drawn = largest if rng.random() < 0.3 else rng.integers(1, largest + 1)
        return drawn * (rng.random((block, N_INPUTS)) < density)

    for _ in range(N_BLOCKS):
        payloads = draw_events()
        discarded = rng.random() < 0.2
        length = int(rng.integers(1, block + 1)) if rng.random() < 0.3 else block
        # In a partial block, there may be events of the timestep that it lacks: they are void.
        given = payloads[: length + 1]
        if masks:
            events = [
                {"address": address, "payload": 1, "timesteps": join(fires, 1)}
                for address, fires in enumerate(given.T.tolist())
                if any(fires)
            ]
        else:
            events = [
                {"address": int(address), "payload": int(given[t, address]), "timesteps": 1 << t}
                for t in range(len(given))
                for address in rng.permutation(N_INPUTS)
                if given[t, address]
            ]
        gaps = rng.choice([0.0, 0.3])
        for event in events:
            while rng.random() < gaps:
                cycles.append(cycle_of())
            cycles.append(cycle_of(accepted=1, **event))
        while len(cycles) < last_end + block:
            cycles.append(cycle_of())
        last_end = len(cycles)
        if discarded:
            cycles.append(cycle_of(discarded=1))
        else:
            closing = {"closing_timesteps": (1 << length) - 1, "closing_fresh": int(fresh)}
            cycles.append(cycle_of(closed=1, closing_buffer=buffer, **closing))
            forgotten[last_end + DRIVE_LATENCY] = buffer
            for t, total in enumerate((payloads[:length] @ w_x + b_x).tolist()):
                exact = max(int(rshift(total, params.drive_shift)), 0)
                value = min(exact, f.x.max)
                there = last_end + DRIVE_LATENCY + t
                expected[there] = {
                    "value": value,
                    "saturated": exact > f.x.max,
                    "first": fresh and t == 0,
                    "last": t == length - 1,
                }
                kept[there] = {(buffer, t): value}
        buffer = (buffer + 1) % layer.n_lists
        fresh = bool(discarded)
    cycles += [cycle_of() for _ in range(DRIVE_LATENCY + block + 3)]
    cycles[0] |= cycle_of(bias=b_x)
    dut = Drive(layer, 4)
    record = replay(dut, OUTPUTS, cycles)
    assert [cycle for cycle, row in enumerate(record) if row["valid"]] == sorted(expected)
    held: dict[tuple[int, int], int] = {}
    for cycle, (row, given) in enumerate(zip(record, cycles, strict=True)):
        wanted = expected.get(cycle, {"saturated": 0})
        assert {field: row[field] for field in wanted} == wanted, f"cycle {cycle}"
        assert row["w_x_read"] == given.get("arrival.fires", 0), f"cycle {cycle}"
        if cycle in forgotten:
            held = {place: value for place, value in held.items() if place[0] != forgotten[cycle]}
        held |= kept.get(cycle, {})
        values = split(row["values"], f.x.width, layer.n_lists * block)
        assert {(b, t): values[b * block + t] for b, t in held} == held, f"cycle {cycle}"
    drives = [row["value"] for row in expected.values()]
    if coefficients == "any":
        assert 0 in drives and any(drives)
        assert any(row["saturated"] for row in expected.values()) or name != "saturating"
