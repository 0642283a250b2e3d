"""The cocotb side of the tests of the standard top: it does a list of steps with the masters,
sources and sinks of cocotbext-axi, and leaves what they received.

Each step of the job is a dict with one key, and appends to `record.json`:

write [[address, data, strobes], ...]   one after another; the responses
core n                                  from here on, registers are those of core n of a chain,
                                        whose last one answers; its buses are `s_axi`, of the others
                                        `s_axi0`, ...
burst [[address, data], ...]            many outstanding at once; the responses
read [address, ...]                     [data, response] of each
wait_read [address, mask, value]        polls until it is so; how often it was read
send [[word, last, user], ...]          in the background; nothing
results n                               waits for n packets; the words of each, and the cycles in
                                        which the first beat was taken and the last ones were
hold 1 or 0                             takes no result from here on, or takes them again
pauses [seed, chance]                   from here on random pauses on every channel; none: 0
reset n                                 when all beats are taken, holds the reset for n cycles
"""

from __future__ import annotations

import json
import logging
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotb.utils import get_sim_time
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

JOB_VARIABLE = "DMP_AXI_JOB"
RECORD = "record.json"
PERIOD = 2  # steps of a clock cycle
WORD = 4


class Testbench:
    """The buses, and what to do with them."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        sides = (dut.aclk, dut.aresetn, False)
        logging.getLogger("cocotb").setLevel(logging.WARNING)
        before = [f"s_axi{n}" for n in range(2) if hasattr(dut, f"s_axi{n}_awaddr")]
        self.masters: list[Any] = [
            AxiLiteMaster(AxiLiteBus.from_prefix(dut, name), *sides) for name in (*before, "s_axi")
        ]
        self.axil = self.masters[-1]
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis_events"), *sides)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis_results"), *sides)
        self.first: list[int] = []

    async def core(self, number: int) -> None:
        self.axil = self.masters[number]

    async def write(self, writes: list[list[int]]) -> list[int]:
        responses = []
        for address, data, strobes in writes:
            held = [lane for lane in range(WORD) if strobes >> lane & 1]
            part = data.to_bytes(WORD, "little")[held[0] : held[-1] + 1]
            response = await self.axil.write(address + held[0], part)
            responses.append(int(response.resp))
        return responses

    async def burst(self, writes: list[list[int]]) -> list[int]:
        events: list[Any] = [self.axil.init_write(a, d.to_bytes(WORD, "little")) for a, d in writes]
        for event in events:
            await event.wait()
        return [int(event.data.resp) for event in events]

    async def read(self, addresses: list[int]) -> list[list[int]]:
        events: list[Any] = [self.axil.init_read(address, WORD) for address in addresses]
        for event in events:
            await event.wait()
        found = [event.data for event in events]
        return [[int.from_bytes(r.data, "little"), int(r.resp)] for r in found]

    async def wait_read(self, place: list[int]) -> int:
        address, mask, value = place
        for reads in range(1, 100_000):
            ((found, _),) = await self.read([address])
            if found & mask == value:
                return reads
        raise AssertionError(f"never {value} at {address}")

    async def send(self, beats: list[list[int]]) -> None:
        words: list[bytes] = []
        users: list[int] = []
        for word, last, user in beats:
            words.append(word.to_bytes(WORD, "little"))
            users += [user] * WORD
            if last:
                await self.source.send(AxiStreamFrame(b"".join(words), tuser=users))
                words, users = [], []
        assert not words, "the last beat must have TLAST"

    async def results(self, count: int) -> list[Any]:
        frames = [await self.sink.recv() for _ in range(count)]
        words = [
            [
                int.from_bytes(bytes(f.tdata[i : i + WORD]), "little")
                for i in range(0, len(f.tdata), WORD)
            ]
            for f in frames
        ]
        first, self.first = self.first[0], []
        return [words, [(f.sim_time_end - first) // PERIOD for f in frames]]

    async def pauses(self, how: list[float]) -> None:
        seed, chance = how
        channels = [self.source, self.sink]
        for axil in self.masters:
            writing, reading = axil.write_if, axil.read_if
            channels += [writing.aw_channel, writing.w_channel, writing.b_channel]
            channels += [reading.ar_channel, reading.r_channel]

        def paused(number: int) -> Iterator[bool]:
            rng = random.Random(f"{seed}-{number}")
            while True:  # long ones too, so that each side waits for the others
                state = rng.random() < chance
                for _ in range(rng.choice((1, 1, 2, 3, 8, 40))):
                    yield state

        for number, channel in enumerate(channels):
            channel.clear_pause_generator()
            channel.pause = False
            if chance:
                channel.set_pause_generator(paused(number))

    async def hold(self, held: int) -> None:
        self.sink.pause = bool(held)
        await ClockCycles(self.dut.aclk, 3)

    async def reset(self, cycles: int) -> None:
        await self.source.wait()
        self.first = []
        self.dut.aresetn.value = 0
        await ClockCycles(self.dut.aclk, cycles)
        self.dut.aresetn.value = 1
        await ClockCycles(self.dut.aclk, 2)

    async def watch(self) -> None:
        """Note when the first beat of events is taken."""
        while True:
            await RisingEdge(self.dut.aclk)
            if not self.first and self.dut.s_axis_events_tvalid.value:
                if self.dut.s_axis_events_tready.value:
                    self.first.append(get_sim_time())


@cocotb.test
async def drive(dut: Any) -> None:
    """Do the job's steps in order."""
    folder = Path(os.environ[JOB_VARIABLE])
    Clock(dut.aclk, PERIOD, "step").start()
    dut.aresetn.value = 0
    testbench = Testbench(dut)
    await ClockCycles(dut.aclk, 3)
    await testbench.reset(3)
    cocotb.start_soon(testbench.watch())
    record = []
    for step in json.loads((folder / "job.json").read_text()):
        ((name, argument),) = step.items()
        record.append(await getattr(testbench, name)(argument))
    (folder / RECORD).write_text(json.dumps(record))
