"""The synaptic currents of a layer's neurons."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from golden.hardware.layer import LayerHardware
from golden.hardware.stages import MEMBRANE_LOOP, MEMBRANE_READ
from rtl.component import Component
from rtl.fixed import align, at_multiplier, delay, hold, saturate, shape_of, total
from rtl.layouts import Array, Struct
from rtl.neuron_words import (
    NeuronValues,
    around,
    decay,
    shifts,
    state_memory,
    used_unit,
    walk_steps,
)
from rtl.output_walk import walk_layout
from rtl.signatures import LoadBus, LoadBusPorts


class Synapse(Component):
    """Let the weights of spikes drive a current y, which decays; for all timesteps of the block,
    one after another.

        y' = sat(rshift(alpha y) + rshift(sum of weights) + c_y)

    Holds the currents and their biases: each is read once a block and written once, with the walk
    of the neuron stage. Never stalls.

    Parameters
    ----------
    layer
        The layer; it has a synaptic current.
    numbers
        The load bus number of each of the layer's memories.

    Members
    -------
    walk
        Which word of neurons is taken in which timestep (`walk_layout`).
    sums
        `sums[unit]`, of the sparse spike path: `membrane_read` cycles after the walk.
    alpha
        Constant; there is none where it is a value a neuron.
    o
        `o[unit]`: y', `latency` cycles after the walk.
    saturations
        How many currents were clamped in the cycle before.
    update_valid
        For the trace: `o` are the currents of a word of neurons.
    reads, writes, products
        A word of y and one of c_y are read, one of y is written, one is multiplied with alpha.

    Latency: that of the membranes and 1 cycle more; throughput: a word a cycle.
    """

    walk: Struct
    sums: Array
    alpha: Signal
    o: Array
    saturations: Signal
    update_valid: Signal
    reads: Signal
    writes: Signal
    products: Signal
    load: LoadBusPorts

    def __init__(self, layer: LayerHardware, numbers: dict[str, int]) -> None:
        self.layer = layer
        p, f, units = layer.params, layer.params.formats, layer.neuron_fold.units
        named = ("c_y", *["alpha"] * ("alpha" in p.per_neuron))
        self.values = {name: NeuronValues(layer, name, numbers[name]) for name in named}
        members = {
            "walk": In(walk_layout(layer)),
            "sums": In(data.ArrayLayout(shape_of(p.spike_sum), units)),
            "o": Out(data.ArrayLayout(shape_of(f.y), units)),
            "saturations": Out(range(units + 1)),
            "update_valid": Out(1),
            "reads": Out(1),
            "writes": Out(1),
            "products": Out(1),
            "load": In(LoadBus()),
        }
        if "alpha" not in p.per_neuron:
            members["alpha"] = In(shape_of(f.alpha))
        super().__init__(members)

    @property
    def latency(self) -> int:
        return self.layer.neuron_fold.latency + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, p, f = self.layer, self.layer.params, self.layer.params.formats
        fold, block = layer.neuron_fold, layer.block
        # Cycle 0: y is addressed. Cycle `at`: operands. Then products; then sums; in the last
        # cycle, which is the same or the next one, they are clamped, and written at its end.
        at, last = fold.membrane_read, fold.latency
        step = walk_steps(m, layer, self.walk, last + 1)
        reading = self.walk.valid & self.walk.first
        read, write = state_memory(m, platform, layer, "y")
        m.d.comb += [
            read.en.eq(reading),
            read.addr.eq(self.walk.word),
            write.en.eq(step[last].valid & step[last].last),
            write.addr.eq(step[last].word),
            self.reads.eq(reading),
            self.writes.eq(write.en),
            self.products.eq(self.walk.valid),
            self.update_valid.eq(step[last + 1].valid),
        ]
        for name, values in self.values.items():
            m.submodules[f"{name}_words"] = values.bank
            values.connect(m, self.load, reading, self.walk.word)
        moving = shifts(step)
        word = delay(
            m, read.data, at - MEMBRANE_READ, "word", reset_less=True, moving=moving[MEMBRANE_READ:]
        )
        later = fold.membrane_loop - MEMBRANE_LOOP
        clipped = []
        for unit in range(fold.units):
            bias = self.values["c_y"].of(m, unit, step[at:], "bias")
            driving = align(self.sums[unit], p.spike_shift) + bias
            driven = Signal(driving.shape(), name=f"driven_{unit}", reset_less=True)
            bare = Signal(driving.shape(), name=f"bare_{unit}", reset_less=True)
            alpha: Value = self._alpha(m, unit, step[at:])
            kept = Signal(shape_of(f.y), name=f"kept_{unit}")
            fresh = Mux(step[at].fresh, 0, word[unit]).as_signed()
            if block > 1:
                cycles = fold.interval - fold.membrane_loop
                before = around(m, kept, cycles, f"kept_before_{unit}", moving[last:])
                fresh = Mux(step[at].first, fresh, before).as_signed()
            operand = Signal(shape_of(f.y), name=f"operand_{unit}", reset_less=True)
            product = Signal((operand * alpha).shape(), name=f"product_{unit}", reset_less=True)
            hold(m, moving[at], driven.eq(driving))
            hold(m, moving[at + 1], bare.eq(driven))
            hold(m, at_multiplier(layer.hardware, moving[at]), operand.eq(fresh))
            hold(m, at_multiplier(layer.hardware, moving[at + 1]), product.eq(operand * alpha))
            new = decay(product, bare, p.alpha_shift, p.decay_rounding)
            new = delay(m, new, later, f"new_{unit}", reset_less=True, moving=moving[at + 2 :])
            clamped, outside = saturate(new, f.y)
            m.d.comb += [kept.eq(clamped), write.data[unit].eq(kept)]
            hold(m, moving[last], self.o[unit].eq(kept))
            used = used_unit(layer, step[last], unit) & step[last].valid
            clipped.append(delay(m, outside & used, 1, f"clipped_{unit}"))
        m.d.comb += self.saturations.eq(total(clipped))
        return m

    def _alpha(self, m: Module, unit: int, steps: Sequence[Struct]) -> Value:
        """A unit's alpha, in the cycle of its operand."""
        if "alpha" not in self.values:
            return self.alpha
        value = self.values["alpha"].of(m, unit, steps, "alpha")
        return delay(m, value, 1, f"alpha_{unit}", reset_less=True, moving=shifts(steps))
