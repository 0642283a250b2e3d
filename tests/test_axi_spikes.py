"""Beats of a last layer's spikes against the items that they hold, with stalls on both sides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden.hardware.part import EventKind
from rtl.host.axi_spikes import AxiSpikes
from tests.streams import Item, offer, simulate, take


def draw_items(n_neurons: int, count: int) -> list[Item]:
    """Return items as a core sends them, but the addresses of ends, which are any there."""
    rng = np.random.default_rng(n_neurons)
    kinds = rng.choice([EventKind.EVENT, EventKind.END_TIMESTEP, EventKind.END_SEQUENCE], count)
    return [
        {
            "kind": int(kind),
            "address": int(rng.integers(n_neurons)) * (kind == EventKind.EVENT),
            "payload": 1,
        }
        for kind in kinds
    ]


def beat_of(item: Item) -> Item:
    """Return the beat of an item as the register page has it: the address from bit 0, a payload of
    1 from bit 16, the ends in bits 30 and 31, and in TLAST and TUSER.
    """
    if item["kind"] == EventKind.EVENT:
        return {"data": item["address"] | 1 << 16, "last": 0, "user": 0}
    if item["kind"] == EventKind.END_TIMESTEP:
        return {"data": 1 << 30, "last": 1, "user": 0}
    return {"data": 1 << 31, "last": 0, "user": 1}


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("n_neurons", [1, 2, 37, 1 << 16])
def test_a_beat_holds_an_item(n_neurons: int, stall: float) -> None:
    items = draw_items(n_neurons, 120)
    assert len({item["kind"] for item in items}) == 3
    dut = AxiSpikes(n_neurons)
    received: list[Item] = []

    async def give(ctx: Any) -> None:
        await offer(ctx, dut.i, items, np.random.default_rng(1), stall)

    async def receive(ctx: Any) -> None:
        rng = np.random.default_rng(2)
        received.extend(await take(ctx, dut.o, lambda r: len(r) == len(items), rng, stall))

    simulate(dut, give, receive)
    assert received == [beat_of(item) for item in items]
