"""The standard top in Verilator, driven by cocotbext-axi: memories through AXI4-Lite, events and
results on AXI4-Stream, with random pauses; every value, counter and flag against the golden model.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.lib import wiring
from amaranth.sim import Simulator

from export.core import write_core
from export.store import load_digits, load_stored
from golden.cost.timeline import Timeline
from golden.data.mnist import to_sequences
from golden.hardware.core import CoreParams
from golden.integer import run
from golden.registers import LATENCY, register_map
from rtl.host.axi import AxiCore
from rtl.verilog.generate import generate_axi
from tb.compare import expected_counters
from tests.axi_cores import Built, build, event, flags, places, to_beats, to_packets
from tests.conftest import Shared
from tests.networks import Drawn, draw_network

OKAY, SLVERR = 0, 2


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    """Draw a network whose drive, slow state, membranes and logits saturate, with an address that
    no input has and an empty timestep.
    """
    drawn = draw_network(1393, n_sequences=3, max_neurons=16, max_inputs=12)
    params = drawn.network.params
    readout = replace(params.readout, logit_width=12, bias_width=12)
    network = replace(
        drawn.network,
        params=replace(params, output=readout),
        b_o=np.clip(drawn.network.b_o, readout.b_o.min, readout.b_o.max),
    )
    first = params.layers[0]
    assert first.n_state and first.n_inputs == 11 and first.formats.payload.width == 8
    assert not drawn.payloads.any(2).all() and drawn.hardware.block == 4
    return replace(drawn, network=network)


@pytest.fixture(scope="module")
def built(drawn: Drawn, shared: Shared) -> Built:
    core = CoreParams(drawn.network.params, drawn.hardware)

    def make(folder: Path) -> None:
        generate_axi(write_core(drawn.network, core, folder))
        build(folder / "manifest.json")

    return build(shared.folder("axi", make) / "manifest.json")


def test_sequences_errors_and_counters_are_the_golden_ones(
    built: Built, drawn: Drawn, tmp_path: Path
) -> None:
    """With pauses on every channel; then cleared, and without pauses in exactly the predicted
    cycles; the sink held for a while.
    """
    core, registers = built.core, register_map(built.core)
    rng = np.random.default_rng(1)
    golden = run(built.network, drawn.payloads, block=core.hardware.block, trace=True)
    expected = {name: int(counts.sum()) for name, counts in expected_counters(core, golden).items()}
    saturating = {name for name in core.errors if expected[name]}
    assert saturating == {n for n in core.errors if n.endswith("saturations")}
    status, error = registers["STATUS"].offset, registers["ERROR"].offset
    busy, any_error = (bits.mask for bits in registers["STATUS"].bits)
    control = [registers["CONTROL"].offset, 1, 15]
    counters = places(core, list(expected))
    n = len(drawn.payloads)
    steps = [
        {"pauses": [1, 0.5]},
        {"burst": built.loads},
        {"read": [status, error]},
        {"send": to_beats(drawn.payloads, rng, idle=0.2)},
        {"results": n},
        {"wait_read": [status, busy, 0]},
        {"read": [status, error, *counters]},
        {"write": [[control[0], 0, 15], [control[0], 1, 1]]},  # nothing to do; not a whole word
        {"read": [error]},
        {"write": [control]},
        {"read": [status, error, *counters]},
        {"pauses": [0, 0]},
        {"send": to_beats(drawn.payloads, rng)},
        {"results": n},
        {"wait_read": [status, busy, 0]},
        {"read": counters},
        {"hold": 1},
        {"send": to_beats(drawn.payloads[:1], rng)},
        {"read": [status] * 100},
        {"hold": 0},
        {"results": 1},
        {"wait_read": [status, busy, 0]},
    ]
    found = dict(enumerate(built.run(tmp_path, *steps)))
    packets = to_packets(golden)
    assert set(found[1]) == {OKAY}
    assert found[2] == [[0, OKAY], [0, OKAY]]
    assert found[4][0] == packets
    counted = [[count, OKAY] for count in expected.values()]
    assert found[6] == [[any_error, OKAY], [flags(core, saturating), OKAY], *counted]
    assert found[7] == [OKAY, SLVERR]
    assert found[8] == [[flags(core, saturating), OKAY]]
    assert found[9] == [OKAY]
    cleared = dict(zip(expected, found[10][2:], strict=True))
    assert found[10][:2] == [[0, OKAY], [0, OKAY]]
    assert all(count == [0, OKAY] for count in cleared.values())
    assert found[13][0] == packets
    timeline = Timeline(core, drawn.payloads, golden.layers)
    assert found[13][1] == (timeline.ends + LATENCY).tolist()
    assert found[15] == counted
    assert found[18] == [[busy | any_error, OKAY]] * 100
    assert found[20][0] == packets[:1]


def test_every_error_of_the_input_sets_its_flag(built: Built, drawn: Drawn, tmp_path: Path) -> None:
    """One after another, each cleared, while a block is collected and nothing is computed."""
    core, registers = built.core, register_map(built.core)
    n_inputs = core.network.layers[0].n_inputs
    error, control = registers["ERROR"].offset, [registers["CONTROL"].offset, 1, 15]
    names = ("layer0.out_of_range", "layer0.repeated", "layer0.unclosed")
    all_ones = 0xFFFF_FFFF
    first = np.zeros((1, 2, n_inputs), np.int64)
    first[0, 1, 3] = 7
    second = np.concatenate([np.zeros((1, 1, n_inputs), np.int64), drawn.payloads[:1]], 1)
    golden = [run(built.network, p, block=core.hardware.block) for p in (first, second)]
    saturated = {
        name
        for name, counts in expected_counters(core, golden[0]).items()
        if name.endswith("saturations") and counts.sum()
    }
    out_of_range = [event(n_inputs, 1), event(1 << 15, 1), event(1 << 4, 1), event(0, 1 << 8)]
    # The last one is the end of sequence that finds an event; the timestep is of the next one.
    unclosed = [[event(4, 1) | 1 << 31, 0, 0], [0, 1, 0]]
    repeated = [[event(3, 7), 0, 0], [event(3, 1), 0, 0], [event(3, 0), 0, 0], [event(3, 7), 1, 0]]
    found = built.run(
        tmp_path,
        {"burst": built.loads},
        {"pauses": [2, 0.3]},
        *(
            step
            for beats, flag in (
                ([[word, 0, 0] for word in out_of_range] + [[0, 1, 0]], {names[0]}),
                (repeated, {names[1]}),
                (unclosed, {names[2]} | saturated),
            )
            for step in (
                {"send": beats},
                {"wait_read": [error, all_ones, flags(core, flag)]},
                {"read": places(core, names)},
                {"write": [control]},
                {"read": [error, *places(core, names)]},
            )
        ),
        {"send": to_beats(drawn.payloads[:1], np.random.default_rng(2))},
        {"results": 2},
    )
    for group, counts in enumerate(([4, 0, 0], [0, 2, 0], [0, 0, 1])):
        after = 2 + 5 * group
        assert found[after + 2] == [[count, OKAY] for count in counts]
        assert found[after + 4] == [[0, OKAY]] * 4
    assert found[-1][0] == [packet for each in golden for packet in to_packets(each)]


def test_registers_tell_what_the_core_is(built: Built, tmp_path: Path) -> None:
    """Every word of the map and around it; a write to what is only read does nothing."""
    core, registers = built.core, register_map(built.core)
    written = {a for r in registers.values() if r.access != "read" for a in r.words}
    window = registers["COUNTER"].words
    addresses = [*range(0, 0x108, 4), window.start - 4, window.stop, 0x2000, 0x3FFC]
    others = [a for a in addresses if a not in written]
    result = built.run(
        tmp_path,
        {"pauses": [3, 0.3]},
        {"write": [[address, 0xFFFF_FFFF, 15] for address in [*others, window.start]]},
        {"read": addresses},
        {"read": [window[-1]]},
    )
    assert result[1] == [SLVERR] * (len(others) + 1)
    known = {r.offset: r.value or 0 for r in registers.values() if r.access != "write"}
    assert result[2] == [[known.get(a, 0), OKAY if a in known else SLVERR] for a in addresses]
    assert result[3] == [[0, OKAY]]
    values = {name: result[2][addresses.index(r.offset)][0] for name, r in registers.items()
              if r.offset in addresses}  # fmt: skip
    assert values["ID"] == 0x444D_5043 and values["VERSION"] >> 16 == 1
    assert (values["INPUTS"], values["CLASSES"], values["BLOCK"]) == (11, 5, 4)
    assert (values["COUNTERS"], values["PAYLOAD_WIDTH"]) == (len(core.counters), 8)


def test_a_reset_keeps_what_was_loaded(built: Built, drawn: Drawn, tmp_path: Path) -> None:
    """In the middle of a sequence; and a sequence that is broken off can be ended."""
    core, registers = built.core, register_map(built.core)
    rng = np.random.default_rng(4)
    part = [[event(2, 255), 0, 0], [event(1, 9), 1, 0], [event(10, 1), 0, 0], [0, 1, 0]]
    golden = run(built.network, drawn.payloads, block=core.hardware.block, trace=True)
    status, busy = registers["STATUS"].offset, registers["STATUS"].bits[0].mask
    again = to_beats(drawn.payloads, rng)
    found = built.run(
        tmp_path,
        {"burst": built.loads},
        {"send": part},
        {"read": [status]},
        {"reset": 5},
        {"read": [status]},
        {"send": again},
        {"results": len(drawn.payloads)},
        {"send": part},
        {"wait_read": [status, busy, busy]},
        {"send": [[1 << 31, 0, 0], *again]},
        {"results": len(drawn.payloads) + 1},
    )
    assert found[2][0][0] & busy and found[4] == [[0, OKAY]]
    assert found[6][0] == to_packets(golden)
    timeline = Timeline(core, drawn.payloads, golden.layers)
    assert found[6][1] == (timeline.ends + LATENCY).tolist()
    assert found[10][0][1:] == to_packets(golden)


def test_no_output_depends_on_an_input_of_the_same_cycle(drawn: Drawn) -> None:
    """Outputs change with the clock only, whatever the inputs do in between."""
    dut = AxiCore(CoreParams(drawn.network.params, drawn.hardware))
    members = dut.signature.members.items()
    inputs = [getattr(dut, n) for n, m in members if m.flow == wiring.In and n != "aclk"]
    outputs = {n: getattr(dut, n) for n, m in members if m.flow == wiring.Out}
    rng = np.random.default_rng(6)
    changed: set[str] = set()

    async def testbench(ctx: Any) -> None:
        before: dict[str, int] = {}
        for cycle in range(300):
            for port in inputs:
                ctx.set(port, int(rng.integers(1 << len(port))))
            ctx.set(dut.aresetn, cycle > 2)
            ctx.set(dut.s_axi_araddr, int(rng.integers(0x40)))  # where most registers are
            shown = {name: ctx.get(port) for name, port in outputs.items()}
            assert not before or shown == before
            ctx.set(dut.aclk, 1)
            before = {name: ctx.get(port) for name, port in outputs.items()}
            ctx.set(dut.aclk, 0)
            changed.update(name for name in outputs if before[name] != shown[name])

    simulator = Simulator(dut)
    simulator.add_testbench(testbench)
    simulator.run()
    assert changed >= set(outputs) - {"m_axis_results_tdata"}  # nothing is loaded


@pytest.mark.long
def test_a_digit_with_pauses(rows_axi: Path, tmp_path: Path) -> None:
    """A shipped network: every memory through AXI4-Lite, a whole digit through the streams."""
    _, card = load_stored("rows")
    built = build(rows_axi)
    core = built.core
    payloads = to_sequences(load_digits().images[:1], card.data)
    golden = run(built.network, payloads, block=2)
    counters = expected_counters(core, golden)
    found = built.run(
        tmp_path / "run",
        {"burst": built.loads},
        {"pauses": [5, 0.3]},
        {"send": to_beats(payloads, np.random.default_rng(5), idle=0.1)},
        {"results": 1},
        {"wait_read": [register_map(core)["STATUS"].offset, 1, 0]},
        {"read": places(core, list(counters))},
    )
    assert found[3][0] == to_packets(golden)
    assert [count for count, _ in found[5]] == [int(c.sum()) for c in counters.values()]
