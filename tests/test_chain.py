"""Chains of cores in Verilog, within their standard tops: results, cycles, counters and flags are
golden's, also of the whole network before the cut; what cannot be chained is one line.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dmp_core import chain_command
from dmp_core.__main__ import main
from export.core import write_core
from export.store import OWN, Card, load_stored, save_network
from golden.cost.activity import Activity
from golden.cost.block_rams import core_block_rams
from golden.data.synthetic import draw_layers
from golden.errors import UserError
from golden.formats import GRADED, SPIKE
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import NetworkIntegers, run
from golden.split import split
from rtl.verilog.generate import generate_axi
from tb.chain import Chain, ChainRun, check_chain, compare_chain, simulate_chain
from tb.chain_report import chain_lines, summarize_chain
from tests.networks import draw_network


def make_chain(
    parts: Sequence[NetworkIntegers], hardware: Sequence[HardwareParams], folder: Path
) -> Chain:
    manifests = []
    for part, of in zip(parts, hardware, strict=True):
        core = CoreParams(part.params, of)
        manifests.append(write_core(part, core, folder / part.params.name))
        generate_axi(manifests[-1])
    return Chain.read(manifests)


def run_chain(chain: Chain, payloads: np.ndarray, folder: Path) -> tuple[list[Activity], ChainRun]:
    return chain.golden(payloads), simulate_chain(chain, payloads, folder, optimize="-O0")


@pytest.mark.parametrize(
    ("seed", "at", "blocks"),
    [
        (4, (1, 2), (2, 1, 4)),
        pytest.param(4, (2,), (2, 2), marks=pytest.mark.long),
        pytest.param(2, (1,), (1, 8), marks=pytest.mark.long),
        pytest.param(2, (1, 2), (4, 4, 2), marks=pytest.mark.long),
    ],
)
def test_a_chain_says_what_the_whole_network_says_in_the_predicted_cycles(
    seed: int, at: tuple[int, ...], blocks: tuple[int, ...], tmp_path: Path
) -> None:
    """Each core with timesteps a block and lanes of its own."""
    drawn = draw_network(seed, max_neurons=20, max_inputs=14)
    parts = split(drawn.network, *at)
    hardware = [
        replace(drawn.hardware, block=block, lanes=2 + place, access_counters=block > 1)
        for place, block in enumerate(blocks)
    ]
    chain = make_chain(parts, hardware, tmp_path)
    activities, ran = run_chain(chain, drawn.payloads, tmp_path)
    whole = run(drawn.network, drawn.payloads)
    assert (whole.logits == ran.logits).all() and (whole.classes == ran.classes).all()
    assert all(activity.run.layers[-1].spike_counts.any() for activity in activities)
    comparison = compare_chain(chain, activities, ran)
    assert comparison.first == [] and comparison.values_compared > 60
    summary = summarize_chain(chain, activities, ran, comparison)
    latency, pace = summary["latency"], summary["cycles_per_timestep"]
    assert latency["predicted"] == latency["simulated"] == ran.ends[0] + 1
    assert pace["predicted"] == pace["simulated"] and summary["differences"] == 0
    priced = [row["cycles_per_timestep"] for row in summary["cores"]]
    assert priced[summary["bound"]] == max(priced) <= pace["simulated"]
    shown = "\n".join(chain_lines(summary))
    assert f"{latency['simulated']} cycles for a sequence" in shown and "0 differences" in shown

    wrong = replace(
        ran, logits=ran.logits + 1, ends=ran.ends + [0, 1],
        read=ran.read | {"1.layer0.spikes": 0, "0.ERROR0": ran.read["0.ERROR0"] ^ 1},
    )  # fmt: skip
    told = " ".join(compare_chain(chain, activities, wrong).first)
    assert "logits at" in told and "result cycle at sequence 1" in told
    assert "counter 1.layer0.spikes" in told and "error flag 0.layer0.out_of_range" in told


def test_the_command_cuts_makes_and_compares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain_command, "simulate_chain", partial(simulate_chain, optimize="-O0"))

    def dmp(*arguments: str | Path) -> str:
        done = CliRunner().invoke(main, list(map(str, arguments)))
        assert done.exit_code == 0, done.output
        return done.output

    sizes = ("--neurons", 6, "--layers", 2, "--state", 2, "--inputs", 9, "--classes", 3)
    dmp("draw", "tiny", *map(str, sizes), "--rate", "2", "--out", tmp_path / "tiny")
    dmp("split", tmp_path / "tiny", "1", "--sequences", "2", "--out", tmp_path)
    parts = [tmp_path / f"tiny_{place}" for place in (0, 1)]
    said = dmp("chain", *parts, "--lanes", "1", "--digits", "1", "--out", tmp_path / "cores")
    assert " 0 differences" in said and "->" in said
    report = json.loads((tmp_path / "cores" / "tiny_1" / "chain.json").read_text())
    assert report["sequences"] == 1 and report["latency"]["simulated"] > 1000
    made = [tmp_path / "cores" / part.name / "manifest.json" for part in parts]
    again = dmp("chain", *made, "--digits", "1")
    assert again.split("bound")[1] == said.split("bound")[1]
    done = CliRunner().invoke(main, ["chain", *map(str, made), "--lanes", "2"])
    assert done.exit_code == 2 and f"--lanes with {made[0]}: that core is made" in done.output


def test_parts_are_stored_with_what_the_part_before_sends(tmp_path: Path) -> None:
    network, card = load_stored("rows")
    done = CliRunner().invoke(main, ["split", "rows", "1", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert not (tmp_path / "rows_0" / OWN).exists(), "it takes the shipped digits"
    with np.load(tmp_path / "rows_1" / OWN) as stored:
        assert stored["payloads"].shape == (20, 28, network.params.layers[0].n_neurons)
        assert stored["labels"].shape == (20,)
    _, second = load_stored(tmp_path / "rows_1")
    assert second.events_per_step == card.events_per_step[1:] and second.data == "spikes"


def test_a_network_is_cut_into_any_number_of_parts() -> None:
    network = draw_layers("four", (5, 6, 7, 8, 9), 2, 3, seed=0, payload=SPIKE)
    parts = split(network, 1, 3)
    assert [part.params.widths for part in parts] == [(5, 6), (6, 7, 8), (8, 9)]
    assert [part.params.name for part in parts] == ["four_0", "four_1", "four_2"]
    assert [part.params.output is None for part in parts] == [True, True, False]
    for wrong in ((0,), (4,), (2, 2), (3, 1), (1, 9)):
        with pytest.raises(UserError, match=f"split four before layer {wrong[0]}.* has 4 layers"):
            split(network, *wrong)


def test_what_cannot_be_chained_is_one_line(tmp_path: Path) -> None:
    rows = load_stored("rows")[0]
    network = draw_layers("three", (5, 6, 7, 8), 2, 3, seed=0, payload=SPIKE)
    first, second, third = split(network, 1, 2)
    graded = draw_layers("graded", (6, 5), 2, 3, seed=0, payload=GRADED)
    for part in (first, second, third, graded):
        card = Card("", 1, 0, 0.0, 0.0, 0, [])
        save_network(part, tmp_path / part.params.name, card)

    def refused(*names: str, options: Sequence[str] = ()) -> str:
        folders = [str(tmp_path / name) for name in names]
        done = CliRunner().invoke(main, ["chain", *folders, *options, "--out", str(tmp_path)])
        assert done.exit_code == 2 and done.output.count("\n") == 1, done.output
        return done.output

    assert "a chain of 1 cores: use 2 to 16" in refused("three_2")
    assert "three_2 has a readout, and another core follows" in refused("three_2", "three_2")
    assert "three_1 is the last core and has no readout" in refused("three_0", "three_1")
    said = refused("three_0", "three_2")
    assert "three_0 sends the spikes of 6 neurons, but three_2 has 7 inputs" in said
    assert "graded takes graded inputs (u8.8), but three_0 sends" in refused("three_0", "graded")
    fit = refused("three_0", "three_1", "three_2", options=["--fit"])
    assert f"run dmp fit {tmp_path}/three_0 first" in fit
    with pytest.raises(UserError, match="use 2 to 16"):
        check_chain([CoreParams(rows.params)] * 17)


@pytest.mark.long
def test_two_cores_hold_what_one_ecp5_cannot(tmp_path: Path) -> None:
    """A network that needs more block RAMs than an ECP5-85F has; each half within its budget."""

    def dmp(*arguments: str | Path) -> str:
        done = CliRunner().invoke(main, list(map(str, arguments)))
        assert done.exit_code == 0, done.output
        return done.output

    budget = ("--multipliers", "156", "--block-rams", "208")
    dmp(
        "draw", "big", "--inputs", "140", "--neurons", "400", "--layers", "4", "--state", "16",
        "--classes", "20", "--rate", "20", "--out", tmp_path / "big",
    )  # fmt: skip
    whole = load_stored(tmp_path / "big")[0].params
    few = min(core_block_rams(CoreParams(whole, HardwareParams(lanes))) for lanes in range(1, 33))
    assert few > 208
    dmp("split", tmp_path / "big", "2", "--out", tmp_path)
    parts = [tmp_path / f"big_{place}" for place in (0, 1)]
    for part in parts:
        dmp("fit", part, *budget, "--out", tmp_path / "cores" / part.name)
    said = dmp("chain", *parts, "--fit", "--digits", "2", "--out", tmp_path / "cores")
    assert " 0 differences" in said
    report = json.loads((tmp_path / "cores" / "big_1" / "chain.json").read_text())
    assert all(row["block_rams_estimated"] <= 208 for row in report["cores"])
