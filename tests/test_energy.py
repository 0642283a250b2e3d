"""The energy of a netlist by hand is what one computes on paper; that of a whole core comes from
its gates.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from click.testing import CliRunner

from dmp_core.__main__ import main
from energy import activity, command
from energy.activity import Accesses, Activity, watch
from energy.calculate import calculate, component_of, ports_of, total_by_nets
from energy.gates import synthesize
from energy.model import all_of, write_model
from energy.netlist import Gate, Memory, Netlist, ReadPort, place_of, read_gates
from energy.technology import Cell, Macro, Pin, Technology, becomes_registers, read_technology
from export.core import make_core
from golden.errors import UserError
from golden.hardware.params import ABLATIONS, HardwareParams

# At 2 V a transition of 1 fF takes 2 fJ. Every energy is another number: what is forgotten shows.
INVERTER = Cell(1.0, 1.0, {"A": Pin(1.0, 0.5)}, "Y", "!A", 3.0)
NAND = Cell(2.0, 2.0, {"A": Pin(2.0, 0.0), "B": Pin(3.0, 0.25)}, "Y", "!(A*B)", 5.0)
REGISTER = Cell(
    8.0, 8.0, {"D": Pin(2.0, 0.125), "C": Pin(4.0, 0.0)}, "Q", "D", 7.0, "C", 11.0, 13.0
)
GATE = Cell(4.0, 4.0, {"E": Pin(2.0, 0.75), "C": Pin(5.0, 0.0)}, "G", "E", 0.0, "C", 17.0, 19.0)
# Read 1 + width / 2 + bits / 1000 pJ, write twice that; leakage bits / 100 nW; area 2 bits um2.
MACROS = tuple(
    Macro(words, width, ports, read, 2 * read, words * width / 100, 2.0 * words * width, 6.0)
    for ports in (1, 2)
    for words, width in ((64, 8), (256, 8), (256, 32))
    for read in (1 + width / 2 + words * width / 1000,)
)
PAPER = Technology(
    "paper", 2.0, {"inv": INVERTER, "nand": NAND, "dff": REGISTER, "icg": GATE}, "dff", "icg",
    MACROS, 1.0, 0.1, 15.0,
)  # fmt: skip

CLK, RST, IN, ENABLE, GATED, HELD, MIXED, OUT, READ = range(2, 11)
# in -> nand(in, held) -> inv -> register (always clocked) -> out; held: a register behind a gate.
# A memory of 128 words of one bit reads at address `out` where `enable`, and writes `mixed`.
NETLIST = Netlist(
    {"clk": [CLK], "i": [IN, ENABLE], "o": [OUT, READ]},
    ["clk", "i"],
    CLK,
    [
        Gate("layer0.spike_path", "nand", {"A": IN, "B": HELD, "Y": MIXED}),
        Gate("layer1.neurons", "inv", {"A": MIXED, "Y": RST}),
        Gate("layer1.neurons", "dff", {"D": RST, "C": CLK, "Q": OUT}),
        Gate("counters", "icg", {"E": ENABLE, "C": CLK, "G": GATED}),
        Gate("counters", "dff", {"D": IN, "C": GATED, "Q": HELD}),
    ],
    [
        Memory(
            "layer0.neurons.u",
            128,
            1,
            [ReadPort([OUT], [READ], ENABLE, False)],
            [IN],
            [MIXED],
            ["1"],
        )
    ],
)
ACTIVITY = Activity(
    100,
    {IN: 40, ENABLE: 6, MIXED: 30, RST: 30, OUT: 20, HELD: 10, READ: 9},
    {(): 100, (ENABLE,): 25},
    {"layer0.neurons.u": Accesses(25, 100, 25)},
)


def test_the_energy_on_paper() -> None:
    """By hand, in fJ. A wire takes 1 fF for each input, a memory's input 6 fF."""
    ports = ports_of(NETLIST, ACTIVITY.memories)
    assert ports == {"layer0.neurons.u": 2}
    found = calculate(NETLIST, PAPER, ACTIVITY, ports)
    # in: nand A 2, register D 2, address 6, three wires: 13 fF. enable: gate 2, enable 6, 2 wires.
    inputs = 40 * 26 + 6 * 20
    # mixed: inverter 1, data 6, two wires: 9 fF; held at pin B.
    nand = 30 * (5 + 18) + 10 * 0.25
    # after the inverter: a register's D, and a wire: 3 fF.
    inverter = 30 * (3 + 6) + 30 * 0.5
    # out: the address, and a wire: 7 fF. held: nand B 3 and a wire: 4 fF.
    out, held = 20 * (7 + 14) + 30 * 0.125, 10 * (7 + 8) + 40 * 0.125
    # 5 fF twice a period; 80 periods without a change, 20 with one.
    clock_of_out = 100 * 2 * 10 + 80 * 11 + 20 * 13
    clock_of_held = 25 * 2 * 10 + 15 * 11 + 10 * 13
    # The gate: 6 fF twice a period, 75 still and 25 passing, and its enable.
    gate = 100 * 2 * 12 + 75 * 17 + 25 * 19 + 6 * 0.75
    expected = {
        ("control", "logic"): inputs,
        ("spike path", "logic"): nand,
        ("neuron stage", "logic"): inverter,  # and the memory's output, which reaches no input
        ("neuron stage", "registers"): out,
        ("neuron stage", "clock"): clock_of_out,
        ("counters", "registers"): held,
        ("counters", "clock"): clock_of_held + gate,
        ("neuron stage", "memories"): 1e3 * (25 * 1.628 + 100 * 3.256),
    }
    assert found.dynamic == pytest.approx({key: fj / 1e3 for key, fj in expected.items()})
    assert found.total == pytest.approx(sum(expected.values()) / 1e3)
    assert found.leakage == pytest.approx(
        {"spike path": 2.0, "neuron stage": 1.0 + 8.0 + 1.28, "counters": 4.0 + 8.0}
    )
    assert found.area == pytest.approx({"gates": 23.0, "memories": 256.0})


