"""The commands of `dmp`: where each is, what it does in one line, and how it is called."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Literal

import click

Top = Literal["core", "axi"]


@dataclass(frozen=True)
class Making:
    """What a command needs to be there: a core with trace ports or without (None: as the user
    says), as Verilog of these tops, and on a board, which is another option of the command; and of
    a network with a readout, where it waits for results.
    """

    tops: tuple[Top, ...] = ("core",)
    trace: bool | None = False
    board: bool = False
    results: bool = False


@dataclass(frozen=True)
class Entry:
    """A command of another package: `place` is its module and name, `text` says what it does.

    With `making` that command takes a core's MANIFEST; `dmp` takes a NETWORK in its place, and
    makes the core first.
    """

    place: str
    text: str
    examples: tuple[str, ...]
    making: Making | None = None

    def load(self) -> click.Command:
        module, name = self.place.split(":")
        command: click.Command = getattr(import_module(module), name)
        return command


COMMANDS: dict[str, Entry] = {
    "doctor": Entry(
        "dmp_core.doctor:main",
        "Say what is installed, what is missing, and what to do",
        ("dmp doctor",),
    ),
    "import": Entry(
        "dmp_core.import_command:main",
        "Import a network from a file of NIR or of Lava",
        (
            "dmp import a.nir --dt 1e-4 --discretization euler --reset zero --calibration x.npz",
            "dmp import model.net --test x.npz --out nets/mine",
            "dmp sim nets/mine",
        ),
    ),
    "train": Entry(
        "golden.train.train_command:main",
        "Train a network of one of the presets",
        ("dmp train smnist --epochs 20", "dmp train spoken --data DATA --per-neuron"),
    ),
    "quantize": Entry(
        "export.commands:quantize",
        "Turn a trained network into integers, and store it",
        ("dmp quantize smnist --out nets/mine",),
    ),
    "accuracy": Entry(
        "export.commands:accuracy",
        "Measure the integers of a network on its whole test set",
        ("dmp accuracy smnist", "dmp accuracy nets/mine --data test.npz"),
    ),
    "events": Entry(
        "golden.data.events_command:command",
        "Bin events at times into a file of sequences",
        (
            "dmp events gestures.aer --timesteps 50 --step 10ms --inputs 256 --out gestures.npz",
            "dmp events shd.h5 --timesteps 100 --step 10ms --inputs 140 --channels 700 --out a.npz",
        ),
    ),
    "spoken": Entry(
        "golden.data.spoken_command:command",
        "Turn recordings of spoken digits into sequences",
        ("dmp spoken free-spoken-digit-dataset/recordings",),
    ),
    "split": Entry(
        "export.commands:split",
        "Cut a network into parts, whose cores are chained by spikes",
        ("dmp split rows 1 --out nets", "dmp split nets/big 1 3 --out nets"),
    ),
    "checkpoint": Entry(
        "export.commands:checkpoint",
        "Write stored integers as a checkpoint to train further",
        ("dmp checkpoint smnist",),
    ),
    "draw": Entry(
        "export.commands:draw",
        "Store a network of drawn numbers, to try a size",
        ("dmp draw big --neurons 256 --layers 2 --out nets/big",),
    ),
    "digits": Entry(
        "export.commands:digits",
        "Store some MNIST digits as the shipped ones are",
        ("dmp digits --count 20 --out digits.npz",),
    ),
    "fit": Entry(
        "dmp_core.fit_command:command",
        "Choose the hardware for a network under a budget",
        ("dmp fit smnist --multipliers 156 --block-rams 208", "dmp sim smnist --fit"),
    ),
    "export": Entry(
        "dmp_core.core_command:export",
        "Write the manifest and the memory images of a core",
        ("dmp export smnist --lanes 16", "dmp export nets/mine --reports --out build/mine"),
        Making(tops=(), trace=None),
    ),
    "rtl": Entry(
        "rtl.verilog.rtl_command:main",
        "Write the Verilog of a core",
        ("dmp rtl smnist --lanes 16", "dmp rtl nets/mine --top axi"),
        Making(tops=(), trace=None),
    ),
    "sim": Entry(
        "tb.sim_command:main",
        "Run sequences through the Verilog of a core, compare every value",
        ("dmp sim smnist --digits 3", "dmp sim nets/mine --data test.npz --lanes 16 --stalls 1"),
        Making(trace=True),
    ),
    "timeline": Entry(
        "tb.timeline:main",
        "Show where every cycle went",
        ("dmp timeline smnist --digits 2",),
        Making(trace=True),
    ),
    "waves": Entry(
        "tb.waves:main",
        "Write every signal as FST, with views",
        ("dmp waves smnist --digits 1 --timesteps 16",),
        Making(trace=True),
    ),
    "testset": Entry(
        "tb.batch:main",
        "Run a whole test set through the Verilog of a core",
        ("dmp testset smnist --block 8 --jobs 2 --out build/testset",),
        Making(results=True),
    ),
    "bench": Entry(
        "tb.bench:main", "Measure many cores of several networks", ("dmp bench --jobs 2",)
    ),
    "study": Entry(
        "study.run:main",
        "Train and measure architectures and ablations",
        ("dmp study --quick",),
    ),
    "chain": Entry(
        "dmp_core.chain_command:command",
        "Run the parts of a network through a chain of cores",
        (
            "dmp chain nets/rows_0 nets/rows_1 --lanes 8 --digits 2",
            "dmp chain nets/big_0 nets/big_1 nets/big_2 --fit",
        ),
    ),
    "host": Entry(
        "driver.__main__:main",
        "Stream sequences through a core's standard top, or a board",
        ("dmp host smnist --digits 3", "dmp host smnist --back-end uart --port /dev/ttyUSB0"),
        Making(tops=("axi",), results=True),
    ),
    "uart-sim": Entry(
        "tb.board:main",
        "Run sequences through a core on a board, with a UART at its pins",
        ("dmp uart-sim smnist --digits 2",),
        Making(tops=(), board=True, results=True),
    ),
    "synth": Entry(
        "rtl.synth.report:main",
        "Synthesize a core for a device; place and route it with seeds",
        ("dmp synth smnist --device ecp5-85k", "dmp synth smnist --seeds 4 --mhz 100"),
        Making(),
    ),
    "bitstream": Entry(
        "rtl.synth.bitstream:main",
        "Write a bitstream of a core for a board",
        ("dmp bitstream rows --board ulx3s-85f --mhz 50 --seeds 2",),
        Making(results=True),
    ),
    "netlist": Entry(
        "rtl.synth.netlist:main",
        "Check the netlist of a core; print the memory macros it needs",
        ("dmp netlist smnist",),
        Making(trace=True),
    ),
    "energy": Entry(
        "energy.command:main",
        "Tell the energy of real inferences, from a core's gates",
        (
            "dmp energy spoken --lanes 4",
            "dmp energy smnist --timesteps 100 --mhz 50",
            "dmp energy rows --estimate",
            "dmp energy rows --device ecp5-85k",
        ),
        Making(results=True),
    ),
    "energy-fit": Entry(
        "energy.estimate:main",
        "Fit the estimate of dmp energy to runs in gates",
        ("dmp energy-fit a/energy.json b/energy.json --out estimate.json",),
    ),
    "technology": Entry(
        "energy.technology_command:main",
        "Make the technology file of dmp energy from Liberty files",
        ("dmp technology --liberty cells.lib --sram sram.lib --out technology.json",),
    ),
    "package": Entry(
        "handoff.package_command:main",
        "Write what FuseSoC, Vivado, IP-XACT and LiteX read",
        ("dmp package smnist --sequences 2 --clock 100",),
        Making(tops=("core", "axi"), results=True),
    ),
}
