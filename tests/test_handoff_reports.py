"""The package of a core with reports: its testbench asks for them, too."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from golden.hardware.part import EventKind
from handoff.package_command import main
from tests.small_core import make_small_core
from tests.test_handoff import with_verilator


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the arguments of the command, for a core with reports."""
    _, arguments = make_small_core(tmp_path_factory.mktemp("core"), reports=True, trace=False)
    return arguments


def test_the_package_asks_and_expects(arguments: list[str], tmp_path: Path) -> None:
    shown = CliRunner().invoke(
        main, [*arguments, "--out", str(tmp_path / "p"), "--sequences", "2", "--report-every", "9"]
    )
    assert shown.exit_code == 0, shown.output
    assert f"compares {2 * (3 + 1) * 10} results" in shown.stdout
    events = (tmp_path / "p" / "tb" / "events.mem").read_text().split()
    kinds = [int(word, 16) & 7 for word in events]
    assert kinds.count(EventKind.REPORT) == 2 * 3 and kinds.count(EventKind.END_SEQUENCE) == 2
    places = [k for k, kind in enumerate(kinds) if kind == EventKind.REPORT]
    assert [kinds[:k].count(EventKind.END_TIMESTEP) for k in places] == [9, 18, 27, 37, 46, 55]


def test_another_core_is_not_asked(tmp_path: Path) -> None:
    _, arguments = make_small_core(tmp_path, trace=False)
    shown = CliRunner().invoke(main, [*arguments, "--report-every", "9"])
    assert shown.exit_code == 2 and shown.stdout == ""
    assert "--report-every 9: the core of small sends no reports: export it" in shown.stderr


@pytest.mark.long
def test_the_testbench_passes_and_fails_on_another_report(
    arguments: list[str], tmp_path: Path
) -> None:
    package = tmp_path / "package"
    options = ["--out", str(package), "--timesteps", "7", "--report-every", "2"]
    assert CliRunner().invoke(main, [*arguments, *options]).exit_code == 0
    lines = re.findall(r"`(cd tb && [^`]*)`", (package / "README.md").read_text())
    [line] = [line for line in lines if " verilator " in line]

    def said() -> tuple[int, str]:
        done = subprocess.run(
            ["sh", "-c", line], cwd=package, env=with_verilator(), capture_output=True, text=True
        )
        return done.returncode, done.stdout + done.stderr

    status, text = said()
    assert status == 0 and "PASS: 40 results of 1 sequences" in text, text
    results = package / "tb" / "results.mem"
    words = results.read_text().splitlines()
    words[5] = f"{int(words[5], 16) ^ 1:x}"  # of the first report
    results.write_text("\n".join(words) + "\n")
    status, text = said()
    assert status != 0 and "PASS" not in text and "result 5 is" in text, text
