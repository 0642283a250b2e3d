"""Groups, steps and units of a core, and the cycles in which they compute: numbers worked out by
hand, and, for drawn layers, what they promise.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import given

from golden.blocks import block_lengths
from golden.cost.cycles import block_cycles
from golden.cost.timeline import Timeline
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.hardware.params import BLOCKS, HardwareParams
from golden.hardware.readout import ReadoutHardware
from golden.hardware.stages import MEMBRANE_LOOP, NEURON_STAGE, STATE_STAGE
from golden.params import LayerParams
from golden.readout_params import ReadoutParams
from golden.runs import LayerRun
from tests.hardware_layers import GRADED, LAYERS, network


def layer(
    n: int, d: int, dilation: int = 1, *, lanes: int, block: int = 1, products: int = 1
) -> LayerHardware:
    """Return a layer of 9 inputs."""
    hardware = HardwareParams(lanes, block, products_per_cycle=products)
    return LayerHardware(LayerParams(9, n, d, dilation), hardware)


@pytest.mark.parametrize(
    ("n", "lanes", "expected"),
    [(32, 8, (8, 4, 8)), (33, 8, (8, 5, 1)), (3, 8, (3, 1, 3)), (1, 1, (1, 1, 1))],
)
def test_groups(n: int, lanes: int, expected: tuple[int, int, int]) -> None:
    parts = (layer(n, 2, lanes=lanes), ReadoutHardware(ReadoutParams(4, n), HardwareParams(lanes)))
    for part in parts:
        assert (part.lanes, part.n_groups, part.last_group_lanes) == expected


def test_steps_of_a_group() -> None:
    """11 columns; 9 inputs; 8 neurons of a unit."""
    assert layer(32, 10, lanes=8).dense_steps == 11
    steps = [layer(32, 10, lanes=8, products=k).dense_steps for k in range(1, 9)]
    assert steps == [11, 6, 4, 3, 3, 2, 2, 2]
    assert layer(32, 0, lanes=8, products=3).dense_steps == 0
    assert layer(32, 10, lanes=8).max_steps == 11 and layer(32, 1, lanes=8).max_steps == 9
    assert layer(32, 10, lanes=8, block=16).max_steps == 32
    two = LayerHardware(LayerParams(9, 4, 1), HardwareParams(4, events_per_cycle=2))
    assert [two.sparse_steps(n) for n in (0, 1, 2, 3, 9)] == [0, 1, 1, 2, 5] and two.max_steps == 5


@pytest.mark.parametrize(
    ("part", "relaxed"),
    [
        (layer(32, 10, lanes=8), True),
        # In blocks, only where a unit has three neurons or more to go round.
        (layer(32, 10, lanes=8, block=2), True),
        (layer(32, 10, lanes=8, block=4), False),
        # So few cycles that the next block would wait.
        (layer(6, 0, lanes=1), True),
        (layer(5, 0, lanes=1), False),
        (layer(8, 10, lanes=8, block=2), False),
    ],
)
def test_the_neuron_stage_is_relaxed_where_nothing_waits(
    part: LayerHardware, relaxed: bool
) -> None:
    assert part.neuron_fold.relaxed == relaxed and (part.drain == 0 or not relaxed)
    assert part.output_latency == (5 if relaxed else 3)


@pytest.mark.parametrize(
    ("part", "fold", "interval", "output_steps", "drain"),
    [
        # 11 dense steps: so many cycles have the units for T times the fold.
        (layer(32, 10, lanes=8), 8, 8, 8, 0),
        (layer(32, 10, lanes=8, block=2), 4, 4, 8, 0),
        (layer(32, 10, lanes=8, block=4), 2, 2, 8, 0),
        (layer(32, 10, lanes=12), 6, 6, 6, 0),
        (layer(32, 10, lanes=7), 7, 7, 7, 0),
        # 7 has no other divisor; a timestep is 2 cycles behind the one before all the same.
        (layer(32, 10, lanes=7, block=2), 1, 2, 4, 0),
        # The loop of a membrane alone takes 2 cycles a timestep, so two neurons share a unit.
        (layer(32, 10, lanes=8, block=8), 2, 2, 16, 0),
        (layer(32, 10, lanes=8, block=16), 2, 2, 32, 0),
        (layer(32, 0, lanes=8, block=2), 2, 2, 4, 0),
        # 3 dense steps.
        (layer(32, 10, lanes=8, products=4), 2, 2, 2, 0),
        # There are blocks without a refresh: none if blocks are as long as the dilation.
        (layer(32, 10, 3, lanes=8, block=2), 2, 2, 4, 0),
        (layer(32, 10, 2, lanes=8, block=2), 4, 4, 8, 0),
        (layer(32, 10, 3, lanes=8, block=4), 2, 2, 8, 0),
        # Groups of a step each: a membrane is there 3 cycles later.
        (layer(32, 10, 2, lanes=8), 1, 1, 1, 0),
        (layer(24, 10, 2, lanes=8), 1, 1, 1, 0),
        (layer(16, 10, 2, lanes=8), 1, 1, 1, 1),
        (layer(8, 10, 2, lanes=8), 1, 1, 1, 2),
        (layer(3, 0, lanes=8), 1, 1, 1, 2),
        # One group of 2 T cycles: the last timestep begins 2 before its end, and takes 3.
        (layer(8, 0, lanes=8, block=2), 2, 2, 4, 1),
        (layer(1, 0, lanes=8, block=16), 1, 2, 32, 1),
        (layer(9, 0, lanes=8, block=2), 2, 2, 4, 0),
        (layer(8, 10, lanes=8, block=2), 4, 4, 8, 0),
    ],
)
def test_folds(
    part: LayerHardware, fold: int, interval: int, output_steps: int, drain: int
) -> None:
    assert (part.fold, part.interval, part.output_steps) == (fold, interval, output_steps)
    assert part.neuron_fold.units * fold == part.lanes and part.drain == drain


@given(LAYERS)
def test_the_neuron_stage_never_makes_a_group_wait(part: LayerHardware) -> None:
    """As few units as that allows: folds that are larger would take longer than all else."""
    block, fold = part.block, part.fold
    loop = block * (1 if block == 1 else MEMBRANE_LOOP)
    refreshed = part.dense_steps if block >= part.dilation else 0
    assert part.lanes % fold == 0 and part.output_steps <= max(refreshed, loop)
    for larger in range(fold + 1, part.lanes + 1):
        assert part.lanes % larger or larger * block > max(refreshed, loop)


@given(LAYERS)
def test_a_membrane_is_written_before_it_is_read_again(part: LayerHardware) -> None:
    """Follow every word of two blocks of the shortest groups, a cycle at a time."""
    taken: set[int] = set()  # cycles of the units
    read: list[list[int]] = []
    written: list[list[int]] = []
    start = 0
    for _ in range(2):
        read.append([])
        written.append([])
        for _ in range(part.n_groups):
            for word in range(part.fold):
                cycles = [start + t * part.interval + word for t in range(part.block)]
                assert not taken.intersection(cycles), "a unit has one neuron in a cycle"
                taken.update(cycles)
                assert all(
                    b - a >= part.neuron_fold.membrane_loop
                    for a, b in zip(cycles, cycles[1:], strict=False)
                )
                read[-1].append(cycles[0])
                written[-1].append(cycles[-1] + part.output_latency)
            start += part.output_steps
        start += part.drain
    spare = min(r - w for r, w in zip(read[1], written[0], strict=True))
    assert spare == 0 if part.drain else spare >= 0
    assert (
        part.write_stage - NEURON_STAGE == written[0][part.fold - 1] + 1
    )  # behind the group's last word


@pytest.mark.parametrize(
    ("classes", "lanes", "block", "expected"),
    [
        (10, 4, 1, (1, 0, 10)),
        (10, 5, 1, (1, 0, 10)),
        (10, 16, 1, (1, 1, 10)),
        (10, 16, 4, (4, 1, 13)),
        (10, 5, 4, (4, 0, 13)),
        (1, 1, 16, (16, 1, 25)),
    ],
)
def test_the_readout_takes_a_timestep_a_cycle(
    classes: int, lanes: int, block: int, expected: tuple[int, int, int]
) -> None:
    """A logit is written 2 cycles after it is read, and the block's last one is in the memory in
    `result_stage`."""
    readout = ReadoutHardware(ReadoutParams(8, classes), HardwareParams(lanes, block))
    assert (readout.output_steps, readout.drain, readout.result_stage) == expected
    assert readout.multipliers == {} and readout.dense_steps == 0


@pytest.mark.parametrize(
    ("part", "lanes", "blocks", "interval", "delay", "block_cycles"),
    [
        # 44 cycles a block. 3 rows at a time are 4 x 11 steps; the last row is written 7 cycles
        # behind them, 50, and read as the walk's 10th word: 1 + 1 + 2 + 9 after being announced.
        (layer(32, 10, lanes=8), 3, 4, 44, 38, 44),
        (layer(32, 10, lanes=2, block=4), 3, 4, 44, 38, 4 * 44),
        # Too short for any: the fastest is 11 steps; 10 rows are written until 24, nothing
        # registered, of which the next update reads the last one in its 10th step, and the walk in
        # word 9 or 9 // 3.
        (layer(32, 10, lanes=8, block=4), 10, 1, 16, 12, 4 * 16),
        (layer(32, 10, lanes=8, products=3), 10, 1, 16, 18, 3 + 18),
        # 16 groups of a step between refreshes: one update of 16 cycles, nothing registered.
        (layer(32, 10, 2, lanes=2), 10, 1, 16, 12, 16),
        # 32 of them: 5 rows at a time (22 steps, written until 32), as 4 take 33 steps.
        (layer(64, 10, 2, lanes=2), 5, 2, 24, 20, 24),
        (layer(64, 10, 1000, lanes=2), 5, 2, 24, 20, 24),
        # One value: written in cycle 8, at most one word is read; the update follows after 9.
        (layer(64, 1, lanes=2), 1, 1, 9, 5, 9),
    ],
)
def test_state_updates(
    part: LayerHardware, lanes: int, blocks: int, interval: int, delay: int, block_cycles: int
) -> None:
    assert (part.state_update.lanes, part.state_update.row_groups) == (lanes, blocks)
    assert (part.state_update.interval, part.state_update.announce_delay) == (interval, delay)
    assert part.state_update.block_cycles == block_cycles


def test_a_layer_without_a_slow_state_updates_nothing() -> None:
    part = layer(32, 0, lanes=8)
    assert set(part.multipliers) == {"spike", "leak"}
    assert not {"ab", "p", "w_x", "m", "history", "drives"} & {*part.memories, *part.buffers}
    with pytest.raises(AssertionError):
        _ = part.state_update


@pytest.mark.parametrize(
    ("dilation", "block", "lag"),
    [(1, 1, 1), (1, 16, 1), (2, 1, 2), (3, 2, 2), (40, 16, 3), (40, 4, 10), (40, 1, 16)],
)
def test_the_state_may_lag_from_one_refresh_to_the_next(
    dilation: int, block: int, lag: int
) -> None:
    assert layer(8, 4, dilation, lanes=4, block=block).state_update.lag == lag


@given(LAYERS.filter(lambda part: part.params.n_state > 0))
def test_no_value_of_the_state_is_read_before_it_is_written(part: LayerHardware) -> None:
    """Follow every row of an update, counted from its first step."""
    d, lanes, per_cycle = (
        part.params.n_state,
        part.state_update.lanes,
        part.hardware.products_per_cycle,
    )
    # A row is complete with the last step of its group; then a word of them is written a cycle.
    update = part.state_update
    columns, steps = update.columns, -(-(d + 1) // update.columns)
    written = [
        (row // lanes + 1) * steps - 1 + update.latency + row % lanes // columns for row in range(d)
    ]
    spare = [update.interval + row // columns - written[row] for row in range(d)]
    assert min(spare) >= 1 and update.interval >= update.row_groups * steps
    assert min(spare) == 1 or update.interval == update.row_groups * steps
    # What is written at once lies in one word of m, and in one of the history.
    assert columns == 1 or (per_cycle % columns == 0 and (lanes == d or lanes % columns == 0))
    # A walk is decided on in the cycle after it is announced, and issues its first step behind.
    first = part.state_update.announce_delay + 2 + STATE_STAGE
    spare = [first + row // per_cycle - written[row] for row in range(d)]
    assert min(spare) == 1 or (min(spare) > 1 and part.state_update.announce_delay == 1)


def starts(core: CoreParams, n_timesteps: int, shape: tuple[int, int]) -> np.ndarray:
    """Return the cycles in which the first layer starts the blocks of a sequence without events, if
    its state update takes so many columns of so many rows.
    """
    core = CoreParams(core.network, core.hardware)
    vars(core.layers[0].state_update)["_shape"] = shape
    n_blocks, n = -(-n_timesteps // core.hardware.block), core.network.layers[0].n_neurons
    none, total = np.zeros((1, n_timesteps), np.int64), np.zeros(1, np.int64)
    run = LayerRun(none, np.zeros((1, n_blocks), np.int64), none, total, total, total, total)
    run.spikes = np.zeros((1, n_timesteps, n), bool)
    payloads = np.zeros((1, n_timesteps, core.network.layers[0].n_inputs), np.int64)
    return Timeline(core, payloads, [run]).starts[0, 0]


@pytest.mark.parametrize("seed", range(150))
def test_the_state_update_never_bounds_the_walk_or_is_the_fastest(seed: int) -> None:
    """Where nothing arrives, walks are shortest: as few multipliers as lose nothing, or lose
    least; of several columns only where one column loses something.
    """
    rng = np.random.default_rng(seed)
    d, n, lanes = (int(rng.choice(values)) for values in ((1, 2, 5, 11), (4, 13, 40), (4, 7)))
    dilation = int(rng.choice((1, 1, 2, 3, 5, 16, 40)))
    hardware = HardwareParams(
        lanes, int(rng.choice(BLOCKS)), products_per_cycle=int(rng.choice((1, 3, 8)))
    )
    core = CoreParams(network(LayerParams(2, n, d, dilation)), hardware)
    part = core.layers[0]
    # From a refresh to a later one, once the first blocks are through.
    period = np.lcm(part.block, dilation)
    first = -(-2 * part.state_update.lag // (period // part.block)) * period // part.block
    last = first + 6 * period // part.block
    n_timesteps = (last + 1) * part.block
    none = np.zeros((1, last + 1), np.int64)
    walk = block_cycles(part, none, block_lengths(int(n_timesteps), part.block))[0] + part.drain
    spent = {}
    for columns in (n for n in (1, 2, 4) if n <= d and hardware.products_per_cycle % n == 0):
        for lanes in range(1, d + 1):
            if lanes == d or lanes % columns == 0:
                found = starts(core, n_timesteps, (columns, lanes))
                spent[columns, lanes] = int(found[last] - found[first] - walk[first:last].sum())
    least = min(spent.values())
    shape = part.state_update.columns, part.state_update.lanes
    assert least >= 0 and spent[shape] == least
    alike = [of for of, lost in spent.items() if lost == least]
    if least == 0 and any(columns == 1 for columns, _ in alike):
        alike = [of for of in alike if of[0] == 1]
    assert prod(shape) == min(map(prod, alike))


@pytest.mark.parametrize(
    ("dilation", "block", "timesteps"),
    [
        (1, 4, [0, 1, 2, 3]), (2, 1, [0]), (2, 8, [0, 2, 4, 6]), (3, 4, [0, 1, 2, 3]),
        (6, 4, [0, 2]), (8, 4, [0]), (40, 16, [0, 8]),
    ],
)  # fmt: skip
def test_timesteps_that_are_never_refreshed_have_no_multipliers(
    dilation: int, block: int, timesteps: list[int]
) -> None:
    """Of all blocks of a long sequence; a report may end one early, and shared events come in all
    timesteps.
    """
    part = layer(8, 4, dilation, lanes=2, block=block, products=3)
    known = {k % block for k in range(0, 1000 * dilation, dilation)}
    assert list(part.refreshable) == timesteps == sorted(known)
    assert part.multipliers["state"] == 2 * 3 * len(timesteps)
    assert part.buffers["history"].n_lanes == 3 * len(timesteps)
    for params, hardware in (
        (part.params, replace(part.hardware, reports=True)),
        (replace(part.params, formats=GRADED), replace(part.hardware, graded="shared")),
    ):
        other = LayerHardware(params, hardware)
        assert list(other.refreshable) == list(range(block))


def test_multipliers_by_purpose() -> None:
    """4 groups of 8 lanes, 4 timesteps, 2 events and 3 products a cycle: 2 neurons a unit, and an
    update of 10 rows at once.
    """
    hardware = HardwareParams(8, 4, 2, 3)
    spiking, graded = LayerParams(9, 32, 10), LayerParams(9, 32, 10, formats=GRADED)
    expected = {"spike": 0, "leak": 4, "state": 8 * 4 * 3, "update": 10, "drive": 0}
    assert LayerHardware(spiking, hardware).multipliers == expected
    assert LayerHardware(graded, hardware).multipliers == expected | {"spike": 64, "drive": 1}
    sharing = LayerHardware(graded, replace(hardware, graded="shared"))
    assert sharing.multipliers == expected | {"drive": 1}
    plain = LayerHardware(LayerParams(9, 32, 0, formats=GRADED), hardware)
    assert plain.multipliers == {"spike": 64, "leak": 4}
    core = CoreParams(network(graded, LayerParams(32, 32, 0)), hardware)
    assert core.multipliers == 64 + 4 + 96 + 10 + 1 + 4
    assert sum(layer(32, 10, lanes=8).multipliers.values()) == 1 + 8 + 3
