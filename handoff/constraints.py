"""The constraints of the core's clock for several tools, from one figure."""

from __future__ import annotations

CLOCK = "clk"


def write_constraints(clock_mhz: float) -> dict[str, str]:
    """Return the text of constraints by the ending of their file: `sdc` (ASIC, Quartus, Gowin, and
    the open tools), `xdc` (Vivado), `lpf` (ECP5). They name no pins: a board's own file does.
    """
    period = f"{1000 / clock_mhz:.3f}"
    clock = f"create_clock -name {CLOCK} -period {period} [get_ports {CLOCK}]\n"
    return {
        "sdc": f"# {clock_mhz:g} MHz\n{clock}",
        # Out of context, what the core's ports hang on is not known: Vivado takes all as ideal.
        "xdc": f"# {clock_mhz:g} MHz\n{clock}",
        "lpf": f'# {clock_mhz:g} MHz\nFREQUENCY PORT "{CLOCK}" {clock_mhz:g} MHz;\n',
    }
