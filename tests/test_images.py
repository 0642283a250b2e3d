"""Integers to memory words and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from export.images import Images, pack, pack_words, unpack, unpack_words
from golden.errors import UserError
from golden.formats import Fixed
from golden.hardware.core import CoreParams
from golden.hardware.memory import MemoryParams
from golden.hardware.params import BLOCKS, EVENTS, HardwareParams
from golden.integer import LayerIntegers, NetworkIntegers
from golden.params import LayerParams, NetworkParams
from golden.readout_params import ReadoutParams
from tests.networks import draw_network, draw_recurrent, with_delays


def assert_same(one: NetworkIntegers, other: NetworkIntegers) -> None:
    """Hold two networks to the same parameters and integers."""
    assert one.params == other.params
    for a, b in zip(one.layers, other.layers, strict=True):
        for name, value in vars(a).items():
            assert np.array_equal(value, getattr(b, name)), name
    assert np.array_equal(one.w_o, other.w_o) and np.array_equal(one.b_o, other.b_o)
    assert one.leak_o == other.leak_o


NETWORKS = [draw_network(seed).network for seed in range(40)]
DELAYED = [draw_network(seed, delays=True).network for seed in range(20)]
RECURRENT = [draw_recurrent(seed).network for seed in range(20)]
RECURRENT += [with_delays(draw_recurrent(seed)).network for seed in range(5)]
HARDWARE = st.builds(
    HardwareParams,
    lanes=st.one_of(st.integers(1, 16), st.just(70)),
    block=st.sampled_from(BLOCKS),
    events_per_cycle=st.sampled_from(EVENTS),
    products_per_cycle=st.integers(1, 8),
)


@given(st.sampled_from(RECURRENT), HARDWARE)
def test_unpack_undoes_pack_of_recurrent_layers(
    network: NetworkIntegers, hardware: HardwareParams
) -> None:
    core = CoreParams(network.params, replace(hardware, block=1))
    images = pack(network, core)
    assert {name: len(words) for name, words in images.items()} == {
        name: memory.depth for name, memory in core.memories.items()
    }
    assert_same(unpack(images, core), network)


def test_own_spikes_have_their_weights_behind_the_inputs() -> None:
    """Three neurons on 2 lanes: of the first group 2 inputs, then 3 neurons, then the second's."""
    w_f = np.array([[1, 2, 0x11, 0x12, 0x13], [3, 4, 0x21, 0x22, 0x23], [5, 6, 0x31, 0x32, -1]])
    none = np.zeros(0, np.int64)
    layer = replace(tiny_layer(), w_f=w_f, a=none.reshape(0, 0), b=none, p=none.reshape(3, 0))
    layer = replace(layer, w_x=np.zeros(2, np.int64), b_x=0, v=np.zeros(3, np.int64))
    params = NetworkParams("own", (LayerParams(2, 3, 0, recurrent=True),), ReadoutParams(3, 2))
    network = NetworkIntegers(params, (layer,), np.array([[1, 2, 3], [4, 5, -6]]), np.array([9, 1]))
    core = CoreParams(params, HardwareParams(lanes=2))
    assert pack(network, core)["layer0.w_f"] == [
        0x0301, 0x0402, 0x2111, 0x2212, 0x2313, 0x05, 0x06, 0x31, 0x32, 0xFF,
    ]  # fmt: skip
    assert_same(unpack(pack(network, core), core), network)


@given(st.sampled_from(NETWORKS + DELAYED), HARDWARE)
@example(NETWORKS[0], HardwareParams(1))
@example(NETWORKS[1], HardwareParams(70, 16, 2, 8))
def test_unpack_undoes_pack(network: NetworkIntegers, hardware: HardwareParams) -> None:
    core = CoreParams(network.params, hardware)
    images = pack(network, core)
    for name, memory in core.memories.items():
        assert len(images[name]) == memory.depth
        assert all(0 <= word < 1 << memory.width for word in images[name])
    assert_same(unpack(images, core), network)


