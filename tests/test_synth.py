"""The generated Verilog as other tools read it: lint in Verilator, synthesis for several families
of devices, placed and routed.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from export.core import write_core
from export.store import load_network
from golden.data.synthetic import draw_layers
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import NetworkIntegers
from golden.manifest import read_core
from rtl.synth.devices import DEVICES
from rtl.synth.netlist import expected_macros
from rtl.synth.pin_wrapper import wrap_in_pins
from rtl.synth.place import place
from rtl.synth.report import Synthesis, kind_of, main, part_of, synthesize
from rtl.verilog.generate import generate
from rtl.verilog.yosys import run_yosys

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
def synthesis(
    core: CoreParams, verilog: Path, tmp_path_factory: pytest.TempPathFactory
) -> Synthesis:
    folder = tmp_path_factory.mktemp("synthesis")
    return synthesize(verilog, DEVICES["ecp5-25k"], folder, floorplan=core)


# Finds as many multipliers as the netlist has, and a clock by seed and placer, if it may be told of
# one that is too slow.
NEXTPNR = f"""#!{sys.executable}
import json, sys
from pathlib import Path
words = sys.argv[1:]
given = {{word: words[words.index(word) + 1] for word in words if word.startswith("--")
         and not word.endswith(("25k", "fail"))}}
netlist = json.loads(Path(given["--json"]).read_text())
modules = netlist["modules"].values()
cells = [cell["type"] for module in modules for cell in module["cells"].values()]
clock = {{"heap": 50.0, "static": 70.0}}[given["--placer"]] + int(given["--seed"]) % 3
if clock < float(given["--freq"]) and "--timing-allow-fail" not in words:
    sys.exit("ERROR: too slow")
