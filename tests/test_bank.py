"""A bank against a list of words: loads and reads at random, on one, two and four read ports."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden.formats import Fixed
from golden.hardware.memory import LOAD_WIDTH, MAX_DEPTH, MAX_ITEMS, MemoryParams, address_width
from rtl.bank import Bank
from tests.streams import join, load_item, replay

NUMBER = 5
N_CYCLES = 600


@pytest.mark.parametrize("loads", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("n_reads", [1, 2, 4])
@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.parametrize(("depth", "lanes"), [(1, 1), (5, 3), (8, 2), (9, 1), (21, 2), (32, 3)])
def test_reads_what_was_loaded(
    depth: int,
    lanes: int,
    n_reads: int,
    registered: bool,
    loads: float,
) -> None:
    """Also from segments of 8 words. A word is there three cycles after the load bus had its last
    item; in the cycles between it is as it was or as it will be. Two cycles after a load the second
    port of a copy is not its own.
    """
    rng = np.random.default_rng([depth, n_reads, int(loads * 10)])
    memory = MemoryParams("words", depth, lanes, Fixed(11), segment_words=8)
    bits, width = address_width(depth), memory.width
    words: list[int] = [int(rng.integers(1 << width)) for _ in range(depth)]
    cycles: list[dict[str, Any]] = []
    expected: dict[tuple[int, int], int] = {}  # by cycle and port
    loaded = [-2] * depth  # by address: the cycle of its last load
    completed = [False] * 2  # by cycle, up to now: a word of this bank, by its last item

    # All words first, while nothing is read.
    for address, word in enumerate(words):
        for index in range(memory.items):
            last = index == memory.items - 1
            cycles.append(load_item(NUMBER, address, word, index, last=last) | {"enable": 0})
    cycles += [{"load.valid": 0}] * 3
    kept = words[-1]  # what has been collected
    for cycle in range(len(cycles), len(cycles) + N_CYCLES):
        addresses = rng.integers(depth, size=n_reads).tolist()
        enable = rng.integers(2, size=n_reads).tolist()
        for port in range(n_reads):
            address = addresses[port]
            free = port % 2 == 0 or not completed[-2]
            if enable[port] and free and loaded[address] < cycle - 2:
                expected[cycle + 1 + registered, port] = words[address]
        kind = rng.choice(["this", "this", "other", "beyond"])
        address, word = int(rng.integers(depth)), int.from_bytes(rng.bytes(8), "little")
        if kind == "beyond":
            address = int(rng.choice([depth, depth + (1 << bits), MAX_DEPTH - 1]))
        number = NUMBER ^ (1 << int(rng.integers(8))) if kind == "other" else NUMBER
        valid, last = bool(rng.random() < loads), bool(rng.integers(2))
        index = int(rng.choice([*range(memory.items), MAX_ITEMS - 1]))
        if valid and number == NUMBER and index < memory.items:
            place = index * LOAD_WIDTH
            mask = (1 << LOAD_WIDTH) - 1 << place
            kept = (kept & ~mask | word & mask) & (1 << width) - 1
        completed.append(valid and last and kind == "this")
        if completed[-1]:
            words[address], loaded[address] = kept, cycle
        cycles.append(
            {"address": join(addresses, bits), "enable": join(enable, 1)}
            | load_item(number, address, word, index, last=last)
            | {"load.valid": valid}
        )
    part = Bank(memory, NUMBER, n_reads, registered=registered)
    record = replay(part, ["words"], [*cycles, {}, {}])
    assert {
        (cycle, port): record[cycle]["words"] >> port * width & (1 << width) - 1
        for cycle, port in expected
    } == expected
    assert {port for _, port in expected} == set(range(n_reads))
