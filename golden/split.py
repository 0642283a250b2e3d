"""A network cut into parts, for a chain of cores."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from golden.errors import UserError
from golden.integer import NetworkIntegers, without_readout


def split(network: NetworkIntegers, *at: int) -> list[NetworkIntegers]:
    """Return the parts of a network that is cut before each of these layers: the spikes of a part's
    last layer leave it, but for the last part, which has the network's output. Or raise
    `UserError`.
    """
    params = network.params
    n_layers = len(params.layers)
    if not all(0 < layer < n_layers for layer in at) or list(at) != sorted(set(at)):
        raise UserError(
            f"split {params.name} before layer {', '.join(map(str, at))}: it has {n_layers} layers,"
            " and each part needs one; use ascending numbers"
        )
    parts = []
    for index, (start, stop) in enumerate(pairwise((0, *at, n_layers))):
        output = params.output if stop == n_layers else None
        of = replace(
            params, name=f"{params.name}_{index}", layers=params.layers[start:stop], output=output
        )
        layers = network.layers[start:stop]
        if output is None:
            parts.append(without_readout(of, layers))
        else:
            parts.append(replace(network, params=of, layers=layers))
    return parts
