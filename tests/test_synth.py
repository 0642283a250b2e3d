"""The generated Verilog as other tools read it: lint in Verilator, synthesis for an ECP5, placed
and routed.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from export.manifest import write_core
from export.store import load_network
from golden.errors import UserError
from golden.hardware import CoreParams, HardwareParams
from golden.integer import NetworkIntegers
from rtl.devices import DEVICES
from rtl.generate import AXI_TOP, TOP, generate, generate_axi
from rtl.place import find_program, place, read_report, signal_of
from rtl.synth import Synthesis, main, part_of, synthesize
from tb.verilator import find_verilator

BLOCK_RAM_BITS = 18 * 1024


@pytest.fixture(scope="module")
def network() -> NetworkIntegers:
    """Return the first layer of a shipped network, whose events are graded, and its readout."""
    rows = load_network("rows")
    params = replace(rows.params, name="single", layers=rows.params.layers[:1])
    return replace(rows, params=params, layers=rows.layers[:1])


@pytest.fixture(scope="module")
def core(network: NetworkIntegers) -> CoreParams:
    hardware = HardwareParams(lanes=2, block=2, events_per_cycle=2, products_per_cycle=2)
    return CoreParams(network.params, hardware)


@pytest.fixture(scope="module")
def verilog(
    network: NetworkIntegers, core: CoreParams, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return generate(write_core(network, core, tmp_path_factory.mktemp("a folder")))


@pytest.fixture(scope="module")
def synthesis(verilog: Path, tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    return synthesize(verilog, DEVICES["ecp5-25k"], tmp_path_factory.mktemp("synthesis"))


@pytest.mark.parametrize(("top", "write"), [(TOP, generate), (AXI_TOP, generate_axi)])
def test_verilator_finds_no_error(top: str, write: Callable[[Path], Path], verilog: Path) -> None:
    folder = find_verilator()
    verilog = write(verilog.parent / "manifest.json")
    done = subprocess.run(
        [folder / "verilator", "--lint-only", "-Wno-fatal", "--top", top, verilog],
        env=os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_ecp5_takes_weights_in_block_rams_and_products_in_multipliers(
    core: CoreParams, synthesis: Synthesis
) -> None:
    cells = synthesis.total
    # 2 lanes, 2 timesteps, 2 events or products; both neurons of a group share the leak's.
    assert core.layers[0].multipliers == {
        "spike": 8, "leak": 1, "state": 8, "update": 1, "drive": 1
    }  # fmt: skip
    assert cells["multipliers"] == core.multipliers == 19
    assert synthesis.parts["layer0"]["multipliers"] == 19
    assert set(synthesis.parts) == {"core", "layer0", "readout"}
    weights = [core.memories[name] for name in core.memories if name.endswith((".w_f", ".p"))]
    bits = sum(memory.bits for memory in weights if memory.depth > 256)
    assert cells["block_rams"] * BLOCK_RAM_BITS >= bits > 0
    # What is not in a block RAM is small: 64 bits a distributed RAM.
    assert 0 < cells["distributed_rams"] * 64 < bits / 5


def test_a_core_is_placed_and_routed(
    core: CoreParams, verilog: Path, synthesis: Synthesis, tmp_path: Path
) -> None:
    """One seed, and the same through the command, which finds what a simulation measured."""
    [placement] = place(synthesis.netlist, DEVICES["ecp5-25k"], [1], 50.0, jobs=1)
    assert 20 < placement.fmax_mhz < 300
    assert placement.used["multipliers"] == core.multipliers <= placement.available["multipliers"]
    assert placement.used["block_rams"] == synthesis.total["block_rams"]
    period = sum(logic + routing for _, logic, routing in placement.path)
    assert period == pytest.approx(1000 / placement.fmax_mhz, abs=0.05)
    assert any(part_of(name) != "core" for name, _, _ in placement.path)
    measured = {
        "slowest_layer": {"cycles_per_timestep": 50.0}, "timesteps": 56, "digits": 2,
    }  # fmt: skip
    (verilog.parent / "report.json").write_text(json.dumps(measured))
    options = ["--device", "ecp5-25k", "--seeds", "1", "--mhz", "50"]
    manifest = verilog.parent / "manifest.json"
    done = CliRunner().invoke(main, [str(manifest), *options, "--out", str(tmp_path / "s.json")])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "s.json").read_text())
    assert found["fmax_mhz"] == placement.fmax_mhz and found["seed"] == 1
    assert found["lanes"] == 2 and found["device"] == "ecp5-25k"
    assert {"luts", "ffs", "block_rams", "multipliers"} < set(found)
    assert found["speed"]["timesteps_per_second"] == pytest.approx(placement.fmax_mhz * 1e6 / 50)
    assert found["speed"]["samples_per_second"] * 28 == found["speed"]["timesteps_per_second"]
    assert f"{placement.fmax_mhz:.1f} MHz" in done.output and "critical path" in done.output


def test_a_core_that_does_not_fit_is_named(tmp_path: Path) -> None:
    """More memory bits than the device has; nothing is left."""
    source = tmp_path / "big.v"
    source.write_text(
        "module dmp_core(input clk, input we, input [19:0] a, output reg [15:0] q);\n"
        '(* ram_style = "block" *) reg [15:0] m [0:1048575];\n'
        "always @(posedge clk) begin if (we) m[a] <= q + 1; q <= m[a]; end\nendmodule\n"
    )
    device = DEVICES["ecp5-25k"]
    netlist = synthesize(source, device, tmp_path / "out").netlist
    with pytest.raises(UserError, match="nextpnr failed: .*"):
        place(netlist, device, [1], 50.0, jobs=1)


def test_the_fastest_of_a_report_and_its_signals() -> None:
    """Two clocks: the slower counts, with the path within it; delays of a signal's cells add up."""

    def step(cell: str, kind: str, delay: float) -> dict[str, Any]:
        return {"to": {"cell": cell}, "type": kind, "delay": delay}

    steps = [
        step("layer0.a_TRELLIS_FF_Q_3", "clk-to-q", 0.5),
        step("layer0.b_DI_LUT4_Z_1", "routing", 1.0),
        step("layer0.b_DI_LUT4_Z_1_C_LUT4_Z", "logic", 0.25),
        step("layer0.b", "routing", 0.5),
        step("readout.c_TRELLIS_FF_Q", "setup", 0.0),
    ]
    paths = [
        {"from": "posedge fast", "to": "posedge fast", "path": steps[:1]},
        {"from": "posedge slow", "to": "posedge fast", "path": steps[:2]},
        {"from": "posedge slow", "to": "posedge slow", "path": steps},
    ]
    report = {
        "fmax": {"fast": {"achieved": 200.0}, "slow": {"achieved": 100.0}},
        "critical_paths": paths,
        "utilization": {"DP16KD": {"used": 3, "available": 56}},
    }
    found = read_report(report, DEVICES["ecp5-25k"], 4)
    assert (found.seed, found.fmax_mhz) == (4, 100.0)
    assert found.used["block_rams"] == 3 and found.available["block_rams"] == 56
    assert found.path == [("layer0.a", 0.5, 0.0), ("layer0.b", 0.25, 1.5), ("readout.c", 0.0, 0.0)]
    with pytest.raises(UserError, match="no clock"):
        read_report(report | {"fmax": {}}, DEVICES["ecp5-25k"], 4)


