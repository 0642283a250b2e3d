"""How a command ends: on bad input, on a file that cannot be used, on a signal. In one line, and
with a status other than 0.
"""

from __future__ import annotations

import atexit
import ctypes
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, wraps
from multiprocessing import resource_tracker
from types import FrameType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

SIGNALS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "the terminal is gone",
}
LONGEST = 4000  # characters of a message
SWEEP_SECONDS = 0.2  # between two looks for processes that were started meanwhile
LAST_SWEEPS = 10  # what ignores SIGTERM is left after them
PR_SET_CHILD_SUBREAPER = 36  # of Linux
GUARD = """
import os, shutil, signal, sys, time
mark = sys.argv[1].encode()
*folders, last = sys.stdin.buffer.read().split(bytes(1))
killed = last != b"left"  # the command's last word
for number in killed * ([signal.SIGTERM] * 10 + [signal.SIGKILL] * 10):
    found = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                of_command = mark in file.read()
            if of_command:
                os.kill(int(name), number)
                found += 1
        except OSError:
            pass
    if not found:
        break
    time.sleep(0.1)
for folder in killed * folders:
    shutil.rmtree(folder, ignore_errors=True)
"""
SAME_SECONDS = 1.0  # one wish to end arrives twice: from make, and from what ends make's group


class UserError(ValueError):
    """Bad input: one line that says what is wrong, where, and what would be right. What a file puts
    into it stays one line of text that a terminal shows.
    """

    def __init__(self, message: str) -> None:
        shown = "".join(c if c.isprintable() else " " for c in message)
        super().__init__(shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}...")


class Ended(KeyboardInterrupt):
    """A signal asks this process to end; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = signal.Signals(number)


def report_user_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Make `command` end with one line on standard error: with status 2 on a `UserError`, an
    unusable file or too little memory; on a signal with 128 + its number, and with all processes
    that it started.
    """

    @wraps(command)
    def reported(*args: P.args, **kwargs: P.kwargs) -> R:
        status = 2
        try:
            with _ended_by_signals():
                result = command(*args, **kwargs)
                sys.stdout.flush()  # a full disk is an error here, and a traceback at exit
                return result
        except UserError as error:
            message = f"error: {error}"
        except OSError as error:
            if error.errno == errno.EPIPE:  # who read the output has left: click ends in silence
                raise
            message = f"error: {_describe(error)}"
        except MemoryError:
            message = "error: too little memory: run less at once (--jobs 1)"
        except KeyboardInterrupt as error:
            number = error.number if isinstance(error, Ended) else signal.SIGINT
            message, status = SIGNALS[number], 128 + number
        try:
            sys.stdout.flush()
        except OSError:  # what is left in the buffer has nowhere to go
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(message, file=sys.stderr)
        raise SystemExit(status)

    return reported


def _describe(error: OSError) -> str:
    if error.errno is None:
        return str(error)
    where = f"{error.filename}: " if error.filename else ""
    right = "free some" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "use another path"
    return f"{where}{error.strerror}: {right}"


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Make each of `SIGNALS` raise `Ended` in the block. All processes that this one started are
    told to end first, and theirs; so are those that its threads still start until the block is
    left. A later signal ends this process at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    left = threading.Event()
    told: list[float] = []

    def end(number: int, frame: FrameType | None) -> None:
        told.append(time.monotonic())
        if len(told) == 1:
            _adopt_orphans()
            _end_children()
            threading.Thread(target=sweep, daemon=True).start()
            raise Ended(number)
        if told[-1] - told[0] > SAME_SECONDS:
            os._exit(128 + number)

    def sweep() -> None:
        while not left.wait(SWEEP_SECONDS):
            _end_children()

    # What is ignored stays so: `nohup`, and what a shell runs in the background.
    before = {
        number: signal.signal(number, end)
        for number in SIGNALS
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        left.set()
        for _ in range(LAST_SWEEPS if told else 0):
            if not _end_children():
                break
            time.sleep(SWEEP_SECONDS / 4)
        for number, handler in before.items():
            signal.signal(number, handler)


def guard_children() -> int:
    """Let what this process starts from now on end with it even where it is killed (SIGKILL), and
    can end nothing itself: by a process that waits for that, and finds all that was started by a
    variable of its environment (Linux only). Return the number of this process, or 0.
    """
    guard = _guard()
    return guard.pid if guard else 0


def guard_folder(folder: str) -> None:
    """Let a folder of this process be removed where it is killed."""
    guard = _guard()
    if guard and guard.stdin:
        with suppress(OSError):
            guard.stdin.write(os.fsencode(os.path.abspath(folder)) + bytes(1))
            guard.stdin.flush()


@cache
def _guard() -> subprocess.Popen[bytes] | None:
    if not os.path.exists("/proc/self/environ"):
        return None
    name, value = f"DMP_COMMAND_{os.getpid()}", str(time.time_ns())
    guard = subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", GUARD, f"{name}={value}"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
        start_new_session=True,
    )  # fmt: skip
    os.environ[name] = value

    def leave() -> None:
        with suppress(OSError, ValueError):
            guard.communicate(b"left")

    atexit.register(leave)
    return guard


@contextmanager
def deaf_children() -> Iterator[None]:
    """Let processes that are started in the block not hear SIGINT, which a terminal sends to all of
    them: they would write tracebacks. Their parent ends them.
    """
    resource_tracker.ensure_running()  # which would let SIGINT through again when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _adopt_orphans() -> None:
    """Become the parent of processes whose parents end, so that they are found (Linux only)."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_children() -> int:
    """Send SIGTERM to all processes that this one started, and to theirs; return how many."""
    import psutil  # which only a command that is ended needs

    count = 0
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            guards = _guard.cache_info().currsize and child.pid == guard_children()
            if child.status() != psutil.STATUS_ZOMBIE and not guards:
                child.terminate()
                count += 1
    return count


def _end_quietly_while_loading() -> None:
    """Let SIGINT end `python -m ...` without a traceback while its modules are still imported."""
    loading = getattr(sys, "argv", [])[:1] == ["-m"]
    if loading and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


_end_quietly_while_loading()