def test_the_parts_are_the_whole() -> None:
    """Added up by nets, pins and clocks it is the same; of a netlist without one gate it is not."""
    ports = ports_of(NETLIST, ACTIVITY.memories)
    whole = total_by_nets(NETLIST, PAPER, ACTIVITY, ports)
    assert calculate(NETLIST, PAPER, ACTIVITY, ports).total == pytest.approx(whole, rel=1e-12)
    for index in range(len(NETLIST.gates)):
        gates = [gate for number, gate in enumerate(NETLIST.gates) if number != index]
        less = replace(NETLIST, gates=[*gates, *NETLIST.gates[3:4]][: len(gates)])
        if less.gates != NETLIST.gates and index != 3:
            found = calculate(less, PAPER, ACTIVITY, ports).total
            assert found != pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize("cell", ["inv", "nand", "dff", "icg"])
@pytest.mark.parametrize("what", ["energy", "still", "changing"])
def test_every_coefficient_counts(cell: str, what: str) -> None:
    """One fJ more in a cell is as much more as the activity says."""
    more = replace(PAPER.cells[cell], **{what: getattr(PAPER.cells[cell], what) + 1})
    other = replace(PAPER, cells={**PAPER.cells, cell: more})
    times = {
        ("inv", "energy"): 30, ("nand", "energy"): 30, ("dff", "energy"): 20 + 10,
        ("dff", "still"): 80 + 15, ("dff", "changing"): 20 + 10,
        ("icg", "still"): 75, ("icg", "changing"): 25,
    }.get((cell, what), 0)  # fmt: skip
    ports = ports_of(NETLIST, ACTIVITY.memories)
    before = calculate(NETLIST, PAPER, ACTIVITY, ports).total
    added = calculate(NETLIST, other, ACTIVITY, ports).total - before
    assert 1e3 * added == pytest.approx(times, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "place", "component"),
    [
        (r"$flatten\layer0.\spike_path.\w.$auto$ff.cc:1$2", "layer0.spike_path.w", "spike path"),
        (r"$flatten\layer1.\state_path.$abc$1$new_n2", "layer1.state_path", "dense path"),
        ("layer0.slow_state.values", "layer0.slow_state", "state update"),
        (r"$flatten\layer0.\drive.x", "layer0.drive", "state update"),
        (r"$flatten\layer0.\neurons.\walk.$abc$1", "layer0.neurons.walk", "neuron stage"),
        (r"$flatten\layer0.\encoder.\queue.$abc$1", "layer0.encoder.queue", "lists and encoders"),
        ("layer1.sums.currents_4", "layer1.sums", "sums of groups"),
        ("readout.events.addresses", "readout.events", "readout"),
        (r"$flatten\readout.\spike_path.$abc$1", "readout.spike_path", "readout"),
        (r"$flatten\counters.$abc$1", "counters", "counters"),
        (r"$flatten\loader.$abc$1", "loader", "load"),
        (r"$flatten\layer0.\schedule.$abc$1", "layer0.schedule", "control"),
        ("$abc$1$auto$x", "", "control"),
    ],
)  # fmt: skip
def test_every_cell_has_a_component(name: str, place: str, component: str) -> None:
    assert place_of(name) == place and component_of(place) == component


