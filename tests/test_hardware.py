"""What follows from the hardware that a network is given: numbers worked out by hand, and, for
drawn ones, what they promise.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.blocks import block_lengths
from golden.cost.cycles import block_cycles
from golden.cost.timeline import Timeline
from golden.errors import UserError
from golden.formats import Fixed
from golden.hardware.core import CoreParams, possible_blocks
from golden.hardware.layer import LayerHardware
from golden.hardware.memory import MemoryParams, address_width, load_header
from golden.hardware.part import BLOCKS, COUNTED, HardwareParams
from golden.hardware.readout import ReadoutHardware
from golden.hardware.stages import MEMBRANE_LOOP, NEURON_STAGE, STATE_STAGE
from golden.params import LayerFormats, LayerParams, NetworkParams
from golden.readout_params import ReadoutParams
from golden.runs import LayerRun

GRADED = LayerFormats(payload=Fixed(8, 8, signed=False))
HARDWARE = st.builds(
    HardwareParams,
    lanes=st.integers(1, 40),
    block=st.sampled_from(BLOCKS),
    events_per_cycle=st.integers(1, 2),
    products_per_cycle=st.integers(1, 8),
)
LAYERS = st.builds(
    LayerHardware,
    st.builds(
        LayerParams,
        st.integers(1, 40),
        st.integers(1, 90),
        st.sampled_from((0, 1, 2, 5, 16, 40)),
        st.sampled_from((1, 2, 3, 5, 16, 40)),
    ),
    HARDWARE,
)


def network(*layers: LayerParams, n_classes: int = 10) -> NetworkParams:
    return NetworkParams("some", layers, ReadoutParams(layers[-1].n_neurons, n_classes))


def layer(
    n: int, d: int, dilation: int = 1, *, lanes: int, block: int = 1, products: int = 1
) -> LayerHardware:
    """Return a layer of 9 inputs."""
    hardware = HardwareParams(lanes, block, products_per_cycle=products)
    return LayerHardware(LayerParams(9, n, d, dilation), hardware)


@pytest.mark.parametrize(("depth", "width"), [(1, 1), (2, 1), (3, 2), (256, 8), (257, 9)])
def test_address_width(depth: int, width: int) -> None:
    assert address_width(depth) == width


def test_the_header_of_the_load_stream() -> None:
    assert load_header(0) == 0 and load_header(3, 5) == 0x03000005
    assert load_header(255, (1 << 24) - 1) == 0xFFFFFFFF


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lanes": 0}, "lanes 0: use a whole number, 1 to 256"),
        ({"lanes": -1}, "lanes -1: use a whole number, 1 to 256"),
        ({"lanes": 257}, "lanes 257: use a whole number, 1 to 256"),
        *(({"block": t}, f"block {t}: use 1, 2, 4, 8 or 16 timesteps") for t in (0, 3, 32, -1)),
        *(
            ({"events_per_cycle": e}, f"events_per_cycle {e}: use a whole number, 1 to 2")
            for e in (0, 3)
        ),
        *(
            ({"products_per_cycle": k}, f"products_per_cycle {k}: use a whole number, 1 to 8")
            for k in (0, 9)
        ),
    ],
)
def test_impossible_hardware(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}$"):
        HardwareParams(**arguments)


def test_the_largest_hardware_is_possible() -> None:
    assert HardwareParams(256, 16, 2, 8).lanes == 256


def test_memories_that_cannot_be_addressed() -> None:
    assert MemoryParams("w_f", 1 << 24, 3, Fixed(8)).width == 24
    with pytest.raises(UserError, match="memory w_f has 16777217 words: at most 16777216"):
        MemoryParams("w_f", (1 << 24) + 1, 1, Fixed(8))
    large = network(LayerParams(1 << 13, 1 << 13, 0))
    with pytest.raises(UserError, match=r"memory w_f has 67108864 words: at most 16777216"):
        CoreParams(large, HardwareParams(lanes=1))
    # Three memories a layer without a slow state, two of the readout.
    chain = (LayerParams(1, 1, 0),) * 84
    assert len(CoreParams(network(*chain)).memories) == 254
    with pytest.raises(UserError, match="257 memories: at most 256 can be addressed"):
        CoreParams(network(*chain, LayerParams(1, 1, 0)))


def test_a_recurrent_layer_has_no_blocks() -> None:
    recurrent = network(LayerParams(3, 4, 2), LayerParams(4, 4, 0, recurrent=True))
    assert possible_blocks(recurrent) == (1,) and CoreParams(recurrent).hardware.block == 1
    assert possible_blocks(network(LayerParams(3, 4, 2))) == BLOCKS
    for block in BLOCKS[1:]:
        message = rf"^block {block} for a recurrent layer, .*: use a block of 1$"
        with pytest.raises(UserError, match=message):
            CoreParams(recurrent, HardwareParams(block=block))


@pytest.mark.parametrize("events", [1, 2])
def test_a_recurrent_layers_own_spikes_have_places_and_weights(events: int) -> None:
    """100 inputs and 30 neurons, 8 groups of 4; three lists of 130 or twice 65 addresses of 8 bits,
    each in as many words as a power of two has.
    """
    params = LayerParams(100, 30, 0, formats=GRADED, recurrent=True)
    part = LayerHardware(params, HardwareParams(4, events_per_cycle=events))
    assert (part.memories["w_f"].depth, part.n_addresses) == (8 * 130, 130)
    places = part.buffers["list"]
    assert (places.depth, places.width) == (3 * 256 // events, 8 * events)
    assert part.buffers["payloads0"].depth == 3 * 256
    assert part.max_steps == part.sparse_steps(130) == 130 // events
    # 11 stages, 4 of the encoder, one until the list is open.
    assert (part.close_latency, part.loop_latency) == (1, 16)
    plain = LayerHardware(LayerParams(100, 30, 0), HardwareParams(4))
    assert (plain.close_latency, plain.loop_latency, plain.n_addresses) == (5, 0, 100)


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
    ("depth", "segments"),
    [(1, [1]), (1024, [1024]), (1025, [1024, 1]), (3000, [1024, 1024, 952]), (2048, [1024] * 2)],
)
def test_segments_of_a_loaded_memory(depth: int, segments: list[int]) -> None:
    assert MemoryParams("some", depth, 1, Fixed(8)).segments == segments
    hardware = HardwareParams(4, segment_words=16)
    layer = LayerHardware(LayerParams(n_inputs=9, n_neurons=8, n_state=2), hardware)
    assert layer.memories["w_f"].segments == [16, 2] and layer.memories["p"].segments == [6]


def test_what_a_core_counts() -> None:
    """Flags stay, in the same order; a core without counters has a port for the number of one."""
    network = NetworkParams("some", (LayerParams(9, 4, 2),), ReadoutParams(4, 3))
    cores = {name: CoreParams(network, HardwareParams(counters=name)) for name in COUNTED}
    errors = [
        *(f"layer0.{name}" for name in ("out_of_range", "repeated", "unclosed")),
        *(f"layer0.{name}_saturations" for name in ("drive", "state", "membrane")),
        "readout.logit_saturations",
    ]
    assert {tuple(core.errors) for core in cores.values()} == {tuple(errors)}
    assert cores["errors"].counters == errors and cores["none"].counters == []
    assert set(errors) < set(cores["all"].counters) and cores["all"].counters[0] == "cycles"
    assert [core.counter_bits for core in cores.values()] == [5, 3, 1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"counters": "some"}, "counters 'some': use all, errors or none"),
        ({"counters": 3}, "counters 3: use all, errors or none"),
        (
            {"counters": "errors", "access_counters": True},
            "access_counters with counters errors: use all, or leave out access_counters",
        ),
        ({"hold_operands": 1}, "hold_operands 1: use True or False"),
    ],
)
def test_what_is_no_choice_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        HardwareParams(**given)


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
        (10, 4, 1, (1, 0, 9)),
        (10, 5, 1, (1, 0, 9)),
        (10, 16, 1, (1, 1, 9)),
        (10, 16, 4, (4, 1, 12)),
        (10, 5, 4, (4, 0, 12)),
        (1, 1, 16, (16, 1, 24)),
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
        # word 9 or 9 // 4.
        (layer(32, 10, lanes=8, block=4), 10, 1, 16, 12, 4 * 16),
        (layer(32, 10, lanes=8, products=4), 10, 1, 16, 19, 3 + 19),
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
    # A row is complete with the last step of its block; then rows are written one a cycle.
    written = [
        (row // lanes + 1) * (d + 1) - 1 + part.state_update.latency + row % lanes
        for row in range(d)
    ]
    spare = [part.state_update.interval + row - written[row] for row in range(d)]
    assert min(spare) >= 1 and part.state_update.interval >= part.state_update.row_groups * (d + 1)
    assert min(spare) == 1 or part.state_update.interval == part.state_update.row_groups * (d + 1)
    # A walk is decided on in the cycle after it is announced, and issues its first step behind.
    first = part.state_update.announce_delay + 2 + STATE_STAGE
    spare = [first + row // per_cycle - written[row] for row in range(d)]
    assert min(spare) == 1 or (min(spare) > 1 and part.state_update.announce_delay == 1)


def starts(core: CoreParams, n_timesteps: int, state_lanes: int) -> np.ndarray:
    """Return the cycles in which the first layer starts the blocks of a sequence without events, if
    its state update has so many multipliers.
    """
    core = CoreParams(core.network, core.hardware)
    vars(core.layers[0].state_update)["lanes"] = state_lanes
    n_blocks, n = -(-n_timesteps // core.hardware.block), core.network.layers[0].n_neurons
    none, total = np.zeros((1, n_timesteps), np.int64), np.zeros(1, np.int64)
    run = LayerRun(none, np.zeros((1, n_blocks), np.int64), none, total, total, total, total)
    run.spikes = np.zeros((1, n_timesteps, n), bool)
    payloads = np.zeros((1, n_timesteps, core.network.layers[0].n_inputs), np.int64)
    return Timeline(core, payloads, [run]).starts[0, 0]


@pytest.mark.parametrize("seed", range(150))
def test_the_state_update_never_bounds_the_walk_or_is_the_fastest(seed: int) -> None:
    """Where nothing arrives, walks are shortest: as few multipliers as lose nothing, or lose
    least.
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
    for lanes in range(1, d + 1):
        found = starts(core, n_timesteps, lanes)
        spent[lanes] = int(found[last] - found[first] - walk[first:last].sum())
    least = min(spent.values())
    assert least >= 0 and spent[part.state_update.lanes] == least
    assert part.state_update.lanes == min(lanes for lanes, lost in spent.items() if lost == least)


