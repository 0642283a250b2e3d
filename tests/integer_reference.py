"""Traced runs of golden, held against the plain model (`tests.plain_model`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from golden.integer import NetworkIntegers
from golden.runs import Run
from tests.plain_model import PlainLayer, PlainReadout

TRACES = {"spikes": "spikes", "membrane": "u", "synapse": "y", "state": "m", "drive": "x"}
SATURATIONS = {"drive": "x", "state": "m", "synapse": "y", "membrane": "u"}


@dataclass
class Reference:
    """What the plain model did with one sequence: of each layer and timestep what `PlainLayer`
    holds by name; `reported` are the logits after every number of timesteps.
    """

    steps: list[list[dict[str, Any]]]
    layers: list[PlainLayer]
    readout: PlainReadout | None
    reported: list[list[int]]


def reference(network: NetworkIntegers, sequence: list[list[int]]) -> Reference:
    """Run one sequence (K, M) through the plain model."""
    content = network.params.to_dict()
    given = [
        {name: np.asarray(value).tolist() for name, value in vars(layer).items()}
        for layer in network.layers
    ]
    layers = [PlainLayer(p, i) for p, i in zip(content["layers"], given, strict=True)]
    readout = None
    if content["readout"] is not None:
        integers = {"w_o": network.w_o.tolist(), "b_o": network.b_o.tolist()}
        readout = PlainReadout(content["readout"], integers | {"leak": network.leak_o})
    found = Reference([[] for _ in layers], layers, readout, [readout.logits] if readout else [])
    for values in sequence:
        for layer, steps in zip(layers, found.steps, strict=True):
            values = layer.step(values)
            held = {name: getattr(layer, name) for name in ("spikes", "u", "y", "m", "x", "s")}
            steps.append({name: _copied(value) for name, value in held.items()})
        if readout:
            readout.step(values)
            found.reported.append(readout.logits)
    return found


def _copied(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value


def compare(done: Run, network: NetworkIntegers, payloads: np.ndarray) -> None:
    """Hold every sequence of a traced run against the plain model."""
    for index, sequence in enumerate(payloads.tolist()):
        expected = reference(network, sequence)
        received = []
        for i, (layer, p) in enumerate(zip(done.layers, network.params.layers, strict=True)):
            where, steps = f"sequence {index}, layer {i}", expected.steps[i]
            for name in set(TRACES) - {"synapse"} | ({"synapse"} if p.synapse else set()):
                found = [step[TRACES[name]] for step in steps]
                assert getattr(layer, name)[index].tolist() == found, f"{where}: {name}"
            added = [[v != 0 for v in step["s"]] for step in steps]
            received.append(added)
            assert layer.spike_counts[index].tolist() == [sum(s["spikes"]) for s in steps], where
            assert layer.events[index].tolist() == [sum(values) for values in added], where
            came_out = [values[: p.n_inputs] for values in added]
            assert layer.delayed is None or layer.delayed[index].tolist() == came_out, where
            assert (layer.delayed is None) == (p.max_delay == 0)
            for name, value in SATURATIONS.items():
                count = getattr(layer, f"{name}_saturations")[index]
                assert count == expected.layers[i].clamped[value], f"{where}: {name} saturations"
        received.append([step["spikes"] for step in expected.steps[-1]])
        addresses = [*(layer.addresses for layer in done.layers), done.readout_addresses]
        for of, added in zip(addresses, received, strict=True):
            assert of[index].tolist() == distinct(added, done.lengths.tolist())
        if expected.readout is None:
            assert done.logits.shape[1] == 0 and done.classes[index] == -1
            continue
        assert done.logits[index].tolist() == expected.readout.logits
        assert done.classes[index] == expected.readout.result
        assert done.logit_saturations[index] == expected.readout.clamped


def distinct(added: list[list[Any]], lengths: list[int]) -> list[int]:
    """Count the addresses that take part in each block of these lengths."""
    counts, begin = [], 0
    for length in lengths:
        steps = added[begin : begin + length]
        counts.append(sum(any(values) for values in zip(*steps, strict=True)))
        begin += length
    return counts
