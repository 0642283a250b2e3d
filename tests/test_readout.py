"""The readout against sums in Python: logits, the class, reports, what was clamped, and its
cycles.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from golden.blocks import block_lengths
from golden.cost.cycles import block_cycles
from golden.formats import Fixed
from golden.hardware.memory import MemoryParams
from golden.hardware.params import HardwareParams
from golden.hardware.part import EventKind
from golden.hardware.readout import ReadoutHardware
from golden.readout_params import ReadoutParams
from rtl.readout import Readout
from tests.streams import Item, join, load_cycles, offer, simulate, take

TOWARD_ZERO: dict[str, Any] = {"leaky": True, "decay_rounding": "toward_zero"}
UP_TO_ONE = Fixed(13, 12, signed=False)
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
    "a leak": (ReadoutParams(9, 10, leaky=True), 4, 1, 1),
    "a leak, one group": (ReadoutParams(5, 3, logit_width=9, **TOWARD_ZERO), 3, 1, 2),
    "a leak, blocks": (ReadoutParams(7, 5, logit_width=9, leaky=True), 2, 4, 1),
    "a leak, blocks, one group": (ReadoutParams(6, 4, **TOWARD_ZERO), 6, 8, 1),
    "a leak of exactly 1": (ReadoutParams(6, 4, leaky=True, leak=UP_TO_ONE), 2, 2, 1),
    "largest": (ReadoutParams(9, 10, report="max"), 4, 1, 1),
    "largest, one group": (ReadoutParams(5, 4, report="max"), 4, 1, 1),
    "largest, negative": (ReadoutParams(6, 7, report="max"), 3, 1, 1),
    "largest, blocks": (ReadoutParams(6, 9, report="max", logit_width=10), 4, 4, 2),
    "largest, a leak": (ReadoutParams(8, 5, report="max", **TOWARD_ZERO), 2, 1, 1),
    "largest, a leak, blocks": (ReadoutParams(8, 3, report="max", leaky=True), 3, 8, 2),
    "reports": (ReadoutParams(9, 10), 4, 1, 1),
    "reports, one class": (ReadoutParams(4, 1), 2, 1, 2),
    "reports, blocks": (ReadoutParams(7, 5), 2, 4, 2),
    "reports, a leak": (ReadoutParams(9, 10, logit_width=9, leaky=True), 5, 1, 1),
    "reports, largest": (ReadoutParams(9, 7, report="max"), 3, 1, 1),
    "reports, largest, a leak, blocks": (ReadoutParams(8, 5, report="max", **TOWARD_ZERO), 5, 8, 1),
}


def draw(
    readout: ReadoutHardware, name: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw W_o (classes, inputs) and b_o (classes)."""
    p = readout.params
    kind = name.split(", ")[-1]
    low, high = {"ties": (0, 2), "negative": (-128, 0)}.get(kind, (p.w_o.min, p.w_o.max + 1))
    w_o = rng.integers(low, high, (p.n_classes, p.n_inputs))
    bound = 1 << (p.bias_width - 1 if p.bias_width < 24 else 6)
    b_o = rng.integers(-bound, bound, p.n_classes)
    if name == "ties":
        w_o[1::2], b_o[:] = w_o[0], 0
    if kind == "negative":
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


@dataclass
class Sequence:
    """Spikes (K, inputs), and after how many timesteps results are asked for."""

    spikes: np.ndarray
    reports: list[int]

    def lengths(self, block: int) -> np.ndarray:
        return block_lengths(len(self.spikes), block, self.reports)

    def blocks(self, block: int) -> list[np.ndarray]:
        ends = np.cumsum(self.lengths(block))
        return np.split(self.spikes, ends)[:-1]


def items_of(
    readout: ReadoutHardware, sequences: list[Sequence], rng: np.random.Generator
) -> list[Item]:
    """Return sequences as items: of each block the events, in any order, its end, and the reports
    after it.
    """
    report = {"kind": EventKind.REPORT.value, "address": 0, "payload": 0}
    items = []
    for sequence in sequences:
        items += [report] * sequence.reports.count(0)
        done = 0
        for block in sequence.blocks(readout.block):
            items += [
                {"kind": EventKind.EVENT.value, "address": int(a), "payload": join(block[:, a], 1)}
                for a in rng.permutation(np.flatnonzero(block.any(0)))
            ]
            timesteps = (1 << len(block)) - 1
            end = EventKind.END_TIMESTEP.value
            items.append({"kind": end, "address": 0, "payload": timesteps})
            done += len(block)
            items += [report] * sequence.reports.count(done)
        items.append({"kind": EventKind.END_SEQUENCE.value, "address": 0, "payload": 0})
    return items


