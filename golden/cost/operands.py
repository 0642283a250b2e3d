"""What the multipliers of a layer see of its slow states and drives: products of zeros, and of
numbers like the ones before, take less energy than others. No Torch, no RTL.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from golden.params import LayerParams
from golden.runs import LayerRun


@dataclass(frozen=True)
class Operands:
    """Of the slow states and drives of a layer: the share that is not zero (`used`), and the share
    of their bits that differ from one to the next in a step's order (`toggling`).
    """

    used: float = 0.0
    toggling: float = 0.0


def operands_of(params: LayerParams, layer: LayerRun) -> Operands:
    """Return the operands of a traced layer, the mean over sequences and timesteps."""
    assert layer.state is not None and layer.drive is not None
    if not params.n_state:
        return Operands()
    values = np.concatenate([layer.state, layer.drive[..., None]], axis=-1)
    width = params.formats.m.width
    toggled = values[..., 1:] ^ values[..., :-1]
    ones = sum(float((toggled >> bit & 1).mean()) for bit in range(width))
    return Operands(float((values != 0).mean()), ones / width)
