"""What may be chosen of the hardware, and what is refused in one line."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden.errors import UserError
from golden.hardware.core import CoreParams, possible_blocks
from golden.hardware.params import BLOCKS, HardwareParams
from golden.params import LayerParams
from tests.hardware_layers import GRADED, network


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lanes": 0}, "lanes 0: use a whole number, 1 to 1024"),
        ({"lanes": -1}, "lanes -1: use a whole number, 1 to 1024"),
        ({"lanes": 1025}, "lanes 1025: use a whole number, 1 to 1024"),
        *(({"block": t}, f"block {t}: use 1, 2, 4, 8 or 16 timesteps") for t in (0, 3, 32, -1)),
        *(({"link_items": n}, f"link_items {n}: use 1, 2 or 4") for n in (0, 3, 8)),
        *(({"input_items": n}, f"input_items {n}: use 1, 2 or 4") for n in (0, 3, 8)),
        (
            {"input_items": 2, "block": 4},
            (
                "input_items 2 and block 4: what enters together is of one timestep, so use a block"
                " of 1"
            ),
        ),
        (
            {"input_items": 2, "ablations": ("no-fusion",)},
            "the ablation no-fusion with input_items 2: use 1 of each, and no reports",
        ),
        *(({"list_buffers": n}, f"list_buffers {n}: use 3 or 6") for n in (0, 1, 4, 7)),
        *(({"events_per_cycle": e}, f"events_per_cycle {e}: use 1, 2 or 4") for e in (0, 3, 8)),
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
    assert HardwareParams(256, 16, 4, 8).lanes == 256


@pytest.mark.parametrize(
    ("layer", "hardware", "message"),
    [
        (LayerParams(3, 4, 2), {}, "layer0, which has spikes for inputs: its events take no"),
        (LayerParams(3, 4, 0, formats=GRADED), {}, "layer0, which has no slow state: its events"),
        (
            LayerParams(3, 4, 2, formats=GRADED),
            {"events_per_cycle": 2},
            "2 events and 1 product a cycle of layer0: an event takes the multiplier of a product",
        ),
    ],
)
def test_products_that_cannot_be_shared(
    layer: LayerParams, hardware: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        CoreParams(network(layer), HardwareParams(graded="shared", **hardware))
    assert str(caught.value).startswith("graded shared ") and "\n" not in str(caught.value)


def test_a_recurrent_layer_has_no_blocks() -> None:
    recurrent = network(LayerParams(3, 4, 2), LayerParams(4, 4, 0, recurrent=True))
    assert possible_blocks(recurrent) == (1,) and CoreParams(recurrent).hardware.block == 1
    assert possible_blocks(network(LayerParams(3, 4, 2))) == BLOCKS
    for block in BLOCKS[1:]:
        message = rf"^block {block} for a recurrent layer, .*: use a block of 1$"
        with pytest.raises(UserError, match=message):
            CoreParams(recurrent, HardwareParams(block=block))


WIDE = HardwareParams(4, 1, 2, link_items=2)
WIDE_INPUT = HardwareParams(4, 1, 2, input_items=2)


@pytest.mark.parametrize(
    ("layers", "hardware", "message"),
    [
        (
            [LayerParams(3, 4, 2), LayerParams(4, 4, 0, recurrent=True)],
            WIDE,
            (
                "link_items 2 with own spikes that come back to layer1, one a cycle: use"
                " link_items of 1"
            ),
        ),
        (
            [LayerParams(3, 4, 2), LayerParams(4, 4, 2, max_delay=3)],
            WIDE,
            (
                "link_items 2 with delays before layer1, whose line takes one event a cycle: use"
                " link_items of 1"
            ),
        ),
        (
            [LayerParams(3, 4, 2), LayerParams(4, 4, 2)],
            replace(WIDE, events_per_cycle=1),
            (
                "link_items 2 to layer1, which adds 1 event a cycle: use at most as many items as"
                " events"
            ),
        ),
        (
            [LayerParams(3, 4, 2)],
            replace(WIDE, link_items=4),
            (
                "link_items 4 to readout, which adds 2 events a cycle: use at most as many items as"
                " events"
            ),
        ),
        (
            [LayerParams(3, 4, 0, recurrent=True), LayerParams(4, 4, 2)],
            WIDE_INPUT,
            (
                "input_items 2 with own spikes that come back to layer0, one a cycle: use"
                " input_items of 1"
            ),
        ),
        (
            [LayerParams(3, 4, 2, max_delay=3), LayerParams(4, 4, 2)],
            replace(WIDE_INPUT, link_items=2),
            (
                "input_items 2 with delays before layer0, whose line takes one event a cycle: use"
                " input_items of 1"
            ),
        ),
        (
            [LayerParams(3, 4, 2), LayerParams(4, 4, 2)],
            replace(WIDE_INPUT, input_items=4),
            (
                "input_items 4 to layer0, which adds 2 events a cycle: use at most as many items as"
                " events"
            ),
        ),
        (
            [LayerParams(300, 4, 2, formats=GRADED)],
            replace(WIDE_INPUT, input_items=4, events_per_cycle=4),
            (
                "input_items 4 to layer0 are 70 bits together: at most 64 can enter in a cycle, so"
                " use fewer items"
            ),
        ),
    ],
)
def test_a_link_that_its_ends_cannot_take(
    layers: list[LayerParams], hardware: HardwareParams, message: str
) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        CoreParams(network(*layers), hardware)


def test_what_enters_or_leaves_a_core_is_one_item_a_cycle() -> None:
    """Unless it has a wide input. Delays before the first layer stay possible."""
    layers = LayerParams(3, 4, 2, max_delay=3), LayerParams(4, 5, 0)
    core = CoreParams(network(*layers), WIDE)
    received = [(part.received_items, part.wide) for part in core.parts.values()]
    assert received == [(1, False), (2, True), (2, True)]
    assert [layer.sent_items for layer in core.layers] == [2, 2]
    spiking = CoreParams(replace(network(*layers), output=None), WIDE)
    assert [layer.sent_items for layer in spiking.layers] == [2, 1]


def test_a_wide_input_leaves_links_and_the_output_as_they_are() -> None:
    """Behind it own spikes and delays are possible. Its list has a memory an event, which holds
    whole payloads; drives have a multiplier an event.
    """
    layers = (
        LayerParams(200, 4, 2, formats=GRADED),
        LayerParams(4, 4, 0, recurrent=True),
        LayerParams(4, 5, 0, max_delay=3),
    )
    core = CoreParams(network(*layers), WIDE_INPUT)
    received = [(part.received_items, part.wide) for part in core.parts.values()]
    assert received == [(2, True), (1, False), (1, False), (1, False)]
    assert [layer.sent_items for layer in core.layers] == [1, 1, 1]
    first = core.layers[0]
    assert first.multipliers["drive"] == 2 and first.copies("w_x") == [2]
    lists = {name: (of.depth, of.width) for name, of in first.buffers.items() if "list" in name}
    assert lists == {f"list{n}": (3 << 7, 8 + 8) for n in range(2)}
    assert not any(name.startswith("payloads") for name in first.buffers)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"counters": "some"}, "counters 'some': use all, errors or none"),
        ({"counters": 3}, "counters 3: use all, errors or none"),
        (
            {"counters": "errors", "access_counters": True},
            "access_counters with counters errors: use all, or leave out access_counters",
        ),
        ({"graded": "some"}, "graded 'some': use own or shared"),
        ({"hold_operands": 1}, "hold_operands 1: use True or False"),
    ],
)
def test_what_is_no_choice_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        HardwareParams(**given)


# Numbers of each part


def test_each_part_has_its_own_numbers() -> None:
    params = network(LayerParams(3, 40, 4), LayerParams(40, 30, 0), n_classes=9)
    core = CoreParams(params, HardwareParams((5, 6, 7), 2, (1, 2, 1), (3, 2, 8)))
    turned = [(p.hardware.lanes, p.hardware.events_per_cycle) for p in core.parts.values()]
    assert turned == [(5, 1), (6, 2), (7, 1)]
    assert [part.lanes for part in core.parts.values()] == [5, 6, 7]
    assert [layer.hardware.products_per_cycle for layer in core.layers] == [3, 2]
    assert {part.hardware.block for part in core.parts.values()} == {2}
    assert core.memories["layer0.w_f"].n_lanes == 5 and core.memories["readout.w_o"].n_lanes == 7


def test_spikes_out_have_no_readout_and_no_number() -> None:
    params = replace(network(LayerParams(3, 40, 4), LayerParams(40, 30, 0)), output=None)
    core = CoreParams(params, HardwareParams((5, 6)))
    assert [part.lanes for part in core.parts.values()] == [5, 6]
    with pytest.raises(UserError, match=r"^lanes 5, 6, 7: the network has 2 layers, so use 2 num"):
        CoreParams(params, HardwareParams((5, 6, 7)))


def test_equal_numbers_are_one() -> None:
    assert HardwareParams((4, 4, 4), 1, (2, 2), (3,)) == HardwareParams(4, 1, 2, 3)
    assert HardwareParams((np.int64(4), 5)).lanes == (4, 5)
    assert HardwareParams(4).of_part(7) == HardwareParams(4)
    assert HardwareParams((4, 5), 2).of_part(1) == HardwareParams(5, 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lanes": (4, 0)}, "lanes 0: use a whole number, 1 to 1024"),
        ({"lanes": (4, "5")}, "lanes '5': use a whole number, 1 to 1024"),
        ({"lanes": [4, 5]}, "lanes [4, 5]: use a whole number, 1 to 1024"),
        ({"lanes": ()}, "lanes of no part: use a whole number, or one for each part"),
        ({"products_per_cycle": (1, 9)}, "products_per_cycle 9: use a whole number, 1 to 8"),
        (
            {"events_per_cycle": (1, 2), "ablations": ("no-fusion",)},
            "the ablation no-fusion with events_per_cycle 1, 2: use 1 of each, and no reports",
        ),
    ],
)
def test_numbers_that_no_part_can_have(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        HardwareParams(**given)


@pytest.mark.parametrize("name", ["lanes", "events_per_cycle", "products_per_cycle"])
@pytest.mark.parametrize("given", [(1, 2), (1, 2, 1, 1)])
def test_a_number_for_every_part(name: str, given: tuple[int, ...]) -> None:
    params = network(LayerParams(3, 4, 2), LayerParams(4, 4, 0))
    turned: dict[str, Any] = {name: given}
    hardware = HardwareParams(**turned)
    message = (
        f"{name} {', '.join(map(str, given))}: the network has 2 layers and a readout, so use 3"
        " numbers, or one for all"
    )
    with pytest.raises(UserError, match=f"^{message}$"):
        CoreParams(params, hardware)
