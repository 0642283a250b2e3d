"""The neuron stage against the membrane's equation: what it keeps, who fires, what it says was
clamped, and when.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden.formats import Fixed, accumulator, rshift
from golden.hardware import NEURON_STAGE, WRITE_STAGE, HardwareParams, LayerHardware
from golden.params import LayerFormats, LayerParams
from rtl.neuron_stage import NeuronStage
from tests.streams import LOAD_WIDTH, idle, join, load_cycles, replay, sequence_end, split, walk

NARROW = LayerFormats(
    u=Fixed(9, 5), w_f=Fixed(6, 7), p=Fixed(8, 6), bias_width=7, leak=Fixed(7, 6, signed=False)
)
LAYERS = {
    "subtract": LayerHardware(LayerParams(6, 10, 3), HardwareParams(4)),
    "zero, dilated": LayerHardware(
        LayerParams(6, 11, 4, dilation=3, reset="zero"), HardwareParams(3)
    ),
    "narrow, dilated": LayerHardware(
        LayerParams(8, 5, 2, dilation=2, formats=NARROW), HardwareParams(2)
    ),
    "one group": LayerHardware(LayerParams(3, 2, 2, dilation=4), HardwareParams(4)),
    "no state": LayerHardware(LayerParams(4, 9, 0, formats=NARROW), HardwareParams(2)),
    "no state, zero": LayerHardware(LayerParams(5, 3, 0, reset="zero"), HardwareParams(1)),
}
STROBES = ["valid", "sequence_end", "saturations"]
GATED = ["group", "membranes", "spikes", "last_group"]


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("name", LAYERS)
def test_membranes_are_as_the_equation_says(name: str, stall: float) -> None:
    layer = LAYERS[name]
    rng = np.random.default_rng([len(name), int(stall * 10)])
    p, f, lanes, n_groups = layer.params, layer.params.formats, layer.hardware.lanes, layer.n_groups
    leaked_format = accumulator((1, f.leak, f.u))
    shifts = {"sums": p.spike_shift, "leaked": p.leak_shift, "currents": p.current_shift}
    formats = {"sums": p.spike_sum, "leaked": leaked_format} | (
        {"currents": p.current_sum} if p.n_state else {}
    )
    used = np.arange(n_groups * lanes).reshape(n_groups, lanes) < p.n_neurons
    biases = rng.integers(f.c.min, f.c.max + 1, (n_groups, lanes))
    threshold = int(rng.integers(f.threshold.max // 2 + 1))
    cycles: list[dict[str, Any]] = [*load_cycles(2, [join(word, f.c.width) for word in biases])]
    operands: dict[int, dict[str, int]] = {}  # by cycle
    expected: dict[int, dict[str, Any]] = {}
    held = np.zeros((n_groups, lanes), np.int64)
    saturations = fired_neurons = at_threshold = timestep = 0

    def draw(name: str) -> np.ndarray:
        """Return sums of a term: such that u stays in its range, beyond it, or as far as the format
        goes.
        """
        size = rng.choice([f.u.max // 3, f.u.max, formats[name].max])
        bound = min(formats[name].max, int(size) << max(shifts[name], 0))
        return rng.integers(-bound, bound + 1, lanes)

    for _ in range(60):
        if rng.random() < 0.15:
            cycles.append({"issue": sequence_end(rng, layer)})
            expected[len(cycles) - 1 + WRITE_STAGE] = {
                "valid": 0,
                "sequence_end": 1,
                "saturations": 0,
            }
            timestep = 0
        refresh = timestep % p.dilation == 0
        events = int(rng.integers(p.n_inputs + 1))
        for step in walk(
            layer, events, refresh=refresh, fresh=timestep == 0, buffer=int(rng.integers(2))
        ):
            while rng.random() < stall:
                cycles.append({"issue": idle(rng, layer)})
            cycles.append({"issue": step})
            if not step["last"]:
                continue
            group, issued = step["group"], len(cycles) - 1
            terms = {name: draw(name) for name in formats}
            aligned = {name: rshift(value, shifts[name]) for name, value in terms.items()}
            if p.n_state and refresh:
                held[group] = aligned["currents"]
            fast = aligned["sums"] + aligned["leaked"] + held[group]
            if rng.random() < 0.2:  # aim at the threshold exactly, with what the leak can add
                terms["leaked"] = (
                    threshold - (fast - aligned["leaked"]) - biases[group]
                ) << p.leak_shift
                terms["leaked"] = np.clip(terms["leaked"], leaked_format.min, leaked_format.max)
                fast += rshift(terms["leaked"], p.leak_shift) - aligned["leaked"]
            operands[issued + NEURON_STAGE] = {
                name: join(value, formats[name].width) for name, value in terms.items()
            }
            exact = fast + biases[group]
            u = f.u.saturate(exact)
            fired = u >= threshold
            kept = np.where(fired, u - threshold if p.reset == "subtract" else 0, u)
            clamped = int(((u != exact) & used[group]).sum())
            expected[issued + WRITE_STAGE] = {
                "valid": 1,
                "sequence_end": 0,
                "saturations": clamped,
                "group": group,
                "membranes": kept.tolist(),
                "spikes": sum(
                    1 << lane for lane in range(lanes) if fired[lane] and used[group, lane]
                ),
                "last_group": step["last_group"],
            }
            saturations += clamped
            fired_neurons += int(fired.sum())
            at_threshold += int((u == threshold).sum())
        cycles += [{"issue": idle(rng, layer)}] * layer.drain
        timestep += 1
    cycles += [{"issue": idle(rng, layer)}] * (WRITE_STAGE + 1)
    for cycle, inputs in enumerate(cycles):
        bits = {name: int.from_bytes(rng.bytes(40), "little") for name in formats}
        noise = {name: bits[name] % (1 << lanes * fmt.width) for name, fmt in formats.items()}
        cycles[cycle] = {"threshold": threshold} | inputs | noise | operands.get(cycle, {})
    record = replay(NeuronStage(layer, leaked_format.width, 2, LOAD_WIDTH), STROBES + GATED, cycles)
    for cycle, row in enumerate(record):
        wanted = expected.get(cycle, dict.fromkeys(STROBES, 0))
        found: dict[str, Any] = {field: row[field] for field in wanted}
        if wanted["valid"]:
            found["membranes"] = split(row["membranes"], f.u.width, lanes)
        assert found == wanted, f"cycle {cycle}"
    assert saturations and fired_neurons and at_threshold
