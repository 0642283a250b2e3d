"""The registers of the standard top against the map that they are made from: every address, stalls
of the load stream, counters that take their time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.params import LayerParams, NetworkParams
from golden.readout_params import ReadoutParams
from golden.registers import ADDRESS_WIDTH, register_map
from rtl.host.register_file import RegisterFile
from tests.streams import simulate

# Deep enough for more error flags than a word has.
DEEP = CoreParams(
    NetworkParams("deep", tuple(LayerParams(4, 4, 2) for _ in range(11)), ReadoutParams(4, 3)),
    HardwareParams(2, access_counters=True),
)
HEADER, DATA, CONTROL = 0x14, 0x18, 0x0C
FLAGS = [0x80, 0x84]


def counter_value(number: int) -> int:
    return (number * 0x0101_0101 + 7) % (1 << 32)


async def until(ctx: Any, ready: Any, *ports: Any) -> tuple[int, list[int]]:
    """Return after how many cycles `ready` is set, and the values of ports in that cycle."""
    cycles = 1
    while True:
        _, _, done, *values = await ctx.tick().sample(ready, *ports)
        if done:
            return cycles, values
        cycles += 1


@pytest.mark.parametrize("seed", range(2))
def test_reads_and_writes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert len(DEEP.errors) == 37 and register_map(DEEP)["ERROR"].count == 2
    dut = RegisterFile(DEEP)
    bus = dut.bus
    errors = int(rng.integers(1 << 32)) | 1 << 36
    n_counters = len(DEEP.counters)
    window = 0x1000
    known = {r.offset: r.value for r in register_map(DEEP).values() if r.value is not None}
    known |= {0x10: 3, 0x80: errors & 0xFFFF_FFFF, 0x84: errors >> 32}
    known |= {window + 4 * i: counter_value(i) for i in range(n_counters)}
    addresses = [*range(0, 0x120, 4), *rng.integers(0, 1 << ADDRESS_WIDTH, 50).tolist()]
    addresses += [window - 4, window, window + 4 * n_counters - 4, window + 4 * n_counters, 0x3FFC]
    rng.shuffle(addresses)
    items: list[tuple[int, int]] = []
    writes: list[tuple[int, int, int, bool]] = []
    cleared: list[int] = []
    flags_cleared: list[int] = []
    done: list[bool] = []

    async def read(ctx: Any) -> None:
        ctx.set(dut.errors, errors)
        ctx.set(dut.busy, 1)
        for address in addresses:
            ctx.set(bus.read_address, int(rng.integers(1 << ADDRESS_WIDTH)))
            for _ in range(int(rng.integers(3))):
                await ctx.tick()
            ctx.set(bus.read_address, address)
            ctx.set(bus.read_valid, 1)
            cycles, (data, error) = await until(ctx, bus.read_ready, bus.read_data, bus.read_error)
            ctx.set(bus.read_valid, 0)
            place = address & ~3
            assert (data, error) == (known.get(place, 0), place not in known), hex(address)
            assert cycles == dut.latency + 1
        done.append(True)

    async def write(ctx: Any) -> None:
        own = np.random.default_rng([seed, 1])
        for _ in range(300):
            address = int(own.choice([HEADER, DATA, DATA, CONTROL, *FLAGS, *addresses[:3]]))
            data = int(own.integers(1 << 32))
            ctx.set(bus.write_address, address)
            ctx.set(bus.write_data, data)
            if own.random() < 0.3:
                await ctx.tick()
            ctx.set(bus.write_valid, 1)
            cycles, (error,) = await until(ctx, bus.write_ready, bus.write_error)
            ctx.set(bus.write_valid, 0)
            writes.append((address & ~3, data, cycles, bool(error)))
        done.append(True)

    async def load(ctx: Any) -> None:
        own = np.random.default_rng([seed, 2])
        while len(done) < 2:
            ctx.set(dut.load.ready, bool(own.random() < 0.4))
            _, _, valid, ready, item = await ctx.tick().sample(
                dut.load.valid, dut.load.ready, dut.load.payload
            )
            if valid and ready:
                items.append((item.first, item.data))

    async def count(ctx: Any) -> None:
        """Show a counter's value the cycle after its number, and its clearing."""
        while len(done) < 2:
            _, _, number, clear, flags = await ctx.tick().sample(
                dut.counter, dut.clear, dut.clear_errors
            )
            ctx.set(dut.counter_value, counter_value(number))
            cleared.append(clear)
            flags_cleared.append(flags)

    simulate(dut, read, write, load, count)
    assert items == [(address == HEADER, data) for address, data, _, _ in writes
                     if address in (HEADER, DATA)]  # fmt: skip
    for address, _, cycles, error in writes:
        assert error == (address not in (HEADER, DATA, CONTROL, *FLAGS))
        assert cycles == 1 or address in (HEADER, DATA)
    assert max(cycles for _, _, cycles, _ in writes) > 3
    assert sum(cleared) == sum(data & 1 for address, data, _, _ in writes if address == CONTROL) > 5
    asked = [
        data << 32 * FLAGS.index(address) & (1 << 37) - 1
        for address, data, _, _ in writes
        if address in FLAGS
    ]
    assert [flags for flags in flags_cleared if flags] == [flags for flags in asked if flags]
    assert len(asked) > 20


def test_status_without_flags() -> None:
    dut = RegisterFile(DEEP)
    bus = dut.bus

    async def testbench(ctx: Any) -> None:
        ctx.set(bus.read_address, 0x10)
        ctx.set(bus.read_valid, 1)
        found = []
        for busy, errors in ((0, 0), (1, 0), (0, 1 << 36)):
            ctx.set(dut.busy, busy)
            ctx.set(dut.errors, errors)
            await ctx.tick()
            found.append(ctx.get(bus.read_data))
        assert found == [0, 1, 2]

    simulate(dut, testbench)