def test_delays_have_a_word_each() -> None:
    """Behind the other memories of their layer; one that is too large is named."""
    network, core = tiny()
    params = replace(network.params, layers=(replace(network.params.layers[0], max_delay=5),))
    layer = replace(network.layers[0], delays=np.array([5, 2]))
    network = replace(network, params=params, layers=(layer,))
    images = pack(network, delayed := CoreParams(params, core.hardware))
    assert images["layer0.delays"] == [5, 2] and delayed.memories["layer0.delays"].width == 3
    assert list(images) == [
        *list(core.memories)[:-2],
        "layer0.delays",
        "readout.w_o",
        "readout.b_o",
    ]
    assert_same(unpack(images, delayed), network)
    with pytest.raises(UserError, match=r"layer0\.delays has 6 timesteps: at most 5"):
        unpack(images | {"layer0.delays": [0, 6]}, delayed)
    with pytest.raises(UserError, match=r"layer0\.delays has a word of more than 3 bits"):
        unpack(images | {"layer0.delays": [0, 8]}, delayed)


@st.composite
def memories(draw: st.DrawFn) -> tuple[MemoryParams, np.ndarray]:
    fmt = draw(st.builds(Fixed, st.integers(1, 48), st.just(0), st.booleans()))
    depth, lanes = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    values = draw(
        st.lists(st.integers(fmt.min, fmt.max), min_size=depth * lanes, max_size=depth * lanes)
    )
    return MemoryParams("some", depth, lanes, fmt), np.array(values, np.int64).reshape(depth, lanes)


@given(memories())
def test_words_round_trip(drawn: tuple[MemoryParams, np.ndarray]) -> None:
    memory, elements = drawn
    words = pack_words(elements, memory)
    assert all(0 <= word < 1 << memory.width for word in words)
    assert unpack_words(words, memory).tolist() == elements.tolist()


def tiny_layer() -> LayerIntegers:
    """Return 3 neurons, 2 inputs and a slow state of 1."""
    return LayerIntegers(
        w_f=np.array([[1, 2], [3, 4], [-1, -2]]),
        w_x=np.array([7, -8]),
        b_x=-2,
        a=np.array([[0x7ABC]]),
        b=np.array([-1]),
        p=np.array([[0x11], [0x22], [0x33]]),
        v=np.array([0x44, 0x55, 0x66]),
        c=np.array([0x1001, 0x1002, -3]),
        leak=0x800,
        threshold=0x400,
    )


def tiny() -> tuple[NetworkIntegers, CoreParams]:
    """Return the layer on 2 lanes, and 2 classes."""
    layer = tiny_layer()
    params = NetworkParams("tiny", (LayerParams(2, 3, 1),), ReadoutParams(3, 2))
    network = NetworkIntegers(
        params, (layer,), np.array([[1, 2, 3], [4, 5, -6]]), np.array([9, -1])
    )
    return network, CoreParams(params, HardwareParams(lanes=2))


def test_the_layout_of_words_by_hand() -> None:
    """State each word: group by group, in a group input by input (or state by state, then the
    drive), lane 0 lowest. Two neurons share a unit, so a word holds the bias of one.
    """
    network, core = tiny()
    assert core.layers[0].fold == 2
    assert pack(network, core) == {
        "layer0.w_f": [0x0301, 0x0402, 0x00FF, 0x00FE],
        "layer0.p": [0x2211, 0x5544, 0x0033, 0x0066],
        "layer0.c": [0x1001, 0x1002, 0xFFFD, 0x0000],
        "layer0.w_x": [0x07, 0xF8],
        "layer0.ab": [0x7ABC, 0xFFFF],
        "layer0.scalars": [0x800, 0x400, 0xFFFF_FFFE],
        "readout.w_o": [0x0401, 0x0502, 0xFA03],
        "readout.b_o": [0xFFFFFF_000009],
    }


