"""From a network in reals to integers: scales chosen by calibration on training data, weights
rounded. No Torch.

Scales are powers of two, so a scale is the `frac` of a `Fixed`. Per layer:

- m, x and y hold `HEADROOM` times the largest value of the calibration; u, whose saturation costs
  little, the largest itself, and every threshold and amount of a reset;
- w_f, w_x, P and w_o take the scale of the least squared error: clamping an outlier may cost less
  than a bit of all others;
- the scales of B and V follow from what lies between those of m and x: as much as leaves every B
  and V in its format;
- a decay that rounds to 1 widens its format by what 1 needs;
- leaks, alphas, thresholds and resets are a value a neuron where their integers differ;
- without dependency breaking (`state_first`) P is W_m, and V is 0.

The letters are those of `golden.params`; P = W_m A and V = W_m B are fused in float64 before they
are rounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from golden.errors import UserError
from golden.formats import Fixed
from golden.integer import LayerIntegers, NetworkIntegers, without_readout
from golden.params import (
    NEURON_VALUES,
    LayerFormats,
    LayerParams,
    NetworkParams,
    NeuronValue,
    ReadoutParams,
)
from golden.payloads import check_payloads
from golden.reals import LayerRanges, LayerReals, NetworkReals, Value, first_wrong, run_reals

HEADROOM = 1.25  # sequences outside of the calibration reach further
DEFAULT_WIDTHS = LayerFormats()
OUTLIER_BITS = 3  # how many scales finer than the one without clamping are tried


@dataclass(frozen=True)
class Quantized:
    """A quantized network, its calibration, and by full name the coefficients that their formats
    clamped.
    """

    network: NetworkIntegers
    ranges: list[LayerRanges]
    clamped: dict[str, int]


def widths_of(weight_bits: int, slow_bits: int, state_bits: int) -> LayerFormats:
    """Return widths to quantize with: of W_f; of P and V; of m."""
    return replace(
        DEFAULT_WIDTHS, w_f=Fixed(weight_bits), p=Fixed(slow_bits), m=Fixed(state_bits)
    )  # fmt: skip


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


def fit_decay(decay: Value, fmt: Fixed) -> Fixed:
    """Return the format, widened to hold 1 where a decay rounds to what it cannot hold."""
    largest = math.floor(float(np.max(decay)) * 2.0**fmt.frac + 0.5)
    return fmt if largest <= fmt.max else replace(fmt, width=fmt.frac + 1)


def choose_formats(
    layer: LayerReals, ranges: LayerRanges, widths: LayerFormats, *, state_first: bool = False
) -> LayerFormats:
    """Return the formats of the layer, with `widths` and the decays' scales of `widths`."""
    f = replace(widths, payload=layer.payload, leak=fit_decay(layer.leak, widths.leak))
    held = [np.abs(values).max() for values in (layer.c, layer.threshold, layer.taken())]
    f = replace(f, w_f=fit_least_error(layer.w_f, f.w_f), u=fit(float(max(ranges.u, *held)), f.u))
    if layer.alpha is not None:
        largest = max(ranges.y * HEADROOM, float(np.abs(layer.c_y).max()))
        f = replace(f, alpha=fit_decay(layer.alpha, f.alpha), y=fit(largest, f.y))
    return _with_state(layer, ranges, f, state_first) if layer.n_state else f


