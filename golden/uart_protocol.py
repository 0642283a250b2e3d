"""What a host says to a board over its UART (`rtl.host.uart_bridge`), written once. No Torch.

8N1. Numbers of more bytes come low byte first. The host sends a command, waits for the whole
response, then sends the next one; so nothing can overflow.

=======  ============================================  ============================================
Command  Its bytes                                     The response
=======  ============================================  ============================================
WRITE    "W", address u16, data u32                    status u8
READ     "R", address u16                              status u8, data u32 (0 with an error)
BURST    "B", address u16, words - 1 u8, a u32 a word  status u8, the OR of all: every word is
                                                       written to the same address
EVENTS   "E", words - 1 u8, an `EVENT_WORD` u32 a      status u8, when the core has taken all
         word
RESULTS  "G", words - 1 u8                             word u32 and flags u8 a result, each as soon
                                                       as there is one
other    any other byte                                `UNKNOWN`, and the next command may come
=======  ============================================  ============================================

A status is `OKAY` or the response of AXI. A byte with a wrong stop bit is dropped, so that its
command stays incomplete. A break, which is a line that is low for longer than a frame, drops the
command that was begun, its response, and all bytes that wait; what was written or taken stays so,
and the core goes on. So a host that waits in vain sends a break of `BREAK_BITS`, waits a frame for
the end of a byte that is on its way, drops what it has received, and starts anew.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from golden.errors import UserError
from golden.registers import ADDRESS_WIDTH, WORD_BYTES

BAUD = 1_000_000  # bits a second, unless a board is built for others
FRAME_BITS = 10  # a start bit, 8 bits with the lowest first, a stop bit
BREAK_BITS = 2 * FRAME_BITS  # a host holds the line low at least this long

WRITE, READ, BURST, EVENTS, RESULTS = b"WRBEG"
ADDRESS_BYTES = 2
COUNT_BYTES = 1  # holds one less than the words
MAX_WORDS = 256  # of one command
MAX_COMMAND_BYTES = 1 + ADDRESS_BYTES + COUNT_BYTES + MAX_WORDS * WORD_BYTES
RESULT_BYTES = WORD_BYTES + 1

OKAY = 0
SLAVE_ERROR = 2  # there is no such register, or not in this direction
UNKNOWN = 0xFF  # no such command

FLAG_LAST = 1 << 0  # TLAST: the word is the class, the last word of a sequence


def write_command(address: int, data: int) -> bytes:
    """Return the command that writes a register; its response is a status."""
    return struct.pack("<BHI", WRITE, _address(address), data)


def read_command(address: int) -> bytes:
    """Return the command that reads a register; `read_response` tells its response."""
    return struct.pack("<BH", READ, _address(address))


def burst_command(address: int, words: Sequence[int]) -> bytes:
    """Return the command that writes words to one register; its response is a status."""
    return struct.pack("<BH", BURST, _address(address)) + _counted(words)


def events_command(words: Sequence[int]) -> bytes:
    """Return the command that sends words of events; its response is a status."""
    return bytes([EVENTS]) + _counted(words)


def results_command(count: int) -> bytes:
    """Return the command that waits for results; `results_response` tells its response."""
    return bytes([RESULTS, _count(count)])


READ_RESPONSE_BYTES = 1 + WORD_BYTES


def read_response(response: bytes) -> tuple[int, int]:
    """Return status and data of `READ_RESPONSE_BYTES` bytes."""
    status, data = struct.unpack("<BI", response)
    return status, data


def results_response(response: bytes) -> list[tuple[int, bool]]:
    """Return word and whether it is the last, for each `RESULT_BYTES` bytes."""
    return [(word, bool(flags & FLAG_LAST)) for word, flags in struct.iter_unpack("<IB", response)]


def _address(address: int) -> int:
    if not 0 <= address < 1 << ADDRESS_WIDTH:
        raise UserError(f"register address {address}: use 0 to {(1 << ADDRESS_WIDTH) - 1}")
    return address


def _count(count: int) -> int:
    if not 1 <= count <= MAX_WORDS:
        raise UserError(f"{count} words in a command: use 1 to {MAX_WORDS}")
    return count - 1


def _counted(words: Sequence[int]) -> bytes:
    return struct.pack(f"<B{len(words)}I", _count(len(words)), *words)
