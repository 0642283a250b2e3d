"""Rounds: from one power-up to the next, a core is given steps; and a failed one as a test."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from golden.errors import UserError
from soak.cores import Built, Core
from soak.draws import draw_steps
from soak.reduce import reduce
from soak.steps import Soaked, Step, Tally

N_STEPS = 4  # of a round
SIZE = 6_000  # timesteps of a step


def give(built: Built, power_up: int, steps: Sequence[Step], tally: Tally) -> None:
    """Power a core up, and give it steps until something differs."""
    before = cycles(built)
    with built.powered(power_up, steps[0].variant) as compiled:
        soaked = Soaked(built, compiled, steps[0].variant, tally)
        try:
            for step in steps:
                if not tally.problems:
                    soaked.give(step)
        except UserError as error:  # a claim of a component
            tally.problems.append(str(error))
    tally.cycles += cycles(built) - before


def cycles(built: Built) -> int:
    """Return the cycles that the library of a core has simulated in this process."""
    library = ctypes.CDLL(str(built.shared_object))
    library.soak_cycles.restype = ctypes.c_int64
    return library.soak_cycles()


def check(built: Built, power_up: int, steps: Sequence[Step]) -> list[str]:
    """Return every difference between a core and golden, in words: of a power-up with this seed,
    and steps up to the first one with a difference.
    """
    tally = Tally()
    give(built, power_up, steps, tally)
    return tally.problems


def draw_round(
    built: Built, seed: int, power_up: int, n_steps: int = N_STEPS, size: int = SIZE
) -> list[Step]:
    """Draw the steps of a round; one power-up is one round."""
    return draw_steps(built, np.random.default_rng([seed, power_up]), n_steps, size)


def reduced(built: Built, power_up: int, steps: Sequence[Step]) -> list[Step]:
    """Return the fewest and shortest steps found with which the core still differs."""
    return reduce(lambda fewer: bool(check(built, power_up, fewer)), list(steps))


def as_test(core: Core, power_up: int, steps: Sequence[Step]) -> str:
    """Return a test that fails as long as these steps make a core differ."""
    name = f"{core.kind}_{core.seed}".replace(" ", "_")
    lines = []
    for step in steps:
        parts = [f"{step.variant}, np.array({step.items.tolist()})"]
        parts += [
            f"{of}=np.array({gaps.tolist()})"
            for of, gaps in (("event_gaps", step.event_gaps), ("output_gaps", step.output_gaps))
            if gaps.any()
        ]
        parts += [] if step.cut is None else [f"cut={step.cut}"]
        lines.append(f"        Step({', '.join(parts)}),")
    return f"""def test_soak_{name}(tmp_path: Path) -> None:
    steps = [
{chr(10).join(lines)}
    ]
    assert check({core!r}.build(tmp_path), {power_up}, steps) == []
"""


def build(core: Core, folder: Path) -> Built:
    """Build a core in a folder of its own."""
    return core.build(folder / f"{core.kind}-{core.seed}".replace(" ", "-"))
