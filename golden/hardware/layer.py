"""A layer on given lanes: its groups, its memories, its counters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import Any

import numpy as np

from golden.formats import Fixed, rshift, width_of
from golden.hardware.counters import (
    COMMON_COUNTERS,
    INPUT_COUNTERS,
    LAYER_COUNTERS,
    SYNAPSE_COUNTERS,
)
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

    It has a `neuron_fold`; with a slow state a `state_update`; with delays a `delay_ring`. What is
    ablated (`HardwareParams.ablations`) changes neither its neuron fold nor its state update, so
    that a layer has the same multipliers with and without it.
    """

    params: LayerParams
    leaves: bool = False  # its spikes leave the core

    @property
    def sent_items(self) -> int:
        """Events that it may send in a cycle."""
        return 1 if self.leaves else self.hardware.link_items

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
    def columns(self) -> int:
        """Columns that the dense state path multiplies: those of P, and V."""
        d = self.params.n_state
        return d + (not self.params.state_first) if d else 0

    @property
    def dense_steps(self) -> int:
        return -(-self.columns // self.hardware.products_per_cycle)

    @property
    def _whole_dense_steps(self) -> int:
        """As `dense_steps`, of a layer that has V."""
        columns = self.params.n_state + 1 if self.params.n_state else 0
        return -(-columns // self.hardware.products_per_cycle)

    @cached_property
    def refreshable(self) -> range:
        """The timesteps of a block in which the current may be refreshed from the slow state, which
        alone have multipliers and a place in the history: the others are none of the dilation's
        multiples, whichever block it is. All of them where a report may end a block early, and
        where events take the same multipliers.
        """
        if self.reports or self.shares_products:
            return range(self.block)
        return range(0, self.block, gcd(self.block, self.dilation))

    @property
    def shares_products(self) -> bool:
        graded = self.payload.width > 1 and self.params.n_state > 0
        return graded and self.hardware.graded == "shared"

    @property
    def shared(self) -> bool:
        """Whether events and columns of the slow state take turns on one adder a lane."""
        return "shared-datapath" in self.hardware.ablations and self.params.n_state > 0

    @property
    def updates_in_turn(self) -> bool:
        """Whether an update of the slow state waits for the walk of the timestep before to end."""
        return "no-run-ahead" in self.hardware.ablations and self.params.n_state > 0

    @property
    def input_stationary(self) -> bool:
        """Whether each event, and each column, goes through all groups."""
        return "input-stationary" in self.hardware.ablations

    @property
    def fused(self) -> bool:
        """Whether a group's neurons are updated as soon as its sums are complete."""
        return "no-fusion" not in self.hardware.ablations

    @property
    def stored(self) -> bool:
        """Whether the sums of all groups lie in memories."""
        return self.input_stationary or not self.fused

    @property
    def reordered(self) -> bool:
        """Whether its walk is another one than that of the group schedule."""
        return self.shared or self.stored

    @cached_property
    def sums(self) -> dict[str, Fixed]:
        """The formats of the sums that a group leaves for its neurons: `sums` of its events,
        `currents` from the slow state. Shared, both are one, in the scale of the currents.
        """
        p = self.params
        if not p.n_state:
            return {"sums": p.spike_sum}
        if not self.shared:
            return {"sums": p.spike_sum, "currents": p.current_sum}
        events = rshift(p.spike_sum.magnitude, p.spike_shift) << p.current_shift
        return {"sums": Fixed(width_of(events + p.current_sum.magnitude), p.current_sum.frac)}

    @property
    def added(self) -> dict[str, Fixed]:
        """The formats of what a step adds where the walk is ablated: the weight of a spike, and the
        product of a column.
        """
        f = self.params.formats
        return {"events": f.w_f, "columns": Fixed(f.p.width + max(f.m.width, f.x.width))}

    @property
    def sum_shift(self) -> int:
        """Fractional bits that `sums` has more than what drives the membranes."""
        return self.params.current_shift if self.shared else self.params.spike_shift

    def walk(self, addresses: Any, dense: Any) -> tuple[Any, Any]:
        if not self.reordered:
            return super().walk(addresses, dense)
        sparse = self.sparse_steps(addresses)
        steps = np.maximum(sparse + dense if self.shared else np.maximum(sparse, dense), 1)
        if not self.stored:
            return 0 * steps, np.maximum(steps, self.output_steps)
        # Input stationary, the last step through all groups completes one after another.
        before = steps - (self.input_stationary and self.fused)
        return self.n_groups * before, 0 * steps + self.output_steps

    @cached_property
    def neuron_fold(self) -> NeuronFold:
        # The block that has the fewest dense steps (partial blocks aside).
        least = self._whole_dense_steps if self.block >= self.dilation else 0
        p = self.params
        return NeuronFold(self.lanes, self.block, self.n_groups, least, p.recurrent, p.synapse)

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
        refreshed = self.n_groups * max(self._whole_dense_steps, self.output_steps) + self.drain
        per_cycle = self.hardware.products_per_cycle
        return StateUpdate(p.n_state, p.dilation, self.block, per_cycle, plain, refreshed)

    @property
    def multipliers(self) -> dict[str, int]:
        """Multipliers by what they do; products with a payload of one bit need none."""
        n_events = self.hardware.events_per_cycle
        graded = self.payload.width > 1
        own = graded and not self.shares_products
        found = {
            "spike": self.lanes * self.block * n_events * own,
            "leak": self.neuron_fold.units,
        }
        if self.params.n_state:
            found |= {
                "state": self.lanes * len(self.refreshable) * self.hardware.products_per_cycle,
                "update": self.state_update.multipliers,
                "drive": self.received_items * graded,
            }
        if self.params.synapse:
            found["synapse"] = self.neuron_fold.units
        return found

    @cached_property
    def scalars(self) -> dict[str, Fixed]:
        """The formats of the numbers that the whole layer shares, in the order of their words."""
        p, f = self.params, self.params.formats
        found = {"leak": f.leak, "threshold": f.threshold, "b_x": f.b_x}
        if p.synapse:
            found["alpha"] = f.alpha
        if p.own_reset:
            found["reset"] = p.reset_amount
        return {name: fmt for name, fmt in found.items() if name not in p.per_neuron}

    @cached_property
    def neuron_values(self) -> dict[str, Fixed]:
        """The formats of what is a value a neuron, which lies in a memory of words like those of
        c.
        """
        p, f = self.params, self.params.formats
        found = {"c": f.c}
        if p.synapse:
            found["c_y"] = f.c_y
        formats = {
            "leak": f.leak, "alpha": f.alpha, "threshold": f.threshold, "reset": p.reset_amount
        }  # fmt: skip
        return found | {name: formats[name] for name in p.per_neuron}

    @cached_property
    def memories(self) -> dict[str, MemoryParams]:
        """What is loaded; `scalars` holds what the layer's neurons share, a word each."""
        p, f, lanes = self.params, self.params.formats, self.lanes
        d, per_cycle = p.n_state, self.hardware.products_per_cycle
        widths = (fmt.width + (not fmt.signed) for fmt in self.scalars.values())
        words, units = self.n_groups * self.fold, self.neuron_fold.units
        values = [MemoryParams(name, words, units, fmt) for name, fmt in self.neuron_values.items()]
        found = [
            MemoryParams("w_f", self.n_groups * p.n_addresses, lanes, f.w_f),
            values[0],
            MemoryParams("scalars", len(self.scalars), 1, Fixed(max(LOAD_WIDTH, *widths))),
            *values[1:],
        ]
        if d:
            update = self.state_update
            found += [
                MemoryParams("p", self.n_groups * self.dense_steps, per_cycle * lanes, f.p),
                MemoryParams("w_x", p.n_inputs, 1, f.w_x),
                MemoryParams("ab", update.row_groups * update.steps, update.multipliers, f.a),
            ]
        if self.delayed:
            found.append(MemoryParams("delays", p.n_inputs, 1, p.delay))
        return self.loaded(found)

    @cached_property
    def buffers(self) -> dict[str, MemoryParams]:
        """What the core writes itself: the event list, u, y, h, stored sums, the slow state for its
        own update (`m`) and for the dense state path (`history`), drives that wait for their
        update, spike masks, the rings of a delay line.
        """
        p, f, d = self.params, self.params.formats, self.params.n_state
        flag = Fixed(1, signed=False)
        words = self.n_groups * self.fold
        found = [*self._list_buffers, MemoryParams("u", words, self.neuron_fold.units, f.u)]
        if p.synapse:
            found.append(MemoryParams("y", words, self.neuron_fold.units, f.y))
        if d and p.dilation > 1:
            found.append(MemoryParams("h", words, self.neuron_fold.units, p.current))
        if self.stored:
            found += [
                MemoryParams(name, self.n_groups, self.lanes, fmt)
                for name, fmt in self.sums.items()
            ]
        if d:
            slots = self.hardware.products_per_cycle * len(self.refreshable)
            depth = 2 << address_width(self.dense_steps)
            update = self.state_update
            queued = self.block * (self.n_lists + update.lag + 1)
            found += [
                MemoryParams("m", 2 << address_width(update.words), update.columns, f.m),
                MemoryParams("history", depth, slots, f.m),
                MemoryParams("drives", queued, 1, Fixed(f.x.width + 2, signed=False)),
            ]
        mask = self.lanes * self.block + address_width(self.n_groups * self.lanes)
        mask += self.block + 1 + self.reports
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
        synapse = SYNAPSE_COUNTERS if self.params.synapse else ()
        return (*COMMON_COUNTERS, *inputs, *LAYER_COUNTERS, *synapse, *self.accesses)

    @cached_property
    def accesses(self) -> tuple[str, ...]:
        """The access counters: words read and written, products and additions of a word."""
        if not self.hardware.access_counters:
            return ()
        found = (*self.list_accesses, "w_f_reads", "c_reads", "u_reads", "u_writes")
        found += ("leak_products",)
        if self.params.synapse:
            found += ("y_reads", "y_writes", "c_y_reads", "synapse_products")
        found += tuple(f"{name}_reads" for name in self.params.per_neuron)
        if self.params.n_state:
            found += (
                "p_reads", "history_reads", "history_writes", "state_products", "w_x_reads",
                "ab_reads", "m_reads", "m_writes", "update_products",
            )  # fmt: skip
            if self.dilation > 1:
                found += ("h_reads", "h_writes")
        if self.stored:
            found += tuple(f"{name}_{what}" for name in self.sums for what in ("reads", "writes"))
        if self.delayed:
            found += ("delays_reads", "ring_reads", "ring_writes")
        return found
