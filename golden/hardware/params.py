"""What the user turns on a core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast

from golden.errors import UserError
from golden.hardware.memory import MAX_DEPTH, SEGMENT_WORDS
from golden.param_checks import check_one_of, check_type, check_whole

BLOCKS = (1, 2, 4, 8, 16)
# One number for all parts of a core, or one each: the layers in order, then the readout.
Each = TypeVar("Each", bound=int | tuple[int, ...], covariant=True)
LIST_BUFFERS = (3, 6)
LINK_ITEMS = (1, 2, 4)
EVENTS = (1, 2, 4)
CHOICES = {"lanes": range(1, 1025), "events_per_cycle": EVENTS, "products_per_cycle": range(1, 9)}
COUNTED = ("all", "errors", "none")
GRADED = ("own", "shared")
ABLATIONS = (
    "shared-datapath", "no-dependency-breaking", "no-run-ahead", "no-fusion", "input-stationary"
)  # fmt: skip


def listed(each: int | Sequence[int], separator: str = ", ") -> str:
    """Return a number of all parts, or those of each, in words."""
    return separator.join(map(str, [each] if isinstance(each, int) else each))


@dataclass(frozen=True)
class HardwareParams(Generic[Each]):
    """What the user turns on the core.

    `lanes`, `events_per_cycle` and `products_per_cycle` are one number for all parts of the core,
    or a tuple: one for each layer in order, then one for the readout where there is one. A tuple of
    equal numbers is kept as the number. A readout makes no products: its number of them changes
    nothing. `HardwareParams[int]` is that of a single part.

    Parameters
    ----------
    lanes
        Neurons processed together: 1 to 1024.
    block
        Timesteps taken at once: 1, 2, 4, 8 or 16. Each address and each coefficient is then read
        once for all of them.
    events_per_cycle
        Events that a layer adds in a cycle: 1, 2 or 4. A memory of weights has two read ports; with
        4 there are two copies of it.
    products_per_cycle
        Products with the slow state that a lane makes in a cycle for each timestep of the block: 1
        to 8.
    graded
        Which multipliers take graded inputs, weight times payload: their "own", or those of the
        dense state path ("shared"), where the columns of a group then follow its events.
    access_counters
        Count the words that each memory reads and writes, and the products and additions.
    trace
        Carry the trace ports: membranes, slow state, drive and spikes as they are computed.
    reports
        Send results also when the event stream asks for them, not only at the end of a sequence.
    segment_words
        Words of a segment of a memory that is loaded: a power of two from 16. A read enables one
        segment; smaller ones take less energy and more logic.
    counters
        What the core counts: "all", its "errors" alone, or "none". The flags of errors stay.
    hold_operands
        Registers next to multipliers hold, without a clock, where nothing moves: for a chip. An
        FPGA's multiplier takes them as its own only where they have no enable.
    ablations
        What the layers do without, to measure what it is worth, in the order of `ABLATIONS`:
        `shared-datapath`: a group's events and its columns of the slow state take turns on one
        adder a lane. `no-dependency-breaking`: the current takes the slow state after this
        timestep's update (`LayerParams.state_first`), which runs beside the walk of the timestep
        before; `no-run-ahead`, which needs it: after that walk. `no-fusion`: the sums of all
        groups are stored, and then read by a pass of neuron updates. `input-stationary`: each
        event, and each column, goes through all groups, whose sums lie in a memory. Each is for
        blocks of one timestep and for one event and one product a cycle; the readout stays as it
        is.
    list_buffers
        Buffers of each event list: 3 or 6. Three are the least: one is walked, one waits while its
        slow states are made, one fills. With six a part takes more of a burst while it is busy.
    link_items
        Items a cycle on the links between parts: 1, 2 or 4. The core's output has one. Who receives
        several adds at least as many events a cycle.
    input_items
        The same of the core's input, which brings events of a timestep alone: only for blocks of
        one timestep.
    """

    lanes: Each = cast(Any, 8)
    block: int = 1
    events_per_cycle: Each = cast(Any, 1)
    products_per_cycle: Each = cast(Any, 1)
    graded: str = "own"
    access_counters: bool = False
    trace: bool = False
    reports: bool = False
    segment_words: int = SEGMENT_WORDS
    counters: str = "all"
    hold_operands: bool = False
    ablations: tuple[str, ...] = ()
    list_buffers: int = LIST_BUFFERS[0]
    link_items: int = LINK_ITEMS[0]
    input_items: int = LINK_ITEMS[0]

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            object.__setattr__(self, name, _check_each(name, getattr(self, name), allowed))
        block = check_one_of("block", self.block, BLOCKS, " timesteps")
        object.__setattr__(self, "block", block)
        buffers = check_one_of("list_buffers", self.list_buffers, LIST_BUFFERS)
        object.__setattr__(self, "list_buffers", buffers)
        for name in ("link_items", "input_items"):
            items = check_one_of(name, getattr(self, name), LINK_ITEMS)
            object.__setattr__(self, name, items)
        for name in ("access_counters", "trace", "reports", "hold_operands"):
            check_type(name, getattr(self, name), bool, "True or False")
        for name, choices in (("counters", COUNTED), ("graded", GRADED)):
            if (chosen := getattr(self, name)) not in choices:
                right = " or ".join([", ".join(choices[:-1]), choices[-1]])
                raise UserError(f"{name} {chosen!r}: use {right}")
        if self.access_counters and self.counters != "all":
            raise UserError(
                f"access_counters with counters {self.counters}: use all, or leave out"
                " access_counters"
            )
        if self.input_items > 1 and self.block > 1:
            raise UserError(
                f"input_items {self.input_items} and block {self.block}: what enters together is of"
                " one timestep, so use a block of 1"
            )
        check_type("ablations", self.ablations, tuple, "a tuple of names")
        self._check_ablations()
        right = "a power of two from 16"
        words = check_whole("segment_words", self.segment_words, 16, MAX_DEPTH, right=right)
        if words & (words - 1):
            raise UserError(f"segment_words {words}: use {right}")
        object.__setattr__(self, "segment_words", words)

    def of_part(self, index: int) -> HardwareParams[int]:
        """Return the hardware of a layer, or of the readout, which comes after the layers."""
        own = {name: of[index] for name in CHOICES if isinstance(of := getattr(self, name), tuple)}
        return replace(cast(HardwareParams[int], self), **own)

    def check_parts(self, n_layers: int, readout: bool) -> None:
        """Raise `UserError` where there are other numbers than those of a network's parts."""
        parts = f"{n_layers} layer{'s' * (n_layers != 1)}{' and a readout' * readout}"
        for name in CHOICES:
            given = getattr(self, name)
            if isinstance(given, tuple) and len(given) != n_layers + readout:
                raise UserError(
                    f"{name} {listed(given)}: the network has {parts}, so use"
                    f" {n_layers + readout} numbers, or one for all"
                )

    def _check_ablations(self) -> None:
        if self.ablations != tuple(name for name in ABLATIONS if name in self.ablations):
            raise UserError(
                f"ablations {', '.join(map(str, self.ablations))}: use some of"
                f" {', '.join(ABLATIONS)}, in this order"
            )
        if "no-run-ahead" in self.ablations and "no-dependency-breaking" not in self.ablations:
            raise UserError("the ablation no-run-ahead: use it with no-dependency-breaking")
        turned = {
            f"block {self.block}": self.block > 1,
            f"events_per_cycle {listed(self.events_per_cycle)}": self.events_per_cycle != 1,
            f"products_per_cycle {listed(self.products_per_cycle)}": self.products_per_cycle != 1,
            f"link_items {self.link_items}": self.link_items > 1,
            f"input_items {self.input_items}": self.input_items > 1,
            "reports": self.reports,
        }
        if self.ablations and (found := [name for name, is_on in turned.items() if is_on]):
            raise UserError(
                f"the ablation {self.ablations[0]} with {found[0]}: use 1 of each, and no reports"
            )


def _check_each(name: str, value: Any, allowed: Sequence[int]) -> int | tuple[int, ...]:
    """Return a number of all parts, or those of each, in the form in which they are kept."""
    if not isinstance(value, tuple):
        return check_one_of(name, value, allowed)
    if not value:
        raise UserError(f"{name} of no part: use a whole number, or one for each part")
    found = tuple(check_one_of(name, of, allowed) for of in value)
    return found[0] if len(set(found)) == 1 else found
