"""What may be chosen of the hardware, and what is refused in one line."""

from __future__ import annotations

import re
from typing import Any

import pytest

from golden.errors import UserError
from golden.hardware.core import CoreParams, possible_blocks
from golden.hardware.part import BLOCKS, HardwareParams
from golden.params import LayerParams
from tests.hardware_layers import network


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lanes": 0}, "lanes 0: use a whole number, 1 to 1024"),
        ({"lanes": -1}, "lanes -1: use a whole number, 1 to 1024"),
        ({"lanes": 1025}, "lanes 1025: use a whole number, 1 to 1024"),
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


def test_a_recurrent_layer_has_no_blocks() -> None:
    recurrent = network(LayerParams(3, 4, 2), LayerParams(4, 4, 0, recurrent=True))
    assert possible_blocks(recurrent) == (1,) and CoreParams(recurrent).hardware.block == 1
    assert possible_blocks(network(LayerParams(3, 4, 2))) == BLOCKS
    for block in BLOCKS[1:]:
        message = rf"^block {block} for a recurrent layer, .*: use a block of 1$"
        with pytest.raises(UserError, match=message):
            CoreParams(recurrent, HardwareParams(block=block))


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
