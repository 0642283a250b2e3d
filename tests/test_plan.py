"""The verification plan names everything that a core has, and only tests that exist."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace

from docs.generate import DOCS
from docs.plan import PLAN, count, names
from export.store import load_network
from golden.hardware.core import CoreParams
from golden.hardware.counters import REPORT_COUNTERS
from golden.hardware.params import HardwareParams
from golden.params import LayerFormats, LayerParams, NetworkParams
from golden.readout_params import ReadoutParams
from golden.registers import register_map
from tests.network_kinds import DRAWS

PARAMETERS = (NetworkParams, LayerParams, LayerFormats, ReadoutParams, HardwareParams)


def everything() -> set[str]:
    """Return every parameter, and the counters, flags and registers of cores of all kinds."""
    found = {field.name for kind in PARAMETERS for field in fields(kind)} - {"formats"}
    for draw in DRAWS.values():
        for seed in range(12):
            drawn = draw(seed)
            hardware = replace(drawn.hardware, access_counters=True, ablations=())
            core = CoreParams(drawn.network.params, hardware)
            found |= {name.split(".")[-1] for name in (*core.counters, *core.errors)}
    top = CoreParams(load_network("rows").params, HardwareParams(2))
    return found | set(REPORT_COUNTERS) | set(register_map(top))


def test_the_plan_names_everything_once() -> None:
    assert set(names()) == everything()
    assert [name for name, times in Counter(names()).items() if times > 1] == []


def test_the_plan_names_tests_and_places_that_exist() -> None:
    for feature in PLAN:
        assert all(sum(count(test)) > 0 for test in (*feature.component, *feature.core))
        assert any(count(test)[0] > 0 for test in feature.core), "one of them is quick"
        page, _, section = feature.page.partition("#")
        lines = (DOCS / page).read_text().splitlines()
        anchors = {
            line.lstrip("# ").lower().replace(" ", "-").replace(",", "")
            for line in lines
            if line.startswith("#")
        }
        assert not section or section in anchors, feature.page
