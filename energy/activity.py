"""Run sequences through a core's gates, hold its results against the golden model, and count what
every net and every memory does.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from energy.model import WORD, Watched, all_of, any_of, wire, write_model, write_shell
from energy.netlist import Net, Netlist
from energy.technology import Technology
from golden.errors import UserError
from golden.interface import Interface
from tb.batch import Batch, Job, LoadedCore, run_chunk
from tb.compiled import SHIM
from tb.verilator import build_library
from tb.wrapper import SHELL

COUNTING = Path(__file__).with_suffix(".cpp")


@dataclass(frozen=True)
class Accesses:
    """What a memory did: words read through all ports, words written, and cycles in which both
    happened.
    """

    reads: int
    writes: int
    both: int


@dataclass(frozen=True)
class Activity:
    """What a core did in a number of cycles.

    Attributes
    ----------
    transitions
        Of every net but the clocks, glitches apart.
    active
        Of every clock, by the enables that it passes: the cycles in which it has a period.
    memories
        By name.
    """

    cycles: int
    transitions: dict[Net, int]
    active: dict[tuple[Net, ...], int]
    memories: dict[str, Accesses]


def watch(netlist: Netlist, technology: Technology) -> Watched:
    """Return what is counted of a netlist; the levels are read by `_named`."""
    nets = [net for net, _ in netlist.driven(technology)]
    levels = [all_of(enables) for enables in netlist.enables_of(technology).values()]
    for memory in netlist.memories:
        writing = any_of(memory.enables)
        levels.append(writing)
        for port in memory.reads:
            levels += [wire(port.enable), f"({writing}) & {wire(port.enable)}"]
    return Watched(nets, levels)


def _named(
    netlist: Netlist, technology: Technology, watched: Watched, cycles: int, counts: np.ndarray
) -> Activity:
    levels = iter(counts[watched.first_level :].tolist())
    active = {enables: next(levels) for enables in netlist.enables_of(technology).values()}
    memories = {}
    for memory in netlist.memories:
        writes = next(levels)
        pairs = [(next(levels), next(levels)) for _ in memory.reads]
        reads, both = (sum(column) for column in zip(*pairs, strict=True))
        memories[memory.name] = Accesses(reads, writes, both)
    transitions = dict(zip(watched.nets, counts.tolist(), strict=False))
    return Activity(cycles, transitions, active, memories)


def build(
    netlist: Netlist, technology: Technology, interface: Interface, cache: Path, optimize: str
) -> tuple[Path, Watched]:
    """Return a library of the gates that counts, built unless `cache` has it."""
    watched = watch(netlist, technology)
    words, first = watched.width // WORD, watched.first_level // WORD
    defined = f"#define WORDS {words}\n#define LEVEL_WORD {first}\n"
    sources = {
        "gates.v": write_model(netlist, technology, watched, interface.top),
        f"{SHELL}.sv": write_shell(interface, watched),
        COUNTING.name: defined + COUNTING.read_text() + SHIM.read_text(),
    }
    return build_library(sources, SHELL, cache, optimize, large=True), watched


class CountingCore(LoadedCore):
    """A core in gates with its memories loaded: `taken` has the counts of each run, up to its last
    result, and after that until the core has settled; first of all those of the load.
    """

    def __init__(self, job: Job, width: int) -> None:
        super().__init__(job)
        self._width = width
        self._take = ctypes.CDLL(str(job.shared_object)).activity_take
        self._take.restype, self._take.argtypes = ctypes.c_int64, [ctypes.c_void_p]
        self.taken: list[tuple[int, np.ndarray]] = []
        self.on_results()

    def on_results(self) -> None:
        counts = np.zeros(self._width, np.int64)
        cycles = self._take(counts.ctypes.data)
        self.taken.append((cycles, counts))


@dataclass(frozen=True)
class Measured:
    """The activity of a load, of `sequences` inferences together, and how their results compare."""

    load: Activity
    run: Activity
    batch: Batch
    settled: dict[str, Accesses]


def measure(
    netlist: Netlist,
    technology: Technology,
    job: Job,
    watched: Watched,
    payloads: np.ndarray,
    progress: Callable[[int], object] = lambda n: None,
) -> Measured:
    """Run sequences (B, K, M) one by one and return their activity: each from its first item to its
    last result.

    Raises
    ------
    UserError
        A result or a counter is not the golden model's.
    """
    core = CountingCore(job, watched.width)
    batches = []
    for index, payload in enumerate(payloads):
        batch = run_chunk(core, job, payload[None], index)
        core.on_results()  # of the cycles in which it settled
        if batch.mismatches:
            raise UserError(f"the gates differ from the golden model: {batch.first[0]}")
        batches.append(batch)
        progress(1)
    core.close()

    def together(parts: list[tuple[int, np.ndarray]]) -> Activity:
        cycles, counts = sum(part[0] for part in parts), sum(part[1] for part in parts)
        return _named(netlist, technology, watched, cycles, np.asarray(counts))

    load, *rest = core.taken
    # Of every run: up to its last result, and then until the core has settled.
    return Measured(
        together([load]), together(rest[::2]), Batch.join(batches), together(rest).memories
    )
