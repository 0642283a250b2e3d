"""What the synapse and the neuron stage have in common: their words of values and of state, and how
a state decays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory

from golden.hardware.layer import LayerHardware
from rtl.bank import Bank
from rtl.claims import claim_apart
from rtl.component import NEVER_COLLIDES
from rtl.fixed import delay, pipeline, shape_of
from rtl.layouts import Struct
from rtl.signatures import LoadBusPorts


def around(m: Module, value: Value, cycles: int, name: str, moving: Sequence[Value]) -> Value:
    """Return a unit's value of the timestep before, `cycles` cycles after it; `moving`: of
    `delay`.
    """
    return delay(m, value, cycles, name, reset_less=True, moving=moving) if cycles else value


def state_memory(m: Module, platform: object, layer: LayerHardware, name: str) -> tuple[Any, Any]:
    """Make a memory of words of units; return its read and its write port. Where the pipeline is
    longer than a block, what is being written can already be read.
    """
    memory = layer.buffers[name]
    collides = layer.reads_while_writing
    m.submodules[name] = words = Memory(
        shape=data.ArrayLayout(shape_of(memory.element), memory.n_lanes),
        depth=memory.depth,
        init=[],
        attrs=None if collides else NEVER_COLLIDES,
    )
    write = words.write_port()
    read = words.read_port(transparent_for=(write,) if collides else ())
    if not collides:
        claim_apart(m, platform, name, write, read)
    return read, write


def walk_steps(m: Module, layer: LayerHardware, walk: Struct, cycles: int) -> list[Any]:
    """Return the walk of the words of neurons as it was 0, 1, ... up to `cycles` cycles ago, and
    longer where values go round from timestep to timestep.
    """
    fold = layer.neuron_fold
    around = (cycles - fold.latency - 1) + fold.membrane_read + fold.interval
    longest = max(cycles, around if layer.block > 1 else 0)
    return pipeline(m, walk, "shift", longest, "step")


def shifts(steps: Sequence[Struct]) -> list[Value]:
    """Return where words of neurons are taken: the `moving` of what goes along with them."""
    return [step.shift for step in steps]


class NeuronValues:
    """A value a neuron: read with the first timestep of a block, kept for the others.

    Parameters
    ----------
    layer
        Whose neurons they are.
    name, number
        Of its memory, and the memory's number on the load bus.
    """

    def __init__(self, layer: LayerHardware, name: str, number: int) -> None:
        self.layer, self.name = layer, name
        registered, holds = layer.neuron_fold.relaxed, layer.hardware.hold_operands
        self.bank = Bank(layer.memories[name], number, registered=registered, holds=holds)

    def connect(self, m: Module, load: LoadBusPorts, reading: Value, word: Value) -> None:
        """Read `word` where `reading`: values are valid `membrane_read` cycles later."""
        wiring.connect(m, wiring.flipped(load), self.bank.load)
        m.d.comb += [self.bank.enable.eq(reading), self.bank.address[0].eq(word)]

    def of(self, m: Module, unit: int, steps: Sequence[Struct], name: str) -> Signal:
        """Return a unit's value, by a name; `steps`: of the walk, in this cycle and before it."""
        loaded = self.bank.words[0][unit]
        value = Signal(loaded.shape(), name=f"{name}_{unit}")
        if self.layer.block == 1:
            m.d.comb += value.eq(loaded)
            return value
        interval = self.layer.neuron_fold.interval
        before = around(m, value, interval, f"{name}_before_{unit}", shifts(steps))
        m.d.comb += value.eq(Mux(steps[0].first, loaded, before))
        return value


def decay(product: Value, added: Value, shift: int, rounding: str) -> Value:
    """Return a product divided by 2**shift, rounded, plus `added`; no bit is lost on top."""
    below = (
        product[-1].replicate(shift) if rounding == "toward_zero" else Const(1 << shift >> 1, shift)
    )
    return (product + Cat(below, added).as_signed()).shift_right(shift)


def used_unit(layer: LayerHardware, step: Struct, unit: int) -> Value:
    """Return whether a unit's neuron of a word exists."""
    units = layer.neuron_fold.units
    last_word = (layer.params.n_neurons - 1) // units
    left = layer.params.n_neurons - last_word * units
    return (step.word < last_word) | ((step.word == last_word) & (unit < left))