def test_multipliers_by_purpose() -> None:
    """4 groups of 8 lanes, 4 timesteps, 2 events and 3 products a cycle: 2 neurons a unit, and an
    update of 10 rows at once.
    """
    hardware = HardwareParams(8, 4, 2, 3)
    spiking, graded = LayerParams(9, 32, 10), LayerParams(9, 32, 10, formats=GRADED)
    expected = {"spike": 0, "leak": 4, "state": 8 * 4 * 3, "update": 10, "drive": 0}
    assert LayerHardware(spiking, hardware).multipliers == expected
    assert LayerHardware(graded, hardware).multipliers == expected | {"spike": 64, "drive": 1}
    plain = LayerHardware(LayerParams(9, 32, 0, formats=GRADED), hardware)
    assert plain.multipliers == {"spike": 64, "leak": 4}
    core = CoreParams(network(graded, LayerParams(32, 32, 0)), hardware)
    assert core.multipliers == 64 + 4 + 96 + 10 + 1 + 4
    assert sum(layer(32, 10, lanes=8).multipliers.values()) == 1 + 8 + 3


def sizes(memories: dict[str, MemoryParams]) -> dict[str, tuple[int, int, int]]:
    """Return depths, elements of a word, and their bits."""
    assert [memory.name for memory in memories.values()] == list(memories)
    return {name: (m.depth, m.n_lanes, m.element.width) for name, m in memories.items()}


