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
from typing import Any, Literal, get_type_hints

from golden.errors import UserError
from golden.formats import Fixed, accumulator, rshift, width_of

Reset = Literal["subtract", "zero"]

MAX_SHIFT = 48
MAX_INPUTS = 1 << 16
MAX_DELAY = 255
SPIKE = Fixed(1, 0, signed=False)  # payload formats: a spike, and the byte of a pixel
GRADED = Fixed(8, 8, signed=False)


@dataclass(frozen=True)
class LayerFormats:
    """The formats of a layer that can be chosen; the rest follow.

    `payload` is what arrives (a spike is 1); `w_f`, `w_x`, `p`, `a` are coefficients; `m` the slow
    state, `x` the drive, `u` the membrane, `leak` its factor. `bias_width` and `drive_bias_width`
    are those of c (in u's scale) and b_x.
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


def _check_sums(params: Any, *names: str) -> None:
    """Derive the formats of these sums, or raise `UserError` where one cannot be built."""
    for name in names:
        try:
            getattr(params, name)
        except UserError as error:
            raise UserError(f"the layer is too large for its formats: {name} is {error}") from None


@dataclass(frozen=True)
class LayerParams:
    """One layer: sizes, formats, and what follows from them.

    `n_state` = 0 is a layer without a slow state. `dilation`: the current from the slow state is
    refreshed every `dilation` timesteps. `recurrent`: the layer's own spikes come back a timestep
    later, as events whose addresses follow those of its inputs. `max_delay`: what arrives at an
    input waits for that input's delay, at most `max_delay` timesteps.
    """

    n_inputs: int
    n_neurons: int
    n_state: int
    dilation: int = 1
    reset: Reset = "subtract"
    formats: LayerFormats = LayerFormats()
    recurrent: bool = False
    max_delay: int = 0

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
        if self.reset not in ("subtract", "zero"):
            raise UserError(f"unknown reset '{self.reset}': use subtract or zero")
        formats = self.formats
        if formats.payload.signed or formats.leak.signed:
            raise UserError("the formats of payload and leak must be unsigned")
        for name in ("w_f", "w_x", "p", "a", "m", "x", "u"):
            if not getattr(formats, name).signed:
                raise UserError(f"the format of {name} must be signed")
        if formats.leak.frac < 0:
            raise UserError(f"a leak of {formats.leak.frac} fractional bits: use 0 or more")
        for name in ("drive", "state", "current", "spike", "leak"):
            shift = getattr(self, f"{name}_shift")
            if abs(shift) > MAX_SHIFT:
                raise UserError(
                    f"the formats ask for a {name} shift of {shift}: use at most {MAX_SHIFT}"
                )
        _check_sums(self, "spike_sum", "membrane_sum")
        if self.n_state:
            _check_sums(self, "drive_sum", "state_sum", "current_sum", "current")

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
        return self.formats.w_f.frac + self.formats.payload.frac - self.formats.u.frac

    @property
    def leak_shift(self) -> int:
        return self.formats.leak.frac

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
        return accumulator((self.n_state, f.p, f.m), (1, f.v, f.x))

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
    def membrane_sum(self) -> Fixed:
        """Of the four terms of u' before it saturates, in u's scale."""
        f = self.formats
        bound = (
            rshift(f.leak.magnitude * f.u.magnitude, self.leak_shift)
            + rshift(self.spike_sum.magnitude, self.spike_shift)
            + (self.current.magnitude if self.n_state else 0)
            + f.c.magnitude
        )
        return Fixed(width_of(bound), f.u.frac)


@dataclass(frozen=True)
class ReadoutParams:
    """The readout: logits += W_o s + b_o at every timestep; the class is the largest logit, the
    first on ties.
    """

    n_inputs: int
    n_classes: int
    w_o: Fixed = Fixed(8, 7)
    bias_width: int = 24
    logit_width: int = 32

    def __post_init__(self) -> None:
        if not 1 <= self.n_classes <= 1 << 16:
            raise UserError(f"a readout of {self.n_classes} classes: use 1 to {1 << 16}")
        if not self.w_o.signed:
            raise UserError("the format of w_o must be signed")
        _check_sums(self, "b_o", "logit", "spike_sum", "logit_sum")

    @property
    def payload(self) -> Fixed:
        return SPIKE

    @property
    def b_o(self) -> Fixed:
        return Fixed(self.bias_width, self.w_o.frac)

    @property
    def logit(self) -> Fixed:
        return Fixed(self.logit_width, self.w_o.frac)

    @property
    def spike_sum(self) -> Fixed:
        return accumulator((self.n_inputs, self.w_o, self.payload))

    @property
    def logit_sum(self) -> Fixed:
        """Of a logit and what a timestep adds to it, before it saturates."""
        step = self.spike_sum.magnitude + self.b_o.magnitude
        return Fixed(width_of(self.logit.magnitude + step), self.w_o.frac)


def check_name(name: str) -> None:
    """Raise `UserError` where a network cannot be called that."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise UserError(
            f"a network called '{name}': use letters, digits and _, as files are named after it"
        )


@dataclass(frozen=True)
class NetworkParams:
    """A quantized network: a chain of layers and a readout."""

    name: str
    layers: tuple[LayerParams, ...]
    readout: ReadoutParams

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
        if self.readout.n_inputs != self.layers[-1].n_neurons:
            raise UserError(
                f"the readout has {self.readout.n_inputs} inputs,"
                f" but the last layer {self.layers[-1].n_neurons} neurons"
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs of every layer and of the readout."""
        return (*(layer.n_inputs for layer in self.layers), self.readout.n_inputs)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; `from_dict` turns it back."""
        return asdict(self)

    @staticmethod
    def from_dict(content: dict[str, Any]) -> NetworkParams:
        """Read what `to_dict` wrote, or raise `UserError`."""
        layers = tuple(
            from_dict(
                LayerParams, layer, formats=lambda f: from_dict(LayerFormats, f, default=_fixed)
            )
            for layer in content.get("layers", ())
        )
        readout = from_dict(ReadoutParams, content.get("readout", {}), w_o=_fixed)
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
    types = get_type_hints(kind)
    for name, value in values.items():
        if types[name] in (int, bool, Fixed) and type(value) is not types[name]:
            raise UserError(
                f"{kind.__name__}.{name} is {value!r}: it must be of type {types[name].__name__}"
            )
    return kind(**values)
