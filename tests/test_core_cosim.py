"""The whole core in Verilator, random networks under cocotb and shipped ones from C++: every value
against the golden model.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from export.core import write_core
from export.items import to_items
from export.store import load_digits, load_stored
from golden.cost.cycles import accesses, dropped_events
from golden.data.mnist import to_sequences
from golden.hardware.core import CoreParams
from golden.hardware.params import ABLATIONS, HardwareParams
from golden.hardware.part import EventKind
from golden.integer import NetworkIntegers, run
from rtl.verilog.generate import generate
from tb.cocotb_core import COUNTER_CYCLES
from tb.compare import compare
from tb.drivers import build_core_model
from tb.report import summarize, utilisation
from tb.sim_command import main
from tb.simulate import Simulation, simulate, simulate_items
from tests import neuron_corners
from tests.ablated_networks import draw_ablated
from tests.corners import VERILATED
from tests.network_kinds import DRAWS
from tests.networks import Drawn, draw_network, draw_recurrent

# A test's model runs for seconds: compiling it without optimization is what keeps the test short.
FAST = "-O0"


def make_core(
    network: NetworkIntegers, hardware: HardwareParams, folder: Path, *, trace: bool = True
) -> Path:
    """Export and generate a core; return its manifest."""
    core = CoreParams(network.params, replace(hardware, trace=trace))
    manifest = write_core(network, core, folder)
    generate(manifest)
    return manifest


def check_waiting(simulation: Simulation) -> None:
    """Every cycle of a part is one of a step, of waiting, of draining, of a decision on a block or
    on the end of a sequence, or of that end itself.
    """
    core, counters = simulation.core, simulation.counters
    kinds = ("busy_cycles", "stall_cycles", "starved_cycles", "state_wait_cycles")
    for index, part in enumerate(core.layers):
        name = f"layer{index}"
        # Read after the counter of cycles, when the part is starved.
        later = COUNTER_CYCLES * core.counters.index(f"{name}.starved_cycles")
        left = counters["cycles"] - sum(counters[f"{name}.{kind}"] for kind in kinds) + later
        blocks = counters[f"{name}.blocks"]
        assert 0 <= left <= blocks * (part.drain + 1) + 2 * simulation.n_sequences, name
        if not part.params.n_state:
            assert not counters[f"{name}.state_wait_cycles"]
    shares = utilisation(core, counters)
    assert set(shares) == set(core.parts) and all(0 < share <= 1 for share in shares.values())


# Five seconds and more of a compiler each.
SLOW = [("delays", 66), ("delays", 303), ("parts", 15), ("wide links", 37), ("wide links", 206)]
SLOW += [("plain", 103), ("plain", 352), ("loop", 388)]
QUICK = [(draw, seed) for draw, seeds in VERILATED.items() for seed in seeds]
QUICK += [("whole neurons", 157)]  # tests/test_reports.py has reports
QUICK = [case for case in QUICK if case not in SLOW]
# A large network for each of some blocks, events and products, and two with own spikes.
LARGE = [*SLOW]
LARGE += [("large", seed) for seed in (100, 101, 102, 103, 105, 107, 113, 121)]
LARGE += [("large loop", seed) for seed in (2, 4)]
LARGE += [("parts", seed) for seed in (4, 30, 79665)]  # the last one copies signs of states
LARGE += [
    (draw, seed)
    for draw, seeds in neuron_corners.VERILATED.items()
    for seed in seeds
    if (draw, seed) not in QUICK
]


@pytest.mark.parametrize(
    ("draw", "seed"), [*QUICK, *(pytest.param(*case, marks=pytest.mark.long) for case in LARGE)]
)
def test_random_network(draw: str, seed: int, tmp_path: Path) -> None:
    """With the events of a timestep in any order, among which own spikes come."""
    check_core(DRAWS[draw](seed), seed, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("ablations", [("input-stationary",), ("no-fusion",), ABLATIONS], ids=str)
def test_an_ablated_core(ablations: tuple[str, ...], tmp_path: Path) -> None:
    check_core(draw_ablated(114, ablations), 114, tmp_path)


@pytest.mark.long
def test_a_last_segment_of_one_lane(tmp_path: Path) -> None:
    """Of four, where the encoder looks for the first with spikes."""
    drawn = DRAWS["large"](104)
    assert max(layer.n_neurons for layer in drawn.network.params.layers) >= 25
    hardware = replace(drawn.hardware, lanes=25, block=1)
    check_core(replace(drawn, hardware=hardware), 104, tmp_path)


def test_errors_before_delays(tmp_path: Path) -> None:
    """They are found by the delay line. Delays are before both layers: of one timestep, and of up
    to as many as a sequence has; the second one of its blocks is a partial one.
    """
    drawn = delayed_network()
    n_timesteps, layers = drawn.payloads.shape[1], drawn.network.params.layers
    assert [layer.max_delay for layer in layers] == [1, n_timesteps]
    assert drawn.hardware.block < n_timesteps < 2 * drawn.hardware.block
    manifest = make_core(drawn.network, drawn.hardware, tmp_path)
    payloads = with_events(drawn.payloads)
    simulation = simulate_items(
        manifest, with_errors(payloads, 1), *payloads.shape[:2], stalls_seed=1, optimize=FAST
    )
    counted = accesses(simulation.core, run(drawn.network, payloads, block=drawn.hardware.block))
    void = {"repeated": 2, "unclosed": 1}  # each of them is looked up, and set in the ring
    expected = {f"layer0.{name}": count for name, count in void.items()} | {
        f"layer0.{name}": int(counted[f"layer0.{name}"].sum()) + sum(void.values())
        for name in ("delays_reads", "ring_reads", "ring_writes")
    }
    comparison = compare(simulation, payloads, counted=expected)
    assert comparison.mismatches == 0, comparison.first
    assert all(simulation.errors[f"layer0.{name}"] for name in void)


def check_core(drawn: Drawn, seed: int, tmp_path: Path) -> None:
    """Run a network with stalls and without, and compare everything; also what it reports."""
    manifest = make_core(drawn.network, drawn.hardware, tmp_path)
    for stalls_seed in (seed, None):
        simulation = simulate(
            manifest,
            drawn.payloads,
            reports=drawn.reports,
            stalls_seed=stalls_seed,
            optimize=FAST,
            cocotb=True,
        )
        comparison = compare(simulation, drawn.payloads)
        assert comparison.mismatches == 0, comparison.first
        assert (
            comparison.values_compared
            > drawn.payloads.shape[1] * drawn.network.params.layers[0].n_neurons
        )
        assert not any(simulation.errors_cleared.values())
        cleared = {name: count for name, count in simulation.counters_cleared.items() if count}
        # At rest a part is starved.
        assert {name.split(".")[-1] for name in cleared} == {"cycles", "starved_cycles"}
        assert all(count < simulation.counters[name] for name, count in cleared.items())
        check_waiting(simulation)


def delayed_network() -> Drawn:
    """Return a network with delays before both layers, in blocks of which the last one is short."""
    return draw_network(338, max_neurons=20, max_inputs=20, delays=True)


def saturating_network() -> Drawn:
    """Draw the first network that saturates in layer 0, has addresses that no input has, and
    sequences that end inside a block, on a core that is soon built.
    """
    for seed in range(1000, 1200):
        drawn = draw_network(seed, max_neurons=24, max_inputs=24)
        _, n_timesteps, n_inputs = drawn.payloads.shape
        first = run(drawn.network, drawn.payloads).layers[0]
        if (
            len(drawn.network.layers) == 1
            and n_inputs & (n_inputs - 1)
            and n_inputs > 2
            and 1 < drawn.hardware.block < n_timesteps
            and n_timesteps % drawn.hardware.block
            and drawn.hardware.lanes * drawn.hardware.block <= 12
            and first.membrane_saturations.sum()
            and first.state_saturations.sum()
        ):
            return drawn
    raise AssertionError("no seed saturates")


def saturating_recurrent_network() -> Drawn:
    """Draw the first network whose layer 0 is recurrent, saturates, has addresses that no input but
    its own first neurons have, and spikes at the end of a sequence.
    """
    for seed in range(1000, 1200):
        drawn = draw_recurrent(seed, max_neurons=12, max_inputs=12)
        n_inputs, params = drawn.payloads.shape[2], drawn.network.params.layers[0]
        first = run(drawn.network, drawn.payloads).layers[0]
        if (
            n_inputs & (n_inputs - 1)
            and n_inputs > 2
            and params.recurrent
            and first.membrane_saturations.sum()
            and 0 < first.spike_counts[:, -1].sum() < len(drawn.payloads) * params.n_neurons
        ):
            return drawn
    raise AssertionError("no seed saturates")


def with_events(payloads: np.ndarray) -> np.ndarray:
    """Return payloads with the events that `with_errors` needs."""
    payloads = payloads.copy()
    payloads[0, 1, 2] = 1  # an event that can be repeated
    payloads[0, -1, 1] = 1  # of the block in which no end of timestep follows another one
    return payloads


def with_errors(payloads: np.ndarray, largest: int) -> np.ndarray:
    """Return the items of sequences, and among them two repeated events, one out of range if an
    address can be, and one that the end of the first sequence finds without an end of timestep.
    """
    _, n_timesteps, n_inputs = payloads.shape
    items: list[list[int]] = []
    timestep = 0
    for kind, address, payload in to_items(payloads).tolist():
        if kind == EventKind.END_TIMESTEP:
            if timestep == 1:
                items += [
                    [EventKind.EVENT, 2, largest],
                    [EventKind.EVENT, 2, 1],
                    [EventKind.EVENT, 0, 0],
                ]
                if n_inputs & (n_inputs - 1):
                    items += [[EventKind.EVENT, n_inputs, largest]]
            timestep += 1
        if kind == EventKind.END_SEQUENCE and timestep == n_timesteps:
            items += [[EventKind.EVENT, 1, 1]]
        items.append([kind, address, payload])
    return np.array(items)


@pytest.mark.parametrize("recurrent", [False, True])
def test_errors_set_flags_and_the_run_goes_on(recurrent: bool, tmp_path: Path) -> None:
    drawn = saturating_recurrent_network() if recurrent else saturating_network()
    n_sequences, n_timesteps, _ = drawn.payloads.shape
    payloads = with_events(drawn.payloads)
    items = with_errors(payloads, drawn.network.params.layers[0].formats.payload.max)
    hardware = replace(drawn.hardware, access_counters=False)
    manifest = make_core(drawn.network, hardware, tmp_path)
    simulation = simulate_items(
        manifest, items, n_sequences, n_timesteps, stalls_seed=1, optimize=FAST
    )
    expected = {"layer0.repeated": 2, "layer0.out_of_range": 1, "layer0.unclosed": 1}
    golden = run(drawn.network, payloads)
    dropped = dropped_events(simulation.core, golden)[0]
    # The unclosed one is received, and dropped at the end, as are a recurrent layer's last spikes.
    received = int(golden.layers[0].events.sum() + dropped.sum()) + 1
    assert recurrent == (received > np.count_nonzero(payloads) + 1)
    comparison = compare(simulation, payloads, counted=expected | {"layer0.events": received})
    assert comparison.mismatches == 0, comparison.first
    assert (
        simulation.errors["layer0.membrane_saturations"]
        and simulation.counters["layer0.membrane_saturations"]
    )
    assert all(simulation.errors[name] for name in expected)
    assert set(expected) == {n for n in simulation.errors if not n.endswith("saturations")}
    assert not any(simulation.errors_cleared.values())


def test_core_without_trace_ports(tmp_path: Path) -> None:
    drawn = draw_network(30, max_neurons=20, max_inputs=10)
    hardware = HardwareParams(lanes=3, block=2, events_per_cycle=2, access_counters=True)
    manifest = make_core(drawn.network, hardware, tmp_path, trace=False)
    simulation = simulate(manifest, drawn.payloads, optimize=FAST)
    comparison = compare(simulation, drawn.payloads)
    assert comparison.mismatches == 0, comparison.first
    late = replace(simulation, result_cycles=simulation.result_cycles + [0, 1])
    assert "result cycle at sequence 1" in compare(late, drawn.payloads).first[0]


def test_comparison_finds_what_differs(tmp_path: Path) -> None:
    drawn = draw_network(30, n_timesteps=6, max_neurons=12, max_inputs=6)
    hardware = HardwareParams(lanes=2, block=4, access_counters=True)
    simulation = simulate(
        make_core(drawn.network, hardware, tmp_path), drawn.payloads, optimize=FAST
    )
    assert compare(simulation, drawn.payloads).mismatches == 0

    logits = simulation.logits.copy()
    logits[1, 0] += 1
    changed = ("layer0.busy_cycles", "layer0.u_reads", "layer0.blocks")
    counters = simulation.counters | {name: simulation.counters[name] - 1 for name in changed}
    wrong = compare(replace(simulation, logits=logits, counters=counters), drawn.payloads)
    assert wrong.mismatches == 4
    assert "logits at sequence 1, class 0" in wrong.first[0]
    assert {line.split()[1] for line in wrong.first[1:]} == set(changed)

    def first_wrong(log: Path, line: int) -> str:
        """Change the first digit of a line, and compare."""
        earlier = log.read_text()
        lines = earlier.splitlines(keepends=True)
        lines[line] = ("0" if lines[line][0] != "0" else "1") + lines[line][1:]
        log.write_text("".join(lines))
        found = compare(simulation, drawn.payloads)
        log.write_text(earlier)
        assert found.mismatches
        return found.first[0]

    # The last line: the last word of the last group, in the last timestep.
    layer = simulation.core.layers[0]
    neuron = layer.n_groups * layer.lanes - layer.neuron_fold.units
    assert neuron < layer.params.n_neurons
    log = simulation.folder / "layer0.neurons.log"
    place = f"layer0 membrane at sequence 1, timestep 5, neuron {neuron}:"
    assert first_wrong(log, -1).startswith(place)
    start = first_wrong(simulation.folder / "readout.start.log", -1)
    assert start.startswith("readout start cycle at sequence 1, block 1:")
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    assert "layer0.neurons has" in compare(simulation, drawn.payloads).first[0]


def test_rows_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, _ = load_stored("rows")
    hardware = HardwareParams(4, block=2, events_per_cycle=2, products_per_cycle=3)
    manifest = make_core(network, hardware, tmp_path)
    monkeypatch.setattr("tb.sim_command.build_core_model", partial(build_core_model, optimize=FAST))
    monkeypatch.setattr("tb.sim_command.simulate", partial(simulate, optimize=FAST))
    result = CliRunner().invoke(main, [str(manifest), "--digits", "4"])
    assert result.exit_code == 0, result.output
    assert ": 0 mismatches" in result.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["digits"] == 4 and report["mismatches"] == 0 and report["accuracy"] >= 0.75
    assert report["cycles_per_timestep"]["measured"] == report["cycles_per_timestep"]["predicted"]
    assert report["block"] == 2 and 0.9 < report["utilisation"]["layer1"] <= 1
    assert (tmp_path / "report.png").stat().st_size > 10_000
    result = CliRunner().invoke(main, [str(manifest), "--digits", "1", "--stalls", "3"])
    assert result.exit_code == 0, result.output

    def simulate_wrongly(*arguments: Any, **options: Any) -> Simulation:
        simulation = simulate(*arguments, **options, optimize=FAST)
        return replace(simulation, classes=simulation.classes + 1)

    monkeypatch.setattr("tb.sim_command.simulate", simulate_wrongly)
    result = CliRunner().invoke(main, [str(manifest), "--digits", "2"])
    assert result.exit_code == 1
    assert (
        "2 values differ" in result.output
        and "class at sequence 0: expected 7, found 8" in result.output
    )


@pytest.mark.long
@pytest.mark.parametrize(
    "hardware", [HardwareParams(4), HardwareParams(4, 4, 2, 2, access_counters=True)], ids=str
)
def test_smnist_keeps_its_bound(hardware: HardwareParams, tmp_path: Path) -> None:
    network, card = load_stored("smnist")
    manifest = make_core(network, hardware, tmp_path)
    digits = load_digits()
    payloads = to_sequences(digits.images[:1], card.data)
    simulation = simulate(manifest, payloads, optimize="-O1")
    comparison = compare(simulation, payloads)
    assert comparison.mismatches == 0, comparison.first
    summary = summarize(simulation, comparison, digits.labels[:1])
    slowest = summary["slowest_layer"]
    assert slowest["bound"] <= slowest["cycles_per_timestep"] <= slowest["bound"] + 2
    waits = sum(slowest["waits"].values())
    assert slowest["bound"] + waits == pytest.approx(slowest["cycles_per_timestep"])
    assert summary["utilisation"][slowest["layer"]] > 0.98
