"""Run sequences through the generated Verilog of a core, on Verilator.

    from tb.simulate import simulate
    simulation = simulate(Path("build/smnist/manifest.json"), payloads)
    simulation.classes, simulation.counters["layer0.spikes"], simulation.layer(0).membrane

`tb.compare` holds what it returns to the golden model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from export.images import Images
from export.items import pack_events, to_items
from golden.blocks import block_lengths, block_starts
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.interface import Interface
from golden.manifest import read_core
from tb.drivers import Status, build_core_model, drive
from tb.logs import Log, core_logs
from tb.outputs import Output, ends_of_sequence, read_output


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
class Simulation(Output, Status):
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
            values, drives = layer.state_update.words * self.n_timesteps, self.n_timesteps
            state = self._read(f"layer{index}.state", values, first, count)["state"]
            drive = self._read(f"layer{index}.drive", drives, first, count)["drive"]
            state, drive = state.reshape(*steps, -1)[..., :d], drive.reshape(steps)
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


def simulate(
    manifest: Path,
    payloads: np.ndarray,
    *,
    reports: Sequence[int] = (),
    stalls_seed: int | None = None,
    folder: Path | None = None,
    optimize: str = "-O2",
    cocotb: bool = False,
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
    optimize, cocotb
        See `build_core_model`.
    waves
        An FST file for every signal in every cycle, written under cocotb [default: none is].
    progress
        Called with the number of sequences that have ended since its last call; never under cocotb.

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
        cocotb=cocotb,
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
    cocotb: bool = False,
    waves: Path | None = None,
    progress: Callable[[int], object] = lambda n: None,
) -> Simulation:
    """Run input items (n, 3) of kind, address, payload that make up sequences of `n_timesteps`, of
    which each has these `reports`; like `simulate`.
    """
    if len(reports) and not read_core(manifest)[0].hardware.reports:
        raise UserError(f"the core of {manifest} sends no reports: export it with --reports")
    model = build_core_model(manifest, optimize=optimize, cocotb=cocotb, waves=waves is not None)
    core, interface, logs = model.core, model.interface, core_logs(model.core, model.interface)
    folder = (folder or manifest.parent / "sim").resolve()
    n_ends, ended = ends_of_sequence(core, n_timesteps, len(reports)), 0

    def count(new: int) -> None:
        nonlocal ended
        ended += new
        progress(ended // n_ends - (ended - new) // n_ends)

    started = time.monotonic()
    status = drive(
        model,
        pack_events(interface, items),
        n_sequences * n_ends,
        folder,
        stalls_seed=stalls_seed,
        waves=waves,
        progress=count,
    )
    seconds = time.monotonic() - started
    output = read_output(folder, logs, core, n_sequences, n_timesteps, len(reports))
    return Simulation(
        **vars(output),
        **vars(status),
        core=core,
        images=model.images,
        interface=interface,
        folder=folder,
        verilog=model.verilog,
        n_sequences=n_sequences,
        n_timesteps=n_timesteps,
        reports=tuple(reports),
        first_cycle=int(logs["items"].read(folder, 0, 1)["cycle"][0, 0]),
        stalls_seed=stalls_seed,
        seconds=seconds,
    )