def test_memories_and_buffers() -> None:
    """4 groups of 8 lanes, 9 inputs, 4 timesteps, 2 events and 3 products a cycle."""
    hardware = HardwareParams(8, 4, 2, 3)
    part = LayerHardware(LayerParams(9, 32, 10), hardware)
    assert sizes(part.memories) == {
        "w_f": (4 * 9, 8, 8),
        "c": (4 * 2, 4, 16),
        "scalars": (3, 1, 32),
        "p": (4 * 4, 3 * 8, 8),
        "w_x": (9, 1, 8),
        "ab": (11, 10, 16),
    }
    assert sizes(part.buffers) == {
        "list": (3 * 8, 2, 4),  # 5 words of 2 addresses
        "payloads0": (3 * 16, 4, 1),
        "payloads1": (3 * 16, 4, 1),
        "u": (4 * 2, 4, 16),
        "m": (2 * 16, 1, 16),
        "history": (2 * 4, 3 * 4, 16),
        "drives": (4 * (3 + 1 + 1), 1, 16 + 2),
        "masks": (16, 8 * 4 + 5 + 4 + 1, 1),
    }
    dilated = LayerHardware(LayerParams(9, 32, 10, 2), hardware)
    assert sizes(dilated.buffers)["h"] == (8, 4, dilated.params.current.width)
    assert set(dilated.buffers) - set(part.buffers) == {"h"}
    readout = ReadoutHardware(ReadoutParams(9, 10), hardware)
    assert sizes(readout.memories) == {"w_o": (2 * 9, 8, 8), "b_o": (2, 8, 24)}
    assert sizes(readout.buffers) == {
        "list": (3 * 8, 2, 4),
        "payloads0": (3 * 16, 4, 1),
        "payloads1": (3 * 16, 4, 1),
        "logits": (2, 8, 32),
    }


