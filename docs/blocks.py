"""Generated text in a page: what stands between two comments with its name."""

from __future__ import annotations

from golden.errors import UserError


def with_block(page: str, name: str, text: str) -> str:
    """Return a page with `text` between the two comments of block `name`, or raise `UserError`."""
    begin, end = f"<!-- {name}: written by make docs -->", f"<!-- end of {name} -->"
    before, found, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended or begin in after or end in after:
        raise UserError(f"the page must have one '{begin}' and one '{end}' after it")
    return f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}"


def table(columns: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    rule = ["---"] * len(columns)
    return "\n".join(f"| {' | '.join(row)} |" for row in (columns, rule, *rows))
