"""Run a whole core in Amaranth's simulator: load it, feed it, record what it sends and what its
trace ports show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from export.images import pack, unpack
from golden.hardware.core import CoreParams
from golden.hardware.memory import LOAD_WIDTH, load_header
from golden.hardware.params import HardwareParams
from golden.hardware.part import EventKind
from golden.integer import NetworkIntegers
from rtl.core import Core

PERIOD = 1e-8
COUNTER_CYCLES = 2  # from the reading of a counter to that of the next


@dataclass
class Recorded:
    """What a core showed: per layer and in order, and per sequence its logits and class, or its
    last layer's spikes.
    """

    core: CoreParams
    network: NetworkIntegers  # unpacked from the words that were loaded
    logits: list[list[int]] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)
    reports: list[list[int]] = field(default_factory=list)  # logits of every report, in order
    result_cycles: list[int] = field(default_factory=list)  # of the last result of each of these
    items: list[tuple[int, int]] = field(default_factory=list)  # of spikes: kind, address
    end_cycles: list[int] = field(default_factory=list)  # of their ends, of both kinds
    membrane: list[list[int]] = field(default_factory=list)
    spikes: list[list[int]] = field(default_factory=list)
    synapse: list[list[int]] = field(default_factory=list)
    state: list[list[int]] = field(default_factory=list)
    drive: list[list[int]] = field(default_factory=list)
    starts: list[list[int]] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    errors: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Item:
    """What enters a core at once: a kind, and addresses and payloads of events."""

    kind: EventKind
    events: Sequence[tuple[int, int]] = ()

    def fields(self, width: int) -> dict[str, Any]:
        """Return the fields of an item of up to `width` events."""
        events = [*self.events, *[(0, 0)] * (width - len(self.events))]
        address, payload = (list(of) for of in zip(*events, strict=True))
        if width == 1:
            return {"kind": self.kind, "address": address[0], "payload": payload[0]}
        return {"kind": self.kind, "address": address, "payload": payload}


def to_items(payloads: np.ndarray, width: int, reports: tuple[int, ...] = ()) -> list[Item]:
    """Return the items of sequences (B, K, M), of up to `width` events of a timestep each."""
    found = []
    for sequence in payloads:
        found += [Item(EventKind.REPORT)] * reports.count(0)
        for done, timestep in enumerate(sequence, 1):
            events = [
                (int(address), int(timestep[address])) for address in np.flatnonzero(timestep)
            ]
            starts = range(0, len(events), width)
            found += [Item(EventKind.EVENT, events[n : n + width]) for n in starts]
            found.append(Item(EventKind.END_TIMESTEP))
            found += [Item(EventKind.REPORT)] * reports.count(done)
        found.append(Item(EventKind.END_SEQUENCE))
    return found


def simulate(
    network: NetworkIntegers,
    hardware: HardwareParams,
    payloads: np.ndarray,
    stalls: np.random.Generator | None = None,
    reset_after: int = 0,
    reset_delay: int = 0,
    reports: tuple[int, ...] = (),
    items: Sequence[Item] | None = None,
) -> Recorded:
    """Load the network into a core on this hardware and run sequences (B, K, M); with random
    stalls, or none. With `reset_after`, that many timesteps come first that a reset cuts off, so
    many cycles after their end. With `reports`, each sequence asks for results after these numbers
    of timesteps. `items` are sent in place of those of the sequences.
    """
    core = CoreParams(network.params, replace(hardware, trace=True))
    images = pack(network, core)
    recorded = Recorded(core, unpack(images, core))
    n_layers, width = len(core.layers), hardware.input_items
    traces = (
        recorded.membrane, recorded.spikes, recorded.synapse, recorded.state, recorded.drive
    )  # fmt: skip
    for record in traces:
        record.extend([] for _ in range(n_layers))
    recorded.starts = [[] for _ in core.parts]
    top = Core(core)
    reset = Signal()
    simulator = Simulator(ResetInserter(reset)(top))
    simulator.add_clock(PERIOD)

    async def load(ctx: Any) -> None:
        ctx.set(top.i_load.valid, 1)
        for number, (name, memory) in enumerate(core.memories.items()):
            ctx.set(top.i_load.payload, {"first": 1, "data": load_header(number)})
            await ctx.tick()
            for word in images[name]:
                for part in range(memory.items):
                    ctx.set(
                        top.i_load.payload,
                        {"first": 0, "data": word >> part * LOAD_WIDTH & (1 << LOAD_WIDTH) - 1},
                    )
                    await ctx.tick()
        ctx.set(top.i_load.valid, 0)

    async def send(ctx: Any, sent: Sequence[Item]) -> None:
        for item in sent:
            while stalls is not None and stalls.random() < 0.3:
                scrambled = Item(EventKind.EVENT, [(int(stalls.integers(2)), 1)])
                ctx.set(top.i_events.payload, scrambled.fields(width))
                ctx.set(top.i_events.valid, 0)
                await ctx.tick()
            ctx.set(top.i_events.payload, item.fields(width))
            ctx.set(top.i_events.valid, 1)
            await ctx.tick().until(top.i_events.ready)
            ctx.set(top.i_events.valid, 0)

    async def drive(ctx: Any) -> None:
        await load(ctx)
        if reset_after:
            await send(ctx, to_items(payloads[:1, :reset_after], width)[:-1])
            for _ in range(reset_delay):
                await ctx.tick()
            ctx.set(reset, 1)
            await ctx.tick()
            for layers in traces:
                for record in layers:
                    record.clear()
            await ctx.tick()
            ctx.set(reset, 0)
        await send(ctx, to_items(payloads, width, reports) if items is None else items)

    async def collect_results(ctx: Any) -> None:
        # Of each sequence first the reports, then the results at its end.
        for number in range(len(payloads) * (len(reports) + 1)):
            logits: list[int] = []
            while True:
                ctx.set(top.o_results.ready, stalls is None or bool(stalls.random() < 0.5))
                _, _, valid, ready, result = await ctx.tick().sample(
                    top.o_results.valid, top.o_results.ready, top.o_results.payload
                )
                if valid and ready:
                    assert result.index == len(logits)
                    logits.append(result.logit)
                    if result.last:
                        break
            if (number + 1) % (len(reports) + 1):
                recorded.reports.append([*logits, result.best])
                continue
            recorded.logits.append(logits)
            recorded.classes.append(result.best)
        ctx.set(top.o_results.ready, 0)

    async def collect_spikes(ctx: Any) -> None:
        left = len(payloads)
        while left:
            ctx.set(top.o_spikes.ready, stalls is None or bool(stalls.random() < 0.5))
            _, _, valid, ready, item = await ctx.tick().sample(
                top.o_spikes.valid, top.o_spikes.ready, top.o_spikes.payload
            )
            if valid and ready:
                event = item.kind == EventKind.EVENT
                assert not event or item.payload == 1
                recorded.items.append((item.kind, item.address if event else 0))
                left -= item.kind == EventKind.END_SEQUENCE
        ctx.set(top.o_spikes.ready, 0)

    async def collect(ctx: Any) -> None:
        await (collect_results(ctx) if network.params.output else collect_spikes(ctx))
        for number, name in enumerate(core.counters):
            ctx.set(top.i_counter, number)
            await ctx.tick().repeat(COUNTER_CYCLES)
            recorded.counters[name] = ctx.get(top.o_counter)
        flags = ctx.get(top.o_errors)
        recorded.errors = {name for bit, name in enumerate(core.errors) if flags >> bit & 1}

    async def watch_starts(ctx: Any) -> None:
        ports = [getattr(top, f"trace{i}_start") for i in range(n_layers)]
        if network.params.output:
            out, ports = top.o_results, [*ports, top.trace_readout_start]
            ends, ended = out.payload.last, recorded.result_cycles
        else:
            out = top.o_spikes
            ends, ended = out.payload.kind != EventKind.EVENT, recorded.end_cycles
        cycle, first = 0, None
        async for _, _, transfer, sent, *starts in ctx.tick().sample(
            top.i_events.valid & top.i_events.ready, out.valid & out.ready & ends, *ports
        ):
            if transfer and first is None:
                first = cycle
            if sent:
                ended.append(cycle - (first or 0))
            for part, started in enumerate(starts):
                if started:
                    recorded.starts[part].append(cycle - (first or 0))
            cycle += 1

    def watch_layer(i: int) -> Any:
        layer = core.layers[i]
        names = ["neuron_valid", "neuron_membrane", "neuron_spikes"]
        names += ["synapse_valid", "synapse_value"] * layer.params.synapse
        names += ["state_valid", "state_value", "drive_valid", "drive_value"] * (
            layer.params.n_state > 0
        )
        ports = [getattr(top, f"trace{i}_{name}") for name in names]
        units = range(layer.neuron_fold.units)

        async def watch(ctx: Any) -> None:
            async for _, _, *values in ctx.tick().sample(*ports):
                found = dict(zip(names, values, strict=True))
                if found["neuron_valid"]:
                    recorded.membrane[i] += [found["neuron_membrane"][unit] for unit in units]
                    recorded.spikes[i] += [found["neuron_spikes"] >> unit & 1 for unit in units]
                if found.get("synapse_valid"):
                    recorded.synapse[i] += [found["synapse_value"][unit] for unit in units]
                if found.get("state_valid"):
                    rows = found["state_value"]
                    several = layer.state_update.columns > 1
                    left = layer.params.n_state - len(recorded.state[i]) % layer.params.n_state
                    recorded.state[i] += (
                        [rows[n] for n in range(len(rows))][:left] if several else [rows]
                    )
                if found.get("drive_valid"):
                    recorded.drive[i].append(found["drive_value"])

        return watch

    simulator.add_testbench(drive)
    simulator.add_testbench(collect)
    simulator.add_process(watch_starts)
    for i in range(n_layers):
        simulator.add_process(watch_layer(i))
    simulator.run()
    return recorded
