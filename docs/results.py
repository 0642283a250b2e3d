"""The results: measured figures in docs/results/*.json, as tables in Markdown.

A file has `columns` and `rows`. A row has an `id`, its `cells`, and how it was measured: `commit`,
`date` and `commands`. A row with a `headline` (what, figure) is in the README too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docs.blocks import table
from golden.errors import UserError

FOLDER = Path(__file__).with_name("results")
KEYS = {"id", "cells", "commit", "date", "commands"}


def load(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the columns and the rows of a file, or raise `UserError`."""
    try:
        content = json.loads(path.read_text())
        columns, rows = content["columns"], content["rows"]
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is not a table of results: {error!r}") from None
    for row in rows:
        if not KEYS <= set(row) <= KEYS | {"headline"}:
            raise UserError(f"{path}: a row needs {', '.join(sorted(KEYS))}; one has {list(row)}")
        if len(row["cells"]) != len(columns):
            raise UserError(f"{path}: {row['id']} has {len(row['cells'])} cells, not {columns}")
        if not all(row[key] for key in KEYS):
            raise UserError(f"{path}: {row['id']} does not say how it was measured")
    return columns, rows


def all_rows() -> list[dict[str, Any]]:
    """Return the rows of every file."""
    return [row for path in sorted(FOLDER.glob("*.json")) for row in load(path)[1]]


def markdown(path: Path) -> str:
    """Return a file as a table, a row a result, and below it the commands that measure them."""
    columns, rows = load(path)
    cells, commands = [], []
    for number, row in enumerate(rows, start=1):
        first, *others = row["cells"]
        anchor = f'<a id="{row["id"]}"></a>'
        measured = f"{row['date']}, `{row['commit']}`"
        cells.append([f"{anchor}{number}", first, *others, measured])
        if commands and commands[-1][1] == row["commands"]:
            commands[-1][0].append(number)
        else:
            commands.append(([number], row["commands"]))
    lines = []
    for numbers, called in commands:
        few = ", ".join(map(str, numbers))
        lines += [f"# {few if len(numbers) < 4 else f'{numbers[0]} to {numbers[-1]}'}", *called]
    shown = "\n".join(lines)
    return f"{table(['#', *columns, 'Measured'], cells)}\n\n```sh\n{shown}\n```"


def headlines() -> str:
    """Return the table of the README, each figure with a link to its row."""
    rows = [
        [row["headline"][0], f"[{row['headline'][1]}](docs/results.md#{row['id']})"]
        for row in all_rows()
        if "headline" in row
    ]
    return table(["Result", "Figure"], rows)
