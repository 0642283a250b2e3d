"""What the dense state path has summed at every group's last step, against matrix products; when
and what it reads, and what it says it multiplied.
"""

from __future__ import annotations

from collections import defaultdict
from math import gcd
from typing import Any

import numpy as np
import pytest

from golden.formats import Fixed
from golden.hardware.layer import LayerHardware
from golden.hardware.params import HardwareParams
from golden.hardware.stages import CHOOSE_STAGE, NEURON_STAGE, STATE_STAGE, bank_stage
from golden.params import LayerFormats, LayerParams
from rtl.state_path import StatePath
from tests.streams import idle, join, load_cycles, replay, sequence_end, split, walk

WIDE = LayerFormats(u=Fixed(18, 10), m=Fixed(14, 11), x=Fixed(10, 8), p=Fixed(14, 7))
WIDE_STATE = LayerFormats(u=Fixed(11, 5), m=Fixed(17, 13), x=Fixed(12, 8))
WIDE_DRIVE = LayerFormats(u=Fixed(11, 5), m=Fixed(12, 8), x=Fixed(17, 13))


def make_layer(
    n_neurons: int, n_state: int, lanes: int, block: int = 1, products: int = 1,
    dilation: int = 1, formats: LayerFormats = WIDE,
) -> LayerHardware:  # fmt: skip
    params = LayerParams(4, n_neurons, n_state, dilation, formats=formats)
    return LayerHardware(params, HardwareParams(lanes, block, products_per_cycle=products))


LAYERS = {
    "widest state": make_layer(4, 3, 3, formats=WIDE_STATE),
    "widest drive": make_layer(4, 3, 3, formats=WIDE_DRIVE),
    "one value": make_layer(7, 1, 3),
    "more columns than values": make_layer(5, 1, 2, products=8, dilation=2),
    "several, dilated": make_layer(8, 5, 2, dilation=3, formats=LayerFormats()),
    "columns fill their steps": make_layer(7, 5, 3, products=3),
    "columns do not fill them": make_layer(6, 6, 2, products=3, dilation=2),
    "a block of one value": make_layer(3, 1, 1, block=2),
    "blocks": make_layer(5, 4, 2, block=4, products=2, dilation=3),
    "blocks, widest drive": make_layer(4, 7, 2, 2, 2, dilation=5, formats=WIDE_DRIVE),
    "half of the timesteps": make_layer(5, 4, 2, block=4, products=2, dilation=6),
    "one timestep of a block": make_layer(4, 3, 2, block=8, products=2, dilation=8),
    "large blocks": make_layer(3, 5, 2, block=16, products=4, formats=LayerFormats()),
}
N_BLOCKS = 16


def draw(rng: np.random.Generator, fmt: Fixed, *shape: int) -> np.ndarray:
    values = rng.integers(fmt.min, fmt.max + 1, shape)
    return np.where(rng.random(shape) < 0.2, rng.choice([fmt.min, fmt.max], shape), values)


