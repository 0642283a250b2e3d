"""The neuron stage against the membrane's equation: what it keeps from timestep to timestep and
from block to block, who fires, what it says was clamped, read and written, and when.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.core import write_core
from golden.data.synthetic import draw_layers
from golden.formats import Fixed, rshift
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.hardware.params import HardwareParams
from golden.hardware.stages import NEURON_STAGE
from golden.params import LayerFormats, LayerParams, Reset
from rtl.neuron_stage import NeuronStage
from rtl.verilog.generate import generate
from tests.streams import idle, join, load_cycles, replay, sequence_end, split, walk

VALUES = ("leak", "threshold", "reset")
NARROW = LayerFormats(
    u=Fixed(9, 5), w_f=Fixed(6, 7), p=Fixed(8, 6), bias_width=7, leak=Fixed(7, 6, signed=False)
)
WHOLE_LEAK = LayerFormats(
    u=Fixed(12, 10), w_f=Fixed(8, 11), bias_width=11, leak=Fixed(2, 0, signed=False)
)


def make_layer(
    n_neurons: int, n_state: int, lanes: int, block: int = 1, dilation: int = 1,
    reset: Reset = "subtract", formats: LayerFormats = NARROW, products: int = 1, **options: Any,
) -> LayerHardware:  # fmt: skip
    params = LayerParams(60, n_neurons, n_state, dilation, reset, formats, **options)
    hardware = HardwareParams(lanes, block, products_per_cycle=products, trace=True)
    return LayerHardware(params, hardware)


LAYERS = {
    "folded": make_layer(10, 3, 4, formats=LayerFormats()),
    "folded on two units": make_layer(13, 5, 6, reset="to_value", products=2),
    "dilated": make_layer(11, 4, 3, dilation=3, reset="to_value", formats=LayerFormats()),
    "one group, dilated": make_layer(2, 2, 4, dilation=4),
    "two groups": make_layer(5, 2, 3, dilation=2),
    "three groups": make_layer(3, 0, 1, reset="to_value", formats=LayerFormats()),
    "four groups": make_layer(7, 0, 2, formats=WHOLE_LEAK),
    "one group, folded": make_layer(3, 2, 3, dilation=1),
    "blocks": make_layer(10, 3, 4, block=2),
    "blocks, one group": make_layer(3, 0, 3, block=2),
    "blocks, one group, dilated": make_layer(1, 1, 2, block=2, dilation=5),
    "blocks, one group, folded": make_layer(4, 7, 4, block=2, reset="to_value", formats=WHOLE_LEAK),
    "blocks, dilated": make_layer(7, 4, 3, block=4, dilation=3, formats=LayerFormats()),
    "blocks, seldom refreshed": make_layer(9, 2, 4, block=2, dilation=7, reset="to_value"),
    "blocks, folded": make_layer(20, 7, 4, block=2, dilation=2, reset="to_value"),
    "blocks, dilated, folded": make_layer(26, 15, 5, block=2, dilation=3),
    "large blocks": make_layer(5, 2, 4, block=16, dilation=5, formats=WHOLE_LEAK),
    "no reset": make_layer(7, 2, 3, reset="none", per_neuron=("leak",)),
    "less an amount": make_layer(9, 0, 2, own_reset=True, decay_rounding="toward_zero"),
    "less an amount a neuron": make_layer(6, 3, 4, own_reset=True, per_neuron=("reset",)),
    "to an amount": make_layer(5, 2, 3, reset="to_value", own_reset=True, formats=WHOLE_LEAK),
    "to an amount a neuron, folded": make_layer(
        13, 5, 6, reset="to_value", own_reset=True, per_neuron=("threshold", "reset"), products=2
    ),
    "a threshold a neuron": make_layer(30, 4, 4, per_neuron=("threshold",)),
    "values a neuron, blocks": make_layer(
        20, 7, 4, block=2, own_reset=True, per_neuron=VALUES, decay_rounding="toward_zero"
    ),
    "values a neuron, blocks, relaxed": make_layer(
        40, 12, 3, block=4, own_reset=True, per_neuron=VALUES
    ),
    "values a neuron, blocks, one group": make_layer(
        4, 0, 4, block=4, reset="to_value", own_reset=True, per_neuron=VALUES
    ),
    "no reset, blocks": make_layer(
        9, 3, 4, block=8, reset="none", per_neuron=("leak", "threshold"),
        decay_rounding="toward_zero",
    ),
}  # fmt: skip
COUNTS = ("saturations", "reads", "h_read", "writes", "h_write", "products")
STROBES = ("valid", "sequence_end", *COUNTS)
MASKS = ("spikes", "timesteps", "last_group")
TRACE = ("update_valid", "update_membranes", "update_spikes")
OUTPUTS = {name: f"o.{name}" for name in ("valid", "sequence_end", *MASKS)} | {
    name: name for name in COUNTS + TRACE
}


class Model:
    """The membranes of a layer, and what the docstring of `NeuronStage` promises of them."""

    def __init__(self, layer: LayerHardware, rng: np.random.Generator) -> None:
        self.layer, self.rng = layer, rng
        p, f, shape = layer.params, layer.params.formats, (layer.n_groups, layer.lanes)
        self.biases = rng.integers(f.c.min, f.c.max + 1, shape) // rng.choice([1, 8], shape)
        most = f.threshold.max
        drawn = {
            "leak": [f.leak.max, int(rng.integers(f.leak.max + 1))],
            "threshold": [0, most, *[most // 4] * 3],
            "reset": [0, most // 5, most, p.reset_amount.min, p.reset_amount.min // 3],
        }
        # One for each neuron, which is the same for all where they share it.
        self.values = {
            name: rng.choice(of, shape) if name in p.per_neuron else np.full(shape, rng.choice(of))
            for name, of in drawn.items()
        }
        self.threshold = self.values["threshold"]
        self.membranes, self.held = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.used = np.arange(layer.n_groups * layer.lanes).reshape(shape) < p.n_neurons
        self.formats = {"sums": p.spike_sum}
        self.shifts = {"sums": p.spike_shift}
        if p.n_state:
            self.formats["currents"], self.shifts["currents"] = p.current_sum, p.current_shift
        self.operands: dict[int, dict[str, int]] = {}  # by cycle
        self.expected: defaultdict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.trace: list[tuple[list[int], int]] = []  # membranes of a word of neurons, and spikes
        self.seen: set[str] = set()

    def draw(self, name: str) -> np.ndarray:
        """Return sums of a term: such that u stays in its range, beyond it, or as far as the format
        goes.
        """
        u, most = self.layer.params.formats.u, self.formats[name].max
        size = int(self.rng.choice([u.max // 3, u.max, most])) << max(self.shifts[name], 0)
        bound = min(most, size)
        return self.rng.integers(-bound, bound + 1, self.layer.lanes)

    def take(self, step: dict[str, int], issued: int) -> None:
        """Update a group, whose last step is issued in this cycle, in all timesteps."""
        layer, p, f = self.layer, self.layer.params, self.layer.params.formats
        group, begun = step["group"], issued + NEURON_STAGE
        length = step["timesteps"].bit_length()
        used, fold, units = self.used[group], layer.fold, layer.neuron_fold.units
        terms = {name: [self.draw(name) for _ in range(layer.block)] for name in self.formats}
        spikes = np.zeros((layer.lanes, layer.block), np.int64)
        u = self.membranes[group] * (not step["fresh"])
        for t in range(length):
            refresh = step["refresh"] >> t & 1
            if p.n_state and refresh:
                self.held[group] = rshift(terms["currents"][t], p.current_shift)
            products, threshold = self.values["leak"][group] * u, self.threshold[group]
            kept = rshift(products, p.leak_shift)
            if p.decay_rounding == "toward_zero":
                kept = np.where(
                    products < 0, -(-products >> p.leak_shift), products >> p.leak_shift
                )
            rest = kept + self.held[group] + self.biases[group]
            if self.rng.random() < 0.4:  # aim at the threshold exactly
                missing = threshold - rest
                missing = (
                    missing << p.spike_shift if p.spike_shift > 0 else missing >> -p.spike_shift
                )
                terms["sums"][t] = np.clip(missing, p.spike_sum.min, p.spike_sum.max)
            exact = rest + rshift(terms["sums"][t], p.spike_shift)
            new = f.u.saturate(exact)
            fired = new >= threshold
            amount = self.values["reset"][group]
            if not p.own_reset:
                amount = threshold if p.reset == "subtract" else 0
            after = {"subtract": new - amount, "to_value": amount, "none": new}[p.reset]
            u = np.where(fired, after, new)
            spikes[:, t] = fired & used
            self.note(new[used], exact[used], fired[used], threshold[used])
            for word in range(fold):
                neurons = slice(word * units, (word + 1) * units)
                taken = begun + t * layer.interval + word
                written = self.expected[taken + layer.output_latency]
                self.expected[taken]["products"] += 1
                clipped = int(((new != exact) & used)[neurons].sum())
                self.expected[taken + layer.output_latency + 1]["saturations"] += clipped
                if t == 0:
                    held = p.n_state > 0 and p.dilation > 1 and not refresh
                    self.expected[taken]["reads"] += 1
                    self.expected[taken]["h_read"] += held
                if t == length - 1:
                    written["writes"] += 1
                    written["h_write"] += p.n_state > 0 and p.dilation > 1 and step["refresh"] > 0
                known = u[neurons][used[neurons]].tolist()
                self.trace.append((known, join(spikes[neurons, t], 1)))
        self.membranes[group] = u
        self.operands[begun] = {
            name: join(np.concatenate(values), self.formats[name].width)
            for name, values in terms.items()
        }
        self.expected[issued + layer.write_stage] |= {
            "valid": 1, "spikes": join(spikes.ravel(), 1), "timesteps": step["timesteps"],
            "last_group": step["last_group"],
        }  # fmt: skip

    def note(
        self, new: np.ndarray, exact: np.ndarray, fired: np.ndarray, threshold: np.ndarray
    ) -> None:
        """Keep in mind which corners were reached."""
        found = {
            "above": (new < exact).any(), "below": (new > exact).any(), "silent": (~fired).any(),
            "at the threshold": (exact == threshold).any(),
        }  # fmt: skip
        self.seen |= {name for name, there in found.items() if there}


@pytest.mark.parametrize("stall", [pytest.param(0.0, marks=pytest.mark.long), 0.3])
@pytest.mark.parametrize("name", LAYERS)
def test_every_cycle(name: str, stall: float) -> None:
    layer = LAYERS[name]
    rng = np.random.default_rng([len(name), int(stall * 10), 1])
    p, f, block, units = layer.params, layer.params.formats, layer.block, layer.neuron_fold.units
    model = Model(layer, rng)
    numbers = {"c": 2, "leak": 4, "threshold": 5, "reset": 7}
    cycles: list[dict[str, Any]] = []
    for memory, fmt in layer.neuron_values.items():
        values = model.biases if memory == "c" else model.values[memory]
        words = [join(word, fmt.width) for word in values.reshape(-1, units)]
        cycles += load_cycles(numbers[memory], words)
    shared = {memory: int(of[0, 0]) for memory, of in model.values.items()
              if memory in layer.scalars}  # fmt: skip
    timestep = 0
    for _ in range(40 if block < 8 else 12):
        length = int(rng.integers(1, block + 1)) if rng.random() < 0.3 else block
        refreshed = [t for t in range(length) if (timestep + t) % p.dilation == 0 and p.n_state]
        for step in walk(
            layer,
            int(rng.integers(8)) * int(rng.integers(2)),
            timesteps=(1 << length) - 1,
            refresh=sum(1 << t for t in refreshed),
            fresh=timestep == 0,
            buffer=0,
        ):
            while rng.random() < stall:
                cycles.append({"issue": idle(rng, layer)})
            cycles.append({"issue": step})
            if step["last"]:
                model.take(step, len(cycles) - 1)
        cycles += [{"issue": idle(rng, layer)}] * layer.drain
        timestep += length
        if length < block or rng.random() < 0.15:  # a partial block is a sequence's last
            cycles.append({"issue": sequence_end(rng, layer)})
            model.expected[len(cycles) - 1 + layer.write_stage]["sequence_end"] = 1
            timestep = 0
    cycles += [{"issue": idle(rng, layer)}] * (layer.write_stage + 2)
    for cycle, inputs in enumerate(cycles):
        operands = model.operands.get(cycle, {})
        for term, fmt in model.formats.items():
            width = block * layer.lanes * fmt.width
            noise = int.from_bytes(rng.bytes(width // 8 + 1), "little") % (1 << width)
            inputs = inputs | {term: operands.get(term, noise)}
        cycles[cycle] = inputs | shared
    record = replay(NeuronStage(layer, numbers), OUTPUTS, cycles)
    for cycle, row in enumerate(record):
        wanted = dict.fromkeys(STROBES, 0) | model.expected[cycle]
        assert {field: row[field] for field in wanted} == wanted, f"cycle {cycle}"
    updates = [row for row in record if row["update_valid"]]
    assert len(updates) == len(model.trace)
    for row, (membranes, spikes) in zip(updates, model.trace, strict=True):
        found = split(row["update_membranes"], f.u.width, units)[: len(membranes)]
        assert (found, row["update_spikes"]) == (membranes, spikes)
    assert model.seen >= {"above", "below", "silent", "at the threshold"}


def test_layers_cover_the_corners() -> None:
    layers = LAYERS.values()
    assert {layer.fold for layer in layers} >= {1, 2, 3, 4}
    assert {layer.params.leak_shift for layer in layers} == {0, 6, 12}
    # Cycles by which a membrane is written before it is read again.
    spare = {
        layer.n_groups * layer.output_steps
        + layer.drain
        - (layer.block - 1) * layer.interval
        - layer.output_latency
        for layer in layers
    }
    assert {0, 1} <= spare and min(spare) == 0
    relaxed = [layer for layer in layers if layer.neuron_fold.relaxed]
    assert 0 < len(relaxed) < len(layers)
    for kind in (
        lambda one: one.block > 1,
        lambda one: one.block > 1 and one.interval > one.neuron_fold.membrane_loop,
        lambda one: one.params.dilation > 1,
        lambda one: one.params.reset == "to_value",
    ):
        assert any(map(kind, relaxed))
    assert {layer.drain for layer in layers} >= {0, 1, 2}
    assert any(layer.interval > layer.fold for layer in layers)


def test_a_reset_leaves_the_numbers_of_neurons_as_they_are(tmp_path: Path) -> None:
    """Only what moves them, tells of them or counts them starts anew."""
    network = draw_layers("some", (5, 6), 2, 3, seed=0)
    core = CoreParams(network.params, HardwareParams(2))
    text = generate(write_core(network, core, tmp_path)).read_text()
    [stage] = re.findall(r"^module \w+__neurons\(.*?^endmodule", text, re.M | re.S)
    registers = set(re.findall(r"^  reg (?:signed )?(?:\[\d+:0\] )?(\w+)", stage, re.M))
    reset = set(re.findall(r"if \(rst\) (\w+)\S* <=", stage))
    steps = {name for name in registers if re.fullmatch(r"step_\d", name)}
    assert steps and reset == {*steps, "loading_1", "moving_1", "saturations", "sequence_end"}
    assert registers > {"operand_0", "product_0", "fast_sum_0", "bare_0", "less_0"}
