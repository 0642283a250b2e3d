"""What the multipliers of a layer see of its slow states and drives: a product of zero takes little
energy. No Torch, no RTL.
"""

from __future__ import annotations

import numpy as np

from golden.params import LayerParams
from golden.runs import LayerRun


def used_operands(params: LayerParams, layer: LayerRun) -> float:
    """Return the share of a traced layer's slow states and drives that is not zero."""
    assert layer.state is not None and layer.drive is not None
    if not params.n_state:
        return 0.0
    values = np.concatenate([layer.state, layer.drive[..., None]], axis=-1)
    return float((values != 0).mean())
