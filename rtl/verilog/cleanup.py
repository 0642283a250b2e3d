"""What is left of Yosys in its Verilog is taken out; what simulators need is added."""

from __future__ import annotations

import re
from collections import Counter


def without_traces_of_yosys(verilog: str) -> str:
    """Return Verilog without the line with Yosys' version, the attributes of wires that follow a
    register, names that must be escaped (of registers for some bits of a word), and wires whose
    only use was optimized away.
    """
    body = verilog.split("\n", 1)[1]
    body = re.sub(r"\\(\w+)\[(\d+)\] ", r"\1_\2", body)
    body = re.sub(r"\\(\w+)\[(\d+):(\d+)\] ", r"\1_\2_\3", body)
    body = re.sub(r"^ *\(\* init = \S+ \*\)\n", "", body, flags=re.M)
    modules = body.split("\nendmodule\n")
    return "\nendmodule\n".join(_with_named_registers(_without_undriven(text)) for text in modules)


def _without_undriven(module: str) -> str:
    """Return a module without wires that nothing drives: what drove them had no use, and only other
    names for them are left.
    """
    uses = Counter(re.findall(r"\w+", module))
    wires = set(re.findall(r"^  wire (?:signed )?(?:\[\d+:0\] )?(\w+);$", module, re.M))
    aliases = re.findall(r"^  assign (\w+) = (\w+)(?: ?\[[\d:]+\])?;$", module, re.M)
    # The declaration, and the name that it is given to, are all there is of them.
    unused = {wire for wire in wires if uses[wire] == 1}
    unused |= {wire for alias in aliases for wire in alias
               if wires.issuperset(alias) and uses[alias[0]] == uses[alias[1]] == 2}  # fmt: skip
    for wire in sorted(unused):
        module = re.sub(rf"^  (?:wire|assign) (?:.* )?{wire}(?: = .*)?;\n", "", module, flags=re.M)
    return module


def _with_named_registers(module: str) -> str:
    """Return a module whose registers are all named: the word that was read after its memory, any
    other one after the signal that it drives, of which Yosys found some bits to be constant.
    """
    used = set(re.findall(r"\w+", module))
    for register in re.findall(r"^ *reg (?:\[\d+:0\] )?(_\d+_)\b", module, re.M):
        memory = re.search(rf"^ *{register} <= (\w+)\[(?!\d+(?::\d+)?\]).*;$", module, re.M)
        driven = re.search(rf"^ *assign (?:\{{ *)?(\w+).* = .*\b{register}\b", module, re.M)
        found = f"{memory[1]}_word" if memory else f"{driven[1]}_register" if driven else None
        if found is None:
            continue
        name = next(n for n in (found, *(f"{found}_{i}" for i in range(2, 99))) if n not in used)
        used.add(name)
        module = re.sub(rf"\b{register}\b", name, module)
    return module


def with_known_memories(verilog: str) -> str:
    """Return Verilog in which memories, and what was last read of them, start as 0 in simulators.

    What a core reads before it was written it multiplies by 0, which synthesis may rely on; but to
    a simulator of four values, an unknown number times 0 is unknown.
    """
    modules = verilog.split("\nendmodule\n")
    for index, text in enumerate(modules):
        memories = re.findall(r"^ *reg (?:\[\d+:0\] )?(\w+) \[(\d+):0\];", text, re.M)
        registers = re.findall(r"^ *reg (?:\[\d+:0\] )?(\w+);", text, re.M)
        if not memories + registers:
            continue
        lines = ["`ifndef SYNTHESIS", "  integer simulated_word;", "  initial begin"]
        for name, last in memories:
            lines.append(
                "    for (simulated_word = 0;"
                f" simulated_word <= {last}; simulated_word = simulated_word + 1)"
            )
            lines.append(f"      {name}[simulated_word] = 0;")
        lines += [f"    {name} = 0;" for name in registers]
        modules[index] = "\n".join([text, *lines, "  end", "`endif"])
    return "\nendmodule\n".join(modules)


def with_copies_apart(verilog: str) -> str:
    """Return Verilog in which bits that are copies of others of their wire, as those of a sign,
    have an assignment each: several in one are a loop to Verilator.
    """
    bit = r"\w+ ?\[\d+\]"

    def written(found: re.Match[str]) -> str:
        to, of = (side.split(", ") for side in found.groups())
        names = [{re.split(r" ?\[", part)[0] for part in side} for side in (to, of)]
        if len(to) != len(of) or not names[0] & names[1]:
            return found[0]
        return "\n".join(f"  assign {a} = {b};" for a, b in zip(to, of, strict=True))

    several = rf"\{{ ({bit}(?:, {bit})+) \}}"
    return re.sub(rf"^  assign {several} = {several};$", written, verilog, flags=re.M)


def with_claims(verilog: str) -> str:
    """Return Verilog of Yosys with each `assert` as plain Verilog that synthesis leaves out: an
    error that says what is claimed and ends a simulation, which knows the place.
    """
    one = (
        r"    if \(1'h1\) begin\n      if \(!(\S+)\)\n        \$write\((\".*\")\);\n"
        r"      assert \(\1\);\n    end\n"
    )

    def written(found: re.Match[str]) -> str:
        claims = [(holds, text) for holds, text in re.findall(one, found[0]) if holds != "1'h1"]
        lines = [f"    if (!{holds}) $error({text});" for holds, text in claims]
        body = "\n".join(["`ifndef SYNTHESIS", "  always @(posedge clk) begin", *lines, "  end"])
        return f"{body}\n`endif\n" if claims else ""

    return re.sub(rf"  always @\(posedge clk\) begin\n(?:{one})+  end\n", written, verilog)


def with_comments(verilog: str, comments: dict[str, str]) -> str:
    """Return Verilog with a comment above each module, by the module's name."""

    def commented(found: re.Match[str]) -> str:
        return comments[found[1]] + found[0]

    return re.sub(r"^module (\w+)", commented, verilog, flags=re.M)
