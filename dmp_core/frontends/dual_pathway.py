"""Networks of the training code that the authors of the Dual Memory Pathway published
(github.com/sunpengfei1122/Dual_memory_pathways, `dual_pathway.py`): the state of their `ConvLMU2`.

from_dual_pathway(model.state_dict())
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dmp_core.frontends.imported import Imported, Note
from dmp_core.frontends.layers import array, words
from golden.errors import UserError
from golden.formats import SPIKE, Fixed
from golden.param_checks import check_type
from golden.reals import LayerReals, NetworkReals

LAYER = re.compile(r"(LMU\d+)\.W_x\.weight")
TAKEN = (
    "W_x.weight",
    "W_x.bias",
    "W_u.weight",
    "W_u.bias",
    "weight.weight",
    "weight.bias",
    "A",
    "B",
)
# What their forward does not use: the slow state's impulse response (A and B say the same), and a
# normalization that is never called.
UNUSED = re.compile(r"LMU\d+\.(H|fft_H|bn_x\..*)")


def from_dual_pathway(
    state: Mapping[str, Any] | str | Path, *, tau: float = 2.0, payload: Fixed = SPIKE
) -> Imported[NetworkReals]:
    """Return the network of a state of theirs.

    At every timestep x = relu(W_u s + b_u), m = A m + B x,
    v = v + (W_x s + b_x + W m + b_w - v) / tau; a neuron fires where v >= 1, and v is 0 then. The
    result is the mean of dense(spikes) over the sequence.

    Parameters
    ----------
    state
        `model.state_dict()`, arrays in place of tensors are taken as well; or a file that
        `torch.save` wrote of it.
    tau
        Of their neurons; a state does not hold it.
    payload
        The format of what the first layer receives.

    Raises
    ------
    UserError
        A name that is missing, or has no place in the network; arrays that do not fit together.
    """
    check_type("tau", tau, int | float, "a number")
    if not tau >= 1:
        raise UserError(f"tau {tau:g}: use 1 or more timesteps")
    check_type("payload", payload, Fixed, "a format, as Fixed(8, 8, signed=False)")
    found = _loaded(state)
    names = sorted(
        (match[1] for name in found if (match := LAYER.fullmatch(name))),
        key=lambda name: int(name[3:]),
    )
    if not names:
        raise UserError("the state has no LMU1.W_x.weight: use the state_dict of a ConvLMU2")
    wanted = [f"{name}.{part}" for name in names for part in TAKEN] + ["dense.weight", "dense.bias"]
    if missing := [name for name in wanted if name not in found]:
        raise UserError(f"the state has no {missing[0]}: use the state_dict of a ConvLMU2")
    unused = [name for name in found if UNUSED.fullmatch(name)]
    if strange := [name for name in found if name not in wanted and name not in unused]:
        raise UserError(f"{strange[0]} has no place in the network: use the state of a ConvLMU2")
    payloads = [payload] + [SPIKE] * (len(names) - 1)
    layers = [_layer(found, *given, tau) for given in zip(names, payloads, strict=True)]
    w_o = array("dense.weight", found["dense.weight"], (None, layers[-1].n_neurons))
    network = NetworkReals(
        tuple(layers), w_o, array("dense.bias", found["dense.bias"], (len(w_o),))
    )
    network.check(names)
    notes = [
        Note(name, "mapped", f"{words(layer)}, d = {layer.n_state}; 1 / tau is in the weights")
        for name, layer in zip(names, layers, strict=True)
    ]
    notes.append(Note("dense", "mapped", f"{len(w_o)} classes; the sum in place of the mean"))
    notes += [Note(name, "left out", "the network's output does not use it") for name in unused]
    return Imported(network, "a state of ConvLMU2", tuple(notes))


def _loaded(state: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    """Return a state by names, without the prefix of several processes."""
    content: Any = state
    if isinstance(state, str | Path):
        import torch

        try:
            content = torch.load(state, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever torch raises of a file that is none of its own
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"{state} is no state that torch.save wrote ({reason})") from None
    check_type("state", content, Mapping, "a state_dict, or the path of one")
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def _layer(found: dict[str, Any], name: str, payload: Fixed, tau: float) -> LayerReals:
    def of(part: str, *shape: int | None) -> np.ndarray:
        return array(f"{name}.{part}", found[f"{name}.{part}"], shape)

    w_f = of("W_x.weight", None, None)
    n, m = w_f.shape
    w_m = of("weight.weight", n, None)
    d = w_m.shape[1]
    return LayerReals(
        w_f=w_f / tau,
        w_x=of("W_u.weight", 1, m)[0],
        b_x=float(of("W_u.bias", 1)[0]),
        a=of("A", d, d),
        b=of("B", d, 1)[:, 0],
        w_m=w_m / tau,
        c=(of("W_x.bias", n) + of("weight.bias", n)) / tau,
        leak=1 - 1 / tau,
        threshold=1.0,
        reset="to_value",
        payload=payload,
    )