def _current(layer: LayerReals, state_first: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return P and V."""
    if state_first:
        return layer.w_m, np.zeros(layer.n_neurons)
    return layer.w_m @ layer.a, layer.w_m @ layer.b


def _with_state(
    layer: LayerReals, ranges: LayerRanges, f: LayerFormats, state_first: bool
) -> LayerFormats:
    """Return the formats with those of the slow state chosen."""
    p, v = _current(layer, state_first)
    f_a, f_p = fit(float(np.abs(layer.a).max()), f.a), fit_least_error(p, f.p)
    m, x = fit(ranges.m * HEADROOM, f.m), fit(ranges.x * HEADROOM, f.x)
    between = min(
        fit(float(np.abs(layer.b).max()), f.a).frac - f_a.frac,
        fit(float(np.abs(v).max()), f.p).frac - f_p.frac,
    )
    if m.frac - between > x.frac:  # a finer x would leave its range: m gives way
        m = replace(m, frac=x.frac + between)
    x = replace(x, frac=m.frac - between)
    return replace(f, w_x=fit_least_error(layer.w_x, f.w_x), p=f_p, a=f_a, m=m, x=x)


@dataclass
class _Rounding:
    """Rounds reals to formats and counts, by full name, what the formats clamp."""

    state_first: bool = False
    clamped: dict[str, int] = field(default_factory=dict)

    def integers(self, real: np.ndarray | float, fmt: Fixed, where: str) -> np.ndarray:
        result = fmt.quantize(real)
        beyond = np.abs(fmt.to_real(result) - real) > 2.0**-fmt.frac / 2
        self.clamped[where] = int(beyond.sum())
        return result

    def amount(self, real: Value, fmt: Fixed, where: str) -> np.ndarray:
        """Round a threshold, or what a reset subtracts: none but 0 may become 0."""
        result = self.integers(real, fmt, where)
        if found := first_wrong(where, np.where(result == 0, real, 0.0), lambda v: v > 0):
            raise UserError(
                f"{found}, which is 0 in its format {fmt}: use {2.0 ** -(fmt.frac + 1):g} or more,"
                " or a narrower range of membranes, thresholds and resets"
            )
        return result

    def layer(
        self, reals: LayerReals, f: LayerFormats, where: str
    ) -> tuple[LayerParams, LayerIntegers]:
        """Return the layer in these formats."""
        state_first = self.state_first and reals.n_state > 0
        p, v = _current(reals, state_first)
        real: dict[str, tuple[np.ndarray | float, Fixed]] = {
            "w_f": (reals.w_f, f.w_f),
            "w_x": (reals.w_x, f.w_x),
            "b_x": (reals.b_x, f.b_x),
            "a": (reals.a, f.a),
            "b": (reals.b, f.b),
            "p": (p, f.p),
            "v": (v, f.v),
            "c": (reals.c, f.c),
            "leak": (reals.leak, f.leak),
        }
        if reals.alpha is not None:
            real |= {"alpha": (reals.alpha, f.alpha), "c_y": (reals.c_y, f.c_y)}
        values: dict[str, Any] = {
            name: self.integers(value, fmt, f"{where}.{name}")
            for name, (value, fmt) in real.items()
        }
        values["threshold"] = self._threshold(reals, f, f"{where}.threshold")
        values |= self._reset(reals, f, values["threshold"], where)
        for name in NEURON_VALUES:  # the same of all neurons is one for the layer
            if name in values and (values[name] == values[name].flat[0]).all():
                values[name] = values[name].flat[0]
        scalars: dict[str, Any] = {k: int(v) for k, v in values.items() if not np.ndim(v)}
        per_neuron: tuple[NeuronValue, ...] = tuple(
            name for name in NEURON_VALUES if np.ndim(values.get(name, 0))
        )
        try:
            params = LayerParams(
                reals.n_inputs,
                reals.n_neurons,
                reals.n_state,
                reals.dilation,
                reals.reset,
                f,
                reals.recurrent,
                reals.max_delay,
                own_reset="reset" in values,
                synapse=reals.alpha is not None,
                per_neuron=per_neuron,
                decay_rounding=reals.decay_rounding,
                state_first=state_first,
            )
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        return params, LayerIntegers(**values | scalars, delays=reals.delays)

    def _threshold(self, reals: LayerReals, f: LayerFormats, where: str) -> np.ndarray:
        """Return the smallest membrane that fires."""
        if not reals.strict:
            return self.amount(reals.threshold, f.threshold, where)
        # The integer at the threshold does not fire; the one above it does.
        at = f.u.quantize(np.floor(np.asarray(reals.threshold) * 2.0**f.u.frac) * 2.0**-f.u.frac)
        largest = f.threshold.max
        self.clamped[where] = int(((at >= largest) | (at < -1)).sum())
        return f.threshold.saturate(np.where(at >= largest, largest, at + 1))

    def _reset(
        self, reals: LayerReals, f: LayerFormats, threshold: np.ndarray, where: str
    ) -> dict[str, np.ndarray]:
        """Return the amount of the reset, where it is not what the layer takes without one."""
        if reals.reset_amount is None and not (reals.strict and reals.reset == "subtract"):
            return {}
        if reals.reset == "to_value":
            amount = self.integers(reals.taken(), f.u, f"{where}.reset_amount")
            return {"reset": amount} if amount.any() else {}
        amount = self.amount(reals.taken(), f.threshold, f"{where}.reset_amount")
        return {} if (amount == threshold).all() else {"reset": amount}


def check_sequences(network: NetworkReals, payloads: np.ndarray, what: str) -> np.ndarray:
    """Return sequences (B, K, inputs) of `what` as an array of an integer type, or raise
    `UserError` where they cannot be what the network receives.
    """
    first = network.layers[0]
    try:
        checked = check_payloads(payloads, first.payload, first.n_inputs)
    except UserError as error:
        raise UserError(f"{what}: {error}") from None
    if not checked.size:
        raise UserError(f"no sequences for {what}: use at least one")
    return checked


def calibrate(network: NetworkReals, payloads: np.ndarray) -> list[LayerRanges]:
    """Return what each layer's values reach on sequences (B, K, inputs) of integer payloads, or
    raise `UserError` where the network or the sequences cannot be.
    """
    network.check()
    return run_reals(network, check_sequences(network, payloads, "the calibration")).ranges


def quantize(
    network: NetworkReals,
    payloads: np.ndarray,
    name: str,
    widths: LayerFormats = DEFAULT_WIDTHS,
    w_o_width: int = DEFAULT_WIDTHS.w_f.width,
    *,
    state_first: bool = False,
) -> Quantized:
    """Turn a network in reals into integers.

    Parameters
    ----------
    payloads
        Training sequences (B, K, inputs) of integer payloads to calibrate on.
    name
        Of the quantized network.
    widths
        Formats of which only the widths and the decays' scales are used; payloads are the
        network's.
    w_o_width
        Of the readout's weights.
    state_first
        Without dependency breaking (`LayerParams.state_first`).

    Raises
    ------
    UserError
        Nothing to calibrate on, inputs outside of their format, or values that no neuron can have
        or no format of these widths can hold.
    """
    ranges = calibrate(network, payloads)
    rounding = _Rounding(state_first)
    layers = [
        rounding.layer(
            layer, choose_formats(layer, found, widths, state_first=state_first), f"layer{index}"
        )
        for index, (layer, found) in enumerate(zip(network.layers, ranges, strict=True))
    ]
    parameters, integers = zip(*layers, strict=True)
    n_classes, n_inputs = network.w_o.shape
    if not n_classes:
        whole = without_readout(NetworkParams(name, parameters, None), integers)
        return Quantized(whole, ranges, rounding.clamped)
    plain = ReadoutParams(n_inputs, n_classes)
    readout = replace(
        plain,
        w_o=fit_least_error(network.w_o, replace(plain.w_o, width=w_o_width)),
        leaky=network.leak != 1,
        report=network.report,
        decay_rounding=network.decay_rounding,
    )
    leak = 0
    if readout.leaky:
        readout = replace(readout, leak=fit_decay(network.leak, plain.leak))
        leak = int(rounding.integers(network.leak, readout.leak, "readout.leak"))
    quantized = NetworkIntegers(
        NetworkParams(name, parameters, readout),
        integers,
        rounding.integers(network.w_o, readout.w_o, "readout.w_o"),
        rounding.integers(network.b_o, readout.b_o, "readout.b_o"),
        leak,
    )
    return Quantized(quantized, ranges, rounding.clamped)


def slow_weights(p: np.ndarray, v: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the W_m (N, d) that comes closest to P = W_m A and V = W_m B at once (least squares),
    all in reals.
    """
    fused = np.column_stack([p, v])
    return np.linalg.lstsq(np.column_stack([a, b]).T, fused.T, rcond=None)[0].T


def without_dependency_breaking(network: NetworkIntegers) -> NetworkIntegers:
    """Return the network with currents that take the slow state after its update. Integers do not
    hold W_m, which its P then is: it is what comes closest to their P and V.
    """
    params, layers = list(network.params.layers), list(network.layers)
    for index, (p, layer) in enumerate(zip(params, layers, strict=True)):
        if not p.n_state or p.state_first:
            continue
        f = p.formats
        names = ("p", "v", "a", "b")
        w_m = slow_weights(*(getattr(f, n).to_real(getattr(layer, n)) for n in names))
        fmt = fit_least_error(w_m, f.p)
        params[index] = replace(p, formats=replace(f, p=fmt), state_first=True)
        layers[index] = replace(layer, p=fmt.quantize(w_m), v=np.zeros_like(layer.v))
    ablated = replace(network.params, layers=tuple(params))
    return replace(network, params=ablated, layers=tuple(layers))
