"""The core that a network is given: what the user turns on it, and all that follows for groups,
pipelines, memories and counters. No Torch.

Letters are those of `golden.params`: A, B of the slow state, P and V of the current it feeds back.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from golden.errors import UserError
from golden.formats import Fixed
from golden.params import LayerParams, NetworkParams, ReadoutParams, from_dict

VERSION = "0.1.0"  # of the project; pyproject.toml reads it here
MAX_DEPTH = 1 << 24  # words of one memory: the load stream addresses 24 bits
MAX_MEMORIES = 1 << 8
MAX_ITEMS = 1 << 12  # of the load stream, for a word: 256 lanes of 8 products of 64 bits
SEGMENT_DEPTH = 1 << 10  # words that a loaded memory has behind one another
BLOCKS = (1, 2, 4, 8, 16)

# Stages of a part's pipeline: cycles after the group schedule issues a step.
STATE_STAGE = 2  # slow states are addressed
READ_STAGE = 3  # weights and coefficients are addressed
MULTIPLY_STAGE = 5  # operands are registered
NEURON_STAGE = 7  # sums are complete; membranes, biases and logits are addressed
MEMBRANE_READ = 1  # from a membrane's address to its operand register, at least
MEMBRANE_LOOP = 2  # from a membrane's operand register to that of its next timestep, at least
LOGIT_LATENCY = 2  # from a logit's address to its write
# From the release of a list to its buffer's first event: its last payloads are read a stage before.
RELEASE_LATENCY = READ_STAGE
CLOSE_LATENCY = 5  # from the end of a block's arrival to its list being open to the group schedule
LOOP_CLOSE_LATENCY = 1  # the same for a recurrent layer, which has no slow state to wait for
ENCODER_LATENCY = 4  # from a group's spikes to the first event being offered
DRIVE_LATENCY = 6  # from the same arrival to the drive of the block's first timestep
UPDATE_LATENCY = (5, 7)  # from the last step of some rows of the state update to a write; relaxed
START_LATENCY = 3  # of a block's last state update to be known of, and of its start to be told
DELAY_LATENCY = 4  # from an end of block's arrival at a delay line to the read of its first word
RING_WIDTH = 32  # bits of a word of a delay line's ring
MASK_QUEUE_DEPTH = 16  # groups between a layer's neuron stage and its encoder
MAX_STATE_LAG = 16  # blocks by which the walk may be ahead of the state update between refreshes

_COMMON_COUNTERS = (
    "timesteps", "blocks", "busy_cycles", "stall_cycles", "starved_cycles", "input_stall_cycles",
    "events",
)  # fmt: skip
_INPUT_COUNTERS = ("out_of_range", "repeated", "unclosed")  # of the part that the outside feeds
_LAYER_COUNTERS = (
    "spikes", "state_wait_cycles", "drive_saturations", "state_saturations",
    "membrane_saturations",
)  # fmt: skip
_READOUT_COUNTERS = ("sequences", "logit_saturations")
ERROR_COUNTERS = (  # these counters also have a sticky flag
    "out_of_range", "repeated", "unclosed",
    "drive_saturations", "state_saturations", "membrane_saturations", "logit_saturations",
)  # fmt: skip
COUNTER_WIDTH = 32  # counters wrap around
LOAD_WIDTH = 32  # data bits of an item of the load stream


class EventKind(IntEnum):
    """What an item of an event stream is. The end of a timestep (inside the core: of a block of
    timesteps) is its own item, so that a timestep may be empty.
    """

    EVENT = 0
    END_TIMESTEP = 1
    END_SEQUENCE = 2


def load_header(memory: int, address: int = 0) -> int:
    """Return the data of the load stream's item that opens memory number `memory` at a word."""
    return memory << address_width(MAX_DEPTH) | address


def address_width(depth: int) -> int:
    """Return the bits that address `depth` words (at least 1)."""
    return max(1, math.ceil(math.log2(depth)))


