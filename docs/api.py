"""The folders of the tree, and for each a page of its modules from their docstrings."""

from __future__ import annotations

from pathlib import Path

FOLDERS = {
    "dmp_core": "the face: the command dmp, and networks and cores from Python",
    "dmp_core/frontends": "networks that were trained elsewhere: NIR, snnTorch, Lava, arrays",
    "golden": "the network in reals and integers, its parameters, and what files say of a core",
    "golden/hardware": "what follows for the core: sizes, memories, latencies, counters",
    "golden/cost": "predicted cycles and accesses, the search for hardware, other designs",
    "golden/data": "data sets, as sequences of events",
    "golden/train": "training: all that needs Torch",
    "export": "integers to memory images and back, stored networks, command line",
    "rtl": "the core in Amaranth, and nothing else",
    "rtl/host": "what connects a core to a host: AXI, UART, boards",
    "rtl/verilog": "from components to a Verilog file and its pages of registers",
    "rtl/synth": "synthesis, place and route, netlists",
    "tb": "runs the Verilog and holds every value to the golden model; measurements",
    "study": "the paper's findings: networks trained, measured on their cores, and compared",
    "energy": "the energy of inferences, from a core's gates",
    "formal": "proofs of the components: what is claimed of each, and the solvers' runs",
    "soak": "random cores on random sequences, every value against golden; fuzzed buses",
    "mutants": "one token of the sources changed at a time: which tests see it",
    "handoff": "the package for other tools: FuseSoC, LiteX, IP-XACT, Vivado",
    "driver": "talks to a core from a host: UART, memory map, or the Verilog itself",
}


def modules(root: Path, folder: str) -> list[str]:
    """Return the names of a folder's modules that have a docstring to show."""
    files = sorted(path.stem for path in (root / folder).glob("*.py"))
    return [f"{folder.replace('/', '.')}.{stem}" for stem in files if not stem.startswith("__")]


def write_api_pages(root: Path) -> None:
    """Write docs/api/FOLDER.rst for each folder; a page that is as it should be is left alone."""
    folder = root / "docs" / "api"
    folder.mkdir(exist_ok=True)
    for path, what in FOLDERS.items():
        name = path.replace("/", ".")
        parts = [f"{name}\n{'=' * len(name)}\n\n{what[0].upper()}{what[1:]}.\n"]
        for module in modules(root, path):
            parts.append(f"{module}\n{'-' * len(module)}\n\n.. automodule:: {module}\n")
        page, text = folder / f"{name}.rst", "\n".join(parts)
        if not page.exists() or page.read_text() != text:
            page.write_text(text)
    for page in folder.glob("*.rst"):
        if page.stem.replace(".", "/") not in FOLDERS:
            page.unlink()
