"""The trace ports of a core: the C++ that hashes them while it runs, and the same hash of a golden
run.

The hash of a port is the sum, modulo 2^64, of `mix(value + n * STEP)` over its values: n counts
them from 1, a value is its bits without sign. It tells values and their order.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from golden.blocks import block_lengths, block_starts
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.interface import Interface
from golden.runs import Run
from tb.logs import Column, Log, core_logs

SOURCE = Path(__file__).with_suffix(".cpp")
STEP = np.uint64(0x9E3779B97F4A7C15)
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


class Port(ctypes.Structure):
    """A port as C++ has it; `shown` (n_lines,) uint8."""

    _fields_ = (
        ("shown", ctypes.c_void_p), ("n_lines", ctypes.c_int64), ("line", ctypes.c_int64),
        ("n_values", ctypes.c_int64), ("hash", ctypes.c_uint64),
    )  # fmt: skip


@dataclass
class Shown:
    """What a port shows in a run: in each line how many values (lines,) uint8, the hash, and how
    many values are in it.
    """

    name: str
    lines: np.ndarray
    hash: int
    n_values: int


def trace_logs(core: CoreParams, interface: Interface) -> list[Log]:
    """Return the trace ports of a core, as the testbench logs them."""
    logs = core_logs(core, interface)
    return [log for name, log in logs.items() if name.startswith(("layer", "readout"))]


def watch_text(core: CoreParams, interface: Interface) -> str:
    """Return the C++ before `tb/compiled.cpp`, for the trace ports of this core."""
    lines = []
    for number, log in enumerate(trace_logs(core, interface)):
        lines.append(f"    if (top.{log.valid}) {{ const int n = begin({number}); (void)n;")
        for column in _columns(log):
            lines.append(f"        add<{column.element.width}>({number}, n, top.{column.source});")
        lines.append("    }")
    body = "\n".join(lines)
    written = f"namespace {{\n\nvoid watch(const Vshell& top) {{\n{body}\n}}\n\n}}  // namespace\n"
    return f"{SOURCE.read_text()}\n{written}\n"


def _columns(log: Log) -> list[Column]:
    """Return the columns of a port that have values: a start has none."""
    return [column for column in log.columns if column.name != "cycle"]


def mix(bits: np.ndarray) -> np.ndarray:
    """Return the finalizer of splitmix64 of uint64."""
    bits = (bits ^ bits >> _SHIFTS[0]) * _FACTORS[0]
    bits = (bits ^ bits >> _SHIFTS[1]) * _FACTORS[1]
    return bits ^ bits >> _SHIFTS[2]


@dataclass
class Expected:
    """Adds up what the ports of a core show in golden runs.

    Parameters
    ----------
    core
        With trace ports.
    interface
        Its ports.
    """

    core: CoreParams
    interface: Interface
    _found: dict[str, list[tuple[int, np.ndarray, np.ndarray]]] = field(default_factory=dict)

    def add(self, golden: Run, places: np.ndarray, reports: tuple[int, ...]) -> None:
        """Add a traced golden run of sequences (B, K, M), which come at `places` (B,) among all;
        with its reports.
        """
        n_timesteps = golden.layers[0].events.shape[1]
        lengths = block_lengths(n_timesteps, self.core.hardware.block, reports)
        starts = np.zeros(len(lengths), np.uint8), np.zeros((len(places), 0), np.uint64)
        for index, (layer, did) in enumerate(zip(self.core.layers, golden.layers, strict=True)):
            name, formats = f"layer{index}", layer.params.formats
            self._add(f"{name}.start", places, *starts)
            assert did.membrane is not None and did.spikes is not None
            assert did.synapse is not None and did.state is not None and did.drive is not None
            of_neurons = [(did.membrane, formats.u.width), (did.spikes, 1)]
            self._add(f"{name}.neurons", places, *_words(layer, tuple(lengths), of_neurons))
            if layer.params.synapse:
                of_synapse = [(did.synapse, formats.y.width)]
                self._add(f"{name}.synapse", places, *_words(layer, tuple(lengths), of_synapse))
            if layer.params.n_state:
                update = layer.state_update
                first = np.arange(update.words) * update.columns
                shown = np.clip(layer.params.n_state - first, 0, update.columns)
                state = _bits(did.state, formats.m.width).reshape(len(places), -1)
                self._add(f"{name}.state", places, np.tile(shown, n_timesteps), state)
                ones = np.ones(n_timesteps, np.uint8)
                self._add(f"{name}.drive", places, ones, _bits(did.drive, formats.x.width))
        if self.core.network.output is not None:
            self._add("readout.start", places, *starts)

    def _add(self, name: str, places: np.ndarray, shown: np.ndarray, values: np.ndarray) -> None:
        """Add the lines (lines,) of every sequence and its values (B, n) uint64."""
        shown = shown.astype(np.uint8)
        rows = self._found.setdefault(name, [])
        rows += [(int(p), shown, row) for p, row in zip(places, values, strict=True)]

    def total(self) -> list[Shown]:
        """Return what every port shows of all the sequences in their order."""
        found = []
        for log in trace_logs(self.core, self.interface):
            rows = sorted(self._found.get(log.name, []), key=lambda row: row[0])
            nothing = np.zeros(0, np.uint8)
            lines = np.concatenate([nothing, *(row[1] for row in rows)])
            values = np.concatenate([nothing.astype(np.uint64), *(row[2] for row in rows)])
            numbers = np.arange(1, len(values) + 1, dtype=np.uint64)
            hashed = mix(values + numbers * STEP).sum(dtype=np.uint64)
            found.append(Shown(log.name, lines, int(hashed), len(values)))
        return found


def _bits(values: np.ndarray, width: int) -> np.ndarray:
    return values.astype(np.int64).astype(np.uint64) & np.uint64((1 << width) - 1)


def _words(
    layer: LayerHardware, lengths: tuple[int, ...], columns: list[tuple[np.ndarray, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lines of words of neurons, and the values (B, n) in them, of columns (B, K, N) and
    the width of their numbers.
    """
    n_sequences = len(columns[0][0])
    shown, order = _order(layer, lengths, len(columns))
    values = np.concatenate([_bits(of, width) for of, width in columns], 2)
    return shown, values.reshape(n_sequences, -1)[:, order]


@lru_cache(1000)
def _order(
    layer: LayerHardware, lengths: tuple[int, ...], n_columns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many neurons each word of a sequence has, and the places of all values in their
    order: of (K, columns * N), flat. In a block come its groups; in a group its timesteps; in these
    the words of the group.
    """
    units, n_neurons = layer.neuron_fold.units, layer.params.n_neurons
    steps, words = [], []
    for start, length in zip(block_starts(np.array(lengths, np.int64)), lengths, strict=True):
        shape = (layer.n_groups, length, layer.fold)
        group, step, word = np.indices(shape).reshape(3, -1)
        steps.append(start + step)
        words.append(group * layer.fold + word)
    nothing = np.zeros(0, np.int64)
    step, word = np.concatenate([nothing, *steps]), np.concatenate([nothing, *words])
    neuron = word[:, None] * units + np.arange(units)
    valid = neuron < n_neurons
    column = np.arange(n_columns)[:, None]
    place = (step[:, None, None] * n_columns + column) * n_neurons + neuron[:, None, :]
    valid_of_all = np.broadcast_to(valid[:, None, :], place.shape)
    return valid.sum(1).astype(np.uint8), place[valid_of_all]
