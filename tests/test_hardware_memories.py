"""Memories and buffers of a core, and their addresses: numbers worked out by hand, and, for drawn
layers, what they promise.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.errors import UserError
from golden.formats import Fixed
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.hardware.memory import MemoryParams, address_width, load_header
from golden.hardware.params import BLOCKS, EVENTS, LIST_BUFFERS, HardwareParams
from golden.hardware.readout import ReadoutHardware
from golden.params import LayerFormats, LayerParams
from golden.readout_params import ReadoutParams
from tests.hardware_layers import GRADED, LAYERS, network


@pytest.mark.parametrize(("depth", "width"), [(1, 1), (2, 1), (3, 2), (256, 8), (257, 9)])
def test_address_width(depth: int, width: int) -> None:
    assert address_width(depth) == width


def test_the_header_of_the_load_stream() -> None:
    assert load_header(0) == 0 and load_header(3, 5) == 0x03000005
    assert load_header(255, (1 << 24) - 1) == 0xFFFFFFFF


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


@pytest.mark.parametrize("buffers", LIST_BUFFERS)
def test_every_buffer_of_a_list_has_its_words(buffers: int) -> None:
    """100 inputs: twice 64 words of two addresses, 128 of payloads of four timesteps; drives wait
    as long as their lists.
    """
    hardware = HardwareParams(4, block=4, events_per_cycle=2, list_buffers=buffers)
    params = LayerParams(100, 30, 5, dilation=9)
    for part in (LayerHardware(params, hardware), ReadoutHardware(ReadoutParams(100, 3), hardware)):
        assert part.n_lists == buffers
        assert part.buffers["list"].depth == buffers * 64
        assert {part.buffers[f"payloads{e}"].depth for e in range(2)} == {buffers * 128}
    layer = LayerHardware(params, hardware)
    assert layer.buffers["drives"].depth == 4 * (buffers + 3 + 1) and layer.state_update.lag == 3


@pytest.mark.parametrize("events", EVENTS)
def test_a_recurrent_layers_own_spikes_have_places_and_weights(events: int) -> None:
    """100 inputs and 30 neurons, 8 groups of 4; three lists of 130, twice 65 or four times 33
    addresses of 8 bits, each in as many words as a power of two has.
    """
    params = LayerParams(100, 30, 0, formats=GRADED, recurrent=True)
    part = LayerHardware(params, HardwareParams(4, events_per_cycle=events))
    assert (part.memories["w_f"].depth, part.n_addresses) == (8 * 130, 130)
    places = part.buffers["list"]
    assert (places.depth, places.width) == (3 * 256 // events, 8 * events)
    assert part.buffers["payloads0"].depth == 3 * 256
    assert part.max_steps == part.sparse_steps(130) == -(-130 // events)
    # 12 stages, 4 of the encoder, one until the list is open.
    assert (part.close_latency, part.loop_latency) == (1, 17)
    plain = LayerHardware(LayerParams(100, 30, 0), HardwareParams(4))
    assert (plain.close_latency, plain.loop_latency, plain.n_addresses) == (5, 0, 100)


@pytest.mark.parametrize(
    ("depth", "segments"),
    [(1, [1]), (1024, [1024]), (1025, [1024, 1]), (3000, [1024, 1024, 952]), (2048, [1024] * 2)],
)
def test_segments_of_a_loaded_memory(depth: int, segments: list[int]) -> None:
    assert MemoryParams("some", depth, 1, Fixed(8)).segments == segments
    hardware = HardwareParams(4, segment_words=16)
    layer = LayerHardware(LayerParams(n_inputs=9, n_neurons=8, n_state=2), hardware)
    assert layer.memories["w_f"].segments == [16, 2] and layer.memories["p"].segments == [6]


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


@pytest.mark.parametrize(("block", "width"), [(1, 7), (4, 7 + 4)])
def test_a_list_behind_a_wide_link_has_a_memory_an_event(block: int, width: int) -> None:
    """100 addresses of 7 bits, 25 words of 32, each beside its mask; no payloads apart. As many
    words of w_x are read at once as events come.
    """
    hardware = HardwareParams(4, block, 4, access_counters=True, link_items=4)
    part = LayerHardware(LayerParams(100, 8, 3), hardware)
    lists = {name: size for name, size in sizes(part.buffers).items() if "list" in name}
    assert lists == {f"list{e}": (3 * 32, 1, width) for e in range(4)}
    assert not any(name.startswith("payload") for name in (*part.buffers, *part.accesses))
    assert part.list_memory == part.buffers["list0"]
    assert (part.copies("w_x"), part.copies("w_f"), part.copies("p")) == ([2, 2], [2, 2], [1])
    assert replace(part, external=True).copies("w_x") == [1]


@pytest.mark.parametrize(("events", "copies"), [(1, [1]), (2, [2]), (4, [2, 2])])
def test_weights_have_a_copy_for_every_two_events(events: int, copies: list[int]) -> None:
    """The bits of copies are bits of the core; graded events have multipliers, each its own."""
    hardware = HardwareParams(4, events_per_cycle=events)
    core = CoreParams(network(LayerParams(9, 8, 3, formats=GRADED)), hardware)
    layer, readout = core.layers[0], core.readout
    assert layer.copies("w_f") == readout.copies("w_o") == copies
    others = [layer.copies(name) for name in layer.memories if name != "w_f"]
    assert all(found == [1] for found in [*others, readout.copies("b_o")])
    memories = [m for part in core.parts.values() for m in (part.memories | part.buffers).values()]
    weights = [layer.memories["w_f"], readout.memories["w_o"]]
    again = (len(copies) - 1) * sum(memory.bits for memory in weights)
    assert core.memory_bits == sum(memory.bits for memory in memories) + again
    assert layer.multipliers["spike"] == 4 * events


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
