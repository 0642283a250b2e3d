"""Hold what a core did against the golden model: every value of every timestep, and every
counter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from export.images import unpack
from golden.cycles import Timeline, timestep_cycles
from golden.hardware import COUNTER_WIDTH, CoreParams
from golden.integer import LayerRun, Run, run
from tb.simulate import IncompleteTrace, LayerTrace, Simulation

CHUNK = 20  # sequences compared at a time: their traces are held in memory
COUNTER_MODULUS = 1 << COUNTER_WIDTH
NOT_PREDICTED = ("cycles", "stall_cycles")  # depend on when the outside gives and takes


@dataclass
class Comparison:
    """How many values were held against the golden ones, and where they differ.

    `first` locates the first mismatch of each kind in words. `events` has the events (B, K) that
    each layer received, then those of the readout, as the golden model counts them.
    """

    values_compared: int = 0
    mismatches: int = 0
    first: list[str] = field(default_factory=list)
    events: list[np.ndarray] = field(default_factory=list)

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

    Compared are the logits, the classes, every counter but those of waiting, the error flags, the
    busy cycles as `golden.cycles` predicts them; with trace ports the spikes, membranes, slow state
    and drive of every layer at every timestep; and without gaps on the streams the cycle in which
    every timestep starts.

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
    for first in range(0, len(payloads), CHUNK):
        chunk = payloads[first : first + CHUNK]
        golden = run(network, chunk, trace=core.hardware.trace)
        runs.append(golden)
        stop = first + len(chunk)
        comparison.add(
            "logits", golden.logits, simulation.logits[first:stop], ("sequence", "class"), first
        )
        comparison.add(
            "class", golden.classes, simulation.classes[first:stop], ("sequence",), first
        )
        for index, layer in enumerate(golden.layers):
            if core.hardware.trace:
                try:
                    trace = simulation.layer(index, first, len(chunk))
                except IncompleteTrace as error:
                    comparison.fail(str(error))
                else:
                    _compare_layer(comparison, f"layer{index}", layer, trace, first)
            layer.membrane = layer.state = layer.drive = None  # only spikes are needed to the end
        progress(len(chunk))
    for index in range(len(core.layers)):
        comparison.events.append(np.concatenate([golden.layers[index].events for golden in runs]))
    comparison.events.append(np.concatenate([golden.layers[-1].spike_counts for golden in runs]))
    if core.hardware.trace and simulation.stalls_seed is None:
        _compare_starts(comparison, simulation, payloads, runs)
    counts = [expected_counters(core, golden) for golden in runs]
    expected = {name: sum(int(count[name].sum()) for count in counts) for name in counts[0]}
    expected |= dict(counted or {})
    for name, value in expected.items():
        comparison.add(
            f"counter {name}",
            np.array([value % COUNTER_MODULUS]),
            np.array([simulation.counters[name]]),
            ("place",),
        )
    for name, flag in simulation.errors.items():
        comparison.add(
            f"error flag {name}", np.array([expected[name] > 0]), np.array([flag]), ("place",)
        )
    return comparison


def _compare_layer(
    comparison: Comparison, where: str, golden: LayerRun, trace: LayerTrace, first: int
) -> None:
    steps = ("sequence", "timestep")
    assert golden.spikes is not None and golden.membrane is not None
    assert golden.state is not None and golden.drive is not None
    comparison.add(f"{where} spikes", golden.spikes, trace.spikes, (*steps, "neuron"), first)
    comparison.add(f"{where} membrane", golden.membrane, trace.membrane, (*steps, "neuron"), first)
    if golden.state.shape[-1]:
        comparison.add(f"{where} slow state", golden.state, trace.state, (*steps, "row"), first)
        comparison.add(f"{where} drive", golden.drive, trace.drive, steps, first)


def _compare_starts(
    comparison: Comparison, simulation: Simulation, payloads: np.ndarray, runs: list[Run]
) -> None:
    """Compare the cycle in which every timestep starts: input always waited and results were always
    taken.
    """
    layers = []
    for index in range(len(simulation.core.layers)):
        parts = [golden.layers[index] for golden in runs]
        spikes = np.concatenate([part.spikes for part in parts if part.spikes is not None])
        counts = np.concatenate([part.spike_counts for part in parts])
        layers.append(
            replace(parts[0], events=comparison.events[index], spike_counts=counts, spikes=spikes)
        )
    predicted = Timeline(simulation.core, payloads, layers).starts + simulation.first_cycle
    for part, cycles in zip(
        [*(f"layer{index}" for index in range(len(layers))), "readout"], predicted, strict=True
    ):
        try:
            comparison.add(
                f"{part} start cycle", cycles, simulation.starts(part), ("sequence", "timestep")
            )
        except IncompleteTrace as error:
            comparison.fail(str(error))


def expected_counters(core: CoreParams, golden: Run) -> dict[str, np.ndarray]:
    """Return what every counter that can be predicted counts in each sequence of a golden run."""
    n_sequences, n_timesteps = golden.layers[0].events.shape
    none = np.zeros(n_sequences, np.int64)
    counters = dict.fromkeys(
        (name for name in core.counters if not name.endswith(NOT_PREDICTED)), none
    )
    for index, (layer, did) in enumerate(zip(core.layers, golden.layers, strict=True)):
        found = {
            "timesteps": none + n_timesteps,
            "busy_cycles": timestep_cycles(layer, did.events).sum(1),
            "events": did.events.sum(1),
            "spikes": did.spike_counts.sum(1),
            "drive_saturations": did.drive_saturations,
            "state_saturations": did.state_saturations,
            "membrane_saturations": did.membrane_saturations,
        }
        counters |= {f"layer{index}.{name}": values for name, values in found.items()}
    received = golden.layers[-1].spike_counts
    return counters | {
        "readout.timesteps": none + n_timesteps,
        "readout.sequences": none + 1,
        "readout.busy_cycles": timestep_cycles(core.readout, received).sum(1),
        "readout.events": received.sum(1),
        "readout.logit_saturations": golden.logit_saturations,
    }
