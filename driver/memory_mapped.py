"""A core beside a processor, as on a PYNQ: its registers in memory, its streams through Xilinx'
AXI4-Stream FIFO (PG080), which needs neither a DMA nor its buffers.
"""

from __future__ import annotations

import mmap
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

import numpy as np

from driver.transport import Silence
from driver.words import END_TIMESTEP
from golden.errors import UserError
from golden.registers import ADDRESS_WIDTH, WORD_BYTES

TIMEOUT = 5.0
FIFO_SIZE = 0x1000  # bytes of its window that are mapped; its registers end before
MEMORY = "/dev/mem"

# The registers of axi_fifo_mm_s with AXI4-Lite data, by their names in PG080; offsets in bytes.
ISR, IER = 0x00, 0x04
TDFR, TDFV, TDFD, TLR = 0x08, 0x0C, 0x10, 0x14
RDFR, RDFO, RDFD, RLR = 0x18, 0x1C, 0x20, 0x24
RESET_KEY = 0xA5
RESETS_DONE = 1 << 24 | 1 << 23  # ISR: TRC and RRC
PARTIAL = 1 << 31  # RLR, in cut-through mode only


class Window(Protocol):
    """A range of registers: words of 32 bits at offsets in bytes."""

    def read(self, offset: int) -> int: ...

    def write(self, offset: int, word: int) -> None: ...

    def close(self) -> None: ...


class MappedWindow:
    """A window into a device file.

    Parameters
    ----------
    place
        An address in /dev/mem, or a file such as /dev/uio0, then perhaps `:` and an offset in it.
    size
        Bytes.
    """

    def __init__(self, place: str, size: int) -> None:
        path, _, offset = place.rpartition(":") if ":" in place else (place, "", "0")
        if not place.startswith("/"):
            path, offset = MEMORY, place
        try:
            base = int(offset, 0)
        except ValueError:
            raise UserError(
                f"'{place}' is no window: use an address (0x43C00000), or /dev/uio0, or PATH:OFFSET"
            ) from None
        if base % WORD_BYTES:
            raise UserError(f"window {place} is not aligned to {WORD_BYTES} bytes")
        inside = base % mmap.ALLOCATIONGRANULARITY
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_SYNC)
            try:
                self._map = mmap.mmap(descriptor, inside + size, offset=base - inside)
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            raise UserError(
                f"cannot map {size} bytes at {place} ({error}): run as root, and check the address"
            ) from None
        # An element of this type is read and written in one access of the bus.
        self._words = np.frombuffer(self._map, np.uint32, size // WORD_BYTES, inside)

    def read(self, offset: int) -> int:
        return int(self._words[offset // WORD_BYTES])

    def write(self, offset: int, word: int) -> None:
        self._words[offset // WORD_BYTES] = word

    def close(self) -> None:
        del self._words
        self._map.close()


class MemoryMapped:
    """The transport to a core in the processor's memory map.

    The FIFO is in store-and-forward mode, which is its default. It sets TLAST at the end of each
    packet, which ends a timestep, so that packets are cut between timesteps only; the FIFO must
    have room for all events of one.

    Parameters
    ----------
    registers, fifo
        The windows of the core's `s_axi` and of the FIFO.
    timeout
        Seconds in which the core must take events or send a result.
    """

    cycles = None

    def __init__(self, registers: Window, fifo: Window, timeout: float = TIMEOUT) -> None:
        self._registers, self._fifo, self._timeout = registers, fifo, timeout
        self._received: deque[tuple[int, bool]] = deque()
        self._capacity = 0
        self.recover()

    @classmethod
    def open(cls, registers: str, fifo: str, *, timeout: float = TIMEOUT) -> MemoryMapped:
        """Map both windows: see `MappedWindow`."""
        size = 1 << ADDRESS_WIDTH
        return cls(MappedWindow(registers, size), MappedWindow(fifo, FIFO_SIZE), timeout)

    def read(self, address: int) -> int:
        return self._registers.read(address)

    def write(self, address: int, word: int) -> None:
        self._registers.write(address, word)

    def write_burst(self, address: int, words: np.ndarray) -> None:
        for word in words.tolist():
            self._registers.write(address, word)

    def send_events(self, words: np.ndarray) -> None:
        ends = np.append(np.flatnonzero(words & END_TIMESTEP) + 1, len(words))
        start = 0
        while start < len(words):
            fitting = ends[(ends > start) & (ends <= start + self._capacity)]
            if not len(fitting):
                raise UserError(
                    f"a timestep has more words than the {self._capacity} of the transmit FIFO:"
                    " build it deeper"
                )
            packet = words[start : int(fitting[-1])].tolist()
            self._send(packet)
            start += len(packet)

    def _send(self, packet: list[int]) -> None:
        room = len(packet)
        self._wait(lambda: self._fifo.read(TDFV) >= room, "take events: do results wait?")
        for word in packet:
            self._fifo.write(TDFD, word)
        self._fifo.write(TLR, len(packet) * WORD_BYTES)

    def receive(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        while len(self._received) < count:
            self._wait(lambda: self._fifo.read(RDFO) != 0, "send a result: has a sequence ended?")
            length = self._fifo.read(RLR)
            if length & PARTIAL or length % WORD_BYTES or not length:
                raise UserError(
                    f"the FIFO's RLR is 0x{length:08X}: build it in store-and-forward mode with"
                    " streams of 32 bits"
                )
            packet = [self._fifo.read(RDFD) for _ in range(length // WORD_BYTES)]
            self._received += zip(packet, [False] * (len(packet) - 1) + [True], strict=True)
        found = [self._received.popleft() for _ in range(count)]
        return np.array([w for w, _ in found], np.uint32), np.array([last for _, last in found])

    def recover(self) -> None:
        """Reset both halves of the FIFO, and drop what was received."""
        self._received.clear()
        self._fifo.write(IER, 0)
        self._fifo.write(ISR, 0xFFFF_FFFF)  # what is written as 1 is cleared
        self._fifo.write(TDFR, RESET_KEY)
        self._fifo.write(RDFR, RESET_KEY)
        self._wait(
            lambda: self._fifo.read(ISR) & RESETS_DONE == RESETS_DONE,
            "finish the FIFO's reset: is it at this address?",
        )
        self._capacity = self._fifo.read(TDFV)

    def close(self) -> None:
        self._registers.close()
        self._fifo.close()

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + self._timeout
        while not done():
            if time.monotonic() > end:
                raise Silence(f"the device did not, in {self._timeout:g} s, {what}")
