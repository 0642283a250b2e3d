"""Results that are asked for within a sequence, in Verilator under cocotb: every one against the
golden model, and the cycle in which it comes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from export.core import write_core
from export.store import load_network
from golden.blocks import block_lengths
from golden.data.synthetic import draw_layers
from golden.errors import UserError
from golden.formats import SPIKE
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import NetworkIntegers
from rtl.verilog.generate import generate
from tb.compare import Comparison, compare
from tb.drivers import build_core_model
from tb.sim_command import main
from tb.simulate import Simulation, simulate
from tests.conftest import Shared
from tests.network_kinds import draw_whole
from tests.small_core import make_small_core

FAST = "-O0"


def check_reports(
    manifest: Path, payloads: np.ndarray, reports: Sequence[int], seed: int | None, optimize: str
) -> tuple[Simulation, Comparison]:
    """Run sequences, with stalls from a seed or without, and compare everything. A core that
    processes share is run in a folder of each process's own.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "sim")
    simulation = simulate(
        manifest, payloads, reports=reports, stalls_seed=seed, optimize=optimize,
        folder=manifest.parent / worker,
    )  # fmt: skip
    assert simulation.counters["readout.reports"] == len(reports) * len(payloads)
    assert simulation.report_logits.shape[:2] == (len(payloads), len(reports))
    comparison = compare(simulation, payloads)
    assert comparison.mismatches == 0, comparison.first
    return simulation, comparison


@pytest.mark.parametrize(
    "seed", [2, *(pytest.param(seed, marks=pytest.mark.long) for seed in (0, 1, 3, 5, 6, 7, 9))]
)
def test_a_drawn_network_reports_when_it_is_asked(seed: int, tmp_path: Path) -> None:
    """Plain, with delays, or recurrent: after some timesteps, some of them several times, before
    the first and after the last; and after every timestep.
    """
    drawn = draw_whole(seed, max_neurons=20, max_inputs=12)
    delays = any(layer.max_delay for layer in drawn.network.params.layers)
    block = 1 if delays else drawn.hardware.block
    hardware = replace(drawn.hardware, block=block, reports=True, trace=True)
    manifest = write_core(drawn.network, CoreParams(drawn.network.params, hardware), tmp_path)
    generate(manifest)
    n_timesteps = drawn.payloads.shape[1]
    drawn_times = np.random.default_rng(seed).integers(0, n_timesteps + 1, n_timesteps)
    some = sorted([0, *drawn_times.tolist(), n_timesteps])
    for stalls_seed in (seed, None):
        check_reports(manifest, drawn.payloads, some, stalls_seed, FAST)
    every = range(1, n_timesteps + 1)
    simulation, _ = check_reports(manifest, drawn.payloads, every, None, FAST)
    assert np.array_equal(simulation.report_logits[:, -1], simulation.logits)


def endless_network() -> NetworkIntegers:
    """Return a network whose logits decay, so that they stay in their format for ever."""
    network = draw_layers("endless", (4, 8, 6), 4, 3, 4, payload=SPIKE, threshold=256)
    readout = replace(network.params.readout, leaky=True, decay_rounding="toward_zero")
    return replace(network, params=replace(network.params, output=readout), leak_o=4000)


