"""Cores whose last layer's spikes leave them: bit by bit and cycle by cycle, and chained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator
from click.testing import CliRunner

from dmp_core.__main__ import main
from export.core import write_core
from export.images import pack
from export.store import find_dataset, load_network
from golden.cost.timeline import Timeline
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.memory import load_header
from golden.hardware.params import HardwareParams
from golden.hardware.part import EventKind
from golden.integer import NetworkIntegers, run, without_readout
from golden.registers import EVENT_WORD, LATENCY, pack_word, register_map
from golden.runs import LayerRun
from golden.split import split
from rtl.host.host_core import HostCore
from rtl.verilog.generate import generate, generate_axi
from tests.core_simulator import PERIOD, simulate
from tests.networks import Drawn, draw_network, draw_recurrent


def small(seed: int, *, recurrent: bool = False) -> Drawn:
    draw = draw_recurrent if recurrent else draw_network
    return draw(seed, max_neurons=20, max_inputs=14)


def items_of(last: LayerRun) -> list[tuple[int, int]]:
    """Return what shall leave the core: kind and address of each item."""
    assert last.spikes is not None
    items: list[tuple[int, int]] = []
    for sequence in last.spikes:
        for fired in sequence:
            items += [(EventKind.EVENT, int(neuron)) for neuron in np.flatnonzero(fired)]
            items.append((EventKind.END_TIMESTEP, 0))
        items.append((EventKind.END_SEQUENCE, 0))
    return items


SEEDS = [1, 5, 0, 3, 2, 8]


@pytest.mark.parametrize(
    "seed", [pytest.param(s, marks=[] if i < 2 else pytest.mark.long) for i, s in enumerate(SEEDS)]
)
@pytest.mark.parametrize("recurrent", [False, True])
def test_spikes_are_the_golden_ones_in_the_predicted_cycles(seed: int, recurrent: bool) -> None:
    drawn = small(seed, recurrent=recurrent)
    network = without_readout(drawn.network.params, drawn.network.layers)
    recorded = simulate(network, drawn.hardware, drawn.payloads)
    golden = run(recorded.network, drawn.payloads, block=drawn.hardware.block, trace=True)
    assert recorded.items == items_of(golden.layers[-1])
    timeline = Timeline(recorded.core, drawn.payloads, golden.layers)
    assert recorded.starts == [starts.reshape(-1).tolist() for starts in timeline.starts]
    ends = np.concatenate([timeline.timestep_ends, timeline.ends[:, None]], 1)
    assert recorded.end_cycles == ends.reshape(-1).tolist()


@pytest.mark.parametrize("seed", SEEDS[2:3])
def test_who_takes_spikes_may_stall_the_core(seed: int) -> None:
    drawn = small(seed)
    network = without_readout(drawn.network.params, drawn.network.layers)
    stalls = np.random.default_rng(seed)
    recorded = simulate(network, drawn.hardware, drawn.payloads, stalls=stalls)
    golden = run(recorded.network, drawn.payloads, block=drawn.hardware.block, trace=True)
    assert recorded.items == items_of(golden.layers[-1])


def test_the_draws_have_every_way_out() -> None:
    blocks = {small(seed).hardware.block for seed in SEEDS}
    assert 1 in blocks and len(blocks) >= 3
    assert small(SEEDS[0], recurrent=True).network.params.layers[-1].recurrent or any(
        small(seed, recurrent=True).network.params.layers[-1].recurrent for seed in SEEDS
    )


MOST_CYCLES = 200_000


class Chain:
    """Standard tops in a row, as their hosts see them: each sends its spikes to the next one."""

    def __init__(self, networks: Sequence[NetworkIntegers], hardware: HardwareParams) -> None:
        self.networks = networks
        self.cores = [CoreParams(network.params, hardware) for network in networks]
        self.hosts = [HostCore(core) for core in self.cores]
        self.module = Module()
        for index, host in enumerate(self.hosts):
            self.module.submodules[f"core{index}"] = host
        for before, after in zip(self.hosts, self.hosts[1:], strict=False):
            wiring.connect(self.module, before.spikes, after.events)

    async def load(self, ctx: Any) -> None:
        for network, core, host in zip(self.networks, self.cores, self.hosts, strict=True):
            registers, bus = register_map(core), host.registers
            for number, (name, memory) in enumerate(core.memories.items()):
                writes = [(registers["LOAD_HEADER"].offset, load_header(number))]
                for word in pack(network, core)[name]:
                    writes += [
                        (registers["LOAD_DATA"].offset, word >> 32 * part & (1 << 32) - 1)
                        for part in range(memory.items)
                    ]
                for address, value in writes:
                    ctx.set(bus.write_valid, 1)
                    ctx.set(bus.write_address, address)
                    ctx.set(bus.write_data, value)
                    await ctx.tick().until(bus.write_ready)
            ctx.set(bus.write_valid, 0)
            await ctx.tick().repeat(5)

    def run(self, payloads: np.ndarray, stall: float = 0.0) -> tuple[list[list[int]], list[int]]:
        """Return the words of each sequence's packet, and the cycles of their last beats, from the
        first beat that is taken on.
        """
        beats = []
        for sequence in payloads:
            for timestep in sequence:
                for address in np.flatnonzero(timestep).tolist():
                    payload = int(timestep[address]) & (1 << EVENT_WORD[1].width) - 1
                    beats.append({"data": pack_word(EVENT_WORD, address=address, payload=payload),
                                  "last": 0, "user": 0})  # fmt: skip
                beats.append({"data": 0, "last": 1, "user": 0})
            beats.append({"data": 0, "last": 0, "user": 1})
        first, last = self.hosts[0].events, self.hosts[-1].results
        rng = np.random.default_rng(1)
        packets: list[list[int]] = [[]]
        ends: list[int] = []
        started: list[int] = []
        cycle = 0

        async def send(ctx: Any) -> None:
            await self.load(ctx)
            for beat in beats:
                while rng.random() < stall:
                    await ctx.tick()
                ctx.set(first.payload, beat)
                ctx.set(first.valid, 1)
                await ctx.tick().until(first.ready)
                ctx.set(first.valid, 0)

        async def collect(ctx: Any) -> None:
            nonlocal cycle
            while len(packets) <= len(payloads):
                ctx.set(last.ready, rng.random() >= stall)
                _, _, came, valid, ready, beat = await ctx.tick().sample(
                    first.valid & first.ready, last.valid, last.ready, last.payload
                )
                if came and not started:
                    started.append(cycle)
                if valid and ready:
                    packets[-1].append(beat.data)
                    if beat.last:
                        ends.append(cycle - started[0])
                        packets.append([])
                cycle += 1
                assert cycle < MOST_CYCLES, "the cores are stuck"

        simulator = Simulator(self.module)
        simulator.add_clock(PERIOD)
        simulator.add_testbench(send)
        simulator.add_testbench(collect)
        simulator.run()
        return packets[:-1], ends


@pytest.mark.parametrize("stall", [0.0, pytest.param(0.4, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("seed", "at"),
    [(4, 2), (2, 2), (6, 1), *(pytest.param(s, 1, marks=pytest.mark.long) for s in (0, 3))],
)
def test_two_cores_say_what_one_says(seed: int, at: int, stall: float) -> None:
    """Over their AXI4-Streams; without stalls in the cycles that golden predicts."""
    drawn = small(seed)
    network, hardware = drawn.network, replace(drawn.hardware, trace=False)
    chain = Chain(split(network, at), hardware)
    packets, ends = chain.run(drawn.payloads, stall)
    golden = run(network, drawn.payloads, block=hardware.block, trace=True)
    mask = (1 << 32) - 1
    assert packets == [
        [*(int(logit) & mask for logit in logits), int(best)]
        for logits, best in zip(golden.logits, golden.classes, strict=True)
    ]
    if not stall:
        timeline = Timeline(chain.cores, drawn.payloads, golden.layers)
        assert ends == (timeline.ends + LATENCY).tolist()


def test_the_parts_of_a_network_are_stored_and_chained(tmp_path: Path) -> None:
    """Each is a network of its own: its core has an image, Verilog, a page of registers."""
    arguments = ["split", "rows", "1", "--out", str(tmp_path)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    rows, (first, second) = (
        load_network("rows"),
        (load_network(tmp_path / f"rows_{i}") for i in (0, 1)),
    )
    assert first.params.output is None and second.params.output == rows.params.output
    payloads = find_dataset("rows").sequences(slice(2))
    whole = run(rows, payloads, trace=True)
    before = run(first, payloads, trace=True)
    spikes = before.layers[-1].spikes
    assert spikes is not None and spikes.any() and before.classes.tolist() == [-1, -1]
    assert (run(second, spikes.astype(np.int64)).logits == whole.logits).all()
    manifest = write_core(first, CoreParams(first.params), tmp_path / "core")
    assert "o_spikes__payload" in generate(manifest).read_text()
    top = generate_axi(manifest).read_text()
    assert "m_axis_spikes_tuser" in top and "m_axis_results" not in top
    assert "m_axis_spikes" in (tmp_path / "core" / "rows_0_axi.md").read_text()
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2 and "rows_0" in done.output and "--force" in done.output
    done = CliRunner().invoke(main, ["split", "rows", "2", "--out", str(tmp_path)])
    assert done.exit_code == 2 and "split rows before layer 2: it has 2 layers" in done.output


def test_what_needs_a_readout_says_so() -> None:
    network = small(0).network
    core = without_readout(network.params, network.layers).params
    with pytest.raises(UserError, match="reports of network random0, which has no readout"):
        CoreParams(core, HardwareParams(reports=True))
    with pytest.raises(UserError, match="network random0 has no readout, whose results this needs"):
        _ = core.readout