step = {{"to": {{"cell": "layer0.a_TRELLIS_FF_Q"}}, "type": "clk-to-q", "delay": 1000 / clock}}
Path(given["--report"]).write_text(json.dumps({{
    "fmax": {{"clk": {{"achieved": clock}}}},
    "critical_paths": [{{"from": "posedge clk", "to": "posedge clk", "path": [step]}}],
    "utilization": {{"MULT18X18D": {{"used": cells.count("MULT18X18D"), "available": 28}}}},
}}))
"""


@pytest.fixture(scope="module")
def placed(verilog: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """Return what the command stores and prints with a nextpnr that takes no time."""
    folder = tmp_path_factory.mktemp("placed")
    program = folder / "nextpnr"
    program.write_text(NEXTPNR)
    program.chmod(0o755)
    measured = {
        "slowest_layer": {"cycles_per_timestep": 50.0}, "timesteps": 56, "digits": 2,
        "cycles_per_timestep": {"measured": {"layer0": 40.0, "readout": 10.0}},
    }  # fmt: skip
    for name in ("manifest.json", "ports.json", "single.v"):
        (folder / name).write_bytes((verilog.parent / name).read_bytes())
    (folder / "report.json").write_text(json.dumps(measured))
    options = ["--device", "ecp5-25k", "--seeds", "4", "--mhz", "80", "--placer", "static"]
    options += ["--floorplan", "--cycles", "1000"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(DEVICES, "ecp5-25k", replace(DEVICES["ecp5-25k"], placer=str(program)))
        done = CliRunner().invoke(main, [str(folder / "manifest.json"), *options])
    assert done.exit_code == 0, done.output
    return json.loads((folder / "synth.json").read_text()), done.output


def test_ecp5_takes_weights_in_block_rams_and_products_in_multipliers(
    core: CoreParams, placed: tuple[dict[str, Any], str]
) -> None:
    cells, _ = placed
    # 2 lanes, 2 timesteps, 2 events or products; both neurons of a group share the leak's.
    assert core.layers[0].multipliers == {
        "spike": 8, "leak": 1, "state": 8, "update": 1, "drive": 1
    }  # fmt: skip
    assert cells["multipliers"] == core.multipliers == 19 == cells["multipliers_arranged"]
    assert cells["parts"]["layer0"]["multipliers"] == 19
    assert set(cells["parts"]) == {"core", "layer0", "readout", "pins"}
    weights = [core.memories[name] for name in core.memories if name.endswith((".w_f", ".p"))]
    bits = sum(memory.bits for memory in weights if memory.depth > 256)
    assert cells["block_rams"] * BLOCK_RAM_BITS >= bits > 0
    # What is not in a block RAM is small: 64 bits a distributed RAM.
    assert 0 < cells["distributed_rams"] * 64 < bits / 5


def test_the_command_tells_of_the_fastest_seed(placed: tuple[dict[str, Any], str]) -> None:
    found, said = placed
    assert (found["fmax_mhz"], found["seed"]) == (72.0, 2)
    assert found["seeds_mhz"] == {"2": 72.0, "1": 71.0, "4": 71.0, "3": 70.0}
    assert found["used"]["multipliers"] == found["multipliers"]
    assert found["available"]["multipliers"] == 28
    assert found["lanes"] == 2 and found["device"] == "ecp5-25k"
    assert found["critical_path"][0]["signal"] == "layer0.a"
    assert "single, 2 lanes, T = 2, E = 2, K = 2, on ecp5-25k" in said
    assert {"luts", "ffs", "block_rams", "multipliers"} < set(found)
    speed, parts = found["speed"], found["speed"]["parts"]
    assert speed["timesteps_per_second"] == pytest.approx(72e6 / 50)
    assert speed["samples_per_second"] * 28 == pytest.approx(speed["timesteps_per_second"])
    assert parts["layer0"]["timesteps_per_second"] == pytest.approx(72e6 / 40)
    assert parts["readout"]["samples_per_second"] == pytest.approx(72e6 / 10 / 28)
    assert "72.0 MHz" in said and "critical path" in said
    assert found["inference"] == {"cycles": 1000, "microseconds": pytest.approx(1000 / 72)}
    assert "13.89 us, for 1000 cycles" in said


@pytest.mark.long
def test_a_core_is_placed_and_routed(core: CoreParams, synthesis: Synthesis) -> None:
    """For the clock that was asked for; with the multipliers at the places of the floorplan."""
    [module] = (
        module
        for module in json.loads(synthesis.netlist.read_text())["modules"].values()
        if any(cell["type"] == "TRELLIS_FF" for cell in module.get("cells", {}).values())
    )
    multipliers = [cell for cell in module["cells"].values() if cell["type"] == "MULT18X18D"]
    assert len({cell["attributes"]["BEL"] for cell in multipliers}) == core.multipliers
    [placement] = place(synthesis.netlist, DEVICES["ecp5-25k"], [1], 50.0, jobs=1)
    assert 20 < placement.fmax_mhz < 300
    [clock] = json.loads((synthesis.netlist.parent / "seed1.json").read_text())["fmax"].values()
    assert clock["constraint"] == 50.0
    assert placement.used["multipliers"] == core.multipliers <= placement.available["multipliers"]
    assert placement.used["block_rams"] == synthesis.total["block_rams"]
    period = sum(logic + routing for _, logic, routing in placement.path)
    assert period == pytest.approx(1000 / placement.fmax_mhz, abs=0.05)
    assert any(part_of(name) != "core" for name, _, _ in placement.path)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Verilog of a core that fits an iCE40 UP5K."""
    network = draw_layers("tiny", (28, 32), 8, 10, seed=0)
    core = CoreParams(network.params, HardwareParams(lanes=1))
    return generate(write_core(network, core, tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def on_ecp5(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    return synthesize(tiny, DEVICES["ecp5-25k"], tmp_path_factory.mktemp("ecp5"))


@pytest.mark.long
@pytest.mark.parametrize("device", ["ice40-up5k", "gowin-gw2a-18", "xilinx-7"])
def test_every_family_takes_memories_in_rams(
    device: str, tiny: Path, on_ecp5: Synthesis, tmp_path: Path
) -> None:
    """Only a register file, read without a clock, is flip-flops where there are no distributed
    RAMs; the other registers are those of an ECP5, and of the shift registers of the pins.
    """
    core, _ = read_core(tiny.with_name("manifest.json"))
    synthesis = synthesize(tiny, DEVICES[device], tmp_path)
    cells, in_ffs = synthesis.total, synthesis.memories_in_ffs
    macros = expected_macros(core)
    files = [macro for macro in macros.values() if not macro.clocked]
    assert on_ecp5.memories_in_ffs == [] and len(files) == 1
    if device == "ice40-up5k":
        assert in_ffs == ["layer0.slow_state.drives.items_storage"]
        assert cells["distributed_rams"] == 0
        assert cells["block_rams"] >= len(macros) - len(files)
    else:
        assert in_ffs == [] and cells["distributed_rams"] > 0 < cells["block_rams"]
    assert cells["multipliers"] == core.multipliers and cells["sprams"] == 0
    assert synthesis.parts["layer0"]["multipliers"] == core.multipliers
    assert synthesis.parts["layer0"]["ffs"] > 0 < synthesis.parts["readout"]["luts"]
    filed = sum(macro.depth * macro.width for macro in files) * bool(in_ffs)
    elsewhere = on_ecp5.moved + on_ecp5.in_rams  # in an ECP5's multipliers and block RAMs
    assert on_ecp5.moved > 0 == synthesis.moved and on_ecp5.in_rams > 0 == synthesis.in_rams
    assert cells["ffs"] <= on_ecp5.total["ffs"] + elsewhere + filed
    assert ("pins" in synthesis.parts) == DEVICES[device].pins
    assert set(on_ecp5.parts) == {"core", "layer0", "readout", "pins"}
    assert set(synthesis.parts) - {"pins"} == set(on_ecp5.parts) - {"pins"}


@pytest.mark.long
def test_a_core_is_placed_on_a_small_device(tiny: Path, tmp_path: Path) -> None:
    """Within shift registers: five pins, whose names are not on the path within the core."""
    device = DEVICES["ice40-up5k"]
    synthesis = synthesize(tiny, device, tmp_path)
    [placement] = place(synthesis.netlist, device, [1], 30.0, jobs=1)
    assert 10 < placement.fmax_mhz < 100
    assert placement.available == {
        "logic_cells": 5280, "block_rams": 30, "sprams": 4, "multipliers": 8
    }  # fmt: skip
    assert placement.used["block_rams"] == synthesis.total["block_rams"]
    assert placement.used["multipliers"] == synthesis.total["multipliers"]
    assert placement.used["logic_cells"] >= max(synthesis.total["luts"], synthesis.total["ffs"])
    assert not any(name.startswith("core.") for name, _, _ in placement.path)


def test_pins_shift_every_port_in_and_out(tmp_path: Path) -> None:
    """Simulated by Yosys, around a module that inverts."""
    ports = [
        {"name": "clk", "direction": "input", "width": 1},
        {"name": "rst", "direction": "input", "width": 1},
        {"name": "i_a", "direction": "input", "width": 2},
        {"name": "i_b", "direction": "input", "width": 1},
        {"name": "o_a", "direction": "output", "width": 3},
    ]
    inner = (
        "module top(input clk, input rst, input [1:0] i_a, input i_b, output [2:0] o_a);\n"
        "assign o_a = ~{i_a, i_b};\nendmodule\n"
    )
    # After 3 shifts the input register holds 110; loaded, its complement 001 is shifted out.
    check = (
        "module check(input clk);\nreg [3:0] n = 0; wire o;\nalways @(posedge clk) n <= n + 1;\n"
        "dmp_core_pins d(.clk(clk), .rst(1'b0), .pins_i(n < 2), .pins_load(n == 3), .pins_o(o));\n"
        "always @(posedge clk) if (n == 4 || n == 5) assert(!o);\n"
        "always @(posedge clk) if (n == 6) assert(o);\nendmodule\n"
    )
    (tmp_path / "all.v").write_text(inner + wrap_in_pins(ports, "top") + check)
    run_yosys(
        tmp_path,
        "read_verilog -sv -formal all.v",
        "prep -top check",
        *("flatten", "async2sync", "chformal -lower"),
        "sat -verify -prove-asserts -tempinduct -tempinduct-baseonly -maxsteps 8",
    )


def test_a_device_without_a_placer_is_named(verilog: Path) -> None:
    options = ["--device", "xilinx-7", "--seeds", "1"]
    done = CliRunner().invoke(main, [str(verilog.with_name("manifest.json")), *options])
    assert done.exit_code == 2 and done.output.count("\n") == 1
    assert "xilinx-7 has no placer here" in done.output


def test_block_rams_of_double_size_count_twice() -> None:
    device = DEVICES["xilinx-7"]
    assert {kind_of(cell, device) for cell in ("RAMB18E1", "RAMB36E1")} == {"block_rams"}
    assert device.weights == {"RAMB36E1": 2} and device.block_ram_bits == 18 * 1024
    assert [kind_of(cell, device) for cell in ("LUT6", "FDRE", "DSP48E1", "RAM32M", "CARRY4")] == [
        "luts", "ffs", "multipliers", "distributed_rams", None
    ]  # fmt: skip


def test_a_missing_or_broken_file_is_one_line(verilog: Path, tmp_path: Path) -> None:
    missing = CliRunner().invoke(main, [str(tmp_path / "manifest.json")])
    assert missing.exit_code == 2 and missing.output.count("\n") == 1
    (tmp_path / "manifest.json").write_text((verilog.parent / "manifest.json").read_text())
    without = CliRunner().invoke(main, [str(tmp_path / "manifest.json")])
    assert without.exit_code == 2 and "single.v: generate the core first" in without.output
    whole = verilog.read_text()
    (tmp_path / "single.v").write_text(whole[: len(whole) // 2])
    cut = CliRunner().invoke(main, [str(tmp_path / "manifest.json")])
    assert cut.exit_code == 2 and cut.output.count("\n") == 1
    assert "single.v does not end with a module's end: generate the core again" in cut.output
    (tmp_path / "single.v").write_text("module dmp_core( endmodule")
    clockless = CliRunner().invoke(main, [str(tmp_path / "manifest.json"), "--cycles", "9"])
    assert clockless.exit_code == 2
    assert clockless.output == "error: --cycles: there is no clock without --seeds\n"
    alone = CliRunner().invoke(main, [str(tmp_path / "manifest.json")])
    assert alone.exit_code == 2 and "ports.json: generate the core first" in alone.output
    (tmp_path / "ports.json").write_text((verilog.parent / "ports.json").read_text())
    broken = CliRunner().invoke(main, [str(tmp_path / "manifest.json")])
    assert broken.exit_code == 2 and "Yosys failed: core.v:1: ERROR: " in broken.output
    assert not (tmp_path / "synth.json").exists()
