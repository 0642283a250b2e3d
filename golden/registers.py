"""What the standard top (`rtl.host.axi`) shows on its buses, written once: its registers, the words
of its two streams, and the numbers of what they name. No Torch.

The decoder of the registers, the C header and the Markdown page come from here
(`rtl.host.register_file`, `rtl.verilog.register_pages`), and so do a driver's constants:

    from golden.registers import EVENT_WORD, pack_word, register_map
    registers = register_map(core)
    registers["STATUS"].offset, registers["COUNTER"].words[core.counters.index("layer0.spikes")]
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Literal

import numpy as np

from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.memory import LOAD_WIDTH, MAX_DEPTH, MAX_MEMORIES, address_width
from golden.hardware.params import CHOICES, HardwareParams
from golden.params import MAX_INPUTS, LayerFormats, LayerParams
from golden.readout_params import ReadoutParams

AXI_TOP = "dmp_core_axi"  # the module
BUS_WIDTH = LOAD_WIDTH  # bits of a register, and of a word of a stream
WORD_BYTES = BUS_WIDTH // 8
ADDRESS_WIDTH = 14  # bits of a register's address in bytes: 16 KiB
IDENTIFICATION = int.from_bytes(b"DMPC", "big")
VERSION = 1 << 16 | 1  # of this map: an addition counts up the low half, a change the high one
LATENCY = 4  # cycles that the top adds to an inference: 2 on the way in, 2 to the class

Access = Literal["read", "write", "read, clear"]

# Options that came after the first version of `shape_word`: a core that does not use them keeps its
# shape.
LATER: dict[type, tuple[str, ...]] = {
    LayerParams: ("own_reset", "synapse", "per_neuron", "decay_rounding", "state_first"),
    LayerFormats: ("y", "alpha", "synapse_bias_width"),
    ReadoutParams: ("leaky", "leak", "decay_rounding", "report"),
    HardwareParams: (
        "reports",
        "segment_words",
        "counters",
        "hold_operands",
        "ablations",
        "graded",
        "list_buffers",
        "link_items",
        "input_items",
    ),
}


@dataclass(frozen=True)
class Bits:
    """`width` bits from bit `low` of a word; the rest of a word is 0."""

    name: str
    low: int
    width: int
    text: str

    @property
    def mask(self) -> int:
        return ((1 << self.width) - 1) << self.low


EVENT_WORD = (
    Bits("ADDRESS", 0, address_width(MAX_INPUTS), "the input that fires"),
    Bits(
        "PAYLOAD",
        16,
        14,
        "its payload (1 for a spike; with its sign where it has one); 0: the beat carries no event",
    ),
    Bits("END_TIMESTEP", 30, 1, "the timestep ends with this beat, as with TLAST"),
    Bits("END_SEQUENCE", 31, 1, "the sequence ends with this beat, as with TUSER"),
)
# Of a core with reports: one bit of the payload asks for them.
REPORTING_EVENT_WORD = (
    EVENT_WORD[0],
    replace(EVENT_WORD[1], width=13),
    Bits(
        "REPORT",
        29,
        1,
        "the results so far are asked for, after the end of the beat's timestep and before the end"
        " of its sequence; TLAST ends no timestep then",
    ),
    *EVENT_WORD[2:],
)
LOAD_HEADER_WORD = (
    Bits("ADDRESS", 0, address_width(MAX_DEPTH), "the first word that follows"),
    Bits("MEMORY", 24, address_width(MAX_MEMORIES), "its memory's number"),
)
CONTROL_BITS = (Bits("CLEAR", 0, 1, "1: clear every counter and every error flag at once"),)
STATUS_BITS = (
    Bits("BUSY", 0, 1, "a sequence has begun, or a result is not yet taken: load nothing now"),
    Bits("ERROR", 1, 1, "an error flag is set"),
)


def pack_word(layout: tuple[Bits, ...], **values: int) -> int:
    """Return a word of the given values, 0 for the others."""
    bits = {field.name.lower(): field for field in layout}
    word = 0
    for name, value in values.items():
        if not 0 <= value < 1 << bits[name].width:
            raise UserError(f"{name} is {value}: use 0 to {(1 << bits[name].width) - 1}")
        word |= value << bits[name].low
    return word


@dataclass(frozen=True)
class Register:
    """A register of `BUS_WIDTH` bits at byte address `offset`, or a window of `count` of them.

    `value` is what a read always returns, or None where the core answers; of what is in `bits`, the
    rest is 0.
    """

    name: str
    offset: int
    access: Access
    text: str
    value: int | None = None
    bits: tuple[Bits, ...] = ()
    count: int = 1

    @property
    def words(self) -> range:
        """The byte addresses of its words."""
        return range(self.offset, self.offset + WORD_BYTES * self.count, WORD_BYTES)


def event_word(core: CoreParams) -> tuple[Bits, ...]:
    """Return what a word of a core's event stream holds."""
    return REPORTING_EVENT_WORD if core.hardware.reports else EVENT_WORD


