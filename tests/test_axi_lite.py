"""The AXI4-Lite side of the standard top against a table of registers in Python: addresses and data
in any order, answers that wait, registers that stall.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden.registers import ADDRESS_WIDTH
from rtl.host.axi_lite import AxiLite
from tests.streams import play, simulate

OKAY, SLVERR = 0, 2
READ_ONLY = 0x10  # addresses from here on report an error for a write
WRITE_ONLY = 0x1C  # and from here on for a read


def initial(address: int) -> int:
    return 0x1000_0001 * (address >> 2)


async def offer(
    ctx: Any, bus: Any, channel: str, items: list[dict[str, int]], rng: np.random.Generator
) -> None:
    """Offer items on a channel with gaps, in which all but valid is noise."""
    for item in items:
        while rng.random() < 0.4:
            for name in item:
                ctx.set(getattr(bus, name), int(rng.integers(1 << 14)))
            await ctx.tick()
        for name, value in item.items():
            ctx.set(getattr(bus, name), value)
        ctx.set(getattr(bus, f"{channel}valid"), 1)
        await ctx.tick().until(getattr(bus, f"{channel}ready"))
        ctx.set(getattr(bus, f"{channel}valid"), 0)


async def take(
    ctx: Any, bus: Any, channel: str, names: list[str], count: int, rng: np.random.Generator
) -> list[tuple[int, ...]]:
    """Take answers of a channel; one that waits must not change."""
    found: list[tuple[int, ...]] = []
    waiting: tuple[int, ...] | None = None
    ports = [getattr(bus, name) for name in names]
    while len(found) < count:
        ready = bool(rng.random() < 0.4)
        ctx.set(getattr(bus, f"{channel}ready"), ready)
        _, _, valid, *values = await ctx.tick().sample(getattr(bus, f"{channel}valid"), *ports)
        assert waiting is None or (valid and tuple(values) == waiting)
        waiting = tuple(values) if valid and not ready else None
        if valid and ready:
            found.append(tuple(values))
    ctx.set(getattr(bus, f"{channel}ready"), 0)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_every_request_is_done_once_and_answered(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dut = AxiLite()
    bus, registers = dut.bus, dut.registers
    n = 120
    addresses = rng.integers(0, 12, n) * 4
    low_bits = rng.integers(0, 4, n)
    data = [int(rng.integers(1 << 32)) for _ in range(n)]
    strobes = rng.choice([15, 15, 15, 0, 1, 8, 7], n)
    looked_up = rng.integers(0, 12, n) * 4

    writes: list[tuple[int, int]] = []
    reads: list[int] = []
    answers: dict[str, list[tuple[int, ...]]] = {}

    async def address_side(ctx: Any) -> None:
        items = [{"awaddr": int(a + low), "awprot": int(low)} for a, low in
                 zip(addresses, low_bits, strict=True)]  # fmt: skip
        await offer(ctx, bus, "aw", items, np.random.default_rng([seed, 1]))

    async def data_side(ctx: Any) -> None:
        items = [{"wdata": d, "wstrb": int(s)} for d, s in zip(data, strobes, strict=True)]
        await offer(ctx, bus, "w", items, np.random.default_rng([seed, 2]))

    async def read_side(ctx: Any) -> None:
        items = [{"araddr": int(a)} for a in looked_up]
        await offer(ctx, bus, "ar", items, np.random.default_rng([seed, 3]))

    async def write_answers(ctx: Any) -> None:
        answers["b"] = await take(ctx, bus, "b", ["bresp"], n, np.random.default_rng([seed, 4]))

    async def read_answers(ctx: Any) -> None:
        names = ["rdata", "rresp"]
        answers["r"] = await take(ctx, bus, "r", names, n, np.random.default_rng([seed, 5]))

    async def serve(ctx: Any) -> None:
        """Stand for the registers: slow ones, whose answers are noise until they are ready."""
        slow = np.random.default_rng([seed, 6])
        standing: tuple[int, ...] | None = None
        while len(answers) < 2:
            values = (
                registers.write_valid, registers.write_address, registers.write_data,
                registers.read_valid, registers.read_address,
            )  # fmt: skip
            write, address, word, read, place = (ctx.get(value) for value in values)
            assert standing is None or not write or standing == (address, word)
            may_write, may_read = slow.random() < 0.4, slow.random() < 0.4
            noise = int(slow.integers(1 << 32))
            ctx.set(registers.write_ready, bool(may_write))
            ctx.set(registers.write_error, bool(may_write and (address & ~3) >= READ_ONLY))
            ctx.set(registers.read_ready, bool(may_read))
            ctx.set(registers.read_error, bool(may_read and place >= WRITE_ONLY))
            ctx.set(registers.read_data, initial(place) if may_read else noise)
            if write and may_write:
                writes.append((address & ~3, word))
            standing = (address, word) if write and not may_write else None
            if read and may_read:
                reads.append(place)
            await ctx.tick()

    simulate(
        dut, address_side, data_side, read_side, write_answers, read_answers, serve
    )  # fmt: skip
    requests = list(zip(addresses.tolist(), data, strobes.tolist(), strict=True))
    assert writes == [(a, d) for a, d, s in requests if s == 15]
    failed = [s not in (0, 15) or (s == 15 and a >= READ_ONLY) for a, _, s in requests]
    assert answers["b"] == [(SLVERR if f else OKAY,) for f in failed]
    assert reads == looked_up.tolist()
    expected = [(initial(a), SLVERR if a >= WRITE_ONLY else OKAY) for a in looked_up.tolist()]
    assert answers["r"] == expected


def test_latency_and_throughput() -> None:
    """Registers that are ready at once, and a manager that always is: every 2 cycles."""
    dut = AxiLite()
    always = {
        "bus.awvalid": 1, "bus.wvalid": 1, "bus.wstrb": 15, "bus.bready": 1, "bus.arvalid": 1,
        "bus.rready": 1, "registers.write_ready": 1, "registers.read_ready": 1,
        "bus.awaddr": (1 << ADDRESS_WIDTH) - 4,
    }  # fmt: skip
    outputs = ["bus.awready", "bus.bvalid", "bus.arready", "bus.rvalid", "registers.write_address"]
    record = play(dut, outputs, lambda cycle, _: always if cycle < 20 else None)
    assert [row["bus.awready"] for row in record] == [1, 0] * 10
    assert [row["bus.bvalid"] for row in record] == [0, 0] + [1, 0] * 9
    assert [row["bus.arready"] for row in record] == [1, 0] * 10
    assert [row["bus.rvalid"] for row in record] == [0, 0] + [1, 0] * 9
    assert record[1]["registers.write_address"] == (1 << ADDRESS_WIDTH) - 4