def test_a_list_of_spikes_of_one_timestep_needs_no_payloads() -> None:
    spiking, graded = LayerParams(9, 5, 0), LayerParams(9, 5, 0, formats=GRADED)
    one, two = HardwareParams(), HardwareParams(events_per_cycle=2)
    assert not LayerHardware(spiking, one).has_payloads
    assert sizes(LayerHardware(spiking, one).buffers)["list"] == (3 * 16, 1, 4)
    assert set(LayerHardware(spiking, two).buffers) == {"list", "u", "masks"}
    assert sizes(LayerHardware(graded, one).buffers)["payloads0"] == (3 * 16, 1, 8)
    assert "payloads1" in LayerHardware(graded, two).buffers


@pytest.mark.parametrize(
    ("n_inputs", "block", "max_delay", "lanes", "words", "slots", "depths"),
    [
        # A slot for each timestep of delay, one that leaves and one that arrives; five words of
        # 32 inputs have the place of eight.
        (140, 1, 30, 32, 5, 32, [32 * 8]),
        (1, 1, 1, 2, 1, 3, [3]),
        (70, 1, 255, 32, 3, 257, [257 * 4]),
        # Delays of up to 5 reach two blocks of 4 further: 2 + 2 slots, half of them a memory.
        (9, 4, 5, 8, 2, 4, [2 * 2, 2 * 2]),
        (9, 4, 4, 8, 2, 4, [2 * 2, 2 * 2]),  # one block further: 3 slots, rounded up
        (9, 4, 8, 8, 2, 4, [2 * 2, 2 * 2]),
        (9, 4, 9, 8, 2, 6, [3 * 2, 3 * 2]),
        (3, 2, 1, 4, 1, 4, [2, 2]),
        (13, 8, 21, 4, 4, 6, [3 * 4, 3 * 4]),
        (5, 16, 255, 2, 3, 18, [9 * 4, 9 * 4]),
    ],
)
def test_the_ring_of_a_delay_line(
    n_inputs: int,
    block: int,
    max_delay: int,
    lanes: int,
    words: int,
    slots: int,
    depths: list[int],
) -> None:
    plain = LayerHardware(LayerParams(n_inputs, 3, 0), HardwareParams(2, block))
    params = LayerParams(n_inputs, 3, 0, max_delay=max_delay)
    part = LayerHardware(params, HardwareParams(2, block), external=True)
    assert part.delayed and not part.by_timesteps and not plain.delayed
    assert (part.delay_ring.lanes, part.delay_ring.words, part.delay_ring.slots) == (
        lanes,
        words,
        slots,
    )
    assert (part.delay_ring.memories, part.delay_ring.depth) == (len(depths), depths[0])
    rings = {f"ring{i}": (depth, lanes * block, 1) for i, depth in enumerate(depths)}
    assert sizes(part.buffers) == sizes(plain.buffers) | rings
    delays = {"delays": (n_inputs, 1, max_delay.bit_length())}
    assert sizes(part.memories) == sizes(plain.memories) | delays


