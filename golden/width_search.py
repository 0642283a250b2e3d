"""The fewest bits of memory within a stated loss: a search over the widths of weights, membranes
and leaks. No Torch.

It starts with the widest and narrows one width at a time: of those that stay within the loss it
goes on with the one that saves most, until none is left. What is at most as wide in every width as
one that lost more than twice the loss is not tried. So it tries a few tens of the hundreds of
combinations; a smaller one that only two steps at once reach is not found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from golden.errors import UserError
from golden.formats import Fixed
from golden.hardware.core import CoreParams
from golden.integer import NetworkIntegers, run
from golden.param_checks import check_number
from golden.params import LayerFormats
from golden.picture import clear_ticks
from golden.quantize import check_sequences, quantize
from golden.reals import NetworkReals, run_reals
from golden.table import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH = 250


@dataclass(frozen=True)
class Widths:
    """Bits of weights (all of them, the readout's too), of membranes, currents and their biases,
    and of leaks and other decays.
    """

    weights: int
    membranes: int
    leaks: int

    @property
    def formats(self) -> LayerFormats:
        """The formats that `quantize` takes the widths from."""
        weight, membrane = Fixed(self.weights), Fixed(self.membranes)
        leak = Fixed(self.leaks, self.leaks, signed=False)
        return LayerFormats(
            w_f=weight, w_x=weight, p=weight, u=membrane, y=membrane, leak=leak, alpha=leak,
            bias_width=self.membranes, synapse_bias_width=self.membranes,
        )  # fmt: skip


BITS = {"weight_bits": (2, 16), "membrane_bits": (6, 32), "leak_bits": (4, 24)}
WIDEST = Widths(16, 24, 16)
STEPS: dict[str, tuple[int, ...]] = {
    "weights": (16, 12, 10, 8, 7, 6, 5, 4, 3, 2),
    "membranes": (24, 20, 16, 14, 12, 11, 10, 9, 8, 7, 6),
    "leaks": (16, 12, 10, 8, 6, 4),
}


@dataclass(frozen=True)
class Trial:
    """Widths, and what they cost: the loss in points, and bits of all memories of a core. The loss
    is infinite where no format of these widths holds the network, and `network` then None.
    """

    widths: Widths
    loss: float
    memory_bits: int
    network: NetworkIntegers | None = field(repr=False, compare=False)

    @property
    def cost(self) -> tuple[int, float, int]:
        """What decides between two of them: of the same bits, the loss, then narrower numbers."""
        return self.memory_bits, self.loss, sum(astuple(self.widths))


@dataclass(frozen=True)
class WidthSearch:
    """All trials in their order, and the chosen one: the fewest bits within `max_loss`."""

    trials: list[Trial]
    chosen: Trial
    max_loss: float
    of: str

    def report(self) -> str:
        """Return a table of the trials, the fewest bits first."""
        head = ("weights", "membranes", "leaks", "loss / points", "memory / bits", "")
        rows = []
        for trial in sorted(self.trials, key=lambda one: one.cost):
            widths, known = trial.widths, np.isfinite(trial.loss)
            loss = f"{trial.loss:.2f}" if known else "no format"
            mark = "chosen" if trial is self.chosen else ""
            bits = trial.memory_bits if known else ""
            rows.append((widths.weights, widths.membranes, widths.leaks, loss, bits, mark))
        title = f"loss of {self.of}, at most {self.max_loss:g} points"
        return f"{title}\n{table(head, rows, left=[5])}"

    def picture(self) -> Figure:
        """Return a picture: the loss of every trial over its bits."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        known = [trial for trial in self.trials if np.isfinite(trial.loss)]
        axes.semilogx([one.memory_bits for one in known], [one.loss for one in known], ".")
        widths = self.chosen.widths
        label = f"weights {widths.weights}, membranes {widths.membranes}, leaks {widths.leaks} bits"
        axes.semilogx(self.chosen.memory_bits, self.chosen.loss, "o", label=label)
        axes.axhline(self.max_loss, color="gray", linestyle="--")
        axes.set(xlabel="memory / bits", ylabel=f"loss of {self.of} / points")
        clear_ticks(axes.xaxis)
        axes.grid(alpha=0.3)
        axes.legend()
        return figure


def search_widths(
    network: NetworkReals,
    calibration: np.ndarray,
    payloads: np.ndarray,
    labels: np.ndarray | Sequence[int] | None = None,
    *,
    max_loss: float,
    name: str = "searched",
    progress: Callable[[int], object] = lambda n: None,
) -> WidthSearch:
    """Search for the smallest core within a loss.

    Parameters
    ----------
    calibration
        Training sequences (B, K, M) of integer payloads that formats are chosen by.
    payloads
        Sequences that the loss is measured on: other ones.
    labels
        Their classes: the loss is one of accuracy against the reals. None: it is the share of
        sequences whose class is not that of the reals.
    max_loss
        The most, in points (1: of 100 sequences one).
    progress
        Called with 1 after each trial.

    Raises
    ------
    UserError
        Even the widest formats lose more, or there are no classes.
    """
    max_loss = check_number("max_loss", max_loss)
    payloads = check_sequences(network, payloads, "the search")
    if not len(network.b_o):
        raise UserError("a network without a readout has no classes to lose: give it a readout")
    right = None if labels is None else np.asarray(labels)
    if right is not None and right.shape != payloads.shape[:1]:
        raise UserError(f"{right.shape} labels of {len(payloads)} sequences: use one for each")
    real = _classes(payloads, lambda batch: run_reals(network, batch).logits.argmax(1))
    known: dict[Widths, Trial] = {}

    def attempt(widths: Widths) -> Trial:
        if widths not in known:
            known[widths] = _attempt(network, calibration, payloads, real, right, widths, name)
            progress(1)
        return known[widths]

    chosen = attempt(WIDEST)
    if chosen.loss > max_loss:
        raise UserError(
            f"even weights of {WIDEST.weights}, membranes of {WIDEST.membranes} and leaks of"
            f" {WIDEST.leaks} bits lose {chosen.loss:.2f} points: allow more than {max_loss:g}"
        )
    while True:
        lost = [trial.widths for trial in known.values() if trial.loss > 2 * max_loss]
        next_ones = [one for one in _narrower(chosen.widths) if not _within_one_of(one, lost)]
        tried = [attempt(widths) for widths in next_ones]
        within = [trial for trial in tried if trial.loss <= max_loss]
        if not within:
            break
        chosen = min(within, key=lambda trial: trial.cost)
    within = [trial for trial in known.values() if trial.loss <= max_loss]
    chosen = min(within, key=lambda trial: trial.cost)
    of = "accuracy" if right is not None else "classes equal to those in reals"
    return WidthSearch(list(known.values()), chosen, max_loss, of)


def _narrower(widths: Widths) -> list[Widths]:
    """Return the widths with one of them a step narrower."""
    found = []
    for name, steps in STEPS.items():
        place = steps.index(getattr(widths, name)) + 1
        if place < len(steps):
            found.append(replace(widths, **{name: steps[place]}))
    return found


def _within_one_of(widths: Widths, others: list[Widths]) -> bool:
    """Return whether all widths are at most those of one of the others."""
    return any(
        all(narrow <= wide for narrow, wide in zip(astuple(widths), astuple(other), strict=True))
        for other in others
    )


def _classes(payloads: np.ndarray, classify: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    batches = range(0, len(payloads), BATCH)
    return np.concatenate([classify(payloads[first : first + BATCH]) for first in batches])


def _attempt(
    network: NetworkReals,
    calibration: np.ndarray,
    payloads: np.ndarray,
    real: np.ndarray,
    right: np.ndarray | None,
    widths: Widths,
    name: str,
) -> Trial:
    try:
        integers = quantize(network, calibration, name, widths.formats, widths.weights).network
    except UserError:
        if widths == WIDEST:  # its message is the one to read
            raise
        return Trial(widths, float("inf"), 0, None)
    classes = _classes(payloads, lambda batch: run(integers, batch).classes)
    expected = real if right is None else right
    lost = int((real == expected).sum()) - int((classes == expected).sum())
    return Trial(widths, 100 * lost / len(real), CoreParams(integers.params).memory_bits, integers)
