"""The project from Python: a network, its integers, its core.

import dmp_core as dmp
net = dmp.from_nir("model.nir", dt=1e-4, discretization="euler", reset="subtract")
print(net.report())
integers = net.quantize(x, weight_bits=8)
core = integers.compile("build/mine", lanes=16)
core.predict(x), core.cycles
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmp_core.frontends.imported import Imported
from export.core import write_core
from export.store import OWN, STORED, Card, save_network
from golden.compare_reals import Comparison, compare
from golden.data.sequence_files import check_labels, save_sequences
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import NetworkIntegers, run
from golden.manifest import MANIFEST, read_core
from golden.param_checks import check_path, check_type, check_whole
from golden.params import check_name
from golden.payloads import check_payloads
from golden.quantize import quantize
from golden.reals import NetworkReals, RealRun, run_reals
from golden.runs import Run
from golden.width_search import BITS, Widths, WidthSearch, search_widths

if TYPE_CHECKING:  # Amaranth and cocotb, which only a core needs
    from tb.simulate import Simulation


@dataclass(frozen=True)
class Network:
    """A network in reals, and where it comes from."""

    imported: Imported[NetworkReals]

    @property
    def reals(self) -> NetworkReals:
        return self.imported.network

    def report(self) -> str:
        """Return a table of what became of every node of its source."""
        return self.imported.report()

    def run(self, payloads: np.ndarray) -> RealRun:
        """Run sequences (B, K, M) of integer payloads in float64."""
        return run_reals(self.reals, payloads)

    def quantize(
        self,
        calibration: np.ndarray,
        *,
        name: str = "mine",
        weight_bits: int = 8,
        membrane_bits: int = 16,
        leak_bits: int = 12,
    ) -> Integers:
        """Turn the network into integers whose scales hold what it does on training sequences
        (B, K, M) of integer payloads.

        Raises
        ------
        UserError
            See `golden.quantize.quantize`.
        """
        check_name(name)
        given = {"weight_bits": weight_bits, "membrane_bits": membrane_bits, "leak_bits": leak_bits}
        chosen = Widths(*(check_whole(key, given[key], *BITS[key]) for key in BITS))
        found = quantize(self.reals, calibration, name, chosen.formats, chosen.weights)
        return Integers(found.network)

    def search(
        self,
        calibration: np.ndarray,
        payloads: np.ndarray,
        labels: np.ndarray | Sequence[int] | None = None,
        *,
        max_loss: float,
        name: str = "mine",
        **options: Any,
    ) -> WidthSearch:
        """Search for the widths of the smallest core within a loss in points; see
        `golden.width_search.search_widths`. `Integers(found.chosen.network)` is the network.
        """
        check_name(name)
        return search_widths(
            self.reals, calibration, payloads, labels, max_loss=max_loss, name=name, **options
        )


@dataclass(frozen=True)
class Integers:
    """A network in integers: what its core computes to the bit.

    `source` says what became of every node of a source that holds integers.
    """

    network: NetworkIntegers
    source: str = ""

    def report(self) -> str:
        """Return what became of every node of its source; nothing where that held no integers."""
        return self.source

    def run(self, payloads: np.ndarray) -> Run:
        """Run sequences (B, K, M); the run has every value of every timestep."""
        return run(self.network, payloads, trace=True)

    def predict(self, payloads: np.ndarray) -> np.ndarray:
        """Return the classes (B,) of sequences (B, K, M)."""
        _ = self.network.params.readout  # which a network without one says
        return run(self.network, payloads).classes

    def spikes(self, payloads: np.ndarray) -> np.ndarray:
        """Return the spikes (B, K, N) bool of the last layer."""
        spikes = self.run(payloads).layers[-1].spikes
        assert spikes is not None
        return spikes

    def compare(
        self,
        network: Network,
        payloads: np.ndarray,
        labels: np.ndarray | Sequence[int] | None = None,
    ) -> Comparison:
        """Compare with the network in reals, layer by layer; see `golden.compare_reals`."""
        check_type("network", network, Network, "the dmp_core.Network that these integers are of")
        return compare(network.reals, self.network, payloads, labels)

    def save(
        self,
        folder: str | Path,
        payloads: np.ndarray | None = None,
        labels: np.ndarray | Sequence[int] | None = None,
        *,
        force: bool = False,
    ) -> Path:
        """Store the network in a folder that every command takes, with test sequences (B, K, M)
        and their classes (B,) if there are any, which commands run where no others are given.

        Raises
        ------
        UserError
            Something is there already (`force` replaces it), or the sequences do not fit.
        """
        folder = check_path("folder", folder)
        check_free(folder, force)
        if payloads is None and labels is not None:
            raise UserError("labels without sequences: give both, or none")
        card = Card("", 0, _count(self.network), 0.0, 0.0, 0, [])
        given = None if labels is None else np.asarray(labels)
        if payloads is not None:
            card = self._measured(card, payloads, given)
        save_network(self.network, folder, card)
        if payloads is not None:
            save_sequences(folder / OWN, payloads, given)
        return folder

    def _measured(self, card: Card, payloads: np.ndarray, labels: np.ndarray | None) -> Card:
        """Return a card with what the network does with sequences, or raise `UserError`."""
        if not len(payloads):
            raise UserError("no sequences to store: use at least one")
        output = self.network.params.output
        right = check_labels(labels, len(payloads), None if output is None else output.n_classes)
        done = run(self.network, payloads)
        received = [*(layer.events for layer in done.layers), done.layers[-1].spike_counts]
        measured = labels is not None and output is not None
        return replace(
            card,
            n_timesteps=payloads.shape[1],
            accuracy_integer=float((done.classes == right).mean()) if measured else 0.0,
            n_test=len(payloads) if measured else 0,
            events_per_step=[round(float(events.mean()), 2) for events in received],
        )

    def compile(
        self,
        folder: str | Path,
        *,
        lanes: int | tuple[int, ...] = 8,
        block: int = 1,
        events_per_cycle: int | tuple[int, ...] = 1,
        products_per_cycle: int | tuple[int, ...] = 1,
        reports: bool = False,
        graded: str = "own",
        list_buffers: int = 3,
        link_items: int = 1,
        input_items: int = 1,
    ) -> Core:
        """Write a core of this shape into a folder: manifest, memory images, Verilog. A tuple has
        one number for each layer, then one for the readout if there is one: `lanes=(4, 8, 10)`.
        What each option does is in `golden.hardware.params.HardwareParams`.

        Raises
        ------
        UserError
            The shape cannot be, or the folder holds something else, or the core of another network.
        """
        from rtl.verilog.generate import generate

        folder = check_path("folder", folder)
        _check_own(folder, self.network.params.name)
        hardware = HardwareParams(
            lanes,
            block,
            events_per_cycle,
            products_per_cycle,
            graded,
            trace=True,
            reports=reports,
            list_buffers=list_buffers,
            link_items=link_items,
            input_items=input_items,
        )
        manifest = write_core(self.network, CoreParams(self.network.params, hardware), folder)
        return Core(self.network, manifest, generate(manifest))


def _count(network: NetworkIntegers) -> int:
    """Return how many numbers a network has, but for those of 0 and the fixed A and B."""
    total = network.w_o.size + network.b_o.size
    for layer in network.layers:
        values = (layer.w_f, layer.w_x, layer.p, layer.v, layer.c, layer.c_y, layer.delays)
        one_each = (layer.leak, layer.threshold, layer.alpha, layer.reset)
        total += sum(of.size for of in values) + sum(np.size(of) for of in one_each if np.any(of))
    return total


def check_free(folder: Path, force: bool) -> None:
    """Raise `UserError` where a network, or sequences of it, would be replaced unasked."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: name a folder")
    for file in (*STORED, OWN):
        if not force and (folder / file).exists():
            raise UserError(f"{folder / file} exists: use another folder, or --force (force=True)")


