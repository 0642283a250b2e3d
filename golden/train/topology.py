"""Networks as they are trained, before any number format is chosen; the presets by name, and the
architectures that a preset can be given.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from golden.errors import UserError
from golden.formats import GRADED, SPIKE, Fixed
from golden.params import Reset

TRAINED_RESETS: tuple[Reset, ...] = ("subtract", "to_value")  # to 0


@dataclass(frozen=True)
class LayerTopology:
    """What a layer is before any number format is chosen; `theta` and `max_delay` in timesteps.

    With `per_neuron`, every neuron learns its leak and its threshold.
    """

    n_inputs: int
    n_neurons: int
    n_state: int
    theta: float
    dilation: int
    reset: Reset
    recurrent: bool = False
    max_delay: int = 0
    payload: Fixed = SPIKE
    per_neuron: bool = False

    def __post_init__(self) -> None:
        if self.reset not in TRAINED_RESETS:
            raise UserError(
                f"a reset '{self.reset}' is not trained: use {' or '.join(TRAINED_RESETS)}"
            )

    @property
    def own_value(self) -> float:
        """What one of its own spikes is worth to a recurrent layer."""
        return self.payload.max * 2.0**-self.payload.frac


@dataclass(frozen=True)
class Topology:
    """A network as it is trained on the data set `data` (`golden.data.dataset`).

    Delays are of layers that receive spikes: a first layer with a graded payload has none. With
    `per_neuron`, `leak` and a threshold of 1 are where the leak and the threshold of every neuron
    start.
    """

    data: str
    n_inputs: int
    n_neurons: tuple[int, ...]
    n_state: int
    theta: float
    n_classes: int = 10
    dilation: int = 1
    leak: float = 0.5
    reset: Reset = "subtract"
    payload: Fixed = GRADED
    recurrent: bool = False
    max_delay: int = 0
    per_neuron: bool = False

    @property
    def layers(self) -> list[LayerTopology]:
        widths = (self.n_inputs, *self.n_neurons)
        payloads = [self.payload] + [SPIKE] * (len(self.n_neurons) - 1)
        return [
            LayerTopology(
                n_in, n_out, self.n_state, self.theta, self.dilation, self.reset, self.recurrent,
                self.max_delay if payload == SPIKE else 0, payload, self.per_neuron,
            )
            for n_in, n_out, payload in zip(widths, widths[1:], payloads, strict=False)
        ]  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON and a checkpoint can hold; `from_dict` turns it back."""
        return asdict(self) | {"n_neurons": list(self.n_neurons)}

    @staticmethod
    def from_dict(content: dict[str, Any]) -> Topology:
        """Read what `to_dict` wrote, also before resets to a value were called so."""
        reset = "to_value" if content["reset"] == "zero" else content["reset"]
        values = content | {
            "n_neurons": tuple(content["n_neurons"]), "payload": Fixed(**content["payload"]),
            "reset": reset,
        }  # fmt: skip
        return Topology(**values)


_SMNIST = Topology("smnist", 1, (224, 224), n_state=40, theta=300)
_SPOKEN = Topology("spoken", 140, (128, 128), n_state=10, theta=40, leak=0.9, payload=SPIKE)
TOPOLOGIES = {
    "smnist": _SMNIST,
    # The window holds the whole sequence: in permuted pixels every part of it matters.
    "psmnist": Topology("psmnist", 1, (208, 208), n_state=128, theta=784),
    "rows": Topology("rows", 28, (128, 128), n_state=10, theta=28),
    "spoken": _SPOKEN,
    "shd": replace(_SPOKEN, data="shd", n_classes=20),
    "ssc": replace(_SPOKEN, data="ssc", n_classes=35),
}
# The paper's four, and dual memory with short delays: what each changes in a preset. Delays are
# bounded by `DELAY_BOUND` where they replace the slow state, else by `SHORT_DELAY_BOUND`.
DELAY_BOUND, SHORT_DELAY_BOUND = 30, 7
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "dmp": {},
    "fsnn": {"n_state": 0},
    "rsnn": {"n_state": 0, "recurrent": True},
    "dsnn": {"n_state": 0, "max_delay": DELAY_BOUND},
    "dmp-delays": {"max_delay": SHORT_DELAY_BOUND},
}


def find_topology(name: str, architecture: str = "dmp", **changes: Any) -> Topology:
    """Return the preset of that name as an architecture, with `changes` of single fields, or raise
    `UserError`.
    """
    if name not in TOPOLOGIES:
        raise UserError(f"unknown network '{name}': use one of {', '.join(TOPOLOGIES)}")
    if architecture not in ARCHITECTURES:
        raise UserError(
            f"unknown architecture '{architecture}': use one of {', '.join(ARCHITECTURES)}"
        )
    found = replace(TOPOLOGIES[name], **ARCHITECTURES[architecture] | changes)
    if found.recurrent and found.n_state:
        raise UserError(
            "a recurrent network with a slow state: use one of the two (--state 0 leaves it out)"
        )
    return found
