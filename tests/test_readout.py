"""The readout against sums in Python: logits, the class, what was clamped, and its cycles."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from golden.cycles import timestep_cycles
from golden.hardware import EventKind, HardwareParams, MemoryParams, ReadoutHardware
from golden.params import ReadoutParams
from rtl.readout import Readout
from tests.streams import LOAD_WIDTH, Item, join, load_cycles, offer, simulate, take

READOUTS = {
    "lanes divide": (ReadoutParams(12, 8), 4),
    "lanes do not divide": (ReadoutParams(9, 10), 4),
    "more lanes than classes": (ReadoutParams(5, 3), 6),
    "one class": (ReadoutParams(4, 1), 2),
    "one lane": (ReadoutParams(6, 5), 1),
    "narrow logits": (ReadoutParams(10, 7, bias_width=9, logit_width=10), 3),
    "logits narrower than a bias": (ReadoutParams(3, 5, bias_width=12, logit_width=8), 2),
    "ties": (ReadoutParams(6, 9), 4),
    "negative": (ReadoutParams(6, 7), 3),
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


def items_of(sequences: list[np.ndarray], rng: np.random.Generator) -> list[Item]:
    """Return sequences (K, inputs) of spikes as items, events in any order."""
    items = []
    for sequence in sequences:
        for spikes in sequence:
            items += [
                {"kind": 0, "address": int(a), "payload": 1}
                for a in rng.permutation(np.flatnonzero(spikes))
            ]
            items.append({"kind": EventKind.END_TIMESTEP.value, "address": 0, "payload": 0})
        items.append({"kind": EventKind.END_SEQUENCE.value, "address": 0, "payload": 0})
    return items


def run(
    readout: ReadoutHardware, w_o: np.ndarray, b_o: np.ndarray, sequences: list[np.ndarray],
    rng: np.random.Generator, stall: float,
) -> tuple[list[Item], Counter[str]]:  # fmt: skip
    """Return the results, and what the counters count."""
    dut = Readout(readout, {"w_o": 6, "b_o": 2}, LOAD_WIDTH)
    lanes, memories = readout.hardware.lanes, readout.memories
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
        await offer(ctx, dut.i, items_of(sequences, rng), rng, stall)

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
            assert start == values[names.index("timesteps")]

    simulate(dut, send, collect, watch=count)
    return results, counts


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("name", READOUTS)
def test_results_are_as_summed(name: str, stall: float) -> None:
    params, lanes = READOUTS[name]
    readout = ReadoutHardware(params, HardwareParams(lanes))
    rng = np.random.default_rng([len(name), int(stall * 10)])
    w_o, b_o = draw(readout, name, rng)
    lengths = [4, 1, 7, 0, 0, 3]  # a sequence of no timesteps says 0 for every class
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
    events = [sequence.sum(1) for sequence in sequences]
    assert counts["busy_cycles"] == sum(int(timestep_cycles(readout, e).sum()) for e in events)
    assert counts["logit_saturations"] == clamped
    assert (counts["timesteps"], counts["sequences"]) == (sum(lengths), len(lengths))
    assert counts["events"] == sum(int(e.sum()) for e in events)
    assert bool(counts["stall_cycles"]) == (stall > 0)
    assert not counts["out_of_range"] + counts["repeated"] + counts["unclosed"]
    assert ties or name != "ties"
    assert clamped or params.logit_width == 32
