"""A core that is soon built, of a network that nobody trained, for the rows of digits."""

from __future__ import annotations

from pathlib import Path

from export.core import write_core
from export.store import Card, save_network
from golden.data.synthetic import draw_layers
from golden.formats import GRADED
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import without_readout
from rtl.verilog.generate import generate


def make_small_core(
    folder: Path, *, trace: bool = True, reports: bool = False, readout: bool = True
) -> tuple[CoreParams, list[str]]:
    """Write the core of a drawn network into a folder, with trace ports, reports and a readout or
    without, and its Verilog; return it, and the arguments of a command that runs sequences through
    it.
    """
    network = draw_layers("small", (28, 10, 8), 3, 10, 0, payload=GRADED, threshold=256)
    if not readout:
        network = without_readout(network.params, network.layers)
    stored = folder / "network"
    save_network(network, stored, Card("rows", 28, 0, 0.0, 0.0, 0, [], {}))
    core = CoreParams(
        network.params, HardwareParams(lanes=2, block=2, trace=trace, reports=reports)
    )
    manifest = write_core(network, core, folder / "core")
    generate(manifest)
    return core, [str(manifest), "--network", str(stored)]
