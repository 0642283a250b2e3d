"""The phase-locked loop of an ECP5: from a board's clock to the core's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from amaranth.hdl import Instance, Signal

from golden.errors import UserError

# Lattice FPGA-DS-02012, sysCLOCK PLL timing: MHz of the phase detector, of the oscillator and of
# the output.
DETECTOR_MHZ = (3.125, 400.0)
OSCILLATOR_MHZ = (400.0, 800.0)
OUTPUT_MHZ = (3.125, 400.0)
MAX_DIVIDER = 128
MAX_FEEDBACK = 80


@dataclass(frozen=True)
class Pll:
    """The dividers of an EHXPLLL whose first output is fed back: it gives
    `input_mhz / divider * feedback`, and its oscillator runs `output_divider` times as fast.
    """

    input_mhz: float
    divider: int
    feedback: int
    output_divider: int

    @property
    def output_mhz(self) -> float:
        return self.input_mhz / self.divider * self.feedback

    def instance(self, clock: Signal, output: Signal, locked: Signal) -> Instance:
        """Return the cell; `locked` rises when `output` can be used."""
        return Instance(
            "EHXPLLL",
            a_FREQUENCY_PIN_CLKI=f"{self.input_mhz:g}",
            a_FREQUENCY_PIN_CLKOP=f"{self.output_mhz:g}",
            p_CLKI_DIV=self.divider,
            p_CLKFB_DIV=self.feedback,
            p_FEEDBK_PATH="CLKOP",
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=self.output_divider,
            p_CLKOP_CPHASE=self.output_divider - 1,
            p_CLKOP_FPHASE=0,
            i_CLKI=clock,
            i_CLKFB=output,
            i_RST=0,
            i_STDBY=0,
            i_PLLWAKESYNC=0,
            i_ENCLKOP=0,
            i_PHASESEL0=0,
            i_PHASESEL1=0,
            i_PHASEDIR=1,
            i_PHASESTEP=1,
            i_PHASELOADREG=1,
            o_CLKOP=output,
            o_LOCK=locked,
        )


def plls(input_mhz: float) -> Iterator[Pll]:
    """Yield every choice of dividers within the limits of the device, those with the fastest phase
    detector first.
    """

    def within(mhz: float, limits: tuple[float, float]) -> bool:
        return limits[0] <= mhz <= limits[1]

    for divider in range(1, MAX_DIVIDER + 1):
        for feedback in range(1, MAX_FEEDBACK + 1):
            pll = Pll(input_mhz, divider, feedback, 1)
            if not within(input_mhz / divider, DETECTOR_MHZ):
                continue
            if not within(pll.output_mhz, OUTPUT_MHZ):
                continue
            # The middle of the oscillator's range, or near it.
            middle = sum(OSCILLATOR_MHZ) / 2
            ratio = min(max(1, round(middle / pll.output_mhz)), MAX_DIVIDER)
            if within(pll.output_mhz * ratio, OSCILLATOR_MHZ):
                yield Pll(input_mhz, divider, feedback, ratio)


def find_pll(input_mhz: float, output_mhz: float) -> Pll:
    """Return the dividers that give exactly `output_mhz` (to a millionth), or raise `UserError`
    with the nearest ones.
    """
    found = list(plls(input_mhz))
    for pll in found:
        if abs(pll.output_mhz - output_mhz) <= 1e-6 * output_mhz:
            return pll
    near = sorted({pll.output_mhz for pll in found}, key=lambda mhz: abs(mhz - output_mhz))[:2]
    raise UserError(
        f"no divider of the PLL makes {output_mhz:g} MHz of {input_mhz:g} MHz: use"
        f" {' or '.join(f'{mhz:.7g}' for mhz in sorted(near))}"
    )


def fastest_pll(input_mhz: float, most_mhz: float) -> Pll:
    """Return the fastest PLL of at most `most_mhz`, or raise `UserError`."""
    found = [pll for pll in plls(input_mhz) if pll.output_mhz <= most_mhz]
    if not found:
        raise UserError(f"no divider of the PLL makes {most_mhz:g} MHz or less")
    return max(found, key=lambda pll: pll.output_mhz)
