"""A register in a stream: the same items in order, with stalls on both sides, a cycle later."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rtl.host.stream_register import StreamRegister
from rtl.streams import event_layout
from tests.streams import Item, offer, scramble, simulate, take


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_items_pass_in_order(stall: float) -> None:
    layout = event_layout(50, 8)
    rng = np.random.default_rng(5)
    items = [scramble(rng, layout) for _ in range(200)]
    dut = StreamRegister(layout)
    received: list[Item] = []
    shown: list[tuple[int, int]] = []

    async def give(ctx: Any) -> None:
        await offer(ctx, dut.i, items, np.random.default_rng(1), stall)

    async def receive(ctx: Any) -> None:
        random = np.random.default_rng(2)
        received.extend(await take(ctx, dut.o, lambda r: len(r) == len(items), random, stall))

    async def watch(ctx: Any) -> None:
        async for _, _, taken, valid in ctx.tick().sample(dut.i.valid & dut.i.ready, dut.o.valid):
            shown.append((taken, valid))

    simulate(dut, give, receive, watch=watch)
    assert received == items
    assert all(valid for (taken, _), (_, valid) in zip(shown, shown[1:], strict=False) if taken)
    if not stall:
        assert len(shown) <= len(items) + 3
