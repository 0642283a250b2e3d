"""A network in reals against its integers: where their spikes and classes part, layer by layer. No
Torch.

Each layer in reals is run twice: with what reaches it in reals (`end to end`), and with what
reaches the layer in integers (`own`), so that a layer's own error can be told from what came in. A
recurrent layer takes its own spikes back, in both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from golden.errors import UserError
from golden.integer import NetworkIntegers, run
from golden.quantize import check_sequences
from golden.reals import LayerReals, NetworkReals, run_reals
from golden.table import table

BATCH = 50  # sequences run at once: a trace holds every membrane

Place = tuple[int, int, int]  # sequence, timestep, neuron


@dataclass
class Difference:
    """How many of a layer's spikes differ, and the first place: of the first sequence that has one,
    the first timestep.
    """

    count: int = 0
    first: Place | None = None

    def add(self, found: np.ndarray, expected: np.ndarray, first_sequence: int) -> None:
        """Count the differences of a batch (B, K, N) that starts with this sequence."""
        places = np.argwhere(found != expected)
        self.count += len(places)
        if len(places) and self.first is None:
            sequence, timestep, neuron = map(int, places[0])
            self.first = (sequence + first_sequence, timestep, neuron)

    @property
    def words(self) -> str:
        """The first place in words."""
        if self.first is None:
            return ""
        sequence, timestep, neuron = self.first
        return f"sequence {sequence}, timestep {timestep}, neuron {neuron}"


@dataclass
class LayerComparison:
    """A layer: its `steps` (sequences, timesteps, neurons), spikes in integers, saturations, and
    the differences of its spikes.
    """

    name: str
    steps: int
    spikes: int
    saturations: int
    own: Difference
    end_to_end: Difference


@dataclass
class Comparison:
    """Every layer's differences; of a network with a readout also the classes (B,) of both. Without
    one, these are empty.
    """

    layers: list[LayerComparison]
    n_sequences: int
    real_classes: np.ndarray
    integer_classes: np.ndarray
    labels: np.ndarray | None = None

    @property
    def classes_different(self) -> int:
        return int((self.real_classes != self.integer_classes).sum())

    def report(self) -> str:
        """Return tables of layers and classes."""
        head = ("layer", "neuron steps", "spikes", "differ by itself", "differ in all", "saturated")
        rows = [
            (of.name, of.steps, of.spikes, of.own.count, of.end_to_end.count, of.saturations)
            for of in self.layers
        ]
        lines = [table(head, rows, left=[0])]
        for of in self.layers:
            if of.own.first is not None:
                lines.append(f"{of.name} differs by itself first at {of.own.words}")
        return "\n".join([*lines, *self._of_classes()])

    def _of_classes(self) -> list[str]:
        if not self.real_classes.size:
            return []
        count, total = self.classes_different, self.n_sequences
        lines = [f"classes: {total - count} of {total} equal ({100 - 100 * count / total:.2f} %)"]
        if count:
            first = int((self.real_classes != self.integer_classes).argmax())
            lines.append(
                f"the first that differs: sequence {first}, {self.real_classes[first]} in reals,"
                f" {self.integer_classes[first]} in integers"
            )
        if self.labels is not None:
            shares = [
                100 * float((classes == self.labels).mean())
                for classes in (self.real_classes, self.integer_classes)
            ]
            lines.append("accuracy: {:.2f} % in reals, {:.2f} % in integers".format(*shares))
        return lines


def compare(
    network: NetworkReals,
    integers: NetworkIntegers,
    payloads: np.ndarray,
    labels: np.ndarray | Sequence[int] | None = None,
    *,
    progress: Callable[[int], object] = lambda n: None,
) -> Comparison:
    """Run sequences (B, K, M) of integer payloads through both networks.

    Parameters
    ----------
    labels
        The right classes (B,), of which the report gives the accuracy.
    progress
        Called with the number of sequences done after each batch.

    Raises
    ------
    UserError
        Two networks of different sizes, or sequences or labels that do not fit.
    """
    payloads = check_sequences(network, payloads, "the comparison")
    _check_alike(network, integers)
    right = None if labels is None else np.asarray(labels)
    if right is not None and right.shape != payloads.shape[:1]:
        raise UserError(f"{right.shape} labels of {len(payloads)} sequences: use one for each")
    found = [
        LayerComparison(f"layer{index}", 0, 0, 0, Difference(), Difference())
        for index in range(len(network.layers))
    ]
    classes = np.zeros((2, 0), np.int64)
    for first in range(0, len(payloads), BATCH):
        batch = payloads[first : first + BATCH]
        real, done = run_reals(network, batch), run(integers, batch, trace=True)
        received = batch
        for place, layer in enumerate(network.layers):
            into, traced = found[place], done.layers[place]
            assert traced.spikes is not None
            into.steps += traced.spikes.size
            into.spikes += int(traced.spikes.sum())
            into.saturations += int(
                (
                    traced.drive_saturations
                    + traced.state_saturations
                    + traced.synapse_saturations
                    + traced.membrane_saturations
                ).sum()
            )
            into.end_to_end.add(real.spikes[place], traced.spikes, first)
            into.own.add(_alone(layer, received), traced.spikes, first)
            received = traced.spikes.astype(np.int64)
        if real.logits.size:
            both = np.stack([real.logits.argmax(1), done.classes])
            classes = np.concatenate([classes, both], 1)
        progress(len(batch))
    return Comparison(found, len(payloads), classes[0], classes[1], right)


def _alone(layer: LayerReals, received: np.ndarray) -> np.ndarray:
    """Return the spikes (B, K, N) of a layer in reals for what it receives."""
    n_neurons = layer.n_neurons
    return run_reals(
        NetworkReals((layer,), np.zeros((0, n_neurons)), np.zeros(0)), received
    ).spikes[0]


def _check_alike(network: NetworkReals, integers: NetworkIntegers) -> None:
    readout = integers.params.output
    sizes = [
        (*(layer.w_f.shape for layer in network.layers), len(network.b_o)),
        (
            *(layer.w_f.shape for layer in integers.layers),
            readout.n_classes if readout is not None else 0,
        ),
    ]
    if sizes[0] != sizes[1]:
        raise UserError(
            f"the network in reals has layers and classes of {sizes[0]}, the integers {sizes[1]}:"
            " compare a network with its own integers"
        )
