"""Loader and banks together: what is sent is in the right memory, at the right place, and nowhere
else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Elaboratable, Module
from amaranth.lib import wiring

from golden.hardware.core import CoreParams
from golden.hardware.memory import LOAD_WIDTH
from golden.hardware.params import HardwareParams
from golden.params import LayerParams, NetworkParams
from golden.readout_params import ReadoutParams
from rtl.bank import Bank
from rtl.loader import Loader
from rtl.streams import LOAD_ITEM
from tests.streams import Item, play, replay, scramble

NETWORK = NetworkParams("loaded", (LayerParams(3, 13, 2),), ReadoutParams(13, 5))
CORE = CoreParams(NETWORK, HardwareParams(5))
WIDTHS = [memory.width for memory in CORE.memories.values()]
ITEMS = [memory.items for memory in CORE.memories.values()]


class Memories(Elaboratable):
    """A loader and a bank for every memory."""

    def __init__(self) -> None:
        self.loader = Loader(CORE)
        self.banks = [Bank(memory, number) for number, memory in enumerate(CORE.memories.values())]
        for number, bank in enumerate(self.banks):
            setattr(self, f"bank{number}", bank)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.loader = self.loader
        for number, bank in enumerate(self.banks):
            m.submodules[f"bank{number}"] = bank
            wiring.connect(m, self.loader.o, bank.load)
            m.d.comb += bank.enable.eq(1)
        return m


def header(number: int, address: int) -> Item:
    return {"first": 1, "data": number << 24 | address}


def part(word: int, index: int) -> Item:
    return {"first": 0, "data": word >> index * LOAD_WIDTH & (1 << LOAD_WIDTH) - 1}


def draw_items(rng: np.random.Generator, contents: list[list[int]]) -> list[Item]:
    """Draw what is sent, and do it to `contents`, by memory."""
    items = []
    for _ in range(60):
        number = int(rng.integers(len(ITEMS) + 1))  # the last one is no memory
        depth = len(contents[number]) if number < len(ITEMS) else 4
        address = int(rng.choice([0, int(rng.integers(depth)), depth - 1, depth, (1 << 24) - 20]))
        items.append(header(number, address))
        for offset in range(int(rng.integers(5))):
            n_items = ITEMS[number] if number < len(ITEMS) else 1
            word = int.from_bytes(rng.bytes(n_items * 4), "little")
            items += [part(word, index) for index in range(n_items)]
            if number < len(ITEMS) and address + offset < depth:
                contents[number][address + offset] = word & (1 << WIDTHS[number]) - 1
        if number < len(ITEMS) and rng.random() < 0.3:  # a word that is never completed
            items += [part(int(rng.integers(1 << 32)), 0)] * (ITEMS[number] - 1)
    return items


@pytest.mark.parametrize("seed", range(4))
def test_words_reach_their_memory_only(seed: int) -> None:
    assert set(ITEMS) == {1, 2, 3, 4}
    rng = np.random.default_rng(seed)
    contents = [[0] * memory.depth for memory in CORE.memories.values()]
    cycles: list[dict[str, Any]] = []
    # The first load fills everything, so that words left alone can be told from words that were
    # never written.
    first = [
        item
        for number, words in enumerate(contents)
        for item in (header(number, 0), *(part(0, i) for _ in words for i in range(ITEMS[number])))
    ]
    for item in (*first, *draw_items(rng, contents)):
        while rng.random() < 0.3:
            cycles.append({"loader.i.valid": 0, "loader.i.payload": scramble(rng, LOAD_ITEM)})
        cycles.append({"loader.i.valid": 1, "loader.i.payload": item})
    cycles += [{"loader.i.valid": 0}] * 3
    sending = len(cycles)
    for address in range(max(len(words) for words in contents)):
        cycles.append(
            {
                f"bank{n}.address": address
                for n, words in enumerate(contents)
                if address < len(words)
            }
        )
    cycles.append({})
    record = replay(
        Memories(), ["loader.i.ready", *(f"bank{n}.words" for n in range(len(contents)))], cycles
    )
    assert all(row["loader.i.ready"] for row in record)
    for number, words in enumerate(contents):
        found = [
            record[sending + 1 + address][f"bank{number}.words"] for address in range(len(words))
        ]
        assert found == words, f"memory {number}, seed {seed}"


def test_latencies() -> None:
    """An item is on the bus a cycle later; a word can be addressed three cycles after its last."""
    number = list(CORE.memories).index("layer0.c")
    memory = CORE.memories["layer0.c"]
    word = (1 << memory.width) - 3
    items = [header(number, 1), *(part(word, i) for i in range(3)), *(part(5, i) for i in range(3))]
    name = f"bank{number}"

    def step(cycle: int, _: object) -> dict[str, Any] | None:
        sent = (
            {"loader.i.valid": 1, "loader.i.payload": items[cycle]}
            if cycle < len(items)
            else {"loader.i.valid": 0}
        )
        return sent | {f"{name}.address": 1} if cycle < 12 else None

    fields = ("valid", "address", "index", "last", "data")
    record = play(Memories(), [*(f"loader.o.{f}" for f in fields), f"{name}.words"], step)
    on_bus = [tuple(row[f"loader.o.{f}"] for f in fields[1:]) for row in record[2:8]]
    assert on_bus == [
        (1 + k, index, index == 2, part((word, 5)[k], index)["data"])
        for k in range(2)
        for index in range(3)
    ]
    assert [cycle for cycle, row in enumerate(record) if row["loader.o.valid"]] == [*range(2, 8)]
    assert [row[f"{name}.words"] for row in record].index(word) == 8
