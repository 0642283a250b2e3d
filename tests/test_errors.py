"""How commands end: on errors, on full disks, and on signals, with all that they started."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from golden.errors import SAME_SECONDS, UserError, report_user_errors

pytestmark = pytest.mark.usefixtures("in_foreground")
ROOT = Path(__file__).parents[1]
PACKAGES = ("driver", "export", "golden", "handoff", "rtl", "tb")
# A command of two threads, whose ten tasks each start a process that starts another one.
BUSY = """
import subprocess, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from golden.errors import report_user_errors

def task(index):
    Path(f"started{index}").touch()
    subprocess.run(["sh", "-c", "sleep 1000; true"])

@report_user_errors
def main():
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(task, range(10)))
    finally:
        Path("cleaned").touch()

main()
"""
STUCK = """
import time
from pathlib import Path
from golden.errors import report_user_errors

@report_user_errors
def main():
    try:
        Path("started0").touch()
        time.sleep(1000)
    finally:
        Path("cleaning").touch()
        time.sleep(1000)

main()
"""


def start(
    script: str, folder: Path, before: Callable[[], object] | None = None
) -> subprocess.Popen[str]:
    """Run a script until it has made `started0`."""
    command, environment = [sys.executable, "-c", script], os.environ | {"PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, cwd=folder, stdout=pipe, stderr=pipe, text=True, env=environment,
        preexec_fn=before,
    )  # fmt: skip
    wait_for(lambda: (folder / "started0").exists())
    return process


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("waited in vain")


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (signal.SIGINT, "interrupted\n"),
        (signal.SIGTERM, "terminated\n"),
        (signal.SIGHUP, "the terminal is gone\n"),
    ],
)
def test_a_signal_ends_a_command_with_all_that_it_started(
    number: signal.Signals, message: str, tmp_path: Path
) -> None:
    process = start(BUSY, tmp_path)
    wait_for(lambda: len(psutil.Process(process.pid).children(recursive=True)) == 4)
    below = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    process.send_signal(number)  # as make and a terminal do
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (128 + number, "", message)
    assert (tmp_path / "cleaned").exists()
    wait_for(lambda: not any(child.is_running() and running(child) for child in below))
    assert len(list(tmp_path.glob("started*"))) < 10, "what waited was not started"


def running(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_later_signal_ends_a_command_that_is_stuck(tmp_path: Path) -> None:
    process = start(STUCK, tmp_path)
    process.send_signal(signal.SIGINT)
    wait_for(lambda: (tmp_path / "cleaning").exists())
    time.sleep(SAME_SECONDS)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 128 + signal.SIGTERM
    process.communicate()


def test_what_is_ignored_stays_ignored(tmp_path: Path) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = start(BUSY, tmp_path, ignore)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 128 + signal.SIGTERM
    process.communicate()


# Starts a process that starts another one; ends by itself or waits.
GUARDED = """
import subprocess, sys, time
from pathlib import Path
from golden.errors import guard_children

guard_children(), guard_children()
subprocess.Popen(["sh", "-c", "sleep 1000; true"])
time.sleep(0.5)
Path("started0").touch()
time.sleep(1000 if WAITS else 0)
"""


def started_below(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return all processes that it started and that have its environment: one guards the others."""
    found = psutil.Process(process.pid).children(recursive=True)
    mark = f"DMP_COMMAND_{process.pid}"
    return [child for child in found if mark in child.environ()]


def test_what_a_killed_command_started_ends_with_it(tmp_path: Path) -> None:
    process = start(GUARDED.replace("WAITS", "True"), tmp_path)
    whole, below = psutil.Process(process.pid).children(recursive=True), started_below(process)
    assert len(below) == 2 and len(whole) == 3
    process.kill()
    process.communicate()
    wait_for(lambda: not any(child.is_running() and running(child) for child in whole))


def test_what_a_command_leaves_behind_when_it_ends_stays(tmp_path: Path) -> None:
    script = GUARDED.replace("WAITS", "False").replace("sleep 1000", "sleep 2; touch slept")
    quiet = ", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)"
    process = start(script.replace('true"])', 'true"]' + quiet), tmp_path)
    process.communicate()
    assert process.returncode == 0
    wait_for(lambda: (tmp_path / "slept").exists())


def test_whoever_starts_processes_guards_them() -> None:
    """But for what asks a program for its version."""
    starts = re.compile(r"subprocess\.(run|Popen)\(|ProcessPoolExecutor\(|get_runner\(")
    short = {"dmp_core/doctor.py"}
    found = {}
    for package in ("dmp_core", "energy", *PACKAGES):
        for path in sorted((ROOT / package).rglob("*.py")):
            if starts.search(path.read_text()):
                found[str(path.relative_to(ROOT))] = "guard_children()" in path.read_text()
    assert len(found) > 6 and {name for name, guards in found.items() if not guards} == short


@pytest.mark.parametrize("package", PACKAGES)
def test_an_interrupt_while_a_command_loads_leaves_no_traceback(package: str) -> None:
    script = f"import sys, signal; sys.argv = ['-m']\nimport {package}\nsignal.raise_signal(2)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
    done = subprocess.run(
        [sys.executable, "-c", script.replace("-m", "-c")], cwd=ROOT, capture_output=True, text=True
    )
    assert "KeyboardInterrupt" in done.stderr, "of others, it is theirs"


def test_children_can_be_deaf_to_the_terminal() -> None:
    script = (
        "import subprocess, sys\nfrom multiprocessing import get_context\n"
        "from golden.errors import deaf_children\n"
        "child = [sys.executable, '-c', 'import signal; print(signal.pthread_sigmask(0, []))']\n"
        "with deaf_children():\n"
        "    get_context('spawn').Lock()  # starts what multiprocessing needs\n"
        "    subprocess.run(child)\nsubprocess.run(child)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["{<Signals.SIGINT: 2>}", "set()"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("nothing fits"), "error: nothing fits"),
        (PermissionError(13, "Permission denied", "a"), "error: a: Permission denied: use another"),
        (OSError(28, "No space left on device"), "error: No space left on device: free some"),
        (OSError(28, "No space left", "b"), "error: b: No space left: free some"),
        (OSError("no number"), "error: no number"),
        (MemoryError(), "error: too little memory: "),
    ],
)
def test_what_a_user_can_mend_is_one_line(
    error: Exception, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @report_user_errors
    def command() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        command()
    found = capsys.readouterr().err
    assert ended.value.code == 2 and found.startswith(message) and found.count("\n") == 1


def test_output_into_a_full_disk_is_one_line() -> None:
    script = (
        "from golden.errors import report_user_errors\n"
        "@report_user_errors\ndef main():\n    print('x')\nmain()"
    )
    buffered = os.environ | {"PYTHONUNBUFFERED": ""}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, env=buffered, stdout=full,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "error: No space left on device: free some\n")
