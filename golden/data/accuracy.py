"""The accuracy of a network of integers on a data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from golden.data.dataset import Dataset
from golden.errors import UserError
from golden.integer import NetworkIntegers, run


@dataclass
class IntegerAccuracy:
    """The share of sequences classified correctly, saturations by full name, and the mean events a
    timestep that each layer and the readout receive.
    """

    accuracy: float
    saturations: dict[str, int] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)


def evaluate_integers(
    network: NetworkIntegers,
    dataset: Dataset,
    *,
    batch: int = 250,
    progress: Callable[[int], object] = lambda n: None,
) -> IntegerAccuracy:
    """Classify sequences; `progress` is called with the size of each batch done."""
    if not len(dataset):
        raise UserError("nothing to classify: use at least one sequence")
    if not dataset.labelled:
        raise UserError("the sequences have no labels: an accuracy needs them")
    result = IntegerAccuracy(0.0, {}, [0.0] * (len(network.layers) + 1))
    correct = 0
    for first in range(0, len(dataset), batch):
        chosen = slice(first, first + batch)
        labels = dataset.labels[chosen]
        done = run(network, dataset.sequences(chosen))
        share = len(labels) / len(dataset)
        correct += int((done.classes == labels).sum())
        found = {"readout.logit": done.logit_saturations}
        for i, layer in enumerate(done.layers):
            result.rates[i] += float(layer.events.mean()) * share
            found[f"layer{i}.drive"] = layer.drive_saturations
            found[f"layer{i}.state"] = layer.state_saturations
            found[f"layer{i}.membrane"] = layer.membrane_saturations
            if network.params.layers[i].synapse:
                found[f"layer{i}.synapse"] = layer.synapse_saturations
        result.rates[-1] += float(done.layers[-1].spike_counts.mean()) * share
        for where, counts in found.items():
            result.saturations[where] = result.saturations.get(where, 0) + int(counts.sum())
        progress(len(labels))
    result.accuracy = correct / len(dataset)
    return result
