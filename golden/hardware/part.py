"""What the user turns on a core, and what a layer and the readout have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np

from golden.errors import UserError
from golden.formats import Fixed
from golden.hardware.memory import MAX_DEPTH, SEGMENT_WORDS, MemoryParams, address_width
from golden.hardware.stages import CLOSE_LATENCY
from golden.param_checks import check_type, check_whole
from golden.params import LayerParams
from golden.readout_params import ReadoutParams

BLOCKS = (1, 2, 4, 8, 16)
MOST = {"lanes": 1024, "events_per_cycle": 2, "products_per_cycle": 8}
COUNTED = ("all", "errors", "none")
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


@dataclass(frozen=True)
class HardwareParams:
    """What the user turns on the core.

    Parameters
    ----------
    lanes
        Neurons processed together: 1 to 1024.
    block
        Timesteps taken at once: 1, 2, 4, 8 or 16. Each address and each coefficient is then read
        once for all of them.
    events_per_cycle
        Events that a layer adds in a cycle: 1 or 2.
    products_per_cycle
        Products with the slow state that a lane makes in a cycle for each timestep of the block: 1
        to 8.
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
    """

    lanes: int = 8
    block: int = 1
    events_per_cycle: int = 1
    products_per_cycle: int = 1
    access_counters: bool = False
    trace: bool = False
    reports: bool = False
    segment_words: int = SEGMENT_WORDS
    counters: str = "all"
    hold_operands: bool = False
    ablations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, most in MOST.items():
            object.__setattr__(self, name, check_whole(name, getattr(self, name), 1, most))
        right = "1, 2, 4, 8 or 16 timesteps"
        object.__setattr__(self, "block", check_whole("block", self.block, 1, right=right))
        if self.block not in BLOCKS:
            raise UserError(f"block {self.block}: use {right}")
        for name in ("access_counters", "trace", "reports", "hold_operands"):
            check_type(name, getattr(self, name), bool, "True or False")
        if self.counters not in COUNTED:
            right = f"{', '.join(COUNTED[:-1])} or {COUNTED[-1]}"
            raise UserError(f"counters {self.counters!r}: use {right}")
        if self.access_counters and self.counters != "all":
            raise UserError(
                f"access_counters with counters {self.counters}: use all, or leave out"
                " access_counters"
            )
        check_type("ablations", self.ablations, tuple, "a tuple of names")
        self._check_ablations()
        right = "a power of two from 16"
        words = check_whole("segment_words", self.segment_words, 16, MAX_DEPTH, right=right)
        if words & (words - 1):
            raise UserError(f"segment_words {words}: use {right}")
        object.__setattr__(self, "segment_words", words)

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
            f"events_per_cycle {self.events_per_cycle}": self.events_per_cycle > 1,
            f"products_per_cycle {self.products_per_cycle}": self.products_per_cycle > 1,
            "reports": self.reports,
        }
        if self.ablations and (found := [name for name, is_on in turned.items() if is_on]):
            raise UserError(
                f"the ablation {self.ablations[0]} with {found[0]}: use 1 of each, and no reports"
            )


@dataclass(frozen=True)
class PartHardware(ABC):
    """What a layer and the readout have in common: neurons (or classes) on lanes, and a list of
    events.

    Neuron n is dealt to lane n mod L of group n div L. `external`: the events come from outside, by
    timesteps; else from the layer before, by blocks.
    """

    params: LayerParams | ReadoutParams
    hardware: HardwareParams
    external: bool = False

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Neurons, or classes."""

    def loaded(self, memories: list[MemoryParams]) -> dict[str, MemoryParams]:
        """Return by name the memories that are loaded, in segments as the hardware has them."""
        words = self.hardware.segment_words
        return {memory.name: replace(memory, segment_words=words) for memory in memories}

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

    n_lists = 3  # buffers of the event list: walked; waiting, while slow states are made; filling

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
        longer = np.maximum(self.sparse_steps(addresses), dense)
        return 0 * longer, np.maximum(longer, self.output_steps)

    @property
    def dilation(self) -> int:
        return 1

    @property
    def dense_steps(self) -> int:
        """Steps of the dense state path for a group, in a block with a refresh."""
        return 0

    @property
    def output_steps(self) -> int:
        """Cycles that what comes after the sums needs for a group."""
        return self.block * self.interval

    @property
    def max_steps(self) -> int:
        """The most steps a group can take."""
        addresses = self.sparse_steps(self.n_addresses)
        return max(addresses, self.dense_steps, self.output_steps)

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
        found = [MemoryParams("list", depth, n_events, address)]
        if self.has_payloads:  # a copy for each event of a cycle
            depth = self.n_lists << address_width(n_addresses)
            found += [
                MemoryParams(f"payloads{e}", depth, self.block, self.payload)
                for e in range(n_events)
            ]
        return found

    @cached_property
    def list_accesses(self) -> tuple[str, ...]:
        payloads = ("payload_reads", "payload_writes") if self.has_payloads else ()
        return ("list_reads", "list_writes", *payloads, "spike_additions")
