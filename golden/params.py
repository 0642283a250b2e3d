"""Network parameters: the only truth about sizes, number formats, shifts and widths. No Torch.

`NetworkParams` is a trained network (`golden.train.topology`) with the number formats that
quantization chose; every shift and every accumulator width follows from them. What hardware it is
given is in `golden.hardware`. Letters are the paper's (arXiv 2512.07602): A, B the slow state's
transition and input, P = W_m A and V = W_m B the fused coefficients of the current it feeds back.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, Literal, get_args, get_type_hints

from golden.errors import UserError
from golden.formats import MAX_SHIFT, SPIKE, Fixed, Rounding, accumulator, rshift, width_of
from golden.param_checks import check_choices, check_decay, check_payload, check_sums
from golden.readout_params import ReadoutParams

Reset = Literal["subtract", "to_value", "none"]
NeuronValue = Literal["leak", "alpha", "threshold", "reset"]

NEURON_VALUES: tuple[NeuronValue, ...] = ("leak", "alpha", "threshold", "reset")

MAX_INPUTS = 1 << 16
types_of = cache(get_type_hints)  # which takes as long as all the rest of reading a manifest
MAX_DELAY = 255


@dataclass(frozen=True)
class LayerFormats:
    """The formats of a layer that can be chosen; the rest follow.

    `payload` is what arrives (a spike is 1); `w_f`, `w_x`, `p`, `a` are coefficients; `m` the slow
    state, `x` the drive, `u` the membrane, `leak` its factor; `y` the synaptic current, `alpha` its
    factor. `bias_width`, `drive_bias_width` and `synapse_bias_width` are those of c (in u's scale),
    b_x, and c_y (in y's scale).
    """

    payload: Fixed = SPIKE
    w_f: Fixed = Fixed(8, 7)
    w_x: Fixed = Fixed(8, 7)
    p: Fixed = Fixed(8, 7)
    a: Fixed = Fixed(16, 15)
    m: Fixed = Fixed(16, 13)
    x: Fixed = Fixed(16, 13)
    u: Fixed = Fixed(16, 10)
    leak: Fixed = Fixed(12, 12, signed=False)
    bias_width: int = 16
    drive_bias_width: int = 24
    y: Fixed = Fixed(16, 10)
    alpha: Fixed = Fixed(12, 12, signed=False)
    synapse_bias_width: int = 16

    @property
    def b(self) -> Fixed:
        """Of B: a product B x has the scale of a product A m."""
        return Fixed(self.a.width, self.a.frac + self.m.frac - self.x.frac)

    @property
    def v(self) -> Fixed:
        """Of V: a product V x has the scale of a product P m."""
        return Fixed(self.p.width, self.p.frac + self.m.frac - self.x.frac)

    @property
    def c(self) -> Fixed:
        return Fixed(self.bias_width, self.u.frac)

    @property
    def threshold(self) -> Fixed:
        """Never negative, so that what a reset by subtraction leaves is in u's format."""
        return Fixed(max(1, self.u.width - 1), self.u.frac, signed=False)

    @property
    def b_x(self) -> Fixed:
        return Fixed(self.drive_bias_width, self.w_x.frac + self.payload.frac)

    @property
    def c_y(self) -> Fixed:
        return Fixed(self.synapse_bias_width, self.y.frac)


@dataclass(frozen=True)
class LayerParams:
    """One layer: sizes, formats, and what follows from them.

    Parameters
    ----------
    n_inputs, n_neurons
        Sizes.
    n_state
        Values of the slow state; 0 is a layer without one.
    dilation
        Timesteps from a refresh of the current from the slow state to the next one.
    reset
        What a spike does to the membrane: `subtract` an amount, set it `to_value`, or `none`.
    formats
        Number formats.
    recurrent
        The layer's own spikes come back a timestep later, as events after its inputs.
    max_delay
        The most timesteps by which an input is delayed.
    own_reset
        The amount of the reset is a number of its own. Else `subtract` takes the threshold, and
        `to_value` 0.
    synapse
        The spikes' weights go into a synaptic current y, which decays and drives the membrane.
    per_neuron
        Which of leak, alpha, threshold and reset are a value a neuron. The others are one for the
        layer.
    decay_rounding
        How leak times u and alpha times y are rounded.
    state_first
        The current takes the slow state after its update: P is W_m, V is 0 (an ablation).
    """

    n_inputs: int
    n_neurons: int
    n_state: int
    dilation: int = 1
    reset: Reset = "subtract"
    formats: LayerFormats = LayerFormats()
    recurrent: bool = False
    max_delay: int = 0
    own_reset: bool = False
    synapse: bool = False
    per_neuron: tuple[NeuronValue, ...] = ()
    decay_rounding: Rounding = "half_up"
    state_first: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.n_inputs <= MAX_INPUTS or not 1 <= self.n_neurons <= MAX_INPUTS:
            raise UserError(
                f"a layer of {self.n_inputs} inputs and {self.n_neurons} neurons: use 1 to"
                f" {MAX_INPUTS}"
            )
        if not 0 <= self.n_state <= 1024:
            raise UserError(f"a slow state of {self.n_state} values: use 0 to 1024")
        if not 1 <= self.dilation <= 1 << 16:
            raise UserError(f"a dilation of {self.dilation}: use 1 to {1 << 16}")
        if self.recurrent and self.n_state:
            raise UserError(
                "a recurrent layer with a slow state: use one of the two (a drive of own spikes"
                " could not be computed ahead)"
            )
        if not 0 <= self.max_delay <= MAX_DELAY:
            raise UserError(f"a delay of {self.max_delay} timesteps: use 0 to {MAX_DELAY}")
        if self.max_delay and self.formats.payload.width > 1:
            raise UserError("a layer of graded inputs has no delays: only spikes have")
        formats = self.formats
        self._check_neuron()
        check_payload(formats.payload)
        for name in ("w_f", "w_x", "p", "a", "m", "x", "u", "y"):
            if not getattr(formats, name).signed:
                raise UserError(f"the format of {name} must be signed")
        shifts = ["drive", "state", "current", "spike", "leak"]
        for name in shifts + ["alpha", "synapse"] * self.synapse:
            shift = getattr(self, f"{name}_shift")
            if abs(shift) > MAX_SHIFT:
                raise UserError(
                    f"the formats ask for a {name} shift of {shift}: use at most {MAX_SHIFT}"
                )
        check_sums(self, "spike_sum", *["synapse_sum"] * self.synapse, "membrane_sum")
        if self.n_state:
            check_sums(self, "drive_sum", "state_sum", "current_sum", "current")

    def _check_neuron(self) -> None:
        """Check what kind of neuron the layer has."""
        check_choices(self, reset=get_args(Reset), decay_rounding=get_args(Rounding))
        if self.own_reset and self.reset == "none":
            raise UserError("an amount for a reset that does nothing: leave own_reset out")
        possible = {"leak", "threshold", *["alpha"] * self.synapse, *["reset"] * self.own_reset}
        known = [name for name in NEURON_VALUES if name in self.per_neuron]
        if list(self.per_neuron) != known or not possible.issuperset(known):
            usable = ", ".join(name for name in NEURON_VALUES if name in possible)
            raise UserError(
                f"values a neuron for {', '.join(self.per_neuron)}: this layer has {usable}, which"
                " are named in this order"
            )
        for name in ("leak", *["alpha"] * self.synapse):
            check_decay(getattr(self.formats, name), name)

    @property
    def summary(self) -> str:
        """In words: its neurons, and what it has beside them."""
        words = f"{self.n_neurons}{' recurrent' * self.recurrent} neurons"
        words += f" with a slow state of {self.n_state}" if self.n_state else ""
        return words + (f" after delays of up to {self.max_delay}" if self.max_delay else "")

    @property
    def n_addresses(self) -> int:
        """Of the events that the layer adds: its inputs, and its own neurons if it is recurrent."""
        return self.n_inputs + (self.n_neurons if self.recurrent else 0)

    @property
    def own_payload(self) -> int:
        """Payload of a recurrent layer's own spikes: the largest of its inputs' format, 1 for
        spikes.
        """
        return self.formats.payload.max

    @property
    def delay(self) -> Fixed:
        """Of an input's delay in timesteps."""
        return Fixed(max(1, self.max_delay.bit_length()), 0, signed=False)

    # Shifts: the fractional bits that a sum has more than what it becomes.
    @property
    def drive_shift(self) -> int:
        return self.formats.b_x.frac - self.formats.x.frac

    @property
    def state_shift(self) -> int:
        return self.formats.a.frac

    @property
    def current_shift(self) -> int:
        return self.formats.p.frac + self.formats.m.frac - self.formats.u.frac

    @property
    def spike_shift(self) -> int:
        target = self.formats.y if self.synapse else self.formats.u
        return self.formats.w_f.frac + self.formats.payload.frac - target.frac

    @property
    def leak_shift(self) -> int:
        return self.formats.leak.frac

    @property
    def alpha_shift(self) -> int:
        return self.formats.alpha.frac

    @property
    def synapse_shift(self) -> int:
        return self.formats.y.frac - self.formats.u.frac

    # Accumulators: wide enough that nothing overflows, whatever the weights.
    @property
    def drive_sum(self) -> Fixed:
        f = self.formats
        return accumulator((self.n_inputs, f.w_x, f.payload), plus=f.b_x.magnitude)

    @property
    def state_sum(self) -> Fixed:
        f = self.formats
        return accumulator((self.n_state, f.a, f.m), (1, f.b, f.x))

    @property
    def current_sum(self) -> Fixed:
        f = self.formats
        return accumulator((self.n_state, f.p, f.m), (not self.state_first, f.v, f.x))

    @property
    def spike_sum(self) -> Fixed:
        return accumulator((self.n_addresses, self.formats.w_f, self.formats.payload))

    @property
    def current(self) -> Fixed:
        """Of h, the current from the slow state, in u's scale."""
        return Fixed(
            width_of(rshift(self.current_sum.magnitude, self.current_shift)), self.formats.u.frac
        )

    @property
    def synapse_sum(self) -> Fixed:
        """Of the three terms of y' before it saturates, in y's scale."""
        f = self.formats
        bound = (
            rshift(f.alpha.magnitude * f.y.magnitude, self.alpha_shift)
            + rshift(self.spike_sum.magnitude, self.spike_shift)
            + f.c_y.magnitude
        )
        return Fixed(width_of(bound), f.y.frac)

    @property
    def membrane_sum(self) -> Fixed:
        """Of the four terms of u' before it saturates, in u's scale."""
        f = self.formats
        driving = (
            rshift(f.y.magnitude, self.synapse_shift)
            if self.synapse
            else rshift(self.spike_sum.magnitude, self.spike_shift)
        )
        bound = (
            rshift(f.leak.magnitude * f.u.magnitude, self.leak_shift)
            + driving
            + (self.current.magnitude if self.n_state else 0)
            + f.c.magnitude
        )
        return Fixed(width_of(bound), f.u.frac)

    @property
    def reset_amount(self) -> Fixed:
        """Of the reset's amount: what `subtract` takes away is never negative, so that what it
        leaves is in u's format.
        """
        return self.formats.threshold if self.reset == "subtract" else self.formats.u


def check_name(name: str) -> None:
    """Raise `UserError` where a network cannot be called that."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise UserError(
            f"a network called '{name}': use letters, digits and _, as files are named after it"
        )


@dataclass(frozen=True)
class NetworkParams:
    """A quantized network: a chain of layers and its output, a readout or (None) the spikes of the
    last layer.
    """

    name: str
    layers: tuple[LayerParams, ...]
    output: ReadoutParams | None

    def __post_init__(self) -> None:
        check_name(self.name)
        if not self.layers:
            raise UserError("a network needs at least one layer")
        for index, (layer, following) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            if following.n_inputs != layer.n_neurons:
                raise UserError(
                    f"layer {index + 1} has {following.n_inputs} inputs, but layer {index}"
                    f" {layer.n_neurons} neurons"
                )
            if following.formats.payload != SPIKE:
                raise UserError(f"layer {index + 1} receives spikes: its payload must be 1 bit")
        if self.output is not None and self.output.n_inputs != self.layers[-1].n_neurons:
            raise UserError(
                f"the readout has {self.output.n_inputs} inputs,"
                f" but the last layer {self.layers[-1].n_neurons} neurons"
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs of every layer, and of the readout or of who takes the last layer's spikes."""
        return (*(layer.n_inputs for layer in self.layers), self.layers[-1].n_neurons)

    @property
    def readout(self) -> ReadoutParams:
        """The readout; or raise `UserError`."""
        if self.output is None:
            raise UserError(
                f"network {self.name} has no readout, whose results this needs: use a network with"
                " one"
            )
        return self.output

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; `from_dict` turns it back."""
        content = asdict(self)
        return content | {"readout": content.pop("output")}

    @staticmethod
    def from_dict(content: dict[str, Any]) -> NetworkParams:
        """Read what `to_dict` wrote, or raise `UserError`."""
        layers = tuple(
            from_dict(
                LayerParams,
                layer,
                formats=lambda f: from_dict(LayerFormats, f, default=_fixed),
                per_neuron=tuple,
            )
            for layer in content.get("layers", ())
        )
        readout = content.get("readout", {})
        if readout is not None:
            readout = from_dict(ReadoutParams, readout, default=_fixed)
        return NetworkParams(str(content.get("name")), layers, readout)


def _fixed(content: Any) -> Any:
    return from_dict(Fixed, content) if isinstance(content, dict) else content


def from_dict(
    kind: Any, content: dict[str, Any], default: Callable[[Any], Any] = lambda v: v, **convert: Any
) -> Any:
    """Return a dataclass from what JSON held, its fields converted by `convert`, or raise
    `UserError`.
    """
    expected, found = {f.name for f in fields(kind)}, set(content)
    if expected != found:
        needed, present = (", ".join(sorted(names)) for names in (expected, found))
        raise UserError(f"{kind.__name__} needs exactly {needed}; it has {present}")
    values = {name: convert.get(name, default)(value) for name, value in content.items()}
    types = types_of(kind)
    for name, value in values.items():
        if types[name] in (int, bool, Fixed) and type(value) is not types[name]:
            raise UserError(
                f"{kind.__name__}.{name} is {value!r}: it must be of type {types[name].__name__}"
            )
    return kind(**values)
