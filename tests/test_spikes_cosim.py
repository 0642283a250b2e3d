"""Cores whose last layer's spikes leave them, in Verilator under cocotb: every item that leaves
against the golden model, from the command line too; and what commands that need results say.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

import driver.__main__
import handoff.package_command
import rtl.verilog.rtl_command
import tb.batch
import tb.board
import tb.sim_command
import tb.timeline
from export.items import to_items
from export.store import find_dataset, load_network
from golden.errors import UserError
from golden.hardware.part import EventKind
from golden.integer import run, without_readout
from tb.compare import compare
from tb.drivers import build_core_model
from tb.simulate import Simulation, simulate
from tests.conftest import Shared
from tests.network_kinds import DRAWS
from tests.pictures import faults, texts_of
from tests.small_core import make_small_core
from tests.test_core_cosim import FAST, check_core
from tests.test_spikes_out import items_of

N_DIGITS, N_TIMESTEPS, N_NEURONS = 3, 28, 8


@pytest.fixture(scope="module")
def small(shared: Shared) -> list[str]:
    """Return the arguments of a command for a small core without a readout, which takes 2 timesteps
    at once, and is built.
    """

    def make(folder: Path) -> None:
        make_small_core(folder, readout=False)
        build_core_model(folder / "core" / "manifest.json", optimize=FAST)

    folder = shared.folder("spikes_out", make)
    return [str(folder / "core" / "manifest.json"), "--network", str(folder / "network")]


@pytest.fixture(scope="module")
def payloads(small: list[str]) -> np.ndarray:
    return find_dataset(small[2]).sequences(slice(N_DIGITS))


@pytest.fixture(scope="module")
def simulation(
    small: list[str], payloads: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Simulation:
    folder = tmp_path_factory.mktemp("run")
    return simulate(Path(small[0]), payloads, optimize=FAST, folder=folder)


def copied(arguments: list[str], folder: Path) -> list[str]:
    """Copy the core of a command's arguments into a folder, and return the arguments for that."""
    core = shutil.copytree(Path(arguments[0]).parent, folder / "core")
    return [str(core / "manifest.json"), *arguments[1:]]


@pytest.mark.long
@pytest.mark.parametrize(
    ("draw", "seed"),
    [
        ("large", 100), ("large", 103), ("large with delays", 7), ("plain", 30), ("plain", 5),
        ("loop", 1), ("loop", 2), ("loop and delays", 2), ("whole neurons", 157),
    ],
)  # fmt: skip
def test_a_drawn_network(draw: str, seed: int, tmp_path: Path) -> None:
    """With stalls and without; without, in the predicted cycles."""
    drawn = DRAWS[draw](seed)
    network = without_readout(drawn.network.params, drawn.network.layers)
    check_core(replace(drawn, network=network), seed, tmp_path)


