"""Networks from arrays of weights: three lines for a plain network.

from_layers([Lif(w1, leak=0.9), Lif(w2, leak=0.9)], Readout(w3))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from dmp_core.frontends.imported import Imported, Note
from golden.errors import UserError
from golden.formats import SPIKE, Fixed
from golden.param_checks import check_choice, check_type
from golden.params import MAX_DELAY, Reset
from golden.readout_params import ReadoutReport
from golden.reals import LayerReals, NetworkReals

Numbers = Any  # what NumPy turns into an array: lists, arrays, tensors of the processor


@dataclass(frozen=True)
class Lif:
    """A layer of N leaky integrate-and-fire neurons with M inputs. At every timestep,
    u = leak u + weights s + recurrent (own spikes of the timestep before) + bias.

    Parameters
    ----------
    weights
        (N, M).
    bias
        (N,), or None.
    leak, threshold
        One for the layer, or (N,).
    reset, reset_amount
        What a spike does to the membrane: `subtract` an amount (None: the threshold), set it
        `to_value` (None: 0), or `none`. The amount is one for the layer, or (N,).
    alpha
        Decay of a synaptic current, one for the layer or (N,): the weights go into a current
        y = alpha y + weights s + current_bias, which drives the membrane. None: no current.
    current_bias
        (N,), or None.
    recurrent
        Weights of own spikes (N, N), or None.
    delays
        By how many timesteps each input comes later, (M,), or None.
    strict
        A neuron fires above its threshold, not at it.
    any_threshold
        Thresholds may be such that no neuron ever fires, or each one always.
    name
        What messages call the layer; None: `layer0`, `layer1`, ...
    """

    weights: Numbers
    bias: Numbers = None
    leak: Numbers = 0.9
    threshold: Numbers = 1.0
    reset: Reset = "subtract"
    reset_amount: Numbers = None
    alpha: Numbers = None
    current_bias: Numbers = None
    recurrent: Numbers = None
    delays: Numbers = None
    strict: bool = False
    any_threshold: bool = False
    name: str | None = None


@dataclass(frozen=True)
class Readout:
    """C sums of the last layer's spikes: v = leak v + weights s + bias at every timestep.

    Parameters
    ----------
    weights
        (C, N).
    bias
        (C,), or None.
    leak
        1: a sum over time.
    report
        The `last` v of each class, or the largest one of the sequence (`max`).
    """

    weights: Numbers
    bias: Numbers = None
    leak: float = 1.0
    report: ReadoutReport = "last"


def from_layers(
    layers: Sequence[Lif], readout: Readout | None = None, *, payload: Fixed = SPIKE
) -> Imported[NetworkReals]:
    """Return a network of these layers.

    Parameters
    ----------
    readout
        None: the network's output is its last layer's spikes.
    payload
        The format of what the first layer receives.

    Raises
    ------
    UserError
        Arrays that do not fit together, or values that no neuron can have: the layer, the value,
        and what would be right.
    """
    check_type("layers", layers, list | tuple, "a list of Lif")
    if not layers:
        raise UserError("no layers: use at least one")
    for index, layer in enumerate(layers):
        _check(layer, index)
    check_type("readout", readout, Readout | None, "a Readout, or None")
    if readout is not None:
        check_choice("readout.report", readout.report, get_args(ReadoutReport))
    check_type("payload", payload, Fixed, "a format, as Fixed(8, 8, signed=False)")
    names = [layer.name or f"layer{index}" for index, layer in enumerate(layers)]
    payloads = [payload] + [SPIKE] * (len(layers) - 1)
    made = [layer_reals(*given) for given in zip(layers, names, payloads, strict=True)]
    network = NetworkReals(tuple(made), *_readout(readout, made[-1].n_neurons))
    network.check(names)
    notes = [Note(name, "mapped", words(layer)) for name, layer in zip(names, made, strict=True)]
    if readout is not None:
        notes.append(Note("readout", "mapped", f"{len(network.b_o)} classes"))
    return Imported(network, "arrays", tuple(notes))


def _check(layer: Lif, index: int) -> None:
    """Raise `UserError` where a layer, or what is no array of it, is of a wrong type."""
    check_type(f"layers[{index}]", layer, Lif, "a Lif, as Lif(weights, leak=0.9)")
    check_type(f"layers[{index}].name", layer.name, str | None, "a string, or None")
    name = layer.name or f"layer{index}"
    check_choice(f"{name}.reset", layer.reset, get_args(Reset))
    for flag in ("strict", "any_threshold"):
        check_type(f"{name}.{flag}", getattr(layer, flag), bool, "True or False")


def words(layer: LayerReals) -> str:
    """Say in words what a layer is."""
    kind = f"{layer.n_neurons}{' recurrent' * layer.recurrent} neurons"
    current = " with a synaptic current" if layer.alpha is not None else ""
    return f"{kind}{current} of {layer.n_inputs} inputs"


def array(name: str, value: Numbers, shape: tuple[int | None, ...]) -> np.ndarray:
    """Return numbers as float64 of this shape, None for any length, or raise `UserError`."""
    try:
        found = np.asarray(value, np.float64)
    except (TypeError, ValueError, RuntimeError) as error:  # also tensors of another device
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{name} is no array of numbers ({reason}): use a NumPy array") from None
    fits = found.ndim == len(shape) and all(
        length in (None, actual) for length, actual in zip(shape, found.shape, strict=False)
    )
    if not fits or 0 in found.shape:
        right = ", ".join("any" if length is None else str(length) for length in shape)
        raise UserError(f"{name} has the shape {found.shape}: use ({right})")
    if not np.isfinite(found).all():
        place = tuple(map(int, np.argwhere(~np.isfinite(found))[0]))
        raise UserError(f"{name} has {found[place]} at {place}: use finite numbers")
    return found


def _value(name: str, value: Numbers, n_neurons: int) -> Any:
    """Return one value for the layer, or (N,)."""
    if np.ndim(value) == 0:
        return float(array(name, value, ()))
    return array(name, value, (n_neurons,))


def layer_reals(layer: Lif, name: str, payload: Fixed) -> LayerReals:
    """Return a layer that receives this payload, in reals, or raise `UserError`."""
    weights = array(f"{name}.weights", layer.weights, (None, None))
    n, m = weights.shape
    if layer.alpha is None and layer.current_bias is not None:
        raise UserError(f"{name}.current_bias without a synaptic current: give alpha, or use bias")
    delays = np.zeros(0, np.int64)
    if layer.delays is not None:
        delays = _delays(f"{name}.delays", layer.delays, m)
    if layer.recurrent is not None:
        # The core gives an own spike the largest payload.
        worth = payload.max * 2.0**-payload.frac
        own = array(f"{name}.recurrent", layer.recurrent, (n, n))
        weights = np.concatenate([weights, own / worth], 1)
    given = {
        key: _value(f"{name}.{key}", getattr(layer, key), n)
        for key in ("leak", "threshold", "reset_amount", "alpha")
        if getattr(layer, key) is not None
    }
    biases = {"c": layer.bias, "c_y": layer.current_bias}
    words = {"c": "bias", "c_y": "current_bias"}
    found = {
        key: np.zeros(n) if value is None else array(f"{name}.{words[key]}", value, (n,))
        for key, value in biases.items()
        if key == "c" or layer.alpha is not None
    }
    return LayerReals(
        w_f=weights,
        w_x=np.zeros(m),
        b_x=0.0,
        a=np.zeros((0, 0)),
        b=np.zeros(0),
        w_m=np.zeros((n, 0)),
        delays=delays if delays.any() else np.zeros(0, np.int64),
        max_delay=int(delays.max(initial=0)),
        reset=layer.reset,
        recurrent=layer.recurrent is not None,
        payload=payload,
        strict=layer.strict,
        any_threshold=layer.any_threshold,
        **found,
        **given,
    )


def _delays(name: str, value: Numbers, n_inputs: int) -> np.ndarray:
    delays = array(name, value, (n_inputs,))
    wrong = (delays != np.floor(delays)) | (delays < 0) | (delays > MAX_DELAY)
    if wrong.any():
        raise UserError(
            f"{name} has {delays[wrong][0]:g} timesteps: use whole numbers of 0 to {MAX_DELAY}"
        )
    return delays.astype(np.int64)


def _readout(readout: Readout | None, n_neurons: int) -> tuple[Any, ...]:
    if readout is None:
        return np.zeros((0, n_neurons)), np.zeros(0)
    weights = array("readout.weights", readout.weights, (None, n_neurons))
    bias = np.zeros(len(weights))
    if readout.bias is not None:
        bias = array("readout.bias", readout.bias, bias.shape)
    leak = float(array("readout.leak", readout.leak, ()))
    return weights, bias, leak, readout.report
