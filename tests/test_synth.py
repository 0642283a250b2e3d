"""The generated Verilog as other tools read it: lint in Verilator, synthesis for an ECP5."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from export.manifest import write_core
from export.store import load_network
from golden.hardware import CoreParams, HardwareParams
from golden.integer import NetworkIntegers
from rtl.generate import AXI_TOP, TOP, generate, generate_axi
from rtl.synth import BLOCK_RAM, MULTIPLIER, main, synthesize_ecp5
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
    core: CoreParams, verilog: Path
) -> None:
    cells = synthesize_ecp5(verilog)
    # 2 lanes, 2 timesteps, 2 events or products; both neurons of a group share the leak's.
    assert core.layers[0].multipliers == {
        "spike": 8, "leak": 1, "state": 8, "update": 1, "drive": 1
    }  # fmt: skip
    assert cells[MULTIPLIER] == core.multipliers == 19
    weights = [core.memories[name] for name in core.memories if name.endswith((".w_f", ".p"))]
    bits = sum(memory.bits for memory in weights if memory.depth > 256)
    assert cells[BLOCK_RAM] * BLOCK_RAM_BITS >= bits > 0
    # What is not in a block RAM is small: 64 bits a distributed RAM.
    assert cells.get("TRELLIS_DPR16X4", 0) * 64 < bits / 5


def test_a_missing_or_broken_file_is_one_line(tmp_path: Path) -> None:
    missing = CliRunner().invoke(main, [str(tmp_path / "core.v")])
    assert missing.exit_code == 2 and missing.output.count("\n") == 1
    broken = tmp_path / "broken.v"
    broken.write_text("module dmp_core(")
    found = CliRunner().invoke(main, [str(broken)])
    assert found.exit_code == 2 and "Yosys failed" in found.output
