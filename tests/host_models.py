"""Software models of what is between a host and a core, each written from its description: the
bridge of a board's UART (the table in `golden.uart_protocol`) and Xilinx' AXI4-Stream FIFO (PG080,
store-and-forward). They import no driver.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

OKAY, SLVERR = 0, 2


class CoreSide(Protocol):
    """A core, as what is before it sees it."""

    def write(self, address: int, data: int) -> int: ...

    def read(self, address: int) -> tuple[int, int]: ...

    def accept(self, word: int, last: bool) -> None: ...

    def result(self) -> tuple[int, bool] | None: ...


class ListedCore:
    """A core whose registers are those in a dict, and whose streams are lists."""

    def __init__(self, registers: dict[int, int] | None = None) -> None:
        self.registers = registers or {}
        self.written: list[tuple[int, int]] = []
        self.events: list[tuple[int, bool]] = []
        self.results: deque[tuple[int, bool]] = deque()

    def write(self, address: int, data: int) -> int:
        self.written.append((address, data))
        return OKAY if address in self.registers else SLVERR

    def read(self, address: int) -> tuple[int, int]:
        return (OKAY if address in self.registers else SLVERR), self.registers.get(address, 0)

    def accept(self, word: int, last: bool) -> None:
        self.events.append((word, last))

    def result(self) -> tuple[int, bool] | None:
        return self.results.popleft() if self.results else None


class VerilatedCore:
    """The Verilated top. It owes a packet of `n_results` for each end of a sequence, and with
    `reports` for each of these.
    """

    def __init__(self, simulated: Any, n_results: int, *, reports: bool = False) -> None:
        self.simulated, self.n_results, self.owed = simulated, n_results, 0
        self.reports = reports

    def write(self, address: int, data: int) -> int:
        self.simulated.write(address, data)
        return OKAY

    def read(self, address: int) -> tuple[int, int]:
        return OKAY, self.simulated.read(address)

    def accept(self, word: int, last: bool) -> None:
        self.simulated.send_events(np.array([word]), np.array([last]))
        self.owed += self.n_results * (word >> 31)
        if self.reports:
            self.owed += self.n_results * (word >> 29 & 1)

    def result(self) -> tuple[int, bool] | None:
        if not self.owed:
            return None
        self.owed -= 1
        words, last = self.simulated.receive(1)
        return int(words[0]), bool(last[0])


class Bridge:
    """The bridge of a board: bytes in, bytes out."""

    def __init__(self, core: CoreSide) -> None:
        self.core = core
        self.received, self.sent = bytearray(), bytearray()
        self.results_due = 0
        self.commands: list[str] = []

    def feed(self, data: bytes) -> None:
        self.received += data
        while self._command():
            pass

    def line_break(self) -> None:
        self.received.clear()
        self.sent.clear()
        self.results_due = 0

    def _words(self, start: int) -> list[int] | None:
        """Return the counted words from byte `start` and drop their command, if they are there."""
        if len(self.received) <= start:
            return None
        end = start + 1 + 4 * (self.received[start] + 1)
        if len(self.received) < end:
            return None
        found = [
            int.from_bytes(self.received[i : i + 4], "little") for i in range(start + 1, end, 4)
        ]
        self.received = self.received[end:]
        return found

    def _command(self) -> bool:
        """Do one command; return whether there may be more to do."""
        while self.results_due and (result := self.core.result()):
            word, last = result
            self.sent += word.to_bytes(4, "little") + bytes([last])
            self.results_due -= 1
        if self.results_due or not self.received:
            return False
        name = chr(self.received[0])
        address = int.from_bytes(self.received[1:3], "little")
        if name == "W" and len(self.received) >= 7:
            data = int.from_bytes(self.received[3:7], "little")
            self.received = self.received[7:]
            self.sent.append(self.core.write(address, data))
        elif name == "R" and len(self.received) >= 3:
            self.received = self.received[3:]
            status, data = self.core.read(address)
            self.sent += bytes([status]) + data.to_bytes(4, "little")
        elif name == "B" and (words := self._words(3)):
            status = 0
            for word in words:
                status |= self.core.write(address, word)
            self.sent.append(status)
        elif name == "E" and (words := self._words(1)):
            for word in words:
                self.core.accept(word, False)
            self.sent.append(OKAY)
        elif name == "G" and len(self.received) >= 2:
            self.results_due = self.received[1] + 1
            self.received = self.received[2:]
        elif name not in "WRBEG":
            self.received = self.received[1:]
            self.sent.append(0xFF)
        else:
            return False
        self.commands.append(name)
        return True


class FakeLine:
    """An open port with a bridge behind it; a read returns a few bytes at a time, or none. Bytes
    that have `arrived` are the host's: a break does not reach them.
    """

    def __init__(self, bridge: Bridge, seed: int = 0) -> None:
        self.bridge, self.closed = bridge, False
        self.arrived = bytearray()
        self._rng = np.random.default_rng(seed)
        self._break = False

    @property
    def break_condition(self) -> bool:
        return self._break

    @break_condition.setter
    def break_condition(self, value: bool) -> None:
        self._break = value
        if value:
            self.line_break()

    def line_break(self) -> None:
        self.bridge.line_break()

    def write(self, data: bytes, /) -> int | None:
        assert not self._break
        self.bridge.feed(data)
        self.arrived += self.bridge.sent
        self.bridge.sent.clear()
        return len(data)

    def read(self, size: int, /) -> bytes:
        size = min(size, int(self._rng.integers(1, 4)))
        found = bytes(self.arrived[:size])
        del self.arrived[:size]
        return found

    def reset_input_buffer(self) -> None:
        self.arrived.clear()

    def close(self) -> None:
        self.closed = True


@contextlib.contextmanager
def served(bridge: Bridge) -> Iterator[str]:
    """Serve a bridge on a socket for one host after another; give pyserial's URL of it."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                while data := connection.recv(4096):
                    bridge.feed(data)
                    connection.sendall(bridge.sent)
                    bridge.sent.clear()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"socket://127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


