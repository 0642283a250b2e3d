"""The neuron stage: membrane update, fire, reset."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.hardware.layer import LayerHardware
from golden.hardware.stages import MEMBRANE_LOOP, MEMBRANE_READ
from rtl.bank import Bank
from rtl.component import NEVER_COLLIDES, Component
from rtl.fixed import align, delay, lane, saturate, shape_of
from rtl.output_walk import Chains, OutputWalk
from rtl.streams import LOAD_BUS, issue_layout


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
        From the two paths, complete at `NEURON_STAGE`.
    valid, spikes, timesteps, last_group
        At `write_stage`: a group's spikes, a bit a timestep, those of lane 0 lowest; the timesteps
        that the block has; the group is the block's last. Lanes without a neuron never spike.
    sequence_end
        At `write_stage`: the end of a sequence passes.
    saturations
        How many membranes were clamped in the cycle before.
    update_valid, update_membranes, update_spikes
        For the trace: what is kept of the membranes of a word of neurons, and their spikes.
    reads, h_read, writes, h_write, products
        A word of u and one of c are read, one of h is read, of u is written, of h is written, one
        is multiplied with the leak.

    Latency: `write_stage` cycles; throughput: a group in `output_steps` cycles.
    """

    def __init__(self, layer: LayerHardware, number: int) -> None:
        self.layer, self.number = layer, number
        p, f, units = layer.params, layer.params.formats, layer.neuron_fold.units
        members = {
            "issue": In(issue_layout(layer)),
            "leak": In(shape_of(f.leak)),
            "threshold": In(shape_of(f.threshold)),
            "sums": In(layer.block * layer.lanes * p.spike_sum.width),
            "valid": Out(1),
            "spikes": Out(layer.lanes * layer.block),
            "timesteps": Out(layer.block),
            "last_group": Out(1),
            "sequence_end": Out(1),
            "saturations": Out(range(units + 1)),
            "update_valid": Out(1),
            "update_membranes": Out(units * f.u.width),
            "update_spikes": Out(units),
            "reads": Out(1),
            "h_read": Out(1),
            "writes": Out(1),
            "h_write": Out(1),
            "products": Out(1),
            "load": In(LOAD_BUS),
        }
        if p.n_state:
            members["currents"] = In(layer.block * layer.lanes * p.current_sum.width)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, p, f = self.layer, self.layer.params, self.layer.params.formats
        units, fold, block, lanes = layer.neuron_fold.units, layer.fold, layer.block, layer.lanes
        m.submodules.walk = walk = OutputWalk(layer)
        m.submodules.biases = biases = Bank(
            layer.memories["c"], self.number, registered=layer.neuron_fold.relaxed
        )
        wiring.connect(m, wiring.flipped(self.load), biases.load)
        m.d.comb += walk.issue.eq(self.issue)

        # Cycle 0: membranes are addressed. Cycle `at`: operands. Then products; then sums; in the
        # last cycle, which is the same or the next one, they are clamped, and written at its end.
        at, last = layer.neuron_fold.membrane_read, layer.output_latency
        step = [walk.o]
        for cycle in range(1, last + 2):
            step.append(delay(m, step[-1], 1, f"step_{cycle}"))
        reading = walk.o.valid & walk.o.first
        membranes, read, write = self._memory(m, "u")
        m.d.comb += [
            read.en.eq(reading),
            read.addr.eq(walk.o.word),
            biases.enable.eq(reading),
            biases.address.eq(walk.o.word),
            write.en.eq(step[last].valid & step[last].last),
            write.addr.eq(step[last].word),
            self.reads.eq(reading),
            self.writes.eq(write.en),
            self.products.eq(walk.o.valid),
        ]
        held_word = None
        if p.n_state and p.dilation > 1:
            _, held_read, held_write = self._memory(m, "h")
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

        chains = Chains(m, walk, lanes)
        kept_words, fired_words, held_words, outsides = [], [], [], []
        half = Const(1 << p.leak_shift >> 1, p.leak_shift)
        for unit in range(units):
            spike_sum = self._sum(m, chains, self.sums, p.spike_sum.width, unit, "spike")
            bias = Signal(shape_of(f.c), name=f"bias_{unit}")
            bias_before = around(bias, layer.interval, f"bias_before_{unit}")
            loaded = lane(biases.data, unit, f.c)
            m.d.comb += bias.eq(Mux(step[at].first, loaded, bias_before) if block > 1 else loaded)
            fast = align(spike_sum, p.spike_shift) + bias
            fast_sum = Signal(fast.shape(), name=f"fast_sum_{unit}", reset_less=True)
            m.d.sync += fast_sum.eq(fast)
            total: Value = fast_sum
            if p.n_state:
                current_sum = self._sum(
                    m, chains, self.currents, p.current_sum.width, unit, "current"
                )
                current = Signal(shape_of(p.current), name=f"current_{unit}", reset_less=True)
                m.d.sync += current.eq(align(current_sum, p.current_shift))
                if held_word is not None:
                    held = Signal(shape_of(p.current), name=f"held_{unit}")
                    before: Value = lane(held_word, unit, p.current)
                    if block > 1:
                        held_before = around(held, layer.interval, f"held_before_{unit}")
                        before = Mux(step[at + 1].first, before, held_before).as_signed()
                    m.d.comb += held.eq(Mux(step[at + 1].refresh, current, before))
                    held_words.append(
                        delay(m, held, last - at - 1, f"held_written_{unit}", reset_less=True)
                    )
                    current = held
                total = fast_sum + current
            # Twice, with and without the threshold: so comparing and subtracting wait for nothing.
            over_threshold = total - self.threshold
            bare = Signal(total.shape(), name=f"bare_{unit}", reset_less=True)
            less = Signal(over_threshold.shape(), name=f"less_{unit}", reset_less=True)
            kept = Signal(shape_of(f.u), name=f"kept_{unit}")
            membrane = lane(membrane_word, unit, f.u)
            fresh = Mux(step[at].fresh, 0, membrane).as_signed()
            if block > 1:
                before = around(
                    kept, layer.interval - layer.neuron_fold.membrane_loop, f"kept_before_{unit}"
                )
                fresh = Mux(step[at].first, fresh, before).as_signed()
            operand = Signal(shape_of(f.u), name=f"operand_{unit}", reset_less=True)
            product_shape = (operand * self.leak).shape()
            product = Signal(product_shape, name=f"product_{unit}", reset_less=True)
            m.d.sync += [
                operand.eq(fresh),
                product.eq(operand * self.leak),
                bare.eq(total),
                less.eq(over_threshold),
            ]
            new = (product + Cat(half, bare).as_signed()).shift_right(p.leak_shift)
            reduced = (product + Cat(half, less).as_signed()).shift_right(p.leak_shift)
            new = delay(
                m,
                new,
                layer.neuron_fold.membrane_loop - MEMBRANE_LOOP,
                f"new_{unit}",
                reset_less=True,
            )
            reduced = delay(
                m,
                reduced,
                layer.neuron_fold.membrane_loop - MEMBRANE_LOOP,
                f"reduced_{unit}",
                reset_less=True,
            )
            clamped, outside = saturate(new, f.u)
            fired = ~reduced[-1]
            after = Mux(outside, f.u.max - self.threshold, reduced) if p.reset == "subtract" else 0
            m.d.comb += kept.eq(Mux(fired, after, clamped))
            used = self._used(step[last], unit)
            kept_words.append(kept)
            fired_words.append(fired & used & step[last].valid)
            clipped = outside & used & step[last].valid
            outsides.append(delay(m, clipped, 1, f"clipped_{unit}"))

        m.d.comb += write.data.eq(Cat(*kept_words))
        if held_words:
            m.d.comb += held_write.data.eq(Cat(*held_words))  # pyright: ignore
        # The spikes of a group come in by words, timestep by timestep, and leave by lanes.
        words = fold * block
        collected = [Signal(units, name=f"spikes_{i}", reset_less=True) for i in range(words)]
        with m.If(step[last].shift):
            m.d.sync += [a.eq(b) for a, b in zip(collected, collected[1:], strict=False)]
            m.d.sync += collected[-1].eq(Cat(*fired_words))
        by_lane = [
            collected[t * fold + index // units][index % units]
            for index in range(lanes)
            for t in range(block)
        ]
        m.d.comb += [
            self.spikes.eq(Cat(*by_lane)),
            self.valid.eq(step[last + 1].final),
            self.timesteps.eq(step[last + 1].timesteps),
            self.last_group.eq(step[last + 1].last_group),
            self.sequence_end.eq(
                delay(m, self.issue.sequence_end, layer.write_stage, "sequence_end")
            ),
            self.saturations.eq(sum(outsides[1:], outsides[0])),
        ]
        if layer.hardware.trace:
            m.d.sync += self.update_membranes.eq(write.data)
            m.d.comb += [
                self.update_valid.eq(step[last + 1].valid),
                self.update_spikes.eq(collected[-1]),
            ]
        return m

    def _memory(self, m: Module, name: str) -> tuple[Memory, Any, Any]:
        """A memory with a read and a write port; where the pipeline is longer than a block, what is
        being written can already be read.
        """
        layer = self.layer
        memory = layer.buffers[name]
        collides = layer.reads_while_writing
        m.submodules[name] = words = Memory(
            shape=memory.width,
            depth=memory.depth,
            init=[],
            attrs=None if collides else NEVER_COLLIDES,
        )
        write = words.write_port()
        return words, words.read_port(transparent_for=(write,) if collides else ()), write

    def _sum(
        self, m: Module, chains: Chains, sums: Value, width: int, unit: int, name: str
    ) -> Value:
        """A unit's sums, one after another, in the order in which it needs them: of its neurons,
        timestep by timestep.
        """
        layer = self.layer
        lanes = [index * layer.neuron_fold.units + unit for index in range(layer.fold)]
        places = [(t * layer.lanes + lane, lane) for t in range(layer.block) for lane in lanes]
        words = [(sums.word_select(place, width).as_signed(), lane) for place, lane in places]
        total = chains.feed(m, words, f"{name}_{unit}")
        return delay(
            m,
            total,
            layer.neuron_fold.membrane_read - MEMBRANE_READ,
            f"{name}_{unit}",
            reset_less=True,
        )

    def _used(self, step: object, unit: int) -> Value:
        """Whether a unit's neuron of a word exists."""
        layer = self.layer
        last_word = (layer.params.n_neurons - 1) // layer.neuron_fold.units
        left = layer.params.n_neurons - last_word * layer.neuron_fold.units
        word = step.word  # pyright: ignore
        return (word < last_word) | ((word == last_word) & (unit < left))


assert (MEMBRANE_READ, MEMBRANE_LOOP) == (1, 2), "the stage takes its cycles from these"
