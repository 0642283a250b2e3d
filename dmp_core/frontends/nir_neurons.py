"""Neurons of NIR, which are equations in continuous time, as what the core computes at a timestep.

With a timestep of dt, tau dv/dt = v_leak - v + r I becomes

    v' = leak v + (1 - leak) (v_leak + r I),    leak = 1 - dt / tau    by forward Euler
                                                leak = exp(-dt / tau)  by the exponential

A synaptic current likewise; the membrane takes what it is at the same timestep. Without tau,
dv/dt = r I becomes v' = v + dt r I. The factors of I go into the weights and the bias before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from dmp_core.frontends.imported import Note
from dmp_core.frontends.nir_file import Node
from dmp_core.frontends.nir_maps import each
from golden.errors import UserError
from golden.param_checks import check_choices, check_number, check_whole
from golden.params import Reset
from golden.readout_params import ReadoutReport

Discretization = Literal["euler", "exponential"]
GivenReset = Literal["subtract", "subtract_late", "to_value", "zero", "none"]
Fires = Literal["above", "at"]
RESETS: dict[GivenReset, Reset] = {
    "subtract": "subtract",
    "subtract_late": "subtract",
    "to_value": "to_value",
    "zero": "to_value",
    "none": "none",
}
HOW: dict[GivenReset, str] = {
    "subtract": "a spike subtracts the threshold",
    "subtract_late": "a spike subtracts the threshold a timestep later, when the membrane has"
    " decayed: threshold / leak right after it",
    "to_value": "a spike sets it to v_reset",
    "zero": "a spike sets it to 0",
    "none": "a spike leaves it as it is",
}
FOLDED = "into the weights and biases before it"
RESETTING = ("LIF", "IF", "CubaLIF")
TAUS = {
    "LIF": ("tau",), "LI": ("tau",), "CubaLIF": ("tau_syn", "tau_mem"),
    "CubaLI": ("tau_syn", "tau_mem"),
}  # fmt: skip


def _choices(values: Sequence[str]) -> str:
    quoted = [f'"{value}"' for value in values]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"


# What a file leaves open, in words.
WORDS = {
    "dt": "how long a timestep is: use dt=..., in the unit of tau and delay, often 1e-4 (--dt)",
    "discretization": f"how tau becomes a decay: use discretization="
    f"{_choices(get_args(Discretization))} (--discretization)",
    "reset": f"how {{it}} resets: use reset={_choices(get_args(GivenReset))} (--reset)",
}


@dataclass(frozen=True)
class Options:
    """What the user says of a graph, as `dmp_core.frontends.nir.from_nir` describes it."""

    dt: float | None
    discretization: Discretization | None
    reset: GivenReset | None
    fires: Fires
    report: ReadoutReport
    max_weights: int

    def __post_init__(self) -> None:
        right = "a number above 0, in the unit of tau"
        if self.dt is not None and check_number("dt", self.dt, right) <= 0:
            raise UserError(f"dt {self.dt}: use {right}")
        check_whole("max_weights", self.max_weights, 1)
        check_choices(self, fires=get_args(Fires), report=get_args(ReadoutReport))
        if self.discretization is not None:
            check_choices(self, discretization=get_args(Discretization))
        if self.reset is not None:
            check_choices(self, reset=get_args(GivenReset))

    def check(self, nodes: Sequence[Node]) -> None:
        """Raise `UserError` where what nodes need is open: all of it in one line, of the first node
        that needs something; what only a later one needs is said of that one.
        """
        asked: dict[str, Node] = {}
        for name in WORDS:
            for node in nodes:
                if getattr(self, name) is None and name in _needs(node):
                    asked.setdefault(name, node)
        if asked:
            first = min(asked.values(), key=nodes.index)
            words = [
                WORDS[name].format(it="it" if node is first else node.name)
                for name, node in asked.items()
            ]
            raise first.error(f"the file does not say {'; nor '.join(words)}")


def _needs(node: Node) -> set[str]:
    """Return which of `WORDS` a node needs."""
    taus = (node.numbers(tau, 1.0, infinite=True) for tau in TAUS.get(node.kind, ()))
    finite = any(bool(np.isfinite(tau).any()) for tau in taus)
    found = {"dt", "discretization"} if finite else set[str]()
    found |= {"dt"} if node.kind in ("IF", "I", "Delay") else set()
    return found | ({"reset"} if node.kind in RESETTING else set())


@dataclass(frozen=True)
class Neuron:
    """A neuron of the core (N,): what arrives is taken times `gain`, into the synaptic current
    where `alpha` is given, and `c` is the membrane's own bias.

    Parameters
    ----------
    threshold
        None: it does not fire.
    amount
        Of the reset; None: the threshold, or 0.
    """

    node: Node
    leak: np.ndarray
    gain: np.ndarray
    c: np.ndarray
    notes: tuple[Note, ...]
    alpha: np.ndarray | None = None
    threshold: np.ndarray | None = None
    reset: Reset = "none"
    amount: np.ndarray | None = None


def neuron(node: Node, shape: tuple[int, ...], options: Options) -> Neuron:
    """Return a node's neurons, for values of this shape."""
    values = _Values(node, shape, options)
    leak, alpha, c, threshold = values.zeros, None, values.zeros, None
    gain = np.ones_like(leak)
    if node.kind in ("LIF", "LI"):
        leak, gain = values.decay("tau", "r")
        c = (1 - leak) * values.of("v_leak")
    elif node.kind in ("CubaLIF", "CubaLI"):
        alpha, current = values.decay("tau_syn", "w_in")
        leak, gain = values.decay("tau_mem", "r")
        c, gain = (1 - leak) * values.of("v_leak"), gain * current
        values.note("", "mapped", "the membrane takes the synaptic current of the same timestep"
                    " (NIR leaves open which one)")  # fmt: skip
    elif node.kind in ("IF", "I"):
        assert options.dt is not None
        leak, gain = np.ones_like(leak), values.of("r") * options.dt
        values.note("r", "folded", f"r dt = {_range(gain)}, {FOLDED}")
    if c.any():
        values.note("v_leak", "folded", f"(1 - leak) v_leak = {_range(c)} into the bias")
    if node.kind in (*RESETTING, "Threshold"):
        threshold = values.threshold()
    reset: Reset = "none"
    amount = None
    if node.kind in RESETTING:
        assert options.reset is not None and threshold is not None
        reset, amount = RESETS[options.reset], values.amount(options.reset, threshold, leak)
    return Neuron(
        node, leak, gain, c, tuple(values.notes), alpha, threshold, reset, amount
    )  # fmt: skip


