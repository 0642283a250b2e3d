"""The neuron stage: membrane update, fire, reset."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.hardware.layer import LayerHardware
from golden.hardware.stages import MEMBRANE_LOOP, MEMBRANE_READ, NEURON_STAGE
from rtl.component import Component
from rtl.fixed import align, at_multiplier, delay, delay_rare, hold, saturate, shape_of, total
from rtl.layouts import Array, Struct, issue_layout, sums_layout
from rtl.neuron_words import (
    NeuronValues,
    around,
    decay,
    shifts,
    state_memory,
    used_unit,
    walk_steps,
)
from rtl.output_walk import Chains, OutputWalk
from rtl.signatures import GroupSpikes, GroupSpikesPorts, LoadBus, LoadBusPorts
from rtl.synapse import Synapse


class NeuronStage(Component):
    """Add the four terms of every membrane of a group, compare, reset; for all timesteps of the
    block, one after another.

        u' = sat(rshift(leak u) + Z + h + c);  spike where u' >= threshold
        kept: where it fired what the layer's reset leaves of u'; u' elsewhere

    Z is the rounded sum of weights or, with a synaptic current, what `Synapse` makes of it. Holds
    the membranes, the biases, other values a neuron, and the currents h between refreshes: each is
    read once a block and written once. A unit takes `fold` neurons in turn, so that the next
    timestep of a neuron comes when the one before is through. Never stalls: whoever issues a group
    has reserved room for its spikes.

    Parameters
    ----------
    layer
        The layer.
    numbers
        The load bus number of each of the layer's memories.

    Members
    -------
    issue
        From the group schedule (stage 0).
    leak, threshold, alpha, reset
        Those that the neurons share; constant.
    sums, currents
        `[timestep][lane]`, of the sparse spike path and, with a slow state, of the dense state
        path: complete in `NEURON_STAGE`. Shared (`LayerHardware.shared`), `sums` has both.
    o
        The spikes of a group, in `write_stage`.
    saturations, synapse_saturations
        How many membranes, and synaptic currents, were clamped in the cycle before.
    update_valid, update_membranes, update_spikes
        For the trace: what is kept of the membranes of a word of neurons, `[unit]`, and their
        spikes.
    synapse_valid, synapse_values
        For the trace: the synaptic currents of a word of neurons, `[unit]`.
    reads, h_read, writes, h_write, products
        A word of u and one of c are read, one of h is read, of u is written, of h is written, one
        is multiplied with the leak.
    y_read, y_write, synapse_products
        A word of y and one of c_y are read, one of y is written, one is multiplied with alpha.

    Latency: `write_stage` cycles; throughput: a group in `output_steps` cycles.
    """

    issue: Struct
    leak: Signal
    threshold: Signal
    alpha: Signal
    reset: Signal
    sums: Array
    currents: Array
    o: GroupSpikesPorts
    saturations: Signal
    synapse_saturations: Signal
    synapse_valid: Signal
    synapse_values: Array
    y_read: Signal
    y_write: Signal
    synapse_products: Signal
    update_valid: Signal
    update_membranes: Array
    update_spikes: Signal
    reads: Signal
    h_read: Signal
    writes: Signal
    h_write: Signal
    products: Signal
    load: LoadBusPorts

    def __init__(self, layer: LayerHardware, numbers: dict[str, int]) -> None:
        self.layer = layer
        p, f, units = layer.params, layer.params.formats, layer.neuron_fold.units
        self.walk = OutputWalk(layer)
        self.synapse = Synapse(layer, numbers) if p.synapse else None
        self.values = {
            name: NeuronValues(layer, name, numbers[name])
            for name in layer.neuron_values
            if name not in ("c_y", "alpha")
        }
        members = {
            "issue": In(issue_layout(layer)),
            **{name: In(shape_of(fmt)) for name, fmt in layer.scalars.items() if name != "b_x"},
            "sums": In(sums_layout(layer, layer.sums["sums"])),
            "o": Out(GroupSpikes(layer)),
            "saturations": Out(range(units + 1)),
            "update_valid": Out(1),
            "update_membranes": Out(data.ArrayLayout(shape_of(f.u), units)),
            "update_spikes": Out(units),
            "reads": Out(1),
            "h_read": Out(1),
            "writes": Out(1),
            "h_write": Out(1),
            "products": Out(1),
            "load": In(LoadBus()),
        }
        if "currents" in layer.sums:
            members["currents"] = In(sums_layout(layer, p.current_sum))
        if p.synapse:
            members |= {
                "synapse_saturations": Out(range(units + 1)),
                "synapse_valid": Out(1),
                "synapse_values": Out(data.ArrayLayout(shape_of(f.y), units)),
                "y_read": Out(1),
                "y_write": Out(1),
                "synapse_products": Out(1),
            }
        super().__init__(members)

    @property
    def latency(self) -> int:
        fold = self.layer.neuron_fold
        others = fold.steps - fold.interval + fold.fold - 1  # words of a group after the first
        before = self.walk.latency + (self.synapse.latency - 1 if self.synapse else 0)
        return before + fold.latency + others + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, p, f = self.layer, self.layer.params, self.layer.params.formats
        fold, block = layer.neuron_fold, layer.block
        m.submodules.walk = self.walk
        m.d.comb += self.walk.issue.eq(self.issue)
        # With a synaptic current, membranes are walked later.
        later = fold.membrane_stage - NEURON_STAGE

        # Cycle 0: membranes are addressed. Cycle `at`: operands. Then products; then sums; in the
        # last cycle, which is the same or the next one, they are clamped, and written at its end.
        at, last = fold.membrane_read, fold.latency
        steps = walk_steps(m, layer, self.walk.o, later + last + 1)  # with those of the sums
        step, moving = steps[later:], shifts(steps[later:])
        walk = step[0]
        reading = walk.valid & walk.first
        read, write = state_memory(m, platform, layer, "u")
        m.d.comb += [read.en.eq(reading), read.addr.eq(walk.word)]
        for name, values in self.values.items():
            m.submodules["biases" if name == "c" else f"{name}_words"] = values.bank
            values.connect(m, self.load, reading, walk.word)
        m.d.comb += [
            write.en.eq(step[last].valid & step[last].last),
            write.addr.eq(step[last].word),
            self.reads.eq(reading),
            self.writes.eq(write.en),
            self.products.eq(walk.valid),
        ]
        held_word = held_write = None
        if p.n_state and p.dilation > 1:
            held_read, held_write = state_memory(m, platform, layer, "h")
            m.d.comb += [
                held_read.en.eq(reading & ~walk.refresh),
                held_read.addr.eq(walk.word),
                held_write.en.eq(step[last].valid & step[last].last & step[last].any_refresh),
                held_write.addr.eq(step[last].word),
                self.h_read.eq(held_read.en),
                self.h_write.eq(held_write.en),
            ]
            held_word = self._read(m, held_read.data, step, at, "held_word")
        membrane_word = self._read(m, read.data, step, at - MEMBRANE_READ, "membrane_word")
        chains = Chains(m, self.walk, layer.lanes)
        if self.synapse is not None:
            self._connect_synapse(m, self.synapse, chains, steps)

        fired_bits, outsides = [], []
        for unit in range(fold.units):
            driving = self._driving(m, chains, unit, step)
            bias = self.values["c"].of(m, unit, step[at:], "bias")
            fast = driving + bias
            fast_sum = Signal(fast.shape(), name=f"fast_sum_{unit}", reset_less=True)
            hold(m, moving[at], fast_sum.eq(fast))
            summed: Value = fast_sum
            if "currents" in layer.sums:
                current_sum = self._sum(m, chains, self.currents, unit, steps, "current")
                current: Value = Signal(
                    shape_of(p.current), name=f"current_{unit}", reset_less=True
                )
                known = shifts(steps[at:])
                hold(m, known[0], current.eq(align(current_sum, p.current_shift)))
                current = delay(
                    m, current, later, f"current_{unit}", reset_less=True, moving=known[1:]
                )
                if held_word is not None and held_write is not None:
                    held = Signal(shape_of(p.current), name=f"held_{unit}")
                    before: Value = held_word[unit]
                    if block > 1:
                        held_before = around(
                            m, held, fold.interval, f"held_before_{unit}", moving[at + 1 :]
                        )
                        before = Mux(step[at + 1].first, before, held_before).as_signed()
                    m.d.comb += held.eq(Mux(step[at + 1].refresh, current, before))
                    written = delay(
                        m,
                        held,
                        last - at - 1,
                        f"held_written_{unit}",
                        reset_less=True,
                        moving=moving[at + 1 :],
                    )
                    m.d.comb += held_write.data[unit].eq(written)
                    current = held
                summed = fast_sum + current
            kept = Signal(shape_of(f.u), name=f"kept_{unit}")
            fresh = Mux(step[at].fresh, 0, membrane_word[unit]).as_signed()
            if block > 1:
                cycles = fold.interval - fold.membrane_loop
                before = around(m, kept, cycles, f"kept_before_{unit}", moving[last:])
                fresh = Mux(step[at].first, fresh, before).as_signed()
            leak = self._value(m, "leak", unit, step[at:])
            operand = Signal(shape_of(f.u), name=f"operand_{unit}", reset_less=True)
            product = Signal((operand * leak).shape(), name=f"product_{unit}", reset_less=True)
            hold(m, at_multiplier(layer.hardware, moving[at]), operand.eq(fresh))
            hold(m, at_multiplier(layer.hardware, moving[at + 1]), product.eq(operand * leak))
            fired, outside = self._fire(m, unit, product, summed, step[at:], kept)
            m.d.comb += write.data[unit].eq(kept)
            used = used_unit(layer, step[last], unit) & step[last].valid
            fired_bits.append(fired & used)
            outsides.append(delay(m, outside & used, 1, f"clipped_{unit}"))

        self._collect(m, step[last], step[last + 1], fired_bits)
        m.d.comb += self.saturations.eq(total(outsides))
        if layer.hardware.trace:
            m.d.sync += self.update_membranes.eq(write.data)
            m.d.comb += self.update_valid.eq(step[last + 1].valid)
        return m

    def _collect(self, m: Module, now: Any, after: Any, fired_bits: list[Value]) -> None:
        """Collect the spikes of a group, which come by words of units, timestep by timestep; they
        leave by lanes.
        """
        layer, fold, block = self.layer, self.layer.neuron_fold, self.layer.block
        words = data.ArrayLayout(fold.units, fold.fold * block)
        collected = Signal(words, reset_less=True, name="spikes")
        with m.If(now.shift):
            m.d.sync += collected.eq(Cat(collected.as_value()[fold.units :], *fired_bits))
        for lane in range(layer.lanes):
            word, unit = divmod(lane, fold.units)
            bits = (collected[t * fold.fold + word][unit] for t in range(block))
            m.d.comb += self.o.spikes[lane].eq(Cat(bits))
        m.d.comb += [
            self.o.valid.eq(after.final),
            self.o.timesteps.eq(after.timesteps),
            self.o.last_group.eq(after.last_group),
            self.o.sequence_end.eq(
                delay_rare(m, self.issue.sequence_end, layer.write_stage, "sequence_end")[0]
            ),
        ]
        if layer.reports:
            report, _ = delay_rare(m, self.issue.report, layer.write_stage, "report")
            m.d.comb += self.o.report.eq(report)
        if layer.hardware.trace:
            m.d.comb += self.update_spikes.eq(collected[fold.fold * block - 1])

    def _read(self, m: Module, word: Any, step: list[Any], cycles: int, name: str) -> Any:
        """What is read of a memory, `cycles` cycles after it is valid."""
        moving = shifts(step[MEMBRANE_READ:])
        return delay(m, word, cycles, name, reset_less=True, moving=moving)

    def _connect_synapse(
        self, m: Module, synapse: Synapse, chains: Chains, steps: list[Any]
    ) -> None:
        m.submodules.synapse = synapse
        wiring.connect(m, wiring.flipped(self.load), synapse.load)
        m.d.comb += [
            synapse.walk.eq(self.walk.o),
            self.synapse_saturations.eq(synapse.saturations),
            self.synapse_valid.eq(synapse.update_valid),
            self.synapse_values.eq(synapse.o),
            self.y_read.eq(synapse.reads),
            self.y_write.eq(synapse.writes),
            self.synapse_products.eq(synapse.products),
        ]
        if "alpha" in self.layer.scalars:
            m.d.comb += synapse.alpha.eq(self.alpha)
        for unit in range(self.layer.neuron_fold.units):
            spike_sum = self._sum(m, chains, self.sums, unit, steps, "spike")
            m.d.comb += synapse.sums[unit].eq(spike_sum)

    def _driving(self, m: Module, chains: Chains, unit: int, step: list[Any]) -> Value:
        """What drives a unit's membrane: the sum of weights, or the synaptic current."""
        p, fold = self.layer.params, self.layer.neuron_fold
        if self.synapse is None:
            spike_sum = self._sum(m, chains, self.sums, unit, step, "spike")
            return align(spike_sum, self.layer.sum_shift)
        later = fold.membrane_read - MEMBRANE_READ
        current = self._read(m, self.synapse.o[unit], step, later, f"synapse_{unit}")
        return align(current, p.synapse_shift)

    def _value(self, m: Module, name: str, unit: int, step: list[Any]) -> Value:
        """A value of a unit's neuron, in the cycle after that of its operand (`step[0]`)."""
        if name not in self.values:
            return getattr(self, name)
        value = self.values[name].of(m, unit, step, name)
        return delay(m, value, 1, f"{name}_{unit}", reset_less=True, moving=shifts(step))

    def _fire(
        self, m: Module, unit: int, product: Value, summed: Value, step: list[Any], kept: Signal
    ) -> tuple[Value, Value]:
        """Decide what is `kept` of a unit's membrane; return whether it fires, and whether it had
        to be clamped. `step[0]` is that of its operand.

        u' and u' less the threshold are computed in parallel, to keep the subtraction off the
        critical path; so is u' less the reset's amount, where that is another one.
        """
        p, f, fold = self.layer.params, self.layer.params.formats, self.layer.neuron_fold
        later, moving = fold.membrane_loop - MEMBRANE_LOOP, shifts(step)

        def register(name: str, value: Value) -> Signal:
            found = Signal(value.shape(), name=f"{name}_{unit}", reset_less=True)
            hold(m, moving[1], found.eq(value))
            return found

        def later_on(name: str, value: Value) -> Value:
            return delay(m, value, later, f"{name}_{unit}", reset_less=True, moving=moving[2:])

        def decayed(added: Value) -> Value:
            """The decayed membrane plus a term."""
            return decay(product, added, p.leak_shift, p.decay_rounding)

        threshold = self._value(m, "threshold", unit, step)
        bare, less = register("bare", summed), register("less", summed - threshold)
        new, reduced = decayed(bare), decayed(less)
        new, reduced = later_on("new", new), later_on("reduced", reduced)
        clamped, outside = saturate(new, f.u)
        fired = ~reduced[-1]
        after: Value | int = 0
        if p.reset == "none":
            after = clamped
        elif p.own_reset:
            amount = self._value(m, "reset", unit, step)
            after = self._last(m, "reset", unit, amount, moving)
            if p.reset == "subtract":
                left = later_on("left", decayed(register("taken", summed - amount)))
                after = Mux(outside, f.u.max - after, left)
        elif p.reset == "subtract":
            amount = self._last(m, "threshold", unit, threshold, moving)
            after = Mux(outside, f.u.max - amount, reduced)
        m.d.comb += kept.eq(Mux(fired, after, clamped))
        return fired, outside

    def _last(self, m: Module, name: str, unit: int, value: Value, moving: list[Value]) -> Value:
        """A value that is known in the cycle after the operand's address, in the last one."""
        if name not in self.values:
            return value
        cycles = self.layer.neuron_fold.membrane_loop - 1
        return delay(m, value, cycles, f"{name}_last_{unit}", reset_less=True, moving=moving[1:])

    def _sum(
        self, m: Module, chains: Chains, sums: Array, unit: int, steps: list[Any], name: str
    ) -> Value:
        """A unit's sums, one after another, in the order in which it needs them: of its neurons,
        timestep by timestep.
        """
        layer, fold = self.layer, self.layer.neuron_fold
        lanes = [index * fold.units + unit for index in range(fold.fold)]
        in_order = [(sums[t][lane], lane) for t in range(layer.block) for lane in lanes]
        found = chains.feed(m, in_order, f"{name}_{unit}")
        return self._read(m, found, steps, fold.membrane_read - MEMBRANE_READ, f"{name}_{unit}")


assert (MEMBRANE_READ, MEMBRANE_LOOP) == (1, 2), "the stage takes its cycles from these"
