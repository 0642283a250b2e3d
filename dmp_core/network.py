"""The project from Python: a network, its integers, its core.

import dmp_core as dmp
net = dmp.from_nir("model.nir", dt=1e-4, reset="subtract")
print(net.report())
integers = net.quantize(x, weight_bits=8)
core = integers.compile("build/mine", lanes=16)
core.predict(x), core.cycles
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmp_core.frontends.imported import Imported
from export.core import write_core
from golden.errors import UserError
from golden.formats import Fixed
from golden.hardware.core import CoreParams
from golden.hardware.part import HardwareParams
from golden.integer import NetworkIntegers, run
from golden.params import LayerFormats, check_name
from golden.quantize import DEFAULT_WIDTHS, quantize
from golden.reals import NetworkReals, RealRun, run_reals
from golden.runs import Run

if TYPE_CHECKING:  # Amaranth and cocotb, which only a core needs
    from tb.simulate import Simulation


def widths(
    weight_bits: int | None = None, membrane_bits: int | None = None, leak_bits: int | None = None
) -> LayerFormats:
    """Return formats of these widths: of the spike weights, of membranes and currents, of leaks;
    None leaves the default.
    """
    chosen = DEFAULT_WIDTHS
    if weight_bits is not None:
        chosen = replace(chosen, w_f=Fixed(weight_bits, weight_bits - 1))
    if membrane_bits is not None:
        wide = Fixed(membrane_bits, membrane_bits - 6)
        chosen = replace(chosen, u=wide, y=wide, bias_width=max(16, membrane_bits))
        chosen = replace(chosen, synapse_bias_width=chosen.bias_width)
    if leak_bits is not None:
        decay = Fixed(leak_bits, leak_bits, signed=False)
        chosen = replace(chosen, leak=decay, alpha=decay)
    return chosen


@dataclass(frozen=True)
class Network:
    """A network in reals, and where it comes from."""

    imported: Imported

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
        weight_bits: int | None = None,
        membrane_bits: int | None = None,
        leak_bits: int | None = None,
    ) -> Integers:
        """Turn the network into integers whose scales hold what it does on training sequences
        (B, K, M) of integer payloads.

        Raises
        ------
        UserError
            See `golden.quantize.quantize`.
        """
        check_name(name)
        chosen = widths(weight_bits, membrane_bits, leak_bits)
        return Integers(quantize(self.reals, calibration, name, chosen).network)


@dataclass(frozen=True)
class Integers:
    """A network in integers: what its core computes to the bit."""

    network: NetworkIntegers

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

    def compile(
        self,
        folder: str | Path,
        *,
        lanes: int = 8,
        block: int = 1,
        events_per_cycle: int = 1,
        products_per_cycle: int = 1,
        reports: bool = False,
    ) -> Core:
        """Write a core of this shape into a folder: manifest, memory images, Verilog.

        Raises
        ------
        UserError
            The shape cannot be, or the folder holds something else.
        """
        from rtl.verilog.generate import generate

        hardware = HardwareParams(
            lanes, block, events_per_cycle, products_per_cycle, trace=True, reports=reports
        )
        manifest = write_core(self.network, CoreParams(self.network.params, hardware), Path(folder))
        return Core(self.network, manifest, generate(manifest))


@dataclass
class Core:
    """A core in `verilog`, which runs under Verilator."""

    network: NetworkIntegers
    manifest: Path
    verilog: Path
    last: Simulation | None = None

    def simulate(self, payloads: np.ndarray, **options: Any) -> Simulation:
        """Run sequences (B, K, M) through the Verilog; see `tb.simulate.simulate`."""
        from tb.simulate import simulate

        self.last = simulate(self.manifest, payloads, **options)
        return self.last

    def predict(self, payloads: np.ndarray) -> np.ndarray:
        """Return the classes (B,) that the Verilog finds."""
        _ = self.network.params.readout
        return self.simulate(payloads).classes

    def check(self, payloads: np.ndarray) -> int:
        """Run sequences through the Verilog, compare every value and every cycle with the golden
        model's, and return how many were compared; raise `UserError` where one differs.
        """
        from tb.compare import compare

        comparison = compare(self.simulate(payloads), payloads)
        if comparison.mismatches:
            raise UserError(
                f"{comparison.mismatches} values differ from the golden model:"
                f" {comparison.first[0]}"
            )
        return comparison.values_compared

    @property
    def cycles(self) -> int:
        """Of the last run: cycles from the first item to the last result."""
        if self.last is None:
            raise UserError("no cycles before a run: call predict, simulate or check first")
        return int(self.last.result_cycles[-1]) - self.last.first_cycle + 1
