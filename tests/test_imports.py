"""Imports go one way. Each room of the tree imports only what stands beside its name here, and
none but `golden.train` and the frontend of snnTorch's modules loads Torch.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "dmp_core", "docs", "driver", "energy", "export", "formal", "golden", "handoff", "mutants",
    "rtl", "soak", "study", "tb", "tests",
)  # fmt: skip
PARAMS = ("golden.params", "golden.readout_params", "golden.param_checks")
NUMBERS = ("golden.errors", "golden.formats", *PARAMS, "golden.hardware")
FILES = ("golden.files", "golden.manifest", "golden.interface")
COMMANDS = ("golden.command_line",)
HOST = ("golden.registers", "golden.uart_protocol")
CACHE = "golden.cache"
REALS = ("golden.reals", "golden.quantize")
PAYLOADS = ("golden.payloads",)
INPUTS = ("golden.inputs", "golden.hdf5")
INTEGERS = (*NUMBERS, "golden.integer", "golden.runs", "golden.blocks", "golden.cost")
# A folder's rule holds for all that is in it but what has a rule of its own.
ALLOWED: dict[str, tuple[str, ...]] = {
    "golden": (
        *NUMBERS,
        *FILES,
        *HOST,
        *REALS,
        *PAYLOADS,
        *INPUTS,
        CACHE,
        "golden.exact",
        "golden.integer",
        "golden.runs",
        "golden.blocks",
        "golden.picture",
        "golden.table",
    ),
    "golden/hardware": NUMBERS,
    "golden/cost": INTEGERS,
    "golden/data": (
        *NUMBERS,
        *PAYLOADS,
        *COMMANDS,
        CACHE,
        *INPUTS,
        "golden.files",
        "golden.integer",
        "golden.data",
    ),
    "golden/train": (
        *NUMBERS,
        *COMMANDS,
        *REALS,
        CACHE,
        "golden.files",
        "golden.integer",
        "golden.data",
        "golden.picture",
        "golden.train",
    ),
    "export": ("export", "golden"),
    "rtl": (*NUMBERS, "rtl"),
    "rtl/host": (*NUMBERS, *HOST, "rtl"),
    "rtl/verilog": (*NUMBERS, *HOST, *FILES, *COMMANDS, "rtl"),
    "rtl/synth": (*NUMBERS, *HOST, *FILES, *COMMANDS, "golden.table", "rtl"),
    "tb": ("tb", "golden", "export"),
    "handoff": ("handoff", "tb", "golden", "export"),
    "driver": ("driver", "golden", "export"),
    "energy": ("energy", "golden", "export", "tb", "rtl.verilog.generate", "rtl.verilog.yosys"),
    "formal": (*NUMBERS, *HOST, *COMMANDS, "golden.files", "golden.table", "formal", "rtl"),
    "soak": (
        "soak",
        "golden",
        "export",
        "tb",
        "driver",
        "rtl.verilog.generate",
        "rtl.host.board",
        "rtl.streams",
        "tests.network_kinds",
        "tests.networks",
        "tests.wide_inputs",
    ),
    "study": ("study", "golden", "export", "tb", "energy"),
    "mutants": ("golden.errors", *COMMANDS, "golden.table", "mutants"),
    "dmp_core": ("dmp_core", "golden", "export", "rtl", "tb", "energy"),
    "dmp_core/frontends": (
        *NUMBERS,
        *REALS,
        *INPUTS,
        "golden.integer",
        "golden.table",
        "dmp_core.frontends",
    ),
    "docs": ("docs", "golden", "export", "rtl", "energy", "formal", "study"),
}
# What a room may not import of a package that it may.
FORBIDDEN = {
    "rtl": ("rtl.host", "rtl.verilog", "rtl.synth"),
    "rtl/host": ("rtl.verilog", "rtl.synth"),
    "rtl/verilog": ("rtl.synth",),
    "formal": ("rtl.synth",),
}
# The simulated back end builds its library as the testbench does; all else of `driver` runs on a
# host that has NumPy and no simulator.
SIMULATED = Path("driver/simulated.py")
ALLOWED_FILES = {SIMULATED: ("tb.verilator",)}
# A network of Torch's modules needs Torch; no other frontend does.
OF_TORCH = [
    Path("dmp_core/frontends") / name
    for name in ("snntorch.py", "torch_affine.py", "torch_neurons.py", "torch_trace.py")
]


def imported_modules(path: Path, top_level: bool = False) -> set[str]:
    """Return the modules of this project that a file imports: anywhere in it, or when it is
    loaded.
    """
    found = set()
    tree = ast.parse(path.read_text())
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            # `from golden import params` imports golden.params; `from golden.params import x`
            # golden.params.
            module = str(node.module)
            folder = (ROOT / Path(*module.split("."))).is_dir()
            found |= {f"{module}.{name.name}" for name in node.names} if folder else {module}
    return {name for name in found if name.split(".")[0] in PACKAGES}


def within(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_go_one_way(room: str) -> None:
    others = [ROOT / other for other in ALLOWED if other.startswith(f"{room}/")]
    paths = [
        path
        for path in sorted((ROOT / room).rglob("*.py"))
        if not any(path.is_relative_to(other) for other in others)
    ]
    assert paths
    for path in paths:
        names = (*ALLOWED[room], *ALLOWED_FILES.get(path.relative_to(ROOT), ()))
        for module in imported_modules(path):
            assert within(module, names), f"{path.relative_to(ROOT)} imports {module}"
            forbidden = within(module, FORBIDDEN.get(room, ()))
            assert not forbidden, f"{path.relative_to(ROOT)} imports {module}"


def test_every_module_has_a_rule_and_no_circle() -> None:
    """The packages are those of the tree, and no two modules import each other, however far
    around.
    """
    tree = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert tree == set(PACKAGES)
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths}
    imports = {
        name: {found for found in imported_modules(path, top_level=True) if found in names}
        for name, path in names.items()
    }
    for found in imports.values():
        found.update(*(imports[name] for name in list(found)))
    while True:
        before = sum(map(len, imports.values()))
        for found in imports.values():
            found.update(*(imports[name] for name in list(found)))
        if sum(map(len, imports.values())) == before:
            break
    assert not [name for name, found in imports.items() if name in found]


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("rtl", ("torch", "export", "tb", "golden.integer")),
        ("golden/quantize.py", ("torch", "h5py", "amaranth", "golden.data", "golden.train")),
        ("golden/cost", ("torch", "h5py", "amaranth")),
        ("dmp_core/frontends/nir.py", ("torch", "amaranth", "golden.data", "golden.train")),
        ("golden/data", ("torch", "amaranth")),
        ("export", ("torch", "rtl", "tb", "amaranth")),
        ("tb", ("torch", "h5py", "rtl")),
        ("handoff", ("torch", "rtl")),
        ("dmp_core", ("torch", "snntorch", "amaranth")),
        ("driver", ("torch", "rtl", "tb", "amaranth", "cocotb", "serial")),
    ],
)
def test_no_package_loads_more_than_it_may(package: str, forbidden: tuple[str, ...]) -> None:
    place = ROOT / package
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in ([place] if place.is_file() else sorted(place.rglob("*.py")))
        if path.relative_to(ROOT) not in (SIMULATED, *OF_TORCH)
    ]
    loaded_ones = f"[name for name in {forbidden} if name in sys.modules]"
    script = f"import sys, {', '.join(modules)}\nprint(*{loaded_ones})"
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not loaded.stdout.strip()
