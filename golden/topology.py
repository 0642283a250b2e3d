"""Networks as they are trained, before any number format is chosen; and the presets by name."""

from __future__ import annotations

from dataclasses import dataclass, replace

from golden.errors import UserError
from golden.formats import Fixed
from golden.params import Reset


@dataclass(frozen=True)
class LayerTopology:
    """What a layer is before any number format is chosen; `theta` in timesteps."""

    n_inputs: int
    n_neurons: int
    n_state: int
    theta: float
    dilation: int
    reset: Reset


@dataclass(frozen=True)
class Topology:
    """A network as it is trained on the data variant `data`."""

    data: str
    n_inputs: int
    n_neurons: tuple[int, ...]
    n_state: int
    theta: float
    n_classes: int = 10
    dilation: int = 1
    leak: float = 0.5
    reset: Reset = "subtract"
    payload: Fixed = Fixed(8, 8, signed=False)

    @property
    def layers(self) -> list[LayerTopology]:
        widths = (self.n_inputs, *self.n_neurons)
        return [
            LayerTopology(n_in, n_out, self.n_state, self.theta, self.dilation, self.reset)
            for n_in, n_out in zip(widths, widths[1:], strict=False)
        ]


_SMNIST = Topology("smnist", 1, (200, 200), n_state=40, theta=300)
TOPOLOGIES = {
    "smnist": _SMNIST,
    "psmnist": replace(_SMNIST, data="psmnist"),
    "rows": Topology("rows", 28, (128, 128), n_state=10, theta=28),
}


def find_topology(name: str) -> Topology:
    """Return the preset of that name, or raise `UserError`."""
    if name not in TOPOLOGIES:
        raise UserError(f"unknown network '{name}': use one of {', '.join(TOPOLOGIES)}")
    return TOPOLOGIES[name]
