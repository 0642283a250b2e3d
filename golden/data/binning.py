"""Events at times, as sequences of payloads at timesteps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from golden.data.event_list import EventList, check_range, no_payloads
from golden.errors import UserError

CLOSE = 1e-9  # of a timestep: a time that rounding put so close before a timestep is in it


@dataclass(frozen=True)
class Binning:
    """How events become payloads.

    Timestep k is from k to k + 1 times `step`, which is in the unit of the events' times. The
    addresses are those of `n_channels`, neighbours of which share an input. A payload is the sum of
    the payloads of its events, at most `largest`; if `binary`, it is 1 where that sum is `least` or
    more, else 0.
    """

    n_timesteps: int
    step: float
    n_inputs: int
    n_channels: int
    largest: int
    binary: bool = False
    least: int = 1

    def __post_init__(self) -> None:
        if self.n_inputs > self.n_channels:
            raise UserError(
                f"{self.n_inputs} inputs of {self.n_channels} channels: use as many or fewer"
            )


@dataclass(frozen=True)
class Binned:
    """Payloads (B, K, M) of an unsigned type; how many events were `left_out`, because their times
    are before the first timestep or after the last one; how many payloads were `clipped`.
    """

    payloads: np.ndarray
    left_out: int
    clipped: int


def bin_events(
    events: EventList, binning: Binning, progress: Callable[[int], object] = lambda n: None
) -> Binned:
    """Return what events become; `progress` is called with 1 after every sequence.

    Raises
    ------
    UserError
        There are no sequences; a sequence, a time, an address or a payload cannot be.
    """
    if not events.n_sequences:
        raise UserError("no sequences: use one or more")
    check_range("sequence", events.sequence, events.n_sequences)
    check_range("address", events.address, binning.n_channels)
    for name, wrong in (("time", ~np.isfinite(events.time)), ("payload", events.payload < 1)):
        if wrong.any():
            place = int(wrong.argmax())
            right = "a number" if name == "time" else "1 or more"
            raise UserError(f"event {place} has {name} {getattr(events, name)[place]}: use {right}")
    shape = (binning.n_timesteps, binning.n_inputs)
    payloads = no_payloads((events.n_sequences, *shape), binning.largest, len(events.time))
    step = np.floor(events.time / binning.step + CLOSE)
    inside = (step >= 0) & (step < binning.n_timesteps)
    address = events.address * binning.n_inputs // binning.n_channels
    clipped = 0
    for index, part in enumerate(events.parts()):
        kept = inside[part]
        places = (step[part][kept].astype(np.int64), address[part][kept])
        sums = np.zeros(shape, np.int64)
        np.add.at(sums, places, events.payload[part][kept])
        if binning.binary:
            payloads[index] = sums >= binning.least
        else:
            clipped += int((sums > binning.largest).sum())
            payloads[index] = np.minimum(sums, binning.largest)
        progress(1)
    return Binned(payloads, int((~inside).sum()), clipped)
