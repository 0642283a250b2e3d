"""A board on a UART: the host's side of `golden.uart_protocol`, over pyserial."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from driver.transport import BusError, Silence, check_response
from golden.errors import UserError
from golden.uart_protocol import (
    BAUD,
    MAX_WORDS,
    READ_RESPONSE_BYTES,
    RESULT_BYTES,
    UNKNOWN,
    burst_command,
    events_command,
    read_command,
    read_response,
    results_command,
    results_response,
    write_command,
)

TIMEOUT = 5.0  # seconds without a byte
BREAK_SECONDS = 0.01  # many frames at every usual rate
QUIET_SECONDS = 0.05  # in which what is on the way has come: USB adapters hold bytes for 16 ms


class Line(Protocol):
    """What is used of pyserial's `Serial`. A read ends after the line's timeout with the bytes that
    have come by then.
    """

    @property
    def break_condition(self) -> bool: ...

    @break_condition.setter
    def break_condition(self, value: bool) -> None: ...

    def read(self, size: int, /) -> bytes: ...

    def write(self, data: bytes, /) -> int | None: ...

    def reset_input_buffer(self) -> None: ...

    def close(self) -> None: ...


class Uart:
    """The transport to a board.

    Parameters
    ----------
    line
        An open port, with a timeout.
    name
        What errors call it.
    """

    cycles = None

    def __init__(self, line: Line, name: str = "the UART") -> None:
        self._line, self._name = line, name

    @classmethod
    def open(cls, port: str, *, baud: int = BAUD, timeout: float = TIMEOUT) -> Uart:
        """Open a port by its name (/dev/ttyUSB0, COM3) or a URL of pyserial (socket://host:port).

        `timeout` are the seconds without a byte after which a call fails: more than the core takes
        from a sequence's last event to its results.
        """
        try:
            import serial
        except ImportError:
            raise UserError("no pyserial for the UART: pip install pyserial") from None
        try:
            line = serial.serial_for_url(port, baud, timeout=timeout, write_timeout=timeout)
        except (OSError, ValueError) as error:
            raise UserError(
                f"cannot open {port} ({error}): python -m serial.tools.list_ports shows the ports"
            ) from None
        return cls(line, port)

    def read(self, address: int) -> int:
        status, word = read_response(self._ask(read_command(address), READ_RESPONSE_BYTES))
        self._check(status, f"a read of 0x{address:04X}")
        return word

    def write(self, address: int, word: int) -> None:
        (status,) = self._ask(write_command(address, word), 1)
        self._check(status, f"a write to 0x{address:04X}")

    def write_burst(self, address: int, words: np.ndarray) -> None:
        for part in _parts(words):
            (status,) = self._ask(burst_command(address, part), 1)
            self._check(status, f"a write to 0x{address:04X}")

    def send_events(self, words: np.ndarray) -> None:
        for part in _parts(words):
            (status,) = self._ask(events_command(part), 1)
            self._check(status, "a command of events")

    def receive(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        found: list[tuple[int, bool]] = []
        while len(found) < count:
            size = min(MAX_WORDS, count - len(found))
            found += results_response(self._ask(results_command(size), size * RESULT_BYTES))
        return np.array([w for w, _ in found], np.uint32), np.array([last for _, last in found])

    def recover(self) -> None:
        """Reset the bridge's parser with a break, and drop what it still sends. The break does not
        pass through socket://, but through rfc2217:// it does.
        """
        try:
            self._line.break_condition = True
            time.sleep(BREAK_SECONDS)
            self._line.break_condition = False
            time.sleep(QUIET_SECONDS)
            self._line.reset_input_buffer()
        except OSError as error:
            raise self._lost(error) from None

    def close(self) -> None:
        self._line.close()

    def _ask(self, command: bytes, size: int) -> bytes:
        """Send a command and return its whole response of `size` bytes."""
        answer = bytearray()
        try:
            self._line.write(command)
            while len(answer) < size and (part := self._line.read(size - len(answer))):
                answer += part
        except OSError as error:
            raise self._lost(error) from None
        if len(answer) < size:
            raise Silence(
                f"{self._name}: {len(answer)} of {size} bytes came in answer to"
                f" '{chr(command[0])}': check port, baud rate and that the board is configured"
            )
        return bytes(answer)

    def _lost(self, error: OSError) -> UserError:
        return Silence(f"{self._name}: {error}: is the board plugged in and switched on?")

    def _check(self, status: int, what: str) -> None:
        if status == UNKNOWN:
            raise BusError(
                f"{self._name}: the board does not know the command of {what}: recover it, or check"
                " that its bridge is of this version"
            )
        check_response(status, what)


def _parts(words: np.ndarray) -> list[Sequence[int]]:
    """Return the words in parts that a command can hold."""
    values = [int(word) for word in words]
    return [values[i : i + MAX_WORDS] for i in range(0, len(values), MAX_WORDS)]
