"""`python -m rtl.verilog.page`: write the registers of a core into a page, between two markers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import click

from golden.command_line import Command
from golden.errors import UserError, report_user_errors
from golden.files import write_whole
from golden.hardware.core import CoreParams
from golden.manifest import read_core
from rtl.verilog.register_pages import markdown

BEGIN = "<!-- registers: written by make docs -->"
END = "<!-- end of registers -->"


def with_registers(page: str, core: CoreParams) -> str:
    """Return a page with the registers of `core` between its markers, one level of headings below
    where they are.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in after:
        raise UserError(f"the page must have one '{BEGIN}' and one '{END}' behind it")
    levels = re.findall(r"^(#+) ", before, re.M)
    core = replace(core, hardware=replace(core.hardware, trace=False))
    section = re.sub(r"^#", levels[-1] + "#" if levels else "#", markdown(core), flags=re.M)
    return f"{before}{BEGIN}\n\n{section}\n{END}{after}"


@click.command(cls=Command)
@click.argument("manifest", type=click.Path(path_type=Path))
@click.argument("page", type=click.Path(path_type=Path))
@report_user_errors
def main(manifest: Path, page: Path) -> None:
    """Write the registers of the core that MANIFEST describes into PAGE, between its markers."""
    core, _ = read_core(manifest)
    if not page.exists():
        raise UserError(f"no page {page}: name one with the markers {BEGIN} and {END}")
    write_whole(page, with_registers(page.read_text(), core))
    print(f"page: {page}")


if __name__ == "__main__":
    main()
