"""The bytes of the commands, as its table says, written out."""

from __future__ import annotations

import pytest

from golden import uart_protocol as uart
from golden.errors import UserError


def test_commands_are_these_bytes() -> None:
    assert uart.write_command(0x1234, 0xA1B2C3D4) == b"W\x34\x12\xd4\xc3\xb2\xa1"
    assert uart.read_command(0x10) == b"R\x10\x00"
    assert uart.burst_command(0x18, [1, 0xFF000002]) == b"B\x18\x00\x01\1\0\0\0\2\0\0\xff"
    assert uart.events_command([0x40000305]) == b"E\x00\x05\x03\x00\x40"
    assert uart.results_command(11) == b"G\x0a"
    assert len(uart.burst_command(0, [0] * uart.MAX_WORDS)) == uart.MAX_COMMAND_BYTES
    assert len(uart.events_command([0] * uart.MAX_WORDS)) < uart.MAX_COMMAND_BYTES


def test_responses_are_these_bytes() -> None:
    assert uart.read_response(b"\x02\x04\x03\x02\x01") == (2, 0x01020304)
    assert uart.results_response(b"\xfe\xff\xff\xff\x00\x07\0\0\0\x01") == [
        (0xFFFFFFFE, False),
        (7, True),
    ]


def test_what_does_not_fit_in_a_command_is_named() -> None:
    for address in (-1, 1 << 14):
        with pytest.raises(UserError, match=f"register address {address}: use 0 to 16383"):
            uart.read_command(address)
    for words in ([], [0] * 257):
        with pytest.raises(UserError, match=f"{len(words)} words in a command: use 1 to 256"):
            uart.events_command(words)
    with pytest.raises(UserError, match="0 words in a command"):
        uart.results_command(0)
