"""Counters and flags against sums in Python, in the cycles in which they are promised."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden.hardware.counters import COUNTER_WIDTH
from rtl.counters import Counters
from tests.streams import replay

NAMES = [
    "cycles",
    "layer0.events",
    "layer0.repeated",
    "layer0.membrane_saturations",
    "readout.unclosed",
    "layer0.spikes",
]
WIDTHS = [1, COUNTER_WIDTH, 1, 3, 1, 7]  # one that wraps around within the test
ERRORS = [2, 3, 4]


@pytest.mark.parametrize("counted", [NAMES, [NAMES[i] for i in ERRORS], []], ids=len)
@pytest.mark.parametrize("seed", range(3))
def test_counts_flags_and_clear(seed: int, counted: list[str]) -> None:
    rng = np.random.default_rng(seed)
    errors = [NAMES[i] for i in ERRORS]
    dut = Counters(dict(zip(NAMES, WIDTHS, strict=True)), counted, errors)
    cycles: list[dict[str, Any]] = []
    expected: list[dict[str, int]] = []
    counts, flags, value = [0] * len(NAMES), [False] * len(NAMES), 0
    at_once, asked = 0, False
    pending = [0] * len(NAMES)  # what was counted in the cycle before
    for cycle in range(600):
        quiet = cycle // 40 % 2
        added = [
            int(rng.integers(1 << width)) * (not quiet or bool(rng.random() < 0.02))
            for width in WIDTHS
        ]
        select = int(rng.integers(1 << len(dut.select)))
        clear, asked = asked, bool(rng.random() < 0.03)  # it acts a cycle later
        cleared = int(rng.integers(1 << len(ERRORS))) * bool(rng.random() < 0.2)
        cycles.append(
            {
                f"increments.{name.replace('.', '_')}": n
                for name, n in zip(NAMES, added, strict=True)
            }
            | {"select": select, "clear": asked, "clear_errors": cleared}
        )
        expected.append(
            {"value": value, "errors": sum(1 << bit for bit, i in enumerate(ERRORS) if flags[i])}
        )
        value = counts[NAMES.index(counted[select])] if select < len(counted) else 0
        counts = [
            0 if clear else (n + more) % (1 << COUNTER_WIDTH)
            for n, more in zip(counts, pending, strict=True)
        ]
        kept = list(flags)
        for bit, i in enumerate(ERRORS):
            kept[i] &= not cleared >> bit & 1
            at_once += cleared >> bit & 1 and pending[i] > 0 and not clear
        flags = [not clear and (flag or n > 0) for flag, n in zip(kept, pending, strict=True)]
        pending = [0 if clear else n for n in added]
    assert at_once > 3, "an error comes as its flag is cleared"
    found = replay(dut, ["value", "errors"], cycles)
    for cycle, (row, wanted) in enumerate(zip(found, expected, strict=True)):
        assert row == wanted, f"cycle {cycle}"
