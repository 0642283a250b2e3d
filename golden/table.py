"""Tables for people who read them in a terminal."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from io import StringIO

from rich.box import Box
from rich.console import Console
from rich.table import Table

_RULE_UNDER_HEADER = Box(
    "    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True
)  # head, its rule, rows, foot


def table(header: Sequence[str], rows: Iterable[Sequence[object]], left: Iterable[int] = ()) -> str:
    """Return a table as lines of text, no wider than the terminal (80 columns where there is none):
    a cell that does not fit goes on in the next line.

    Numbers are read by their last digits, so columns are aligned at their right; those in `left`
    at their left, as words are.
    """
    shown = Table(box=_RULE_UNDER_HEADER, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    words = set(left)
    for index, name in enumerate(header):
        shown.add_column(name, justify="left" if index in words else "right", overflow="fold")
    for row in rows:
        shown.add_row(*map(str, row))
    console = Console(
        file=StringIO(), width=shutil.get_terminal_size().columns, color_system=None,
        highlight=False, markup=False, emoji=False,
    )  # fmt: skip
    with console.capture() as captured:
        console.print(shown)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
