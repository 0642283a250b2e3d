"""From a trained network to integers: scales chosen by calibration on training data, weights
rounded.

Scales are powers of two, so a scale is the `frac` of a `Fixed`. Per layer:

- m and x hold `HEADROOM` times the largest value of the calibration; u and c, whose saturation
  costs little, the largest itself;
- w_f, w_x, P and w_o take the scale of the least squared error: clamping an outlier may cost less
  than a bit of all others;
- the scales of B and V follow from what lies between those of m and x: as much as leaves every B
  and V in its format.

The letters are those of `golden.params`; P = W_m A and V = W_m B are fused in float64 before they
are rounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from golden.data.dataset import Dataset
from golden.errors import UserError
from golden.formats import Fixed
from golden.integer import LayerIntegers, NetworkIntegers, run
from golden.params import LayerFormats, LayerParams, NetworkParams
from golden.readout_params import ReadoutParams
from golden.train.model import DmpLayer, DmpNetwork, legendre_zoh
from golden.train.topology import Topology

HEADROOM = 1.25  # digits outside of the calibration reach further
DEFAULT_WIDTHS = LayerFormats()
OUTLIER_BITS = 3  # how many scales finer than the one without clamping are tried


@dataclass(frozen=True)
class LayerReals:
    """A trained layer in float64, shapes as in `golden.integer.LayerIntegers`; P and V are fused
    from w_m (N, d).
    """

    w_f: np.ndarray
    w_x: np.ndarray
    b_x: float
    a: np.ndarray
    b: np.ndarray
    w_m: np.ndarray
    c: np.ndarray
    delays: np.ndarray


@dataclass
class LayerRanges:
    """The largest absolute values that a layer's drive, slow state and membrane (before its reset)
    took.
    """

    x: float = 0.0
    m: float = 0.0
    u: float = 0.0

    def include(self, **values: np.ndarray) -> None:
        """Widen the ranges to hold these values."""
        for name, value in values.items():
            setattr(self, name, max(getattr(self, name), float(np.abs(value).max(initial=0.0))))


@dataclass(frozen=True)
class Quantized:
    """A quantized network, its calibration, and by full name the coefficients that their formats
    clamped.
    """

    network: NetworkIntegers
    ranges: list[LayerRanges]
    clamped: dict[str, int]


@dataclass
class IntegerAccuracy:
    """The share of sequences classified correctly, saturations by full name, and the mean events a
    timestep that each layer and the readout receive.
    """

    accuracy: float
    saturations: dict[str, int] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)


def layers_of(network: DmpNetwork) -> list[DmpLayer]:
    """Return the network's layers, first to last."""
    return [layer for layer in network.layers if isinstance(layer, DmpLayer)]


def extract(layer: DmpLayer) -> LayerReals:
    """Return the layer's trained values in float64."""

    def real(tensor: torch.Tensor) -> np.ndarray:
        return tensor.detach().double().numpy()

    n, m, d = layer.topology.n_neurons, layer.topology.n_inputs, layer.topology.n_state
    a, b = legendre_zoh(d, layer.topology.theta)
    w_f, c = real(layer.fast.weight), real(layer.fast.bias)
    delays = np.zeros(0, np.int64)
    if layer.topology.max_delay:
        delays = layer.held_back().long().numpy()
    if not d:
        return LayerReals(w_f, np.zeros(m), 0.0, a, b, np.zeros((n, 0)), c, delays)
    return LayerReals(
        w_f,
        real(layer.drive_weight),
        float(layer.drive_bias.detach()),
        a,
        b,
        real(layer.slow.weight),
        c,
        delays,
    )


