"""Files are written whole or not at all, and by one command at a time."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from golden.command_line import Command
from golden.files import _alone, write_whole  # pyright: ignore[reportPrivateUsage]

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("content", ["new\n", b"\x00new"])
def test_a_file_is_written_in_place_of_another(content: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / "a file"
    for _ in range(2):
        write_whole(path, content)
        assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    path.write_text("older")
    path.chmod(0o600)
    write_whole(path, content)
    assert [p.name for p in tmp_path.iterdir()] == ["a file"]


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a file"
    path.write_text("older")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    script = (
        "import sys\nfrom pathlib import Path\nfrom golden.errors import report_user_errors\n"
        "from golden.files import write_whole\n"
        "report_user_errors(write_whole)(Path(sys.argv[1]), 'x' * 2000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        cwd=ROOT, capture_output=True, text=True, preexec_fn=limit,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == f"error: {path}: File too large: use another path\n"
    assert path.read_text() == "older"
    assert [p.name for p in tmp_path.iterdir()] == ["a file"]


def test_a_folder_that_is_missing_is_named_by_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        write_whole(tmp_path / "none" / "a file", "x")
    assert error.value.filename == str(tmp_path / "none" / "a file")


def test_what_is_no_file_is_written_to_and_stays(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/dev/null")
    write_whole(link, "x")
    assert link.is_symlink() and link.is_char_device()


HOLDS = """
import sys, time
from pathlib import Path
from golden.files import alone_at, scratch_folder

with alone_at(Path(sys.argv[1])), alone_at(Path(sys.argv[1]) / "."):
    with scratch_folder(Path.cwd()) as made:
        (made / "half").write_text("half of a file")
        print("begun", flush=True)
        time.sleep(float(sys.argv[2]))
"""


def hold(folder: Path, seconds: float, cwd: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cwd / "cache")}
    command, pipe = [sys.executable, "-c", HOLDS, str(folder), str(seconds)], subprocess.PIPE
    return subprocess.Popen(command, cwd=cwd, env=environment, text=True, stdout=pipe, stderr=pipe)


def test_a_command_waits_for_another_one_at_its_place_and_says_so(tmp_path: Path) -> None:
    """Not for one at another place; and not for one that was killed, which leaves nothing."""
    first = hold(tmp_path / "out", 600, tmp_path)
    assert first.stdout and first.stdout.readline() == "begun\n"
    assert hold(tmp_path / "other", 0, tmp_path).communicate(timeout=20) == ("begun\n", "")
    second = hold(tmp_path / "here" / ".." / "out", 0, tmp_path)
    assert second.stderr
    assert second.stderr.readline() == f"waiting: process {first.pid} writes to {tmp_path}/out\n"
    assert second.poll() is None
    first.kill()
    assert second.communicate(timeout=20) == ("begun\n", "")
    first.communicate()
    for _ in range(100):
        if not list(tmp_path.glob(".scratch-*")):
            break
        time.sleep(0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    assert not list((tmp_path / "cache" / "dmp-core" / "locks").iterdir())


def test_commands_with_one_out_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But the processes of one command, whom the first of them waits for."""

    @click.command(cls=Command)
    @click.option("--out", type=click.Path(path_type=Path))
    def command(out: Path | None) -> None:
        click.echo(",".join(map(str, _alone)))

    found = CliRunner().invoke(command, ["--out", str(tmp_path / "out")])
    assert found.output == f"{tmp_path / 'out'}\n"
    assert not _alone
    assert CliRunner().invoke(command).output == "\n"
    for rank, alone in (("0", f"{tmp_path / 'out'}\n"), ("1", "\n")):
        monkeypatch.setenv("RANK", rank)
        assert CliRunner().invoke(command, ["--out", str(tmp_path / "out")]).output == alone
