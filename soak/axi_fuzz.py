"""Fuzzing the buses of a standard top: any address, strobe, word and stall that AXI allows; what
reaches the core is what was written, every access is answered, and the core recovers.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from driver.device import Device
from driver.simulated import SHIM as DRIVER
from driver.simulated import Simulated
from export.core import write_core
from golden.cost.cycles import watchdog_cycles
from golden.hardware.core import CoreParams
from golden.hardware.part import EventKind
from golden.integer import NetworkIntegers
from golden.interface import Field, read_verilog, without_head
from golden.registers import ADDRESS_WIDTH, AXI_TOP, Register, register_map
from rtl.streams import LOAD_ITEM, input_layout
from rtl.verilog.generate import fields_of, generate_axi
from soak.recovery import recovers
from tb.verilator import build_library

SHIM = Path(__file__).with_name("axi.cpp")
INNER = "inner_axi"
N_GAPS = 4096
FULL = 15  # strobes of a whole word
GAPS = (0, 0, 0, 0, 1, 1, 2, 3, 9, 40)
OKAY, SLAVE_ERROR = 0, 2
READABLE, WRITABLE = ("read", "read, clear"), ("write", "read, clear")
_POINTER, _NUMBER = ctypes.c_void_p, ctypes.c_int64


class _Channel(ctypes.Structure):
    _fields_ = (
        ("words", _POINTER), ("more", _POINTER), ("gaps", _POINTER), ("n", _NUMBER),
        ("sent", _NUMBER), ("waited", _NUMBER),
    )  # fmt: skip


class _Answers(ctypes.Structure):
    _fields_ = (
        ("words", _POINTER), ("more", _POINTER), ("gaps", _POINTER), ("room", _NUMBER),
        ("count", _NUMBER), ("waited", _NUMBER),
    )  # fmt: skip


class _Reached(ctypes.Structure):
    _fields_ = (("items", _POINTER), ("room", _NUMBER), ("count", _NUMBER))


class _Fuzz(ctypes.Structure):
    _fields_ = (
        *((name, _Channel) for name in ("addresses", "data", "reads", "events")),
        *((name, _Answers) for name in ("written", "read", "results")),
        ("loads", _Reached), ("items", _Reached), ("clears", _NUMBER), ("cycles", _NUMBER),
    )  # fmt: skip


@dataclass(frozen=True)
class TopModel:
    """A core within its standard top: its manifest and the library of its model."""

    manifest: Path
    core: CoreParams
    shared_object: Path


@dataclass
class Fuzzed:
    """What was done: accesses of registers, beats of events, cycles, items that were loaded and
    that entered the core, words of results, recoveries and inferences; every fault in words.
    """

    writes: int = 0
    reads: int = 0
    beats: int = 0
    cycles: int = 0
    loads: int = 0
    items: int = 0
    results: int = 0
    recoveries: int = 0
    inferences: int = 0
    problems: list[str] = field(default_factory=list)


def _shell(verilog: str, core: CoreParams) -> str:
    """Return the Verilog of a top of the same name and ports around the renamed one; beside these
    it shows what reaches the core.
    """
    declared = verilog[verilog.index(f"module {AXI_TOP}(") :]
    declared = declared[: declared.index("endmodule")]
    ports = re.findall(r"^  ((?:input|output)(?: \[\d+:0\])? \w+);", declared, re.M)
    width = max(of.offset + of.width for of in fields_of(input_layout(core)).values())
    load = max(of.offset + of.width for of in fields_of(LOAD_ITEM).values())
    shown = [
        "output loads", f"output [{load - 1}:0] load_item", "output enters",
        f"output [{width - 1}:0] item", "output clears",
    ]  # fmt: skip
    inside = "top.host.core"
    return f"""module {AXI_TOP} ({", ".join([*ports, *shown])});
    {INNER} top (.*);
    assign loads = {inside}.i_load__valid && {inside}.i_load__ready;
    assign load_item = {inside}.i_load__payload;
    assign enters = {inside}.i_events__valid && {inside}.i_events__ready;
    assign item = {inside}.i_events__payload;
    assign clears = {inside}.i_clear;
