"""The three numbers of a layer that are not in a bank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden.formats import Fixed
from golden.hardware.memory import LOAD_WIDTH, MemoryParams
from golden.params import LayerFormats
from rtl.scalars import Scalars
from tests.streams import load_item, replay

NAMES = ["leak", "threshold", "drive_bias"]


@pytest.mark.parametrize("seed", range(4))
def test_words_0_to_2_are_held(seed: int) -> None:
    """Each is there three cycles after its last item, and nothing else changes it."""
    rng = np.random.default_rng(seed)
    formats = LayerFormats(
        leak=Fixed(9 + seed, 8, signed=False), u=Fixed(10 + seed), drive_bias_width=20 + 5 * seed
    )
    registers = [formats.leak, formats.threshold, formats.b_x]
    width = max(LOAD_WIDTH, *(fmt.width for fmt in registers))
    memory = MemoryParams("scalars", 3, 1, Fixed(width))
    cycles: list[dict[str, Any]] = []
    expected: list[dict[str, int]] = [dict.fromkeys(NAMES, 0)] * 3
    values, kept = [0, 0, 0], 0
    for _ in range(400):
        valid, number = int(rng.integers(2)), int(rng.choice([6, 7, 7, 7, 8]))
        address = int(rng.choice([0, 1, 2, 3, 4, 1 << 23, (1 << 24) - 1]))
        index, last = int(rng.integers(3)), bool(rng.integers(2))
        word = int.from_bytes(rng.bytes(12), "little")
        cycles.append(load_item(7, address, word, index, last=last))
        cycles[-1] |= {"load.valid": valid, "load.memory": number}
        if valid and number == 7 and index < memory.items:
            mask = (1 << LOAD_WIDTH) - 1 << index * LOAD_WIDTH
            kept = kept & ~mask | word & mask
        if valid and number == 7 and last and address < 3:
            fmt = registers[address]
            value = kept & (1 << fmt.width) - 1
            values[address] = value - (1 << fmt.width) if value > fmt.max else value
        expected.append(dict(zip(NAMES, values, strict=True)))
    assert any(row["drive_bias"] < 0 for row in expected)
    assert memory.items == 1 + (seed == 3)
    assert (
        replay(
            Scalars(
                {"leak": formats.leak, "threshold": formats.threshold, "b_x": formats.b_x},
                memory,
                7,
            ),
            NAMES,
            cycles,
        )
        == expected[: len(cycles)]
    )