def test_a_gated_clock_is_an_enable_of_its_registers() -> None:
    """Through two gates both enables count; a gate whose clock nothing drives is refused."""
    inner = Gate("counters", "icg", {"E": MIXED, "C": GATED, "G": 11})
    nested = replace(NETLIST, gates=[inner, *NETLIST.gates])
    assert nested.enables_of(PAPER) == {CLK: (), GATED: (ENABLE,), 11: (ENABLE, MIXED)}
    with pytest.raises(UserError, match="a clock gate of counters has no clock"):
        replace(NETLIST, gates=[inner]).enables_of(PAPER)
    watched = watch(NETLIST, PAPER)
    text = write_model(NETLIST, PAPER, watched, "core")
    assert f"always @(posedge clk) if (n{ENABLE}) begin\nn{HELD} <= n{IN};\nend" in text
    assert f"wire n{MIXED} = ~(n{IN} & n{HELD});" in text
    assert all_of((ENABLE, MIXED)) == f"n{ENABLE} & n{MIXED}" and all_of(()) == "1'b1"
    assert set(watched.nets) == {IN, ENABLE, MIXED, RST, OUT, HELD, READ}


def test_the_window_of_every_inference_ends_with_its_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of three runs of 10, 20 and 30 cycles, each settles for 3: only accesses count these."""
    watched = watch(NETLIST, PAPER)

    class Core:
        def __init__(self, job: object, width: int) -> None:
            self.width, self.cycles = width, 5
            self.taken: list[tuple[int, np.ndarray]] = []
            self.on_results()

        def on_results(self) -> None:
            self.taken.append((self.cycles, np.full(self.width, self.cycles)))
            self.cycles = 0

        def close(self) -> None:
            assert not self.cycles

    def run_chunk(core: Core, job: object, payload: object, index: int) -> SimpleNamespace:
        core.cycles += 10 * (index + 1)
        core.on_results()
        core.cycles += 3
        return SimpleNamespace(mismatches=0)

    monkeypatch.setattr(activity, "CountingCore", Core)
    monkeypatch.setattr(activity, "run_chunk", run_chunk)
    monkeypatch.setattr(activity, "Batch", SimpleNamespace(join=list))
    found = activity.measure(NETLIST, PAPER, cast(Any, None), watched, np.zeros((3, 1, 1)))
    assert (found.load.cycles, found.run.cycles) == (5, 60)
    assert set(found.run.transitions.values()) == {60}
    assert found.settled[NETLIST.memories[0].name].writes == 69


def test_a_netlist_with_other_cells_is_refused() -> None:
    module = {
        "ports": {"clk": {"direction": "input", "bits": [2]}},
        "cells": {"odd": {"type": "$_DLATCH_P_", "connections": {}}},
    }
    with pytest.raises(UserError, match=r"odd is a \$_DLATCH_P_, which paper does not have"):
        read_gates(module, PAPER)


@pytest.mark.parametrize(
    ("words", "width", "kept"),
    [
        (16, 40, False), (32, 16, False), (64, 8, False),
        (33, 16, True), (17, 31, True), (20, 40, True),
    ],
)  # fmt: skip
def test_a_memory_becomes_registers_where_a_macro_is_larger(
    words: int, width: int, kept: bool, tmp_path: Path
) -> None:
    source = tmp_path / "top.v"
    source.write_text(f"""
        module top(input clk, input en, input [6:0] a, input [{width - 1}:0] d,
                   output reg [{width - 1}:0] q);
          reg [{width - 1}:0] words [{words - 1}:0];
          always @(posedge clk) begin if (en) words[a] <= d; q <= words[a]; end
        endmodule""")
    found = synthesize(source, read_technology(), tmp_path / "gates", "top").memories
    assert len(found) == kept == (not becomes_registers(words, width))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Return the folder of a network of 4 neurons."""
    folder = tmp_path / "tiny"
    sizes = ("--neurons", "4", "--layers", "1", "--state", "2", "--classes", "2", "--inputs", "28")
    done = CliRunner().invoke(main, ["draw", "tiny", *sizes, "--out", str(folder)])
    assert done.exit_code == 0, done.output
    return folder


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--liberty", "none.lib"), "error: none.lib cannot be read"),
        (("--sram", "none.lib"), "error: none.lib cannot be read"),
        (("--data", "none.npz"), "error: .*none.npz"),
        (("--timesteps", "0"), "error: Invalid value for '--timesteps'"),
        (("--mhz", "0"), "error: Invalid value for '--mhz'"),
        (("--digits", "100000"), "error: --digits 100000: there are"),
    ],
)
def test_bad_input_ends_it_in_a_line(tiny: Path, options: tuple[str, ...], says: str) -> None:
    manifest = make_core(str(tiny), HardwareParams(2, trace=False), tiny / "core")
    done = CliRunner().invoke(command.main, [str(manifest), "--network", str(tiny), *options])
    assert done.exit_code == 2 and not (tiny / "core" / command.REPORT).exists()
    (line,) = [line for line in done.output.splitlines() if line.startswith("error")]
    assert re.match(says, line), line