def _check_own(folder: Path, name: str) -> None:
    """Raise `UserError` where a folder has the core of another network."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: name a folder")
    manifest = folder / MANIFEST
    other = name if not manifest.exists() else read_core(manifest)[0].network.name
    if other != name:
        raise UserError(f"{manifest} is of network {other}, not of {name}: use another folder")


@dataclass
class Core:
    """A core in `verilog`, which runs under Verilator."""

    network: NetworkIntegers
    manifest: Path
    verilog: Path
    _last: Simulation | None = None

    @property
    def last(self) -> Simulation:
        """The last run."""
        if self._last is None:
            raise UserError("no run of the core yet: call predict, simulate or check first")
        return self._last

    def simulate(self, payloads: np.ndarray, **options: Any) -> Simulation:
        """Run sequences (B, K, M) through the Verilog; see `tb.simulate.simulate`."""
        from tb.simulate import simulate

        first = self.network.params.layers[0]
        payloads = check_payloads(payloads, first.formats.payload, first.n_inputs)
        check_type("reports", options.get("reports", ()), Sequence, "a list of timesteps")
        if (seed := options.get("stalls_seed")) is not None:
            check_whole("stalls_seed", seed, 0)
        self._last = simulate(self.manifest, payloads, **options)
        return self._last

    def predict(self, payloads: np.ndarray) -> np.ndarray:
        """Return the classes (B,) that the Verilog finds."""
        _ = self.network.params.readout
        return self.simulate(payloads).classes

    def check(self, payloads: np.ndarray, **options: Any) -> int:
        """Run sequences through the Verilog as `simulate` does, compare every value and every cycle
        with the golden model's, and return how many were compared; raise `UserError` where one
        differs.
        """
        from tb.compare import compare as compare_values

        comparison = compare_values(self.simulate(payloads, **options), payloads)
        if comparison.mismatches:
            raise UserError(
                f"{comparison.mismatches} values differ from the golden model:"
                f" {comparison.first[0]}"
            )
        return comparison.values_compared

    @property
    def cycles(self) -> int:
        """Of the last run: cycles from the first item to the last result."""
        return int(self.last.result_cycles[-1]) - self.last.first_cycle + 1
