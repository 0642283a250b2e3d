"""Hold what a core did against the golden model: every value of every timestep, and every
counter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from export.images import unpack
from export.items import to_items
from golden.cost.cycles import accesses, block_cycles, dropped_events
from golden.cost.timeline import Timeline
from golden.hardware.core import CoreParams
from golden.hardware.counters import COUNTER_WIDTH
from golden.integer import run
from golden.runs import LayerRun, Run
from tb.simulate import IncompleteTrace, LayerTrace, Simulation

CHUNK = 20  # sequences compared at a time: their traces are held in memory
COUNTER_MODULUS = 1 << COUNTER_WIDTH
NOT_PREDICTED = (  # depend on when the outside gives and takes
    "cycles", "stall_cycles", "starved_cycles", "input_stall_cycles", "state_wait_cycles",
)  # fmt: skip


@dataclass
class Comparison:
    """How many values were held against the golden ones, and where they differ.

    `first` locates the first mismatch of each kind in words. As the golden model counts them:
    `events` has the events (B, K) that each layer received, then those that the last one sent;
    `addresses` the distinct addresses (B, blocks); `accesses` what every memory and path did, by
    the names of access counters; `timeline` when every part does what, if the streams had no gaps.
    """

    values_compared: int = 0
    mismatches: int = 0
    first: list[str] = field(default_factory=list)
    events: list[np.ndarray] = field(default_factory=list)
    addresses: list[np.ndarray] = field(default_factory=list)
    accesses: dict[str, int] = field(default_factory=dict)
    timeline: Timeline | None = None

    def add(
        self,
        what: str,
        expected: np.ndarray,
        found: np.ndarray,
        axes: tuple[str, ...],
        offset: int = 0,
    ) -> None:
        """Compare two arrays of one shape; `axes` name their axes, the first of which starts at
        `offset`.
        """
        self.values_compared += expected.size
        wrong = expected != found
        count = int(np.count_nonzero(wrong))
        if not count:
            return
        self.mismatches += count
        place = tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), wrong.shape))
        if not any(line.startswith(what) for line in self.first):
            named = ", ".join(
                f"{axis} {i + offset * (n == 0)}"
                for n, (axis, i) in enumerate(zip(axes, place, strict=True))
            )
            self.first.append(
                f"{what} at {named}: expected {int(expected[place])}, found {int(found[place])}"
            )

    def fail(self, what: str) -> None:
        """Count one mismatch that is not between two values."""
        self.mismatches += 1
        self.first.append(what)


def compare(
    simulation: Simulation,
    payloads: np.ndarray,
    *,
    counted: Mapping[str, int] | None = None,
    progress: Callable[[int], object] = lambda n: None,
) -> Comparison:
    """Compare a simulation of payloads (B, K, M) with the golden run of the weights unpacked from
    the images.

    Compared are the logits and classes, also those of reports, or the spikes that left, in order,
    with the ends of timesteps and sequences among them; every counter but those of waiting
    (busy cycles and accesses as `golden.cost.cycles` predicts them), and the error flags; with
    trace ports the spikes, membranes, synaptic currents, slow state and drive of every layer at
    every timestep; and without gaps on the streams the cycle of every sequence's, and every
    report's, last result, or of each of these ends, and with trace ports that in which every part
    starts every block of timesteps.

    Parameters
    ----------
    counted
        What some counters must have counted instead, where the input was not valid.
    progress
        Called with the number of sequences compared since its last call.
    """
    core = simulation.core
    network = unpack(simulation.images, core)
    comparison = Comparison()
    runs = []
    timed = simulation.stalls_seed is None
    for first in range(0, len(payloads), CHUNK):
        chunk = payloads[first : first + CHUNK]
        traced = core.hardware.trace or timed or core.network.output is None
        golden = run(
            network,
            chunk,
            block=core.hardware.block,
            reports=simulation.reports,
            trace=traced,
        )
        runs.append(golden)
        stop = first + len(chunk)
        if core.network.output is None:
            _compare_sent(comparison, golden, simulation.sent[first:stop], first)
        else:
            _compare_results(comparison, golden, simulation, first)
        for index, layer in enumerate(golden.layers):
            if core.hardware.trace:
                try:
                    trace = simulation.layer(index, first, len(chunk))
                except IncompleteTrace as error:
                    comparison.fail(str(error))
                else:
                    _compare_layer(comparison, f"layer{index}", layer, trace, first)
            layer.keep_only_spikes()
        progress(len(chunk))
    for index in range(len(core.layers)):
        of_layer = [golden.layers[index] for golden in runs]
        comparison.events.append(np.concatenate([layer.events for layer in of_layer]))
        comparison.addresses.append(np.concatenate([layer.addresses for layer in of_layer]))
    comparison.events.append(np.concatenate([golden.layers[-1].spike_counts for golden in runs]))
    comparison.addresses.append(np.concatenate([golden.readout_addresses for golden in runs]))
    comparison.accesses = _totals([accesses(core, golden) for golden in runs])
    if timed:
        _compare_cycles(comparison, simulation, payloads, runs)
    expected = _totals([expected_counters(core, golden) for golden in runs])
    expected |= dict(counted or {})
    for name, value in expected.items():
        comparison.add(
            f"counter {name}",
            np.array([value % COUNTER_MODULUS]),
            np.array([simulation.counters[name]]),
            ("place",),
        )
    set_ = _totals([expected_errors(core, golden) for golden in runs]) | expected
    for name, flag in simulation.errors.items():
        comparison.add(
            f"error flag {name}", np.array([set_[name] > 0]), np.array([flag]), ("place",)
        )
    return comparison


def _compare_sent(
    comparison: Comparison, golden: Run, sent: Sequence[np.ndarray], first: int
) -> None:
    """Compare the items that left a core without a readout, of sequences from `first` on."""
    spikes = golden.layers[-1].spikes
    assert spikes is not None
    for sequence, (fired, found) in enumerate(zip(spikes, sent, strict=True), first):
        expected = to_items(fired[None].astype(np.int64))
        due, came = np.array([len(expected)]), np.array([len(found)])
        comparison.add("items sent", due, came, ("sequence",), sequence)
        both = min(len(expected), len(found))
        for index, name in enumerate(("kind", "address", "payload")):
            due, came = expected[None, :both, index], found[None, :both, index]
            comparison.add(f"{name} sent", due, came, ("sequence", "item"), sequence)


def _compare_results(
    comparison: Comparison, golden: Run, simulation: Simulation, first: int
) -> None:
    """Compare the results of sequences from `first` on, and of their reports."""
    place, stop = ("sequence", "report"), first + len(golden.reports)
    logits, classes = simulation.logits[first:stop], simulation.classes[first:stop]
    comparison.add("logits", golden.logits, logits, ("sequence", "class"), first)
    comparison.add("class", golden.classes, classes, ("sequence",), first)
    logits, classes = simulation.report_logits[first:stop], simulation.report_classes[first:stop]
    comparison.add("reported logits", golden.reports, logits, (*place, "class"), first)
    comparison.add("reported class", golden.reports.argmax(2), classes, place, first)


def _compare_layer(
    comparison: Comparison, where: str, golden: LayerRun, trace: LayerTrace, first: int
) -> None:
    steps = ("sequence", "timestep")
    assert golden.spikes is not None and golden.membrane is not None
    assert golden.state is not None and golden.drive is not None and golden.synapse is not None
    comparison.add(f"{where} spikes", golden.spikes, trace.spikes, (*steps, "neuron"), first)
    comparison.add(f"{where} membrane", golden.membrane, trace.membrane, (*steps, "neuron"), first)
    if golden.synapse.shape[-1]:
        comparison.add(f"{where} synapse", golden.synapse, trace.synapse, (*steps, "neuron"), first)
    if golden.state.shape[-1]:
        comparison.add(f"{where} slow state", golden.state, trace.state, (*steps, "row"), first)
        comparison.add(f"{where} drive", golden.drive, trace.drive, steps, first)


def _totals(counts: list[dict[str, np.ndarray]]) -> dict[str, int]:
    """Return the sum of each count over all sequences."""
    return {name: sum(int(count[name].sum()) for count in counts) for name in counts[0]}


def _compare_cycles(
    comparison: Comparison, simulation: Simulation, payloads: np.ndarray, runs: list[Run]
) -> None:
    """Compare the cycles in which blocks start, and timesteps and sequences end: input always
    waited, and what was sent was always taken.
    """
    core, layers = simulation.core, []
    for index, addresses in enumerate(comparison.addresses[:-1]):
        of_layer = [golden.layers[index] for golden in runs]
        spikes = np.concatenate([layer.spikes for layer in of_layer if layer.spikes is not None])
        delayed = [layer.delayed for layer in of_layer if layer.delayed is not None]
        layers.append(
            replace(
                of_layer[0],
                addresses=addresses,
                spikes=spikes,
                spike_counts=spikes.sum(2),
                delayed=np.concatenate(delayed) if delayed else None,
            )
        )
    timeline = comparison.timeline = Timeline(core, payloads, layers, simulation.reports)
    ends = timeline.ends + simulation.first_cycle
    what = "result" if core.network.output is not None else "end"
    comparison.add(f"{what} cycle", ends, simulation.result_cycles, ("sequence",))
    left = timeline.timestep_ends + simulation.first_cycle
    place = "sequence", "timestep"
    comparison.add("end cycle of a timestep", left, simulation.timestep_cycles, place)
    sent = timeline.report_ends + simulation.first_cycle
    comparison.add("report cycle", sent, simulation.report_cycles, ("sequence", "report"))
    if not core.hardware.trace:
        return
    starts = timeline.starts + simulation.first_cycle
    for part, cycles in zip(core.parts, starts, strict=True):
        try:
            found = simulation.starts(part)
        except IncompleteTrace as error:
            comparison.fail(str(error))
        else:
            comparison.add(f"{part} start cycle", cycles, found, ("sequence", "block"))


def expected_counters(core: CoreParams, golden: Run) -> dict[str, np.ndarray]:
    """Return what every counter of a core that can be predicted counts in each sequence (B,) of a
    golden run with the core's block.
    """
    countable = _expected_of_all(core, golden)
    return {name: countable[name] for name in core.counters if name in countable}


def expected_errors(core: CoreParams, golden: Run) -> dict[str, np.ndarray]:
    """Return how often each flag of a core is set in each sequence (B,) of a golden run."""
    countable = _expected_of_all(core, golden)
    return {name: countable[name] for name in core.errors}


def _expected_of_all(core: CoreParams, golden: Run) -> dict[str, np.ndarray]:
    """What counters would count, also those that a core does without."""
    n_sequences, n_timesteps = golden.layers[0].events.shape
    none = np.zeros(n_sequences, np.int64)
    names = [*core.counters, *core.errors]
    counters = {name: none for name in names if name.split(".")[-1] not in NOT_PREDICTED}
    received = [*(layer.addresses for layer in golden.layers), golden.readout_addresses]
    dropped = dropped_events(core, golden)
    # Without a readout, what the last layer sent comes to no part.
    parts = zip(core.parts.items(), received, dropped, strict=False)
    for (name, part), addresses, only_dropped in parts:
        counters |= {
            f"{name}.timesteps": none + n_timesteps,
            f"{name}.blocks": none + addresses.shape[1],
            f"{name}.busy_cycles": block_cycles(part, addresses, golden.lengths).sum(1),
            f"{name}.events": addresses.sum(1) + only_dropped,
        }
    for index, did in enumerate(golden.layers):
        counters |= {
            f"layer{index}.spikes": did.spike_counts.sum(1),
            f"layer{index}.drive_saturations": did.drive_saturations,
            f"layer{index}.state_saturations": did.state_saturations,
            f"layer{index}.membrane_saturations": did.membrane_saturations,
        }
        if core.layers[index].params.synapse:
            counters[f"layer{index}.synapse_saturations"] = did.synapse_saturations
    if core.hardware.reports:
        counters["readout.reports"] = none + golden.reports.shape[1]
    if core.hardware.access_counters:
        counters |= accesses(core, golden)
    if core.layers[0].by_timesteps:  # an address comes once in each, between the parts in a block
        counters["layer0.events"] = golden.layers[0].events.sum(1) + dropped[0]
    if core.network.output is not None:
        counters |= {
            "readout.sequences": none + 1,
            "readout.logit_saturations": golden.logit_saturations,
        }
    return counters
