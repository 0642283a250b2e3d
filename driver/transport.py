"""The way from a host to a standard top: what every back end does, and how it fails."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from golden.errors import UserError

RESPONSES = {1: "EXOKAY", 2: "SLVERR", 3: "DECERR"}  # of AXI; 0 is OKAY


class BusError(UserError):
    """The core's bus answered with an error."""


class Silence(UserError):
    """The device did not answer in time."""


class Transport(Protocol):
    """Registers and streams of one standard top, a call after another.

    Every call returns when the core, or a FIFO on the way, has taken or answered what it is about.
    A call that waits in vain raises `Silence`, one whose answer is an error `BusError`.
    """

    @property
    def cycles(self) -> int | None:
        """Cycles of the core's clock so far, or None where nobody counts them."""
        ...

    def read(self, address: int) -> int:
        """Return the register at this address in bytes."""
        ...

    def write(self, address: int, word: int) -> None:
        """Write a register."""
        ...

    def write_burst(self, address: int, words: np.ndarray) -> None:
        """Write words (n,) uint32 one after another to one register."""
        ...

    def send_events(self, words: np.ndarray) -> None:
        """Send words (n,) uint32 of `golden.registers.event_word`, the last of which ends a
        timestep, or asks for a report. It may be sent in parts, but a part with TLAST must end with
        one of these.
        """
        ...

    def receive(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Wait for and return results: words (count,) uint32, and whether each had TLAST."""
        ...

    def recover(self) -> None:
        """Forget what was begun between host and core; the core itself stays as it is."""
        ...

    def close(self) -> None:
        """Leave the device."""
        ...


def check_response(response: int, what: str) -> None:
    """Raise `BusError` where `what` was not answered with OKAY."""
    if response:
        name = RESPONSES.get(response, f"response {response}")
        raise BusError(f"{what} was answered with {name}: there is no such register in this core")