def test_names_of_cells() -> None:
    assert signal_of("readout.before_6_TRELLIS_FF_Q_4") == "readout.before"
    assert signal_of("layer1.events.addresses.0.0") == "layer1.events.addresses.0.0"
    assert [
        part_of(name) for name in ("layer12.a.b", "readout.x", "o_counter_LUT4", "layers.a")
    ] == ["layer12", "readout", "core", "core"]


def test_a_missing_program_is_named() -> None:
    with pytest.raises(UserError, match=r"there is no nextpnr-none: install .*\[synth\]"):
        find_program("nextpnr-none")


def test_a_missing_or_broken_file_is_one_line(verilog: Path, tmp_path: Path) -> None:
    missing = CliRunner().invoke(main, [str(tmp_path / "manifest.json")])
    assert missing.exit_code == 2 and missing.output.count("\n") == 1
    (tmp_path / "manifest.json").write_text((verilog.parent / "manifest.json").read_text())
    without = CliRunner().invoke(main, [str(tmp_path / "manifest.json")])
    assert without.exit_code == 2 and "no Verilog" in without.output
    (tmp_path / "single.v").write_text("module dmp_core(")
    broken = CliRunner().invoke(main, [str(tmp_path / "manifest.json")])
    assert broken.exit_code == 2 and "Yosys failed" in broken.output
    assert not (tmp_path / "synth.json").exists()
