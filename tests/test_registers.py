"""The register map: no two registers in one place, and what its numbers are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from export.store import load_network
from golden.errors import UserError
from golden.formats import Fixed
from golden.hardware.core import CoreParams
from golden.hardware.memory import LOAD_WIDTH, load_header
from golden.hardware.params import HardwareParams
from golden.params import LayerFormats, LayerParams, NetworkParams
from golden.readout_params import ReadoutParams
from golden.registers import (
    ADDRESS_WIDTH,
    BUS_WIDTH,
    EVENT_WORD,
    LOAD_HEADER_WORD,
    REPORTING_EVENT_WORD,
    event_word,
    pack_word,
    register_map,
    shape_word,
)

NETWORK = NetworkParams(
    "mapped", (LayerParams(3, 13, 2), LayerParams(13, 5, 0)), ReadoutParams(5, 4)
)
CORE = CoreParams(NETWORK, HardwareParams(2, block=4))
# What drivers are built on: it may only change together with the version's high half.
OFFSETS = {
    "ID": 0x00, "VERSION": 0x04, "SHAPE": 0x08, "CONTROL": 0x0C, "STATUS": 0x10,
    "LOAD_HEADER": 0x14, "LOAD_DATA": 0x18, "INPUTS": 0x20, "CLASSES": 0x24, "LAYERS": 0x28,
    "LANES": 0x2C, "BLOCK": 0x30, "EVENTS_PER_CYCLE": 0x34, "PRODUCTS_PER_CYCLE": 0x38,
    "PAYLOAD_WIDTH": 0x3C, "LOGIT_WIDTH": 0x40, "MEMORIES": 0x44, "COUNTERS": 0x48,
    "ERROR_FLAGS": 0x4C, "ERROR": 0x80, "COUNTER": 0x1000,
}  # fmt: skip


def test_addresses_are_the_published_ones_and_apart() -> None:
    registers = register_map(CORE)
    assert {name: r.offset for name, r in registers.items()} == OFFSETS
    assert registers["VERSION"].value == 1 << 16 | 1
    used = [address for r in registers.values() for address in r.words]
    assert used == sorted(set(used)) and used[-1] < 1 << ADDRESS_WIDTH
    assert len(registers["COUNTER"].words) == len(CORE.counters)
    layouts = [
        EVENT_WORD,
        REPORTING_EVENT_WORD,
        *(register.bits for register in registers.values()),
    ]
    for layout in layouts:
        places = [bit for bits in layout for bit in range(bits.low, bits.low + bits.width)]
        assert places == sorted(set(places)) and all(place < BUS_WIDTH for place in places)
    values = {name: r.value for name, r in registers.items()}
    assert (values["INPUTS"], values["CLASSES"], values["LAYERS"]) == (3, 4, 2)
    assert (values["LANES"], values["BLOCK"], values["LOGIT_WIDTH"]) == (2, 4, 32)
    assert values["MEMORIES"] == len(CORE.memories) and values["ERROR_FLAGS"] == len(CORE.errors)


def test_words_have_their_fields_where_they_are_told() -> None:
    assert pack_word(EVENT_WORD, address=5, payload=3) == 5 | 3 << 16
    assert pack_word(EVENT_WORD, end_timestep=1, end_sequence=1) == 3 << 30
    assert pack_word(LOAD_HEADER_WORD, memory=7, address=9) == load_header(7, 9)
    for word in (EVENT_WORD, REPORTING_EVENT_WORD):
        assert sum(bits.mask for bits in word) == (1 << BUS_WIDTH) - 1 == (1 << LOAD_WIDTH) - 1
    assert pack_word(REPORTING_EVENT_WORD, report=1, payload=8191) == 1 << 29 | 8191 << 16
    assert event_word(CORE) == EVENT_WORD
    reporting = replace(CORE, hardware=replace(CORE.hardware, reports=True))
    assert event_word(reporting) == REPORTING_EVENT_WORD
    with pytest.raises(UserError, match="payload is 16384: use 0 to 16383"):
        pack_word(EVENT_WORD, payload=1 << 14)


def test_the_shape_is_that_of_all_but_names_weights_and_traces() -> None:
    def shape(network: NetworkParams = NETWORK, **changed: int) -> int:
        return shape_word(CoreParams(network, replace(CORE.hardware, **changed)))

    assert shape() == shape(replace(NETWORK, name="other")) == shape(trace=True)
    second = replace(NETWORK.layers[1], formats=LayerFormats(u=Fixed(16, 9)))
    others = [
        shape(lanes=3),
        shape(access_counters=True),
        shape(replace(NETWORK, layers=(NETWORK.layers[0], second))),
    ]
    assert len({shape(), *others}) == 4


def test_the_shape_is_that_of_earlier_versions_where_no_later_option_is_used() -> None:
    """What the top of a shipped network says since version 1.0 of the map; each option that came
    later changes it.
    """
    network = load_network("rows").params
    hardware = HardwareParams(8)
    assert shape_word(CoreParams(network, hardware)) == 0xBDFBFC40
    first = network.layers[0]
    changed = [
        replace(first, own_reset=True),
        replace(first, synapse=True),
        replace(first, per_neuron=("leak",)),
        replace(first, decay_rounding="toward_zero"),
        replace(first, formats=replace(first.formats, y=Fixed(16, 9))),
        replace(first, formats=replace(first.formats, alpha=Fixed(13, 12, signed=False))),
        replace(first, formats=replace(first.formats, synapse_bias_width=17)),
    ]
    readouts = [
        replace(network.readout, leaky=True),
        replace(network.readout, leak=Fixed(13, 12, signed=False)),
        replace(network.readout, decay_rounding="toward_zero"),
        replace(network.readout, report="max"),
    ]
    networks = [replace(network, layers=(layer, network.layers[1])) for layer in changed]
    networks += [replace(network, output=readout) for readout in readouts]
    turned = [
        replace(hardware, reports=True),
        replace(hardware, segment_words=64),
        replace(hardware, counters="none"),
        replace(hardware, hold_operands=True),
        replace(hardware, graded="shared"),
        replace(hardware, list_buffers=6),
        replace(hardware, events_per_cycle=2),
        replace(hardware, events_per_cycle=2, link_items=2),
        replace(hardware, events_per_cycle=2, input_items=2),
    ]
    shapes = {shape_word(CoreParams(network, other)) for other in turned}
    shapes |= {shape_word(CoreParams(other, hardware)) for other in networks}
    assert len(shapes - {0xBDFBFC40}) == 20


def test_what_has_no_room_is_named() -> None:
    wide = LayerFormats(payload=Fixed(15, signed=False))
    network = replace(NETWORK, layers=(replace(NETWORK.layers[0], formats=wide), NETWORK.layers[1]))
    with pytest.raises(UserError, match="payloads of 15 bits: the AXI top takes at most 14"):
        register_map(CoreParams(network))
    wide = LayerFormats(payload=Fixed(14, signed=False))
    network = replace(NETWORK, layers=(replace(NETWORK.layers[0], formats=wide), NETWORK.layers[1]))
    register_map(CoreParams(network))
    with pytest.raises(UserError, match="14 bits: the AXI top of a core with reports takes at mo"):
        register_map(CoreParams(network, HardwareParams(reports=True)))
    with pytest.raises(UserError, match="^input_items 2: the AXI top and a board take one event a"):
        register_map(CoreParams(NETWORK, HardwareParams(events_per_cycle=2, input_items=2)))
    network = replace(NETWORK, output=ReadoutParams(5, 4, logit_width=33))
    with pytest.raises(UserError, match="logits of 33 bits: the AXI top sends at most 32"):
        register_map(CoreParams(network))