def calibrate(network: DmpNetwork, payloads: np.ndarray) -> list[LayerRanges]:
    """Run sequences (B, K, inputs) of integer payloads through the network in float64; return each
    layer's ranges.
    """
    layers = [extract(layer) for layer in layers_of(network)]
    topology = network.topology
    shapes = list(zip(layers, topology.layers, strict=True))
    batch = len(payloads)
    ranges = [LayerRanges() for _ in layers]
    m = [np.zeros((batch, len(layer.b))) for layer in layers]
    h = [np.zeros((batch, len(layer.c))) for layer in layers]
    u = [np.zeros((batch, len(layer.c))) for layer in layers]
    own = [np.zeros((batch, len(layer.c) * shape.recurrent)) for layer, shape in shapes]
    n_timesteps = payloads.shape[1]
    # What the inputs of a layer with delays receive, by the timestep in which it takes part.
    coming = [
        np.zeros((n_timesteps + shape.max_delay, batch, shape.n_inputs)) for _, shape in shapes
    ]
    for k in range(n_timesteps):
        values = topology.payload.to_real(payloads[:, k])
        for i, (layer, shape) in enumerate(shapes):
            if shape.max_delay:
                coming[i][k + layer.delays, :, np.arange(shape.n_inputs)] = values.T
                values = coming[i][k]
            x = np.maximum(values @ layer.w_x + layer.b_x, 0)
            m[i] = m[i] @ layer.a.T + x[:, None] * layer.b
            if k % topology.dilation == 0:
                h[i] = m[i] @ layer.w_m.T
            values = np.concatenate([values, own[i]], 1)
            membrane = topology.leak * u[i] + values @ layer.w_f.T + h[i] + layer.c
            ranges[i].include(x=x, m=m[i], u=membrane)
            values = (membrane >= 1).astype(np.float64)
            own[i] = values[:, : own[i].shape[1]] * shape.own_value
            u[i] = membrane - values if topology.reset == "subtract" else membrane * (1 - values)
    return ranges


def fit(magnitude: float, fmt: Fixed) -> Fixed:
    """Return the format with the largest `frac` in which `magnitude` is not clamped, but at most
    twice the width.
    """
    finest = 2 * fmt.width
    if magnitude < (fmt.max + 0.5) * 2.0**-finest:
        return replace(fmt, frac=finest)
    # Rounding half up reaches max + 1 from max + 1/2 on.
    return replace(fmt, frac=math.ceil(math.log2((fmt.max + 0.5) / magnitude)) - 1)


def fit_least_error(values: np.ndarray, fmt: Fixed) -> Fixed:
    """Return the format whose rounding and clamping of `values` has the least squared error, the
    coarsest of equals.
    """
    coarse = fit(float(np.abs(values).max(initial=0.0)), fmt)
    candidates = [replace(coarse, frac=coarse.frac + more) for more in range(OUTLIER_BITS + 1)]

    def error(candidate: Fixed) -> float:
        return float(((candidate.to_real(candidate.quantize(values)) - values) ** 2).sum())

    return min(candidates, key=error)


def choose_formats(layer: LayerReals, ranges: LayerRanges, formats: LayerFormats) -> LayerFormats:
    """Return `formats` with every `frac` chosen for the layer; its widths and its payload stay."""
    f = formats
    p, v = layer.w_m @ layer.a, layer.w_m @ layer.b
    u = fit(max(ranges.u, float(np.abs(layer.c).max()), 1.0), f.u)
    if not len(layer.b):
        return replace(f, w_f=fit_least_error(layer.w_f, f.w_f), u=u)
    f_a, f_p = fit(float(np.abs(layer.a).max()), f.a), fit_least_error(p, f.p)
    m, x = fit(ranges.m * HEADROOM, f.m), fit(ranges.x * HEADROOM, f.x)
    between = min(
        fit(float(np.abs(layer.b).max()), f.a).frac - f_a.frac,
        fit(float(np.abs(v).max()), f.p).frac - f_p.frac,
    )
    if m.frac - between > x.frac:  # a finer x would leave its range: m gives way
        m = replace(m, frac=x.frac + between)
    return replace(
        f,
        w_f=fit_least_error(layer.w_f, f.w_f),
        w_x=fit_least_error(layer.w_x, f.w_x),
        p=f_p,
        a=f_a,
        m=m,
        x=replace(x, frac=m.frac - between),
        u=u,
    )


def choose_grids(
    network: DmpNetwork, ranges: list[LayerRanges], widths: LayerFormats
) -> list[LayerFormats]:
    """Return every layer's formats, chosen for its weights and ranges; only the widths of `widths`
    and the leak's scale are used.
    """
    return [
        choose_formats(extract(layer), found, replace(widths, payload=layer.topology.payload))
        for layer, found in zip(layers_of(network), ranges, strict=True)
    ]


def apply_grids(
    network: DmpNetwork, payloads: np.ndarray, widths: LayerFormats = DEFAULT_WIDTHS
) -> None:
    """Let the network compute with weights as their formats hold them from now on, calibrated on
    sequences (B, K, inputs): quantization-aware training.
    """
    grids = choose_grids(network, calibrate(network, payloads), widths)
    for layer, grid in zip(layers_of(network), grids, strict=True):
        layer.grids = grid
    weight = network.readout.weight.detach().double().numpy()
    network.readout_grid = fit_least_error(weight, ReadoutParams(1, 1).w_o)


