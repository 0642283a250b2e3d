"""The three numbers of a layer that are not in a bank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden.formats import Fixed
from golden.params import LayerFormats
from rtl.scalars import Scalars
from tests.streams import LOAD_WIDTH, replay

NAMES = ["leak", "threshold", "drive_bias"]


@pytest.mark.parametrize("seed", range(3))
def test_words_0_to_2_are_held(seed: int) -> None:
    """Each is there the cycle after it is loaded, and nothing else changes it."""
    rng = np.random.default_rng(seed)
    formats = LayerFormats(
        leak=Fixed(9 + seed, 8, signed=False), u=Fixed(10 + seed), drive_bias_width=20 + seed
    )
    widths = [formats.leak, formats.threshold, formats.b_x]
    cycles: list[dict[str, Any]] = []
    expected, values = [], [0, 0, 0]
    for _ in range(300):
        valid, number = int(rng.integers(2)), int(rng.choice([6, 7, 7, 7, 8]))
        address = int(rng.choice([0, 1, 2, 3, 4, 1 << 23, (1 << 24) - 1]))
        word = int(rng.integers(1 << 32))
        cycles.append(
            {"load.valid": valid, "load.memory": number, "load.address": address, "load.data": word}
        )
        expected.append(dict(zip(NAMES, values, strict=True)))
        if valid and number == 7 and address < 3:
            fmt = widths[address]
            value = word & (1 << fmt.width) - 1
            values[address] = value - (1 << fmt.width) if value > fmt.max else value
    assert any(row["drive_bias"] < 0 for row in expected)
    assert replay(Scalars(formats, 7, LOAD_WIDTH), NAMES, cycles) == expected