@dataclass(frozen=True)
class MemoryParams:
    """A memory of `depth` words that each hold `n_lanes` numbers of format `element`, lane 0 in the
    lowest bits.
    """

    name: str
    depth: int
    n_lanes: int
    element: Fixed

    def __post_init__(self) -> None:
        if self.depth > MAX_DEPTH:
            raise UserError(
                f"memory {self.name} has {self.depth} words: at most {MAX_DEPTH} can be addressed"
            )

    @property
    def width(self) -> int:
        return self.n_lanes * self.element.width

    @property
    def bits(self) -> int:
        return self.depth * self.width

    @property
    def items(self) -> int:
        """Items of the load stream that a word takes."""
        return -(-self.width // LOAD_WIDTH)

    @property
    def segments(self) -> list[int]:
        """The depths of the memories that a loaded one is made of: a deeper one would be slow, as
        what is read would pass from block RAM to block RAM before it comes to a register.
        """
        full, rest = divmod(self.depth, SEGMENT_DEPTH)
        return [SEGMENT_DEPTH] * full + [rest] * (rest > 0)


@dataclass(frozen=True)
class HardwareParams:
    """What the user turns on the core.

    Parameters
    ----------
    lanes
        Neurons processed together; any number that is at least 1.
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
    """

    lanes: int = 4
    block: int = 1
    events_per_cycle: int = 1
    products_per_cycle: int = 1
    access_counters: bool = False
    trace: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.lanes <= 256:
            raise UserError(f"LANES={self.lanes}: use 1 to 256 lanes")
        if self.block not in BLOCKS:
            raise UserError(f"BLOCK={self.block}: use 1, 2, 4, 8 or 16 timesteps")
        if self.events_per_cycle not in (1, 2):
            raise UserError(f"EVENTS={self.events_per_cycle}: use 1 or 2 events a cycle")
        if not 1 <= self.products_per_cycle <= 8:
            raise UserError(f"PRODUCTS={self.products_per_cycle}: use 1 to 8 products a cycle")


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
        """Return the steps that a group takes to add so many distinct addresses."""
        return -(-addresses // self.hardware.events_per_cycle)

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


@dataclass(frozen=True)
class LayerHardware(PartHardware):
    """A layer on given lanes: its groups, its multipliers for the state update, its memories.

    A group's membranes are updated by `neuron_units` units, each of which takes `fold` neurons in
    turn, all timesteps of a block after one another; so the leak has few multipliers, which work
    while the sums of the next group grow. Neuron n is in unit n mod U of word n div U.
    """

    params: LayerParams

    @property
    def n_outputs(self) -> int:
        return self.params.n_neurons

    @property
    def payload(self) -> Fixed:
        return self.params.formats.payload

    @property
    def dilation(self) -> int:
        return self.params.dilation

    @property
    def n_addresses(self) -> int:
        return self.params.n_addresses

    @property
    def close_latency(self) -> int:
        return LOOP_CLOSE_LATENCY if self.params.recurrent else CLOSE_LATENCY

    @property
    def loop_latency(self) -> int:
        """Idle cycles of a recurrent layer from the last step of a timestep to the first one of the
        next, if the last group is silent and all other spikes are sent: what the end of its own
        spikes takes to the list, and the list to open. None in other layers.
        """
        if not self.params.recurrent:
            return 0
        return self.write_stage + ENCODER_LATENCY + self.close_latency

    @property
    def dense_steps(self) -> int:
        columns = self.params.n_state + 1 if self.params.n_state else 0
        return -(-columns // self.hardware.products_per_cycle)

    @cached_property
    def _least_dense_steps(self) -> int:
        """Dense steps of the block that has the fewest (partial blocks aside)."""
        return self.dense_steps if self.block >= self.dilation else 0

    @property
    def fold(self) -> int:
        return self._fold

    @cached_property
    def _fold(self) -> int:
        """Neurons that share a unit of the neuron stage: as many as never make a group wait for
        it.
        """
        loop = 1 if self.block == 1 else MEMBRANE_LOOP
        limit = max(self._least_dense_steps, self.block * loop)
        return max(f for f in range(1, limit + 1) if not self.lanes % f and f * self.block <= limit)

    @property
    def neuron_units(self) -> int:
        return self.lanes // self.fold

    @property
    def interval(self) -> int:
        """Cycles from a membrane's update to that of the next timestep of the block."""
        return self.fold if self.block == 1 else max(self.fold, MEMBRANE_LOOP)

    @cached_property
    def relaxed(self) -> bool:
        """Whether the neuron stage takes two cycles more than need be, for a faster clock: where
        nothing has to wait for it.
        """
        loop = MEMBRANE_LOOP + 1
        written = MEMBRANE_READ + 1 + loop + (self.block - 1) * self.interval
        waits = self.params.recurrent or self.n_groups * self.output_steps <= written
        return not waits and (self.block == 1 or self.interval >= loop)

    @property
    def membrane_read(self) -> int:
        """Cycles from a membrane's address to its operand register: what is read is registered if
        relaxed.
        """
        return MEMBRANE_READ + self.relaxed

    @property
    def membrane_loop(self) -> int:
        """Cycles from a membrane's operand register to that of its next timestep: sums are
        registered before they are clamped if relaxed.
        """
        return MEMBRANE_LOOP + self.relaxed

    @property
    def output_latency(self) -> int:
        return self.membrane_read + self.membrane_loop

    @property
    def write_stage(self) -> int:
        """Stage at which the spikes of a group go to the encoder."""
        return NEURON_STAGE + self.output_latency + self.output_steps - self.interval + self.fold

    @property
    def delayed(self) -> bool:
        return self.params.max_delay > 0

    # The delay line: a ring of slots, one for each block that events may still come out in. A slot
    # has a bit for each input and timestep. With several timesteps a block, an input's bits may
    # fall into two successive slots: odd slots then have a memory of their own.
    @property
    def ring_memories(self) -> int:
        return 2 if self.block > 1 else 1

    @property
    def ring_lanes(self) -> int:
        """Inputs of a word of the ring."""
        return min(RING_WIDTH // self.block, 1 << address_width(self.params.n_inputs))

    @property
    def ring_words(self) -> int:
        """Words of a slot."""
        return -(-self.params.n_inputs // self.ring_lanes)

    @property
    def ring_slots(self) -> int:
        """The block that leaves, the block that arrives, and those that its events may wait for."""
        waiting = -(-self.params.max_delay // self.block)
        return -(-(waiting + 2) // self.ring_memories) * self.ring_memories

    @property
    def ring_depth(self) -> int:
        """Words of a memory of the ring: the cycles that it takes to be cleared."""
        return self.ring_slots // self.ring_memories << (self.ring_words - 1).bit_length()

    # The update of the slow state: `state_lanes` rows at a time, a column a cycle.
    @cached_property
    def state_lanes(self) -> int:
        """Multipliers of the state update: as few as keep it from ever bounding the walk, else the
        fastest.

        Between refreshes the walk needs no slow state, so the update may lag behind it. It cannot
        run ahead: from the start of any block to the next refresh, all updates must fit.
        """
        choices = range(1, max(1, self.params.n_state) + 1)
        fitting = (lanes for lanes in choices if self._keeps_up(lanes, relaxed=False))
        return next(fitting, min(choices, key=lambda n: self._block_update(n, 1, relaxed=False)))

    @cached_property
    def update_relaxed(self) -> bool:
        """Whether the state update takes two cycles more than need be, for a faster clock: where
        the walk has not to wait for it.
        """
        return self._keeps_up(self.state_lanes, relaxed=True)

    @property
    def update_latency(self) -> int:
        """Cycles from the last step of some rows of the state update to the first of them being
        written: what is read, and what is rounded, is registered if relaxed.
        """
        return UPDATE_LATENCY[self.update_relaxed]

    def _keeps_up(self, lanes: int, relaxed: bool) -> bool:
        """Whether updates with so many multipliers never bound the walk."""
        periods = self._refresh_blocks
        held = self.n_groups * self.output_steps + self.drain  # cycles of a block without a refresh
        refreshed = self.n_groups * max(self.dense_steps, self.output_steps) + self.drain
        walks = {blocks: blocks * held for blocks in range(1, periods)}
        walks[periods] = refreshed + (periods - 1) * held
        return all(self._block_update(lanes, blocks, relaxed) <= walks[blocks] for blocks in walks)

    @cached_property
    def _refresh_blocks(self) -> int:
        """Blocks from one with a refresh to the next, as far as the update may lag."""
        return min(-(-self.dilation // self.block), MAX_STATE_LAG)

    @property
    def state_lag(self) -> int:
        """Blocks that may have been started and whose last state update has not."""
        return self._refresh_blocks

    def _update(self, lanes: int, relaxed: bool) -> tuple[int, int]:
        """Return the cycles from an update's first step to the next one's, and to the first step of
        a walk that uses its result being allowed to be decided on.
        """
        d, blocks = self.params.n_state, -(-self.params.n_state // lanes)
        steps = blocks * (d + 1)
        last_write = steps - 2 + UPDATE_LATENCY[relaxed] + d - (blocks - 1) * lanes
        # The last row is read d - 1 steps after the first, or as many words.
        following = max(steps, last_write - (d - 1) + 1)
        word = (d - 1) // self.hardware.products_per_cycle
        return following, max(1, last_write - word - STATE_STAGE - 1)

    def _block_update(self, lanes: int, blocks: int, relaxed: bool) -> int:
        """Return the cycles that the updates of so many blocks take, from a start to a start."""
        if not self.params.n_state:
            return 0
        following, announced = self._update(lanes, relaxed)
        updates = blocks * self.block
        return max(updates * following, START_LATENCY + (updates - 1) * following + announced)

    @cached_property
    def update_interval(self) -> int:
        """Cycles from the first step of an update to the first step of the next one."""
        return self._update(self.state_lanes, self.update_relaxed)[0]

    @cached_property
    def announce_delay(self) -> int:
        """Cycles from the first step of an update until a walk that uses it may be announced."""
        return self._update(self.state_lanes, self.update_relaxed)[1]

    @property
    def block_update_cycles(self) -> int:
        """Cycles from the start of a block to that of the next that its state updates ask for."""
        return self._block_update(self.state_lanes, 1, self.update_relaxed)

    @property
    def n_state_blocks(self) -> int:
        return -(-self.params.n_state // self.state_lanes)

    @property
    def multipliers(self) -> dict[str, int]:
        """Multipliers by what they do; products with a payload of one bit need none."""
        n_events = self.hardware.events_per_cycle
        graded = self.payload.width > 1
        found = {"spike": self.lanes * self.block * n_events * graded, "leak": self.neuron_units}
        if self.params.n_state:
            found |= {
                "state": self.lanes * self.block * self.hardware.products_per_cycle,
                "update": self.state_lanes,
                "drive": int(graded),
            }
        return found

    @cached_property
    def memories(self) -> dict[str, MemoryParams]:
        """What is loaded: `scalars` holds leak, threshold and b_x, a word each."""
        p, f, lanes = self.params, self.params.formats, self.lanes
        d, per_cycle = p.n_state, self.hardware.products_per_cycle
        widths = (LOAD_WIDTH, f.leak.width + 1, f.threshold.width + 1, f.b_x.width)
        found = [
            MemoryParams("w_f", self.n_groups * p.n_addresses, lanes, f.w_f),
            MemoryParams("c", self.n_groups * self.fold, self.neuron_units, f.c),
            MemoryParams("scalars", 3, 1, Fixed(max(widths))),
        ]
        if d:
            found += [
                MemoryParams("p", self.n_groups * self.dense_steps, per_cycle * lanes, f.p),
                MemoryParams("w_x", p.n_inputs, 1, f.w_x),
                MemoryParams("ab", self.n_state_blocks * (d + 1), self.state_lanes, f.a),
            ]
        if self.delayed:
            found.append(MemoryParams("delays", p.n_inputs, 1, p.delay))
        return {memory.name: memory for memory in found}

    @cached_property
    def buffers(self) -> dict[str, MemoryParams]:
        """What the core writes itself: the event list, u, h, the slow state for its own update
        (`m`) and for the dense state path (`history`), drives that wait for their update, spike
        masks, the rings of a delay line.
        """
        p, f, d = self.params, self.params.formats, self.params.n_state
        flag = Fixed(1, signed=False)
        words = self.n_groups * self.fold
        found = [*self._list_buffers, MemoryParams("u", words, self.neuron_units, f.u)]
        if d and p.dilation > 1:
            found.append(MemoryParams("h", words, self.neuron_units, p.current))
        if d:
            slots = self.hardware.products_per_cycle * self.block
            depth = 2 << address_width(self.dense_steps)
            queued = self.block * (self.n_lists + self.state_lag + 1)
            found += [
                MemoryParams("m", 2 << address_width(d), 1, f.m),
                MemoryParams("history", depth, slots, f.m),
                MemoryParams("drives", queued, 1, Fixed(f.x.width + 2, signed=False)),
            ]
        mask = self.lanes * self.block + address_width(self.n_groups * self.lanes) + self.block + 1
        found.append(MemoryParams("masks", MASK_QUEUE_DEPTH, mask, flag))
        if self.delayed:
            bits = self.ring_lanes * self.block
            found += [
                MemoryParams(f"ring{i}", self.ring_depth, bits, flag)
                for i in range(self.ring_memories)
            ]
        return {memory.name: memory for memory in found}

    @cached_property
    def counters(self) -> tuple[str, ...]:
        inputs = _INPUT_COUNTERS if self.external else ()
        return (*_COMMON_COUNTERS, *inputs, *_LAYER_COUNTERS, *self.accesses)

    @cached_property
    def accesses(self) -> tuple[str, ...]:
        """The access counters: words read and written, products and additions of a word."""
        if not self.hardware.access_counters:
            return ()
        found = (*self.list_accesses, "w_f_reads", "c_reads", "u_reads", "u_writes")
        found += ("leak_products",)
        if self.params.n_state:
            found += (
                "p_reads", "history_reads", "history_writes", "state_products", "w_x_reads",
                "ab_reads", "m_reads", "m_writes", "update_products",
            )  # fmt: skip
            if self.dilation > 1:
                found += ("h_reads", "h_writes")
        if self.delayed:
            found += ("delays_reads", "ring_reads", "ring_writes")
        return found


@dataclass(frozen=True)
class ReadoutHardware(PartHardware):
    """The readout on given lanes: the sparse spike path of a layer with classes for neurons."""

    params: ReadoutParams

    @property
    def n_outputs(self) -> int:
        return self.params.n_classes

    @property
    def payload(self) -> Fixed:
        return self.params.payload

    @property
    def output_latency(self) -> int:
        return LOGIT_LATENCY

    @property
    def write_stage(self) -> int:
        """Stage at which the logits of a group's last timestep are written."""
        return NEURON_STAGE + LOGIT_LATENCY + self.block - 1

    @property
    def multipliers(self) -> dict[str, int]:
        return {}

    @cached_property
    def memories(self) -> dict[str, MemoryParams]:
        p = self.params
        return {
            "w_o": MemoryParams("w_o", self.n_groups * p.n_inputs, self.lanes, p.w_o),
            "b_o": MemoryParams("b_o", self.n_groups, self.lanes, p.b_o),
        }

    @cached_property
    def buffers(self) -> dict[str, MemoryParams]:
        logits = MemoryParams("logits", self.n_groups, self.lanes, self.params.logit)
        return {memory.name: memory for memory in (*self._list_buffers, logits)}

    @cached_property
    def counters(self) -> tuple[str, ...]:
        return (*_COMMON_COUNTERS, *_READOUT_COUNTERS, *self.accesses)

    @cached_property
    def accesses(self) -> tuple[str, ...]:
        if not self.hardware.access_counters:
            return ()
        return (*self.list_accesses, "w_o_reads", "b_o_reads", "logits_reads", "logits_writes")


def possible_blocks(network: NetworkParams) -> tuple[int, ...]:
    """Return the blocks that a core of this network can have."""
    return BLOCKS[:1] if any(layer.recurrent for layer in network.layers) else BLOCKS


@dataclass(frozen=True)
class CoreParams:
    """A network on given hardware: all that the generator needs to know but for the weights."""

    network: NetworkParams
    hardware: HardwareParams = field(default_factory=HardwareParams)

    def __post_init__(self) -> None:
        if self.hardware.block not in possible_blocks(self.network):
            raise UserError(
                f"BLOCK={self.hardware.block} for a recurrent layer, whose own spikes come back"
                " after every timestep: use BLOCK=1"
            )
        if len(self.memories) > MAX_MEMORIES:
            raise UserError(
                f"{len(self.memories)} memories: at most {MAX_MEMORIES} can be addressed"
            )

    @cached_property
    def layers(self) -> tuple[LayerHardware, ...]:
        return tuple(
            LayerHardware(layer, self.hardware, external=index == 0)
            for index, layer in enumerate(self.network.layers)
        )

    @cached_property
    def readout(self) -> ReadoutHardware:
        return ReadoutHardware(self.network.readout, self.hardware)

    @cached_property
    def parts(self) -> dict[str, LayerHardware | ReadoutHardware]:
        """The layers and the readout by name: `layer0`, ..., `readout`."""
        layers = {f"layer{i}": layer for i, layer in enumerate(self.layers)}
        return {**layers, "readout": self.readout}

    @cached_property
    def memories(self) -> dict[str, MemoryParams]:
        """Every loadable memory by its full name (`layer0.w_f`); its place is its number on the
        load stream.
        """
        return {
            f"{part}.{name}": replace(memory, name=f"{part}.{name}")
            for part, hardware in self.parts.items()
            for name, memory in hardware.memories.items()
        }

    @property
    def multipliers(self) -> int:
        return sum(sum(layer.multipliers.values()) for layer in self.layers)

    @property
    def memory_bits(self) -> int:
        """Bits of all memories, those that the core writes itself included."""
        parts = self.parts.values()
        return sum(m.bits for p in parts for m in (*p.memories.values(), *p.buffers.values()))

    @cached_property
    def counters(self) -> list[str]:
        """The names of the core's counters; a name's place is its number on the status port."""
        parts = self.parts.items()
        return ["cycles", *(f"{part}.{name}" for part, of in parts for name in of.counters)]

    @property
    def errors(self) -> list[str]:
        """The names of the sticky flags, lowest bit first."""
        return [name for name in self.counters if name.split(".")[-1] in ERROR_COUNTERS]


SCHEMA_VERSION = 3


def read_core(path: Path) -> tuple[CoreParams, dict[str, dict[str, Any]]]:
    """Return a manifest's core and its table of images, or raise `UserError`."""
    if not path.exists():
        raise UserError(f"no manifest {path}: export a network first (make export)")
    try:
        manifest = json.loads(path.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is not a manifest: {error}") from None
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if version != SCHEMA_VERSION:
        raise UserError(
            f"{path} has schema version {version}; this generator reads {SCHEMA_VERSION}: export"
            " again"
        )
    try:
        network = NetworkParams.from_dict(manifest["network"])
        hardware = from_dict(HardwareParams, manifest["hardware"])
        images = manifest["images"]
        if not isinstance(images, dict) or not all(isinstance(i, dict) for i in images.values()):
            raise UserError(f"{path} has no table of images: export again")
        return CoreParams(network, hardware), images
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a manifest of schema version {version}: {error}") from None
