"""What the user turns on a core, and what a layer and the readout have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Any, Generic, TypeVar, cast

import numpy as np

from golden.errors import UserError
from golden.formats import Fixed
from golden.hardware.memory import (
    MAX_DEPTH,
    SEGMENT_WORDS,
    MemoryParams,
    address_width,
    read_copies,
)
from golden.hardware.stages import CLOSE_LATENCY
from golden.param_checks import check_one_of, check_type, check_whole
from golden.params import LayerParams
from golden.readout_params import ReadoutParams

BLOCKS = (1, 2, 4, 8, 16)
# One number for all parts of a core, or one each: the layers in order, then the readout.
Each = TypeVar("Each", bound=int | tuple[int, ...], covariant=True)
LIST_BUFFERS = (3, 6)
LINK_ITEMS = (1, 2, 4)
EVENTS = (1, 2, 4)
CHOICES = {"lanes": range(1, 1025), "events_per_cycle": EVENTS, "products_per_cycle": range(1, 9)}
SPIKE_WEIGHTS = ("w_f", "w_o")  # the memories that are read once an event
COUNTED = ("all", "errors", "none")
GRADED = ("own", "shared")
ABLATIONS = (
    "shared-datapath", "no-dependency-breaking", "no-run-ahead", "no-fusion", "input-stationary"
)  # fmt: skip


class EventKind(IntEnum):
    """What an item of an event stream is. The end of a timestep (inside the core: of a block of
    timesteps) is its own item, so that a timestep may be empty.

    `INVALID` is no event: whoever gets one reports it as out of range. Only a core with reports has
    `REPORT`: it asks for the results so far, and changes nothing.
    """

    EVENT = 0
    END_TIMESTEP = 1
    END_SEQUENCE = 2
    INVALID = 3
    REPORT = 4


def kind_width(reports: bool) -> int:
    """Return the bits of an item's kind, in a core with reports or without."""
    return address_width(max(EventKind if reports else set(EventKind) - {EventKind.REPORT}) + 1)


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


