"""The UART's host side against a model of the bridge, over lines that give a few bytes at a time,
none, or over pyserial itself.
"""

from __future__ import annotations

import os
import sys
import threading

import numpy as np
import pytest

from driver.transport import BusError, Silence
from driver.uart import Uart
from golden.errors import UserError
from tests.host_models import Bridge, FakeLine, ListedCore, served

ID, DATA = 0x0000, 0x0018


def make() -> tuple[ListedCore, FakeLine, Uart]:
    core = ListedCore({ID: 0x444D_5043, DATA: 0})
    line = FakeLine(Bridge(core))
    return core, line, Uart(line, "a board")


def test_the_bytes_are_those_of_the_protocol() -> None:
    """Held in literal bytes, so that both sides cannot be wrong alike."""
    sent: list[bytes] = []

    class Tap(FakeLine):
        def write(self, data: bytes, /) -> int | None:
            sent.append(data)
            return super().write(data)

    core = ListedCore({0x1234: 0xA1B2_C3D4})
    core.results.extend([(0x0000_00FF, False), (0x0102_0304, True)])
    uart = Uart(Tap(Bridge(core)))
    assert uart.read(0x1234) == 0xA1B2_C3D4
    uart.write(0x1234, 0x0403_0201)
    uart.write_burst(0x1234, np.array([0x8000_0001], np.uint32))
    uart.send_events(np.array([0xC003_0002, 5], np.uint32))
    words, last = uart.receive(2)
    assert sent == [
        b"R\x34\x12", b"W\x34\x12\x01\x02\x03\x04", b"B\x34\x12\x00\x01\x00\x00\x80",
        b"E\x01\x02\x00\x03\xc0\x05\x00\x00\x00", b"G\x01",
    ]  # fmt: skip
    assert words.dtype == np.uint32 and words.tolist() == [0xFF, 0x0102_0304]
    assert last.tolist() == [False, True]
    assert core.written == [(0x1234, 0x0403_0201), (0x1234, 0x8000_0001)]
    assert core.events == [(0xC003_0002, False), (5, False)]


@pytest.mark.parametrize("count", [1, 255, 256, 257, 512, 700])
def test_long_bursts_are_several_commands(count: int) -> None:
    core, line, uart = make()
    words = np.arange(count, dtype=np.uint32) * 0x0100_0193
    uart.write_burst(DATA, words)
    uart.send_events(words)
    core.results.extend((int(word), place % 11 == 10) for place, word in enumerate(words))
    found, last = uart.receive(count)
    assert core.written == [(DATA, word) for word in words.tolist()]
    assert core.events == [(word, False) for word in words.tolist()]
    assert found.tolist() == words.tolist()
    assert last.tolist() == [place % 11 == 10 for place in range(count)]
    n_commands = -(-count // 256)
    assert line.bridge.commands == ["B"] * n_commands + ["E"] * n_commands + ["G"] * n_commands


def test_an_answer_of_the_bus_is_an_error() -> None:
    _, _, uart = make()
    with pytest.raises(BusError, match="a read of 0x0020 was answered with SLVERR"):
        uart.read(0x20)
    with pytest.raises(BusError, match="a write to 0x0024 was answered with SLVERR"):
        uart.write(0x24, 1)
    with pytest.raises(BusError, match="a write to 0x0024"):
        uart.write_burst(0x24, np.array([1, 2], np.uint32))
    assert uart.read(ID) == 0x444D_5043


def test_a_bridge_that_does_not_know_a_command() -> None:
    class Old(Bridge):
        def _command(self) -> bool:
            if self.received:
                self.received.clear()
                self.sent.append(0xFF)
            return False

    uart = Uart(FakeLine(Old(ListedCore())), "a board")
    with pytest.raises(BusError, match="a board: the board does not know the command of a command"):
        uart.send_events(np.array([1], np.uint32))
    with pytest.raises(UserError, match="1 of 5 bytes came in answer to 'R'"):
        uart.read(0)


def test_silence_is_told_and_a_break_recovers() -> None:
    core, line, uart = make()
    line.bridge.feed(b"B\x18\x00\x05half of it")  # of a host that was stopped
    with pytest.raises(Silence, match="a board: 0 of 5 bytes came in answer to 'R': check port"):
        uart.read(ID)
    uart.recover()
    assert uart.read(ID) == 0x444D_5043
    core.results.append((7, False))
    with pytest.raises(Silence, match="5 of 15 bytes came in answer to 'G'"):
        uart.receive(3)
    core.results.append((8, True))
    uart.recover()
    assert uart.read(ID) == 0x444D_5043, "the results' command is forgotten"
    line.arrived += b"noise"
    uart.recover()
    assert uart.read(ID) == 0x444D_5043, "what waited is dropped"


def test_a_port_that_cannot_be_opened_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="cannot open /dev/nonesuch .*list_ports shows the ports"):
        Uart.open("/dev/nonesuch")
    with pytest.raises(UserError, match="cannot open nonesuch://"):
        Uart.open("nonesuch://")
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(UserError, match="no pyserial for the UART: pip install pyserial"):
        Uart.open("/dev/ttyUSB0")


def test_a_line_that_only_echoes_is_no_board() -> None:
    uart = Uart.open("loop://", timeout=0.1)
    with pytest.raises(UserError, match="response 82|came in answer"):
        uart.read(ID)
    uart.recover()
    uart.close()


def test_over_a_socket() -> None:
    core = ListedCore({ID: 0x444D_5043, DATA: 0})
    with served(Bridge(core)) as url:
        uart = Uart.open(url, timeout=2)
        words = np.arange(300, dtype=np.uint32)
        uart.recover()
        uart.write_burst(DATA, words)
        assert uart.read(ID) == 0x444D_5043
        with pytest.raises(BusError):
            uart.read(4)
        uart.close()
    assert core.written == [(DATA, word) for word in range(300)]


def test_over_a_terminal_that_vanishes() -> None:
    """A pty is what an operating system has nearest to a serial port."""
    core = ListedCore({ID: 0x444D_5043})
    bridge = Bridge(core)
    ours, theirs = os.openpty()

    def serve() -> None:
        for _ in range(2):  # commands
            bridge.feed(os.read(ours, 100))
            os.write(ours, bridge.sent)
            bridge.sent.clear()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    uart = Uart.open(os.ttyname(theirs), timeout=2)
    uart.recover()
    assert [uart.read(ID), uart.read(ID)] == [0x444D_5043] * 2
    thread.join(5)
    os.close(ours)
    with pytest.raises(Silence, match="is the board plugged in|came in answer"):
        uart.read(ID)
    uart.close()
    os.close(theirs)
