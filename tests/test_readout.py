"""The readout against sums in Python: logits, the class, what was clamped, and its cycles."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from golden.blocks import block_lengths
from golden.cost.cycles import block_cycles
from golden.hardware.memory import MemoryParams
from golden.hardware.part import EventKind, HardwareParams
from golden.hardware.readout import ReadoutHardware
from golden.readout_params import ReadoutParams
from rtl.readout import Readout
from tests.streams import Item, join, load_cycles, offer, simulate, take

# Parameters, lanes, timesteps of a block, events a cycle.
READOUTS = {
    "lanes divide": (ReadoutParams(12, 8), 4, 1, 1),
    "lanes do not divide": (ReadoutParams(9, 10), 4, 1, 2),
    "more lanes than classes": (ReadoutParams(5, 3), 6, 1, 1),
    "one class": (ReadoutParams(4, 1), 2, 2, 2),
    "one lane": (ReadoutParams(6, 5), 1, 4, 1),
    "one group, blocks": (ReadoutParams(7, 3), 4, 4, 2),
    "two groups, large blocks": (ReadoutParams(11, 7), 5, 16, 2),
    "narrow logits": (ReadoutParams(10, 7, bias_width=9, logit_width=10), 3, 1, 1),
    "narrow logits, blocks": (ReadoutParams(10, 7, bias_width=9, logit_width=10), 3, 8, 1),
    "logits narrower than a bias": (ReadoutParams(3, 5, bias_width=12, logit_width=8), 2, 2, 2),
    "ties": (ReadoutParams(6, 9), 4, 2, 1),
    "negative": (ReadoutParams(6, 7), 3, 1, 1),
}


def draw(
    readout: ReadoutHardware, name: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw W_o (classes, inputs) and b_o (classes)."""
    p = readout.params
    low, high = {"ties": (0, 2), "negative": (-128, 0)}.get(name, (p.w_o.min, p.w_o.max + 1))
    w_o = rng.integers(low, high, (p.n_classes, p.n_inputs))
    bound = 1 << (p.bias_width - 1 if p.bias_width < 24 else 6)
    b_o = rng.integers(-bound, bound, p.n_classes)
    if name == "ties":
        w_o[1::2], b_o[:] = w_o[0], 0
    if name == "negative":
        b_o = -abs(b_o) - 1
    return w_o, b_o


