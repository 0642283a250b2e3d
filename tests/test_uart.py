"""The UART against a model of the line: a host's bits of its own length, on a time of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from golden.uart_protocol import FRAME_BITS
from rtl.host.uart import LEAST_CLOCKS, UartReceiver, UartTransmitter
from tests.streams import replay, simulate

Levels = list[tuple[int, float]]  # (level, bits that it lasts)
RATES = (LEAST_CLOCKS, 6, 7, 8, 13, pytest.param(50, marks=pytest.mark.long))


def frame(byte: int, stop: int = 1) -> Levels:
    """Return the levels of a byte on the line."""
    return [(level, 1.0) for level in (0, *(byte >> place & 1 for place in range(8)), stop)]


def sample(levels: Levels, bit: float, offset: float = 0.0) -> list[int]:
    """Return the level in each clock cycle, for bits of `bit` cycles that begin at `offset`."""
    ends = np.cumsum([length for _, length in levels]) * bit + offset
    cycles = np.arange(int(np.ceil(ends[-1])))
    at = np.minimum(np.searchsorted(ends, cycles, side="right"), len(levels) - 1)
    return [levels[place][0] for place in at]


def receive(dut: UartReceiver, line: Sequence[int]) -> tuple[list[tuple[int, int]], list[int]]:
    """Return the bytes that came, with their cycles, and the cycles in which one was dropped."""
    outputs = ("o.valid", "o.payload", "dropped")
    quiet = [1] * 2 * dut.clocks_per_bit * FRAME_BITS
    record = replay(dut, outputs, [{"line": v} for v in [*line, *quiet]])
    found = [(t, r["o.payload"]) for t, r in enumerate(record) if r["o.valid"]]
    return found, [t for t, r in enumerate(record) if r["dropped"]]


@pytest.mark.parametrize("clocks_per_bit", RATES)
@pytest.mark.parametrize("mismatch", [-0.03, 0.0, 0.03])
def test_bytes_of_a_host_with_another_clock(clocks_per_bit: int, mismatch: float) -> None:
    """Back to back and with random gaps, begun early, in the middle and late in a cycle."""
    rng = np.random.default_rng(clocks_per_bit)
    sent = [0x00, 0xFF, 0x55, 0xAA, 0x80, 0x01, *rng.integers(0, 256, 14).tolist()]
    levels: Levels = [(1, 3.0)]
    for index, byte in enumerate(sent):
        levels += frame(byte)
        if index > 8 and rng.random() < 0.5:
            levels.append((1, float(rng.random() * 7)))
    for offset in (0.01, 0.5, 0.99):
        line = sample(levels, clocks_per_bit * (1 + mismatch), offset)
        found, dropped = receive(UartReceiver(clocks_per_bit), line)
        assert [byte for _, byte in found] == sent and not dropped


@pytest.mark.parametrize("clocks_per_bit", RATES)
def test_a_byte_takes_its_latency(clocks_per_bit: int) -> None:
    line = [1] * 5 + sample(frame(0xA7), clocks_per_bit)
    dut = UartReceiver(clocks_per_bit)
    assert receive(dut, line)[0] == [(5 + dut.latency, 0xA7)]
    assert dut.latency == 2 + (clocks_per_bit - 1) // 2 + 9 * clocks_per_bit + 1


def test_bits_are_looked_at_in_their_middle() -> None:
    """What is wrong up to 3 eighths of a bit around each edge changes nothing."""
    n = 16
    line = np.array(sample(frame(0x39), n))
    for edge in range(n, 10 * n, n):
        line[edge - 6 : edge + 6] ^= 1
    assert [byte for _, byte in receive(UartReceiver(n), [1, 1, *line.tolist()])[0]] == [0x39]


def test_glitches_and_wrong_stop_bits_are_no_bytes() -> None:
    """A low of less than half a bit; a byte without its stop bit, and the line low for long behind
    it. What comes then is received.
    """
    n = 16
    levels = [(1, 1.0), (0, 0.4), (1, 2.0), *frame(0x12), *frame(0x34, stop=0), (0, 4.0), (1, 0.5)]
    found, dropped = receive(UartReceiver(n), sample([*levels, *frame(0x56), *frame(0x78)], n))
    assert [byte for _, byte in found] == [0x12, 0x56, 0x78]
    assert len(dropped) == 1


@pytest.mark.parametrize("mismatch", [-0.03, 0.0, 0.03])
def test_a_break_is_longer_than_any_byte(mismatch: float) -> None:
    """Zeros without a gap are none; a low of 11 bits is, from the 10th bit on until it ends."""
    n = 16
    dut = UartReceiver(n)
    before = sample([(1, 1.0), *frame(0) * 3, (1, 0.1)], n * (1 + mismatch))
    line = before + [0] * (11 * n) + [1] * 12 * n
    record = replay(dut, ("broken", "o.valid", "dropped"), [{"line": v} for v in line])
    broken = [t for t, r in enumerate(record) if r["broken"]]
    begins = len(before) + 2
    assert broken == list(range(begins + FRAME_BITS * n, begins + 11 * n + 1))
    assert sum(r["o.valid"] for r in record) == 3 and sum(r["dropped"] for r in record) == 1


@pytest.mark.parametrize("stall", [0.0, 0.99])
def test_bytes_to_a_host(stall: float) -> None:
    """Every level of the line, cycle by cycle: a frame is exactly as long as it must be, and
    without stalls the next one follows at once.
    """
    n = 7
    rng = np.random.default_rng(3)
    sent = [0x00, 0xFF, 0x4B, *rng.integers(0, 256, 8).tolist()]
    dut = UartTransmitter(n)
    levels: list[int] = []

    async def send(ctx: Any) -> None:
        for byte in sent:
            while rng.random() < stall:
                ctx.set(dut.i.payload, int(rng.integers(256)))
                ctx.set(dut.i.valid, 0)
                await ctx.tick()
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(FRAME_BITS * n + 2)

    async def watch(ctx: Any) -> None:
        async for _, _, line in ctx.tick().sample(dut.line):
            levels.append(line)

    simulate(dut, send, watch=watch)
    found: list[int] = []
    gaps: list[int] = []
    while 0 in levels:
        start = levels.index(0)
        gaps.append(start)
        bits = [levels[start + place * n : start + (place + 1) * n] for place in range(FRAME_BITS)]
        assert all(len(set(bit)) == 1 and len(bit) == n for bit in bits)
        found.append(sum(bit[0] << place for place, bit in enumerate(bits[1:9])))
        assert bits[9][0] == 1
        levels = levels[start + FRAME_BITS * n :]
    assert found == sent
    assert any(gaps[1:]) == (stall > 0)
