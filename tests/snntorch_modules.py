"""Modules of snnTorch for tests of what imports them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import snntorch
import torch

snn: Any = snntorch
nn: Any = torch.nn
INPUTS, HIDDEN = 20, 30
HIDDEN_STATES = {"init_hidden": True}


def mlp(*neurons: Any) -> Any:
    """Return linear layers with a bias before each of the neurons."""
    sizes = [INPUTS, HIDDEN, HIDDEN]
    layers: list[Any] = []
    for (n_in, n_out), neuron in zip(zip(sizes, sizes[1:], strict=False), neurons, strict=False):
        linear = nn.Linear(n_in, n_out)
        nn.init.normal_(linear.weight, 0.05, 0.35)
        layers += [linear, neuron]
    return nn.Sequential(*layers)


class Forward(nn.Module):
    """A forward that is given."""

    def __init__(self, forward: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(INPUTS, INPUTS), nn.Linear(INPUTS, INPUTS)
        self.flat = nn.Flatten()
        self.lif1, self.lif2 = snn.Leaky(0.5, init_hidden=True), snn.Leaky(0.5)
        self.act, self.own = nn.ReLU(), forward

    def forward(self, x: Any) -> Any:
        return self.own(self, x)