def words_of(values: np.ndarray, memory: MemoryParams, lanes: int) -> list[int]:
    """Return memory words of values (classes, k), a group's in a row; lanes without a class hold
    large numbers.
    """
    n_groups = -(-len(values) // lanes)
    padded = np.full((n_groups * lanes, values.shape[1]), memory.element.max)
    padded[: len(values)] = values
    return [
        join(word, memory.element.width)
        for group in padded.reshape(n_groups, lanes, -1)
        for word in group.T
    ]


def blocks_of(readout: ReadoutHardware, sequence: np.ndarray) -> list[np.ndarray]:
    """Return the blocks of a sequence (K, inputs) of spikes."""
    starts = range(0, len(sequence), readout.block)
    return [sequence[start : start + readout.block] for start in starts]


def items_of(
    readout: ReadoutHardware, sequences: list[np.ndarray], rng: np.random.Generator
) -> list[Item]:
    """Return sequences as items: of each block the events, in any order, and its end."""
    items = []
    for sequence in sequences:
        for block in blocks_of(readout, sequence):
            items += [
                {"kind": EventKind.EVENT.value, "address": int(a), "payload": join(block[:, a], 1)}
                for a in rng.permutation(np.flatnonzero(block.any(0)))
            ]
            timesteps = (1 << len(block)) - 1
            end = EventKind.END_TIMESTEP.value
            items.append({"kind": end, "address": 0, "payload": timesteps})
        items.append({"kind": EventKind.END_SEQUENCE.value, "address": 0, "payload": 0})
    return items


def run(
    readout: ReadoutHardware, w_o: np.ndarray, b_o: np.ndarray, sequences: list[np.ndarray],
    rng: np.random.Generator, stall: float,
) -> tuple[list[Item], Counter[str]]:  # fmt: skip
    """Return the results, and what the counters count."""
    dut = Readout(readout, {"w_o": 6, "b_o": 2})
    lanes, memories = readout.lanes, readout.memories
    n_results = readout.params.n_classes * len(sequences)
    counts: Counter[str] = Counter()
    results: list[Item] = []

    async def send(ctx: Any) -> None:
        loads = [
            (6, words_of(w_o, memories["w_o"], lanes)),
            (2, words_of(b_o[:, None], memories["b_o"], lanes)),
        ]
        for number, words in loads:
            for cycle in load_cycles(number, words):
                for name, value in cycle.items():
                    ctx.set(getattr(dut.load, name.split(".")[1]), value)
                await ctx.tick()
        await offer(ctx, dut.i, items_of(readout, sequences, rng), rng, stall)

    async def collect(ctx: Any) -> None:
        results.extend(await take(ctx, dut.o, lambda got: len(got) == n_results, rng, stall))
        for _ in range(5):
            *_, valid = await ctx.tick().sample(dut.o.valid)
            assert not valid, "a result too many"

    async def count(ctx: Any) -> None:
        names = list(dut.signature.members["counts"].signature.members)
        async for _, _, start, *values in ctx.tick().sample(
            dut.start, *(getattr(dut.counts, n) for n in names)
        ):
            counts.update(dict(zip(names, values, strict=True)))
            assert start == values[names.index("blocks")]

    simulate(dut, send, collect, watch=count)
    return results, counts


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("name", READOUTS)
def test_results_are_as_summed(name: str, stall: float) -> None:
    params, lanes, block, n_events = READOUTS[name]
    hardware = HardwareParams(lanes, block, n_events, access_counters=True)
    readout = ReadoutHardware(params, hardware)
    rng = np.random.default_rng([len(name), int(stall * 10)])
    w_o, b_o = draw(readout, name, rng)
    # A sequence of no timesteps says 0 for every class.
    lengths = [4, 1, 7, 0, 0, 2 * block, block + 1, 3]
    sequences = [
        (rng.random((n, params.n_inputs)) < rng.choice([0, 0.2, 0.6, 1], (n, 1))).astype(np.int64)
        for n in lengths
    ]
    results, counts = run(readout, w_o, b_o, sequences, rng, stall)
    clamped, ties = 0, 0
    for index, sequence in enumerate(sequences):
        logits = np.zeros(params.n_classes, np.int64)
        for spikes in sequence:
            exact = logits + w_o @ spikes + b_o
            logits = params.logit.saturate(exact)
            clamped += int((logits != exact).sum())
        sent = results[index * params.n_classes : (index + 1) * params.n_classes]
        assert [item["logit"] for item in sent] == logits.tolist(), f"sequence {index}"
        assert [item["index"] for item in sent] == list(range(params.n_classes))
        assert [item["last"] for item in sent] == [0] * (params.n_classes - 1) + [1]
        assert sent[-1]["best"] == logits.argmax(), f"sequence {index}"
        ties += len(sequence) and int((logits == logits.max()).sum() > 1)
    assert clamped or params.logit_width == 32
    assert ties or name != "ties"
    groups, blocks = readout.n_groups, [blocks_of(readout, sequence) for sequence in sequences]
    addresses = [np.array([b.any(0).sum() for b in sequence], np.int64) for sequence in blocks]
    cycles = [
        block_cycles(readout, a, block_lengths(n, block))
        for a, n in zip(addresses, lengths, strict=True)
    ]
    n_blocks, distinct = sum(map(len, blocks)), sum(int(a.sum()) for a in addresses)
    expected = {
        "timesteps": sum(lengths),
        "blocks": n_blocks,
        "sequences": len(lengths),
        "events": distinct,
        "busy_cycles": sum(int(c.sum()) for c in cycles),
        "logit_saturations": clamped,
        "list_writes": distinct,
        "list_reads": groups * sum(int((-(-a // n_events)).sum()) for a in addresses),
        "spike_additions": groups * sum(int(sequence.sum()) for sequence in sequences),
        "w_o_reads": groups * distinct,
    } | dict.fromkeys(("b_o_reads", "logits_reads", "logits_writes"), groups * n_blocks)
    if block > 1:
        expected |= {"payload_writes": n_events * distinct, "payload_reads": groups * distinct}
    assert {counter: counts[counter] for counter in expected} == expected
    assert bool(counts["stall_cycles"]) == (stall > 0)
