"""Between networks in Torch and those in reals and in integers, and training with the weights that
integers have.
"""

from __future__ import annotations

import numpy as np
import torch

from golden.errors import UserError
from golden.integer import NetworkIntegers
from golden.params import LayerFormats, ReadoutParams
from golden.quantize import (
    DEFAULT_WIDTHS,
    calibrate,
    choose_formats,
    fit_least_error,
    slow_weights,
)
from golden.reals import LayerReals, NetworkReals
from golden.train.model import DmpLayer, DmpNetwork, legendre_zoh
from golden.train.topology import Topology


def layers_of(network: DmpNetwork) -> list[DmpLayer]:
    """Return the network's layers, first to last."""
    return [layer for layer in network.layers if isinstance(layer, DmpLayer)]


def extract(network: DmpNetwork) -> NetworkReals:
    """Return the network's trained values in float64."""
    layers = tuple(extract_layer(layer) for layer in layers_of(network))
    return NetworkReals(layers, _real(network.readout.weight), _real(network.readout.bias))


def extract_layer(layer: DmpLayer) -> LayerReals:
    """Return the layer's trained values in float64."""
    t = layer.topology
    a, b = legendre_zoh(t.n_state, t.theta)
    has_state = bool(t.n_state)
    return LayerReals(
        w_f=_real(layer.fast.weight),
        w_x=_real(layer.drive_weight) if has_state else np.zeros(t.n_inputs),
        b_x=float(layer.drive_bias.detach()) if has_state else 0.0,
        a=a,
        b=b,
        w_m=_real(layer.slow.weight) if has_state else np.zeros((t.n_neurons, 0)),
        c=_real(layer.fast.bias),
        delays=layer.held_back().long().numpy() if t.max_delay else np.zeros(0, np.int64),
        leak=_real(layer.leaks()) if t.per_neuron else layer.leak,
        threshold=_real(layer.thresholds()) if t.per_neuron else 1.0,
        reset=t.reset,
        dilation=t.dilation,
        recurrent=t.recurrent,
        max_delay=t.max_delay,
        payload=t.payload,
    )


def _real(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def apply_grids(
    network: DmpNetwork, payloads: np.ndarray, widths: LayerFormats = DEFAULT_WIDTHS
) -> None:
    """Let the network compute with weights as their formats hold them from now on, calibrated on
    sequences (B, K, inputs): quantization-aware training.
    """
    reals = extract(network)
    ranges = calibrate(reals, payloads)
    for layer, real, found in zip(layers_of(network), reals.layers, ranges, strict=True):
        layer.grids = choose_formats(real, found, widths)
    network.readout_grid = fit_least_error(reals.w_o, ReadoutParams(1, 1).w_o)


def dequantize(network: NetworkIntegers, topology: Topology) -> DmpNetwork:
    """Return a network in Torch with the weights that integers stand for: to train them further.

    W_m is not stored: see `golden.quantize.slow_weights`.

    Raises
    ------
    UserError
        The integers are of another shape than the topology, or have what no topology has.
    """
    shapes = [(shape.n_inputs, shape.n_neurons, shape.n_state) for shape in topology.layers]
    found = [(p.n_inputs, p.n_neurons, p.n_state) for p in network.params.layers]
    if shapes != found or topology.n_classes != network.params.readout.n_classes:
        raise UserError(f"{network.params.name} is of another shape than its topology")
    for index, (p, shape) in enumerate(zip(network.params.layers, topology.layers, strict=True)):
        strange = {
            "a synaptic current": p.synapse,
            "an amount of its reset": p.own_reset,
            "values a neuron": bool(p.per_neuron) and not shape.per_neuron,
            "no dependency breaking": p.state_first,
        }
        for what, there in strange.items():
            if there:
                raise UserError(
                    f"layer{index} of {network.params.name} has {what}, which its topology does"
                    " not: train it where it was trained"
                )
    result = DmpNetwork(topology)

    def assign(parameter: torch.Tensor, values: np.ndarray | float) -> None:
        real = torch.from_numpy(np.asarray(values, np.float64)).to(parameter.dtype)
        parameter.copy_(real.reshape(parameter.shape))

    with torch.no_grad():
        for layer, integers, params in zip(
            layers_of(result), network.layers, network.params.layers, strict=True
        ):
            f = params.formats
            assign(layer.fast.weight, f.w_f.to_real(integers.w_f))
            assign(layer.fast.bias, f.c.to_real(integers.c))
            if params.max_delay:
                assign(layer.delays, integers.delays)
            if layer.topology.per_neuron:
                layer.leak_values.copy_(torch.as_tensor(f.leak.to_real(np.asarray(integers.leak))))
                layer.threshold_values.copy_(
                    torch.as_tensor(f.threshold.to_real(np.asarray(integers.threshold)))
                )
            if params.n_state:
                a, b = legendre_zoh(params.n_state, layer.topology.theta)
                fused = f.p.to_real(integers.p), f.v.to_real(integers.v)
                assign(layer.slow.weight, slow_weights(*fused, a, b))
                assign(layer.drive_weight, f.w_x.to_real(integers.w_x))
                assign(layer.drive_bias, f.b_x.to_real(np.asarray(integers.b_x)))
        readout = network.params.readout
        assign(result.readout.weight, readout.w_o.to_real(network.w_o))
        assign(result.readout.bias, readout.b_o.to_real(network.b_o))
    return result
