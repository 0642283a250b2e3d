"""The core as a host sees it, in Amaranth's simulator: what its registers load, its packets,
counters and flags against golden, and when it is busy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from export.images import pack
from golden.cost.timeline import Timeline
from golden.hardware.core import CoreParams
from golden.hardware.memory import LOAD_WIDTH, load_header
from golden.integer import NetworkIntegers, run, without_readout
from golden.registers import LATENCY, event_word, pack_word, register_map
from rtl.host.host_core import HostCore
from tests.networks import draw_network
from tests.streams import simulate

REPORTS = (0, 2)


class Host:
    """A host of one core: it loads it before its first beat."""

    def __init__(self, network: NetworkIntegers, core: CoreParams) -> None:
        self.network, self.core, self.dut = network, core, HostCore(core)
        self.registers = register_map(core)
        self.out = self.dut.results if network.params.output else self.dut.spikes
        self.beats: list[dict[str, int]] = []
        self.first = -1  # the cycle in which the first beat is taken
        self.busy: list[int] = []  # by cycle

    @property
    def cycle(self) -> int:
        return len(self.busy)

    def beat(self, last: bool = False, user: bool = False, **values: int) -> dict[str, int]:
        word = pack_word(event_word(self.core), **values)
        return {"data": word, "last": int(last), "user": int(user)}

    def sequences(self, payloads: np.ndarray, reports: tuple[int, ...] = ()) -> None:
        """Append the beats of sequences (B, K, M), with a report after each of these timesteps."""
        for sequence in payloads:
            self.beats += [self.beat(report=1) for _ in range(reports.count(0))]
            for done, timestep in enumerate(sequence, 1):
                self.beats += [
                    self.beat(address=a, payload=int(timestep[a]))
                    for a in np.flatnonzero(timestep).tolist()
                ]
                self.beats.append(self.beat(last=True))
                self.beats += [self.beat(report=1) for _ in range(reports.count(done))]
            self.beats.append(self.beat(user=True))

    async def write(self, ctx: Any, address: int, value: int) -> None:
        bus = self.dut.registers
        ctx.set(bus.write_valid, 1)
        ctx.set(bus.write_address, address)
        ctx.set(bus.write_data, value)
        (error,) = await ctx.tick().sample(bus.write_error).until(bus.write_ready)
        ctx.set(bus.write_valid, 0)
        assert not error

    async def read(self, ctx: Any, address: int) -> int:
        bus = self.dut.registers
        ctx.set(bus.read_valid, 1)
        ctx.set(bus.read_address, address)
        (value,) = await ctx.tick().sample(bus.read_data).until(bus.read_ready)
        ctx.set(bus.read_valid, 0)
        return value

    async def status(self, ctx: Any) -> tuple[int, int]:
        """Return BUSY and ERROR, which are those of the ports."""
        word = await self.read(ctx, self.registers["STATUS"].offset)
        assert word == ctx.get(self.dut.busy) | ctx.get(self.dut.error) << 1
        return word & 1, word >> 1

    async def errors(self, ctx: Any) -> dict[str, int]:
        (word,) = [await self.read(ctx, address) for address in self.registers["ERROR"].words]
        return {name: word >> place & 1 for place, name in enumerate(self.core.errors)}

    async def load(self, ctx: Any) -> None:
        images = pack(self.network, self.core)
        for number, (name, memory) in enumerate(self.core.memories.items()):
            await self.write(ctx, self.registers["LOAD_HEADER"].offset, load_header(number))
            for word in images[name]:
                for part in range(memory.items):
                    item = word >> LOAD_WIDTH * part & (1 << LOAD_WIDTH) - 1
                    await self.write(ctx, self.registers["LOAD_DATA"].offset, item)

    async def send(self, ctx: Any) -> None:
        for beat in self.beats:
            ctx.set(self.dut.events.payload, beat)
            ctx.set(self.dut.events.valid, 1)
            await ctx.tick().until(self.dut.events.ready)
            self.first = self.cycle if self.first < 0 else self.first
        ctx.set(self.dut.events.valid, 0)
        self.beats = []

    async def receive(self, ctx: Any, end: str) -> tuple[list[int], int]:
        """Return the words of a packet up to a beat with `end`, and the cycle of this beat."""
        words: list[int] = []
        ctx.set(self.out.ready, 1)
        while True:
            (beat,) = await ctx.tick().sample(self.out.payload).until(self.out.valid)
            words.append(beat.data)
            if beat[end]:
                ctx.set(self.out.ready, 0)
                return words, self.cycle

    async def watch(self, ctx: Any) -> None:
        async for _, _, busy in ctx.tick().sample(self.dut.busy):
            self.busy.append(busy)


def words(logits: np.ndarray) -> list[int]:
    return [*(int(logit) % (1 << 32) for logit in logits), int(logits.argmax())]


def test_packets_counters_and_flags_are_the_golden_ones() -> None:
    drawn = draw_network(1393, n_sequences=2, n_timesteps=3, max_neurons=3, max_inputs=3)
    network, hardware = drawn.network, replace(drawn.hardware, lanes=2, reports=True)
    core = CoreParams(network.params, replace(hardware, block=1))
    payloads = drawn.payloads & (1 << network.params.layers[0].formats.payload.width) - 1
    golden = run(network, payloads, block=1, reports=REPORTS, trace=True)
    timeline = Timeline(core, payloads, golden.layers, REPORTS)
    answers = np.concatenate([golden.reports, golden.logits[:, None]], 1)
    packets = [words(row) for row in answers.reshape(-1, answers.shape[2])]
    assert len({tuple(packet) for packet in packets}) > 2
    host = Host(network, core)
    counters = {"layer0.events": np.count_nonzero(payloads), "readout.sequences": len(payloads)}
    counters["readout.reports"] = len(payloads) * len(REPORTS)
    sent = [False]

    async def ask(ctx: Any) -> None:
        await host.load(ctx)
        await ctx.tick().repeat(8)
        assert await host.status(ctx) == (0, 0)
        host.sequences(payloads, REPORTS)
        await host.send(ctx)
        sent[0] = True

    async def answer(ctx: Any) -> None:
        for number, packet in enumerate(packets):
            found, cycle = await host.receive(ctx, "last")
            assert found == packet
            if number == 0:
                assert cycle - host.first == timeline.report_ends[0, 0] + LATENCY
            # Until the last word of the last packet is taken.
            assert ctx.get(host.dut.busy) == (number < len(packets) - 1)
        assert sent[0] and all(host.busy[host.first + 2 :])
        assert await host.status(ctx) == (0, 0)
        values = host.registers["COUNTER"].words
        for name, value in counters.items():
            assert await host.read(ctx, values[core.counters.index(name)]) == value, name
        await wrong_input(ctx)

    async def wrong_input(ctx: Any) -> None:
        """A report within a timestep is ignored, and told; one after an address out of range is
        within none. Each sets a flag, and the core is busy until the sequence's result is taken.
        """
        most = network.params.layers[0].n_inputs
        host.beats = [
            host.beat(address=most, payload=1),
            host.beat(report=1),
            host.beat(payload=1),
            host.beat(report=1),
            host.beat(last=True),
            host.beat(report=1),
            host.beat(user=True),
        ]
        host.first = -1
        await host.send(ctx)
        assert all(host.busy[host.first + 2 :])
        for left in (2, 1, 0):
            for _ in range(40):
                await ctx.tick()
                assert ctx.get(host.dut.busy)
            await host.receive(ctx, "last")
            assert ctx.get(host.dut.busy) == (left > 0)
        assert await host.status(ctx) == (0, 1)
        told = {name: int("out_of_range" in name or "unclosed" in name) for name in core.errors}
        assert await host.errors(ctx) == told and sum(told.values()) == 2
        # Each flag is cleared by its bit; all, by CONTROL.
        place = next(i for i, name in enumerate(core.errors) if told[name])
        await host.write(ctx, host.registers["ERROR"].offset, 1 << place)
        assert await host.errors(ctx) == told | {core.errors[place]: 0}
        assert await host.status(ctx) == (0, 1)
        await host.write(ctx, host.registers["CONTROL"].offset, 1)
        assert await host.status(ctx) == (0, 0) and not any((await host.errors(ctx)).values())

    simulate(host.dut, ask, answer, watch=host.watch)


def test_a_core_of_spikes_is_busy_until_the_end_of_a_sequence_is_taken() -> None:
    drawn = draw_network(1394, n_sequences=1, n_timesteps=2, max_neurons=3, max_inputs=3)
    network = without_readout(drawn.network.params, drawn.network.layers)
    core = CoreParams(network.params, replace(drawn.hardware, lanes=2, block=1))
    host = Host(network, core)
    golden = run(network, drawn.payloads, trace=True)
    spikes = golden.layers[-1].spikes
    assert spikes is not None and spikes.any()

    async def converse(ctx: Any) -> None:
        await host.load(ctx)
        await ctx.tick().repeat(8)
        host.sequences(drawn.payloads)
        await host.send(ctx)
        for _ in range(300):
            await ctx.tick()
            assert ctx.get(host.dut.busy)
        found, _ = await host.receive(ctx, "user")
        events = [word & 0xFFFF for word in found if word >> 16 & 1]
        assert events == np.nonzero(spikes[0])[1].tolist()
        assert not ctx.get(host.dut.busy)

    simulate(host.dut, converse)