def endless_payloads(n_timesteps: int) -> np.ndarray:
    """Return one sequence of spikes, the rates of which change every 50 timesteps."""
    rng = np.random.default_rng(n_timesteps)
    rates = rng.choice([0, 0.05, 0.3], (-(-n_timesteps // 50), 4)).repeat(50, 0)[:n_timesteps]
    return (rng.random((1, n_timesteps, 4)) < rates).astype(np.int64)


@pytest.fixture(scope="module")
def endless(shared: Shared) -> Path:
    """Return the manifest of a core for that network, which takes 8 timesteps at once."""
    network = endless_network()
    hardware = HardwareParams(lanes=3, block=8, events_per_cycle=2, trace=True, reports=True)

    def make(folder: Path) -> None:
        generate(write_core(network, CoreParams(network.params, hardware), folder))
        build_core_model(folder / "manifest.json", optimize=FAST)

    return shared.folder("endless", make) / "manifest.json"


@pytest.mark.parametrize(
    "n_timesteps", [300, pytest.param(100_000, marks=pytest.mark.long)], ids=str
)
def test_an_endless_stream_is_classified_again_and_again(endless: Path, n_timesteps: int) -> None:
    """Every 100 timesteps, which are no whole number of blocks."""
    reports, optimize = range(100, n_timesteps + 1, 100), FAST if n_timesteps < 1000 else "-O1"
    simulation, _ = check_reports(endless, endless_payloads(n_timesteps), reports, None, optimize)
    lengths = block_lengths(n_timesteps, 8, reports)
    assert len(lengths) == 13 * len(reports) and np.array_equal(lengths, simulation.lengths)
    assert not any(simulation.errors.values())
    assert len(np.unique(simulation.report_logits[0], axis=0)) > 0.7 * len(reports)
    assert len(np.unique(simulation.report_classes)) > 1


def test_a_regression_is_read_at_every_step(endless: Path) -> None:
    """Whatever the core waits for: each step is a block of its own."""
    payloads = endless_payloads(300)
    every = range(1, 301)
    with_stalls, _ = check_reports(endless, payloads[:, :100], range(1, 101), 1, FAST)
    simulation, comparison = check_reports(endless, payloads, every, None, FAST)
    assert comparison.values_compared > 300 * (8 + 6 + 3 + 2)
    assert np.array_equal(with_stalls.report_logits[0], simulation.report_logits[0, :100])
    assert len(np.unique(simulation.report_logits[0], axis=0)) > 100


def test_the_comparison_finds_a_wrong_report(endless: Path) -> None:
    payloads = endless_payloads(30)
    simulation, comparison = check_reports(endless, payloads, (10, 10, 25), None, FAST)

    def first_wrong(**changed: np.ndarray | dict[str, int]) -> str:
        found = compare(replace(simulation, **changed), payloads)
        assert found.mismatches == 1 and found.values_compared == comparison.values_compared
        return found.first[0]

    one = np.array([[0, 0, 1]])
    logits = simulation.report_logits + one[..., None] * np.array([0, 1, 0])
    assert "reported logits at sequence 0, report 2, class 1:" in first_wrong(report_logits=logits)
    classes = simulation.report_classes + one
    assert "reported class at sequence 0, report 2:" in first_wrong(report_classes=classes)
    cycles = simulation.report_cycles - one
    assert "report cycle at sequence 0, report 2:" in first_wrong(report_cycles=cycles)
    counters = simulation.counters | {"readout.reports": 2}
    assert "counter readout.reports at place 0: expected 3" in first_wrong(counters=counters)


def test_a_core_without_reports_is_not_asked(tmp_path: Path) -> None:
    """It is not even built."""
    network = endless_network()
    manifest = write_core(network, CoreParams(network.params, HardwareParams()), tmp_path)
    with pytest.raises(UserError, match="manifest.json sends no reports: export it with --r"):
        simulate(manifest, np.ones((1, 2, 4), np.int64), reports=(1,), optimize=FAST)


def test_reports_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core, arguments = make_small_core(tmp_path, reports=True)
    without = replace(core, hardware=replace(core.hardware, reports=False))
    manifest = write_core(load_network(tmp_path / "network"), without, tmp_path / "plain")
    plain = [str(manifest), *arguments[1:]]

    def refused(*given: str) -> str:
        result = CliRunner().invoke(main, [*given, "--digits", "2"])
        assert result.exit_code == 2 and result.stdout == "" and result.stderr.count("\n") == 1
        return result.stderr

    wrong = refused(*plain, "--report-every", "7")
    assert wrong == (
        "error: --report-every 7: the core of small sends no reports: export it with --reports\n"
    )
    wrong = refused(*arguments, "--report-every", "29")
    assert wrong == "error: --report-every 29: a sequence has 28 timesteps\n"
    assert "--report-every" in refused(*arguments, "--report-every", "0")
    monkeypatch.setattr("tb.sim_command.build_core_model", partial(build_core_model, optimize=FAST))
    monkeypatch.setattr("tb.sim_command.simulate", partial(simulate, optimize=FAST))
    result = CliRunner().invoke(main, [*arguments, "--digits", "2", "--report-every", "5"])
    assert result.exit_code == 0, result.output
    assert ": 0 mismatches" in result.output and "28 timesteps and 5 reports" in result.output
    report = json.loads((Path(arguments[0]).parent / "report.json").read_text())
    assert report["reports_per_digit"] == 5 and report["counters"]["readout.reports"] == 10
    # Five blocks of one timestep and twelve of two, the last of which reaches no next one.
    slowest = report["slowest_layer"]
    assert slowest["bound"] + sum(slowest["waits"].values()) == pytest.approx(
        slowest["cycles_per_timestep"]
    )
