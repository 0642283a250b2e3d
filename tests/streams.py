"""Drive single components in Amaranth's simulator: inputs by the cycle, streams with stalls and
scrambled payloads.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from amaranth.hdl import Value
from amaranth.lib import data
from amaranth.sim import Simulator

from golden.hardware.layer import LayerHardware
from golden.hardware.memory import LOAD_WIDTH
from golden.hardware.part import EventKind
from golden.hardware.readout import ReadoutHardware
from rtl.layouts import issue_layout

Inputs = dict[str, Any]
Outputs = dict[str, int]
Item = dict[str, int]
PERIOD = 1e-8
MAX_CYCLES = 100_000  # many more than any test of a component takes


def simulate(
    dut: Any, *testbenches: Callable[[Any], Any], watch: Callable[[Any], Any] | None = None
) -> None:
    """Run testbenches until all have returned, and beside them a process that only watches; fail if
    they never do.
    """

    async def give_up(ctx: Any) -> None:
        await ctx.delay(MAX_CYCLES * PERIOD)
        raise AssertionError(f"no end after {MAX_CYCLES} cycles")

    simulator = Simulator(dut)
    simulator.add_clock(PERIOD)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    simulator.add_testbench(give_up, background=True)
    if watch is not None:
        simulator.add_process(watch)
    simulator.run()


def find(dut: Any, name: str) -> Any:
    """Return a component's port, or a field of one, by its dotted name."""
    return operator.attrgetter(name)(dut)


def play(
    dut: Any,
    outputs: Sequence[str] | Mapping[str, str],
    step: Callable[[int, Outputs], Inputs | None],
) -> list[Outputs]:
    """Set in every cycle what `step(cycle, outputs of the cycle before)` returns, until it is None;
    return the outputs: of these dotted names, or, of a mapping, by their short ones.

    Inputs that a cycle does not name keep their values; those of layouts may be given as their
    bits. A signed output is a signed number.
    """
    places = outputs if isinstance(outputs, Mapping) else dict(zip(outputs, outputs, strict=True))
    ports = [Value.cast(find(dut, name)) for name in places.values()]
    record: list[Outputs] = []

    async def testbench(ctx: Any) -> None:
        while (inputs := step(len(record), record[-1] if record else {})) is not None:
            for name, value in inputs.items():
                put(ctx, find(dut, name), value)
            _, _, *values = await ctx.tick().sample(*ports)
            record.append(dict(zip(places, values, strict=True)))

    simulate(dut, testbench)
    return record


def put(ctx: Any, port: Any, value: Any) -> None:
    """Set a port, that of a layout by its fields or by its bits."""
    ctx.set(port if isinstance(value, Mapping) else Value.cast(port), value)


def replay(
    dut: Any, outputs: Sequence[str] | Mapping[str, str], inputs: Sequence[Inputs]
) -> list[Outputs]:
    """Set `inputs[t]` in cycle t, and return the outputs of every cycle."""
    return play(dut, outputs, lambda cycle, _: inputs[cycle] if cycle < len(inputs) else None)


def scramble(rng: np.random.Generator, layout: data.StructLayout, keep: Iterable[str] = ()) -> Item:
    """Return an item of random bits (an event's kind is one that exists, and that the layout has);
    the fields in `keep` are 0.
    """
    item = {str(name): int(rng.integers(1 << field.width)) for name, field in layout}
    if "kind" in item:
        kinds = [kind.value for kind in EventKind if kind >> layout["kind"].width == 0]
        item["kind"] = int(rng.choice(kinds))
    return item | dict.fromkeys(keep, 0)


