"""The registers of the standard top as a C header, and as a page in Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from golden.hardware.core import CoreParams
from golden.registers import (
    Bits,
    event_word,
    register_map,
)

_BUS = (
    "Written by `dmp rtl NETWORK --top axi`. Registers are words of 32 bits on"
    " AXI4-Lite (`s_axi`), offsets in bytes. Only whole words are written. What cannot be done is"
    " answered with SLVERR and does nothing: a write with some of its strobes, and every access to"
    " an address where there is nothing to read or to write; such a read returns 0. A write with no"
    " strobe does nothing, and is answered with OKAY."
)
_EVENTS = (
    "A beat is an event, an end of timestep and an end of sequence, as far as it has them, in this"
    " order. A timestep ends with TLAST, or with bit 30; a sequence with TUSER, or with bit 31, in"
    " the last beat of its last timestep. An empty timestep is a beat of zeros with TLAST. The bits"
    " serve a DMA, which has one TLAST at the end of a transfer, and no TUSER."
)
_REPORTS = (
    " With bit 29 a beat also asks for the results so far, after its end of timestep and before its"
    " end of sequence; in such a beat only bit 30 ends a timestep. A report changes nothing. Within"
    " a timestep it is ignored, and counted as `unclosed`."
)
_RESULTS = (
    "A packet a sequence{}: {} logits in the order of the classes, each a signed word, then a word"
    " with the class, which has TLAST."
)
_SPIKES = (
    "A word a spike, in the form of the words of `s_axis_events`: the address of the neuron, and a"
    " payload of 1. A word of its own ends each timestep, with END_TIMESTEP and TLAST, and each"
    " sequence, with END_SEQUENCE and TUSER. So the stream may enter another core."
)
_MEMORIES = (
    "Write `number << 24` to LOAD_HEADER, then the memory's words to LOAD_DATA, each in the"
    " writes of the table, the low bits first. Load every memory before the first event, and again"
    " only while STATUS.BUSY is 0; what was loaded outlasts a reset."
)


def _name(*parts: str) -> str:
    return "_".join(["DMP", *parts]).upper().replace(".", "_")


def _define(name: str, value: str | int, comment: str = "") -> str:
    shown = f"0x{value:08X}u" if isinstance(value, int) else value
    return f"#define {name:<44} {shown}" + (f"  /* {comment} */" if comment else "")


def _masks(prefix: str, layout: tuple[Bits, ...]) -> Iterable[str]:
    for bits in layout:
        yield _define(_name(prefix, bits.name, "shift"), f"{bits.low}u")
        yield _define(_name(prefix, bits.name, "mask"), bits.mask, bits.text)


def c_header(core: CoreParams) -> str:
    """Return the C header of a core: every register, the words of the streams, and the numbers of
    counters, error flags and memories.
    """
    guard = _name(core.network.name, "axi_h")
    lines = [
        f"/* Registers of dmp_core_axi, network {core.network.name}.",
        " * Written by `dmp rtl`.",
        " * Offsets are in bytes; a window is an array of 32-bit words. */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
    ]
    for register in register_map(core).values():
        if not register.count:
            continue
        lines.append(_define(_name(register.name, "offset"), register.offset, register.text))
        if register.value is not None:
            lines.append(_define(_name(register.name, "value"), register.value))
        if register.count > 1:
            lines.append(_define(_name(register.name, "words"), f"{register.count}u"))
        lines += _masks(register.name, register.bits)
    lines += ["", "/* Words of s_axis_events. */", *_masks("event", event_word(core))]
    lines += ["", "/* Counters: words of the window. */"]
    lines += [_define(_name("counter", n), f"{i}u") for i, n in enumerate(core.counters)]
    lines += ["", "/* Error flags: bits of the window. */"]
    lines += [_define(_name("error", n), f"{i}u") for i, n in enumerate(core.errors)]
    lines += ["", "/* Memories: their numbers, words, and writes of LOAD_DATA a word. */"]
    for number, (name, memory) in enumerate(core.memories.items()):
        lines += [
            _define(_name("memory", name), f"{number}u"),
            _define(_name("memory", name, "depth"), f"{memory.depth}u"),
            _define(_name("memory", name, "items"), f"{memory.items}u"),
        ]
    return "\n".join([*lines, "", "#endif", ""])


def _table(head: tuple[str, ...], rows: Iterable[Iterable[object]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def _bits(layout: tuple[Bits, ...]) -> list[str]:
    def place(bits: Bits) -> str:
        high = bits.low + bits.width - 1
        return str(high) if bits.width == 1 else f"{high}:{bits.low}"

    rows = ((place(bits), bits.name, bits.text) for bits in layout)
    return _table(("Bits", "Name", "Meaning"), rows)


def _output(core: CoreParams) -> list[str]:
    readout = core.network.output
    if readout is None:
        return ["## Spikes: `m_axis_spikes`", "", _SPIKES]
    reports = ", and one a report" if core.hardware.reports else ""
    return ["## Results: `m_axis_results`", "", _RESULTS.format(reports, readout.n_classes)]


def markdown(core: CoreParams) -> str:
    """Return the page about the registers and the stream words of a core."""
    registers, reports = register_map(core).values(), core.hardware.reports
    lines = [
        f"# Registers of dmp_core_axi, network {core.network.name}",
        "",
        _BUS,
        "",
        *_table(
            ("Offset", "Name", "Access", "Value", "Meaning"),
            (
                (
                    f"0x{r.offset:04X}" + (f" - 0x{r.words[-1]:04X}" if r.count > 1 else ""),
                    r.name,
                    r.access,
                    "" if r.value is None else f"0x{r.value:08X}",
                    r.text,
                )
                for r in registers
                if r.count
            ),
        ),
    ]
    for register in registers:
        if register.bits:
            lines += [f"## {register.name}", "", *_bits(register.bits)]
    lines += [
        "## Events: `s_axis_events`",
        "",
        _EVENTS + (_REPORTS if reports else ""),
        "",
        *_bits(event_word(core)),
        *_output(core),
        "",
        "## Memories",
        "",
        _MEMORIES,
        "",
        *_table(
            ("Number", "Memory", "Words", "Bits", "Writes a word"),
            (
                (number, name, memory.depth, memory.width, memory.items)
                for number, (name, memory) in enumerate(core.memories.items())
            ),
        ),
        "## Error flags",
        "",
        *_table(("Bit", "Flag"), enumerate(core.errors)),
        "## Counters",
        "",
        *_table(("Word", "Counter"), enumerate(core.counters)),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"
