"""The spikes of a core: a block's timesteps one after another, with stalls, and at an item a
cycle.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden.hardware.part import EventKind
from golden.hardware.spike_output import SpikeOutputHardware
from rtl.spike_output import SpikeOutput
from tests.streams import Item, offer, simulate, take


def random_blocks(
    rng: np.random.Generator, n_neurons: int, block: int, n_sequences: int
) -> tuple[list[Item], list[Item]]:
    """Return what a last layer sends, and what shall leave the core: sequences of blocks of spikes,
    the last block of each shorter; one sequence has no timestep.
    """
    sent: list[Item] = []
    expected: list[Item] = []
    for sequence in range(n_sequences):
        n_timesteps = 0 if sequence == 1 else int(rng.integers(1, 3 * block + 1))
        for start in range(0, n_timesteps, block):
            length = min(block, n_timesteps - start)
            spikes = rng.random((length, n_neurons)) < rng.choice([0, 0.1, 0.9, 1])
            for neuron in np.flatnonzero(spikes.any(0)).tolist():
                bits = sum(int(spikes[t, neuron]) << t for t in range(length))
                sent.append({"kind": EventKind.EVENT, "address": neuron, "payload": bits})
            every = (1 << length) - 1
            sent.append({"kind": EventKind.END_TIMESTEP, "address": 0, "payload": every})
            for fired in spikes:
                expected += [
                    {"kind": EventKind.EVENT, "address": neuron, "payload": 1}
                    for neuron in np.flatnonzero(fired).tolist()
                ]
                expected.append({"kind": EventKind.END_TIMESTEP, "address": 0, "payload": 0})
        end = {"kind": EventKind.END_SEQUENCE, "address": 0, "payload": 0}
        sent.append(end)
        expected.append(end)
    return sent, expected


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.9])
@pytest.mark.parametrize(("n_neurons", "block"), [(1, 2), (2, 4), (5, 2), (9, 4), (16, 8), (7, 16)])
def test_each_timestep_has_its_spikes(n_neurons: int, block: int, stall: float) -> None:
    rng = np.random.default_rng([n_neurons, block, int(stall * 10)])
    dut = SpikeOutput(SpikeOutputHardware(n_neurons, block))
    sent, expected = random_blocks(rng, n_neurons, block, 4)
    received: list[Item] = []

    async def send(ctx: Any) -> None:
        await offer(ctx, dut.i, sent, rng, float(rng.choice([0, stall])))

    async def collect(ctx: Any) -> None:
        received.extend(await take(ctx, dut.o, lambda got: len(got) == len(expected), rng, stall))
        ctx.set(dut.o.ready, 1)
        for _ in range(10):
            *_, valid = await ctx.tick().sample(dut.o.valid)
            assert not valid, "an item too many"

    simulate(dut, send, collect)
    assert received == expected


def test_an_item_a_cycle_while_the_next_block_comes() -> None:
    """The first item comes `latency` cycles after its block's end; then no cycle is lost, between
    timesteps and between blocks.
    """
    output = SpikeOutputHardware(6, 4)
    dut = SpikeOutput(output)
    block = [{"kind": EventKind.EVENT, "address": n, "payload": 0b1111} for n in range(6)]
    block.append({"kind": EventKind.END_TIMESTEP, "address": 0, "payload": 0b1111})
    end = {"kind": EventKind.END_SEQUENCE, "address": 0, "payload": 0}
    taken: list[int] = []
    ended: list[int] = []
    rng = np.random.default_rng(0)

    async def send(ctx: Any) -> None:
        await offer(ctx, dut.i, [*block, *block, end], rng, 0)

    async def watch(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        for cycle in range(80):
            *_, valid, kind, closing, ready = await ctx.tick().sample(
                dut.o.valid, dut.i.payload.kind, dut.i.valid, dut.i.ready
            )
            if closing and ready and kind == EventKind.END_TIMESTEP:
                ended.append(cycle)
            if valid:
                taken.append(cycle)

    simulate(dut, send, watch)
    first = ended[0] + output.latency
    n_items = 2 * 4 * (6 + 1) + 1
    assert taken == list(range(first, first + n_items))
