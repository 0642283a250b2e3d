"""Events of sequences, one after another, as files of events hold them; and as payloads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from golden.errors import UserError
from golden.inputs import Room
from golden.payloads import LARGEST

EVENT_BYTES = 8


@dataclass(frozen=True)
class EventList:
    """Events of B sequences: of each event its `sequence` (ascending), `time`, `address` and
    `payload`, all (n,) int64; `labels` (B,), or None where there are none.

    Times are timesteps, or float64 in some unit.
    """

    n_sequences: int
    sequence: np.ndarray
    time: np.ndarray
    address: np.ndarray
    payload: np.ndarray
    labels: np.ndarray | None = None

    def parts(self) -> list[slice]:
        """Return the events of each sequence."""
        ends = np.searchsorted(self.sequence, np.arange(self.n_sequences + 1))
        return [slice(first, end) for first, end in zip(ends[:-1], ends[1:], strict=True)]


def check_columns(columns: dict[str, np.ndarray], whole: tuple[str, ...]) -> None:
    """Raise `UserError` where arrays of events are not one value an event each, or those of `whole`
    no integers, or such that a float64 does not hold.
    """
    n_events = columns["sequence"].shape
    for name, values in columns.items():
        if values.shape != n_events or values.ndim != 1:
            raise UserError(f"{name} has the shape {values.shape}, and sequence {n_events}")
        if values.dtype.kind not in ("iu" if name in whole else "iuf"):
            right = "integers" if name in whole else "numbers"
            raise UserError(f"{name} is of type {values.dtype}: use {right}")
        if name in whole and values.size and int(values.max()) >= LARGEST:
            raise UserError(f"{name} has {values.max()}: use less than {LARGEST}")


def check_range(name: str, values: np.ndarray, size: int) -> None:
    """Raise `UserError` where a value of events (n,) is not one of 0 to `size` - 1."""
    wrong = (values < 0) | (values >= size)
    if wrong.any():
        event = int(wrong.argmax())
        right = f"use 0 to {size - 1}" if size else "there is none"
        raise UserError(f"event {event} has {name} {values[event]}: {right}")


def dense(events: EventList, n_timesteps: int, n_inputs: int) -> np.ndarray:
    """Return the payloads (B, K, M) of events at timesteps, or raise `UserError` where one is
    outside, or the second of its input in a timestep, or there are too many timesteps.
    """
    shape = (events.n_sequences, n_timesteps, n_inputs)
    places = (events.sequence, events.time, events.address)
    for name, values, size in zip(("sequence", "timestep", "address"), places, shape, strict=True):
        check_range(name, values, size)
    payloads = no_payloads(shape, _widest(events.payload), len(events.time))
    flat = np.ravel_multi_index(places, shape) if len(events.time) else events.time
    order = np.argsort(flat, kind="stable")
    again = np.flatnonzero(np.diff(flat[order]) == 0)
    if len(again):
        event = int(order[again + 1].min())
        raise UserError(
            f"event {event} is the second of input {events.address[event]} in timestep"
            f" {events.time[event]} of sequence {events.sequence[event]}: use one, with a payload"
        )
    payloads[places] = events.payload
    return payloads


def no_payloads(shape: tuple[int, int, int], largest: int, n_events: int) -> np.ndarray:
    """Return payloads of 0 of a type that holds the largest one, or raise `UserError` where they
    take more room than a file of so many events has.
    """
    kind = np.min_scalar_type(largest)
    try:
        Room(EVENT_BYTES * n_events).take(math.prod(shape) * kind.itemsize, "payloads")
        return np.zeros(shape, kind)
    except (MemoryError, UserError):
        sizes = f"{shape[0]} sequences of {shape[1]} timesteps and {shape[2]} inputs"
        raise UserError(
            f"{sizes} do not fit into memory: use fewer at once; times that are no timesteps are"
            " binned by `dmp events`"
        ) from None


def _widest(values: np.ndarray) -> int:
    """Return the value that a type must hold to hold all of them."""
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    return high if low >= 0 else min(low, -high - 1)
