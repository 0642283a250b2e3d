"""Run sequences through the generated Verilog of a core, under cocotb on Verilator.

    from tb.simulate import simulate
    simulation = simulate(Path("build/smnist/manifest.json"), payloads)
    simulation.classes, simulation.counters["layer0.spikes"], simulation.layer(0).membrane

`tb.compare` holds what it returns to the golden model.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from export.core import read_images
from export.images import Images
from export.items import load_items, to_items
from golden.blocks import block_lengths, block_starts
from golden.cost.cycles import settle_cycles, watchdog_cycles
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.interface import Interface, read_interface, read_verilog
from golden.manifest import read_core
from tb import cocotb_core
from tb.logs import ENDS, Log, core_logs
from tb.outputs import Output, ends_of_sequence, read_output
from tb.verilator import build_model, empty_run_folder, run_model
from tb.wrapper import TOP, write_wrapper

JOB = "job.npz"


def by_timestep(words: np.ndarray, layer: LayerHardware, lengths: np.ndarray) -> np.ndarray:
    """Arrange traced words of neurons (words, units) of whole sequences, which come by blocks of
    `lengths`, in these by groups, and in these by timesteps, as (B, K, N).
    """
    groups, fold, n_timesteps = layer.n_groups, layer.fold, int(lengths.sum())
    # Of each timestep: the first one of its block, and the words from a group of it to the next.
    first, step = np.repeat(block_starts(lengths), lengths), np.repeat(lengths * fold, lengths)
    place = first * groups * fold + (np.arange(n_timesteps) - first) * fold
    order = place[:, None, None] + step[:, None, None] * np.arange(groups)[:, None]
    order = order + np.arange(fold)
    sequences = words.reshape(-1, n_timesteps * groups * fold, layer.neuron_fold.units)
    dealt = sequences[:, order].reshape(len(sequences), n_timesteps, -1)
    return dealt[:, :, : layer.params.n_neurons]


class IncompleteTrace(UserError):
    """The core wrote down fewer or more items than its timesteps have: they cannot be told
    apart.
    """


@dataclass(frozen=True)
class LayerTrace:
    """What a layer's trace ports showed in B sequences of K timesteps.

    `spikes` (B, K, N) bool, `membrane` (B, K, N) after the reset, `state` (B, K, d) after its
    update, `drive` (B, K), `synapse` (B, K, N) the synaptic currents. What the layer does not have
    is empty in its last axis.
    """

    spikes: np.ndarray
    membrane: np.ndarray
    state: np.ndarray
    drive: np.ndarray
    synapse: np.ndarray


@dataclass(frozen=True)
class Simulation(Output):
    """What a core did with B sequences: what it sent, and what it counted.

    `reports` are the numbers of timesteps after which each sequence asked for the results so far.
    `first_cycle` is the cycle in which the first input item was taken. Traces are read from the
    run's files when asked for.
    """

    core: CoreParams
    images: Images
    interface: Interface
    folder: Path
    verilog: Path
    n_sequences: int
    n_timesteps: int
    reports: tuple[int, ...]
    first_cycle: int
    stalls_seed: int | None
    counters: dict[str, int]
    errors: dict[str, bool]
    counters_cleared: dict[str, int]
    errors_cleared: dict[str, bool]
    seconds: float

    @cached_property
    def lengths(self) -> np.ndarray:
        """The timesteps (blocks,) of each block of a sequence."""
        return block_lengths(self.n_timesteps, self.core.hardware.block, self.reports)

    @cached_property
    def logs(self) -> dict[str, Log]:
        return core_logs(self.core, self.interface)

    def layer(self, index: int, first: int = 0, count: int | None = None) -> LayerTrace:
        """Return a layer's trace of `count` sequences from sequence `first` (all by default).

        Raises
        ------
        UserError
            The core has no trace ports; as `IncompleteTrace`, it showed more or fewer items than
            its timesteps have.
        """
        if not self.core.hardware.trace:
            raise UserError("the core has no trace ports: generate it with them")
        layer = self.core.layers[index]
        count = self.n_sequences - first if count is None else count
        d, steps = layer.params.n_state, (count, self.n_timesteps)
        words = self.n_timesteps * layer.n_groups * layer.fold
        neurons = self._read(f"layer{index}.neurons", words, first, count)
        membrane = by_timestep(neurons["membrane"], layer, self.lengths)
        spikes = by_timestep(neurons["spikes"], layer, self.lengths).astype(bool)
        if d:
            values, drives = d * self.n_timesteps, self.n_timesteps
            state = self._read(f"layer{index}.state", values, first, count)["state"]
            drive = self._read(f"layer{index}.drive", drives, first, count)["drive"]
            state, drive = state.reshape(*steps, d), drive.reshape(steps)
        else:
            state, drive = np.zeros((*steps, 0), np.int64), np.zeros((*steps, 0), np.int64)
        synapse = np.zeros((*steps, 0), np.int64)
        if layer.params.synapse:
            currents = self._read(f"layer{index}.synapse", words, first, count)["synapse"]
            synapse = by_timestep(currents, layer, self.lengths)
        return LayerTrace(spikes, membrane, state, drive, synapse)

    def starts(self, part: str) -> np.ndarray:
        """Return the cycles (B, blocks) int64 in which a part (`layer0`, `readout`) started each
        block of timesteps; see `layer`.
        """
        n_blocks = len(self.lengths)
        cycles = self._read(f"{part}.start", n_blocks, 0, self.n_sequences)["cycle"]
        return cycles.reshape(self.n_sequences, n_blocks)

    def _read(self, name: str, lines: int, first: int, count: int) -> dict[str, np.ndarray]:
        """Read a log that has `lines` lines a sequence."""
        log = self.logs[name]
        found, expected = log.n_lines(self.folder), lines * self.n_sequences
        if found != expected:
            raise IncompleteTrace(
                f"{name} has {found} items, where {self.n_sequences} sequences make {expected}"
            )
        return log.read(self.folder, first * lines, count * lines)


@dataclass(frozen=True)
class Model:
    """A core's Verilated model in `folder`, with all that was read to build it."""

    core: CoreParams
    images: Images
    interface: Interface
    verilog: Path
    folder: Path


