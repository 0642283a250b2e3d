"""`python -m docs.consoles`: run the commands that pages show, and write what they print.

A command and its output stand in a block of language `console`, after `$ `. They run in a copy of
the tree, in which nothing of the user's is touched, with the tree's own environment.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import click
from tqdm import tqdm

from golden.command_line import Command
from golden.errors import UserError, report_user_errors

ROOT = Path(__file__).parents[1]
PAGES = (Path("README.md"), Path("docs/tutorial.md"))
# What the commands plot, and the pages show.
PICTURES = {
    Path("build/rows/fit.png"): Path("docs/pictures/rows_fit.png"),
    Path("build/rows/report.png"): Path("docs/pictures/rows_report.png"),
}
BLOCK = re.compile(r"^```console\n\$ (.*)\n(?:.*\n)*?```$", re.M)
SECONDS = re.compile(r"\d+(\.\d+)? s\b")  # differs from run to run


def copy_tree(folder: Path) -> None:
    """Make a folder a clone that is set up: the tree's files, and its environment by links."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, done.stdout.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").mkdir()
    for path in (ROOT / ".venv").iterdir():
        (folder / ".venv" / path.name).symlink_to(path)
    for name in ("run", "all"):  # so that make installs nothing
        stamp = folder / ".venv" / f"installed-{name}"
        stamp.unlink(missing_ok=True)
        stamp.touch()


def run(command: str, folder: Path) -> str:
    """Return what a command prints in a folder, without its progress, or raise `UserError`."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    environment = {**kept, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise UserError(f"{command}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def with_outputs(page: str, folder: Path) -> str:
    """Return a page with the output of each command that it shows."""
    return BLOCK.sub(lambda m: f"```console\n$ {m[1]}\n{run(m[1], folder)}\n```", page)


def timeless(page: str) -> str:
    """Return a page without what differs from run to run."""
    return SECONDS.sub("N s", page)


@click.command(cls=Command)
@report_user_errors
def main() -> None:
    """Run the commands that README.md and the tutorial show, and write what they print and plot
    into them. It takes minutes.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        copy_tree(folder)
        for path in tqdm(PAGES, unit="page"):
            before = (ROOT / path).read_text()
            after = with_outputs(before, folder)
            if timeless(after) != timeless(before):
                (ROOT / path).write_text(after)
                click.echo(f"wrote {path}")
        for source, target in PICTURES.items():
            shutil.copyfile(folder / source, ROOT / target)
            click.echo(f"wrote {target}")


if __name__ == "__main__":
    main()
