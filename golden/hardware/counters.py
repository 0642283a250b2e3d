"""The names of a core's counters. Each part has the common ones, and those of its kind."""

from __future__ import annotations

from golden.hardware.memory import address_width

COUNTER_WIDTH = 32  # counters wrap around

COMMON_COUNTERS = (
    "timesteps", "blocks", "busy_cycles", "stall_cycles", "starved_cycles", "input_stall_cycles",
    "events",
)  # fmt: skip
INPUT_COUNTERS = ("out_of_range", "repeated", "unclosed")  # of the part that the outside feeds
LAYER_COUNTERS = (
    "spikes", "state_wait_cycles", "drive_saturations", "state_saturations",
    "membrane_saturations",
)  # fmt: skip
SYNAPSE_COUNTERS = ("synapse_saturations",)  # of a layer with a synaptic current
READOUT_COUNTERS = ("sequences", "logit_saturations")
REPORT_COUNTERS = ("reports",)  # of a readout that reports
ERROR_COUNTERS = (  # these counters also have a sticky flag
    "out_of_range", "repeated", "unclosed",
    "drive_saturations", "state_saturations", "synapse_saturations", "membrane_saturations",
    "logit_saturations",
)  # fmt: skip


def counter_bits(n_counters: int) -> int:
    """Return the bits of the number of a counter: one also where there is none."""
    return address_width(max(1, n_counters))
