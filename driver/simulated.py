"""The standard top itself, Verilated into this process: what is on the chip, without the chip.

It stands still between calls, so the cycles of a run depend on nothing else.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

from driver.transport import Silence, check_response
from golden.cost.cycles import watchdog_cycles
from golden.hardware.core import CoreParams
from golden.interface import read_verilog, without_head
from golden.manifest import read_core
from golden.registers import AXI_TOP
from tb.verilator import build_library

SHIM = Path(__file__).with_suffix(".cpp")


class Simulated:
    """The transport to a Verilated core.

    Parameters
    ----------
    manifest
        `dmp rtl MANIFEST --top axi` must have written its Verilog, beside it.
    optimize
        The C++ compiler's option for the model: a short run is over sooner with -O0.
    shared_object
        Use this library instead, as of the top within a system.
    """

    def __init__(
        self,
        manifest: Path,
        *,
        optimize: str = "-O3",
        shared_object: Path | None = None,
    ) -> None:
        core, _ = read_core(manifest)
        if shared_object is None:
            shared_object = self._build(manifest, core, optimize)
        library = ctypes.CDLL(str(shared_object))
        self._declare(library)
        self._library = library
        self._patience = watchdog_cycles(core)
        self._top: int | None = library.axi_new()

    @staticmethod
    def _build(manifest: Path, core: CoreParams, optimize: str) -> Path:
        verilog = read_verilog(
            manifest.parent / f"{core.network.name}_axi.v",
            f"dmp rtl {manifest} --top axi",
        )
        sources = {"core.v": without_head(verilog), SHIM.name: SHIM.read_text()}
        return build_library(sources, AXI_TOP, manifest.parent / "verilator", optimize)

    @staticmethod
    def _declare(library: ctypes.CDLL) -> None:
        pointer, number, address = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint32
        for name, result, arguments in (
            ("new", pointer, []),
            ("reset", None, [pointer]),
            ("delete", None, [pointer]),
            ("cycles", number, [pointer]),
            ("write", number, [pointer, address, pointer, number, number]),
            ("read", number, [pointer, address, pointer, number]),
            ("send", number, [pointer, pointer, pointer, number, number]),
            ("receive", number, [pointer, pointer, pointer, number, number]),
        ):
            function = getattr(library, f"axi_{name}")
            function.restype, function.argtypes = result, arguments

    @property
    def top(self) -> int:
        """The model, for functions of a library of one's own."""
        assert self._top is not None
        return self._top

    @property
    def cycles(self) -> int | None:
        return self._library.axi_cycles(self._top)

    def read(self, address: int) -> int:
        word = ctypes.c_uint32()
        found = self._library.axi_read(self._top, address, ctypes.byref(word), self._patience)
        self._check(found, f"a read of 0x{address:04X}")
        return word.value

    def write(self, address: int, word: int) -> None:
        self.write_burst(address, np.array([word], np.uint32))

    def write_burst(self, address: int, words: np.ndarray) -> None:
        words = np.ascontiguousarray(words, np.uint32)
        found = self._library.axi_write(
            self._top, address, words.ctypes.data, len(words), self._patience
        )
        self._check(found, f"a write to 0x{address:04X}")

    def send_events(self, words: np.ndarray, last: np.ndarray | None = None) -> None:
        """Send words, with TLAST where `last` (n,) says so [default: nowhere]."""
        words = np.ascontiguousarray(words, np.uint32)
        flags = None if last is None else np.ascontiguousarray(last, np.uint8)
        sent = self._library.axi_send(
            self._top, words.ctypes.data, None if flags is None else flags.ctypes.data,
            len(words), self._patience,
        )  # fmt: skip
        if sent != len(words):
            raise Silence(f"the core took {sent} of {len(words)} words: results wait to be taken")

    def receive(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        words, last = np.zeros(count, np.uint32), np.zeros(count, np.uint8)
        found = self._library.axi_receive(
            self._top, words.ctypes.data, last.ctypes.data, count, self._patience
        )
        if found != count:
            raise Silence(f"the core sent {found} of {count} results: a sequence has not ended")
        return words, last.astype(bool)

    def recover(self) -> None:
        """Do nothing: no call leaves anything begun."""

    def reset(self) -> None:
        """Reset the core, which keeps its memories."""
        self._library.axi_reset(self._top)

    def close(self) -> None:
        if self._top is not None:
            self._library.axi_delete(self._top)
        self._top = None

    def _check(self, response: int, what: str) -> None:
        if response < 0:
            raise Silence(f"{what} was not answered in {self._patience} cycles")
        check_response(response, what)
