"""A Verilated core in this process, which C++ drives cycle by cycle (tb/compiled.cpp).

Python only says what is to be sent, and reads what came: nothing of it runs within a cycle. Weights
are loaded when it runs: one library serves every network of that shape.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from golden.errors import UserError
from golden.interface import Interface, without_head
from tb.logs import Log, end_mask
from tb.verilator import build_library
from tb.wrapper import SHELL, write_shell

SHIM = Path(__file__).with_suffix(".cpp")
COVERAGE = "coverage.dat"  # written when a core is closed
STEP = 100_000  # cycles between looks at the keyboard
COUNTER_CYCLES = 3  # between two counters, as in tb/cocotb_core.py
_POINTER, _NUMBER, _WORD = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64


class _Source(ctypes.Structure):
    _fields_ = (
        ("items", _POINTER), ("gaps", _POINTER), ("n_items", _NUMBER), ("mask", _WORD),
        ("sent", _NUMBER), ("waited", _NUMBER),
    )  # fmt: skip


class _Run(ctypes.Structure):
    _fields_ = (
        ("source", _Source), ("gaps", _POINTER), ("n_gaps", _NUMBER), ("end_mask", _WORD),
        ("n_ends", _NUMBER), ("results", _POINTER), ("result_cycles", _POINTER),
        ("n_results", _NUMBER), ("patience", _NUMBER), ("settle", _NUMBER), ("taken", _NUMBER),
        ("ends", _NUMBER), ("idle", _NUMBER), ("cycle", _NUMBER), ("waited", _NUMBER),
    )  # fmt: skip


@dataclass(frozen=True)
class Ran:
    """What a core did with items: how many it took of them (`sent`), how many transfers (`taken`)
    and ends among them came, and of the first ones the payloads (n,) uint64 and the cycles (n,)
    int64; 0 is that of the first item's transfer.
    """

    sent: int
    taken: int
    ends: int
    results: np.ndarray
    cycles: np.ndarray


def build_compiled(
    verilog: str,
    interface: Interface,
    beside: Path,
    optimize: str = "-O3",
    logs: Iterable[Log] = (),
    *,
    coverage: bool = False,
) -> Path:
    """Return the library of a core's Verilog, which writes `logs`, and with `coverage` the file
    `COVERAGE` beside them; see `build_library`.
    """
    sources = {
        "core.v": without_head(verilog),
        f"{SHELL}.sv": write_shell(interface, logs),
        SHIM.name: shim_of(interface),
    }
    return build_library(sources, SHELL, beside, optimize, coverage=coverage)


def shim_of(interface: Interface) -> str:
    """Return the C++ that drives a core with this output."""
    return SHIM.read_text().replace("o_results", interface.output)


class CompiledCore:
    """A core with its memories loaded.

    Parameters
    ----------
    patience
        Cycles in which a core that works transfers something (`golden.cost.cycles`).
    load
        The load stream (n,) uint64, and `gaps` (n,) int64 before each of its items.
    logs
        The folder of the logs that the library was built with.
    counter_cycles
        From one counter being selected to the next one.
    power_up
        A seed of what the Verilog leaves open at power-up, from 1; a library that is built for it
        draws it (`build_library`).

    Raises
    ------
    UserError
        The core does not take its load stream.
    """

    def __init__(
        self,
        shared_object: Path,
        patience: int,
        interface: Interface,
        load: np.ndarray,
        gaps: np.ndarray | None = None,
        logs: Path = Path(),
        counter_cycles: int = COUNTER_CYCLES,
        power_up: int = 0,
    ) -> None:
        self._interface = interface
        self._patience, self._counter_cycles = patience, counter_cycles
        self._library = library = ctypes.CDLL(str(shared_object))
        library.core_new.restype = _POINTER
        library.core_new.argtypes = [ctypes.c_char_p, ctypes.c_int32]
        library.core_run.restype = library.core_broken.restype = ctypes.c_bool
        for name, arguments in (
            ("load", [_POINTER, _POINTER, _NUMBER]),
            ("run", [_POINTER, _POINTER, _NUMBER]),
            ("counters", [_POINTER, _POINTER, _NUMBER, _NUMBER]),
            ("errors", [_POINTER, _POINTER]),
            ("clear_errors", [_POINTER, _POINTER]),
            ("clear", [_POINTER]),
            ("broken", [_POINTER]),
            ("reset", [_POINTER]),
            ("delete", [_POINTER]),
        ):
            getattr(library, f"core_{name}").argtypes = arguments
        self._core: int | None = library.core_new(str(logs).encode(), power_up)
        self.load(load, gaps)

    def load(self, load: np.ndarray, gaps: np.ndarray | None = None) -> None:
        """Write the memories of an idle core; see the class."""
        source, _kept = self._source("i_load", load, gaps)
        self._library.core_load(self._core, ctypes.byref(source), self._patience)
        if source.sent != len(load):
            raise UserError(f"the core took {source.sent} of {len(load)} items of its load stream")

    def _source(
        self, stream: str, items: np.ndarray, gaps: np.ndarray | None
    ) -> tuple[_Source, list[np.ndarray]]:
        """Return the items of a stream for C++, and the arrays that must live as long."""
        kept: list[np.ndarray] = [np.ascontiguousarray(items, np.uint64)]
        if gaps is not None:
            kept.append(np.ascontiguousarray(gaps, np.int64))
        mask = (1 << self._interface.ports[f"{stream}__payload"].width) - 1
        of_gaps = None if gaps is None else kept[1].ctypes.data
        return _Source(kept[0].ctypes.data, of_gaps, len(items), mask), kept

    def run(
        self,
        items: np.ndarray,
        n_ends: int,
        *,
        gaps: tuple[np.ndarray, np.ndarray] | None = None,
        n_results: int = 0,
        settle: int = 0,
        cut: int | None = None,
        progress: Callable[[int], object] = lambda n: None,
    ) -> Ran:
        """Send items (n,) uint64 and take what comes until `n_ends` ends came, then for `settle`
        cycles; or until the core is stuck.

        Parameters
        ----------
        gaps
            Of the events and of the output; see `tb.gaps`.
        n_results
            How many transfers are returned.
        cut
            Stop after this many cycles, wherever the core is.
        progress
            Called with the ends that came since its last call.

        Raises
        ------
        UserError
            What a component claims of itself does not hold (`rtl.claims`).
        """
        of_events, of_output = gaps or (None, np.zeros(0, np.int64))
        source, _kept = self._source("i_events", items, of_events)
        results, cycles = np.zeros(n_results, np.uint64), np.zeros(n_results, np.int64)
        waits = np.ascontiguousarray(of_output, np.int64)
        run = _Run(
            source, waits.ctypes.data, len(waits), end_mask(self._interface), n_ends,
            results.ctypes.data, cycles.ctypes.data, n_results, self._patience, settle,
        )  # fmt: skip
        over, told, left = False, 0, cut
        while not over and left != 0:  # an interrupt is seen between two calls
            step = STEP if left is None else min(STEP, left)
            over = self._library.core_run(self._core, ctypes.byref(run), step)
            left = None if left is None else left - step
            if run.ends > told:
                progress(run.ends - told)
                told = run.ends
        if self._library.core_broken(self._core):
            raise UserError("a claim of the core does not hold: the simulator has told which one")
        count = min(run.taken, n_results)
        return Ran(run.source.sent, run.taken, run.ends, results[:count], cycles[:count])

    def counters(self) -> dict[str, int]:
        """Read every counter."""
        names = self._interface.counters
        counters = np.zeros(len(names), np.uint32)
        cycles = self._counter_cycles
        self._library.core_counters(self._core, counters.ctypes.data, len(counters), cycles)
        return dict(zip(names, counters.tolist(), strict=True))

    def errors(self) -> dict[str, bool]:
        """Read the sticky error flags."""
        names = self._interface.errors
        flags = np.zeros(8 + len(names) // 8, np.uint8)  # a word of 64 bits at most is not filled
        self._library.core_errors(self._core, flags.ctypes.data)
        bits = np.unpackbits(flags, bitorder="little").astype(bool)
        return dict(zip(names, bits.tolist(), strict=False))

    def clear_errors(self, names: Iterable[str]) -> None:
        """Clear these error flags, and no others."""
        bits = np.isin(self._interface.errors, list(names))
        flags = np.zeros(8 + len(bits) // 8, np.uint8)  # as in `errors`
        packed = np.packbits(bits, bitorder="little")
        flags[: len(packed)] = packed
        self._library.core_clear_errors(self._core, flags.ctypes.data)

    def clear(self) -> None:
        """Clear counters and flags."""
        self._library.core_clear(self._core)

    def reset(self) -> None:
        """Reset the core, wherever it is; its memories keep what was loaded."""
        self._library.core_reset(self._core)

    def close(self) -> None:
        """Free the model, and end its logs."""
        if self._core is not None:
            self._library.core_delete(self._core)
        self._core = None
