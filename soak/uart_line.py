"""A board's UART in Verilator: levels on its line, what its bridge does, and the host's side of it
for `driver.uart`.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np

from driver.uart import Uart
from export.core import write_core
from golden.hardware.core import CoreParams
from golden.integer import NetworkIntegers
from golden.interface import read_verilog, without_head
from golden.uart_protocol import BREAK_BITS, FRAME_BITS
from rtl.host.board import Clocking
from rtl.verilog.generate import generate_board
from tb.board import PLL, RESET_CYCLES
from tb.verilator import build_library
from tb.wrapper import SHELL

SHIM = Path(__file__).with_name("uart.cpp")
CLOCKS_PER_BIT = 5  # the fewest
BOARD = "ulx3s-85f"
STEP = 1 << 12  # levels of an idle line at a time
PATIENCE = 20_000  # cycles in which a small core answers
SHELL_TEXT = f"""module {SHELL} (
    input clk, button_n, uart_rx, output uart_tx,
    output write, read, event_, result, heard, room, broken,
    output [13:0] write_address, read_address, output [31:0] write_data, event_data,
    output [7:0] byte_
);
    dmp_core_board board (
        .clk(clk), .button_n(button_n), .uart_rx(uart_rx), .uart_tx(uart_tx), .led(), .wifi_gpio0()
    );
    assign write = board.bridge.registers__write_valid && board.bridge.registers__write_ready;
    assign write_address = board.bridge.registers__write_address;
    assign write_data = board.bridge.registers__write_data;
    assign read = board.bridge.registers__read_valid && board.bridge.registers__read_ready;
    assign read_address = board.bridge.registers__read_address;
    assign event_ = board.bridge.events__valid && board.bridge.events__ready;
    assign event_data = board.bridge.events__payload[31:0];
    assign result = board.bridge.results__valid && board.bridge.results__ready;
    assign heard = board.bridge.receiver.o__valid;
    assign byte_ = board.bridge.receiver.o__payload;
    assign room = board.bridge.waiting.i__ready;
    assign broken = board.bridge.receiver.broken;
endmodule
"""


class Kind(IntEnum):
    """What is seen: on the line by the model, bytes and breaks; by the bridge, bytes (without room:
    lost) and breaks; of the bridge, what it does and the bytes that it sends.
    """

    BYTE = 0
    BREAK = 1
    HEARD = 2
    LOST = 3
    HEARD_BREAK = 4
    WRITE = 5
    READ = 6
    EVENT = 7
    RESULT = 8
    SENT = 9


SEEN = np.dtype([("kind", "i4"), ("address", "u4"), ("data", "u4"), ("cycle", "i8")], align=True)


@dataclass(frozen=True)
class BoardModel:
    """A core on a board: its manifest and the library of its model."""

    manifest: Path
    core: CoreParams
    shared_object: Path


def build_board(
    network: NetworkIntegers, core: CoreParams, folder: Path, optimize: str = "-O3"
) -> BoardModel:
    """Write a core on a board whose bits are as short as they may be, and build its model."""
    manifest = write_core(network, core, folder)
    verilog = generate_board(manifest, Clocking(BOARD, 25.0, 25_000_000 // CLOCKS_PER_BIT))
    sources = {
        "board.v": without_head(read_verilog(verilog)),
        PLL.name: PLL.read_text(),
        f"{SHELL}.sv": SHELL_TEXT,
        SHIM.name: SHIM.read_text(),
    }
    return BoardModel(manifest, core, build_library(sources, SHELL, folder / "verilator", optimize))


class Line:
    """The line to a board, as `driver.uart.Uart` uses it; `seen` has all that was seen so far."""

    def __init__(self, model: BoardModel) -> None:
        self._library = library = ctypes.CDLL(str(model.shared_object))
        pointer, number = ctypes.c_void_p, ctypes.c_int64
        library.uart_new.restype, library.uart_new.argtypes = pointer, [ctypes.c_int32, number]
        library.uart_play.restype = library.uart_cycles.restype = number
        library.uart_play.argtypes = [pointer, pointer, number, pointer, number, number]
        library.uart_cycles.argtypes = library.uart_delete.argtypes = [pointer]
        self._board: int | None = library.uart_new(CLOCKS_PER_BIT, RESET_CYCLES)
        self._low = False
        self._received = bytearray()
        self.seen: list[np.ndarray] = []

    def play(self, levels: np.ndarray, n_bytes: int = 0) -> None:
        """Put levels (n,) on the line, a cycle each; end early when the board has sent bytes."""
        levels = np.ascontiguousarray(levels, np.uint8)
        room = len(levels) // CLOCKS_PER_BIT + 64
        seen = np.zeros(room, SEEN)
        count = self._library.uart_play(
            self._board, levels.ctypes.data, len(levels), seen.ctypes.data, room, n_bytes
        )
        assert count <= room
        seen = seen[:count]
        self.seen.append(seen)
        self._received += bytes(seen["data"][seen["kind"] == Kind.SENT].tolist())

    @property
    def cycles(self) -> int:
        """The cycles so far."""
        return self._library.uart_cycles(self._board)

    def take(self) -> np.ndarray:
        """Return all that was seen since the last call."""
        found = np.concatenate([np.zeros(0, SEEN), *self.seen])
        self.seen = []
        return found

    @property
    def break_condition(self) -> bool:
        return self._low

    @break_condition.setter
    def break_condition(self, value: bool) -> None:
        """Hold the line low for a break, or let it go for as long."""
        self._low = value
        self.play(np.full(BREAK_BITS * CLOCKS_PER_BIT, not value))

    def read(self, size: int, /) -> bytes:
        waited = 0
        while len(self._received) < size and waited < PATIENCE:
            self.play(np.ones(STEP, np.uint8), size - len(self._received))
            waited += STEP
        found = bytes(self._received[:size])
        del self._received[:size]
        return found

    def write(self, data: bytes, /) -> int:
        self.play(levels_of(data))
        return len(data)

    def reset_input_buffer(self) -> None:
        self._received.clear()

    def close(self) -> None:
        if self._board is not None:
            self._library.uart_delete(self._board)
        self._board = None


class QuickUart(Uart):
    """The driver's transport on a line whose time passes only when it is used."""

    def __init__(self, line: Line) -> None:
        super().__init__(line, "the simulated line")
        self.line = line

    def recover(self) -> None:
        """As the driver, without its pauses."""
        self.line.break_condition = True
        self.line.break_condition = False
        self.line.reset_input_buffer()


def levels_of(
    data: bytes, bit: float = CLOCKS_PER_BIT, stop: np.ndarray | None = None
) -> np.ndarray:
    """Return the levels (cycles,) uint8 of bytes with bits of this many cycles; with their stop
    bits, where those are not all 1.
    """
    values = np.frombuffer(data, np.uint8)
    bits = np.ones((len(values), FRAME_BITS), np.uint8)
    bits[:, 0] = 0
    bits[:, 1:-1] = values[:, None] >> np.arange(8) & 1
    if stop is not None:
        bits[:, -1] = stop
    edges = np.round(np.arange(bits.size + 1) * bit).astype(np.int64)
    return np.repeat(bits.ravel(), np.diff(edges))
