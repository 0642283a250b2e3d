"""Imports go one way: `rtl` knows numbers and parameters only, `tb`, `handoff` and `driver` never
`rtl`, and none of them loads Torch.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("driver", "export", "golden", "handoff", "rtl", "tb", "tests")
ALLOWED = {
    "golden": ("golden",),
    "export": ("export", "golden"),
    "rtl": (
        "rtl",
        "golden.formats",
        "golden.params",
        "golden.hardware",
        "golden.registers",
        "golden.uart_protocol",
        "golden.errors",
    ),
    "tb": ("tb", "golden", "export"),
    "handoff": ("handoff", "tb", "golden", "export"),
    "driver": ("driver", "golden", "export"),
}
# The simulated back end builds its library as the bench does; all else of `driver` runs on a host
# that has NumPy and no simulator.
SIMULATED = Path("driver/simulated.py")
ALLOWED_FILES = {SIMULATED: ("tb.verilator", "tb.simulate")}


def imported_modules(path: Path) -> set[str]:
    """Return the modules of this project that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            # `from golden import params` imports golden.params; `from golden.params import x`
            # golden.params.
            module = str(node.module)
            found |= (
                {f"{module}.{name.name}" for name in node.names} if module in PACKAGES else {module}
            )
    return {name for name in found if name.split(".")[0] in PACKAGES}


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_one_way(package: str) -> None:
    paths = sorted((ROOT / package).rglob("*.py"))
    assert paths
    for path in paths:
        names = (*ALLOWED[package], *ALLOWED_FILES.get(path.relative_to(ROOT), ()))
        for module in imported_modules(path):
            allowed = any(module == name or module.startswith(f"{name}.") for name in names)
            assert allowed, f"{path.relative_to(ROOT)} imports {module}"


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("rtl", ("torch", "export", "tb", "golden.integer")),
        ("tb", ("torch", "h5py", "rtl")),
        ("handoff", ("torch", "rtl")),
        ("driver", ("torch", "rtl", "tb", "amaranth", "cocotb", "serial")),
    ],
)
def test_no_package_loads_more_than_it_may(package: str, forbidden: tuple[str, ...]) -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.relative_to(ROOT) != SIMULATED
    ]
    loaded_ones = f"[name for name in {forbidden} if name in sys.modules]"
    script = f"import sys, {', '.join(modules)}\nprint(*{loaded_ones})"
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not loaded.stdout.strip()
