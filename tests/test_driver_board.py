"""What the driver says over a UART, said again to the Verilog of a board at its pins: each answer
must be the one that the driver had from the model of the bridge and from the golden model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driver.device import Device
from driver.transport import BusError, Silence
from driver.uart import Uart
from export.core import write_core
from golden.cost.cycles import watchdog_cycles
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import run
from golden.registers import STATUS_BITS, pack_word, register_map
from golden.uart_protocol import BREAK_BITS
from rtl.host.board import Clocking
from rtl.verilog.generate import generate_board
from tb.board import build_board
from tb.compare import expected_counters
from tests.host_models import Bridge, FakeLine, ListedCore
from tests.networks import draw_network

BOARD = "ulx3s-85f"
CLOCKS_PER_BIT = 8
FAST = "-O0"


@dataclass
class Record:
    """Steps for the pins of a board (`tb.cocotb_board`), and what each must receive."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    expected: list[bytes] = field(default_factory=list)

    def add(self, step: dict[str, Any], received: bytes = b"") -> None:
        self.steps.append(step)
        self.expected.append(received)


class RecordedLine(FakeLine):
    """A line that writes down what goes over it."""

    def __init__(self, bridge: Bridge, patience: int) -> None:
        super().__init__(bridge)
        self.record, self.patience = Record(), patience

    def write(self, data: bytes, /) -> int | None:
        before = len(self.arrived)
        done = super().write(data)
        answer = bytes(self.arrived[before:])
        self.record.add({"send": data.hex()})
        if answer:
            self.record.add({"receive": [len(answer), self.patience]}, answer)
        return done

    def line_break(self) -> None:
        super().line_break()
        self.record.add({"break": BREAK_BITS})
        self.record.add({"wait": BREAK_BITS})


def test_the_board_answers_the_driver_as_the_models_do(tmp_path: Path) -> None:
    drawn = draw_network(21, n_sequences=3, max_neurons=4, max_inputs=4, n_timesteps=5)
    core = CoreParams(drawn.network.params, HardwareParams(2))
    manifest = write_core(drawn.network, core, tmp_path)
    golden = run(drawn.network, drawn.payloads)

    registers = register_map(core)
    counts = expected_counters(core, golden)
    flags = sum(1 << i for i, name in enumerate(core.errors) if counts[name].sum())
    listed = ListedCore({r.offset: r.value or 0 for r in registers.values()})
    listed.registers[registers["ERROR"].offset] = flags
    listed.registers[registers["STATUS"].offset] = pack_word(STATUS_BITS, error=int(flags > 0))
    for logits, best in zip(golden.logits.tolist(), golden.classes.tolist(), strict=True):
        listed.results.extend((value & 0xFFFF_FFFF, False) for value in logits)
        listed.results.append((best, True))
    line = RecordedLine(Bridge(listed), watchdog_cycles(core))
    uart = Uart(line)
    device = Device(uart, manifest)
    device.load()
    device.clear()
    results = device.run(drawn.payloads)
    assert np.array_equal(results.logits, golden.logits)
    assert not device.busy
    assert device.errors() == [name for name in core.errors if counts[name].sum()]
    with pytest.raises(BusError):
        uart.read(0xF00)
    with pytest.raises(Silence):
        uart.receive(1)  # there is none: the board must forget this
    device.recover()
    assert uart.read(registers["ID"].offset) == registers["ID"].value

    clocking = Clocking(BOARD, 100.0, 100_000_000 // CLOCKS_PER_BIT)
    generate_board(manifest, clocking)
    board = build_board(manifest, BOARD, optimize=FAST)
    found = board.exchange(line.record.steps, tmp_path / "run")
    assert len(found["received"]) == len(line.record.expected) > 50
    for step, received, expected in zip(
        line.record.steps, found["received"], line.record.expected, strict=True
    ):
        assert received == expected, step