class StreamFifo:
    """axi_fifo_mm_s with AXI4-Lite data; what its guide forbids is an assertion."""

    RPURE, RPUE, TPOE, TC, RC, TSE, TRC, RRC = (1 << n for n in (31, 29, 28, 27, 26, 25, 24, 23))

    def __init__(self, core: CoreSide, depth: int = 512) -> None:
        self.core, self.depth, self.closed = core, depth, False
        self.interrupts = 0
        self.transmit: list[int] = []
        self.packets: deque[list[int]] = deque()  # received, the length of none of them read
        self.reading: deque[int] = deque()  # the rest of the packet whose length was read
        self.arriving: list[int] = []
        self.sent: list[int] = []  # lengths of packets

    def read(self, offset: int) -> int:
        if offset == 0x00:
            return self.interrupts
        if offset == 0x0C:  # TDFV: four locations are the FIFO's own
            return self.depth - 4 - len(self.transmit)
        if offset == 0x1C:  # RDFO: of whole packets only
            self._arrive()
            return len(self.packets[-1]) if self.packets else 0
        if offset == 0x24:  # RLR
            assert not self.reading, "the packet before is not wholly read"
            self._arrive()
            if not self.packets:
                self.interrupts |= self.RPURE
                return 0
            self.reading = deque(self.packets.popleft())
            return 4 * len(self.reading)
        assert offset == 0x20, f"0x{offset:02X} is not read"
        if not self.reading:
            self.interrupts |= self.RPUE
            return 0
        return self.reading.popleft()

    def write(self, offset: int, word: int) -> None:
        assert 0 <= word < 1 << 32
        if offset == 0x00:
            self.interrupts &= ~word
        elif offset == 0x04:
            assert word == 0, "nobody waits for interrupts"
        elif offset == 0x08:
            if word == 0xA5:
                self.transmit.clear()
                self.interrupts |= self.TRC
        elif offset == 0x18:
            if word == 0xA5:
                self._arrive()
                self.packets.clear()
                self.reading.clear()
                self.interrupts |= self.RRC
        elif offset == 0x10:
            if len(self.transmit) >= self.depth - 4:
                self.interrupts |= self.TPOE
            else:
                self.transmit.append(word)
        elif offset == 0x14:
            if word != 4 * len(self.transmit):
                self.interrupts |= self.TSE
            for index, sent in enumerate(self.transmit):
                self.core.accept(sent, index == len(self.transmit) - 1)
            self.sent.append(len(self.transmit))
            self.transmit.clear()
            self.interrupts |= self.TC
        else:
            raise AssertionError(f"0x{offset:02X} is not written")

    def close(self) -> None:
        self.closed = True

    def _arrive(self) -> None:
        while result := self.core.result():
            self.arriving.append(result[0])
            if result[1]:
                self.packets.append(self.arriving)
                self.arriving = []
                self.interrupts |= self.RC


class RegisterWindow:
    """The window of a core's registers."""

    def __init__(self, core: CoreSide) -> None:
        self.core, self.closed = core, False

    def read(self, offset: int) -> int:
        response, word = self.core.read(offset)
        assert response == OKAY, f"an abort at 0x{offset:04X}"
        return word

    def write(self, offset: int, word: int) -> None:
        assert self.core.write(offset, word) == OKAY, f"an abort at 0x{offset:04X}"

    def close(self) -> None:
        self.closed = True