def quantize(
    network: DmpNetwork, payloads: np.ndarray, name: str, widths: LayerFormats = DEFAULT_WIDTHS
) -> Quantized:
    """Turn a trained network into integers.

    Parameters
    ----------
    payloads
        Training sequences (B, K, inputs) of integer payloads to calibrate on.
    widths
        Formats of which only the widths and the leak's scale are used; payloads are the topology's.

    Raises
    ------
    UserError
        Nothing to calibrate on, or weights that no format of these widths can hold.
    """
    if not payloads.size:
        raise UserError("no sequences to calibrate on: use at least one")
    topology = network.topology
    ranges = calibrate(network, payloads)
    clamped: dict[str, int] = {}

    def integers(real: np.ndarray | float, fmt: Fixed, where: str) -> np.ndarray:
        result = fmt.quantize(real)
        clamped[where] = int((np.abs(fmt.to_real(result) - real) > 2.0**-fmt.frac / 2).sum())
        return result

    params, layers = [], []
    for index, (layer, shape, f) in enumerate(
        zip(layers_of(network), topology.layers, choose_grids(network, ranges, widths), strict=True)
    ):
        reals = extract(layer)
        params.append(
            LayerParams(
                shape.n_inputs, shape.n_neurons, shape.n_state, shape.dilation, shape.reset, f,
                shape.recurrent, shape.max_delay,
            )
        )  # fmt: skip
        real = {
            "w_f": (reals.w_f, f.w_f),
            "w_x": (reals.w_x, f.w_x),
            "b_x": (reals.b_x, f.b_x),
            "a": (reals.a, f.a),
            "b": (reals.b, f.b),
            "p": (reals.w_m @ reals.a, f.p),
            "v": (reals.w_m @ reals.b, f.v),
            "c": (reals.c, f.c),
            "leak": (topology.leak, f.leak),
            "threshold": (1.0, f.threshold),
        }
        values: dict[str, Any] = {
            key: integers(value, fmt, f"layer{index}.{key}") for key, (value, fmt) in real.items()
        }
        scalars: dict[str, Any] = {key: int(values[key]) for key in ("b_x", "leak", "threshold")}
        layers.append(LayerIntegers(**values | scalars, delays=reals.delays))
    w_o, b_o = (t.detach().double().numpy() for t in (network.readout.weight, network.readout.bias))
    readout = ReadoutParams(topology.n_neurons[-1], topology.n_classes)
    readout = replace(readout, w_o=fit_least_error(w_o, readout.w_o))
    quantized = NetworkIntegers(
        NetworkParams(name, tuple(params), readout),
        tuple(layers),
        integers(w_o, readout.w_o, "readout.w_o"),
        integers(b_o, readout.b_o, "readout.b_o"),
    )
    return Quantized(quantized, ranges, clamped)


def dequantize(network: NetworkIntegers, topology: Topology) -> DmpNetwork:
    """Return a network in Torch with the weights that integers stand for: to train them further.

    W_m is not stored; it is what comes closest to P = W_m A and V = W_m B at once (least squares).

    Raises
    ------
    UserError
        The integers are of another shape than the topology.
    """
    shapes = [(shape.n_inputs, shape.n_neurons, shape.n_state) for shape in topology.layers]
    found = [(p.n_inputs, p.n_neurons, p.n_state) for p in network.params.layers]
    if shapes != found or topology.n_classes != network.params.readout.n_classes:
        raise UserError(f"{network.params.name} is of another shape than its topology")
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
            if params.n_state:
                a, b = legendre_zoh(params.n_state, layer.topology.theta)
                fused = np.column_stack([f.p.to_real(integers.p), f.v.to_real(integers.v)])
                solution = np.linalg.lstsq(np.column_stack([a, b]).T, fused.T, rcond=None)[0]
                assign(layer.slow.weight, solution.T)
                assign(layer.drive_weight, f.w_x.to_real(integers.w_x))
                assign(layer.drive_bias, f.b_x.to_real(np.asarray(integers.b_x)))
        readout = network.params.readout
        assign(result.readout.weight, readout.w_o.to_real(network.w_o))
        assign(result.readout.bias, readout.b_o.to_real(network.b_o))
    return result


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
