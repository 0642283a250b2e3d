"""The cocotb side of a board's simulation: a UART at its pins, which sends and receives bytes.

It runs inside the simulator, reads its job from the file that `DMP_UART_JOB` names (see `tb.board`)
and leaves what each step received in `received.json`. A step is a dict with one of

send       hexadecimal bytes, one after another without a gap
receive    [n, patience]: waits for n bytes; fails where one takes more than `patience` clock cycles
take       all that was received until now, without waiting
break      n: holds the line low for n bits
wait       n: waits for n bits
press      n: holds the button for n clock cycles

and appends the bytes that it received, in hexadecimal.
"""

from __future__ import annotations

import json
import os
from collections import deque
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Event, FallingEdge, First, Timer
from cocotb.utils import get_sim_time

JOB_VARIABLE = "DMP_UART_JOB"
RECEIVED = "received.json"
PERIOD = 100  # steps of a clock cycle: so fine can a host's bit be


class Pins:
    """The host's end of the two lines."""

    def __init__(self, dut: Any, bit: int) -> None:
        self.dut, self.bit = dut, bit
        self.received: deque[str] = deque()
        self.news = Event()

    async def send(self, content: str) -> None:
        for byte in bytes.fromhex(content):
            levels = "0" + f"{byte:08b}"[::-1] + "1"
            while levels:
                same = len(levels) - len(levels.lstrip(levels[0]))
                self.dut.uart_rx.value = int(levels[0])
                await Timer(same * self.bit, "step")
                levels = levels[same:]

    async def listen(self) -> None:
        """Receive bytes, for ever."""
        line = self.dut.uart_tx
        while True:
            await FallingEdge(line)
            await Timer(self.bit // 2, "step")
            assert not int(line.value), "a low line that is no start bit"
            byte = 0
            for place in range(8):
                await Timer(self.bit, "step")
                byte |= int(line.value) << place
            await Timer(self.bit, "step")
            assert int(line.value), "a byte without a stop bit"
            self.received.append(f"{byte:02x}")
            self.news.set()

    async def receive(self, order: list[int]) -> str:
        count, patience = order
        while len(self.received) < count:
            self.news.clear()
            late = Timer(patience * PERIOD, "step")
            if await First(self.news.wait(), late) is late:
                raise AssertionError(f"the board sent {len(self.received)} bytes, not {count}")
        return "".join(self.received.popleft() for _ in range(count))

    async def take(self, _: int) -> str:
        found, self.received = self.received, deque()
        return "".join(found)

    async def hold_low(self, bits: int) -> None:
        self.dut.uart_rx.value = 0
        await self.wait(bits)
        self.dut.uart_rx.value = 1

    async def wait(self, bits: int) -> None:
        await Timer(bits * self.bit, "step")

    async def press(self, cycles: int) -> None:
        self.dut.button_n.value = 0
        await ClockCycles(self.dut.clk, cycles)
        self.dut.button_n.value = 1


@cocotb.test
async def drive(dut: Any) -> None:
    """Do the job's steps in order."""
    path = Path(os.environ[JOB_VARIABLE])
    job = json.loads(path.read_text())
    bit = round(job["clocks_per_bit"] * PERIOD * job["bit_length"])
    dut.button_n.value = 1
    dut.uart_rx.value = 1
    Clock(dut.clk, PERIOD, "step", impl="gpi").start()
    await ClockCycles(dut.clk, job["settle_cycles"])
    assert int(dut.uart_tx.value), "the line is low while nothing is sent"
    pins = Pins(dut, bit)
    cocotb.start_soon(pins.listen())
    found, leds = [], []
    for step in job["steps"]:
        ((name, argument),) = step.items()
        act = pins.hold_low if name == "break" else getattr(pins, name)
        found.append(await act(argument) or "")
        leds.append(int(dut.led.value))
    cycles = get_sim_time() // PERIOD
    record = {"received": found, "leds": leds, "cycles": cycles}
    (path.parent / RECEIVED).write_text(json.dumps(record))
