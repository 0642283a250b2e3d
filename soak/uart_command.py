"""`python -m soak.uart_command`: put bytes that nobody should send on the UART of a board."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from golden.command_line import SEED, Command
from golden.errors import report_user_errors
from golden.files import write_whole
from golden.hardware.core import CoreParams
from golden.integer import run
from soak import record
from soak.uart_fuzz import Fuzzed, fuzz
from soak.uart_line import CLOCKS_PER_BIT, BoardModel, build_board
from tests.network_kinds import DRAWS

BURSTS = 20  # of a board, from a reset on
SIZE = 2000  # bytes of a burst
COLUMNS = (
    "What", "Bytes", "Breaks", "Cycles", "Writes / reads / events that they command",
    "Recoveries, each with an inference", "Faults",
)  # fmt: skip
KIND, NETWORK = "whole neurons", 11


def board(folder: Path, optimize: str = "-O3") -> tuple[BoardModel, np.ndarray, np.ndarray]:
    """Build a small core on a board; return its model, and a sequence (1, K, M) with the logits
    (1, C) that golden has of it.
    """
    drawn = DRAWS[KIND](NETWORK)
    core = CoreParams(drawn.network.params, replace(drawn.hardware, trace=False))
    payloads = drawn.payloads[:1, :4]
    model = build_board(drawn.network, core, folder, optimize)
    return model, payloads, run(drawn.network, payloads).logits


def total(parts: Sequence[Fuzzed]) -> dict[str, Any]:
    """Return the sums of what was done."""
    names = [name for name in vars(Fuzzed()) if name != "problems"]
    sums: dict[str, Any] = {name: sum(getattr(part, name) for part in parts) for name in names}
    return sums | {"faults": sum(len(part.problems) for part in parts)}


def row(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result as a file of `docs/results`."""
    cells = [
        f"A board's UART, {CLOCKS_PER_BIT} clocks a bit",
        *(f"{result[name]:,}" for name in ("bytes", "breaks", "cycles")),
        " / ".join(f"{result[name]:,}" for name in ("writes", "reads", "events")),
        f"{result['recoveries']:,}",
        f"{result['faults']}",
    ]
    only = {
        "id": "fuzz-uart", "cells": cells, "commit": result["commit"],
        "date": datetime.now(UTC).date().isoformat(), "commands": [result["command"]],
    }  # fmt: skip
    return {"columns": COLUMNS, "rows": [only]}


@click.command(cls=Command, context_settings={"show_default": True})
@click.option(
    "--bytes", "n_bytes", default=100_000, type=click.IntRange(1), help="On the line, at least"
)
@click.option("--seed", default=0, type=SEED, help="Of all that is drawn")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/fuzz"),
    help="The folder for the board, and for what is done: the same command goes on there",
)
@click.option(
    "--record",
    "recorded",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the result as a table of docs/results, too",
)
@report_user_errors
def main(n_bytes: int, seed: int, out: Path, recorded: Path | None) -> None:
    """Put commands, whole, cut or damaged, noise, breaks and other baud rates on the UART of a
    board: what reaches the core is what the bytes command; and after each burst the board recovers
    and infers what golden does. Status 1 where it does not.
    """
    out.mkdir(parents=True, exist_ok=True)
    model, payloads, logits = board(out / "board")
    commit, parts, path = record.commit(), [], out / "parts.json"
    key = {"commit": commit, "seed": seed}
    if path.exists() and (kept := json.loads(path.read_text()))["key"] == key:
        parts = [Fuzzed(**part) for part in kept["parts"]]
    done = sum(part.bytes for part in parts)
    with tqdm(total=n_bytes, initial=min(done, n_bytes), unit="byte", unit_scale=True) as bar:
        while done < n_bytes:
            part = fuzz(model, payloads, logits, [seed, len(parts)], BURSTS, SIZE)
            if part.problems:
                bar.close()
                click.echo(f"error: seed {seed}, part {len(parts)}: {part.problems[0]}", err=True)
                raise SystemExit(1)
            parts.append(part)
            content = {"key": key, "parts": [asdict(part) for part in parts]}
            write_whole(path, json.dumps(content) + "\n")
            bar.update(min(part.bytes, n_bytes - done))
            done += part.bytes
    command = f"make fuzz BYTES={n_bytes} SEED={seed}"
    result = {"commit": commit, "command": command, **total(parts)}
    write_whole(out / "fuzz.json", json.dumps(result, indent=1) + "\n")
    if recorded is not None:
        write_whole(recorded, json.dumps(row(result), indent=1) + "\n")
    click.echo(f"{done:,} bytes, {result['recoveries']:,} recoveries: 0 faults")
    click.echo(f"result {out / 'fuzz.json'}")


if __name__ == "__main__":
    main()
