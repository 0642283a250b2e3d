"""Where multipliers lie: each once, parts and units together, what is not known left to nextpnr."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import pytest

from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.params import LayerParams, NetworkParams
from golden.readout_params import ReadoutParams
from rtl.synth.devices import DEVICES
from rtl.synth.dsp_registers import MULTIPLIER
from rtl.synth.floorplan import arrange, multiplier_sites

LAYERS = (LayerParams(9, 16, 3), LayerParams(16, 16, 3))
CORE = CoreParams(NetworkParams("planned", LAYERS, ReadoutParams(16, 4)), HardwareParams(8))


@pytest.mark.parametrize(("size", "count"), [("25k", 28), ("45k", 72), ("85k", 156)])
def test_a_device_has_the_sites_of_its_data_sheet(size: str, count: int) -> None:
    sites = multiplier_sites(DEVICES[f"ecp5-{size}"])
    assert len(set(sites)) == len(sites) == count
    assert [column for column, _, _ in sites] == sorted(column for column, _, _ in sites)


def test_other_devices_have_no_floorplan() -> None:
    with pytest.raises(UserError, match="no floorplan for gowin-gw2a-18"):
        multiplier_sites(DEVICES["gowin-gw2a-18"])


def module_of(signals: list[str]) -> dict[str, Any]:
    """Return a module of Yosys' JSON with a multiplier for every signal, whose name is on its
    second bit.
    """
    cells, nets = {}, {}
    for index, signal in enumerate(signals):
        bits = [10 * index + 2, 10 * index + 3]
        cells[f"cell_{index}"] = {
            "type": MULTIPLIER, "attributes": {}, "connections": {"P0": bits[:1], "P1": bits[1:]},
        }  # fmt: skip
        nets[signal] = {"bits": bits[1:]}
    cells["register"] = {"type": "TRELLIS_FF", "attributes": {}, "connections": {"Q": [3]}}
    return {"cells": cells, "netnames": nets}


@pytest.mark.parametrize("prefix", ["", "core."])
def test_parts_and_units_lie_together(prefix: str) -> None:
    """A unit's lanes and its own multiplier one behind the other, the state update between units,
    the parts in order; a name that is no product is left alone.
    """
    units = CORE.layers[0].neuron_fold.units
    assert 1 < units < CORE.layers[0].lanes
    wanted = []
    for layer in ("layer0", "layer1"):
        for unit in range(units):
            if unit == units // 2:
                wanted += [(layer, "update")] * 2
            wanted += [(layer, unit)] * (1 + 8 // units)
    signals = {
        f"{prefix}{layer}.{name}": (layer, unit)
        for layer in ("layer1", "layer0")
        for name, unit in [
            *((f"state_path.product_0_0_{lane}", lane % units) for lane in reversed(range(8))),
            *((f"neurons.product_{unit}", unit) for unit in range(units)),
            *((f"slow_state.product_{row}", "update") for row in range(2)),
        ]
    }
    module = module_of([*signals, f"{prefix}layer0.drive.values"])
    sites = multiplier_sites(DEVICES["ecp5-45k"])
    assert arrange(module, CORE, sites) == len(signals)
    names = {f"X{x}/Y{y}/MULT18_{z}": (x, y, z) for x, y, z in sites}
    cells = list(module["cells"].values())
    placed = sorted(
        (names[cell["attributes"]["BEL"]], signals[signal])
        for cell, signal in zip(cells, signals, strict=False)
    )
    assert [who for _, who in placed] == wanted
    assert len(list(groupby(who for _, who in placed))) == 2 * (units + 1)
    at = [sites.index(site) for site, _ in placed]
    assert at == [*range(at[0], at[0] + len(at))]
    assert abs(at[0] - (len(sites) - 1 - at[-1])) <= 1, "in the middle of the device"
    assert all("BEL" not in cell["attributes"] for cell in cells[len(signals) :])


def test_a_drive_has_one_product() -> None:
    module = module_of(["layer1.drive.product", "layer0.spike_path.product_1_0_7"])
    assert arrange(module, CORE, multiplier_sites(DEVICES["ecp5-25k"])) == 2
    bels = [module["cells"][f"cell_{i}"]["attributes"]["BEL"] for i in range(2)]
    assert len(set(bels)) == 2


def test_more_multipliers_than_sites_are_left_to_nextpnr() -> None:
    module = module_of([f"layer0.state_path.product_0_0_{lane}" for lane in range(8)])
    assert arrange(module, CORE, multiplier_sites(DEVICES["ecp5-25k"])[:5]) == 5
