"""Run sequences through a chain of cores within their standard tops, on Verilator, each core's
spikes being the next one's events, and hold all results, cycles and counters to the golden model.

    from tb.chain import Chain, simulate_chain
    chain = Chain.read([Path("build/a/manifest.json"), Path("build/b/manifest.json")])
    activities = chain.golden(payloads)
    comparison = compare_chain(chain, activities, simulate_chain(chain, payloads))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from export.core import read_images
from export.images import Images, unpack
from export.items import to_items
from golden.cost.activity import Activity, measure_activity
from golden.cost.cycles import settle_cycles, watchdog_cycles
from golden.cost.timeline import Timeline
from golden.errors import UserError
from golden.formats import SPIKE
from golden.hardware.core import CoreParams
from golden.hardware.memory import load_header
from golden.hardware.part import EventKind
from golden.integer import NetworkIntegers
from golden.interface import Interface, read_verilog, without_head
from golden.registers import BUS_WIDTH, LATENCY, event_word, register_map
from tb.chain_wrapper import COUNTER_CYCLES, ERROR, REFUSED, chain_interface, renamed, write_chain
from tb.compare import COUNTER_MODULUS, Comparison, expected_counters, expected_errors
from tb.compiled import SHIM, CompiledCore
from tb.verilator import build_library
from tb.wrapper import SHELL

MOST_CORES = 16


def check_chain(cores: Sequence[CoreParams]) -> None:
    """Raise `UserError` where cores cannot follow one another."""
    names = [core.network.name for core in cores]
    if not 2 <= len(cores) <= MOST_CORES:
        raise UserError(f"a chain of {len(cores)} cores: use 2 to {MOST_CORES}")
    for core, name in zip(cores[:-1], names, strict=False):
        if core.network.output is not None:
            raise UserError(
                f"{name} has a readout, and another core follows: only the last one may have one"
                " (dmp split cuts a network)"
            )
    if cores[-1].network.output is None:
        raise UserError(f"{names[-1]} is the last core and has no readout: a chain ends with one")
    for (before, after), (sender, taker) in zip(pairwise(cores), pairwise(names), strict=True):
        sent, first = before.network.layers[-1].n_neurons, after.network.layers[0]
        if sent != first.n_inputs:
            raise UserError(
                f"{sender} sends the spikes of {sent} neurons, but {taker} has"
                f" {first.n_inputs} inputs: they must be equal"
            )
        if first.formats.payload != SPIKE:
            raise UserError(
                f"{taker} takes graded inputs ({first.formats.payload}), but {sender} sends spikes"
            )


@dataclass(frozen=True)
class Chain:
    """The cores of a chain, in order: each with the words of its memories, the network that these
    hold, and the Verilog of its standard top.
    """

    cores: list[CoreParams]
    images: list[Images]
    networks: list[NetworkIntegers]
    verilogs: list[str]

    @staticmethod
    def read(manifests: Sequence[Path]) -> Chain:
        """Read cores whose standard tops lie beside their manifests; or raise `UserError` where one
        is missing, or they cannot follow one another.
        """
        cores, images = zip(*map(read_images, manifests), strict=True) if manifests else ((), ())
        check_chain(cores)
        verilogs = [
            read_verilog(
                manifest.parent / f"{core.network.name}_axi.v", f"dmp rtl {manifest} --top axi"
            )
            for manifest, core in zip(manifests, cores, strict=True)
        ]
        networks = [unpack(of, core) for of, core in zip(images, cores, strict=True)]
        return Chain(list(cores), list(images), networks, verilogs)

    def golden(self, payloads: np.ndarray) -> list[Activity]:
        """Return what each core's network does with sequences (B, K, M) that enter the first."""
        found: list[Activity] = []
        for network in self.networks:
            found.append(measure_activity(network, payloads))
            spikes = found[-1].run.layers[-1].spikes
            assert spikes is not None
            payloads = spikes.astype(np.int64)
        return found

    def timeline(self, activities: Sequence[Activity]) -> Timeline:
        """Return when each core does what with these sequences."""
        runs = [
            activity.of_block(core.hardware.block)
            for core, activity in zip(self.cores, activities, strict=True)
        ]
        layers = [layer for run in runs for layer in run.layers]
        return Timeline(self.cores, activities[0].payloads, layers)


@dataclass(frozen=True)
class ChainRun:
    """What a chain did with B sequences: `logits` (B, C), `classes` (B,), `ends` (B,) the cycle of
    each one's last beat (0 is that of the first beat's transfer), and what was read of the cores
    (`tb.chain_wrapper.registers_of`).
    """

    logits: np.ndarray
    classes: np.ndarray
    ends: np.ndarray
    read: dict[str, int]


def _beats(interface: Interface, core: CoreParams, payloads: np.ndarray) -> np.ndarray:
    """Return the beats (n,) uint64 of sequences (B, K, M): one for each event and each end."""
    kind, address, payload = to_items(payloads).T
    bits = {field.name: field for field in event_word(core)}
    words = address | (payload & (1 << bits["PAYLOAD"].width) - 1) << bits["PAYLOAD"].low
    return interface.pack(
        "i_events",
        data=words,
        last=kind == EventKind.END_TIMESTEP,
        user=kind == EventKind.END_SEQUENCE,
    )


