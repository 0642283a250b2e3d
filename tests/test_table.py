"""Tables for a terminal: how wide they are, and that no cell is lost."""

from __future__ import annotations

import pytest

from golden.table import table


def test_numbers_stand_under_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    rows = [("layer0", "12.50"), ("readout", 7)]
    assert table(("part", "cycles"), rows, left=[0]).split("\n") == [
        "part     cycles",
        "---------------",
        "layer0    12.50",
        "readout       7",
    ]  # fmt: skip


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_what_is_too_wide_goes_on_in_the_next_line(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is plain text: nothing in it is taken for a mark or a color."""
    monkeypatch.setenv("COLUMNS", str(columns))
    words = ["[bold]a[/bold]", ":smile:", *(f"memory{i}" for i in range(20))]
    lines = table(("words", "names"), [(1024, ", ".join(words))], left=[1]).splitlines()
    assert max(map(len, lines)) <= columns and all(line.isascii() for line in lines)
    assert "".join(lines[2:]).replace(" ", "") == "1024" + ",".join(words)