class _Values:
    """The values of a node, one for each neuron."""

    def __init__(self, node: Node, shape: tuple[int, ...], options: Options) -> None:
        self.node, self.shape, self.options = node, shape, options
        self.zeros = np.zeros(math.prod(shape))
        self.notes: list[Note] = []

    def note(self, value: str, fate: Literal["mapped", "folded", "left out"], what: str) -> None:
        self.notes.append(Note(".".join(filter(None, (self.node.name, value))), fate, what))

    def of(self, name: str, default: float | None = None, infinite: bool = False) -> np.ndarray:
        return each(self.node, self.node.numbers(name, default, infinite), self.shape, name)

    def decay(self, tau_name: str, factor_name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return what is kept at a timestep, and what is taken of what arrives."""
        tau = self.of(tau_name, infinite=True)
        factor = self.of(factor_name, 1.0 if factor_name == "w_in" else None, infinite=True)
        finite, words = np.isfinite(tau), f"{factor_name} (1 - leak)"
        if (tau <= 0).any():
            raise self.node.error(f"{tau_name} is {tau.min():g}: use more than 0")
        for at in np.flatnonzero(finite != np.isfinite(factor)):
            raise self.node.error(
                f"{tau_name} is {tau[at]:g} and {factor_name} {factor[at]:g}: use finite numbers"
                f" for both, or inf for both, which is a leak of 1 and {factor_name} dt /"
                f" {tau_name} of 1"
            )
        any_finite = bool(finite.any())
        kept, gain = np.ones_like(tau), np.ones_like(tau)
        if any_finite:
            kept[finite] = self._kept(tau_name, tau[finite])
            gain[finite] = factor[finite] * (1 - kept[finite])
        if not finite.all():
            self.note(tau_name, "mapped", f"inf, and so is {factor_name}: it keeps all of itself,"
                      f" and {factor_name} dt / {tau_name} is 1")  # fmt: skip
        self.note(factor_name, "folded", f"{words} = {_range(gain)}, {FOLDED}")
        return kept, gain

    def _kept(self, name: str, tau: np.ndarray) -> np.ndarray:
        dt = self.options.dt
        assert dt is not None
        if self.options.discretization == "exponential":
            return np.exp(-dt / tau)
        if dt > tau.min():
            raise self.node.error(
                f"dt / {name} is {dt / tau.min():g}, and so 1 - dt / {name} negative: use a dt of"
                f' at most {tau.min():g}, or discretization="exponential"'
            )
        return 1 - dt / tau

    def threshold(self) -> np.ndarray:
        threshold = self.of("threshold" if self.node.kind == "Threshold" else "v_threshold")
        least = "0 or more" if self.options.fires == "above" else "more than 0"
        wrong = threshold < 0 if self.options.fires == "above" else threshold <= 0
        if wrong.any():
            raise self.node.error(
                f"a threshold of {threshold[wrong][0]:g}, which a membrane at rest is"
                f" {self.options.fires}: use {least}"
            )
        return threshold

    def amount(
        self, reset: GivenReset, threshold: np.ndarray, leak: np.ndarray
    ) -> np.ndarray | None:
        """Return the amount of the reset; None: the threshold, or 0."""
        value = self.of("v_reset", 0.0)
        if reset != "to_value" and value.any():
            raise self.node.error(
                f'v_reset is {value[value != 0][0]:g}, which reset="{reset}" does not use: use'
                ' reset="to_value"'
            )
        if self.node.value("v_reset") is not None and reset not in ("to_value", "zero"):
            self.note("v_reset", "left out", "0, which tools write whatever their reset does")
        if reset == "subtract_late":
            if not leak.all():
                raise self.node.error(
                    "its leak is 0, and so a subtraction a timestep later cannot be made right"
                    " after the spike: use another reset, or a smaller dt"
                )
            return threshold / leak
        return value if value.any() else None


def _range(values: np.ndarray) -> str:
    low, high = f"{values.min():.6g}", f"{values.max():.6g}"
    return low if low == high else f"{low} to {high}"