def _used(value: Any) -> Any:
    """Return a dataclass as JSON can hold it, without the `LATER` options that are not used."""
    if isinstance(value, tuple):
        return [_used(one) for one in value]
    if not is_dataclass(value):
        return value
    later = LATER.get(type(value), ())
    found = {field: getattr(value, field.name) for field in fields(value)}
    return {
        field.name: _used(content)
        for field, content in found.items()
        if field.name not in later or content != field.default
    }


def shape_word(core: CoreParams) -> int:
    """Return 32 bits of the SHA-256 of all that a core is built from: networks whose weights go
    into the same core have the same one. Names, weights and trace ports do not matter.
    """
    network = _used(replace(core.network, name="any"))
    network["readout"] = network.pop("output")  # as it was called first
    hardware = _used(replace(core.hardware, trace=False))
    content = json.dumps({"network": network, "hardware": hardware}, sort_keys=True)
    return int(hashlib.sha256(content.encode()).hexdigest()[:8], 16)


def register_map(core: CoreParams) -> dict[str, Register]:
    """Return the registers of a core's standard top by name, in the order of their addresses.

    The addresses are the same for every core; the windows' sizes and the values are the core's.

    Raises
    ------
    UserError
        The core has events, logits or counters for which the words have no room.
    """
    network, hardware = core.network, core.hardware
    first, readout = network.layers[0], network.output
    n_classes, logit_width = (readout.n_classes, readout.logit_width) if readout else (0, 0)
    most = {name: int(np.max(getattr(hardware, name))) for name in CHOICES}
    parameters = {
        "INPUTS": (first.n_inputs, "inputs of the network"),
        "CLASSES": (n_classes, "classes"),
        "LAYERS": (len(network.layers), "layers, without the readout"),
        "LANES": (most["lanes"], "neurons that a part processes together, at most"),
        "BLOCK": (hardware.block, "timesteps taken at once"),
        "EVENTS_PER_CYCLE": (
            most["events_per_cycle"],
            "events that a part adds in a cycle, at most",
        ),
        "PRODUCTS_PER_CYCLE": (
            most["products_per_cycle"],
            "products of a lane in a cycle, at most",
        ),
        "PAYLOAD_WIDTH": (first.formats.payload.width, "bits of an event's payload"),
        "LOGIT_WIDTH": (logit_width, "bits of a logit, before its sign is extended"),
        "MEMORIES": (len(core.memories), "memories to load"),
        "COUNTERS": (len(core.counters), "counters"),
        "ERROR_FLAGS": (len(core.errors), "error flags"),
    }
    payload_width = first.formats.payload.width
    most = event_word(core)[1].width
    if payload_width > most:
        top = "the AXI top of a core with reports" if core.hardware.reports else "the AXI top"
        raise UserError(f"payloads of {payload_width} bits: {top} takes at most {most}")
    if core.hardware.input_items > 1:
        raise UserError(
            f"input_items {core.hardware.input_items}: the AXI top and a board take one event a"
            " word, so use input_items of 1, or the core alone"
        )
    if logit_width > BUS_WIDTH:
        raise UserError(f"logits of {logit_width} bits: the AXI top sends at most {BUS_WIDTH}")
    registers = [
        Register("ID", 0x000, "read", 'identification: "DMPC"', IDENTIFICATION),
        Register("VERSION", 0x004, "read", "of this map: major in the high half, minor in the low",
                 VERSION),
        Register("SHAPE", 0x008, "read", "32 bits of a hash of all but the weights: images for a"
                 " core of another shape do not fit", shape_word(core)),
        Register("CONTROL", 0x00C, "write", "what is done once", bits=CONTROL_BITS),
        Register("STATUS", 0x010, "read", "what the core does", bits=STATUS_BITS),
        Register("LOAD_HEADER", 0x014, "write", "where the next word of memory goes; a word of"
                 " memory that is not complete is dropped", bits=LOAD_HEADER_WORD),
        Register("LOAD_DATA", 0x018, "write", "the next 32 bits of memory: of each word the"
                 " low ones first; the address counts up by itself"),
        *(
            Register(name, 0x020 + WORD_BYTES * index, "read", text, value)
            for index, (name, (value, text)) in enumerate(parameters.items())
        ),
        Register("ERROR", 0x080, "read, clear", "error flags, the first in the lowest bit; set"
                 " until a 1 is written to them, or CONTROL.CLEAR",
                 count=-(-len(core.errors) // BUS_WIDTH)),
        Register("COUNTER", 0x1000, "read", "a counter a word, each read at once; they wrap around",
                 count=len(core.counters)),
    ]  # fmt: skip
    if registers[-1].words.stop > 1 << ADDRESS_WIDTH:
        raise UserError(
            f"{len(core.counters)} counters: the AXI top shows at most"
            f" {((1 << ADDRESS_WIDTH) - registers[-1].offset) // WORD_BYTES}"
        )
    return {register.name: register for register in registers}
