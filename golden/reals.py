"""The network in reals: what a trained network is before any number format is chosen. Float64, no
Torch.

The equations are those of `golden.integer` without rounding and clamping, with the current of the
slow state as W_m m[k] instead of P m[k-1] + V x[k], which is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import get_args

import numpy as np

from golden.errors import UserError
from golden.formats import SPIKE, Fixed, Rounding
from golden.params import Reset
from golden.payloads import check_payloads
from golden.readout_params import ReadoutReport

Value = float | np.ndarray  # one for the layer, or (N,): one a neuron


def first_wrong(name: str, value: Value, wrong: Callable[[np.ndarray], np.ndarray]) -> str | None:
    """Return the first value that is wrong, with its name; None where none is."""
    found = np.argwhere(wrong(np.atleast_1d(value)))
    if not len(found):
        return None
    place = tuple(found[0])
    where = f"{name} of neuron {place[0]}" if np.ndim(value) == 1 else name
    return f"{where} is {np.atleast_1d(value)[place]:g}"


def check_finite(name: str, value: Value) -> None:
    """Raise `UserError` where a value is no finite number."""
    if not np.isfinite(value).all():
        strange = np.atleast_1d(value)[~np.isfinite(np.atleast_1d(value))]
        raise UserError(f"{name} has a value of {strange[0]}: use finite numbers (train again)")


def check_decay(name: str, value: Value) -> None:
    """Raise `UserError` where a decay is not 0 to 1."""
    if found := first_wrong(name, value, lambda v: (v < 0) | (v > 1)):
        raise UserError(f"{found}: use 0 to 1")


@dataclass(frozen=True)
class LayerReals:
    """A layer in float64: w_f (N, M), or (N, M + N) if it is recurrent, c (N,); of its slow state
    w_x (M,), b_x, a (d, d), b (d,), w_m (N, d).

    Parameters
    ----------
    leak, threshold
        One for the layer, or (N,).
    delays
        Whole timesteps (M,), or (0,) without delays; `max_delay` is their bound.
    alpha
        Decay of the synaptic current, one or (N,); None: spikes drive the membrane themselves.
    c_y
        Bias of the synaptic current (N,); (0,) without one.
    reset, reset_amount
        What a spike does to the membrane: `subtract` an amount (None: the threshold), set it
        `to_value` (None: 0), or `none`.
    dilation
        Timesteps from a refresh of the current from the slow state to the next one.
    recurrent
        Own spikes of the timestep before follow the inputs, each worth the largest payload.
    payload
        The format of what arrives.
    decay_rounding
        How the integers are to round decays.
    strict
        A neuron fires above its threshold, not at it.
    any_threshold
        Thresholds may be such that no neuron ever fires, or each one always. Else that is refused,
        as no training means it.
    """

    w_f: np.ndarray
    w_x: np.ndarray
    b_x: float
    a: np.ndarray
    b: np.ndarray
    w_m: np.ndarray
    c: np.ndarray
    delays: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    leak: Value = 0.5
    threshold: Value = 1.0
    alpha: Value | None = None
    c_y: np.ndarray = field(default_factory=lambda: np.zeros(0))
    reset: Reset = "subtract"
    reset_amount: Value | None = None
    dilation: int = 1
    recurrent: bool = False
    max_delay: int = 0
    payload: Fixed = SPIKE
    decay_rounding: Rounding = "half_up"
    strict: bool = False
    any_threshold: bool = False

    @property
    def n_neurons(self) -> int:
        return len(self.c)

    @property
    def n_inputs(self) -> int:
        return self.w_f.shape[1] - self.n_neurons * self.recurrent

    @property
    def n_state(self) -> int:
        return len(self.b)

    @property
    def own_value(self) -> float:
        """What one of its own spikes is worth to a recurrent layer."""
        return self.payload.max * 2.0**-self.payload.frac

    def taken(self) -> Value:
        """Return what a reset subtracts, or sets the membrane to."""
        if self.reset_amount is not None:
            return self.reset_amount
        return self.threshold if self.reset == "subtract" else 0.0

    def check(self, where: str) -> None:
        """Raise `UserError` where a value is no number, or is one that no neuron can have."""
        if self.reset not in get_args(Reset):
            raise UserError(
                f"{where}.reset is '{self.reset}': use one of {', '.join(get_args(Reset))}"
            )
        if self.reset == "none" and self.reset_amount is not None:
            raise UserError(f"{where}.reset_amount is of a reset that does nothing: leave it out")
        self._check_arrays(where)
        for name in ("leak", "alpha"):
            if getattr(self, name) is not None:
                check_decay(f"{where}.{name}", getattr(self, name))
        always = (lambda v: v < 0) if self.strict else (lambda v: v <= 0)
        if found := first_wrong(f"{where}.threshold", self.threshold, always):
            right = "0 or more" if self.strict else "more than 0"
            raise UserError(f"{found}, which a membrane at rest always reaches: use {right}")
        if self.reset == "subtract":
            if found := first_wrong(f"{where}.reset_amount", self.taken(), lambda v: v < 0):
                raise UserError(f"{found}: what a reset subtracts must be 0 or more")
        if not self.any_threshold:
            self._check_reach(where)

    def _check_arrays(self, where: str) -> None:
        """Check shapes, and that every value is a number."""
        n, m, d = self.n_neurons, self.n_inputs, self.n_state
        shapes = {
            "w_f": (n, m + n * self.recurrent), "w_x": (m,), "b_x": (), "a": (d, d), "b": (d,),
            "w_m": (n, d), "c": (n,), "delays": (m if self.max_delay else 0,),
            "c_y": (0 if self.alpha is None else n,),
        }  # fmt: skip
        for name in ("leak", "alpha", "threshold", "reset_amount"):
            shapes[name] = (n,) if np.ndim(getattr(self, name)) else ()
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value is None:
                continue
            if np.shape(value) != shape:
                raise UserError(f"{where}.{name} has the shape {np.shape(value)}: use {shape}")
            check_finite(f"{where}.{name}", value)

    def _check_reach(self, where: str) -> None:
        """Check that what arrives decides whether a neuron fires, at least for one of them."""
        threshold = np.broadcast_to(self.threshold, (self.n_neurons,))
        highest, least = self.reach(), self.least()
        unreachable = threshold >= highest if self.strict else threshold > highest
        if unreachable.all():
            raise UserError(
                f"{where}.threshold is {threshold.min():g}, which no membrane can reach: use"
                f" {'less than ' * self.strict}{highest.max():g}{' or less' * (not self.strict)}"
            )
        if (threshold < least if self.strict else threshold <= least).all():
            raise UserError(
                f"{where}.threshold is {threshold.max():g}, which every membrane always reaches:"
                f" use {'at least' if self.strict else 'more than'} {least.min():g}"
            )

    def _arriving(self, largest: bool) -> np.ndarray:
        """Return the largest sums of weights (N,) that a timestep can bring, or the smallest."""
        scale, choose = 2.0**-self.payload.frac, np.maximum if largest else np.minimum
        low, high = self.payload.min * scale, self.payload.max * scale
        return choose(self.w_f * low, self.w_f * high).sum(1)

    def reach(self) -> np.ndarray:
        """Return a bound (N,) of what the membranes can reach, whatever arrives; infinite where
        nothing bounds them.
        """

        def settled(arriving: np.ndarray, decay: Value) -> np.ndarray:
            positive = np.maximum(arriving, 0)
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.where(positive > 0, positive / (1 - np.asarray(decay)), 0.0)

        values = self._arriving(largest=True)
        if self.alpha is not None:
            values = settled(values + self.c_y, self.alpha)
        # The slow state is bounded, too, but not by anything that is at hand here.
        unbounded = np.where(np.abs(self.w_m).sum(1) > 0, np.inf, 0.0)
        return settled(values + self.c + unbounded, self.leak)

    def least(self) -> np.ndarray:
        """Return what the membranes (N,) of neurons that fire at every timestep do not fall below,
        whatever arrives; minus infinity where nothing bounds them.
        """
        lowest = self._arriving(largest=False)
        bounded = ~self.w_m.any(1)
        if self.alpha is not None:
            lowest = lowest + self.c_y
            bounded &= lowest >= 0  # a negative current adds up over time
        kept = {"subtract": np.subtract(self.threshold, self.taken()), "to_value": self.taken()}
        never_negative = np.asarray(kept.get(self.reset, 0.0)) >= 0
        return np.where(bounded & never_negative, lowest + self.c, -np.inf)


@dataclass(frozen=True)
class NetworkReals:
    """A network in float64: its layers, and the readout's w_o (C, N) and b_o (C,). Without a
    readout, C is 0, and its output is the last layer's spikes.

    The readout's `leak`, `report` and `decay_rounding` are those of `golden.params.ReadoutParams`.
    """

    layers: tuple[LayerReals, ...]
    w_o: np.ndarray
    b_o: np.ndarray
    leak: float = 1.0
    report: ReadoutReport = "last"
    decay_rounding: Rounding = "half_up"

    def check(self, names: Sequence[str] = ()) -> None:
        """Raise `UserError` where a value is one that no network can have; it calls the layers by
        these names, or `layer0`, `layer1`, ...
        """
        names = names or [f"layer{index}" for index in range(len(self.layers))]
        for index, (layer, name) in enumerate(zip(self.layers, names, strict=True)):
            layer.check(name)
            if index and layer.n_inputs != self.layers[index - 1].n_neurons:
                raise UserError(
                    f"{name} has {layer.n_inputs} inputs, but {names[index - 1]}"
                    f" {self.layers[index - 1].n_neurons} neurons: use as many"
                )
        if self.report not in get_args(ReadoutReport):
            raise UserError(f"readout.report '{self.report}': use last or max")
        n_classes, n = len(self.b_o), self.layers[-1].n_neurons
        for name, shape in {"w_o": (n_classes, n), "b_o": (n_classes,), "leak": ()}.items():
            value = getattr(self, name)
            if np.shape(value) != shape:
                raise UserError(f"readout.{name} has the shape {np.shape(value)}: use {shape}")
            check_finite(f"readout.{name}", value)
        check_decay("readout.leak", self.leak)


@dataclass
class LayerRanges:
    """The largest absolute values that a layer's drive, slow state, synaptic current and membrane
    (before its reset) took.
    """

    x: float = 0.0
    m: float = 0.0
    u: float = 0.0
    y: float = 0.0

    def include(self, **values: np.ndarray) -> None:
        """Widen the ranges to hold these values."""
        for name, value in values.items():
            setattr(self, name, max(getattr(self, name), float(np.abs(value).max(initial=0.0))))


@dataclass
class RealRun:
    """What a network in reals did with B sequences of K timesteps: logits (B, C), the `ranges` of
    its layers and of the readout's values, and every layer's spikes (B, K, N) bool.
    """

    logits: np.ndarray
    ranges: list[LayerRanges]
    largest_logit: float
    spikes: list[np.ndarray]


class _Layer:
    """The running state of a layer for a batch."""

    def __init__(self, layer: LayerReals, batch: int, n_timesteps: int) -> None:
        self.layer, self.ranges = layer, LayerRanges()
        n = layer.n_neurons
        self.m = np.zeros((batch, layer.n_state))
        self.h, self.u, self.y = (np.zeros((batch, n)) for _ in range(3))
        self.own = np.zeros((batch, n * layer.recurrent))
        # What the inputs of a layer with delays receive, by the timestep in which it takes part.
        steps = n_timesteps + layer.max_delay if layer.max_delay else 0
        self.coming = np.zeros((steps, batch, layer.n_inputs))

    def step(self, k: int, values: np.ndarray) -> np.ndarray:
        """Take the values (B, M) of timestep k; return the spikes (B, N) bool."""
        layer = self.layer
        if layer.max_delay:
            self.coming[k + layer.delays, :, np.arange(layer.n_inputs)] = values.T
            values = self.coming[k]
        x = (
            np.maximum(values @ layer.w_x + layer.b_x, 0)
            if layer.n_state
            else np.zeros(len(values))
        )
        self.m = self.m @ layer.a.T + x[:, None] * layer.b
        if k % layer.dilation == 0:
            self.h = self.m @ layer.w_m.T
        fast = np.concatenate([values, self.own], 1) @ layer.w_f.T
        if layer.alpha is not None:
            self.y = layer.alpha * self.y + fast + layer.c_y
            fast = self.y
        membrane = layer.leak * self.u + fast + self.h + layer.c
        self.ranges.include(x=x, m=self.m, y=self.y, u=membrane)
        spikes = membrane > layer.threshold if layer.strict else membrane >= layer.threshold
        left = {"subtract": membrane - layer.taken(), "to_value": layer.taken()}
        self.u = np.where(spikes, left.get(layer.reset, membrane), membrane)
        self.own = spikes[:, : self.own.shape[1]] * layer.own_value
        return spikes


def run_reals(network: NetworkReals, payloads: np.ndarray) -> RealRun:
    """Run sequences (B, K, M) of integer payloads through the network, or raise `UserError` where
    they are none that it can receive.
    """
    first = network.layers[0]
    payloads = check_payloads(payloads, first.payload, first.n_inputs)
    batch, n_timesteps, _ = payloads.shape
    layers = [_Layer(layer, batch, n_timesteps) for layer in network.layers]
    spikes = [np.zeros((batch, n_timesteps, layer.n_neurons), bool) for layer in network.layers]
    logits = np.zeros((batch, len(network.b_o)))
    peaks, largest = np.full_like(logits, -np.inf), 0.0
    for k in range(n_timesteps):
        values = first.payload.to_real(payloads[:, k])
        for index, layer in enumerate(layers):
            fired = layer.step(k, values)
            spikes[index][:, k] = fired
            values = fired.astype(np.float64)
        logits = network.leak * logits + values @ network.w_o.T + network.b_o
        largest = max(largest, float(np.abs(logits).max(initial=0.0)))
        peaks = np.maximum(peaks, logits)
    found = peaks if network.report == "max" and n_timesteps else logits
    return RealRun(found, [layer.ranges for layer in layers], largest, spikes)
