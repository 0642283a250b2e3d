"""What a soak has done, kept in files: a core's after every round, and all cores' at the end."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from golden.files import write_whole
from soak.steps import Tally

ROOT = Path(__file__).parents[1]
# What a soak depends on. A commit of other files leaves what is done as it is.
SOURCES = (
    "driver",
    "export",
    "golden",
    "rtl",
    "soak",
    "tb",
    "tests/network_kinds.py",
    "tests/networks.py",
    "tests/wide_inputs.py",
)
SUMMED = ("cycles", "values", "sequences", "power_ups", "resets", "reloads")
ROW = "soak"


def commit() -> str:
    """Return the last commit of what a soak depends on; where files differ from it, with a hash of
    the difference.
    """

    def git(*arguments: str) -> str:
        command = ["git", *arguments, "--", *SOURCES]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    last = git("log", "-1", "--abbrev=8", "--format=%h") or "unknown"
    changed = git("status", "--porcelain") + git("diff", "HEAD")
    return f"{last}-{sha256(changed.encode()).hexdigest()[:8]}" if changed else last


def load(path: Path, key: dict[str, Any]) -> tuple[int, Tally]:
    """Return how many rounds of a core are done, and the tally of them: of a file with this key."""
    try:
        content = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError):
        return 0, Tally()
    if content.get("key") != key:
        return 0, Tally()
    did = content["did"]
    return content["rounds"], Tally(**{**did, "errors": Counter(did["errors"])})


def save(path: Path, key: dict[str, Any], rounds: int, tally: Tally) -> None:
    """Keep the tally of a core's rounds."""
    content = {"key": key, "rounds": rounds, "did": vars(tally)}
    write_whole(path, json.dumps(content, indent=1) + "\n")


def total(tallies: Sequence[Tally]) -> dict[str, Any]:
    """Return the sums of what cores did."""
    sums: dict[str, Any] = {name: sum(getattr(t, name) for t in tallies) for name in SUMMED}
    errors: Counter[str] = Counter()
    for tally in tallies:
        errors.update(tally.errors)
    sums["injected_errors"] = dict(sorted(errors.items()))
    sums["mismatches"] = sum(len(tally.problems) for tally in tallies)
    return {"cores": len(tallies), **sums}


def row(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result as a file of `docs/results`."""
    errors = ", ".join(
        f"{count:,} {name.replace('_', ' ')}" for name, count in result["injected_errors"].items()
    )
    cells = [
        f"{result['cores']} drawn cores",
        f"{result['cycles']:,}",
        f"{result['values']:,}",
        f"{result['sequences']:,}",
        f"{result['power_ups']:,} / {result['resets']:,} / {result['reloads']:,}",
        errors,
        f"{result['mismatches']}",
    ]
    columns = [
        "What", "Cycles", "Values compared", "Sequences", "Power-ups / resets / reloads",
        "Injected errors", "Mismatches",
    ]  # fmt: skip
    only = {
        "id": ROW, "cells": cells, "commit": result["commit"],
        "date": datetime.now(UTC).date().isoformat(), "commands": [result["command"]],
    }  # fmt: skip
    return {"columns": columns, "rows": [only]}
