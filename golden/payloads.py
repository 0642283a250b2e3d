"""Payloads: what a user's sequences must be before anything counts with them."""

from __future__ import annotations

import numpy as np

from golden.errors import UserError
from golden.formats import Fixed

LARGEST = 1 << 53  # up to which every integer is a float64


def check_integers(payloads: np.ndarray) -> np.ndarray:
    """Return payloads (B, K, M) as an array of an integer type, or raise `UserError`.

    Floats that are whole numbers are taken. All others are refused, and named with their place.
    """
    if not isinstance(payloads, np.ndarray):
        _refuse_lengths(payloads)
        kind = type(payloads).__name__
        raise UserError(f"payloads in a {kind}: use an array of NumPy (np.asarray)")
    if payloads.ndim != 3:
        raise UserError(f"payloads of shape {payloads.shape}: use (sequences, timesteps, inputs)")
    if payloads.dtype.kind == "b":
        return payloads.astype(np.uint8)
    if payloads.dtype.kind in "iu":
        return payloads
    if payloads.dtype.kind != "f":
        raise UserError(f"payloads of type {payloads.dtype}: use integers")
    whole = (np.floor(payloads) == payloads) & (np.abs(payloads) < LARGEST)
    if not whole.all():
        raise UserError(f"{_first(payloads, ~whole)}: use integers")
    return payloads.astype(np.int64)


def check_payloads(payloads: np.ndarray, fmt: Fixed, n_inputs: int | None = None) -> np.ndarray:
    """Return payloads (B, K, M) as an array of an integer type, each of which `fmt` holds, for
    this number of inputs (None: any); or raise `UserError`.
    """
    payloads = check_integers(payloads)
    if n_inputs is not None and payloads.shape[2] != n_inputs:
        raise UserError(
            f"payloads of shape {payloads.shape}: use (sequences, timesteps, {n_inputs})"
        )
    if payloads.size and (payloads.min() < fmt.min or payloads.max() > fmt.max):
        outside = (payloads < fmt.min) | (payloads > fmt.max)
        raise UserError(f"{_first(payloads, outside)}: use {fmt.min} to {fmt.max}")
    return payloads


def _refuse_lengths(sequences: object) -> None:
    """Raise `UserError` where a list's sequences are not all of one length."""
    items = sequences if isinstance(sequences, list | tuple) else ()
    lengths = {len(item) for item in items if hasattr(item, "__len__")}
    if len(lengths) > 1:
        raise UserError(
            f"sequences of {min(lengths)} to {max(lengths)} timesteps: fill the shorter ones up"
            " with timesteps of 0, and make one array of all"
        )


def _first(payloads: np.ndarray, wrong: np.ndarray) -> str:
    sequence, timestep, address = np.argwhere(wrong)[0]
    value = payloads[sequence, timestep, address]
    return f"payload {value} at sequence {sequence}, timestep {timestep}, input {address}"
