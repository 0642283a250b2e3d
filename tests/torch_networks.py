"""Networks in Torch for tests, drawn and not trained, and sequences for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from golden.data.dataset import DigitImages
from golden.formats import Fixed
from golden.params import SPIKE, LayerFormats
from golden.quantize import DEFAULT_WIDTHS, Quantized
from golden.quantize import quantize as quantize_reals
from golden.train.convert import extract
from golden.train.model import DmpLayer, DmpNetwork
from golden.train.topology import Topology

SMALL = Topology("rows", 28, (40, 30), n_state=6, theta=12)
WIDE = LayerFormats(
    w_f=Fixed(20), w_x=Fixed(20), p=Fixed(20), a=Fixed(22), m=Fixed(24), x=Fixed(24), u=Fixed(26)
)
WIDE = replace(WIDE, bias_width=28, drive_bias_width=40)
SHAPES: list[dict[str, Any]] = [
    {},
    {"dilation": 3},
    {"n_state": 0},
    {"n_state": 0, "recurrent": True},
    {"n_state": 0, "max_delay": 9},
    {"max_delay": 4, "dilation": 3, "payload": SPIKE},
    {"n_state": 0, "recurrent": True, "max_delay": 3, "payload": SPIKE},
    {"per_neuron": True},
    {"n_state": 0, "recurrent": True, "per_neuron": True},
]


def drawn(topology: Topology = SMALL, seed: int = 1) -> DmpNetwork:
    """Return an untrained network that spikes; leaks and thresholds of neurons are 64ths, with
    leaks of 0 and 1 among them.
    """
    torch.manual_seed(seed)
    network = DmpNetwork(topology)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.mul_(3 if parameter.ndim == 2 else 1)
            if name.endswith("leak_values"):
                parameter.copy_(torch.randint(20, 60, parameter.shape) / 64)
                parameter[:2] = torch.tensor([0.0, 1.0])
            if name.endswith("threshold_values"):
                parameter.copy_(torch.randint(32, 100, parameter.shape) / 64)
    return network


def quantize(
    network: DmpNetwork, payloads: np.ndarray, name: str, widths: LayerFormats = DEFAULT_WIDTHS
) -> Quantized:
    """Quantize a network in Torch."""
    return quantize_reals(extract(network), payloads, name, widths)


def draw_digits(n: int) -> DigitImages:
    """Return digits, half of whose pixels are dark, as rows."""
    rng = np.random.default_rng(8)
    images = rng.integers(0, 256, (n, 28, 28)) * rng.integers(0, 2, (n, 28, 28))
    return DigitImages(rng.integers(0, 10, n), images.astype(np.uint8), "rows")


def sequences(n: int, n_timesteps: int = 20, n_inputs: int = 28) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (n, n_timesteps, n_inputs)).astype(np.uint8)


@torch.no_grad()
def torch_spikes(layer: DmpLayer, received: np.ndarray) -> np.ndarray:
    """Return the spikes (B, K, N) of a layer of the Torch network, float32."""
    spikes, _ = layer(torch.from_numpy(received).transpose(0, 1).bfloat16())
    return spikes.transpose(0, 1).float().numpy()