def build_core_model(manifest: Path, *, optimize: str = "-O2", waves: bool = False) -> Model:
    """Build the model of a manifest's core, unless that is done already; `make rtl` must have
    written its Verilog.

    Parameters
    ----------
    optimize
        The C++ compiler's option for the model: a short run is over sooner with -O0.
    waves
        Whether it can write its signals into a file.

    Raises
    ------
    UserError
        A file is missing or does not fit the others, or there is no Verilator to use.
    """
    core, images = read_images(manifest)
    interface = read_interface(manifest)
    verilog = manifest.parent / f"{core.network.name}.v"
    text = read_verilog(verilog)
    wrapper = write_wrapper(interface, core_logs(core, interface).values(), watchdog_cycles(core))
    folder = build_model(
        {verilog.name: text, f"{TOP}.sv": wrapper},
        TOP,
        manifest.parent / "verilator",
        optimize,
        waves=waves,
    )
    return Model(core, images, interface, verilog, folder)


def simulate(
    manifest: Path,
    payloads: np.ndarray,
    *,
    reports: Sequence[int] = (),
    stalls_seed: int | None = None,
    folder: Path | None = None,
    optimize: str = "-O2",
    waves: Path | None = None,
    progress: Callable[[int], object] = lambda n: None,
) -> Simulation:
    """Run sequences (B, K, M) of payloads through the core of a manifest; `make rtl` must have
    written its Verilog.

    Parameters
    ----------
    reports
        Ask for the results so far after each of these numbers of timesteps of every sequence,
        ascending; the core must have reports.
    stalls_seed
        Draw gaps on every stream, and the order of the events within a timestep, from this seed.
        None: no gaps.
    folder
        Where the run's files go [default: `sim` beside the manifest]; what an earlier run left
        there is replaced.
    optimize
        See `build_core_model`.
    waves
        An FST file for every signal in every cycle [default: none is written].
    progress
        Called with the number of sequences that have ended since its last call.

    Raises
    ------
    UserError
        As `build_core_model`; or the simulation fails.
    """
    rng = None if stalls_seed is None else np.random.default_rng(stalls_seed)
    items = to_items(payloads, rng, reports)
    return simulate_items(
        manifest,
        items,
        *payloads.shape[:2],
        reports=reports,
        stalls_seed=stalls_seed,
        folder=folder,
        optimize=optimize,
        waves=waves,
        progress=progress,
    )


