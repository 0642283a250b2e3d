"""Modules of Torch that compute weights and biases, as matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from dmp_core.frontends.imported import Note
from dmp_core.frontends.torch_trace import Call
from golden.errors import UserError

SHAPES_ONLY = (nn.Flatten, nn.Unflatten, nn.Identity)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
WEIGHTS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.AvgPool1d, nn.AvgPool2d)
AFFINE = (*SHAPES_ONLY, *DROPOUTS, *NORMS, *WEIGHTS)
CHUNK = 256  # inputs that are unrolled at once
TOLERANCE = 1e-4  # of sums of a trace, which are float32


def combine(
    calls: Sequence[Call], n_inputs: int, max_weights: int
) -> tuple[np.ndarray, np.ndarray, list[Note]]:
    """Return a chain of modules as one matrix (out, in) and one bias (out,) in float64, of the
    values in order, and what became of each module; or raise `UserError`.
    """
    weights: np.ndarray | None = None  # the identity
    bias = np.zeros(n_inputs)
    notes = []
    for call in calls:
        kind = type(call.module).__name__
        if isinstance(call.module, DROPOUTS):
            notes.append(Note(call.name, "left out", f"{kind}: does nothing after training"))
        elif isinstance(call.module, SHAPES_ONLY):
            notes.append(Note(call.name, "folded", f"{kind}: the values keep their order"))
        else:
            matrix, offset = _matrix(call, n_inputs, max_weights)
            weights = matrix if weights is None else matrix @ weights
            bias = matrix @ bias + offset
            notes.append(Note(call.name, "folded", _words(call, matrix)))
    if weights is None:
        check_size("neurons without weights", n_inputs, n_inputs, max_weights)
        weights = np.eye(n_inputs)
    return weights, bias, notes


def _words(call: Call, matrix: np.ndarray) -> str:
    kind = type(call.module).__name__
    if isinstance(call.module, nn.Linear):
        return f"{kind}: weights {matrix.shape[0]} x {matrix.shape[1]}"
    if isinstance(call.module, NORMS):
        return f"{kind}: into the weights and biases beside it"
    return f"{kind} of {call.shape}: unrolled to {matrix.shape[0]} x {matrix.shape[1]} weights"


def check_size(name: str, n_inputs: int, n_outputs: int, max_weights: int) -> None:
    """Raise `UserError` where a layer would have too many weights."""
    if n_inputs * n_outputs > max_weights:
        raise UserError(
            f"{name}: {n_outputs} x {n_inputs} weights, more than {max_weights}: set max_weights,"
            " or use a smaller layer (the core stores every weight)"
        )


def _matrix(call: Call, n_chain: int, max_weights: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (out, in) and the bias (out,) of a call's module."""
    if isinstance(call.module, nn.Linear) and call.given.ndim != 2:
        raise UserError(
            f"{call.name} receives {tuple(call.given.shape)}: use (batch, values) of one timestep;"
            " where the module loops over time itself, set inputs to a tensor of all timesteps"
        )
    if isinstance(call.module, NORMS) and call.module.running_mean is None:
        raise UserError(
            f"{call.name} normalizes with each batch's own mean: use track_running_stats=True"
        )
    check_size(call.name, n_chain, call.returned[0][0].numel(), max_weights)
    weights, bias = unroll(call.name, call.module, call.shape, max_weights)
    _check_recorded(call, weights, bias)
    return weights, bias


def unroll(
    name: str, module: nn.Module, shape: tuple[int, ...], max_weights: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (out, in) and the bias (out,) of a module that receives `(B, *shape)`:
    what it makes of each input alone without a bias, and of 0.
    """
    values = float64_values(name, module)
    offsets = ("bias", "running_mean")
    plain = {key: torch.zeros_like(v) if key in offsets else v for key, v in values.items()}

    def outputs(given: torch.Tensor, parameters: dict[str, torch.Tensor]) -> np.ndarray:
        with torch.no_grad():
            found = functional_call(module, parameters, (given.reshape(-1, *shape),))
        return found.reshape(len(given), -1).numpy()

    was = module.training
    module.eval()
    n_inputs = math.prod(shape)
    bias = outputs(torch.zeros(1, n_inputs, dtype=torch.float64), values)[0]
    check_size(name, n_inputs, len(bias), max_weights)
    columns = []
    for first in range(0, n_inputs, CHUNK):
        ones = torch.zeros(min(CHUNK, n_inputs - first), n_inputs, dtype=torch.float64)
        ones[:, first:].fill_diagonal_(1.0)
        columns.append(outputs(ones, plain))
    module.train(was)
    return np.ascontiguousarray(np.concatenate(columns).T), bias


def _check_recorded(call: Call, weights: np.ndarray, bias: np.ndarray) -> None:
    """Check that the matrix gives what the module returned."""
    given, returned = (
        tensor.double().reshape(len(tensor), -1).numpy()
        for tensor in (call.given, call.returned[0])
    )
    scale = 1 + np.abs(returned).max(initial=0)
    if not np.abs(given @ weights.T + bias - returned).max(initial=0) <= TOLERANCE * scale:
        raise UserError(
            f"{call.name} does not compute what a {type(call.module).__name__} computes: use one"
            " without hooks or methods of its own"
        )


def float64_values(name: str, module: nn.Module) -> dict[str, torch.Tensor]:
    """Return a module's parameters and buffers of floating point in float64 on the processor."""
    named = (*module.named_parameters(), *module.named_buffers())
    return {
        key: as_float64(f"{name}.{key}", value) for key, value in named if value.is_floating_point()
    }


def as_float64(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor in float64 on the processor, or raise `UserError` where a value is no finite
    number.
    """
    if tensor.is_complex():
        raise UserError(f"{name} is complex: use real numbers")
    found = tensor.detach().cpu().double()
    if not found.isfinite().all():
        strange = found[~found.isfinite()].flatten()[0]
        raise UserError(f"{name} has a value of {strange:g}: use finite numbers (train again)")
    return found
