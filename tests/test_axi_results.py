"""Packets of results against the core's results that they hold, with stalls on both sides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rtl.host.axi_results import AxiResults
from tests.streams import Item, offer, simulate, take


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize(("n_classes", "width"), [(1, 32), (5, 12), (300, 32)])
def test_a_packet_holds_the_logits_and_the_class(n_classes: int, width: int, stall: float) -> None:
    rng = np.random.default_rng([n_classes, width])
    n_packets = 2 if n_classes > 10 else 20
    items: list[Item] = []
    expected: list[Item] = []
    for _ in range(n_packets):
        logits = rng.integers(-(1 << width - 1), 1 << width - 1, n_classes).tolist()
        logits[0] = -(1 << width - 1)
        best = int(rng.integers(n_classes))
        for index, logit in enumerate(logits):
            last = int(index == n_classes - 1)
            # `best` means nothing before the last one.
            shown = best if last else int(rng.integers(n_classes))
            items.append({"index": index, "logit": logit, "best": shown, "last": last})
            expected.append({"data": logit % (1 << 32), "last": 0})
        expected.append({"data": best, "last": 1})
    dut = AxiResults(n_classes, width)
    received: list[Item] = []
    cycles: list[tuple[int, int]] = []

    async def give(ctx: Any) -> None:
        await offer(ctx, dut.i, items, np.random.default_rng(1), stall)

    async def receive(ctx: Any) -> None:
        rng = np.random.default_rng(2)
        received.extend(await take(ctx, dut.o, lambda r: len(r) == len(expected), rng, stall))

    async def watch(ctx: Any) -> None:
        async for _, _, *values in ctx.tick().sample(
            dut.i.valid & dut.i.ready, dut.o.valid & dut.o.ready
        ):
            cycles.append((values[0], values[1]))

    simulate(dut, give, receive, watch=watch)
    assert received == expected
    if not stall:  # a word a cycle, one cycle late, the class two
        taken = [cycle for cycle, (i, _) in enumerate(cycles) if i]
        given = [cycle for cycle, (_, o) in enumerate(cycles) if o]
        assert taken == [
            p * (n_classes + 1) + c for p in range(n_packets) for c in range(n_classes)
        ]
        assert given == list(range(1, 1 + len(expected)))
