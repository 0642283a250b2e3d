"""The verification plan: for each feature of a core its names, where it is specified, and the tests
that hold it. `python -m docs.generate` writes it into `docs/verification.md`; a test checks that no
parameter, counter, flag or register is missing, and that every test exists.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from docs.blocks import table

TESTS = Path(__file__).parents[1] / "tests"


@dataclass(frozen=True)
class Feature:
    """A row of the plan.

    Attributes
    ----------
    names
        Of parameters (`golden.params`, `golden.hardware.params`), counters and registers.
    page
        Where it is specified: a page, and maybe a section.
    component, core
        Tests, without `test_`, that drive the component against golden, or the whole core.
    """

    what: str
    names: tuple[str, ...]
    page: str
    component: tuple[str, ...]
    core: tuple[str, ...]


PLAN = (
    Feature(
        "Formats, rounding and saturation of every value",
        ("payload", "w_f", "w_x", "p", "a", "m", "x", "u", "leak", "bias_width",
         "drive_bias_width", "y", "alpha", "synapse_bias_width", "w_o", "logit_width",
         "decay_rounding", "drive_saturations", "state_saturations", "membrane_saturations",
         "synapse_saturations", "logit_saturations"),
        "equations.md#formats",
        ("formats", "fixed", "integer_steps", "integer_drawn"),
        ("core", "core_cosim"),
    ),
    Feature(
        "Sizes: layers, inputs, neurons, classes", ("layers", "n_inputs", "n_neurons", "n_classes"),
        "networks.md#a-network-of-your-own", ("params", "hardware_memories"), ("core", "wide_core"),
    ),
    Feature(
        "Sums of spikes, E events a cycle",
        ("events_per_cycle", "spike_additions", "w_f_reads", "w_o_reads"),
        "architecture.md#a-timestep-through-a-layer", ("spike_path",), ("core", "core_cosim"),
    ),
    Feature(
        "Graded inputs, on own or shared multipliers", ("graded",), "hardware.md",
        ("spike_path", "state_path", "event_list"), ("core", "hardware_choices"),
    ),
    Feature(
        "The dense path: P with slow states, K products a cycle",
        ("products_per_cycle", "p_reads", "state_products", "history_reads"),
        "architecture.md#the-slow-state", ("state_path", "lut_products"), ("core", "core_cosim"),
    ),
    Feature(
        "The slow state: its drive, its update, its dilation, its history",
        ("n_state", "dilation", "w_x_reads", "ab_reads", "m_reads", "m_writes", "history_writes",
         "update_products", "state_wait_cycles"),
        "architecture.md#the-slow-state", ("drive", "slow_state"), ("core", "core_cosim"),
    ),
    Feature(
        "Membranes: leak, bias, threshold, reset to zero, by subtraction, to a value",
        ("reset", "own_reset", "per_neuron", "u_reads", "u_writes", "c_reads", "leak_reads",
         "threshold_reads", "reset_reads", "h_reads", "h_writes", "leak_products", "spikes"),
        "equations.md#in-integers", ("neuron_stage",), ("core", "core_cosim"),
    ),
    Feature(
        "Synaptic currents",
        ("synapse", "y_reads", "y_writes", "alpha_reads", "c_y_reads", "synapse_products"),
        "equations.md#in-integers", ("synapse",), ("core", "core_cosim"),
    ),
    Feature(
        "Own spikes of recurrent layers", ("recurrent",), "architecture.md#recurrent-layers",
        ("recurrence", "event_list"), ("core", "core_cosim"),
    ),
    Feature(
        "Delays of inputs", ("max_delay", "delays_reads", "ring_reads", "ring_writes"),
        "architecture.md#delays", ("delay_line", "slot_reader"), ("core", "core_cosim"),
    ),
    Feature(
        "T timesteps at once, partial blocks", ("block", "blocks", "timesteps"),
        "architecture.md#lanes-groups-blocks", ("arrivals", "event_list", "group_schedule"),
        ("core", "core_cosim", "sequences"),
    ),
    Feature(
        "L lanes, one number for all or one a part", ("lanes",), "hardware.md",
        ("hardware_choices", "hardware_schedule"), ("core", "wide_core"),
    ),
    Feature(
        "The readout: sums, leak, maximum over time, which class is best",
        ("output", "leaky", "report", "sequences", "b_o_reads", "logits_reads", "logits_writes",
         "peaks_reads", "peaks_writes"),
        "equations.md#in-integers", ("readout", "outputs"), ("core", "mnist"),
    ),
    Feature(
        "Results within a sequence", ("reports",), "interface.md#reports",
        ("snapshots", "arrivals"), ("reports", "axi_reports"),
    ),
    Feature(
        "Spikes that leave a core without a readout", (), "interface.md#spikes-out",
        ("spike_output", "output_walk"), ("spikes_out", "spikes_cosim", "chain"),
    ),
    Feature(
        "Spikes from a layer to the next: encoder, links of W items, list buffers",
        ("link_items", "list_buffers", "stall_cycles", "list_reads", "list_writes",
         "payload_reads", "payload_writes"),
        "architecture.md#nothing-is-dropped", ("encoder", "event_list"),
        ("wide_links", "core_cosim"),
    ),
    Feature(
        "Several events a cycle at the core's input", ("input_items",), "interface.md#streams",
        ("event_list",), ("wide_input",),
    ),
    Feature(
        "What comes from outside and is wrong: address, kind, a second event, no end of timestep",
        ("out_of_range", "repeated", "unclosed"), "interface.md#streams",
        ("arrivals", "event_list"), ("sequences", "axi_events", "driver"),
    ),
    Feature(
        "Counters and flags of errors, which of them a core has",
        ("counters", "access_counters", "cycles", "events", "ERROR", "COUNTER", "COUNTERS",
         "ERROR_FLAGS"),
        "interface.md#counters", ("counters", "hardware_counters"), ("core", "register_file"),
    ),
    Feature(
        "Every cycle is predicted: starts, ends, waits",
        ("busy_cycles", "starved_cycles", "input_stall_cycles"),
        "architecture.md#the-group-schedule", ("group_schedule", "cycles", "latencies"),
        ("timeline", "cycle_trace", "core_cosim"),
    ),
    Feature(
        "Memories: loading, segments, what is packed where", ("segment_words",),
        "interface.md#memories", ("loader", "bank", "scalars", "images"), ("core", "netlist"),
    ),
    Feature(
        "Trace ports, registers that hold, for a chip", ("trace", "hold_operands"),
        "hardware.md#area-and-clock", ("neuron_stage", "state_path"), ("core_cosim", "energy"),
    ),
    Feature(
        "Ablations", ("ablations", "state_first"), "hardware.md#ablations", ("ablations",),
        ("ablations",),
    ),
    Feature(
        "The standard top: registers, event words, results, several cores in a row",
        ("name", "ID", "VERSION", "SHAPE", "CONTROL", "STATUS", "LOAD_HEADER", "LOAD_DATA",
         "INPUTS", "CLASSES", "LAYERS", "LANES", "BLOCK", "EVENTS_PER_CYCLE",
         "PRODUCTS_PER_CYCLE", "PAYLOAD_WIDTH", "LOGIT_WIDTH", "MEMORIES"),
        "integration.md#registers",
        ("register_file", "axi_lite", "axi_events", "axi_results", "axi_spikes",
         "stream_register"),
        ("axi", "axi_chain", "driver", "integration_page"),
    ),
    Feature(
        "The UART of a board", (), "integration.md#ulx3s",
        ("uart", "uart_bridge", "uart_protocol", "pll"), ("board", "driver_uart"),
    ),
)  # fmt: skip


def names() -> list[str]:
    """Return the names of all rows."""
    return [name for feature in PLAN for name in feature.names]


def count(test: str) -> tuple[int, int]:
    """Return how many test functions a file has in `make test`, and more in `make test-long`."""
    tree = ast.parse((TESTS / f"test_{test}.py").read_text())
    found = [node for node in tree.body if getattr(node, "name", "").startswith("test_")]
    long = sum("mark.long" in "".join(map(ast.unparse, node.decorator_list)) for node in found)  # type: ignore[attr-defined]
    return len(found) - long, long


def plan() -> str:
    """Return the plan, a feature a row."""

    def listed(tests: tuple[str, ...]) -> str:
        return ", ".join(f"`{test}`" for test in tests)

    rows = [
        [
            f"[{feature.what}]({feature.page})",
            ", ".join(f"`{name}`" for name in feature.names),
            listed(feature.component),
            listed(feature.core),
        ]
        for feature in PLAN
    ]
    head = ["Feature", "Parameters, counters, registers", "Tests of components", "Of a whole core"]
    return table(head, rows)