endmodule
"""


def build_top(
    network: NetworkIntegers, core: CoreParams, folder: Path, optimize: str = "-O3"
) -> TopModel:
    """Write a core within its standard top, and build its model."""
    manifest = write_core(network, core, folder)
    verilog = without_head(read_verilog(generate_axi(manifest)))
    sources = {
        "core.v": re.sub(rf"\b{AXI_TOP}(?=\b|__)", INNER, verilog),
        "shell.sv": _shell(verilog, core),
        SHIM.name: DRIVER.read_text() + SHIM.read_text(),
    }
    library = build_library(sources, AXI_TOP, folder / "verilator", optimize)
    return TopModel(manifest, core, library)


class Traffic:
    """What one call puts on the buses, drawn: accesses of registers and beats of events."""

    def __init__(self, rng: np.random.Generator, core: CoreParams, size: int) -> None:
        registers = register_map(core)
        offsets = [word for register in registers.values() for word in register.words]
        self._rng = rng

        def addresses() -> np.ndarray:
            anywhere = rng.integers(0, 1 << ADDRESS_WIDTH, size)
            known = rng.choice(offsets, size) + (rng.random(size) < 0.1) * rng.integers(0, 4, size)
            return np.where(rng.random(size) < 0.6, known, anywhere).astype(np.uint32)

        self.addresses, self.reads = addresses(), addresses()
        self.data = rng.integers(0, 1 << 32, size, dtype=np.uint32)
        strobes = np.where(rng.random(size) < 0.7, FULL, rng.integers(0, 16, size))
        self.strobes = strobes.astype(np.uint8)
        masks = np.array([0xFFFFFFFF, 0x4001000F, 0x0001000F, 0xC001000F], np.uint32)
        self.events = rng.integers(0, 1 << 32, size, dtype=np.uint32) & rng.choice(masks, size)
        last, user = rng.random(size) < 0.2, rng.random(size) < 0.05
        self.flags = (last + 2 * user).astype(np.uint8)

    def gaps(self, size: int) -> np.ndarray:
        """Draw gaps before transfers."""
        dense = self._rng.choice([0.0, 0.1, 1.0])
        found = self._rng.choice(GAPS, size) * (self._rng.random(size) < dense)
        return found.astype(np.uint16)


def items_of(core: CoreParams, words: np.ndarray, flags: np.ndarray) -> list[tuple[int, int, int]]:
    """Return the items (kind, address, payload) that beats become, as docs/integration.md says; of
    what is no event, address and payload are 0.
    """
    layer = core.network.layers[0]
    payload, found = layer.formats.payload, []
    width = fields_of(input_layout(core))["address"].width
    for word, flag in zip(words.tolist(), flags.tolist(), strict=True):
        address, value = word & 0xFFFF, word >> 16 & 0x3FFF
        value -= (value >> 13 << 14) if payload.signed else 0
        if value:
            fits = address < 1 << width and payload.min <= value <= payload.max
            found.append((EventKind.EVENT, address, value) if fits else (EventKind.INVALID, 0, 0))
        if word >> 30 & 1 or flag & 1:
            found.append((EventKind.END_TIMESTEP, 0, 0))
        if word >> 31 or flag & 2:
            found.append((EventKind.END_SEQUENCE, 0, 0))
    return found


def play(
    library: ctypes.CDLL, top: int, core: CoreParams, traffic: Traffic, fuzzed: Fuzzed
) -> None:
    """Put traffic on the buses of a top, and hold all that it does against what it should."""
    size, kept = len(traffic.data), []

    def pointer(array: np.ndarray) -> int:
        kept.append(np.ascontiguousarray(array))
        return kept[-1].ctypes.data

    def channel(words: np.ndarray, more: np.ndarray | None = None) -> _Channel:
        others = None if more is None else pointer(more)
        return _Channel(pointer(words), others, pointer(traffic.gaps(size)), size)

    rooms = {"written": size, "read": size, "results": 32 * size}
    words = {name: np.zeros(room, np.uint32) for name, room in rooms.items()}
    more = {name: np.zeros(room, np.uint8) for name, room in rooms.items()}
    reached = {"loads": np.zeros(size, np.uint64), "items": np.zeros(3 * size, np.uint64)}
    fuzz = _Fuzz(
        channel(traffic.addresses),
        channel(traffic.data, traffic.strobes),
        channel(traffic.reads),
        channel(traffic.events, traffic.flags),
        *(
            _Answers(words[n].ctypes.data, more[n].ctypes.data, pointer(traffic.gaps(N_GAPS)), room)
            for n, room in rooms.items()
        ),
        *(_Reached(items.ctypes.data, len(items)) for items in reached.values()),
    )
    library.axi_fuzz(top, ctypes.byref(fuzz), watchdog_cycles(core))
    fuzzed.cycles += fuzz.cycles
    fuzzed.writes += fuzz.written.count
    fuzzed.reads += fuzz.read.count
    fuzzed.beats += fuzz.events.sent
    fuzzed.loads += fuzz.loads.count
    fuzzed.items += fuzz.items.count
    fuzzed.results += fuzz.results.count

    def same(what: str, due: Sequence[object], came: Sequence[object]) -> None:
        if due == came:
            return
        both = zip([*due, None], [*came, None], strict=False)
        place, one, other = next((i, a, b) for i, (a, b) in enumerate(both) if a != b)
        fuzzed.problems.append(f"{what} {place}: {other} came, {one} is due")

    counts = [fuzz.addresses.sent, fuzz.data.sent, fuzz.reads.sent, fuzz.events.sent]
    same("transfers taken of a channel", [size] * 4, counts)
    registers = register_map(core)
    done = _written(registers, traffic)
    same("answer to a write", done.answers, more["written"][: fuzz.written.count].tolist())
    load = fields_of(LOAD_ITEM)
    loads = reached["loads"][: fuzz.loads.count]
    found = zip(_field(load["first"], loads), _field(load["data"], loads), strict=True)
    same("item of the load stream", done.loads, list(found))
    same("clears", [done.clears], [fuzz.clears])
    answers = more["read"][: fuzz.read.count].tolist()
    same("answer to a read", _readable(registers, traffic.reads), answers)
    known = {r.offset: r.value for r in registers.values() if r.value is not None}
    pairs = list(zip((traffic.reads & ~np.uint32(3)).tolist(), words["read"].tolist(), strict=True))
    values = [(address, value) for address, value in pairs if address in known]
    same("value of a register", [(address, known[address]) for address, _ in values], values)
    fields, items = fields_of(input_layout(core)), reached["items"][: fuzz.items.count]
    kinds = _field(fields["kind"], items)
    events = [(kind, *((a, p) if kind == EventKind.EVENT else (0, 0))) for kind, a, p in zip(
        kinds, _field(fields["address"], items), _field(fields["payload"], items), strict=True
    )]  # fmt: skip
    same("item of the events", list(items_of(core, traffic.events, traffic.flags)), list(events))


def _field(of: Field, items: np.ndarray) -> list[int]:
    """Return a field of packed items."""
    values = items >> np.uint64(of.offset) & np.uint64((1 << of.width) - 1)
    signed = values.astype(np.int64)
    return (signed - (signed >> (of.width - 1) << of.width) * of.signed).tolist()


@dataclass
class _Writes:
    answers: list[object]
    loads: list[object]
    clears: int


def _written(registers: dict[str, Register], traffic: Traffic) -> _Writes:
    """Return what writes do: only whole words of registers that can be written."""
    writable = {w for r in registers.values() if r.access in WRITABLE for w in r.words}
    header, data = registers["LOAD_HEADER"].offset, registers["LOAD_DATA"].words
    found = _Writes([], [], 0)
    writes = zip(
        (traffic.addresses & ~np.uint32(3)).tolist(), traffic.data.tolist(),
        traffic.strobes.tolist(), strict=True,
    )  # fmt: skip
    for address, word, strobes in writes:
        right = address in writable if strobes == FULL else strobes == 0
        found.answers.append(OKAY if right else SLAVE_ERROR)
        if strobes != FULL or not right:
            continue
        if address == header or address in data:
            found.loads.append((int(address == header), word))
        found.clears += address == registers["CONTROL"].offset and word & 1
    return found


def _readable(registers: dict[str, Register], addresses: np.ndarray) -> list[object]:
    readable = [w for r in registers.values() if r.access in READABLE for w in r.words]
    return np.where(np.isin(addresses & ~np.uint32(3), readable), OKAY, SLAVE_ERROR).tolist()


def fuzz_top(
    model: TopModel,
    payloads: np.ndarray,
    logits: np.ndarray,
    seed: int | list[int],
    bursts: int,
    size: int,
) -> Fuzzed:
    """Put bursts of `size` transfers on every channel of a top; after each, recover as the driver
    says, load the core, and let it infer sequences (B, K, M), whose logits (B, C) golden knows.
    """
    rng, fuzzed = np.random.default_rng(seed), Fuzzed()
    transport = Simulated(model.manifest, shared_object=model.shared_object)
    library = ctypes.CDLL(str(model.shared_object))
    library.axi_fuzz.argtypes = [_POINTER, _POINTER, _NUMBER]
    try:
        device = Device(transport, model.manifest)
        for burst in range(bursts):
            play(library, transport.top, model.core, Traffic(rng, model.core, size), fuzzed)
            if not recovers(device, payloads, logits, burst, fuzzed):
                break
    finally:
        transport.close()
    return fuzzed
