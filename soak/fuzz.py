"""`python -m soak.fuzz`: put what nobody should send on a board's UART, and any traffic on the
buses of a standard top.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
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
from golden.integer import NetworkIntegers, run
from soak import axi_fuzz, record, uart_fuzz
from soak.axi_fuzz import build_top, fuzz_top
from soak.uart_fuzz import fuzz
from soak.uart_line import CLOCKS_PER_BIT, build_board
from tests.network_kinds import DRAWS

KIND, NETWORK = "whole neurons", 11
COLUMNS = (
    "What", "Sent", "Cycles", "What of it reached the core", "Recoveries, each with an inference",
    "Faults",
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """What is fuzzed.

    Parameters
    ----------
    name, what, unit
        How it is called; what is sent.
    build
        Of a network, a core, a folder, an option of the compiler: the model.
    play
        Of the model, a sequence and its logits, a seed, bursts, their size: what was done.
    part
        The class of what `play` returns.
    sent, reached
        What counts as sent, and as reaching the core.
    bursts, size
        Of a call of `play`, which begins with a reset.
    """

    name: str
    what: str
    unit: str
    build: Callable[[NetworkIntegers, CoreParams, Path, str], Any]
    play: Callable[[Any, np.ndarray, np.ndarray, list[int], int, int], Any]
    part: type[Any]
    sent: tuple[str, ...]
    reached: tuple[str, ...]
    bursts: int
    size: int


TARGETS = (
    Target(
        "uart", f"A board's UART, {CLOCKS_PER_BIT} clocks a bit", "byte", build_board, fuzz,
        uart_fuzz.Fuzzed, ("bytes",), ("writes", "reads", "events"), 20, 4000,
    ),
    Target(
        "axi", "The buses of a standard top", "transfer", build_top, fuzz_top, axi_fuzz.Fuzzed,
        ("writes", "reads", "beats"), ("loads", "items"), 10, 20_000,
    ),
)  # fmt: skip


def prepare(target: Target, folder: Path, optimize: str) -> tuple[Any, np.ndarray, np.ndarray]:
    """Build the model of a small core; return it, and a sequence (1, K, M) with the logits (1, C)
    that golden has of it.
    """
    drawn = DRAWS[KIND](NETWORK)
    core = CoreParams(drawn.network.params, replace(drawn.hardware, trace=False))
    payloads = drawn.payloads[:1, :4]
    model = target.build(drawn.network, core, folder, optimize)
    return model, payloads, run(drawn.network, payloads).logits


def sent(target: Target, parts: Sequence[Any]) -> int:
    """Return how much was sent."""
    return sum(getattr(part, name) for part in parts for name in target.sent)


def total(target: Target, parts: Sequence[Any]) -> dict[str, Any]:
    """Return the sums of what was done."""
    names = [name for name in vars(target.part()) if name != "problems"]
    sums: dict[str, Any] = {name: sum(getattr(part, name) for part in parts) for name in names}
    return {"sent": sent(target, parts), **sums, "faults": sum(len(p.problems) for p in parts)}


def rows(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result as a file of `docs/results`."""
    found = []
    for target in TARGETS:
        did = result[target.name]
        cells = [
            target.what,
            f"{did['sent']:,} {target.unit}s",
            f"{did['cycles']:,}",
            ", ".join(f"{did[name]:,} {name}" for name in target.reached),
            f"{did['recoveries']:,}",
            f"{did['faults']}",
        ]
        found.append(
            {
                "id": f"fuzz-{target.name}", "cells": cells, "commit": result["commit"],
                "date": datetime.now(UTC).date().isoformat(), "commands": [result["command"]],
            }
        )  # fmt: skip
    return {"columns": COLUMNS, "rows": found}


def put(
    target: Target, count: int, seed: int, out: Path, commit: str, optimize: str
) -> dict[str, Any]:
    """Send at least so much to a target; go on where an earlier call with this seed and these
    sources ended. Where there is a fault, tell it, and end with status 1.
    """
    model, payloads, logits = prepare(target, out / target.name, optimize)
    path, parts = out / f"{target.name}.json", []
    key = {"commit": commit, "seed": seed}
    if path.exists() and (kept := json.loads(path.read_text()))["key"] == key:
        parts = [target.part(**part) for part in kept["parts"]]
    done = sent(target, parts)
    bar = tqdm(
        total=count, initial=min(done, count), unit=target.unit, unit_scale=True, desc=target.name
    )
    with bar:
        while done < count:
            seeds = [seed, len(parts)]
            part = target.play(model, payloads, logits, seeds, target.bursts, target.size)
            if part.problems:
                bar.close()
                where = f"{target.name}, seed {seed}, part {len(parts)}"
                click.echo(f"error: {where}: {part.problems[0]}", err=True)
                raise SystemExit(1)
            parts.append(part)
            content = {"key": key, "parts": [asdict(part) for part in parts]}
            write_whole(path, json.dumps(content) + "\n")
            before, done = done, sent(target, parts)
            bar.update(min(done, count) - before)
    return total(target, parts)


@click.command(cls=Command, context_settings={"show_default": True})
@click.option(
    "--count",
    default=100_000,
    type=click.IntRange(1),
    help="Bytes on the UART, and accesses and beats on the buses, at least",
)
@click.option("--seed", default=0, type=SEED, help="Of all that is drawn")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/fuzz"),
    help="The folder for the cores, and for what is done: the same command goes on there",
)
@click.option(
    "--record",
    "recorded",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the result as a table of docs/results, too",
)
@click.option("--optimize", default="-O3", help="The C++ compiler's option for the models")
@report_user_errors
def main(count: int, seed: int, out: Path, recorded: Path | None, optimize: str) -> None:
    """Put commands, whole, cut or damaged, noise, breaks and other baud rates on the UART of a
    board, and any traffic on the buses of a standard top: what reaches the core is what was
    written; and after each burst the core recovers and infers what golden does. Status 1 where it
    does not.
    """
    out.mkdir(parents=True, exist_ok=True)
    commit = record.commit()
    command = f"make fuzz COUNT={count} SEED={seed}"
    result: dict[str, Any] = {"commit": commit, "command": command}
    for target in TARGETS:
        result[target.name] = put(target, count, seed, out, commit, optimize)
    write_whole(out / "fuzz.json", json.dumps(result, indent=1) + "\n")
    if recorded is not None:
        write_whole(recorded, json.dumps(rows(result), indent=1) + "\n")
    for target in TARGETS:
        did = result[target.name]
        name = f"{target.unit}s"
        click.echo(f"{target.what}: {did['sent']:,} {name}, {did['recoveries']:,} recoveries")
    click.echo(f"0 faults; result {out / 'fuzz.json'}")


if __name__ == "__main__":
    main()
