"""The whole core in Verilator under cocotb, random networks and shipped ones: every value against
the golden model.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from export.manifest import write_core
from export.store import load_digits, load_stored
from golden.data import to_sequences
from golden.hardware import CoreParams, EventKind, HardwareParams
from golden.integer import NetworkIntegers, run
from rtl.generate import generate
from tb.__main__ import main
from tb.compare import compare
from tb.report import summarize
from tb.simulate import Simulation, simulate, simulate_items, to_items
from tests.networks import draw_network

# A test's model runs for seconds: compiling it without optimization is what keeps the test short.
FAST = "-O0"


def make_core(network: NetworkIntegers, lanes: int, folder: Path, *, trace: bool = True) -> Path:
    """Export and generate a core; return its manifest."""
    manifest = write_core(network, CoreParams(network.params, HardwareParams(lanes, trace)), folder)
    generate(manifest)
    return manifest


@pytest.mark.parametrize("seed", range(100, 108))
def test_random_network(seed: int, tmp_path: Path) -> None:
    drawn = draw_network(seed)
    manifest = make_core(drawn.network, drawn.lanes, tmp_path)
    for stalls_seed in (seed, None):
        simulation = simulate(manifest, drawn.payloads, stalls_seed=stalls_seed, optimize=FAST)
        comparison = compare(simulation, drawn.payloads)
        assert comparison.mismatches == 0, comparison.first
        assert (
            comparison.values_compared
            > drawn.payloads.shape[1] * drawn.network.params.layers[0].n_neurons
        )
        assert not any(simulation.errors_cleared.values())
        cleared = simulation.counters_cleared
        assert not any(count for name, count in cleared.items() if name != "cycles")
        assert cleared["cycles"] < simulation.counters["cycles"]


def saturating_network() -> int:
    """Return the first seed whose network saturates in layer 0, and has addresses that no input
    has.
    """
    for seed in range(1000, 1100):
        drawn = draw_network(seed, max_neurons=24, max_inputs=24)
        first = run(drawn.network, drawn.payloads).layers[0]
        n_inputs = drawn.network.params.layers[0].n_inputs
        if (
            n_inputs & (n_inputs - 1)
            and n_inputs > 2
            and first.membrane_saturations.sum()
            and first.state_saturations.sum()
        ):
            return seed
    raise AssertionError("no seed saturates")


def test_errors_set_flags_and_the_run_goes_on(tmp_path: Path) -> None:
    drawn = draw_network(saturating_network(), max_neurons=24, max_inputs=24)
    n_sequences, n_timesteps, n_inputs = drawn.payloads.shape
    payloads = drawn.payloads.copy()
    payloads[0, 1, 2] = 1  # an event that can be repeated, and one that no end of timestep follows
    largest = drawn.network.params.layers[0].formats.payload.max
    items: list[list[int]] = []
    timestep = 0
    for kind, address, payload in to_items(payloads).tolist():
        if kind == EventKind.END_TIMESTEP:
            if timestep == 1:
                items += [
                    [EventKind.EVENT, 2, largest],
                    [EventKind.EVENT, 2, 1],
                    [EventKind.EVENT, n_inputs, largest],
                    [EventKind.EVENT, 0, 0],
                ]
            timestep += 1
        if kind == EventKind.END_SEQUENCE and timestep == n_timesteps:
            items += [[EventKind.EVENT, 1, 1]]
        items.append([kind, address, payload])
    manifest = make_core(drawn.network, drawn.lanes, tmp_path)
    simulation = simulate_items(
        manifest, np.array(items), n_sequences, n_timesteps, stalls_seed=1, optimize=FAST
    )
    expected = {"layer0.repeated": 2, "layer0.out_of_range": 1, "layer0.unclosed": 1}
    received = (
        int(np.count_nonzero(payloads)) + 1
    )  # the unclosed one is received, and dropped at the end
    comparison = compare(simulation, payloads, counted=expected | {"layer0.events": received})
    assert comparison.mismatches == 0, comparison.first
    assert (
        simulation.errors["layer0.membrane_saturations"]
        and simulation.counters["layer0.membrane_saturations"]
    )
    assert all(simulation.errors[name] for name in expected)
    assert not simulation.errors["readout.out_of_range"]
    assert not any(simulation.errors_cleared.values())


def test_core_without_trace_ports(tmp_path: Path) -> None:
    drawn = draw_network(7, max_neurons=20, max_inputs=10)
    manifest = make_core(drawn.network, drawn.lanes, tmp_path, trace=False)
    simulation = simulate(manifest, drawn.payloads, optimize=FAST)
    comparison = compare(simulation, drawn.payloads)
    assert comparison.mismatches == 0, comparison.first


def test_comparison_finds_what_differs(tmp_path: Path) -> None:
    drawn = draw_network(5, max_neurons=12, max_inputs=6)
    simulation = simulate(
        make_core(drawn.network, drawn.lanes, tmp_path), drawn.payloads, optimize=FAST
    )
    assert compare(simulation, drawn.payloads).mismatches == 0
    logits = simulation.logits.copy()
    logits[1, 0] += 1
    counters = simulation.counters | {
        "layer0.busy_cycles": simulation.counters["layer0.busy_cycles"] - 1
    }
    wrong = compare(replace(simulation, logits=logits, counters=counters), drawn.payloads)
    assert wrong.mismatches == 2
    assert "logits at sequence 1, class 0" in wrong.first[0]
    log = simulation.folder / "layer0.neurons.log"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join([*lines[:-1], ("0" if lines[-1][0] != "0" else "1") + lines[-1][1:]]))
    wrong = compare(simulation, drawn.payloads)
    assert wrong.mismatches and "layer0 membrane at sequence 1, timestep 7" in wrong.first[0]
    log.write_text("".join(lines[:-1]))
    assert "layer0.neurons has" in compare(simulation, drawn.payloads).first[0]


def test_rows_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, _ = load_stored("rows")
    manifest = make_core(network, 16, tmp_path)
    result = CliRunner().invoke(main, [str(manifest), "--digits", "8"])
    assert result.exit_code == 0, result.output
    assert ": 0 mismatches" in result.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["digits"] == 8 and report["mismatches"] == 0 and report["accuracy"] >= 0.75
    assert report["cycles_per_timestep"]["measured"] == report["cycles_per_timestep"]["predicted"]
    assert (tmp_path / "report.png").stat().st_size > 10_000
    result = CliRunner().invoke(main, [str(manifest), "--digits", "2", "--stalls", "3"])
    assert result.exit_code == 0, result.output

    def simulate_wrongly(*arguments: Any, **options: Any) -> Simulation:
        simulation = simulate(*arguments, **options)
        return replace(simulation, classes=simulation.classes + 1)

    monkeypatch.setattr("tb.__main__.simulate", simulate_wrongly)
    result = CliRunner().invoke(main, [str(manifest), "--digits", "2"])
    assert result.exit_code == 1
    assert (
        "2 values differ" in result.output
        and "class at sequence 0: expected 7, found 8" in result.output
    )


def test_smnist_on_four_lanes(tmp_path: Path) -> None:
    network, facts = load_stored("smnist")
    manifest = make_core(network, 4, tmp_path)
    digits = load_digits()
    payloads = to_sequences(digits.images[:1], facts.data)
    simulation = simulate(manifest, payloads, optimize="-O1")
    comparison = compare(simulation, payloads)
    assert comparison.mismatches == 0, comparison.first
    slowest = summarize(simulation, comparison, digits.labels[:1])["slowest_layer"]
    assert slowest["cycles_per_timestep"] <= slowest["bound"]
