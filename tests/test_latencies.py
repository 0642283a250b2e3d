"""Every component tells its latency, which is what `golden.hardware` says; what each test file of a
component measures in the simulator is the same number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from amaranth.hdl import Fragment
from amaranth.lib import wiring

from golden import registers
from golden.hardware import stages
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.hardware.params import HardwareParams
from golden.params import NEURON_VALUES, LayerParams, NetworkParams
from golden.readout_params import ReadoutParams
from rtl.component import Component
from rtl.core import Core
from rtl.host.axi import AxiCore
from rtl.host.board import BoardCore, Clocking

NETWORKS = {
    "slow states": NetworkParams(
        "slow", (LayerParams(5, 40, 6), LayerParams(40, 12, 3, dilation=2)), ReadoutParams(12, 5)
    ),
    "few groups": NetworkParams("few", (LayerParams(3, 4, 9),), ReadoutParams(4, 2)),
    "own spikes and delays": NetworkParams(
        "own", (LayerParams(40, 9, 0, recurrent=True, max_delay=5),), ReadoutParams(9, 4)
    ),
    "whole neurons": NetworkParams(
        "whole",
        (
            LayerParams(5, 40, 6, synapse=True, own_reset=True, per_neuron=NEURON_VALUES),
            LayerParams(40, 12, 0, synapse=True, reset="none"),
        ),
        ReadoutParams(12, 5, leaky=True, report="max"),
    ),
    "ablated": NetworkParams("ablated", (LayerParams(5, 40, 6),), ReadoutParams(40, 5)),
}
HARDWARE = [HardwareParams(4), HardwareParams(3, block=4, events_per_cycle=2)]
ABLATED = [
    HardwareParams(4, ablations=("no-fusion",)),
    HardwareParams(4, ablations=("shared-datapath", "input-stationary")),
]
REPORTING = [replace(hardware, reports=True) for hardware in HARDWARE]


def components(top: Component) -> Iterator[Component]:
    """Yield a component and all that are in it, once each."""

    def inner(fragment: Any) -> Iterator[Component]:
        for part, _, _ in fragment.subfragments:
            for origin in getattr(part, "origins", None) or ():
                if isinstance(origin, Component):
                    yield origin
            yield from inner(part)

    yield top
    yield from inner(Fragment.get(top, None))


def expected(component: Any) -> int:
    """Return the latency that golden gives a component of `rtl/*.py`."""
    name = type(component).__name__
    part: Any = getattr(component, "part", getattr(component, "layer", None))
    walked = stages.NEURON_STAGE
    if name == "Bank":
        return stages.BANK_LATENCY + component.registered
    if name == "Layer":
        assert isinstance(part, LayerHardware)
        return part.close_latency + 1 + part.write_stage + stages.ENCODER_LATENCY
    if name == "Readout":
        readout = component.readout
        leaky = readout.params.leaky
        written = stages.LEAKY_LOGIT_LATENCY if leaky else stages.LOGIT_LATENCY
        return readout.close_latency + 1 + stages.NEURON_STAGE + written
    if name == "Core":
        return sum(map(expected, (*component.layers, component.readout)))
    found = {
        "Arrivals": lambda: 0,
        "Recurrence": lambda: 0,
        "EventList": lambda: part.close_latency,
        "GroupSchedule": lambda: 1,
        "AblatedSchedule": lambda: 1,
        "AblatedSums": lambda: walked,
        "SpikePath": lambda: walked,
        "StatePath": lambda: walked,
        "OutputWalk": lambda: walked,
        "NeuronStage": lambda: part.write_stage,
        "Synapse": lambda: part.neuron_fold.latency + 1,
        "Snapshots": lambda: component.readout.result_stage + 3,
        "Encoder": lambda: stages.ENCODER_LATENCY,
        "Drive": lambda: stages.DRIVE_LATENCY,
        "SlowState": lambda: part.state_update.latency,
        "DelayLine": lambda: stages.DELAY_LATENCY + part.delay_ring.words + 2,
        "SlotReader": lambda: part.delay_ring.words + 3,
        "Loader": lambda: stages.LOADER_LATENCY,
        "Scalars": lambda: stages.COLLECT_LATENCY + 1,
        "Counters": lambda: stages.STATUS_LATENCY,
        "Queue": lambda: 1 + component.buffered,
    }
    return found[name]()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_component_has_the_latency_that_golden_says(name: str) -> None:
    found: set[str] = set()
    whole = name == "whole neurons"
    for hardware in {"whole neurons": REPORTING, "ablated": ABLATED}.get(name, HARDWARE):
        if hardware.block > 1 and any(layer.recurrent for layer in NETWORKS[name].layers):
            continue
        for component in components(Core(CoreParams(NETWORKS[name], hardware))):
            kind = type(component)
            assert component.latency == expected(component), kind.__name__
            assert component.latency >= 0 and "Latency: " in (kind.__doc__ or "")
            found.add(kind.__name__)
    assert len(found) > 12
    assert whole == ({"Synapse", "Snapshots"} <= found)
    assert (name == "ablated") == ({"AblatedSchedule", "AblatedSums"} <= found)


def test_the_host_adds_what_its_registers_say() -> None:
    core = CoreParams(NETWORKS["few groups"], HARDWARE[0])
    top = AxiCore(core)
    assert top.latency == registers.LATENCY
    for outer in (top, BoardCore(core, Clocking("ulx3s-85f"))):
        for component in components(outer):
            assert isinstance(component.latency, int)


@pytest.mark.parametrize("top", ["core", "axi", "board"])
def test_a_class_names_the_ports_that_its_signature_has(top: str) -> None:
    """So a type checker knows them, and a misspelled one is an error to it. A class may name more,
    which other parameters give it; of what connects components in these cores, each name is one of
    some core.
    """
    core = CoreParams(NETWORKS["own spikes and delays"], REPORTING[0])
    slow = CoreParams(NETWORKS["slow states"], HARDWARE[1])
    whole = CoreParams(NETWORKS["whole neurons"], REPORTING[1])
    ablated = CoreParams(NETWORKS["ablated"], ABLATED[0])
    outer = {
        "core": lambda: [Core(core), Core(slow), Core(whole), Core(ablated)],
        "axi": lambda: [AxiCore(slow)],
        "board": lambda: [BoardCore(slow, Clocking("ulx3s-85f"))],
    }[top]()
    given: dict[Any, set[str]] = {}
    for component in (inner for one in outer for inner in components(one)):
        named: dict[str, str] = {}
        for kind in reversed(type(component).__mro__):
            named |= vars(kind).get("__annotations__", {})
        missing = set(component.signature.members) - set(named)
        traced = {name for name in missing if name.startswith("trace")}  # by the layer's number
        assert missing == (traced if isinstance(component, Core) else set()), component
        for member, of in component.signature.members.items():
            if of.is_signature and hasattr(of.signature, "ports"):
                ports: Any = of.signature.ports  # pyright: ignore
                assert named[member] == ports.__name__
                given.setdefault(ports, set()).update(of.signature.members)
    for ports, members in given.items():
        assert members <= set(ports.__annotations__)
        assert top != "core" or members == set(ports.__annotations__), ports.__name__
        assert issubclass(ports, wiring.PureInterface)
