"""The neurons of snnTorch, as layers of the core.

What they compute is read from their code (1.0), not from their documentation:

- They fire above their threshold. The reset by subtraction comes a timestep later, after the decay:
  a reset by threshold / beta at once. That of `reset_delay=False` comes at once.
- A late reset to zero of a `Leaky` is one at once, too. That of the other three also loses what
  arrives in the timestep after the spike, which no neuron of the core does.
- With `reset_delay=False`, a membrane that a subtraction leaves above its threshold is compared
  after one subtraction more in the next timestep.
- `RSynaptic` with `reset_delay=False` fails, or resets late.
- Betas and alphas are clamped to 0 to 1 whenever they are used.
- The bias of a recurrent layer is added in every timestep, in the first one, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import snntorch
import torch
from torch import nn

from dmp_core.frontends.imported import Note
from dmp_core.frontends.layers import Lif
from dmp_core.frontends.torch_affine import as_float64, unroll
from dmp_core.frontends.torch_trace import Call
from golden.errors import UserError
from golden.params import Reset
from golden.reals import Value

KINDS = (snntorch.Leaky, snntorch.RLeaky, snntorch.Synaptic, snntorch.RSynaptic)
RECURRENT = (snntorch.RLeaky, snntorch.RSynaptic)
SYNAPTIC = (snntorch.Synaptic, snntorch.RSynaptic)
MECHANISMS = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}


def kind_of(module: nn.Module) -> type | None:
    """Return which of `KINDS` computes as the module does, or None."""
    return next((kind for kind in KINDS if type(module).forward is kind.forward), None)


@dataclass(frozen=True)
class Neurons:
    """Neurons of snnTorch: their values, each one for the layer or (N,), and their reset, of which
    `late` says that it comes a timestep after the spike.

    `factor` is what their spikes are worth; `v` (N, N) and `v_bias` (N,) are the recurrent weights
    and their bias, of spikes as they leave. `notes` say what became of their values.
    """

    name: str
    kind: type
    beta: Value
    threshold: Value
    factor: Value
    alpha: Value | None
    mechanism: str
    late: bool
    v: np.ndarray | None
    v_bias: np.ndarray
    notes: tuple[Note, ...]

    def layer(self, weights: np.ndarray, bias: np.ndarray) -> Lif:
        """Return the layer of the core, with these weights and this bias before it."""
        reset, amount = self._reset()
        own = None if self.v is None else self.v * self.factor
        if reset == "subtract" and (forgets := self._forgets()).any():
            # What a membrane of beta 0 would forget comes back as a spike of its own.
            late = np.diag(np.where(forgets, -np.asarray(self.threshold), 0.0))
            own = late if own is None else own + late
        bias = bias + self.v_bias
        place: dict[str, Any] = {"bias" if self.alpha is None else "current_bias": bias}
        return Lif(
            weights,
            leak=self.beta,
            threshold=self.threshold,
            reset=reset,
            reset_amount=amount,
            alpha=self.alpha,
            recurrent=own,
            strict=True,
            name=self.name,
            **place,
        )

    def _reset(self) -> tuple[Reset, Value | None]:
        """Return the core's reset, or raise `UserError` where it has none."""
        if self.mechanism == "none":
            return "none", None
        if self.kind is snntorch.RSynaptic and not self.late:
            raise UserError(
                f"{self.name}: an RSynaptic with reset_delay=False, whose reset snnTorch 1.0 does"
                " not carry out: use reset_delay=True"
            )
        if self.mechanism == "subtract":
            return "subtract", self._over_beta() if self.late else None
        if self.late and self.kind is not snntorch.Leaky:
            right = "'subtract'" if self.kind is snntorch.RSynaptic else "reset_delay=False"
            raise UserError(
                f"{self.name}: the late reset to zero of a {self.kind.__name__} also loses what"
                f" arrives in the next timestep, which no neuron of the core does: use {right}"
            )
        return "to_value", None

    def _forgets(self) -> np.ndarray:
        """Return which neurons (N,) keep nothing of their membrane until the late subtraction."""
        return self.late & (np.broadcast_to(self.beta, self.v_bias.shape) == 0)

    def _over_beta(self) -> Value:
        """Return what a late subtraction is at once; where beta is 0, it does not matter."""
        if self.alpha is not None and self._forgets().any():
            raise UserError(
                f"{self.name}.beta of neuron {self._forgets().argmax()} is 0, where a late"
                " subtraction is one of threshold / beta: use more than 0, or reset_delay=False"
            )
        return self.threshold / np.where(np.asarray(self.beta) == 0, 1.0, self.beta)[()]

    @property
    def words(self) -> str:
        """What they are, for a report."""
        values = {"beta": self.beta, "alpha": self.alpha, "threshold": self.threshold}
        shown = [f"{name} {_shown(of)}" for name, of in values.items() if of is not None]
        reset = {"none": "no reset", "zero": "reset to 0"}.get(self.mechanism, "reset at once")
        if self.mechanism == "subtract" and self.late:
            reset = f"late reset, so at once by threshold / beta = {_shown(self._over_beta())}"
            if count := int(self._forgets().sum()):
                reset += (
                    f"; for {count} of beta 0 by a spike of their own, so the layer is recurrent"
                )
        return f"{self.kind.__name__}: {', '.join([*shown, reset])}"


