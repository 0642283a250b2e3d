"""Standard tops in a row in Verilator: the first core's spikes are the second one's events, over
AXI4-Stream; loaded and read by cocotbext-axi, held against golden's run of the whole network.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.core import write_core
from export.store import find_dataset, load_network
from golden.cost.timeline import Timeline
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import NetworkIntegers, run
from golden.registers import LATENCY, register_map
from golden.split import split
from rtl.verilog.generate import generate_axi
from tb.compare import expected_counters
from tests.axi_cores import build_chain, places, to_beats, to_packets
from tests.test_spikes_out import small


def check_chain(
    network: NetworkIntegers, at: int, hardware: HardwareParams, payloads: np.ndarray, folder: Path
) -> None:
    """Run a network in two cores, with pauses on every channel; then without, in the predicted
    cycles. Compare results, and what both cores counted.
    """
    parts = split(network, at)
    manifests = []
    for part in parts:
        core = CoreParams(part.params, hardware)
        manifests.append(write_core(part, core, folder / part.params.name))
        generate_axi(manifests[-1])
    chain = build_chain(manifests)
    golden = run(network, payloads, block=hardware.block, trace=True)
    spikes = golden.layers[at - 1].spikes
    assert spikes is not None and spikes.any()
    counted = [
        expected_counters(built.core, run(built.network, sent, block=hardware.block))
        for built, sent in zip(chain, (payloads, spikes.astype(np.int64)), strict=True)
    ]
    rng = np.random.default_rng(at)
    numbers = range(len(chain))
    steps = [{"pauses": [1, 0.5]}]
    for number, built in enumerate(chain):
        steps += [{"core": number}, {"burst": built.loads}]
    for _ in range(2):
        steps += [{"send": to_beats(payloads, rng)}, {"results": len(payloads)}]
        for number, built, of in zip(numbers, chain, counted, strict=True):
            registers = register_map(built.core)
            steps += [
                {"core": number},
                {"wait_read": [registers["STATUS"].offset, 1, 0]},
                {"read": places(built.core, list(of))},
                {"write": [[registers["CONTROL"].offset, 1, 15]]},
            ]
        steps.append({"pauses": [0, 0]})
    found = chain[-1].run(folder / "run", *steps)
    answers = [got for step, got in zip(steps, found, strict=True) if "results" in step]
    assert [words for words, _ in answers] == [to_packets(golden)] * 2
    timeline = Timeline([built.core for built in chain], payloads, golden.layers)
    assert answers[1][1] == (timeline.ends + LATENCY).tolist()
    reads = [got for step, got in zip(steps, found, strict=True) if "read" in step]
    expected = [[[int(count.sum()), 0] for count in of.values()] for of in counted]
    assert reads == expected * 2


@pytest.mark.parametrize(
    ("seed", "at", "block"),
    [
        pytest.param(*of, marks=pytest.mark.long)
        for of in ((2, 2, 2), (4, 2, 2), (6, 1, 1), (0, 1, 8))
    ],
)
def test_two_cores_say_what_one_says(seed: int, at: int, block: int, tmp_path: Path) -> None:
    drawn = small(seed)
    hardware = replace(drawn.hardware, block=block, access_counters=block > 2, trace=False)
    check_chain(drawn.network, at, hardware, drawn.payloads, tmp_path)


@pytest.mark.long
def test_rows_in_two_cores(tmp_path: Path) -> None:
    network = load_network("rows")
    payloads = find_dataset("rows").sequences(slice(3))
    check_chain(network, 1, HardwareParams(8, block=2), payloads, tmp_path)
