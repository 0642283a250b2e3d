r"""Names that a reader of the Verilog can follow: nothing is escaped, nothing has a cell's number.

Amaranth numbers the signals of one name in a module (`\valid$25`), and calls the elements of an
array by brackets (`\sums[0][3]`). Here these are `valid_2` and `sums_0_3`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_NAME = re.compile(r"[\\$]\S+")
_WIRE = re.compile(r"  wire width (\d+)(?: (input|output) \d+ )?( signed)? (\S+)$")
_NAMED = re.compile(r"  (wire|memory|cell) (?:.* )?(\\\S+)$")
# Reserved by IEEE 1364-2005 or 1800-2017.
_RESERVED = frozenset(
    """
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic
    before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle
    checker class clocking cmos config const constraint context continue cover covergroup coverpoint
    cross deassign default defparam design disable dist do edge else end endcase endchecker endclass
    endclocking endconfig endfunction endgenerate endgroup endinterface endmodule endpackage
    endprimitive endprogram endproperty endsequence endspecify endtable endtask enum event
    eventually expect export extends extern final first_match for force foreach forever fork
    forkjoin function generate genvar global highz0 highz1 if iff ifnone ignore_bins illegal_bins
    implements implies import incdir include initial inout input inside instance int integer
    interconnect interface intersect join join_any join_none large let liblist library local
    localparam logic longint macromodule matches medium modport module nand negedge nettype new
    nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter pmos
    posedge primitive priority program property protected pull0 pull1 pulldown pullup
    pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime
    ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always
    s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled
    signed small soft solve specify specparam static string strong strong0 strong1 struct super
    supply0 supply1 sync_accept_on sync_reject_on table tagged task this throughout time
    timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef union
    unique unique0 unsigned until until_with untyped use uwire var vectored virtual void wait
    wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
    """.split()
)


def with_plain_names(module: str, ports: Sequence[str]) -> str:
    """Return the RTLIL text of a module (of `amaranth.back.rtlil`) with plain names, and its ports
    in the order of `ports`, of which it may lack some.

    Wires of no bits are left out: Verilog has none.
    """
    lines = module.splitlines()
    wires = [wire for line in lines if (wire := _WIRE.match(line))]
    empty = {wire[4] for wire in wires if wire[1] == "0"}
    names = _choose_names(lines, ports)
    written = names | dict.fromkeys(empty, "{ }")
    places = {f"\\{port}": place for place, port in enumerate(ports, 1)}

    def rename(line: str) -> str:
        return _NAME.sub(lambda found: written.get(found[0], found[0]), line)

    def rewritten() -> Iterator[str]:
        for line in lines:
            words, wire = line.split(), _WIRE.match(line)
            if wire and wire[4] in empty or words[:1] == ["connect"] and words[1] in empty:
                continue
            if wire and wire[2]:
                place = f"{wire[2]} {places[wire[4]]}{wire[3] or ''}"
                yield f"  wire width {wire[1]} {place} {names[wire[4]]}"
            elif words[:1] == ["cell"]:
                yield f"  cell {words[1]} {rename(words[2])}"
            elif line.startswith("    connect "):
                port, value = line.split(maxsplit=2)[1:]
                yield f"    connect {port} {rename(value)}"
            elif words[:2] == ["parameter", "\\MEMID"]:
                memory = words[2].strip('"').replace("\\\\", "\\")
                yield line.replace(words[2], f'"\\{names[memory]}"')
            elif words[:1] in (["attribute"], ["parameter"], ["module"]):
                yield line
            else:
                yield rename(line)

    return "\n".join(rewritten()) + "\n"


def _choose_names(lines: Sequence[str], ports: Sequence[str]) -> dict[str, str]:
    """Return new names for the public ones of a module. Ports keep theirs, then instances, then
    whatever Amaranth did not have to number.
    """
    named = [(found[1], found[2]) for line in lines if (found := _NAMED.match(line))]
    named.sort(key=lambda found: (found[0] != "cell", "$" in found[1]))
    public = [name for _, name in named]
    used: set[str] = set()
    names = {}
    for name in dict.fromkeys([*(f"\\{port}" for port in ports), *public]):
        names[name] = f"\\{_unused(_plain(name), used)}"
    return names


def _plain(name: str) -> str:
    """Return a name without its number and with nothing that must be escaped."""
    plain = re.sub(r"\$\d+", "", name[1:])
    plain = re.sub(r"\W+", "_", plain.replace(".", "__")).strip("_") or "unnamed"
    return f"{plain}_" if plain in _RESERVED else plain


def _unused(name: str, used: set[str]) -> str:
    """Return the name, or its first free variant, and mark it as used."""
    choices = (name if number == 1 else f"{name}_{number}" for number in range(1, len(used) + 3))
    found = next(choice for choice in choices if choice not in used)
    used.add(found)
    return found