def _shown(value: Value) -> str:
    if np.ndim(value) == 0:
        return f"{value:.6g}"
    return f"{np.min(value):.6g} to {np.max(value):.6g}"


def read(call: Call, max_weights: int) -> Neurons:
    """Return the neurons of a call, or raise `UserError` where they have an option that the core
    has not.
    """
    module: Any = call.module
    kind = kind_of(module)
    assert kind is not None
    mechanism = _check_options(call.name, module)
    notes: list[Note] = []

    def value(name: str, clamp: bool = False) -> Value:
        tensor = as_float64(f"{call.name}.{name}", getattr(module, name))
        if clamp and (beyond := int(((tensor < 0) | (tensor > 1)).sum())):
            what = f"{beyond} of {tensor.numel()} clamped to 0 to 1, as snnTorch does"
            notes.append(Note(f"{call.name}.{name}", "mapped", what))
            tensor = tensor.clamp(0, 1)
        return _spread(f"{call.name}.{name}", tensor, call.shape)

    factor = value("graded_spikes_factor")
    if np.any(factor != 1):
        what = f"{_shown(factor)}, into the weights that its spikes meet"
        notes.append(Note(f"{call.name}.graded_spikes_factor", "folded", what))
    v, v_bias = None, np.zeros(int(np.prod(call.shape)))
    if kind in RECURRENT:
        v, v_bias = _recurrent(call, max_weights)
        if v_bias.any():
            notes.append(Note(f"{call.name}.recurrent.bias", "folded", "into the neurons' bias"))
    return Neurons(
        call.name,
        kind,
        beta=value("beta", clamp=True),
        threshold=value("threshold"),
        factor=factor,
        alpha=value("alpha", clamp=True) if kind in SYNAPTIC else None,
        mechanism=mechanism,
        late=bool(module.reset_delay),
        v=v,
        v_bias=v_bias,
        notes=tuple(notes),
    )


def _check_options(name: str, module: Any) -> str:
    """Return the reset's mechanism, or raise `UserError`."""
    if module.inhibition:
        raise UserError(f"{name}: inhibition=True has no place on the core: use inhibition=False")
    if module.state_quant:
        raise UserError(
            f"{name}: state_quant rounds membranes in its own way: leave it out (the core's formats"
            " are chosen after the import)"
        )
    mechanism = MECHANISMS.get(module.state_function.__name__)
    numbered = list(module.reset_dict)[int(module.reset_mechanism_val)]
    if mechanism is None or not mechanism == module.reset_mechanism == numbered:
        raise UserError(
            f"{name}: reset_mechanism was changed after the neuron was made, and snnTorch goes on"
            f" with '{mechanism}': make it with the right one"
        )
    points = torch.tensor([-1.0, -1e-3, 0.0, 1e-3, 1.0], dtype=torch.float64).repeat(40)
    with torch.no_grad():
        fired = module.spike_grad(points)
    if not torch.equal(fired.double(), (points > 0).double()):
        raise UserError(
            f"{name}: its spike_grad is no step from 0 to 1 above the threshold: use one like"
            " surrogate.atan()"
        )
    return mechanism


def _spread(name: str, tensor: torch.Tensor, shape: tuple[int, ...]) -> Value:
    """Return one value for the layer, or (N,) where they differ."""
    try:
        spread = np.broadcast_to(tensor.numpy(), shape).ravel()
    except ValueError:
        raise UserError(
            f"{name} has the shape {tuple(tensor.shape)}: use one value, or {shape}"
        ) from None
    return float(spread[0]) if (spread == spread[0]).all() else spread.copy()


def _recurrent(call: Call, max_weights: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (N, N) and the bias (N,) of what the neurons' own spikes give."""
    module: Any = call.module
    n_neurons = int(np.prod(call.shape))
    if not module.all_to_all:
        # What is used is the tensor in `recurrent`, which a cast of the module leaves as it is.
        name = f"{call.name}.V"
        v = np.broadcast_to(
            _spread(name, as_float64(name, module.recurrent.V), call.shape), n_neurons
        )
        return np.diag(v), np.zeros(n_neurons)
    if not isinstance(module.recurrent, nn.Linear | nn.Conv2d):
        kind = type(module.recurrent).__name__
        raise UserError(f"{call.name}.recurrent is a {kind}: use a Linear or a Conv2d")
    return unroll(f"{call.name}.recurrent", module.recurrent, call.shape, max_weights)
