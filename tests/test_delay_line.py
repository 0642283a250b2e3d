"""The delay line against a model that knows only which input fires when: random delays, sequences,
errors and stalls on both sides; then, in directed tests, its cycles, and a ring that is empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from golden.hardware.layer import LayerHardware
from golden.hardware.memory import address_width
from golden.hardware.params import BLOCKS, HardwareParams
from golden.hardware.part import EventKind
from golden.hardware.stages import DELAY_LATENCY
from golden.params import LayerParams
from rtl.delay_line import DelayLine
from tests.streams import PERIOD, Item, find, load_cycles, offer, play, simulate, take

EVENT, END_TIMESTEP, END_SEQUENCE, INVALID, _ = (kind.value for kind in EventKind)
NUMBER = 5  # of its bank on the load bus
STROBES = {
    **{name: f"errors.{name}" for name in ("out_of_range", "repeated", "unclosed")},
    **{name: name for name in ("delays_reads", "ring_reads", "ring_writes")},
}


def layer(n_inputs: int, block: int, max_delay: int, *, external: bool = True) -> LayerHardware:
    params = LayerParams(n_inputs, 3, 0, max_delay=max_delay)
    return LayerHardware(params, HardwareParams(2, block=block), external=external)


LAYERS = {
    "one input": layer(1, 1, 1),
    "spikes": layer(40, 1, 5),
    "spikes of a layer": layer(70, 1, 2, external=False),
    "blocks of two": layer(20, 2, 3),
    "masks of two": layer(35, 2, 7, external=False),
    "the longest delays, by four": layer(5, 4, 255),
    "delays within a block of eight": layer(11, 8, 3),
    "blocks of eight": layer(9, 8, 13),
    "masks of eight": layer(13, 8, 21, external=False),
    "masks of sixteen": layer(5, 16, 37, external=False),
}


def draw_delays(rng: np.random.Generator, part: LayerHardware) -> list[int]:
    """Draw a delay for each input, the least and the largest one among them if there is room."""
    largest = part.params.max_delay
    delays = rng.integers(largest + 1, size=part.params.n_inputs)
    delays[0] = largest
    delays[1:][: len(delays) // 4] = 0
    return rng.permutation(delays).tolist()


def draw_lengths(rng: np.random.Generator, part: LayerHardware) -> list[int]:
    """Draw the timesteps of some sequences: one as long as all delays, and others that are empty,
    or end in a block, or before anything comes out.
    """
    block, longest = part.block, part.params.max_delay
    choices = [0, 1, block, block + 1, 2 * block + 1, min(longest, 20)]
    others = rng.choice(choices, 4).tolist()
    return [*others[:2], longest + 2 * block + 1, *others[2:]]


def draw_timesteps(rng: np.random.Generator, part: LayerHardware) -> list[Item]:
    """Draw sequences from outside: empty timesteps, full ones, and ones with repeated addresses,
    addresses out of range, payloads of 0, kinds that do not exist; events before an end.
    """
    items: list[Item] = []
    n_inputs = part.params.n_inputs

    def add(kind: int, address: int = 0, payload: int = 1) -> None:
        items.append({"kind": kind, "address": address, "payload": payload})

    def add_events() -> None:
        drawn = rng.choice(["none", "all", "any", "any"])
        addresses = rng.permutation(n_inputs) if drawn == "all" else np.zeros(0, np.int64)
        if drawn == "any":
            addresses = rng.integers(1 << address_width(n_inputs), size=int(rng.integers(9)))
            if len(addresses) and rng.random() < 0.3:  # one right behind the other
                addresses = np.append(addresses, addresses[-1])
        for address in addresses.tolist():
            add(EVENT, address, int(drawn == "all" or rng.random() < 0.9))
        if rng.random() < 0.05:
            add(INVALID, int(rng.integers(n_inputs)))

    for n_timesteps in draw_lengths(rng, part):
        for _ in range(n_timesteps):
            add_events()
            add(END_TIMESTEP)
        if rng.random() < 0.5:
            add_events()
        add(END_SEQUENCE)
    return items


def draw_blocks(rng: np.random.Generator, part: LayerHardware) -> list[Item]:
    """Draw sequences of a layer: empty and full blocks, whole ones, and a partial one last."""
    items: list[Item] = []
    n_inputs, block = part.params.n_inputs, part.block
    for n_timesteps in draw_lengths(rng, part):
        for start in range(0, n_timesteps, block):
            whole = (1 << min(block, n_timesteps - start)) - 1
            n = int(rng.choice([0, n_inputs, int(rng.integers(n_inputs + 1))]))
            for address in rng.permutation(n_inputs)[:n].tolist():
                payload = int(rng.choice([whole, int(rng.integers(whole + 1))]))
                items.append({"kind": EVENT, "address": address, "payload": payload})
            items.append({"kind": END_TIMESTEP, "address": 0, "payload": whole})
        items.append({"kind": END_SEQUENCE, "address": 0, "payload": 0})
    return items


def model(
    part: LayerHardware, delays: Sequence[int], items: Sequence[Item]
) -> tuple[list[Item], Counter[str]]:
    """Return what must come out, and how often each strobe counts, as the docstring has it."""
    block, n_inputs = part.block, part.params.n_inputs
    found: list[Item] = []
    counts: Counter[str] = Counter()
    timesteps = 0  # of the sequence, that have ended
    fired: set[tuple[int, int]] = set()  # address and timestep in which it comes out
    seen: set[int] = set()  # addresses of this timestep

    def send() -> None:
        """Send what comes out in the sequence, which is over."""
        for start in range(0, timesteps, block):
            length = min(block, timesteps - start)
            for address in range(n_inputs):
                mask = sum(1 << t for t in range(length) if (address, start + t) in fired)
                if mask:
                    found.append({"kind": EVENT, "address": address, "payload": mask})
            counts["ring_reads"] += part.delay_ring.words
            counts["ring_writes"] += part.delay_ring.words
            found.append({"kind": END_TIMESTEP, "address": 0, "payload": (1 << length) - 1})
        found.append({"kind": END_SEQUENCE})
        counts["ring_writes"] += part.delay_ring.memories * part.delay_ring.depth

    for item in items:
        kind, address, payload = item["kind"], item["address"], item["payload"]
        if kind == END_TIMESTEP:
            timesteps += 1 if part.external else payload.bit_length()
            seen.clear()
        elif kind == END_SEQUENCE:
            counts["unclosed"] += bool(seen)
            send()
            timesteps = 0
            fired.clear()
            seen.clear()
        elif kind != EVENT or (part.external and payload and address >= n_inputs):
            counts["out_of_range"] += 1
        elif payload:
            within = [t for t in range(block) if part.external or payload >> t & 1]
            arrived = [timesteps] if part.external else [timesteps + t for t in within]
            leaving = [timestep + delays[address] for timestep in arrived]
            slots = len({timestep // block for timestep in leaving})
            counts.update(delays_reads=1, ring_reads=slots, ring_writes=slots)
            counts["repeated"] += address in seen
            if part.external:
                seen.add(address)
            fired.update((address, timestep) for timestep in leaving)
    return found, counts


def without_void(items: list[Item]) -> list[Item]:
    """Return items without the fields of an end of sequence that mean nothing."""
    return [{"kind": END_SEQUENCE} if item["kind"] == END_SEQUENCE else item for item in items]


async def load(ctx: Any, dut: DelayLine, delays: list[int]) -> None:
    """Load the delays, and wait until the line is ready."""
    for cycle in load_cycles(NUMBER, delays):
        for name, value in cycle.items():
            ctx.set(getattr(dut.load, name.removeprefix("load.")), value)
        await ctx.tick()


@pytest.mark.parametrize(("gaps", "stall"), [(0.0, 0.0), (0.0, 0.6), (0.4, 0.2)], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_spikes_come_out_their_delay_later(name: str, gaps: float, stall: float) -> None:
    part = LAYERS[name]
    rng = np.random.default_rng([list(LAYERS).index(name), int(gaps * 10), int(stall * 10)])
    delays = draw_delays(rng, part)
    draw = draw_timesteps if part.external else draw_blocks
    items = draw(rng, part)
    expected, counts = model(part, delays, items)
    dut = DelayLine(part, NUMBER)
    received: list[Item] = []
    found: Counter[str] = Counter()

    async def produce(ctx: Any) -> None:
        await load(ctx, dut, delays)
        await offer(ctx, dut.i, items, rng, gaps)

    async def consume(ctx: Any) -> None:
        received.extend(await take(ctx, dut.o, lambda got: len(got) == len(expected), rng, stall))
        await ctx.tick().repeat(part.delay_ring.depth + 4)  # what an end of sequence clears

    async def watch(ctx: Any) -> None:
        async for _, _, *values in ctx.tick().sample(
            *(find(dut, place) for place in STROBES.values())
        ):
            found.update(dict(zip(STROBES, values, strict=True)))

    simulate(dut, produce, consume, watch=watch)
    assert without_void(received) == expected
    assert {name: found[name] for name in STROBES} == {name: counts[name] for name in STROBES}


def test_layers_cover_the_corners() -> None:
    """Of what is drawn: errors of each kind; slots of one word and of several; words of one memory
    and of two; delays of no whole number of blocks.
    """
    for external in (False, True):
        parts = [part for part in LAYERS.values() if part.external == external]
        assert {part.block for part in parts} >= {1, 2, 8}
        assert {part.params.max_delay % part.block != 0 for part in parts} == {False, True}
    assert {part.block for part in LAYERS.values()} == set(BLOCKS)
    assert {part.delay_ring.words for part in LAYERS.values()} >= {1, 2, 3}
    counts: Counter[str] = Counter()
    for part in (part for part in LAYERS.values() if part.external):
        items = draw_timesteps(np.random.default_rng(1), part)
        counts += model(part, [0] * part.params.n_inputs, items)[1]
    assert all(counts[name] > 5 for name in ("out_of_range", "repeated", "unclosed"))


def events(part: LayerHardware) -> list[Item]:
    """Return an event of each input, in all timesteps that it can have."""
    payload = 1 if part.external else (1 << part.block) - 1
    return [
        {"kind": EVENT, "address": address, "payload": payload}
        for address in range(part.params.n_inputs)
    ]


def end_of_block(part: LayerHardware) -> list[Item]:
    """Return what ends a whole block."""
    payload = (1 << part.block) - 1
    if not part.external:
        return [{"kind": END_TIMESTEP, "address": 0, "payload": payload}]
    return [{"kind": END_TIMESTEP, "address": 0, "payload": 1}] * part.block


@pytest.mark.parametrize("name", LAYERS)
def test_a_reset_or_an_end_of_sequence_empties_the_ring(name: str) -> None:
    """All inputs fire for as long as any bit waits; then a sequence as long as the ring has not one
    event. The delays are kept, and `clearing` is high after a reset while nothing is taken.
    """
    part = LAYERS[name]
    dut = DelayLine(part, NUMBER)
    reset, rng = Signal(), np.random.default_rng(0)
    delays = [part.params.max_delay - a % 2 for a in range(part.params.n_inputs)]
    full = (events(part) + end_of_block(part)) * min(part.delay_ring.slots, 3)
    end = {"kind": END_SEQUENCE, "address": 0, "payload": 0}
    empty = [*end_of_block(part) * (part.delay_ring.slots + 1), end]
    whole = (1 << part.block) - 1
    expected = [{"kind": END_TIMESTEP, "address": 0, "payload": whole}] * (
        part.delay_ring.slots + 1
    )
    expected.append({"kind": END_SEQUENCE})
    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(PERIOD)
    done: list[list[Item]] = []
    clearing: list[int] = []

    def sequences(n: int) -> Any:
        return lambda got: sum(item["kind"] == END_SEQUENCE for item in got) == n

    async def produce(ctx: Any) -> None:
        await load(ctx, dut, delays)
        await offer(ctx, dut.i, full, rng, 0)  # cut off
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        await offer(ctx, dut.i, [*empty, *full, end, *empty], rng, 0)

    async def consume(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        await ctx.posedge(reset)
        await ctx.tick()
        while not ctx.get(dut.i.ready):
            clearing.append(ctx.get(dut.clearing))
            await ctx.tick()
        assert not ctx.get(dut.clearing)
        for _ in range(3):
            done.append(without_void(await take(ctx, dut.o, sequences(1), rng, 0.2)))

    simulator.add_testbench(produce)
    simulator.add_testbench(consume)
    simulator.run()
    assert clearing == [1] * part.delay_ring.depth
    assert done[0] == done[2] == expected
    assert done[1] == model(part, delays, [*full, end])[0]


def quiet(part: LayerHardware) -> list[dict[str, Any]]:
    """Return the cycles that load delays of 0 and wait until the ring is clear."""
    cycles = load_cycles(NUMBER, [0] * part.params.n_inputs)
    cycles += [{} for _ in range(part.delay_ring.depth - len(cycles))]
    cycles[0] |= {"o.ready": 1, "i.valid": 0}
    return cycles


@pytest.mark.parametrize("name", ["spikes of a layer", "masks of two", "masks of sixteen"])
def test_an_empty_block_leaves_as_fast_as_its_words_are_read(name: str) -> None:
    """Its end comes `DELAY_LATENCY` + words + 2 cycles after it; while its words are read nothing
    is taken, and the next end is taken in the cycle after it has been put in the output register.
    """
    part = LAYERS[name]
    cycles = quiet(part)
    end = {"kind": END_TIMESTEP, "address": 0, "payload": (1 << part.block) - 1}
    first = len(cycles)
    latency = DELAY_LATENCY + part.delay_ring.words + 2
    cycles += [{"i.valid": 1, "i.payload": end}, *[{}] * (2 * latency)]
    record = play(
        DelayLine(part, NUMBER),
        ["i.ready", "o.valid", "ring_reads"],
        lambda cycle, _: cycles[cycle] if cycle < len(cycles) else None,
    )
    taken = [c - first for c, row in enumerate(record) if row["i.ready"] and c >= first]
    sent = [c - first for c, row in enumerate(record) if row["o.valid"]]
    read = [c - first for c, row in enumerate(record) if row["ring_reads"]]
    assert taken == [0, latency, 2 * latency] and sent == [latency, 2 * latency]
    assert read[: part.delay_ring.words] == [
        *range(DELAY_LATENCY, DELAY_LATENCY + part.delay_ring.words)
    ]


@pytest.mark.parametrize("name", ["spikes", "blocks of eight", "masks of eight"])
def test_events_are_taken_while_a_block_waits_to_be_sent(name: str) -> None:
    """One event a cycle, but not while a word is read. With an end in the output register and one
    behind it, the third waits until the first has been taken.
    """
    part = LAYERS[name]
    cycles = quiet(part)
    end, fired = end_of_block(part), events(part)
    items = [*end, *end, *fired, *end]
    taken: list[int] = []
    offered = 0  # the item's place
    waited = 3 * len(items) + 40  # nobody takes the first end until then

    def step(cycle: int, found: dict[str, int]) -> dict[str, Any] | None:
        nonlocal offered
        if cycle < len(cycles):
            return cycles[cycle]
        now = cycle - len(cycles)
        if now:
            taken.extend([now - 1] if found["i.ready"] else [])
            offered += found["i.ready"]
        if offered == len(items):
            return None
        return {"i.valid": 1, "i.payload": items[offered], "o.ready": now >= waited}

    play(DelayLine(part, NUMBER), ["i.ready"], step)
    first = 2 * len(end)  # of the events
    lost = taken[first + len(fired) - 1] - taken[first - 1] - len(fired)
    assert lost == part.delay_ring.words and len(fired) > DELAY_LATENCY + part.delay_ring.words
    assert taken[-1] == waited + 1 and taken[-2] < waited - 30


def test_words_for_other_memories_are_not_delays() -> None:
    """Neither a word of another number, nor one behind the last input."""
    part = LAYERS["spikes of a layer"]
    dut = DelayLine(part, NUMBER)
    received: list[Item] = []
    rng = np.random.default_rng(0)
    n_inputs = part.params.n_inputs
    delays = [(address * 5 + 1) % 3 for address in range(n_inputs)]
    end = {"kind": END_TIMESTEP, "address": 0, "payload": 1}
    items = [*events(part), end, end, end, {"kind": END_SEQUENCE, "address": 0, "payload": 0}]

    async def produce(ctx: Any) -> None:
        await load(ctx, dut, delays)
        for number, start in ((NUMBER - 1, 0), (NUMBER, n_inputs), (NUMBER, 128)):
            for cycle in load_cycles(number, [(delay + 1) % 3 for delay in delays], start):
                for name, value in cycle.items():
                    ctx.set(getattr(dut.load, name.removeprefix("load.")), value)
                await ctx.tick()
        await offer(ctx, dut.i, items, rng, 0)

    async def consume(ctx: Any) -> None:
        received.extend(await take(ctx, dut.o, lambda got: len(got) == n_inputs + 4, rng, 0))

    simulate(dut, produce, consume)
    assert without_void(received) == model(part, delays, items)[0]
