"""The synaptic currents against their equation: what they keep from timestep to timestep and from
block to block, what is clamped, read, written and multiplied, and when.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from golden.formats import Fixed, Rounding, rshift
from golden.hardware.layer import LayerHardware
from golden.hardware.params import HardwareParams
from golden.params import LayerFormats, LayerParams, NeuronValue
from rtl.output_walk import walk_layout
from rtl.synapse import Synapse
from tests.streams import join, load_cycles, replay, scramble, split

NARROW = LayerFormats(
    w_f=Fixed(6, 7), y=Fixed(9, 5), synapse_bias_width=7, alpha=Fixed(7, 6, signed=False)
)
WHOLE = LayerFormats(
    w_f=Fixed(8, 4), y=Fixed(12, 6), synapse_bias_width=11, alpha=Fixed(1, 0, signed=False)
)
ABOVE_ONE = LayerFormats(y=Fixed(16, 12), alpha=Fixed(13, 12, signed=False))


def make_layer(
    n_neurons: int, lanes: int, block: int = 1, rounding: Rounding = "half_up",
    per_neuron: tuple[NeuronValue, ...] = (), formats: LayerFormats = NARROW, n_state: int = 0,
) -> LayerHardware:  # fmt: skip
    params = LayerParams(
        60, n_neurons, n_state, formats=formats, synapse=True, per_neuron=per_neuron,
        decay_rounding=rounding,
    )  # fmt: skip
    return LayerHardware(params, HardwareParams(lanes, block))


LAYERS = {
    "many groups": make_layer(30, 4),
    "many groups, folded": make_layer(41, 4, n_state=3, rounding="toward_zero"),
    "one group": make_layer(3, 4, formats=WHOLE),
    "one neuron": make_layer(1, 1, rounding="toward_zero"),
    "two groups, a decay a neuron": make_layer(5, 3, per_neuron=("alpha",)),
    "decays a neuron": make_layer(33, 4, n_state=3, per_neuron=("alpha",), formats=ABOVE_ONE),
    "blocks": make_layer(10, 4, 2),
    "blocks, one group": make_layer(3, 3, 2, "toward_zero", ("alpha",)),
    "blocks, folded": make_layer(20, 4, 2, "toward_zero", n_state=7, formats=WHOLE),
    "blocks, decays a neuron": make_layer(40, 4, 4, "toward_zero", ("alpha",), n_state=9),
    "blocks, quick": make_layer(26, 5, 4, formats=ABOVE_ONE, per_neuron=("alpha",)),
    "large blocks": make_layer(5, 4, 16, per_neuron=("leak", "alpha")),
}
OUTPUTS = ("o", "saturations", "update_valid", "reads", "writes", "products")


def decayed(values: np.ndarray, factors: np.ndarray, shift: int, rounding: Rounding) -> np.ndarray:
    """Return values times factors / 2**shift, rounded."""
    products = values * factors
    if rounding == "half_up":
        return rshift(products, shift)
    return np.where(products < 0, -(-products >> shift), products >> shift)


class Model:
    """The currents of a layer, by words of units, and what the docstring of `Synapse` promises."""

    def __init__(self, layer: LayerHardware, rng: np.random.Generator) -> None:
        self.layer, self.rng = layer, rng
        p, f = layer.params, layer.params.formats
        shape = (layer.n_groups * layer.fold, layer.neuron_fold.units)
        self.biases = rng.integers(f.c_y.min, f.c_y.max + 1, shape) // rng.choice([1, 8], shape)
        most = 1 << f.alpha.frac
        if "alpha" in p.per_neuron:
            self.alpha = rng.choice([0, 1, most // 2, most - 1, most, f.alpha.max], shape)
        else:
            self.alpha = np.full(shape, most - most // 8)
        self.alpha = np.minimum(self.alpha, f.alpha.max)
        self.used = np.arange(shape[0] * shape[1]).reshape(shape) < p.n_neurons
        self.currents = np.zeros(shape, np.int64)
        self.sums: dict[int, np.ndarray] = {}  # by cycle
        self.expected: defaultdict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.trace: list[list[int]] = []  # currents of the neurons of a word
        self.seen: set[str] = set()

    def take(self, cycle: int, word: int, *, first: bool, last: bool, fresh: bool) -> None:
        """Update a word of currents, which the walk names in this cycle."""
        layer, p, f = self.layer, self.layer.params, self.layer.params.formats
        size = int(self.rng.choice([f.y.max // 2, 3 * f.y.max, p.spike_sum.max]))
        bound = min(p.spike_sum.max, size << max(p.spike_shift, 0))
        sums = self.rng.integers(-bound, bound + 1, layer.neuron_fold.units)
        before = self.currents[word] * (not fresh)
        held = decayed(before, self.alpha[word], p.alpha_shift, p.decay_rounding)
        exact = held + rshift(sums, p.spike_shift) + self.biases[word]
        new = f.y.saturate(exact)
        self.currents[word] = new
        used = self.used[word]
        done = cycle + layer.neuron_fold.latency
        self.sums[cycle + layer.neuron_fold.membrane_read] = sums
        self.expected[cycle] |= {"reads": first, "products": 1}
        self.expected[done]["writes"] = last
        self.expected[done + 1]["update_valid"] = 1
        self.expected[done + 1]["saturations"] = int((new != exact)[used].sum())
        self.trace.append(new[used].tolist())
        found = {
            "above": (new < exact)[used].any(), "below": (new > exact)[used].any(),
            "unused clamped": (new != exact)[~used].any(),
            "rounded apart": (held != before * self.alpha[word] >> p.alpha_shift)[used].any(),
        }  # fmt: skip
        self.seen |= {name for name, there in found.items() if there}


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("name", LAYERS)
def test_every_cycle(name: str, stall: float) -> None:
    """Groups follow each other as fast as they may, or with gaps, in which the walk is scrambled;
    blocks are whole or partial.
    """
    layer = LAYERS[name]
    rng = np.random.default_rng([len(name), int(stall * 10)])
    p, f, fold = layer.params, layer.params.formats, layer.neuron_fold
    model, layout = Model(layer, rng), walk_layout(layer)
    memories = {"c_y": (3, model.biases, f.c_y), "alpha": (5, model.alpha, f.alpha)}
    cycles: list[dict[str, Any]] = []
    for memory, (number, values, fmt) in memories.items():
        if memory in layer.neuron_values:
            cycles += load_cycles(number, [join(word, fmt.width) for word in values])

    def idle() -> dict[str, Any]:
        return {"walk": scramble(rng, layout, keep=("valid",))}

    fresh = True
    for _ in range(-(-200 // (layer.n_groups * layer.block))):
        length = int(rng.integers(1, layer.block + 1)) if rng.random() < 0.4 else layer.block
        for group in range(layer.n_groups):
            while rng.random() < stall:
                cycles.append(idle())
            for t in range(layer.block):
                for place in range(fold.interval):
                    if place >= fold.fold or t >= length:
                        cycles.append(idle())
                        continue
                    word = group * fold.fold + place
                    says = {"first": t == 0, "last": t == length - 1, "fresh": fresh and t == 0}
                    walk = {"valid": 1, "shift": 1, "word": word, **says}
                    model.take(len(cycles), word, **says)
                    cycles.append({"walk": scramble(rng, layout) | walk})
        cycles += [idle() for _ in range(layer.drain)]
        fresh = rng.random() < 0.2
    cycles += [idle() for _ in range(fold.latency + 2)]
    for cycle, inputs in enumerate(cycles):
        width = fold.units * p.spike_sum.width
        noise = int.from_bytes(rng.bytes(width // 8 + 1), "little") % (1 << width)
        sums = model.sums.get(cycle)
        inputs["sums"] = noise if sums is None else join(sums, p.spike_sum.width)
        if "alpha" not in p.per_neuron:
            inputs["alpha"] = int(model.alpha[0, 0])
    dut = Synapse(layer, {memory: number for memory, (number, _, _) in memories.items()})
    record = replay(dut, OUTPUTS, cycles)
    strobes = OUTPUTS[1:]
    for cycle, row in enumerate(record):
        wanted = dict.fromkeys(strobes, 0) | model.expected[cycle]
        assert {strobe: row[strobe] for strobe in strobes} == wanted, f"cycle {cycle}"
    updates = [split(row["o"], f.y.width, fold.units) for row in record if row["update_valid"]]
    assert [found[: len(word)] for found, word in zip(updates, model.trace, strict=True)] == (
        model.trace
    )
    wanted = {"above", "below"} | ({"rounded apart"} if p.alpha_shift else set())
    wanted |= {"unused clamped"} if not model.used.all() else set()
    assert model.seen >= wanted


def test_layers_cover_the_corners() -> None:
    layers = LAYERS.values()
    assert {layer.fold for layer in layers} >= {1, 2, 4}
    assert {layer.params.alpha_shift for layer in layers} == {0, 6, 12}
    assert {np.sign(layer.params.spike_shift) for layer in layers} == {-1, 1}
    for kind in (
        lambda one: one.neuron_fold.relaxed,
        lambda one: one.reads_while_writing,
        lambda one: one.drain > 0,
        lambda one: "alpha" in one.params.per_neuron,
        lambda one: one.params.decay_rounding == "half_up",
    ):
        for several in (False, True):
            of = [kind(layer) for layer in layers if (layer.block > 1) == several]
            assert any(of) and not all(of), several