def test_the_columns_of_a_step_share_a_word() -> None:
    """P lowest, then V, then 0 in slots that have no column; now a group takes one step, and each
    neuron has a unit.
    """
    network, core = tiny()
    for per_cycle, unused in ((2, 0), (3, 1), (8, 6)):
        wide = replace(core, hardware=replace(core.hardware, products_per_cycle=per_cycle))
        images = pack(network, wide)
        assert wide.memories["layer0.p"].width == 16 * (2 + unused)
        assert images["layer0.p"] == [0x5544_2211, 0x0066_0033]
        assert images["layer0.c"] == [0x1002_1001, 0x0000_FFFD]
    a, b, p = np.zeros((3, 3), np.int64), np.zeros(3, np.int64), np.array([[1, 2, 3]] * 3)
    three = replace(tiny_layer(), a=a, b=b, p=p)
    params = replace(network.params, layers=(LayerParams(2, 3, 3),))
    core = CoreParams(params, HardwareParams(lanes=2, products_per_cycle=3))
    # The columns 1, 2, 3 of the slow state in a step; V alone in the next one.
    assert pack(NetworkIntegers(params, (three,), network.w_o, network.b_o), core)["layer0.p"] == [
        0x0303_0202_0101, 0x5544, 0x0003_0002_0001, 0x0066,
    ]  # fmt: skip


def test_biases_are_dealt_to_units() -> None:
    """Six neurons on 4 lanes of 2 units: neurons 0 and 1, then 2 and 3; of the second group 4 and
    5, then nobody.
    """
    v, p, w_f = np.arange(6), np.zeros((6, 1), np.int64), np.zeros((6, 2), np.int64)
    layer = replace(tiny_layer(), c=np.arange(1, 7), v=v, p=p, w_f=w_f)
    params = NetworkParams("six", (LayerParams(2, 6, 1),), ReadoutParams(6, 2))
    core = CoreParams(params, HardwareParams(lanes=4, block=4))
    network = NetworkIntegers(params, (layer,), np.zeros((2, 6), np.int64), np.array([0, 0]))
    assert (core.layers[0].fold, core.layers[0].neuron_fold.units) == (2, 2)
    images = pack(network, core)
    assert images["layer0.c"] == [0x0002_0001, 0x0004_0003, 0x0006_0005, 0]
    assert unpack(images, core).layers[0].c.tolist() == [1, 2, 3, 4, 5, 6]
    images["layer0.c"][3] = 1 << 16
    with pytest.raises(UserError, match=r"layer0\.c has values in lanes that have no neuron"):
        unpack(images, core)


def test_an_image_with_values_behind_the_last_column_is_named() -> None:
    network, core = tiny()
    core = replace(core, hardware=replace(core.hardware, products_per_cycle=3))
    images = pack(network, core)
    for word, place in ((0, 32), (0, 47), (1, 32)):
        altered = list(images["layer0.p"])
        altered[word] |= 1 << place
        with pytest.raises(UserError, match=r"layer0\.p has values after its last column"):
            unpack(images | {"layer0.p": altered}, core)


def test_a_value_that_does_not_fit_is_named() -> None:
    memory = MemoryParams("layer0.w_f", 1, 2, Fixed(4))
    with pytest.raises(UserError, match=r"memory layer0\.w_f reaches"):
        pack_words(np.array([[7, 8]]), memory)


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("layer0.w_f", [0, 0, 0], r"layer0\.w_f has 3 words: it must have 4"),
        ("layer0.w_f", [0, 0, 0, 1 << 16], r"layer0\.w_f has a word of more than 16 bits"),
        ("layer0.w_f", [0, 0, 0, -1], r"layer0\.w_f has a word of more than 16 bits"),
        ("layer0.w_f", [0, 0, 0x0100, 0], r"layer0\.w_f has values in lanes that have no neuron"),
        ("layer0.scalars", [0x1000, 0x400, 0], r"layer0\.leak reaches"),
        ("layer0.scalars", [0x800, 0xFFFF_FFFF, 0], r"layer0\.threshold reaches"),
    ],
)
def test_altered_images_are_named(name: str, words: list[int], message: str) -> None:
    network, core = tiny()
    images: Images = pack(network, core) | {name: words}
    with pytest.raises(UserError, match=message):
        unpack(images, core)


def test_a_missing_and_a_strange_image_are_named() -> None:
    network, core = tiny()
    images = pack(network, core)
    images["layer0.w_g"] = images.pop("layer0.w_f")
    with pytest.raises(UserError, match=r"layer0\.w_f, layer0\.w_g"):
        unpack(images, core)


def test_lanes_without_a_neuron_hold_zero() -> None:
    network, core = tiny()
    wide = CoreParams(network.params, replace(core.hardware, lanes=8))
    assert pack(network, wide)["layer0.w_f"] == [0xFF0301, 0xFE0402]