@given(st.integers(1, 200), st.sampled_from(BLOCKS), st.integers(1, 255))
def test_no_slot_of_a_ring_is_used_twice(n_inputs: int, block: int, max_delay: int) -> None:
    """While a block leaves, events of the next one go to other slots, up to the last timestep with
    the largest delay; and two successive slots are in two memories.
    """
    params = LayerParams(n_inputs, 3, 0, max_delay=max_delay)
    part = LayerHardware(params, HardwareParams(2, block))
    last = (block - 1 + max_delay) // block  # blocks further
    used = {(1 + further) % part.delay_ring.slots for further in range(last + 1)}
    assert 0 not in used and len(used) == last + 1
    assert part.delay_ring.slots - part.delay_ring.memories < last + 2 <= part.delay_ring.slots
    assert block == 1 or part.delay_ring.slots % 2 == 0
    assert part.delay_ring.lanes * part.delay_ring.words >= n_inputs
    assert part.delay_ring.words == 1 or part.delay_ring.lanes * block == 32


def test_scalars_hold_a_wide_bias() -> None:
    wide = LayerParams(4, 4, 2, formats=LayerFormats(drive_bias_width=40))
    assert LayerHardware(wide, HardwareParams()).memories["scalars"].width == 40


def test_memory_bits() -> None:
    """Sum what a small core has: loaded, then written by itself."""
    core = CoreParams(network(LayerParams(2, 3, 0), n_classes=2), HardwareParams(4))
    loaded = 2 * 3 * 8 + 3 * 16 + 3 * 32 + 3 * 2 * 8 + 2 * 24
    masks = 16 * (3 + 2 + 1 + 1)
    written = (3 * 2 * 1 + 3 * 16 + masks) + (3 * 4 * 2 + 2 * 32)
    assert core.memory_bits == loaded + written
    # Delays of up to 5: 3 bits an input, and 7 slots of 2 bits.
    delayed = CoreParams(network(LayerParams(2, 3, 0, max_delay=5), n_classes=2), HardwareParams(4))
    assert delayed.memory_bits == core.memory_bits + 2 * 3 + 7 * 2


@given(LAYERS)
def test_every_value_has_a_place_in_the_memories(part: LayerHardware) -> None:
    p, groups, lanes = part.params, part.n_groups, part.lanes
    n, d = p.n_neurons, p.n_state
    places = {name: memory.depth * memory.n_lanes for name, memory in part.memories.items()}
    assert places["w_f"] == groups * lanes * p.n_inputs
    assert places["c"] == groups * lanes and 0 <= groups * lanes - n < lanes
    assert ("p" in places) == ("ab" in places) == ("w_x" in places) == (d > 0)
    if d:
        columns = places["p"] / (groups * lanes)
        assert d + 1 <= columns < d + 1 + part.hardware.products_per_cycle
        assert d * (d + 1) <= places["ab"] < (d + part.state_update.lanes) * (d + 1)
    assert all(m.width == m.n_lanes * m.element.width for m in part.memories.values())
    assert all(m.bits == m.depth * m.width for m in part.memories.values())


