"""Event words and result words, against a decoder and an encoder of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.words import check_reports, decode, encode
from export.store import load_network
from golden.errors import UserError
from golden.formats import Fixed
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.params import NetworkParams
from tests.networks import draw_network


def make_core(
    n_inputs: int, payload_width: int, n_classes: int, logit_width: int, *, reports: bool = False
) -> CoreParams:
    params = draw_network(0, max_neurons=5).network.params
    first, *others = params.layers
    payload = Fixed(payload_width, 0, signed=False)
    first = replace(first, n_inputs=n_inputs, formats=replace(first.formats, payload=payload))
    readout = replace(
        params.readout, n_classes=n_classes, logit_width=logit_width, bias_width=logit_width
    )
    network = NetworkParams("any", (first, *others), readout)
    return CoreParams(network, HardwareParams(1, reports=reports))


def read_words(words: np.ndarray, n_inputs: int) -> list[list[int]]:
    """Do what the page of the registers says, a word after another: bits 31 and 30 are the ends,
    29 to 16 the payload, 15 to 0 the input.
    """
    timesteps, current = [], [0] * n_inputs
    for place, word in enumerate(words.tolist()):
        payload, address = word >> 16 & 0x3FFF, word & 0xFFFF
        if payload:
            assert current[address] == 0, "an address twice"
            current[address] = payload
        else:
            assert word & 1 << 30, "a word for nothing"
        if word >> 30 & 1:
            timesteps.append(current)
            current = [0] * n_inputs
        assert (word >> 31) == (place == len(words) - 1)
    assert not any(current)
    return timesteps


@given(st.data(), st.integers(1, 5), st.integers(1, 7), st.sampled_from([1, 8, 14]))
def test_every_sequence_comes_back(
    data: st.DataObject, n_timesteps: int, n_inputs: int, width: int
) -> None:
    values = st.one_of(st.just(0), st.just(0), st.integers(0, (1 << width) - 1))
    row = st.lists(values, min_size=n_inputs, max_size=n_inputs)
    payloads = data.draw(st.lists(row, min_size=n_timesteps, max_size=n_timesteps))
    core = make_core(n_inputs, width, 3, 20)
    words = encode(core, np.array(payloads))
    assert words.dtype == np.uint32
    assert read_words(words, n_inputs) == payloads
    n_words = sum(max(1, np.count_nonzero(row)) for row in payloads)
    assert len(words) == n_words, "silent timesteps take a word, the others one an event"


def test_the_last_input_of_a_wide_core() -> None:
    core = make_core(700, 1, 3, 20)
    payloads = np.zeros((2, 700), np.uint8)
    payloads[0, 699] = 1
    assert encode(core, payloads).tolist() == [1 << 30 | 1 << 16 | 699, 3 << 30]


@pytest.mark.parametrize(
    ("payloads", "message"),
    [
        (np.zeros((2, 4), int), r"a sequence of shape \(2, 4\): use \(timesteps, 3\)"),
        (np.zeros((0, 3), int), r"a sequence of shape \(0, 3\)"),
        (np.zeros((1, 2, 3), int), "a sequence of shape"),
        (np.zeros((1, 3)), "payloads of type float64: use integers"),
        (np.full((1, 3), 256), "a payload reaches from 256 to 256, outside of its format"),
        (np.full((1, 3), -1), "a payload reaches from -1"),
    ],
)
def test_what_is_no_sequence(payloads: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        encode(make_core(3, 8, 3, 20), payloads)


@given(st.data(), st.integers(1, 6), st.sampled_from([12, 13, 31, 32]))
def test_every_packet_comes_back(data: st.DataObject, n_classes: int, width: int) -> None:
    bound = 1 << (width - 1)
    logit = st.one_of(st.integers(-bound, bound - 1), st.sampled_from([-bound, -1, 0, bound - 1]))
    logits = data.draw(st.lists(logit, min_size=n_classes, max_size=n_classes))
    best = data.draw(st.integers(0, n_classes - 1))
    content = b"".join(value.to_bytes(4, "little", signed=True) for value in (*logits, best))
    words = np.frombuffer(content, "<u4")
    last = np.arange(n_classes + 1) == n_classes
    found, class_found = decode(make_core(2, 1, n_classes, width), words, last)
    assert found.tolist() == logits and class_found == best


def test_a_part_of_a_sequence_does_not_end_it() -> None:
    core = make_core(3, 8, 3, 20, reports=True)
    payloads = np.array([[0, 0, 0], [5, 0, 255]])
    whole = encode(core, payloads).tolist()
    assert whole == [1 << 30, 5 << 16, 3 << 30 | 255 << 16 | 2]
    assert encode(core, payloads, ends=False).tolist() == [*whole[:2], whole[2] ^ 1 << 31]
    check_reports(core)
    with pytest.raises(UserError, match="the core of any sends no reports: export it with --rep"):
        check_reports(make_core(3, 8, 3, 20))


def test_a_negative_payload_leaves_the_other_bits_alone() -> None:
    """Also the one that asks for a report, which takes a bit of it."""
    for reports, bits in ((False, 14), (True, 13)):
        core = make_core(3, 8, 3, 20, reports=reports)
        first, *others = core.network.layers
        first = replace(first, formats=replace(first.formats, payload=Fixed(8, 0)))
        core = replace(core, network=replace(core.network, layers=(first, *others)))
        word = 1 << 30 | (-3) % (1 << bits) << 16 | 1
        assert encode(core, np.array([[0, -3, 0]]), ends=False).tolist() == [word]


def test_what_is_no_packet() -> None:
    core = make_core(2, 1, 2, 12)
    good, last = np.array([5, 0xFFFF_F800, 1], np.uint32), np.array([False, False, True])
    assert decode(core, good, last)[0].tolist() == [5, -2048]
    for wrong in ([5, 0x0000_0800, 1], [0xFFFF_F7FF, 0, 1], [5, 0x8000_0001, 1], [5, 5, 2]):
        with pytest.raises(UserError, match="are not 2 logits of 12 bits and a class"):
            decode(core, np.array(wrong, np.uint32), last)
    for flags in ([False, False, False], [True, False, True], [False, True, False]):
        with pytest.raises(UserError, match="2 logits and a class with TLAST are due"):
            decode(core, good, np.array(flags))
    with pytest.raises(UserError, match="2 results with TLAST at"):
        decode(core, good[1:], last[1:])


def test_a_shipped_network_takes_its_largest_pixel() -> None:
    network = load_network("rows")
    core = CoreParams(network.params, HardwareParams(8))
    words = encode(core, np.full((28, 28), 255, np.uint8))
    assert read_words(words, 28) == [[255] * 28] * 28
