"""The warnings of `verilator -Wall` that generated Verilog is let off, each with its reason: the
only place that names them.
"""

from __future__ import annotations

WAIVERS = {
    "DECLFILENAME": "a file holds all modules of a core and is named after its network",
    "UNUSEDSIGNAL": "wires that only give a part of another one the name of its source remain",
    "PROCASSINIT": "registers start with the value that reset gives them, or with 0 if it does not",
    "WIDTHEXPAND": "operands are as wide as their values need: constants above all",
    "WIDTHTRUNC": "`!` is applied to a whole word, as a comparison with 0",
    "CASEOVERLAP": "of several exclusive choices, each is a case of which the other bits are free",
    "CMPCONST": "comparisons with the largest value of a width remain where a size is one",
    "UNSIGNED": "comparisons with 0 remain where a size is one",
}


def write_waivers() -> str:
    """Return the waivers as Verilator's configuration file."""
    rules = "".join(f"// {why}\nlint_off -rule {rule}\n" for rule, why in WAIVERS.items())
    return f"`verilator_config\n{rules}"