@dataclass(frozen=True)
class PartHardware(ABC):
    """What a layer and the readout have in common: neurons (or classes) on lanes, and a list of
    events.

    Neuron n is dealt to lane n mod L of group n div L. `external`: the events come from outside, by
    timesteps; else from the layer before, by blocks.
    """

    params: LayerParams | ReadoutParams
    hardware: HardwareParams[int]
    external: bool = False

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Neurons, or classes."""

    def loaded(self, memories: list[MemoryParams]) -> dict[str, MemoryParams]:
        """Return by name the memories that are loaded, in segments as the hardware has them."""
        words = self.hardware.segment_words
        return {memory.name: replace(memory, segment_words=words) for memory in memories}

    def copies(self, name: str) -> list[int]:
        """Return the read ports of each copy of a memory: only of the weights of events several
        words are read in a cycle.
        """
        n_events = self.hardware.events_per_cycle
        return read_copies(
            {"w_x": self.received_items}.get(name, n_events if name in SPIKE_WEIGHTS else 1)
        )

    @property
    @abstractmethod
    def payload(self) -> Fixed:
        """Of an event in one timestep."""

    @property
    @abstractmethod
    def output_latency(self) -> int:
        """Cycles from a membrane's (or logit's) address to its write."""

    @property
    def fold(self) -> int:
        """Words of neurons (or classes) that a group takes in turn."""
        return 1

    @property
    def interval(self) -> int:
        """Cycles from a word's update to that of the next timestep of the block."""
        return 1

    @property
    def block(self) -> int:
        return self.hardware.block

    @property
    def reports(self) -> bool:
        return self.hardware.reports

    @property
    def n_addresses(self) -> int:
        """Of the events in its list."""
        return self.params.n_inputs

    @property
    def close_latency(self) -> int:
        """Cycles from the end of a block's arrival to its list being open to the schedule."""
        return CLOSE_LATENCY

    @property
    def delayed(self) -> bool:
        """Whether a delay line is before it."""
        return False

    @property
    def by_timesteps(self) -> bool:
        """Whether its event list gets timesteps; a layer sends blocks, and so does a delay line."""
        return self.external and not self.delayed

    @property
    def received_items(self) -> int:
        """Events that it may receive in a cycle."""
        return self.hardware.input_items if self.external else self.hardware.link_items

    @property
    def wide(self) -> bool:
        """Whether its list takes several events a cycle. Then each event of a word lies in a memory
        of its own, beside its payload.
        """
        return self.received_items > 1

    @property
    def n_lists(self) -> int:
        """Buffers of the event list."""
        return self.hardware.list_buffers

    @cached_property
    def lanes(self) -> int:
        return min(self.hardware.lanes, self.n_outputs)

    @cached_property
    def n_groups(self) -> int:
        return -(-self.n_outputs // self.lanes)

    @property
    def last_group_lanes(self) -> int:
        """Lanes in use in the last group."""
        return self.n_outputs - (self.n_groups - 1) * self.lanes

    def sparse_steps(self, addresses: Any) -> Any:
        """Return the steps that a group takes to add `addresses` distinct addresses."""
        return -(-addresses // self.hardware.events_per_cycle)

    def walk(self, addresses: Any, dense: Any) -> tuple[Any, Any]:
        """Return what a walk of `addresses` distinct addresses and of `dense` steps of the dense
        state path takes: the cycles before its first group may be complete, and then those of each
        group until it is.
        """
        steps = self.path_steps(addresses, dense)
        return 0 * steps, np.maximum(steps, self.output_steps)

    def path_steps(self, addresses: Any, dense: Any) -> Any:
        """Return the steps that the two paths take for a group's sums, with `dense` steps of the
        dense one.
        """
        sparse = self.sparse_steps(addresses)
        return sparse + dense if self.shares_products else np.maximum(sparse, dense)

    @property
    def dilation(self) -> int:
        return 1

    @property
    def dense_steps(self) -> int:
        """Steps of the dense state path for a group, in a block with a refresh."""
        return 0

    @property
    def shares_products(self) -> bool:
        """Whether its events go through the multipliers of a dense state path, whose steps then
        follow theirs.
        """
        return False

    @property
    def output_steps(self) -> int:
        """Cycles that what comes after the sums needs for a group."""
        return self.block * self.interval

    @property
    def max_steps(self) -> int:
        """The most steps a group can take."""
        return max(self.path_steps(self.n_addresses, self.dense_steps), self.output_steps)

    @property
    def _behind(self) -> int:
        """Cycles from a group's first address to the write of what its block leaves."""
        return self.output_latency + (self.block - 1) * self.interval

    @property
    def drain(self) -> int:
        """Idle cycles at the end of a block, so that a membrane (or logit) is written before the
        next block reads it. Zero but for a few groups of a few steps.
        """
        return max(0, self._behind - self.n_groups * self.output_steps)

    @property
    def reads_while_writing(self) -> bool:
        """Whether a membrane (or logit) may be read in the cycle in which it is written."""
        return self.n_groups * self.output_steps <= self._behind

    @cached_property
    def has_payloads(self) -> bool:
        """Whether the list holds more than addresses: several timesteps, or graded events."""
        return self.block > 1 or self.payload.width > 1

    @property
    def _list_buffers(self) -> list[MemoryParams]:
        n_addresses, n_events = self.n_addresses, self.hardware.events_per_cycle
        address = Fixed(address_width(n_addresses), signed=False)
        depth = self.n_lists << address_width(-(-n_addresses // n_events))
        if self.wide:
            payloads = self.block * self.payload.width * self.has_payloads
            entry = Fixed(address.width + payloads, signed=False)
            return [MemoryParams(f"list{e}", depth, 1, entry) for e in range(n_events)]
        found = [MemoryParams("list", depth, n_events, address)]
        if self.has_payloads:  # a copy for each event of a cycle
            depth = self.n_lists << address_width(n_addresses)
            found += [
                MemoryParams(f"payloads{e}", depth, self.block, self.payload)
                for e in range(n_events)
            ]
        return found

    @property
    def list_memory(self) -> MemoryParams:
        """What an access to the list reads or writes a word of, or one of several alike."""
        return self._list_buffers[0]

    @cached_property
    def list_accesses(self) -> tuple[str, ...]:
        apart = self.has_payloads and not self.wide
        payloads = ("payload_reads", "payload_writes") if apart else ()
        return ("list_reads", "list_writes", *payloads, "spike_additions")
