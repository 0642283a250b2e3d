"""`dmp doctor`: what is installed, what is missing, and what to do."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

import click

from golden.command_line import Command
from golden.errors import UserError, report_user_errors
from golden.table import table

DISTRIBUTION = "dmp-core"
# What each extra of the installation is for.
EXTRAS = {
    "sim": "dmp sim, host, bench",
    "train": "dmp train, quantize, study",
    "synth": "dmp synth, bitstream",
    "host": "dmp host --back-end uart",
    "snntorch": "dmp_core.from_snntorch",
    "docs": "make docs",
    "dev": "make test, lint",
}
NEEDED = ("sim",)  # without which dmp sim, and so make demo, cannot work


@dataclass(frozen=True)
class Finding:
    """What is looked for: what was found, what it is for, and what to do where it is missing."""

    name: str
    found: str
    purpose: str
    remedy: str = ""
    needed: bool = False


def missing_packages(extra: str | None) -> list[str]:
    """Return the requirements of an extra, or of the installation itself, that are not met by
    name.
    """
    missing = []
    for line in metadata.requires(DISTRIBUTION) or []:
        requirement, _, marker = line.partition(";")
        of = re.search(r"extra == ['\"](\w+)['\"]", marker)
        if (of[1] if of else None) != extra:
            continue
        name = re.split(r"[^\w.-]", requirement.strip())[0]
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    return missing


def packages(extra: str | None, purpose: str) -> Finding:
    """Look for the packages of an extra."""
    missing = missing_packages(extra)
    place = f".[{extra}]" if extra else "."
    return Finding(
        f"packages of {extra}" if extra else "packages",
        f"missing: {', '.join(missing)}" if missing else "all",
        purpose,
        f"pip install --editable '{place}' (or make setup)" if missing else "",
        extra is None or extra in NEEDED,
    )


def asked(name: str, purpose: str, look: Callable[[], str], needed: bool = False) -> Finding:
    """Look for something that says in one line why it is not there."""
    try:
        return Finding(name, look(), purpose, needed=needed)
    except UserError as error:
        what, _, remedy = str(error).partition(": ")
        return Finding(name, what, purpose, remedy or what, needed)


def verilator() -> str:
    """Return which Verilator is used and its version, or raise `UserError`."""
    if util.find_spec("find_libpython") is None:
        raise UserError("cocotb is missing: pip install --editable '.[sim]' (or make setup)")
    from tb.verilator import find_verilator

    folder = find_verilator()
    if "site-packages" in folder.parts:
        return f"{metadata.version('verilator')}, the package"
    said = subprocess.run(
        [folder / "verilator", "--version"], capture_output=True, text=True, check=False
    )
    return f"{said.stdout.split()[1]}, {folder}"


def placers() -> str:
    """Return where the programs are that place, route and pack, or raise `UserError`."""
    from rtl.synth.devices import DEVICES
    from rtl.synth.place import PACKER, find_program

    names = {device.placer for device in DEVICES.values() if device.placer} | {PACKER}
    folders = {str(Path(find_program(name)).parent) for name in sorted(names)}
    return ", ".join(sorted(folders))


def program(name: str, remedy: str) -> Callable[[], str]:
    """Return what looks for a program."""

    def look() -> str:
        found = shutil.which(name)
        if found is None:
            raise UserError(f"none: {remedy}")
        return found

    return look


def examine() -> list[Finding]:
    """Return all findings."""
    rows = [
        Finding("Python", f"{platform.python_version()}, {sys.prefix}", "all"),
        packages(None, "all"),
        *(packages(extra, purpose) for extra, purpose in EXTRAS.items()),
        asked("Verilator", "dmp sim, host, bench", verilator, needed=True),
        asked("C++ compiler", "Verilator", program("g++", "apt install g++"), needed=True),
        asked("make", "Verilator", program("make", "apt install make"), needed=True),
        asked("perl", "Verilator", program("perl", "apt install perl"), needed=True),
        asked("nextpnr, ecppack", "dmp synth --seeds, bitstream", placers),
        asked(
            "openFPGALoader",
            "a bitstream onto a board",
            program("openFPGALoader", "apt install openfpgaloader, if you have a board"),
        ),
        asked(
            "Icarus Verilog",
            "tests of dmp package",
            program("iverilog", "apt install iverilog, if you want these tests"),
        ),
        asked(
            "GTKWave or Surfer",
            "views of dmp waves",
            lambda: next(
                found for name in ("gtkwave", "surfer", "") if (found := _viewer(name)) is not None
            ),
        ),
    ]
    return rows


def _viewer(name: str) -> str | None:
    if name:
        return shutil.which(name)
    raise UserError("none: apt install gtkwave, if you want to look at waves")


@click.command(cls=Command)
@report_user_errors
def main() -> None:
    """Say what is installed, which Verilator is used, what is missing and what to do.

    Exits with status 1 where dmp sim, and so make demo, cannot work.
    """
    rows = examine()
    click.echo(
        table(
            ("", "found", "for", "what to do"),
            ((row.name, row.found, row.purpose, row.remedy) for row in rows),
            left=range(4),
        )
    )
    lacking = [row.name for row in rows if row.needed and row.remedy]
    if lacking:
        click.echo(f"error: dmp sim cannot work without: {', '.join(lacking)}", err=True)
        sys.exit(1)
    click.echo("dmp sim and make demo can work.")
