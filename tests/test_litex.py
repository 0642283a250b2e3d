"""The package's LiteX module in a SoC: its registers over the SoC's interconnect, its streams at
endpoints, real runs in Verilator with the driver that drives the top alone.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from driver.device import Device
from driver.simulated import SHIM, Simulated
from export.core import read_images, write_core
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import run
from golden.registers import AXI_TOP
from handoff.fusesoc import FLAG, core_name
from handoff.litex import axi_files
from handoff.package import write_package
from rtl.verilog.generate import generate, generate_axi
from tb.compare import expected_counters
from tb.verilator import build_library
from tests.networks import Drawn, draw_network

SOC = "litex_soc"
FAST = "-O0"


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    drawn = draw_network(21, n_sequences=3, max_neurons=4, max_inputs=4, n_timesteps=5)
    assert len(drawn.network.layers) == 1  # a small one: compiling it is what takes time
    return replace(drawn, hardware=HardwareParams(2))


@pytest.fixture(scope="module")
def manifest(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    core = CoreParams(drawn.network.params, drawn.hardware)
    path = write_core(drawn.network, core, tmp_path_factory.mktemp("litex"))
    generate(path)
    return path


@pytest.fixture(scope="module")
def package(drawn: Drawn, manifest: Path) -> Path:
    generate_axi(manifest)
    return write_package(manifest, drawn.payloads[:1], manifest.parent / "package").folder


def test_the_package_has_the_standard_top(
    manifest: Path, package: Path, drawn: Drawn, tmp_path: Path
) -> None:
    name = drawn.network.params.name
    files = {path.name for path in (package / "axi").iterdir()}
    assert files == {f"{name}_axi.v", f"{name}_axi.h", f"{name}_axi.md", f"{name}_images.h",
                     "litex_dmp_core.py"}  # fmt: skip
    core, images = read_images(manifest)
    changed = manifest.parent / "changed"
    changed.mkdir()
    (changed / "manifest.json").write_text(manifest.read_text() + "\n")
    (changed / f"{name}_axi.v").write_text((manifest.parent / f"{name}_axi.v").read_text())
    with pytest.raises(UserError, match="belongs to an earlier manifest: write it again"):
        axi_files(changed / "manifest.json", core, images)
    assert axi_files(tmp_path / "manifest.json", core, images) == {}


def write_soc(package: Path, bus: str, out: Path) -> list[str]:
    """Write the Verilog of a SoC with this bus; return the files that it needs besides."""
    out.parent.mkdir()
    script = Path(__file__).with_name(f"{SOC}.py")
    done = subprocess.run(
        [sys.executable, str(script), str(package / "axi"), bus, str(out)],
        cwd=out.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_every_port_is_connected(manifest: Path, package: Path, drawn: Drawn) -> None:
    out = manifest.parent / "lite" / f"{SOC}.v"
    write_soc(package, "axi-lite", out)
    (instance,) = re.findall(rf"^{AXI_TOP} {AXI_TOP}\s?\((.*?)^\);", out.read_text(), re.M | re.S)
    verilog = (package / "axi" / f"{drawn.network.params.name}_axi.v").read_text()
    ports = verilog.split(f"module {AXI_TOP}(")[1].split(")")[0]
    assert sorted(re.findall(r"\.(\w+)\s*\(", instance)) == sorted(re.findall(r"\w+", ports))


@pytest.mark.long
def test_a_soc_runs_the_core(manifest: Path, package: Path, drawn: Drawn) -> None:
    """Through the Wishbone that LiteX has by default, so through its bridges as well."""
    name = drawn.network.params.name
    out = manifest.parent / "wishbone" / f"{SOC}.v"
    verilog = package / "axi" / f"{name}_axi.v"
    assert str(verilog) in write_soc(package, "wishbone", out), "the platform knows the file"
    shim = SHIM.read_text().replace(f"V{AXI_TOP}", f"V{SOC}")
    # The core has no timescale; and LiteX writes `always @(*)` with non-blocking assignments.
    system = re.sub(
        r"^`timescale.*$", "/* verilator lint_off COMBDLY */", out.read_text(), flags=re.M
    )
    sources = {"core.v": verilog.read_text(), out.name: system, SHIM.name: shim}
    library = build_library(sources, SOC, out.parent / "verilator", FAST)
    golden = run(drawn.network, drawn.payloads)
    with Device(Simulated(manifest, shared_object=library), manifest) as device:
        device.load()
        results = device.run(drawn.payloads)
        assert np.array_equal(results.logits, golden.logits)
        assert np.array_equal(results.classes, golden.classes)
        counters = device.counters()
        for counter, counts in expected_counters(device.core, golden).items():
            assert counters[counter] == counts.sum(), counter


@pytest.mark.parametrize("standard", [True, False])
def test_fusesoc_gives_a_system_the_core_or_its_top(
    standard: bool, package: Path, drawn: Drawn, tmp_path: Path
) -> None:
    """As a dependency of another core, whose target sets a flag or does not."""
    name = drawn.network.params.name
    system = {
        "name": "a:b:system:1", "filesets": {"rtl": {"depend": [core_name(name)]}},
        "targets": {
            "default": {
                "filesets": ["rtl"], "toplevel": "system", "flags": {FLAG: standard},
                "default_tool": "verilator", "tools": {"verilator": {"mode": "lint-only"}},
            }
        },
    }  # fmt: skip
    (tmp_path / "system.core").write_text("CAPI=2:\n" + json.dumps(system))
    fusesoc = Path(sys.executable).with_name("fusesoc")
    done = subprocess.run(
        [fusesoc, "--cores-root", package, "--cores-root", ".", "run", "--setup", "a:b:system:1"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (described,) = tmp_path.glob("build/**/*.eda.yml")
    found = re.findall(r"(\w+)\.v\b", described.read_text())
    assert found == [f"{name}_axi" if standard else name]
