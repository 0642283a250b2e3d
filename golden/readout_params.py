"""Parameters of the readout. No Torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from golden.errors import UserError
from golden.formats import SPIKE, Fixed, Rounding, accumulator, rshift, width_of
from golden.param_checks import check_choices, check_decay, check_sums

ReadoutReport = Literal["last", "max"]


@dataclass(frozen=True)
class ReadoutParams:
    """The readout: logits += W_o s + b_o at every timestep; the class is the largest logit, the
    first on ties.

    Parameters
    ----------
    n_inputs, n_classes
        Sizes.
    w_o
        Format of the weights.
    bias_width, logit_width
        Widths of b_o and of the logits, in the scale of w_o.
    leaky
        Logits decay: at every timestep they keep `leak`, a number of this format, of themselves.
    decay_rounding
        How leak times a logit is rounded.
    report
        What is sent of each class: its `last` logit, or its largest one of the sequence so far
        (`max`).
    """

    n_inputs: int
    n_classes: int
    w_o: Fixed = Fixed(8, 7)
    bias_width: int = 24
    logit_width: int = 32
    leaky: bool = False
    leak: Fixed = Fixed(12, 12, signed=False)
    decay_rounding: Rounding = "half_up"
    report: ReadoutReport = "last"

    def __post_init__(self) -> None:
        if not 1 <= self.n_classes <= 1 << 16:
            raise UserError(f"a readout of {self.n_classes} classes: use 1 to {1 << 16}")
        if not self.w_o.signed:
            raise UserError("the format of w_o must be signed")
        check_choices(self, report=get_args(ReadoutReport), decay_rounding=get_args(Rounding))
        check_decay(self.leak, "leak")
        check_sums(self, "b_o", "logit", "spike_sum", "logit_sum")

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
        """Of what is kept of a logit and what a timestep adds to it, before it saturates."""
        step = self.spike_sum.magnitude + self.b_o.magnitude
        kept = self.logit.magnitude
        if self.leaky:
            kept = rshift(self.leak.magnitude * kept, self.leak.frac)
        return Fixed(width_of(kept + step), self.w_o.frac)
