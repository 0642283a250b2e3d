"""Cores within their standard tops in Verilator, one or a chain of them: built, driven by
cocotbext-axi, and the beats, packets, counters and flags that they take and send.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.core import read_images
from export.images import unpack
from golden.hardware.core import CoreParams
from golden.hardware.memory import load_header
from golden.integer import NetworkIntegers
from golden.registers import AXI_TOP, EVENT_WORD, pack_word, register_map
from golden.runs import Run
from tb.verilator import build_model, run_model
from tests import axi_testbench

FAST = "-O0"
TESTBENCH = "axi_testbench"


@dataclass(frozen=True)
class Built:
    """A core within its top, ready to be simulated."""

    core: CoreParams
    network: NetworkIntegers  # unpacked from the words that are loaded
    images: dict[str, list[int]]
    model: Path

    def run(self, folder: Path, *steps: dict[str, Any]) -> list[Any]:
        """Do these steps (see `axi_testbench`) and return what each received."""
        folder.mkdir(exist_ok=True)
        (folder / "job.json").write_text(json.dumps(steps))
        variables = {axi_testbench.JOB_VARIABLE: str(folder)}
        run_model(self.model, TESTBENCH, axi_testbench.__name__, folder, variables)
        return json.loads((folder / axi_testbench.RECORD).read_text())

    @property
    def loads(self) -> list[list[int]]:
        """The writes that load every memory."""
        registers = register_map(self.core)
        header, data = registers["LOAD_HEADER"].offset, registers["LOAD_DATA"].offset
        writes = []
        for number, (name, memory) in enumerate(self.core.memories.items()):
            writes.append([header, load_header(number)])
            for word in self.images[name]:
                content = word.to_bytes(-(-memory.width // 32) * 4, "little")
                writes += [
                    [data, int.from_bytes(content[i : i + 4], "little")]
                    for i in range(0, len(content), 4)
                ]
        return writes


def write_wrapper(verilogs: Sequence[str]) -> str:
    """Return the Verilog of a module with the tops in it, whose ports are signals that cocotb
    finds. Of several, called `AXI_TOP`, number and all, each sends its spikes to the next one.
    """
    last = len(verilogs) - 1
    signals: dict[str, str] = {}
    instances = ""
    top = re.compile(rf"^module ({AXI_TOP}\d*)\((.*?)^endmodule", re.M | re.S)
    port = re.compile(r"^\s*(?:input|output)\s+(\[\d+:0\])?\s*(\w+);", re.M)
    for number, verilog in enumerate(verilogs):
        module, body = top.findall(verilog)[0]
        connections = []
        for width, name in port.findall(body):
            signal = name.replace("m_axis_spikes", f"link{number}")
            if number:
                signal = signal.replace("s_axis_events", f"link{number - 1}")
            if number != last:
                signal = signal.replace("s_axi_", f"s_axi{number}_")
            signals[signal] = f"    logic {width} {signal} /*verilator public_flat_rw*/;\n"
            connections.append(f".{name}({signal})")
        instances += f"    {module} top{number} ({', '.join(connections)});\n"
    return f"module {TESTBENCH};\n{''.join(signals.values())}{instances}endmodule\n"


def build(manifest: Path) -> Built:
    """Build a core whose Verilog is beside its manifest, unless it is built."""
    return build_chain([manifest])[0]


def build_chain(manifests: Sequence[Path]) -> list[Built]:
    """Build cores, each of which sends its spikes to the next one; each has the model of all. The
    modules of several get other names.
    """
    found = [read_images(manifest) for manifest in manifests]
    sources = {}
    for number, (manifest, (core, _)) in enumerate(zip(manifests, found, strict=True)):
        verilog = manifest.parent / f"{core.network.name}_axi.v"
        text = verilog.read_text()
        if len(manifests) > 1:
            text = re.sub(rf"\b{AXI_TOP}", f"{AXI_TOP}{number}", text)
        sources[verilog.name] = text
    sources[f"{TESTBENCH}.sv"] = write_wrapper(list(sources.values()))
    model = build_model(sources, TESTBENCH, manifests[-1].parent / "verilator", FAST)
    return [Built(core, unpack(images, core), images, model) for core, images in found]


def event(address: int, payload: int) -> int:
    return pack_word(EVENT_WORD, address=address, payload=payload)


def to_beats(payloads: np.ndarray, rng: np.random.Generator, idle: float = 0) -> list[list[int]]:
    """Return the beats (word, TLAST, TUSER) of sequences (B, K, M): events in any order, each end
    in any of its forms, in the beat of an event or in one of its own; `idle` is how often beats
    that hold nothing come between them. The last one has TLAST.
    """
    beats: list[list[int]] = []
    n_sequences, n_timesteps, _ = payloads.shape
    forms = ((0, 1), (1, 0), (1, 1))  # of an end: by its bit of the word, by its signal
    for sequence, timestep in np.ndindex(n_sequences, n_timesteps):
        fired = rng.permutation(np.flatnonzero(payloads[sequence, timestep])).tolist()
        found = [[event(a, int(payloads[sequence, timestep, a])), 0, 0] for a in fired]
        if not found or rng.random() < 0.3:
            found.append([event(int(rng.integers(1 << 16)), 0), 0, 0])
        ends = timestep == n_timesteps - 1
        final = ends and sequence == n_sequences - 1
        bit, last = forms[0] if final else rng.choice(forms).tolist()
        found[-1][0] |= bit << 30
        found[-1][1] = last
        if ends:
            if not final and rng.random() < 0.5:
                found.append([0, 0, 0])
            bit, user = rng.choice(forms).tolist()
            found[-1][0] |= bit << 31
            found[-1][2] = user
        for beat in found:
            while rng.random() < idle:
                beats.append([event(int(rng.integers(1 << 16)), 0), 0, 0])
            beats.append(beat)
    return beats


def to_packets(golden: Run) -> list[list[int]]:
    """Return the packets that are to be received: logits as unsigned words, then the class."""
    classes = golden.classes.tolist()
    packets = zip(golden.logits.tolist(), classes, strict=True)
    return [[logit % (1 << 32) for logit in logits] + [best] for logits, best in packets]


def places(core: CoreParams, names: Sequence[str]) -> list[int]:
    """Return the addresses of counters."""
    words = register_map(core)["COUNTER"].words
    return [words[core.counters.index(name)] for name in names]


def flags(core: CoreParams, names: Iterable[str]) -> int:
    """Return the first word of the error flags with these set."""
    return sum(1 << core.errors.index(name) for name in set(names))