def test_what_leaves_is_compared(
    simulation: Simulation, payloads: np.ndarray, small: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every item in order, and the cycle of every end; of some sequences at a time."""
    golden = run(load_network(small[2]), payloads, trace=True).layers[-1]
    sent = np.concatenate(simulation.sent)
    assert sent[:, :2].tolist() == [list(item) for item in items_of(golden)]
    assert np.array_equal(sent[:, 2], sent[:, 0] == EventKind.EVENT)
    assert np.array_equal(simulation.left(1, N_NEURONS), golden.spikes[1])  # pyright: ignore[reportOptionalSubscript]
    monkeypatch.setattr("tb.compare.CHUNK", 2)
    compared = compare(simulation, payloads)
    assert compared.mismatches == 0, compared.first
    assert compared.values_compared > 3 * len(sent) + N_DIGITS * (N_TIMESTEPS + 1)

    def wrong(**changed: Any) -> list[str]:
        found = compare(replace(simulation, **changed), payloads)
        assert found.mismatches
        return found.first

    def wrong_items(items: np.ndarray) -> list[str]:
        """Compare with other items of the last sequence."""
        return wrong(sent=[*simulation.sent[:2], items])

    items = simulation.sent[2]
    # Two spikes of one timestep, which the end of the timestep before them tells from others.
    first = int(np.flatnonzero((items[:-1, 0] == 0) & (items[1:, 0] == 0))[0])
    order = np.arange(len(items))
    order[[first, first + 1]] = first + 1, first
    place = f"at sequence 2, item {first}: expected {items[first, 1]}, found {items[first + 1, 1]}"
    assert wrong_items(items[order]) == [f"address sent {place}"]
    fewer = wrong_items(np.delete(items, first, 0))
    assert fewer[0] == (f"items sent at sequence 2: expected {len(items)}, found {len(items) - 1}")
    late = items.copy()
    end = first + int(np.flatnonzero(items[first:, 0])[0])
    late[[end - 1, end]] = late[[end, end - 1]]
    assert wrong_items(late)[0] == f"kind sent at sequence 2, item {end - 1}: expected 0, found 1"
    silent = items - np.eye(len(items), dtype=int)[first][:, None] * [0, 0, 1]
    assert wrong_items(silent) == [f"payload sent at sequence 2, item {first}: expected 1, found 0"]
    cycles = simulation.timestep_cycles + (np.arange(N_TIMESTEPS) == 5)
    [line] = wrong(timestep_cycles=cycles)
    assert line.startswith("end cycle of a timestep at sequence 0, timestep 5:")
    [line] = wrong(result_cycles=simulation.result_cycles - [0, 0, 1])
    assert line.startswith("end cycle at sequence 2:")


def test_other_ends_than_those_of_the_sequences_are_an_error(
    small: list[str], payloads: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a core that is given two sequences where the testbench is told of one."""
    two = to_items(payloads[:2, : N_TIMESTEPS // 2])
    monkeypatch.setattr("tb.simulate.to_items", lambda *_: two)
    with pytest.raises(UserError, match="spikes of 1 sequences of 29 timesteps: the core sent"):
        simulate(
            Path(small[0]), np.repeat(payloads[:1], 2, 1)[:, :29], optimize=FAST, folder=tmp_path
        )


def test_the_commands_run_it(
    small: list[str], payloads: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = copied(small, tmp_path)
    for module in (tb.sim_command, tb.timeline):
        monkeypatch.setattr(module, "build_core_model", partial(build_core_model, optimize=FAST))
    monkeypatch.setattr("tb.sim_command.simulate", partial(simulate, optimize=FAST))
    monkeypatch.setattr("tb.sim_command.save_picture", lambda figure, path: made.append(figure))
    made: list[Figure] = []
    digits = ["--digits", str(N_DIGITS)]
    result = CliRunner().invoke(tb.sim_command.main, [*small, *digits, "--stalls", "3"])
    assert result.exit_code == 0, result.output
    assert ": 0 mismatches" in result.stdout and "the spikes of layer 1\n" in result.stdout
    report = json.loads((Path(small[0]).parent / "report.json").read_text())
    counts = run(load_network(small[2]), payloads).layers[-1].spike_counts
    rate = counts.sum() / (N_DIGITS * N_TIMESTEPS)
    assert 0.2 < rate < N_NEURONS and "accuracy" not in report
    out = report["spikes_out"]
    assert out == pytest.approx({"per_timestep": rate, "share_of_neurons": rate / N_NEURONS})
    shown = f"{rate:.2f} spikes out a timestep ({100 * rate / N_NEURONS:.1f} % of the neurons)"
    assert shown in result.stdout and "the first result" not in result.stdout
    [figure] = made
    assert not faults(figure)
    texts = [text.get_text() for text in texts_of(figure)]
    rate = counts[0].sum() / N_TIMESTEPS
    assert f"what left the core: {rate:.1f} spikes a timestep from 8 neurons" in texts
    assert any("class 7 (28 timesteps" in text for text in texts)
    out = ["--out", str(tmp_path / "timeline"), "--optimize", FAST]
    result = CliRunner().invoke(tb.timeline.main, [*small, *digits, *out])
    assert result.exit_code == 0, result.output
    trace = json.loads((tmp_path / "timeline" / "timeline.json").read_text())["traceEvents"]
    names = [event["name"] for event in trace if event["ph"] == "i"]
    assert names == [f"end of sequence {n}" for n in range(N_DIGITS)]


COMMANDS: dict[str, tuple[click.Command, list[str]]] = {
    "batch": (tb.batch.main, ["--shipped"]),
    "board": (tb.board.main, []),
    "driver": (driver.__main__.main, []),
    "handoff": (handoff.package_command.main, []),
    "board's Verilog": (rtl.verilog.rtl_command.main, ["--top", "ulx3s-85f"]),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_needs_results_refuses_before_it_builds(
    command: str, small: list[str], tmp_path: Path
) -> None:
    main, options = COMMANDS[command]
    small = copied(small, tmp_path)
    folder = Path(small[0]).parent
    (folder / "testset.json").touch()
    (folder / "uart.json").touch()
    before = sorted(folder.rglob("*"))
    given = small[:1] if command == "board's Verilog" else small
    result = CliRunner().invoke(main, [*given, *options])
    assert result.exit_code == 2 and not result.stdout
    assert result.stderr.splitlines()[-1] == (
        "error: network small has no readout, whose results this needs: use a network with one"
    )
    assert sorted(folder.rglob("*")) == before and "building" not in result.stderr
