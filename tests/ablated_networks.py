"""Random networks whose cores are ablated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from golden.formats import SPIKE
from golden.hardware.params import HardwareParams
from golden.quantize import without_dependency_breaking
from tests.networks import Drawn, draw_network


def draw_ablated(seed: int, ablations: tuple[str, ...]) -> Drawn:
    """Draw a small network of plain layers that receive spikes, whose core is ablated."""
    drawn = draw_network(seed, n_timesteps=5, max_neurons=9, max_inputs=8)
    first, *others = (replace(layer, dilation=1) for layer in drawn.network.params.layers)
    first = replace(first, formats=replace(first.formats, payload=SPIKE))
    params = replace(drawn.network.params, layers=(first, *others))
    network = replace(drawn.network, params=params)
    if "no-dependency-breaking" in ablations:
        network = without_dependency_breaking(network)
    hardware = HardwareParams(drawn.hardware.lanes, access_counters=True, ablations=ablations)
    return replace(drawn, network=network, hardware=hardware, payloads=np.sign(drawn.payloads))