def draw_word(rng: np.random.Generator, width: int) -> int:
    return int.from_bytes(rng.bytes(width // 8 + 1), "little") % (1 << width)


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("name", LAYERS)
def test_sums_are_complete_at_the_neuron_stage(name: str, stall: float) -> None:
    layer = LAYERS[name]
    rng = np.random.default_rng([len(name), int(stall * 10)])
    p, f, lanes, n_groups = layer.params, layer.params.formats, layer.lanes, layer.n_groups
    d, block, per_cycle = p.n_state, layer.block, layer.hardware.products_per_cycle
    dense = layer.dense_steps
    kept = [t for t in range(block) if t % gcd(block, p.dilation) == 0]  # may have a refresh
    slots = len(kept) * per_cycle
    # Columns behind V are filled up with 0.
    pv = np.zeros((n_groups, dense * per_cycle, lanes), np.int64)
    pv[:, : d + 1] = draw(rng, f.p, n_groups, d + 1, lanes)
    words = [join(word.ravel(), f.p.width) for word in pv.reshape(n_groups * dense, per_cycle, -1)]
    cycles: list[dict[str, Any]] = load_cycles(5, words)
    put: defaultdict[int, dict[str, int]] = defaultdict(dict)  # what memories answer, by cycle
    reads: defaultdict[int, dict[str, int]] = defaultdict(dict)
    products: dict[int, int] = {}
    sums: dict[int, dict[int, list[int]]] = {}  # by cycle and timestep

    timestep = n_started = 0  # in its sequence; blocks
    for _ in range(N_BLOCKS):
        if rng.random() < 0.2 or timestep % block:  # nothing else ends a block early
            cycles.append({"issue": sequence_end(rng, layer)})
            timestep = 0
        length = int(rng.integers(1, block + 1)) if rng.random() < 0.3 else block
        fresh = timestep == 0
        refreshed = [t for t in range(length) if (timestep + t) % p.dilation == 0]
        states, drives = draw(rng, f.m, block, d), rng.integers(0, f.x.max + 1, block)
        drives[rng.random(block) < 0.2] = f.x.max
        list_buffer = int(rng.integers(layer.n_lists))
        n_started += 1
        timestep += length
        for step in walk(
            layer,
            int(rng.integers(p.n_inputs + 1)),
            timesteps=(1 << length) - 1,
            refresh=sum(1 << t for t in refreshed),
            fresh=fresh,
            buffer=list_buffer,
        ):
            while rng.random() < stall:
                cycles.append({"issue": idle(rng, layer)})
            issued = len(cycles)
            cycles.append({"issue": step})
            column = step["step"] * per_cycle
            if step["dense"]:
                reads[issued + STATE_STAGE] |= {
                    "history_read": 1, "history_index": step["step"],
                    "history_buffer": n_started % 2,
                }  # fmt: skip
                reads[issued + bank_stage(True, hold=False)] |= {"p_read": 1}
                word = [
                    states[t, column + slot]
                    if column + slot < d
                    else int(rng.integers(f.m.min, f.m.max))
                    for slot in range(per_cycle)
                    for t in kept
                ]
                buffers = draw(rng, f.x, layer.n_lists, block)
                buffers[list_buffer] = drives
                put[issued + CHOOSE_STAGE]["history.states"] = join(word, f.m.width)
                put[issued + CHOOSE_STAGE]["drives"] = join(buffers.ravel(), f.x.width)
                products[issued + CHOOSE_STAGE + 1] = min(per_cycle, d + 1 - column) * len(
                    refreshed
                )
            if step["last"] and refreshed:
                known = states.copy()
                known[0] *= not fresh
                p_group, v_group = pv[step["group"], :d], pv[step["group"], d]
                sums[issued + NEURON_STAGE] = {
                    t: (known[t] @ p_group + drives[t] * v_group).tolist() for t in refreshed
                }
        cycles += [{"issue": idle(rng, layer)}] * layer.drain
    cycles += [{"issue": idle(rng, layer)} for _ in range(NEURON_STAGE + 1)]

    for cycle, inputs in enumerate(cycles):
        noise = {"history.states": draw_word(rng, slots * f.m.width)}
        noise["drives"] = draw_word(rng, layer.n_lists * block * f.x.width)
        cycles[cycle] = inputs | noise | put.get(cycle, {})
    outputs = {name: name for name in ("p_read", "products", "sums")}
    outputs |= {
        "history_read": "history.enable",
        "history_buffer": "history.buffer",
        "history_index": "history.index",
    }
    record = replay(StatePath(layer, 5), outputs, cycles)
    for cycle, found in enumerate(record):
        expected = {"history_read": 0, "p_read": 0, "products": products.get(cycle, 0)}
        expected |= reads.get(cycle, {})
        assert {name: found[name] for name in expected} == expected, f"cycle {cycle}"
        totals = split(found["sums"], p.current_sum.width, block * lanes)
        wanted = sums.get(cycle, {})
        assert {t: totals[t * lanes : (t + 1) * lanes] for t in wanted} == wanted, f"cycle {cycle}"
    assert len(sums) > n_groups
