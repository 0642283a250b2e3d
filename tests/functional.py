"""Functional coverage: what must meet in a network that a test runs on a core, as a table; and what
a drawn network reaches of it.
`make coverage` counts the networks of `make test` that reach each row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any
from unittest.mock import patch

import numpy as np

from golden import integer
from golden.blocks import block_starts
from golden.cost.timeline import Timeline
from golden.exact import divide, multiply
from golden.formats import Fixed
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.runs import Run
from tests.network_kinds import DRAWS
from tests.networks import Drawn
from tests.neuron_corners import OPTIONS, can_meet, options

# Networks of `make test` that were looked for, since no other one reaches some row: by draw, seeds.
DIRECTED: dict[str, tuple[int, ...]] = {
    "tiny": (202, 384, 726, 1126, 1677, 1708, 2474),
    "whole neurons": (344,),
}
HEADER = ("What happens", "Option", "Networks that meet it, by the option's value")
NONE = "**none**"
Row = tuple[str, str, str]  # what happens, an option, the value that it has there

# What is clamped, at each end of its format; a drive's smallest is 0. Each must meet each value of
# the options of its layer that its arithmetic, or the order of its steps, depends on,
CLAMPED: dict[str, tuple[str, ...]] = {
    "drive": ("inputs", "state", "delays", "T"),
    "state": ("state", "delays", "T", "K"),
    "current": ("alpha", "alpha of", "rounding", "inputs", "state", "delays", "T", "unit", "fold"),
    "membrane": (
        "reset", "current", "leak", "leak of", "threshold of", "reset of", "rounding", "inputs",
        "state", "delays", "T", "unit", "fold",
    ),
    "logit": ("logits", "results", "reports", "T"),
}  # fmt: skip
ENDS = ("smallest", "largest")
ARMS = {f"{what} at its {end}": what for what, end in product(CLAMPED, ENDS)}
# and when it happens: in a block that a sequence's end, or a report, cuts short; while the slow
# state's current is held; with the first timestep, when nothing is kept of a sequence before.
SHORT, PASSES = "a partial block", "a membrane passes its memory by"
WHEN = (SHORT, "a held current", "a first timestep")
# So must a block that is cut short, in each layer,
PARTIAL = ("reset", "current", "state", "T", "E", "K", "unit", "fold", "logits", "results")
# and a membrane that is read in the cycle in which it is written, and passes its memory by.
PASSING = ("reset", "current", "state", "T", "reports")
# What cannot meet, besides what no layer has (`can_meet`), and why.
NEVER = {
    # From a recurrent layer's walk to its next one its own spikes go round: 15 cycles more than
    # from a membrane's read to its write. A test holds this.
    (PASSES, "state", "own spikes"),
    # They take a timestep at a time.
    (SHORT, "T", "1"), (SHORT, "state", "own spikes"),
}  # fmt: skip


def _meet(what: str, option: str, value: str) -> bool:
    """Whether a layer in which something is clamped can have this value of an option."""
    fixed = {"drive": ("state", "always refreshed"), "state": ("state", "always refreshed"),
             "current": ("current", "one")}.get(what)  # fmt: skip
    if what in ("drive", "state") and option == "state":
        return value in ("always refreshed", "dilated")
    return fixed is None or fixed[0] == option or can_meet(fixed, (option, value))


ROWS: tuple[Row, ...] = (
    *((arm, option, value) for arm, what in ARMS.items() for option in CLAMPED[what]
      for value in OPTIONS[option] if _meet(what, option, value)),
    *((arm, "when", when) for arm, what in ARMS.items() for when in WHEN
      if when != "a held current" or what == "membrane"),
    *((what, option, value) for what, of in ((SHORT, PARTIAL), (PASSES, PASSING))
      for option in of for value in OPTIONS[option] if (what, option, value) not in NEVER),
)  # fmt: skip


@dataclass
class _Watch:
    """What was clamped in a run of golden: by what it is of, what, and the end, the timesteps."""

    found: dict[tuple[int, str], set[int]] = field(default_factory=dict)
    timestep: int = 0

    def note(self, of: int, what: str, value: np.ndarray, fmt: Fixed) -> None:
        for end, outside in zip(ENDS, (value < fmt.min, value > fmt.max), strict=True):
            if np.any(outside):
                self.found.setdefault((of, f"{what} at its {end}"), set()).add(self.timestep)


def watched(drawn: Drawn) -> tuple[Run, dict[tuple[int, str], set[int]]]:
    """Run golden; return also in which timesteps each arm was reached, by the layer's number (that
    of the readout is -1) and the arm.
    """
    watch = _Watch()
    places = {id(p): index for index, p in enumerate(drawn.network.params.layers)}
    step, of_readout = integer._Layer.step, integer._Readout.step
    saturate, in_readout = integer.saturate, False

    def layer_step(layer: Any, timestep: int, payloads: np.ndarray) -> np.ndarray:
        watch.timestep = timestep
        p = layer.params
        if p.n_state:
            total = multiply(payloads, layer.drive_weights)[:, 0] + layer.integers.b_x
            drive = divide(total, p.drive_sum.magnitude, p.drive_shift)
            positive = Fixed(p.formats.x.width, p.formats.x.frac, signed=False)
            watch.note(places[id(p)], "drive", np.minimum(drive, 0), positive)
        return step(layer, timestep, payloads)

    def layer_saturate(layer: Any, value: np.ndarray, fmt: Fixed, name: str) -> np.ndarray:
        what = "current" if name == "synapse" else name
        watch.note(places[id(layer.params)], what, value, fmt)
        kept, changed = saturate(value, fmt)
        layer.saturations[name] += changed.reshape(len(value), -1).sum(1)
        return kept

    def readout_step(readout: Any, spikes: np.ndarray) -> None:
        nonlocal in_readout
        in_readout = True
        of_readout(readout, spikes)
        in_readout = False

    def any_saturate(value: np.ndarray, fmt: Fixed) -> tuple[np.ndarray, np.ndarray]:
        if in_readout:
            watch.note(-1, "logit", value, fmt)
        return saturate(value, fmt)

    with (
        patch.object(integer._Layer, "step", layer_step),
        patch.object(integer._Layer, "_saturate", layer_saturate),
        patch.object(integer._Readout, "step", readout_step),
        patch.object(integer, "saturate", any_saturate),
    ):
        block, reports = drawn.hardware.block, drawn.reports
        done = integer.run(drawn.network, drawn.payloads, block=block, reports=reports, trace=True)
    return done, watch.found


def reached(drawn: Drawn) -> set[Row]:
    """Return the rows that a drawn network reaches on its hardware with its input."""
    core = CoreParams(drawn.network.params, drawn.hardware)
    done, found = watched(drawn)
    starts = Timeline(core, drawn.payloads, done.layers, drawn.reports).starts
    cut = np.concatenate(
        [
            np.arange(start, start + n)
            for start, n in zip(block_starts(done.lengths), done.lengths, strict=True)
            if n < core.hardware.block
        ]
        or [[]]
    )
    partial = set(cut.astype(int).tolist())
    rows: set[Row] = set()
    for index, layer in enumerate(core.layers):
        values = options(layer, drawn)
        happens = {SHORT: bool(partial), PASSES: passes(layer, starts[index])}
        for what in (what for what, does in happens.items() if does):
            rows |= {(what, option, value) for option, value in values.items()}
        for (of, arm), timesteps in found.items():
            if of in (index, -1):
                rows |= {(arm, option, value) for option, value in values.items()}
                rows |= {(arm, "when", when) for when in _when(layer, timesteps, partial)}
    return rows & set(ROWS)


def passes(layer: LayerHardware, starts: np.ndarray) -> bool:
    """Return whether a membrane is read in the cycle in which it is written, by the cycles in which
    the layer starts its blocks.
    """
    return bool((np.diff(starts.ravel()) == read_to_write(layer)).any())


def read_to_write(layer: LayerHardware) -> int:
    """Return the cycles from a membrane's read to the write of what its block leaves."""
    return layer.neuron_fold.latency + (layer.block - 1) * layer.interval


def _when(layer: LayerHardware, timesteps: set[int], partial: set[int]) -> Iterator[str]:
    if timesteps & partial:
        yield SHORT
    if 0 in timesteps:
        yield "a first timestep"
    dilation = layer.params.dilation if layer.params.n_state else 1
    if any(timestep % dilation for timestep in timesteps):
        yield "a held current"


def cells(cases: Iterable[tuple[str, int]]) -> list[list[str]]:
    """Return the table: what happens, an option, and how many of these networks, by draw and seed,
    meet it with each value of the option.
    """
    met = Counter(row for draw, seed in cases for row in reached(DRAWS[draw](seed)))
    found: dict[tuple[str, str], list[str]] = {}
    for what, option, value in ROWS:
        times = met[what, option, value]
        found.setdefault((what, option), []).append(f"{value}: {times or NONE}")
    return [[what, option, ", ".join(values)] for (what, option), values in found.items()]
