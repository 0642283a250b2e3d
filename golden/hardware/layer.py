"""A layer on given lanes: its groups, its memories, its counters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from golden.formats import Fixed
from golden.hardware.counters import COMMON_COUNTERS, INPUT_COUNTERS, LAYER_COUNTERS
from golden.hardware.delay_ring import DelayRing
from golden.hardware.memory import LOAD_WIDTH, MemoryParams, address_width
from golden.hardware.neuron_fold import NeuronFold
from golden.hardware.part import PartHardware
from golden.hardware.stages import (
    CLOSE_LATENCY,
    ENCODER_LATENCY,
    LOOP_CLOSE_LATENCY,
    MASK_QUEUE_DEPTH,
)
from golden.hardware.state_update import StateUpdate
from golden.params import LayerParams


@dataclass(frozen=True)
class LayerHardware(PartHardware):
    """A layer on given lanes.

    It has a `neuron_fold`; with a slow state a `state_update`; with delays a `delay_ring`.
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
    def neuron_fold(self) -> NeuronFold:
        # The block that has the fewest dense steps (partial blocks aside).
        least = self.dense_steps if self.block >= self.dilation else 0
        return NeuronFold(self.lanes, self.block, self.n_groups, least, self.params.recurrent)

    @property
    def fold(self) -> int:
        return self.neuron_fold.fold

    @property
    def interval(self) -> int:
        return self.neuron_fold.interval

    @property
    def output_latency(self) -> int:
        return self.neuron_fold.latency

    @property
    def write_stage(self) -> int:
        """Stage at which the spikes of a group go to the encoder."""
        return self.neuron_fold.write_stage

    @property
    def delayed(self) -> bool:
        return self.params.max_delay > 0

    @cached_property
    def delay_ring(self) -> DelayRing:
        """Of a layer with delays."""
        assert self.delayed
        return DelayRing(self.params.n_inputs, self.params.max_delay, self.block)

    @cached_property
    def state_update(self) -> StateUpdate:
        """Of a layer with a slow state."""
        p = self.params
        assert p.n_state
        plain = self.n_groups * self.output_steps + self.drain
        refreshed = self.n_groups * max(self.dense_steps, self.output_steps) + self.drain
        per_cycle = self.hardware.products_per_cycle
        return StateUpdate(p.n_state, p.dilation, self.block, per_cycle, plain, refreshed)

    @property
    def multipliers(self) -> dict[str, int]:
        """Multipliers by what they do; products with a payload of one bit need none."""
        n_events = self.hardware.events_per_cycle
        graded = self.payload.width > 1
        found = {
            "spike": self.lanes * self.block * n_events * graded,
            "leak": self.neuron_fold.units,
        }
        if self.params.n_state:
            found |= {
                "state": self.lanes * self.block * self.hardware.products_per_cycle,
                "update": self.state_update.lanes,
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
            MemoryParams("c", self.n_groups * self.fold, self.neuron_fold.units, f.c),
            MemoryParams("scalars", 3, 1, Fixed(max(widths))),
        ]
        if d:
            found += [
                MemoryParams("p", self.n_groups * self.dense_steps, per_cycle * lanes, f.p),
                MemoryParams("w_x", p.n_inputs, 1, f.w_x),
                MemoryParams(
                    "ab", self.state_update.row_groups * (d + 1), self.state_update.lanes, f.a
                ),
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
        found = [*self._list_buffers, MemoryParams("u", words, self.neuron_fold.units, f.u)]
        if d and p.dilation > 1:
            found.append(MemoryParams("h", words, self.neuron_fold.units, p.current))
        if d:
            slots = self.hardware.products_per_cycle * self.block
            depth = 2 << address_width(self.dense_steps)
            queued = self.block * (self.n_lists + self.state_update.lag + 1)
            found += [
                MemoryParams("m", 2 << address_width(d), 1, f.m),
                MemoryParams("history", depth, slots, f.m),
                MemoryParams("drives", queued, 1, Fixed(f.x.width + 2, signed=False)),
            ]
        mask = self.lanes * self.block + address_width(self.n_groups * self.lanes) + self.block + 1
        found.append(MemoryParams("masks", MASK_QUEUE_DEPTH, mask, flag))
        if self.delayed:
            bits = self.delay_ring.lanes * self.block
            found += [
                MemoryParams(f"ring{i}", self.delay_ring.depth, bits, flag)
                for i in range(self.delay_ring.memories)
            ]
        return {memory.name: memory for memory in found}

    @cached_property
    def counters(self) -> tuple[str, ...]:
        inputs = INPUT_COUNTERS if self.external else ()
        return (*COMMON_COUNTERS, *inputs, *LAYER_COUNTERS, *self.accesses)

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