@pytest.mark.long
def test_a_whole_core(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two sequences, cut: every figure is there, the parts are the whole. One gate that does
    another thing ends it, and leaves no report.
    """
    out = tiny / "core"
    arguments = ["energy", str(tiny), "--lanes", "2", "--out", str(out), "--digits", "2"]
    done = CliRunner().invoke(main, [*arguments, "--timesteps", "14", "--mhz", "50"])
    assert done.exit_code == 0, done.output
    assert "14 timesteps (cut from 28)" in done.output and (out / command.PICTURE).exists()
    summary = json.loads((out / command.REPORT).read_text())
    energy = summary["microjoules"]
    parts = [part for parts in energy["components"].values() for part in parts.values()]
    assert energy["inference"] == pytest.approx(sum(parts) / 2)  # each has its total, too
    assert energy["inference"] == pytest.approx(sum(energy["kinds"].values()) + energy["leakage"])
    assert summary["cycles"] == summary["work"]["cycles"]
    assert summary["memories_as_golden"] > 0 and summary["clock_gates"] > 0
    assert 0 < summary["clocked_register_cycles"]["changed"] < 1
    modules = summary["modules"].values()
    assert sum(m["registers"] for m in modules) == summary["registers"]
    assert all(m["without_gate"] <= m["clocked"] <= m["registers"] for m in modules)
    accesses_of = [m["reads"] + m["writes"] for m in summary["memories"].values()]
    assert all(accesses_of) and energy["load"] > 0
    moved = sum((m["reads"] + m["writes"]) * m["width"] for m in summary["memories"].values())
    assert summary["memory_bits"] > moved and summary["ablations"] == []  # small ones are registers

    def wrong(*given: Any) -> Netlist:
        netlist = synthesize(*given)
        gates = list(netlist.gates)
        at = next(i for i, gate in enumerate(gates) if gate.kind.startswith("sg13g2_xor2")
                  and component_of(gate.place) == "dense path")  # fmt: skip
        kind = gates[at].kind.replace("xor2", "xnor2")
        pins = {pin.replace("X", "Y"): net for pin, net in gates[at].pins.items()}
        gates[at] = Gate(gates[at].place, kind, pins)
        return replace(netlist, gates=gates)

    monkeypatch.setattr(command, "synthesize", wrong)
    done = CliRunner().invoke(main, [*arguments, "--timesteps", "14"])
    assert done.exit_code == 2 and "the gates differ from the golden model" in done.output
    assert not (out / command.REPORT).exists()


@pytest.mark.long
def test_a_whole_ablated_core(tmp_path: Path) -> None:
    """Without dependency breaking the logits are another network's, and the gates have these; the
    sums have a memory: of 70 neurons on 2 lanes.
    """
    sizes = ("--neurons", "70", "--layers", "1", "--state", "2", "--classes", "2", "--inputs", "9")
    folder, out = tmp_path / "drawn", tmp_path / "core"
    drawn = ["draw", "drawn", *sizes, "--rate", "2", "--out", str(folder)]
    assert CliRunner().invoke(main, drawn).exit_code == 0
    ablated = [word for name in ABLATIONS for word in ("--ablate", name)]
    arguments = ["energy", str(folder), "--lanes", "2", *ablated, "--out", str(out)]
    done = CliRunner().invoke(main, [*arguments, "--timesteps", "14", "--optimize", "-O0"])
    assert done.exit_code == 0, done.output
    assert f"ablated    {', '.join(ABLATIONS)}" in done.output
    summary = json.loads((out / command.REPORT).read_text())
    assert summary["ablations"] == list(ABLATIONS)
    (sums,) = [m for name, m in summary["memories"].items() if "layer0.sums" in name]
    assert sums["reads"] == sums["writes"] > 0 and sums["words"] == 35  # groups
    assert summary["microjoules"]["components"]["sums of groups"]["memories"] == sums["microjoules"]
