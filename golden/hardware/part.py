"""What a layer and the readout have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np

from golden.formats import Fixed
from golden.hardware.memory import MemoryParams, address_width, read_copies
from golden.hardware.params import HardwareParams
from golden.hardware.stages import CHECK_LATENCY, CLOSE_LATENCY
from golden.params import LayerParams
from golden.readout_params import ReadoutParams

SPIKE_WEIGHTS = ("w_f", "w_o")  # the memories that are read once an event


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
    def check_latency(self) -> int:
        """Cycles from the transfer of an item to its entering the list. Several events at once from
        outside are first looked up, each: some of them may come again in their timestep.
        """
        return CHECK_LATENCY if self.wide and self.by_timesteps else 0

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
