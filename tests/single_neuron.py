"""Networks of a single neuron a layer, in which a hand can work out every value."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from golden.formats import Fixed
from golden.integer import LayerIntegers, NetworkIntegers
from golden.params import LayerFormats, LayerParams, NetworkParams
from golden.readout_params import ReadoutParams


def small(
    *,
    reset: Any = "subtract",
    dilation: int = 1,
    threshold: int = 16,
    leak: Any = 2048,
    reset_amount: int = 0,
    **change: Any,
) -> NetworkIntegers:
    """Return a network of one input, neuron, slow state and class, in which nearly all is 0 and u
    is in sixteenths.
    """
    integers: dict[str, Any] = {
        "w_f": [[0]], "w_x": [0], "b_x": 0, "a": [[0]], "b": [0], "p": [[0]], "v": [0], "c": [0],
    }  # fmt: skip
    formats = LayerFormats(
        payload=Fixed(8, 0, signed=False), w_f=Fixed(8, 5), w_x=Fixed(8, 1), p=Fixed(8, 0)
    )
    formats = replace(formats, a=Fixed(16, 1), m=Fixed(8, 4), x=Fixed(8, 0), u=Fixed(8, 4))
    params = LayerParams(1, 1, 1, dilation, reset, formats)
    values: dict[str, Any] = {
        k: np.array(v) if isinstance(v, list) else v for k, v in (integers | change).items()
    }
    layer = LayerIntegers(**values, threshold=threshold, leak=leak, reset=reset_amount)
    return NetworkIntegers(
        NetworkParams("small", (params,), ReadoutParams(1, 2)),
        (layer,),
        np.array([[1], [0]]),
        np.array([0, 0]),
    )


def delayed(delays: list[int], max_delay: int) -> NetworkIntegers:
    """Return a network of an input a delay, each of which makes the neuron fire at once, and for
    this timestep only; the second layer has a delay of 2.
    """
    n_inputs = len(delays)
    network = small(w_f=[[2]], leak=0)
    first = replace(
        network.layers[0],
        w_f=np.full((1, n_inputs), 32),
        w_x=np.zeros(n_inputs, np.int64),
        delays=np.array(delays),
    )
    p = network.params.layers[0]
    spikes = replace(
        p, formats=replace(p.formats, payload=Fixed(1, 0, signed=False)), reset="to_value"
    )
    second = replace(first, w_f=np.array([[32]]), w_x=np.array([0]), delays=np.array([2]))
    layers = (replace(spikes, n_inputs=n_inputs, max_delay=max_delay), replace(spikes, max_delay=2))
    return replace(network, params=replace(network.params, layers=layers), layers=(first, second))
