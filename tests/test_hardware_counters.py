"""Which counters and flags a core has, in their order."""

from __future__ import annotations

from typing import Any

from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.hardware.params import COUNTED, HardwareParams
from golden.hardware.readout import ReadoutHardware
from golden.params import LayerParams, NetworkParams
from golden.readout_params import ReadoutParams
from tests.hardware_layers import GRADED, network


def test_what_a_core_counts() -> None:
    """Flags stay, in the same order; a core without counters has a port for the number of one."""
    network = NetworkParams("some", (LayerParams(9, 4, 2),), ReadoutParams(4, 3))
    cores = {name: CoreParams(network, HardwareParams(counters=name)) for name in COUNTED}
    errors = [
        *(f"layer0.{name}" for name in ("out_of_range", "repeated", "unclosed")),
        *(f"layer0.{name}_saturations" for name in ("drive", "state", "membrane")),
        "readout.logit_saturations",
    ]
    assert {tuple(core.errors) for core in cores.values()} == {tuple(errors)}
    assert cores["errors"].counters == errors and cores["none"].counters == []
    assert set(errors) < set(cores["all"].counters) and cores["all"].counters[0] == "cycles"
    assert [core.counter_bits for core in cores.values()] == [5, 3, 1]


COMMON = [
    "timesteps", "blocks", "busy_cycles", "stall_cycles", "starved_cycles", "input_stall_cycles",
    "events",
]  # fmt: skip
INPUT = ["out_of_range", "repeated", "unclosed"]
OF_A_LAYER = [
    "spikes", "state_wait_cycles", "drive_saturations", "state_saturations",
    "membrane_saturations",
]  # fmt: skip


def test_counters_in_their_order() -> None:
    core = CoreParams(network(LayerParams(3, 4, 3), LayerParams(4, 5, 0)))
    assert core.counters == [
        "cycles",
        *(f"layer0.{name}" for name in COMMON + INPUT + OF_A_LAYER),
        *(f"layer1.{name}" for name in COMMON + OF_A_LAYER),
        *(f"readout.{name}" for name in [*COMMON, "sequences", "logit_saturations"]),
    ]
    errors = [*INPUT, "drive_saturations", "state_saturations", "membrane_saturations"]
    assert core.errors == [
        *(f"layer0.{name}" for name in errors),
        *(f"layer1.{name}" for name in errors[3:]),
        "readout.logit_saturations",
    ]


def test_access_counters() -> None:
    """What a part does not have is not counted."""
    fast = {"list_reads", "list_writes", "w_f_reads", "c_reads", "u_reads", "u_writes"}
    fast |= {"spike_additions", "leak_products"}
    payloads = {"payload_reads", "payload_writes"}
    slow = {"p_reads", "history_reads", "history_writes", "state_products", "w_x_reads"}
    slow |= {"ab_reads", "m_reads", "m_writes", "update_products"}
    counting = HardwareParams(access_counters=True)
    blocks = HardwareParams(block=2, access_counters=True)

    def of(part: Any) -> set[str]:
        assert len(set(part.counters)) == len(part.counters)
        assert part.counters[-len(part.accesses) :] == part.accesses
        return set(part.accesses)

    assert of(LayerHardware(LayerParams(3, 4, 0), counting)) == fast
    assert of(LayerHardware(LayerParams(3, 4, 0, formats=GRADED), counting)) == fast | payloads
    assert of(LayerHardware(LayerParams(3, 4, 2), counting)) == fast | slow
    dilated = LayerHardware(LayerParams(3, 4, 2, 3), blocks)
    assert of(dilated) == fast | payloads | slow | {"h_reads", "h_writes"}
    line = {"delays_reads", "ring_reads", "ring_writes"}
    assert of(LayerHardware(LayerParams(3, 4, 0, max_delay=1), counting)) == fast | line
    delayed = LayerHardware(LayerParams(3, 4, 2, max_delay=1), blocks, external=True)
    assert of(delayed) == fast | payloads | slow | line
    assert {"out_of_range", "repeated", "unclosed"} <= set(delayed.counters)
    readout = {"list_reads", "list_writes", "spike_additions", "w_o_reads", "b_o_reads"}
    readout |= {"logits_reads", "logits_writes"}
    assert of(ReadoutHardware(ReadoutParams(3, 4), counting)) == readout
    assert of(ReadoutHardware(ReadoutParams(3, 4), blocks)) == readout | payloads
    assert LayerHardware(LayerParams(3, 4, 2), HardwareParams()).accesses == ()
