"""The walk of a complete group's neurons: what it says in every cycle, for groups that follow each
other as closely as they may and for others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden.hardware.layer import LayerHardware
from golden.hardware.params import HardwareParams
from golden.hardware.readout import ReadoutHardware
from golden.hardware.stages import NEURON_STAGE
from golden.params import LayerParams
from golden.readout_params import ReadoutParams
from rtl.output_walk import OutputWalk
from tests.streams import idle, replay, sequence_end, walk

PARTS = {
    "a cycle a group": LayerHardware(LayerParams(4, 9, 0), HardwareParams(3)),
    "one group": LayerHardware(LayerParams(3, 3, 0), HardwareParams(4)),
    "folded": LayerHardware(LayerParams(4, 11, 9, dilation=1), HardwareParams(4)),
    "wider than folded": LayerHardware(LayerParams(4, 7, 2, dilation=3), HardwareParams(1, 2)),
    "folded, blocks": LayerHardware(LayerParams(4, 11, 2, dilation=3), HardwareParams(4, 4)),
    "much folded, blocks": LayerHardware(LayerParams(9, 15, 40, dilation=2), HardwareParams(6, 4)),
    "one group, blocks": LayerHardware(LayerParams(6, 1, 0), HardwareParams(1, 2)),
    "large blocks": LayerHardware(LayerParams(3, 5, 1, dilation=5), HardwareParams(2, 16)),
    "readout": ReadoutHardware(ReadoutParams(7, 10), HardwareParams(4)),
    "readout, blocks": ReadoutHardware(ReadoutParams(7, 10), HardwareParams(4, 8)),
}
STROBES = ("valid", "shift", "final")
WORD = ("word", "first", "last", "refresh", "any_refresh", "fresh")  # known with `valid`
GROUP = ("last_group", "timesteps")  # known with `shift`


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("name", PARTS)
def test_every_cycle(name: str, stall: float) -> None:
    part = PARTS[name]
    rng = np.random.default_rng([len(name), int(stall * 10)])
    block = part.block
    fold, interval = (part.fold, part.interval) if isinstance(part, LayerHardware) else (1, 1)
    cycles: list[dict[str, Any]] = []
    expected: dict[int, dict[str, int]] = {}
    fresh = True
    for _ in range(20):
        if rng.random() < 0.2:
            cycles.append({"issue": sequence_end(rng, part, fresh=fresh)})
            fresh = True
        timesteps = (1 << (block if rng.integers(2) else int(rng.integers(1, block + 1)))) - 1
        refresh = int(rng.integers(1 << block)) & timesteps * int(rng.integers(2))
        addresses = int(rng.integers(part.params.n_inputs + 1)) * int(rng.integers(2))
        for step in walk(
            part, addresses, timesteps=timesteps, refresh=refresh, fresh=fresh, buffer=0
        ):
            while rng.random() < stall:
                cycles.append({"issue": idle(rng, part)})
            cycles.append({"issue": step})
            if not step["last"]:
                continue
            begun = len(cycles) - 1 + NEURON_STAGE
            for k in range(part.output_steps):
                t, place = divmod(k, interval)
                taken = place < fold
                assert begun + k not in expected, "the contract of the group schedule"
                expected[begun + k] = {
                    "complete": k == 0,
                    "shift": taken,
                    "valid": taken and (timesteps >> t) % 2,
                    "final": t == block - 1 and place == fold - 1,
                    "word": step["group"] * fold + place,
                    "first": t == 0,
                    "last": timesteps >> t == 1,
                    "refresh": refresh >> t & 1,
                    "any_refresh": refresh > 0,
                    "fresh": fresh and t == 0,
                    "last_group": step["last_group"],
                    "timesteps": timesteps,
                }
        cycles += [{"issue": idle(rng, part)}] * part.drain
        fresh = False
    cycles += [{"issue": idle(rng, part)}] * (NEURON_STAGE + part.output_steps + 2)
    outputs = ["coming", "moving", *(f"o.{field}" for field in (*STROBES, *WORD, *GROUP))]
    record = replay(OutputWalk(part), outputs, cycles)
    for cycle, row in enumerate(record):
        wanted = expected.get(cycle, dict.fromkeys(STROBES, 0))
        coming = cycle + 1 in expected and expected[cycle + 1]["complete"]
        assert row["coming"] == coming, f"cycle {cycle}"
        assert row["moving"] == (coming or wanted["shift"]), f"cycle {cycle}"
        known = STROBES + WORD * wanted["valid"] + GROUP * wanted["shift"]
        assert {f: row[f"o.{f}"] for f in known} == {f: wanted[f] for f in known}, f"cycle {cycle}"


def test_parts_cover_the_corners() -> None:
    layers = [part for part in PARTS.values() if isinstance(part, LayerHardware)]
    assert {layer.fold for layer in layers} >= {1, 2, 4, 6}
    assert any(layer.interval > layer.fold for layer in layers)
    assert any(layer.drain for layer in layers)
