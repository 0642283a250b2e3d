"""Files are written whole or not at all."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from golden.files import write_whole

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