def _loads(interface: Interface, chain: Chain) -> np.ndarray:
    """Return the writes (n,) uint64 that load every memory of every core."""
    mask = (1 << BUS_WIDTH) - 1
    found = []
    for place, (core, images) in enumerate(zip(chain.cores, chain.images, strict=True)):
        registers = register_map(core)
        header, data = registers["LOAD_HEADER"].offset, registers["LOAD_DATA"].offset
        addresses, words = [], []
        for number, (name, memory) in enumerate(core.memories.items()):
            parts = [word >> BUS_WIDTH * i & mask for word in images[name]
                     for i in range(memory.items)]  # fmt: skip
            addresses += [header, *[data] * len(parts)]
            words += [load_header(number), *parts]
        written = {"data": np.array(words, np.uint64), "address": np.array(addresses)}
        found.append(interface.pack("i_load", **written, core=np.full(len(words), place)))
    return np.concatenate(found)


def simulate_chain(
    chain: Chain,
    payloads: np.ndarray,
    folder: Path,
    *,
    optimize: str = "-O2",
    progress: Callable[[int], object] = lambda n: None,
) -> ChainRun:
    """Load the cores of a chain, and run sequences (B, K, M) one after another, without gaps.

    Parameters
    ----------
    folder
        Where the model is built, if this user has no cache.
    progress
        Called with the number of sequences that ended since its last call.

    Raises
    ------
    UserError
        The chain is stuck, or sends something else than results of these sequences.
    """
    interface = chain_interface(chain.cores)
    sources = {
        f"core{place}.v": renamed(without_head(text), place)
        for place, text in enumerate(chain.verilogs)
    }
    sources |= {f"{SHELL}.sv": write_chain(chain.cores), SHIM.name: SHIM.read_text()}
    library = build_library(sources, SHELL, folder, optimize)
    n_sequences, n_words = len(payloads), chain.cores[-1].network.readout.n_classes + 1
    beats = _beats(interface, chain.cores[0], payloads)
    patience = sum(map(watchdog_cycles, chain.cores))
    loads = _loads(interface, chain)
    compiled = CompiledCore(library, patience, interface, loads, counter_cycles=COUNTER_CYCLES)
    try:
        ran = compiled.run(
            beats,
            n_sequences,
            n_results=n_sequences * n_words,
            settle=max(map(settle_cycles, chain.cores)),
            progress=progress,
        )
        if ran.sent != len(beats) or ran.ends < n_sequences:
            raise UserError(
                "the simulation failed: the chain is stuck, nothing is transferred any more; it"
                f" took {ran.sent} of {len(beats)} beats and sent {ran.ends} of {n_sequences}"
                " results"
            )
        if compiled.errors()[REFUSED]:
            raise UserError("the simulation failed: a core refused a write of its memories")
        read = compiled.counters()
    finally:
        compiled.close()
    beat = interface.unpack("o_results", ran.results)
    ends = np.arange(n_sequences * n_words) % n_words == n_words - 1
    if ran.taken != len(ends) or not np.array_equal(beat["last"], ends):
        raise UserError(
            f"the chain sent {ran.taken} beats, and not the results of {n_sequences} sequences"
        )
    words = beat["data"].astype(np.uint32).astype(np.int32).astype(np.int64)
    packets = words.reshape(n_sequences, n_words)
    cycles = ran.cycles.reshape(n_sequences, n_words)
    return ChainRun(packets[:, :-1], packets[:, -1], cycles[:, -1], read)


def compare_chain(chain: Chain, activities: Sequence[Activity], ran: ChainRun) -> Comparison:
    """Compare a run of a chain with golden's: every logit and class, the cycle of each sequence's
    result, and of each core all that golden predicts of its counters, and its error flags.
    """
    comparison = Comparison()
    golden = activities[-1].run
    comparison.add("logits", golden.logits, ran.logits, ("sequence", "class"))
    comparison.add("class", golden.classes, ran.classes, ("sequence",))
    timeline = comparison.timeline = chain.timeline(activities)
    comparison.add("result cycle", timeline.ends + LATENCY, ran.ends, ("sequence",))
    for place, (core, activity) in enumerate(zip(chain.cores, activities, strict=True)):
        run = activity.of_block(core.hardware.block)
        for name, counts in expected_counters(core, run).items():
            due = np.array([int(counts.sum()) % COUNTER_MODULUS])
            found = np.array([ran.read[f"{place}.{name}"]])
            comparison.add(f"counter {place}.{name}", due, found, ("place",))
        for index, (name, counts) in enumerate(expected_errors(core, run).items()):
            word, bit = divmod(index, BUS_WIDTH)
            flag = np.array([ran.read[f"{place}.{ERROR}{word}"] >> bit & 1])
            due = np.array([int(counts.sum() > 0)])
            comparison.add(f"error flag {place}.{name}", due, flag, ("place",))
    return comparison
