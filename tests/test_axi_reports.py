"""The standard top of a core with reports in Verilator, driven by cocotbext-axi."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.core import write_core
from golden.cost.timeline import Timeline
from golden.hardware.core import CoreParams
from golden.integer import run
from golden.registers import LATENCY, register_map
from golden.runs import Run
from rtl.verilog.generate import generate_axi
from tb.compare import expected_counters
from tests.axi_cores import Built, build, event, places
from tests.conftest import Shared
from tests.networks import Drawn, draw_network

REPORTS = (0, 3, 6, 6, 7)
REPORT, END_TIMESTEP, END_SEQUENCE = 1 << 29, 1 << 30, 1 << 31


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    """Draw a network with graded inputs, and sequences of two whole blocks or of fewer."""
    drawn = draw_network(1393, n_sequences=3, n_timesteps=7, max_neurons=16, max_inputs=12)
    assert drawn.network.params.layers[0].formats.payload.width == 8
    assert drawn.hardware.block == 4
    return replace(drawn, hardware=replace(drawn.hardware, reports=True))


@pytest.fixture(scope="module")
def built(drawn: Drawn, shared: Shared) -> Built:
    core = CoreParams(drawn.network.params, drawn.hardware)

    def make(folder: Path) -> None:
        generate_axi(write_core(drawn.network, core, folder))
        build(folder / "manifest.json")

    return build(shared.folder("axi_reports", make) / "manifest.json")


def to_beats(payloads: np.ndarray, rng: np.random.Generator) -> list[list[int]]:
    """Return the beats (word, TLAST, TUSER) of sequences that ask for `REPORTS`: in the beat that
    ends a timestep, or in one of its own, with TLAST or without. The last one has TLAST.
    """
    beats: list[list[int]] = []
    for sequence in payloads:
        beats += [[REPORT, 1, 0]] * REPORTS.count(0)
        for done, timestep in enumerate(sequence, 1):
            asked = REPORTS.count(done)
            found = [[event(a, int(timestep[a])), 0, 0] for a in np.flatnonzero(timestep).tolist()]
            found = found or [[0, 0, 0]]
            if asked and rng.integers(2):
                found[-1] = [found[-1][0] | END_TIMESTEP | REPORT, int(rng.integers(2)), 0]
                asked -= 1
            elif rng.integers(2):
                found[-1][1] = 1
            else:
                found[-1][0] |= END_TIMESTEP
            beats += found + [[REPORT, int(rng.integers(2)), 0] for _ in range(asked)]
        beats[-1][0] |= END_SEQUENCE
    beats[-1] = [beats[-1][0], 1, 0]
    return beats


def to_packets(golden: Run) -> list[list[int]]:
    """Return the packets that are to be received, of each sequence its reports first."""
    answers = np.concatenate([golden.reports, golden.logits[:, None]], 1)
    flat = answers.reshape(-1, answers.shape[2])
    return [[v % (1 << 32) for v in row.tolist()] + [int(row.argmax())] for row in flat]


def test_reports_are_packets_between_those_of_sequences(
    built: Built, drawn: Drawn, tmp_path: Path
) -> None:
    """With pauses on every channel; then without, the sink held for a while; and in exactly the
    predicted cycles, but where a packet follows another one at once.
    """
    core, registers = built.core, register_map(built.core)
    rng = np.random.default_rng(3)
    golden = run(built.network, drawn.payloads, block=4, reports=REPORTS, trace=True)
    counters = {n: int(c.sum()) for n, c in expected_counters(core, golden).items()}
    assert counters["readout.reports"] == 3 * len(REPORTS) and counters["layer0.blocks"] == 3 * 3
    status, (busy, _) = registers["STATUS"].offset, (b.mask for b in registers["STATUS"].bits)
    clear = [registers["CONTROL"].offset, 1, 15]
    packets = to_packets(golden)
    assert len({tuple(packet) for packet in packets}) > 6
    found = built.run(
        tmp_path,
        {"pauses": [1, 0.5]},
        {"burst": built.loads},
        {"send": to_beats(drawn.payloads, rng)},
        {"results": len(packets)},
        {"wait_read": [status, busy, 0]},
        {"read": places(core, list(counters))},
        {"write": [clear]},
        {"pauses": [0, 0]},
        {"hold": 1},
        {"send": [[REPORT, 1, 0]]},
        {"wait_read": [status, busy, busy]},
        {"read": [status] * 50},
        {"hold": 0},
        {"results": 1},
        {"wait_read": [status, busy, 0]},
        {"send": to_beats(drawn.payloads, rng)},
        {"results": len(packets)},
    )
    assert found[3][0] == packets
    assert [count for count, _ in found[5]] == list(counters.values())
    assert [word & busy for word, _ in found[11]] == [busy] * 50
    assert found[13][0] == [[0] * len(packets[0])], "before a sequence"
    assert found[16][0] == packets
    timeline = Timeline(core, drawn.payloads, golden.layers, REPORTS)
    ends = np.concatenate([timeline.report_ends, timeline.ends[:, None]], 1).ravel()
    apart = np.diff(ends, prepend=-100) > len(packets[0])
    assert 6 < apart.sum() < len(ends)
    predicted = ends[apart] + LATENCY
    assert np.array_equal(np.array(found[16][1])[apart], predicted)
