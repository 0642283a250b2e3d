"""Boards: the core with a board's UART, clock, lights and pins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from amaranth.hdl import Cat, ClockDomain, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out

from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.uart_protocol import BAUD
from rtl.component import Component
from rtl.host.host_core import HostCore
from rtl.host.pll import Pll, find_pll
from rtl.host.uart import LEAST_CLOCKS
from rtl.host.uart_bridge import UartBridge

MOST_DEVIATION = 0.01  # of the baud rate that the clock makes from the one that is asked for
N_LEDS = 8


@dataclass(frozen=True)
class Pin:
    """A pin of a board: its site, and what it is like."""

    site: str
    attributes: str = "IO_TYPE=LVCMOS33"


@dataclass(frozen=True)
class Board:
    """A board with an ECP5.

    Parameters
    ----------
    device
        In `rtl.synth.devices.DEVICES`.
    clock_mhz
        Of its oscillator.
    pins
        By the port of `BoardCore`, or the bit of one.
    """

    device: str
    clock_mhz: float
    pins: dict[str, Pin]

    def constraints(self) -> str:
        """Return the LPF: every pin, and the clock, from which nextpnr knows the PLL's."""
        lines = []
        for port, pin in self.pins.items():
            lines += [
                f'LOCATE COMP "{port}" SITE "{pin.site}";',
                f'IOBUF PORT "{port}" {pin.attributes};',
            ]
        return "\n".join([*lines, f'FREQUENCY PORT "clk" {self.clock_mhz:g} MHZ;', ""])


_LED_SITES = ("B2", "C2", "C1", "D2", "D1", "E2", "E1", "H3")
BOARDS = {
    "ulx3s-85f": Board(
        "ecp5-85k",
        25.0,
        {
            "clk": Pin("G2"),
            "button_n": Pin("D6", "IO_TYPE=LVCMOS33 PULLMODE=UP"),
            "uart_rx": Pin("M1", "IO_TYPE=LVCMOS33 PULLMODE=UP"),  # the board's ftdi_txd
            "uart_tx": Pin("L4"),  # the board's ftdi_rxd
            "wifi_gpio0": Pin("L2"),
            **{
                f"led[{index}]": Pin(site, "IO_TYPE=LVCMOS33 DRIVE=4")
                for index, site in enumerate(_LED_SITES)
            },
        },
    )
}


@dataclass(frozen=True)
class Clocking:
    """The core's clock on a board, and its UART's.

    Parameters
    ----------
    board
        In `BOARDS`.
    mhz
        Of the core.
    baud
        Bits a second.
    """

    board: str
    mhz: float = 100.0
    baud: int = BAUD

    def __post_init__(self) -> None:
        if not 0 < self.mhz < math.inf:
            raise UserError(f"a clock of {self.mhz:g} MHz: use one that the board's PLL makes")
        if self.baud < 1:
            raise UserError(f"{self.baud} baud: use 1 or more")

    @cached_property
    def pll(self) -> Pll:
        """The PLL, or `UserError` where there is none."""
        return find_pll(BOARDS[self.board].clock_mhz, self.mhz)

    @cached_property
    def clocks_per_bit(self) -> int:
        """Clock cycles of a bit, or `UserError` where the clock makes no such baud rate."""
        clocks = max(round(self.mhz * 1e6 / self.baud), 1)
        if clocks < LEAST_CLOCKS:
            raise UserError(
                f"{self.baud} baud are too many for {self.mhz:g} MHz: use"
                f" {int(self.mhz * 1e6 / LEAST_CLOCKS)} or fewer"
            )
        made = self.mhz * 1e6 / clocks
        if abs(made - self.baud) > MOST_DEVIATION * self.baud:
            raise UserError(
                f"{self.mhz:g} MHz make {made:.0f} baud, not {self.baud}: use another clock or baud"
                " rate"
            )
        return clocks


class BoardCore(Component):
    """Put a core on a board: a PLL makes its clock, a UART carries what a host says.

    What the host says is with `UartBridge`. The core is in reset until the PLL is locked, and while
    the button is held; that keeps what was loaded.

    Parameters
    ----------
    core
        The network and the hardware; it must not have trace ports.
    clocking
        The board, and its clocks.

    Members
    -------
    clk
        The board's oscillator.
    button_n
        Low while the button is pressed.
    uart_rx, uart_tx
        From the host and to it.
    wifi_gpio0
        High, so that the board's radio does not take the FPGA over.
    led
        From the lowest: the clock runs (on and off about once a second), the core is busy, an error
        flag is set, the UART lost a byte; the others are dark.

    Latency: that of `UartBridge`, and of `HostCore` after it.
    """

    clk: Signal
    button_n: Signal
    uart_rx: Signal
    uart_tx: Signal
    wifi_gpio0: Signal
    led: Signal

    def __init__(self, core: CoreParams, clocking: Clocking) -> None:
        self.core, self.clocking = core, clocking
        self.bridge = UartBridge(clocking.clocks_per_bit)
        super().__init__(
            {
                "clk": In(1),
                "button_n": In(1),
                "uart_rx": In(1),
                "uart_tx": Out(1),
                "wifi_gpio0": Out(1),
                "led": Out(N_LEDS),
            }
        )

    @property
    def latency(self) -> int:
        """From the first bit of a byte to its command."""
        return self.bridge.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        domain: Any = ClockDomain("sync")
        m.domains.sync = domain
        locked = Signal()
        m.submodules.pll = self.clocking.pll.instance(self.clk, domain.clk, locked)
        m.submodules.reset = ResetSynchronizer(~locked | ~self.button_n, domain="sync")
        m.submodules.bridge = bridge = self.bridge
        m.submodules.host = host = HostCore(self.core)
        wiring.connect(m, bridge.registers, host.registers)
        wiring.connect(m, bridge.events, host.events)
        wiring.connect(m, host.results, bridge.results)
        beat = Signal(round(self.clocking.mhz * 1e6).bit_length())
        m.d.sync += beat.eq(beat + 1)
        m.d.comb += [
            bridge.rx.eq(self.uart_rx),
            self.uart_tx.eq(bridge.tx),
            self.wifi_gpio0.eq(1),
            self.led.eq(Cat(beat[-1], host.busy, host.error, bridge.lost)),
        ]
        return m
