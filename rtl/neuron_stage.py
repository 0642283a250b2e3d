"""The neuron stage: membrane update, fire, reset."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.hardware.layer import LayerHardware
from golden.hardware.stages import MEMBRANE_LOOP, MEMBRANE_READ
from rtl.bank import Bank
from rtl.component import NEVER_COLLIDES, Component
from rtl.fixed import align, delay, saturate, shape_of, total
from rtl.layouts import Array, Struct, issue_layout, sums_layout
from rtl.output_walk import Chains, OutputWalk
from rtl.signatures import GroupSpikes, GroupSpikesPorts, LoadBus, LoadBusPorts


class NeuronStage(Component):
    """Add the four terms of every membrane of a group, compare, reset; for all timesteps of the
    block, one after another.

        u' = sat(rshift(leak u) + rshift(sum of weights) + h + c);  spike where u' >= threshold
        kept: u' - threshold, or 0, where it fired; u' elsewhere

    Holds the membranes, the biases, and the currents h between refreshes: each is read once a block
    and written once. A unit takes `fold` neurons in turn, so that the next timestep of a neuron
    comes when the one before is through. Never stalls: whoever issues a group has reserved room for
    its spikes.

    Parameters
    ----------
    layer
        The layer.
    number
        Of the bank of biases c.

    Members
    -------
    issue
        From the group schedule (stage 0).
    leak, threshold
        Constant.
    sums, currents
        `[timestep][lane]`, of the sparse spike path and, with a slow state, of the dense state
        path: complete in `NEURON_STAGE`.
    o
        The spikes of a group, in `write_stage`.
    saturations
        How many membranes were clamped in the cycle before.
    update_valid, update_membranes, update_spikes
        For the trace: what is kept of the membranes of a word of neurons, `[unit]`, and their
        spikes.
    reads, h_read, writes, h_write, products
        A word of u and one of c are read, one of h is read, of u is written, of h is written, one
        is multiplied with the leak.

    Latency: `write_stage` cycles; throughput: a group in `output_steps` cycles.
    """

    issue: Struct
    leak: Signal
    threshold: Signal
    sums: Array
    currents: Array
    o: GroupSpikesPorts
    saturations: Signal
    update_valid: Signal
    update_membranes: Array
    update_spikes: Signal
    reads: Signal
    h_read: Signal
    writes: Signal
    h_write: Signal
    products: Signal
    load: LoadBusPorts

    def __init__(self, layer: LayerHardware, number: int) -> None:
        self.layer = layer
        p, f, units = layer.params, layer.params.formats, layer.neuron_fold.units
        self.walk = OutputWalk(layer)
        self.biases = Bank(layer.memories["c"], number, registered=layer.neuron_fold.relaxed)
        members = {
            "issue": In(issue_layout(layer)),
            "leak": In(shape_of(f.leak)),
            "threshold": In(shape_of(f.threshold)),
            "sums": In(sums_layout(layer, p.spike_sum)),
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
        if p.n_state:
            members["currents"] = In(sums_layout(layer, p.current_sum))
        super().__init__(members)

    @property
    def latency(self) -> int:
        fold = self.layer.neuron_fold
        others = fold.steps - fold.interval + fold.fold - 1  # words of a group after the first
        return self.walk.latency + fold.latency + others + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, p, f = self.layer, self.layer.params, self.layer.params.formats
        fold, block = layer.neuron_fold, layer.block
        m.submodules.walk = walk = self.walk
        m.submodules.biases = biases = self.biases
        wiring.connect(m, wiring.flipped(self.load), biases.load)
        m.d.comb += walk.issue.eq(self.issue)

        # Cycle 0: membranes are addressed. Cycle `at`: operands. Then products; then sums; in the
        # last cycle, which is the same or the next one, they are clamped, and written at its end.
        at, last = fold.membrane_read, fold.latency
        step = [walk.o]
        for cycle in range(1, last + 2):
            step.append(delay(m, step[-1], 1, f"step_{cycle}"))
        reading = walk.o.valid & walk.o.first
        read, write = self._memory(m, "u")
        m.d.comb += [
            read.en.eq(reading),
            read.addr.eq(walk.o.word),
            biases.enable.eq(reading),
            biases.address[0].eq(walk.o.word),
            write.en.eq(step[last].valid & step[last].last),
            write.addr.eq(step[last].word),
            self.reads.eq(reading),
            self.writes.eq(write.en),
            self.products.eq(walk.o.valid),
        ]
        held_word = held_write = None
        if p.n_state and p.dilation > 1:
            held_read, held_write = self._memory(m, "h")
            m.d.comb += [
                held_read.en.eq(reading & ~walk.o.refresh),
                held_read.addr.eq(walk.o.word),
                held_write.en.eq(step[last].valid & step[last].last & step[last].any_refresh),
                held_write.addr.eq(step[last].word),
                self.h_read.eq(held_read.en),
                self.h_write.eq(held_write.en),
            ]
            held_word = delay(m, held_read.data, at, "held_word", reset_less=True)

        membrane_word = delay(m, read.data, at - MEMBRANE_READ, "membrane_word", reset_less=True)

        def around(value: Value, cycles: int, name: str) -> Value:
            """A unit's value of the timestep before, `cycles` cycles after it."""
            return delay(m, value, cycles, name, reset_less=True) if cycles else value

        chains = Chains(m, walk, layer.lanes)
        fired_bits, outsides = [], []
        half = Const(1 << p.leak_shift >> 1, p.leak_shift)
        for unit in range(fold.units):
            spike_sum = self._sum(m, chains, self.sums, unit, "spike")
            bias = Signal(shape_of(f.c), name=f"bias_{unit}")
            bias_before = around(bias, fold.interval, f"bias_before_{unit}")
            loaded = biases.words[0][unit]
            m.d.comb += bias.eq(Mux(step[at].first, loaded, bias_before) if block > 1 else loaded)
            fast = align(spike_sum, p.spike_shift) + bias
            fast_sum = Signal(fast.shape(), name=f"fast_sum_{unit}", reset_less=True)
            m.d.sync += fast_sum.eq(fast)
            summed: Value = fast_sum
            if p.n_state:
                current_sum = self._sum(m, chains, self.currents, unit, "current")
                current = Signal(shape_of(p.current), name=f"current_{unit}", reset_less=True)
                m.d.sync += current.eq(align(current_sum, p.current_shift))
                if held_word is not None and held_write is not None:
                    held = Signal(shape_of(p.current), name=f"held_{unit}")
                    before: Value = held_word[unit]
                    if block > 1:
                        held_before = around(held, fold.interval, f"held_before_{unit}")
                        before = Mux(step[at + 1].first, before, held_before).as_signed()
                    m.d.comb += held.eq(Mux(step[at + 1].refresh, current, before))
                    written = delay(m, held, last - at - 1, f"held_written_{unit}", reset_less=True)
                    m.d.comb += held_write.data[unit].eq(written)
                    current = held
                summed = fast_sum + current
            # u' and u' - threshold are computed in parallel, to keep the subtraction off the
            # critical path.
            over_threshold = summed - self.threshold
            bare = Signal(summed.shape(), name=f"bare_{unit}", reset_less=True)
            less = Signal(over_threshold.shape(), name=f"less_{unit}", reset_less=True)
            kept = Signal(shape_of(f.u), name=f"kept_{unit}")
            fresh = Mux(step[at].fresh, 0, membrane_word[unit]).as_signed()
            if block > 1:
                before = around(kept, fold.interval - fold.membrane_loop, f"kept_before_{unit}")
                fresh = Mux(step[at].first, fresh, before).as_signed()
            operand = Signal(shape_of(f.u), name=f"operand_{unit}", reset_less=True)
            product_shape = (operand * self.leak).shape()
            product = Signal(product_shape, name=f"product_{unit}", reset_less=True)
            m.d.sync += [
                operand.eq(fresh),
                product.eq(operand * self.leak),
                bare.eq(summed),
                less.eq(over_threshold),
            ]
            new = (product + Cat(half, bare).as_signed()).shift_right(p.leak_shift)
            reduced = (product + Cat(half, less).as_signed()).shift_right(p.leak_shift)
            later = fold.membrane_loop - MEMBRANE_LOOP
            new = delay(m, new, later, f"new_{unit}", reset_less=True)
            reduced = delay(m, reduced, later, f"reduced_{unit}", reset_less=True)
            clamped, outside = saturate(new, f.u)
            fired = ~reduced[-1]
            after = Mux(outside, f.u.max - self.threshold, reduced) if p.reset == "subtract" else 0
            used = self._used(step[last], unit) & step[last].valid
            m.d.comb += [kept.eq(Mux(fired, after, clamped)), write.data[unit].eq(kept)]
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
                delay(m, self.issue.sequence_end, layer.write_stage, "sequence_end")
            ),
        ]
        if layer.hardware.trace:
            m.d.comb += self.update_spikes.eq(collected[fold.fold * block - 1])

    def _memory(self, m: Module, name: str) -> tuple[Any, Any]:
        """Make a memory; return its read and its write port. Where the pipeline is longer than a
        block, what is being written can already be read.
        """
        memory = self.layer.buffers[name]
        collides = self.layer.reads_while_writing
        m.submodules[name] = words = Memory(
            shape=data.ArrayLayout(shape_of(memory.element), memory.n_lanes),
            depth=memory.depth,
            init=[],
            attrs=None if collides else NEVER_COLLIDES,
        )
        write = words.write_port()
        return words.read_port(transparent_for=(write,) if collides else ()), write

    def _sum(self, m: Module, chains: Chains, sums: Array, unit: int, name: str) -> Value:
        """A unit's sums, one after another, in the order in which it needs them: of its neurons,
        timestep by timestep.
        """
        layer, fold = self.layer, self.layer.neuron_fold
        lanes = [index * fold.units + unit for index in range(fold.fold)]
        in_order = [(sums[t][lane], lane) for t in range(layer.block) for lane in lanes]
        found = chains.feed(m, in_order, f"{name}_{unit}")
        later = fold.membrane_read - MEMBRANE_READ
        return delay(m, found, later, f"{name}_{unit}", reset_less=True)

    def _used(self, step: Any, unit: int) -> Value:
        """Whether a unit's neuron of a word exists."""
        layer, units = self.layer, self.layer.neuron_fold.units
        last_word = (layer.params.n_neurons - 1) // units
        left = layer.params.n_neurons - last_word * units
        return (step.word < last_word) | ((step.word == last_word) & (unit < left))


assert (MEMBRANE_READ, MEMBRANE_LOOP) == (1, 2), "the stage takes its cycles from these"