def load_cycles(number: int, words: Sequence[int], start: int = 0) -> list[Inputs]:
    """Return the cycles that load words into memory `number`, and those until they can be read."""
    n_items = max([1, *(-(-int(word).bit_length() // LOAD_WIDTH) for word in words)])
    cycles = [
        load_item(number, start + i, word, index, last=index == n_items - 1)
        for i, word in enumerate(words)
        for index in range(n_items)
    ]
    return [*cycles, {"load.valid": 0}, {}, {}, {}]


def load_item(number: int, address: int, word: int, index: int, *, last: bool) -> Inputs:
    """Return the inputs of a cycle in which an item of a word is on the load bus."""
    return {
        "load.valid": 1, "load.memory": number, "load.address": address, "load.index": index,
        "load.last": last, "load.data": word >> index * LOAD_WIDTH & (1 << LOAD_WIDTH) - 1,
    }  # fmt: skip


def join(values: Iterable[int], width: int) -> int:
    """Join numbers into a word, the first in its lowest bits, each in two's complement."""
    return sum(
        (int(value) & (1 << width) - 1) << index * width for index, value in enumerate(values)
    )


def split(word: int, width: int, count: int) -> list[int]:
    """Return the signed numbers of a word."""
    values = [word >> index * width & (1 << width) - 1 for index in range(count)]
    return [value - (1 << width) if value >> width - 1 else value for value in values]


def walk(
    part: LayerHardware | ReadoutHardware,
    addresses: int,
    *,
    timesteps: int,
    refresh: int,
    fresh: bool,
    buffer: int,
) -> list[Item]:
    """Return what is to be issued for one block, a step an item, from the contract of the group
    schedule: for so many distinct addresses, with a bit for each timestep that the block has and
    for each that has a refresh.
    """
    n_events = part.hardware.events_per_cycle
    dense = part.dense_steps if refresh else 0
    sparse = -(-addresses // n_events)
    before = sparse if part.shares_products else 0  # steps before those of the columns
    steps = max(sparse, before + dense, part.output_steps)

    def numbered(step: int) -> Item:
        """Columns that follow events have numbers of their own."""
        counted = part.shares_products and before <= step < before + dense
        return {"column": step - before} if counted else {}

    return [
        {
            "walking": 1,
            "valid": 1,
            "start": group == 0 and step == 0,
            "first": step == 0,
            "last": step == steps - 1,
            "sparse": sum(1 << e for e in range(n_events) if step * n_events + e < addresses),
            "dense": before <= step < before + dense,
            "last_group": group == part.n_groups - 1,
            "sequence_end": 0,
            "timesteps": timesteps,
            "refresh": refresh,
            "fresh": fresh,
            "buffer": buffer,
            "step": step,
            "group": group,
            "weight_base": group * part.n_addresses,
            **(
                {"column": step - before}
                if before <= step < before + dense and part.shares_products
                else {}
            ),
        }
        for group in range(part.n_groups)
        for step in range(steps)
    ]


def idle(rng: np.random.Generator, part: LayerHardware | ReadoutHardware) -> Item:
    """Return a cycle in which nothing is issued."""
    return scramble(rng, issue_layout(part), keep=("valid", "start", "sequence_end"))


def sequence_end(
    rng: np.random.Generator, part: LayerHardware | ReadoutHardware, *, fresh: bool = False
) -> Item:
    """Return a cycle in which the end of a sequence passes; `fresh`: of one without a timestep."""
    return idle(rng, part) | {"sequence_end": 1, "fresh": fresh}


async def offer(
    ctx: Any, port: Any, items: Iterable[Item], rng: np.random.Generator, stall: float
) -> None:
    """Send items, with a gap of probability `stall` before each in which the payload is
    scrambled.
    """
    layout = port.payload.shape()
    for item in items:
        while rng.random() < stall:
            ctx.set(port.payload, scramble(rng, layout))
            ctx.set(port.valid, 0)
            await ctx.tick()
        ctx.set(port.payload, item)
        ctx.set(port.valid, 1)
        await ctx.tick().until(port.ready)
    ctx.set(port.valid, 0)


async def take(
    ctx: Any, port: Any, done: Callable[[list[Item]], bool], rng: np.random.Generator, stall: float
) -> list[Item]:
    """Receive items until `done` with them; not ready with probability `stall`. A waiting item must
    not change.
    """
    layout = port.payload.shape()
    fields = [Value.cast(port.payload[name]) for name, _ in layout]
    received: list[Item] = []
    waiting: Item | None = None
    while not done(received):
        ready = bool(rng.random() >= stall)
        ctx.set(port.ready, ready)
        _, _, valid, *values = await ctx.tick().sample(port.valid, *fields)
        item = {str(name): value for (name, _), value in zip(layout, values, strict=True)}
        assert waiting is None or (valid and item == waiting), (
            "a waiting item was changed or withdrawn"
        )
        waiting = item if valid and not ready else None
        if valid and ready:
            received.append(item)
    ctx.set(port.ready, 0)
    return received
