"""Networks of snnTorch's modules. Only this frontend loads Torch and snnTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import snntorch
import torch
from torch import nn

from dmp_core.frontends.imported import MAX_WEIGHTS, Imported, Note
from dmp_core.frontends.layers import Lif, Readout, from_layers
from dmp_core.frontends.torch_affine import AFFINE, NORMS, WEIGHTS, combine
from dmp_core.frontends.torch_neurons import KINDS, Neurons, kind_of, read
from dmp_core.frontends.torch_trace import Call, leaves, trace
from golden.errors import UserError
from golden.formats import SPIKE, Fixed
from golden.param_checks import check_choice, check_number, check_type, check_whole, shown
from golden.readout_params import ReadoutReport
from golden.reals import LayerReals, NetworkReals

Read = Literal["spikes", "spike_count", "membrane", "sum", "last"]
OF_NEURONS: tuple[Read, ...] = ("spikes", "spike_count", "membrane")
OF_WEIGHTS: tuple[Read, ...] = ("sum", "last")
HINTS = {
    "MaxPool": "the largest of some spikes is no sum of them: use AvgPool2d",
    "ReLU": "between weights the core has neurons only: leave it out, or use a neuron",
    "BatchNormTT": "its weights change from timestep to timestep: use BatchNorm1d or BatchNorm2d",
}


@dataclass(frozen=True)
class _Part:
    """Layers of weights, and the neurons after them; None at the end of a module without them."""

    before: tuple[Call, ...]
    neurons: Neurons | None


def from_snntorch(
    module: nn.Module,
    *,
    inputs: Sequence[int] | torch.Tensor | tuple[torch.Tensor, ...] | None = None,
    payload: Fixed = SPIKE,
    input_scale: float = 1.0,
    readout: Read | None = None,
    report: ReadoutReport = "last",
    max_weights: int = MAX_WEIGHTS,
) -> Imported[NetworkReals]:
    """Return a network that computes what the module does, timestep by timestep from states of 0.

    Parameters
    ----------
    module
        A chain of layers of weights and of snnTorch's neurons, for one timestep or with a loop over
        time in its forward. It is run once; nothing of it changes.
    inputs
        The shape of what one sample gives in one timestep, or tensors that the module is called
        with (a batch, and states of 0 if it takes them). None: as many values as its first linear
        layer takes.
    payload
        The format of the events that the core receives.
    input_scale
        What the module receives for a payload that stands for 1.
    readout
        What is read. Of neurons at the end: their `spikes`, their `spike_count`, or the `membrane`
        of neurons that do not reset. Of weights at the end: their `sum` over time, or their `last`
        output. None: what the module returns, where that is clear.
    report
        Of a readout: the `last` value, or the largest one of a sequence (`max`).
    max_weights
        The most weights that a layer may become, where convolutions are unrolled.

    Raises
    ------
    UserError
        What has no place on the core, by name, and what would be right.
    """
    if readout is not None:
        check_choice("readout", readout, get_args(Read))
    check_type("module", module, nn.Module, "an instance of torch.nn.Module")
    scale: Any = check_number("input_scale", input_scale)  # of what the next weights receive
    max_weights = check_whole("max_weights", max_weights, 1)
    also = _also_open(module) if readout is None else ""
    traced = trace(module, _example(module, inputs, also), also)
    parts = _split(traced.calls, max_weights)
    what = _what_is_read(parts, traced.returns, readout)
    notes = _notes_of_tensors(module)
    if input_scale != 1:
        notes.append(Note("inputs", "folded", f"times {input_scale:g}, into the first weights"))
    layers: list[Lif] = []
    sums: Readout | None = None
    size = int(np.prod(traced.calls[0].shape))
    for part in parts:
        weights, bias, found = combine(part.before, size, max_weights)
        weights, size = weights * scale, len(bias)
        notes += found
        if part is parts[-1] and what in ("membrane", *OF_WEIGHTS):
            leak, words = _kept(part, what)
            sums = Readout(weights, bias, leak, report)
            notes += part.neurons.notes if part.neurons else ()
            notes.append(Note(part.neurons.name if part.neurons else "readout", "mapped", words))
        elif part.neurons is not None:
            layers.append(part.neurons.layer(weights, bias))
            scale = part.neurons.factor
            notes += [*part.neurons.notes, Note(part.neurons.name, "mapped", part.neurons.words)]
    if not layers:
        raise UserError("the module has no neurons whose spikes are counted: use at least a layer")
    if what == "spike_count":
        sums = Readout(np.diag(np.broadcast_to(scale, size)), report=report)
        notes.append(Note("readout", "mapped", "a sum of each last neuron's spikes"))
    if what == "spikes" and np.any(scale != 1):
        raise UserError(
            f"{layers[-1].name}.graded_spikes_factor is not 1, but spikes leave the core as 1: use"
            " readout='spike_count', or fold the factor into what comes next"
        )
    network = from_layers(layers, sums, payload=payload).network
    for part, layer in zip(parts, network.layers, strict=False):
        notes += _twice_above(part.neurons, layer)
    return Imported(network, f"snnTorch module {type(module).__name__}", tuple(notes))


def _also_open(module: nn.Module) -> str:
    """Return in words that what is read may be open, too, which only a call of the module shows."""
    last = [of for _, of in leaves(module) if isinstance(of, WEIGHTS) or kind_of(of) is not None]
    if last and isinstance(last[-1], WEIGHTS):
        return f"; and set readout to {' or '.join(OF_WEIGHTS)}"
    return (
        f"; and set readout to {', '.join(OF_NEURONS[:-1])} or {OF_NEURONS[-1]}, unless the module"
        " returns only one of its last neurons' spikes and membranes"
    )


def _example(module: nn.Module, inputs: Any, also: str) -> tuple[torch.Tensor, ...]:
    """Return what to call the module with; or raise `UserError`, where that is open with what may
    `also` be.
    """
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_meta:
            raise UserError(f"{name} is on the device 'meta', without values: load the module")
    if isinstance(inputs, torch.Tensor):
        return (inputs,)
    if inputs is None:
        kinds = [type(of) for _, of in leaves(module) if isinstance(of, (*NORMS, *WEIGHTS))]
        linear = [of for _, of in leaves(module) if isinstance(of, nn.Linear)]
        if not linear or not issubclass(kinds[0], nn.Linear):
            raise UserError(f"the shape of the module's inputs is open: set inputs, as (28,){also}")
        inputs = (linear[0].in_features,)
    given = tuple(inputs) if isinstance(inputs, list | tuple) else ()
    if given and all(isinstance(one, torch.Tensor) for one in given):
        return given
    if not given or not all(isinstance(one, int) and one > 0 for one in given):
        raise UserError(f"inputs {shown(inputs)}: use a shape as (28,), or tensors to call it with")
    return (torch.rand(2, *given, generator=torch.Generator().manual_seed(0)),)


def _split(calls: Sequence[Call], max_weights: int) -> list[_Part]:
    """Return the calls by layers of neurons."""
    parts, before = [], []
    for call in calls:
        if kind_of(call.module) is not None:
            parts.append(_Part(tuple(before), read(call, max_weights)))
            before = []
        elif isinstance(call.module, AFFINE):
            before.append(call)
        else:
            kind = type(call.module).__name__
            known = [hint for name, hint in HINTS.items() if kind.startswith(name)]
            hint = f"use {', '.join(of.__name__ for of in AFFINE)}"
            if isinstance(call.module, snntorch.SpikingNeuron):
                hint = f"use {', '.join(of.__name__ for of in KINDS)}"
            raise UserError(f"{call.name}: {kind} has no place on the core: {[*known, hint][0]}")
    return parts + ([_Part(tuple(before), None)] if before else [])


def _what_is_read(parts: list[_Part], returns: frozenset[str], readout: Read | None) -> Read:
    """Return what is read of the module, or raise `UserError` where it is open or not there."""
    last = parts[-1].neurons
    possible = OF_NEURONS if last is not None else OF_WEIGHTS
    if readout is not None and readout not in possible:
        end = last.name if last is not None else parts[-1].before[-1].name
        raise UserError(f"readout '{readout}' of {end} at the end: use {' or '.join(possible)}")
    if readout is not None:
        return readout
    if last is not None and returns == {"spikes"}:
        return "spikes"
    if last is not None and returns == {"membrane"}:
        return "membrane"
    raise UserError(f"what is read of the module is open: set readout to {' or '.join(possible)}")


def _kept(part: _Part, what: Read) -> tuple[float, str]:
    """Return the leak of a readout, and what it is in words."""
    neurons = part.neurons
    if neurons is None:
        return (1.0, "their sum over time") if what == "sum" else (0.0, "their last outputs")
    if neurons.kind is not snntorch.Leaky or neurons.mechanism != "none":
        raise UserError(
            f"{neurons.name}: the membrane of a {neurons.kind.__name__} with"
            f" reset_mechanism='{neurons.mechanism}' is no readout: use a Leaky with 'none', or"
            " readout='spike_count'"
        )
    if np.ndim(neurons.beta):
        raise UserError(f"{neurons.name}.beta differs by neuron: a readout has one leak, use one")
    return float(neurons.beta), f"a readout of membranes with the leak {neurons.beta:g}"


def _notes_of_tensors(module: nn.Module) -> list[Note]:
    """Return what is to be said of where the module's numbers are, and of their type."""
    tensors = [tensor for tensor in module.parameters() if tensor.is_floating_point()]
    devices = sorted({str(tensor.device) for tensor in tensors} - {"cpu"})
    short = sorted({str(one.dtype) for one in tensors if torch.finfo(one.dtype).bits < 32})
    notes = [Note("tensors", "mapped", f"copied from {name}") for name in devices]
    what = "the same weights; the module rounds what it computes with them, the network does not"
    return notes + [Note("tensors", "approximated", f"{name}: {what}") for name in short]


def _twice_above(neurons: Neurons | None, layer: LayerReals) -> list[Note]:
    """Return what is to be said of a reset at once that may leave a membrane above its
    threshold.
    """
    if neurons is None or neurons.late or neurons.mechanism != "subtract":
        return []
    if (layer.reach() <= 2 * np.asarray(layer.threshold)).all():
        return []
    what = (
        "where a membrane exceeds twice its threshold, snnTorch compares the next one after a"
        " subtraction more; the core does not. Smaller membranes are the same"
    )
    return [Note(f"{neurons.name}.reset_delay", "approximated", what)]