def run(
    readout: ReadoutHardware, w_o: np.ndarray, b_o: np.ndarray, leak: int,
    sequences: list[Sequence], rng: np.random.Generator, stall: float,
) -> tuple[list[Item], Counter[str]]:  # fmt: skip
    """Return the results, and what the counters count."""
    dut = Readout(readout, {"w_o": 6, "b_o": 2, "scalars": 5})
    lanes, memories = readout.lanes, readout.memories
    n_results = sum(1 + len(sequence.reports) for sequence in sequences)
    n_results *= readout.params.n_classes
    counts: Counter[str] = Counter()
    results: list[Item] = []

    async def send(ctx: Any) -> None:
        loads = [
            (6, words_of(w_o, memories["w_o"], lanes)),
            (2, words_of(b_o[:, None], memories["b_o"], lanes)),
            *[(5, [leak])] * readout.params.leaky,
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


@pytest.mark.parametrize("stall", [pytest.param(0.0, marks=pytest.mark.long), 0.5])
@pytest.mark.parametrize("name", READOUTS)
def test_results_are_as_summed(name: str, stall: float) -> None:
    params, lanes, block, n_events = READOUTS[name]
    reports = name.startswith("reports")
    hardware = HardwareParams(lanes, block, n_events, access_counters=True, reports=reports)
    readout = ReadoutHardware(params, hardware)
    rng = np.random.default_rng([len(name), int(stall * 10)])
    w_o, b_o = draw(readout, name, rng)
    one = 1 << params.leak.frac
    leak = one if params.leak.max >= one else one - one // 16
    # A sequence of no timesteps says 0 for every class.
    lengths = [4, 1, 7, 0, 0, 2 * block, block + 1, 3]
    sequences = [
        Sequence(
            (rng.random((n, params.n_inputs)) < rng.choice([0, 0.2, 0.6, 1], (n, 1))).astype(int),
            sorted(rng.integers(0, n + 1, rng.integers(4)).tolist()) if reports else [],
        )
        for n in lengths
    ]
    results, counts = run(readout, w_o, b_o, leak, sequences, rng, stall)
    clamped, ties, risen = 0, 0, 0
    sent = iter(np.array(results).reshape(-1, params.n_classes).tolist())
    for index, sequence in enumerate(sequences):
        kept = np.zeros(params.n_classes, np.int64)
        logits = kept
        for k in range(len(sequence.spikes) + 1):
            if k:
                before = decayed(leak, kept, params) if params.leaky else kept
                exact = before + w_o @ sequence.spikes[k - 1] + b_o
                kept = params.logit.saturate(exact)
                clamped += int((kept != exact).sum())
                largest = params.report == "max" and k > 1
                logits = np.maximum(logits, kept) if largest else kept
            ends = k == len(sequence.spikes)
            for _ in range(sequence.reports.count(k) + ends):
                found = next(sent)
                where = f"sequence {index}, after {k} timesteps"
                assert [item["logit"] for item in found] == logits.tolist(), where
                assert [item["index"] for item in found] == list(range(params.n_classes)), where
                assert [item["last"] for item in found] == [0] * (params.n_classes - 1) + [1]
                assert found[-1]["best"] == logits.argmax(), where
        ties += len(sequence.spikes) and int((logits == logits.max()).sum() > 1)
        risen += int((logits != kept).sum())
    assert clamped or params.logit_width == 32
    assert ties or name != "ties"
    assert bool(risen) == (params.report == "max")
    groups, blocks = readout.n_groups, [sequence.blocks(block) for sequence in sequences]
    addresses = [np.array([b.any(0).sum() for b in sequence], np.int64) for sequence in blocks]
    cycles = [
        block_cycles(readout, a, sequence.lengths(block))
        for a, sequence in zip(addresses, sequences, strict=True)
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
        "spike_additions": groups * sum(int(sequence.spikes.sum()) for sequence in sequences),
        "w_o_reads": groups * distinct,
    } | dict.fromkeys(("b_o_reads", "logits_reads", "logits_writes"), groups * n_blocks)
    if block > 1:
        expected |= {"payload_writes": n_events * distinct, "payload_reads": groups * distinct}
    if params.leaky:
        expected["leak_products"] = groups * sum(lengths)
    if params.report == "max":
        expected |= {"peaks_reads": groups * n_blocks, "peaks_writes": groups * n_blocks}
    if reports:
        expected["reports"] = sum(len(sequence.reports) for sequence in sequences)
        assert expected["reports"] > 5 and set(counts) >= set(expected)
    assert {counter: counts[counter] for counter in expected} == expected
    assert reports or bool(counts["stall_cycles"]) == (stall > 0)


def decayed(leak: int, values: Any, params: ReadoutParams) -> np.ndarray:
    """Return what a leak keeps of values, rounded."""
    shift, products = params.leak.frac, leak * values
    if params.decay_rounding == "half_up":
        return (products + (1 << shift - 1)) >> shift
    return np.where(products < 0, -(-products >> shift), products >> shift)
