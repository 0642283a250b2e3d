"""The PLL's dividers: within the limits of the device, and such as Project Trellis finds them."""

from __future__ import annotations

import re
import subprocess

import pytest
from amaranth.back import rtlil  # pyright: ignore
from amaranth.hdl import Module, Signal

from golden.errors import UserError
from rtl.host.pll import fastest_pll, find_pll, plls
from rtl.synth.place import find_program


@pytest.mark.parametrize("mhz", [12.5, 50, 62.5, 75, 80, 100, 125, 200])
def test_a_clock_is_made_within_the_limits(mhz: float) -> None:
    """The output is what the divided input and the divided output of the oscillator agree on."""
    pll = find_pll(25.0, mhz)
    assert 25.0 / pll.divider == pytest.approx(mhz / pll.feedback) and pll.output_mhz == mhz
    assert 3.125 <= 25.0 / pll.divider <= 400 and 400 <= mhz * pll.output_divider <= 800
    assert 1 <= pll.divider <= 128 and 1 <= pll.feedback <= 80 and 1 <= pll.output_divider <= 128


@pytest.mark.parametrize("mhz", [75, 100])
def test_trellis_finds_the_same(mhz: float) -> None:
    command = [find_program("yowasp-ecppll"), "-i", "25", "-o", str(mhz)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    numbers = {
        name: float(re.search(rf"{name}: ([\d.]+)", said)[1])  # type: ignore[index]
        for name in ("Refclk divisor", "Feedback divisor", "clkout0 divisor", "VCO frequency")
    }
    pll = find_pll(25.0, mhz)
    assert [pll.divider, pll.feedback, pll.output_divider, mhz * pll.output_divider] == list(
        numbers.values()
    )


@pytest.mark.parametrize(
    ("mhz", "near"), [(101.3, "100 or 103.125"), (1, "3.125 or "), (500, " or 400")]
)
def test_no_divider_is_an_error_with_the_nearest_ones(mhz: float, near: str) -> None:
    with pytest.raises(UserError, match=f"no divider of the PLL makes {mhz:g} MHz .*{near}"):
        find_pll(25.0, mhz)


def test_the_fastest_below_a_clock() -> None:
    found = sorted({pll.output_mhz for pll in plls(25.0)})
    assert found[0] == 3.125 and found[-1] == 400.0
    for most in (3.2, 73.4, 99.99, 100.0):
        pll = fastest_pll(25.0, most)
        assert pll.output_mhz == max(mhz for mhz in found if mhz <= most)
        # The command takes it as it is printed.
        assert find_pll(25.0, float(f"{pll.output_mhz:.7g}")).output_mhz == pll.output_mhz
    with pytest.raises(UserError, match="no divider of the PLL makes 3 MHz or less"):
        fastest_pll(25.0, 3.0)


def test_the_pins_are_those_of_a_pll_that_runs_and_keeps_its_phase() -> None:
    """As `ecppll` writes them."""
    m = Module()
    clock, output, locked = Signal(name="clock"), Signal(name="output"), Signal(name="locked")
    m.submodules.pll = find_pll(25.0, 100.0).instance(clock, output, locked)
    written = rtlil.convert(m, ports=[clock, output, locked])
    found = dict(re.findall(r"connect \\(\w+) 1'(\d)$", written, re.M))
    low = ("RST", "STDBY", "PLLWAKESYNC", "ENCLKOP", "PHASESEL0", "PHASESEL1")
    high = ("PHASEDIR", "PHASESTEP", "PHASELOADREG")
    assert found == dict.fromkeys(low, "0") | dict.fromkeys(high, "1")
    # An output of 0 degrees is of a phase of one less than its divider.
    parameters = dict(re.findall(r"parameter \\(\w+) (\S+)$", written, re.M))
    divider = find_pll(25.0, 100.0).output_divider
    assert 400 <= 100 * divider <= 800
    assert parameters == {
        "CLKI_DIV": "1", "CLKFB_DIV": "4", "FEEDBK_PATH": '"CLKOP"', "CLKOP_ENABLE": '"ENABLED"',
        "CLKOP_DIV": str(divider), "CLKOP_CPHASE": str(divider - 1), "CLKOP_FPHASE": "0",
    }  # fmt: skip