def simulate_items(
    manifest: Path,
    items: np.ndarray,
    n_sequences: int,
    n_timesteps: int,
    *,
    reports: Sequence[int] = (),
    stalls_seed: int | None = None,
    folder: Path | None = None,
    optimize: str = "-O2",
    waves: Path | None = None,
    progress: Callable[[int], object] = lambda n: None,
) -> Simulation:
    """Run input items (n, 3) of kind, address, payload that make up sequences of `n_timesteps`, of
    which each has these `reports`; like `simulate`.
    """
    if len(reports) and not read_core(manifest)[0].hardware.reports:
        raise UserError(f"the core of {manifest} sends no reports: export it with --reports")
    model = build_core_model(manifest, optimize=optimize, waves=waves is not None)
    core, images, interface = model.core, model.images, model.interface
    folder = empty_run_folder(folder or manifest.parent / "sim", JOB)
    logs = core_logs(core, interface)
    n_ends = ends_of_sequence(core, n_timesteps, len(reports))
    kind, address, payload = items.T
    np.savez(
        folder / JOB,
        load=load_items(interface, core, images),
        events=interface.pack("i_events", kind=kind, address=address, payload=payload),
        output=interface.output,
        n_ends=n_sequences * n_ends,
        n_counters=len(interface.counters),
        settle_cycles=settle_cycles(core),
        stalls_seed=-1 if stalls_seed is None else stalls_seed,
    )
    started = time.monotonic()
    with _watch(lambda: logs[ENDS].n_lines(folder) // n_ends, progress):
        run_model(
            model.folder,
            TOP,
            cocotb_core.__name__,
            folder,
            {cocotb_core.JOB_VARIABLE: str(folder / JOB)},
            waves=None if waves is None else waves.resolve(),
        )
    seconds = time.monotonic() - started
    output = read_output(folder, logs, core, n_sequences, n_timesteps, len(reports))
    with np.load(folder / cocotb_core.STATUS_FILE) as status:
        counters, cleared = (
            dict(zip(interface.counters, status[key].tolist(), strict=True))
            for key in ("counters", "counters_cleared")
        )
        errors, errors_cleared = (
            {name: bool(int(status[key]) >> i & 1) for i, name in enumerate(interface.errors)}
            for key in ("errors", "errors_cleared")
        )
    return Simulation(
        **vars(output),
        core=core,
        images=images,
        interface=interface,
        folder=folder,
        verilog=model.verilog,
        n_sequences=n_sequences,
        n_timesteps=n_timesteps,
        reports=tuple(reports),
        first_cycle=int(logs["items"].read(folder, 0, 1)["cycle"][0, 0]),
        stalls_seed=stalls_seed,
        seconds=seconds,
        counters=counters,
        errors=errors,
        counters_cleared=cleared,
        errors_cleared=errors_cleared,
    )


class _watch:
    """Call `progress` with what `count` grows by, from a thread, while the block runs."""

    def __init__(self, count: Callable[[], int], progress: Callable[[int], object]) -> None:
        self._count, self._progress, self._done = count, progress, 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._report()

    def _run(self) -> None:
        while not self._ended.wait(0.5):
            self._report()

    def _report(self) -> None:
        count = self._count()
        if count > self._done:
            self._progress(count - self._done)
            self._done = count
