"""Settings of all tests, and what they share."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

from export.core import write_core
from export.store import load_network
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from rtl.verilog.generate import generate_axi
from tests.mnist import make_mnist
from tests.spoken import make_spoken

# The same examples every time, and no limit on how long one takes: a busy machine is not a failure.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")


class Shared:
    """Folders that all tests of this session share, whichever of its processes they run in; no
    test changes what is in them.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, name: str, make: Callable[[Path], object]) -> Path:
        """Return the folder of this name; `make` is called with it if nobody has made it yet."""
        folder, made = self._root / name, self._root / f"{name}.made"
        with FileLock(self._root / f"{name}.lock"):
            if not made.exists():
                folder.mkdir(exist_ok=True)
                make(folder)
                made.touch()
        return folder


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Shared:
    root = tmp_path_factory.getbasetemp()
    return Shared(root if worker_id == "master" else root.parent)


@pytest.fixture(scope="session")
def rows_axi(shared: Shared) -> Path:
    """Return the manifest of `rows` on 8 lanes, two timesteps at once, with the Verilog of its
    standard top beside it.
    """
    network = load_network("rows")
    core = CoreParams(network.params, HardwareParams(8, block=2))
    folder = shared.folder("rows_axi", lambda made: generate_axi(write_core(network, core, made)))
    return folder / "manifest.json"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with digits, and spoken ones."""
    make_mnist(tmp_path / "data", monkeypatch)
    make_spoken(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def in_foreground() -> Iterator[None]:
    """Let the test, and what it starts, see the signals of a terminal: what a shell starts in its
    background ignores them.
    """
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