COMMON = [
    "timesteps", "blocks", "busy_cycles", "stall_cycles", "starved_cycles", "input_stall_cycles",
    "events",
]  # fmt: skip
INPUT = ["out_of_range", "repeated", "unclosed"]
OF_A_LAYER = [
    "spikes", "state_wait_cycles", "drive_saturations", "state_saturations",
    "membrane_saturations",
]  # fmt: skip


def test_counters_in_their_order() -> None:
    core = CoreParams(network(LayerParams(3, 4, 3), LayerParams(4, 5, 0)))
    assert core.counters == [
        "cycles",
        *(f"layer0.{name}" for name in COMMON + INPUT + OF_A_LAYER),
        *(f"layer1.{name}" for name in COMMON + OF_A_LAYER),
        *(f"readout.{name}" for name in [*COMMON, "sequences", "logit_saturations"]),
    ]
    errors = [*INPUT, "drive_saturations", "state_saturations", "membrane_saturations"]
    assert core.errors == [
        *(f"layer0.{name}" for name in errors),
        *(f"layer1.{name}" for name in errors[3:]),
        "readout.logit_saturations",
    ]


def test_access_counters() -> None:
    """What a part does not have is not counted."""
    fast = {"list_reads", "list_writes", "w_f_reads", "c_reads", "u_reads", "u_writes"}
    fast |= {"spike_additions", "leak_products"}
    payloads = {"payload_reads", "payload_writes"}
    slow = {"p_reads", "history_reads", "history_writes", "state_products", "w_x_reads"}
    slow |= {"ab_reads", "m_reads", "m_writes", "update_products"}
    counting = HardwareParams(access_counters=True)
    blocks = HardwareParams(block=2, access_counters=True)

    def of(part: Any) -> set[str]:
        assert len(set(part.counters)) == len(part.counters)
        assert part.counters[-len(part.accesses) :] == part.accesses
        return set(part.accesses)

    assert of(LayerHardware(LayerParams(3, 4, 0), counting)) == fast
    assert of(LayerHardware(LayerParams(3, 4, 0, formats=GRADED), counting)) == fast | payloads
    assert of(LayerHardware(LayerParams(3, 4, 2), counting)) == fast | slow
    dilated = LayerHardware(LayerParams(3, 4, 2, 3), blocks)
    assert of(dilated) == fast | payloads | slow | {"h_reads", "h_writes"}
    line = {"delays_reads", "ring_reads", "ring_writes"}
    assert of(LayerHardware(LayerParams(3, 4, 0, max_delay=1), counting)) == fast | line
    delayed = LayerHardware(LayerParams(3, 4, 2, max_delay=1), blocks, external=True)
    assert of(delayed) == fast | payloads | slow | line
    assert {"out_of_range", "repeated", "unclosed"} <= set(delayed.counters)
    readout = {"list_reads", "list_writes", "spike_additions", "w_o_reads", "b_o_reads"}
    readout |= {"logits_reads", "logits_writes"}
    assert of(ReadoutHardware(ReadoutParams(3, 4), counting)) == readout
    assert of(ReadoutHardware(ReadoutParams(3, 4), blocks)) == readout | payloads
    assert LayerHardware(LayerParams(3, 4, 2), HardwareParams()).accesses == ()


def test_parts_and_memories_by_name() -> None:
    core = CoreParams(network(LayerParams(3, 4, 3), LayerParams(4, 5, 0)), HardwareParams(2))
    assert list(core.parts) == ["layer0", "layer1", "readout"]
    assert [core.layers[0].external, core.layers[1].external, core.readout.external] == [
        True,
        False,
        False,
    ]
    assert list(core.memories) == [
        *(f"layer0.{name}" for name in ("w_f", "c", "scalars", "p", "w_x", "ab")),
        *(f"layer1.{name}" for name in ("w_f", "c", "scalars")),
        "readout.w_o",
        "readout.b_o",
    ]
    assert all(memory.name == name for name, memory in core.memories.items())
