"""What memories of a core did in gates is held against the golden model, and what they move is
counted.
"""

from __future__ import annotations

import numpy as np
import pytest

from energy.accesses import check_accesses, moved_bits, synaptic_operations
from energy.activity import Accesses
from export.store import load_network
from golden.cost.cycles import accesses
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import run


def test_synaptic_operations_are_events_times_neurons() -> None:
    """Whatever the block: of each layer's events at all of its neurons, and of the last spikes at
    all classes.
    """
    network = load_network("rows")
    payloads = np.random.default_rng(0).integers(0, 256, (2, 9, 28))
    spikes = [layer.spike_counts.sum() for layer in run(network, payloads).layers]
    received = [np.count_nonzero(payloads), *spikes]
    sizes = [*network.params.widths[1:], network.params.readout.n_classes]
    expected = sum(int(events) * size for events, size in zip(received, sizes, strict=True))
    for block in (1, 4):
        core = CoreParams(network.params, HardwareParams(4, block))
        assert synaptic_operations(core, run(network, payloads, block=block)) == expected


def test_sums_in_memories_move_once_in_and_once_out() -> None:
    """Of each group in each timestep: those of the columns, and where there are events, theirs."""
    network = load_network("spoken")
    done = run(network, np.random.default_rng(0).integers(0, 2, (1, 4, 140)) * [[[1], [0]] * 2])
    full = CoreParams(network.params, HardwareParams(64))
    stored = CoreParams(network.params, HardwareParams(64, ablations=("no-fusion",)))
    timesteps = [np.count_nonzero(layer.addresses) for layer in done.layers]
    assert timesteps[0] == 2
    expected = sum(
        2 * 2 * 64 * (4 * layer.sums["currents"].width + count * layer.sums["sums"].width)
        for layer, count in zip(stored.layers, timesteps, strict=True)
    )
    assert moved_bits(stored, done) - moved_bits(full, done) == expected


def test_accesses_are_those_of_the_golden_model() -> None:
    network = load_network("rows")
    core = CoreParams(network.params, HardwareParams(4))
    payloads = np.random.default_rng(0).integers(0, 256, (2, 5, 28))
    done = run(network, payloads, block=1)
    golden = {name: int(count.sum()) for name, count in accesses(core, done).items()}
    found = {
        "layer0.spike_path.weights.words_0": Accesses(golden["layer0.w_f_reads"] - 7, 0, 0),
        "layer0.spike_path.weights.words_1": Accesses(7, 0, 0),
        "layer0.slow_state.values": Accesses(
            golden["layer0.m_reads"], golden["layer0.m_writes"], 0
        ),
        "layer0.something": Accesses(3, 3, 0),
    }
    assert check_accesses(core, done, found) == 3
    for wrong in (6, 8):
        found["layer0.spike_path.weights.words_1"] = Accesses(wrong, 0, 0)
        with pytest.raises(UserError, match="layer0.w_f_reads are .* in the gates"):
            check_accesses(core, done, found)
    # Of two segments one became registers: the other one has done at most what golden says.
    del found["layer0.spike_path.weights.words_1"]
    split = CoreParams(network.params, HardwareParams(4, segment_words=512))
    assert check_accesses(split, done, found) == 2
    with pytest.raises(UserError, match="layer0.w_f_reads are .* in the gates"):
        check_accesses(core, done, found)
    more = Accesses(golden["layer0.w_f_reads"] + 1, 0, 0)
    with pytest.raises(UserError, match="layer0.w_f_reads are .* in the gates"):
        check_accesses(split, done, found | {"layer0.spike_path.weights.words_0": more})


def test_sums_in_memories_are_counted_as_the_golden_model_does() -> None:
    network = load_network("spoken")
    core = CoreParams(network.params, HardwareParams(4, ablations=("no-fusion",)))
    done = run(network, np.random.default_rng(0).integers(0, 2, (1, 5, 140)), block=1)
    found = {}
    for name in ("sums", "currents"):
        count = int(accesses(core, done)[f"layer1.{name}_writes"].sum())
        assert count, "a memory of which nothing is known would pass, too"
        found[f"layer1.sums.{name}_4"] = Accesses(count, count, 0)
    assert check_accesses(core, done, found) == 2
    found["layer1.sums.sums_4"] = Accesses(1, 1, 0)
    with pytest.raises(UserError, match="layer1.sums_reads are 1 in the gates"):
        check_accesses(core, done, found)
