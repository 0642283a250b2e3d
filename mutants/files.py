"""Which files are mutated, and which tests are never asked about a mutant."""

from __future__ import annotations

from fnmatch import fnmatch
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = (
    "rtl", "rtl/host", "golden", "golden/hardware", "golden/cost", "export", "driver",
)  # fmt: skip
# What neither computes a value nor packs or carries one.
LEFT_OUT = {
    "golden/command_line.py": "options of commands",
    "golden/errors.py": "how a command ends",
    "golden/files.py": "where files lie",
    "golden/cache.py": "where files lie",
    "golden/hdf5.py": "a reader of data, which damaged files hold (tests/test_fuzzed_readers.py)",
    "golden/inputs.py": "limits of such readers",
    "golden/picture.py": "pictures",
    "golden/table.py": "tables of text",
    "export/commands.py": "a command line",
    "driver/__main__.py": "a command line",
}
# Test files whose subject is another one: text, training, commands, other tools.
NOT_ASKED = (
    "augment", "aware", "axonal_delay", "bench*", "bitstream", "command_line", "convert",
    "data_events", "dmp", "docs", "drivers", "energy*", "errors", "example*", "files",
    "fit_command", "floorplan", "formal", "frontend*", "fuzzed_readers", "handoff*", "imports",
    "lif", "liberty", "litex", "loihi", "make*", "mnist", "model*", "mutants", "netlist", "nir*",
    "picture", "place", "plan", "plot", "project_files", "python_*", "recordings",
    "register_pages", "report", "sequence_files", "snntorch", "speech", "study", "synth*", "table",
    "technology", "train*", "waves",
)  # fmt: skip


@cache
def mutable() -> tuple[str, ...]:
    """Return the paths of the files that are mutated, from the root."""
    found = [
        path.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in sorted((ROOT / folder).glob("*.py"))
        if not path.name.startswith("__init__")
    ]
    return tuple(path for path in found if path not in LEFT_OUT)


@cache
def asked() -> tuple[str, ...]:
    """Return the paths of the test files that may be asked, from the root."""
    found = sorted((ROOT / "tests").glob("test_*.py"))
    return tuple(
        f"tests/{path.name}"
        for path in found
        if not any(fnmatch(path.stem, f"test_{pattern}") for pattern in NOT_ASKED)
    )
