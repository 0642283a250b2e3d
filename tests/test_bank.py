"""A bank against a list of words: loads and reads at random, on one and two read ports."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden import hardware
from golden.formats import Fixed
from golden.hardware import MAX_DEPTH, MemoryParams, address_width
from rtl import bank
from rtl.bank import Bank
from tests.streams import join, replay

NUMBER, LOAD_WIDTH = 5, 40
N_CYCLES = 600


@pytest.mark.parametrize("loads", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("n_reads", [1, 2])
@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.parametrize(("depth", "lanes"), [(1, 1), (5, 3), (8, 2), (9, 1), (21, 2), (32, 3)])
def test_reads_what_was_loaded(
    depth: int,
    lanes: int,
    n_reads: int,
    registered: bool,
    loads: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also from segments of 8 words. A word is there two cycles after the load bus had it; in the
    cycle between it is as it was or as it will be. In the cycle after a load the second port is not
    its own.
    """
    for module in (hardware, bank):
        monkeypatch.setattr(module, "SEGMENT_DEPTH", 8)
    rng = np.random.default_rng([depth, n_reads, int(loads * 10)])
    memory = MemoryParams("words", depth, lanes, Fixed(11))
    bits, width = address_width(depth), memory.width
    words: list[int] = [int(rng.integers(1 << width)) for _ in range(depth)]
    cycles: list[dict[str, Any]] = []
    expected: dict[tuple[int, int], int] = {}  # by cycle and port
    loaded = [-2] * depth  # by address: the cycle of its last load
    selected = [False] * 2  # by cycle: a word of this bank is on the load bus

    def load(number: int, address: int, word: int) -> dict[str, int]:
        return {
            "load.valid": 1,
            "load.memory": number,
            "load.address": address,
            "load.data": word | int(rng.integers(1 << LOAD_WIDTH - width)) << width,
        }

    # All words first, while nothing is read.
    cycles += [load(NUMBER, address, word) | {"enable": 0} for address, word in enumerate(words)]
    cycles += [{"load.valid": 0}] * 2
    start = len(cycles)
    for cycle in range(start, start + N_CYCLES):
        addresses = rng.integers(depth, size=n_reads).tolist()
        enable = rng.integers(2, size=n_reads).tolist()
        for port in range(n_reads):
            address = addresses[port]
            free = port == 0 or not selected[-1]
            if enable[port] and free and loaded[address] < cycle - 1:
                expected[cycle + 1 + registered, port] = words[address]
        kind = rng.choice(["this", "this", "other", "beyond"])
        address, word = int(rng.integers(depth)), int(rng.integers(1 << width))
        if kind == "beyond":
            address = int(rng.choice([depth, depth + (1 << bits), MAX_DEPTH - 1]))
        number = NUMBER ^ (1 << int(rng.integers(8))) if kind == "other" else NUMBER
        valid = bool(rng.random() < loads)
        selected.append(valid and kind == "this")
        if selected[-1]:
            words[address], loaded[address] = word, cycle
        cycles.append(
            {"address": join(addresses, bits), "enable": join(enable, 1)}
            | load(number, address, word)
            | {"load.valid": valid}
        )
    part = Bank(memory, NUMBER, LOAD_WIDTH, n_reads, registered=registered)
    record = replay(part, ["data"], [*cycles, {}, {}])
    assert {
        (cycle, port): record[cycle]["data"] >> port * width & (1 << width) - 1
        for cycle, port in expected
    } == expected
    assert {port for _, port in expected} == set(range(n_reads))
