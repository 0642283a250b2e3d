"""The report: its figures, worked out by hand for a core of one layer, and what `dmp sim` says
to digits that do not fit its core.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from click.testing import CliRunner

from export.core import write_core
from export.store import load_stored, save_network
from golden.blocks import block_lengths
from golden.cost.part_timeline import Turn
from golden.cost.timeline import Timeline
from golden.formats import Fixed
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.params import LayerFormats, LayerParams, NetworkParams
from golden.readout_params import ReadoutParams
from tb.compare import Comparison
from tb.report import summarize, utilisation, write_report
from tb.report_text import describe, lines
from tb.sim_command import main
from tb.simulate import Simulation
from tests.spoken import make_spoken

# 2 lanes, 2 timesteps at once, 2 products a cycle. Layer 0: 15 neurons in 8 groups, a slow state of
# 2 that is refreshed every 2 timesteps. Readout: 3 classes in 2 groups.
FORMATS = LayerFormats(
    payload=Fixed(8, 8, signed=False), w_f=Fixed(8, 6), w_x=Fixed(8, 6), p=Fixed(8, 6),
    a=Fixed(16, 12), m=Fixed(16, 10), x=Fixed(16, 10), u=Fixed(16, 8),
)  # fmt: skip
CORE = CoreParams(
    NetworkParams("tiny", (LayerParams(7, 15, 2, 2, "subtract", FORMATS),), ReadoutParams(15, 3)),
    HardwareParams(lanes=2, block=2, products_per_cycle=2, trace=True),
)
# Two sequences of three timesteps: blocks of two and of one.
RECEIVED = np.array([[3, 0, 7], [5, 6, 1]])
SENT = np.array([[1, 0, 4], [2, 0, 6]])
ADDRESSES = np.array([[3, 7], [7, 1]])
FIRED = np.array([[1, 4], [2, 6]])
# A group takes as many steps as there are addresses, but at least 4: two neurons share a unit of
# the neuron stage, in each timestep. In the readout at least 2, a timestep each.
GROUP_STEPS = np.array([[4, 7], [7, 4]])
READOUT_STEPS = np.array([[2, 4], [2, 6]])
STARTS = np.array([[10, 50], [130, 190]])
RESULTS = np.array([150, 310])
# What layer 0 does meanwhile: in the first block it waits 2 cycles for room, then 2 for its list, 3
# for its slow states, and one to start; in the third block 3 for its slow states, and one to start.
TURNS = [
    Turn(0, 0, ready=0, opened=7, decided=9, first=10, last=43, stalls=((30, 32),)),
    Turn(0, 1, ready=43, opened=46, decided=49, first=50, last=105, stalls=()),
    Turn(0, None, ready=105, opened=106, decided=106, first=107, last=107, stalls=()),
    Turn(1, 0, ready=107, opened=120, decided=129, first=130, last=185, stalls=()),
    Turn(1, 1, ready=185, opened=180, decided=189, first=190, last=221, stalls=()),
    Turn(1, None, ready=221, opened=222, decided=222, first=223, last=223, stalls=()),
]
TIMELINE = SimpleNamespace(turns=[TURNS], starts=[STARTS], ends=RESULTS)
# `cycles` is counter 0, the cycles of layer 0 without input counter 5, those of the readout counter
# 20: read 3 * 5 and 3 * 20 cycles later, in which both have none. The readout is stalled for longer
# than it has input: most of that it is counted as without input, too.
COUNTERS = {
    "cycles": 1000,
    "layer0.timesteps": 6, "layer0.busy_cycles": 180,
    "layer0.starved_cycles": 785 + 15, "layer0.stall_cycles": 15,
    "readout.timesteps": 6, "readout.busy_cycles": 28,
    "readout.starved_cycles": 920 + 60, "readout.stall_cycles": 700,
}  # fmt: skip


def fake_simulation(**changes: Any) -> Simulation:
    values: dict[str, Any] = {
        "core": CORE,
        "n_sequences": 2,
        "n_timesteps": 3,
        "classes": np.array([1, 2]),
        "starts": lambda part: {"layer0": STARTS}[part],
        "result_cycles": RESULTS,
        "stalls_seed": None,
        "counters": COUNTERS,
        "errors": {},
        "seconds": 1.234,
        "verilog": Path("tiny.v"),
        "reports": (),
    }
    values |= changes
    lengths = block_lengths(values["n_timesteps"], values["core"].hardware.block, values["reports"])
    return cast(Simulation, SimpleNamespace(lengths=lengths, **values))


def summary_of(labels: Sequence[int] = (1, 7), **changes: Any) -> dict[str, Any]:
    comparison = Comparison(
        values_compared=99, mismatches=1, first=["x"], events=[RECEIVED, SENT],
        addresses=[ADDRESSES, FIRED], accesses={"layer0.w_f_reads": 120, "readout.w_o_reads": 28},
        timeline=cast(Timeline, TIMELINE),
    )  # fmt: skip
    return summarize(fake_simulation(**changes), comparison, np.array(labels))


def test_what_a_core_does_not_count_is_said_to_be_so() -> None:
    hardware = replace(CORE.hardware, access_counters=False, counters="none")
    summary = summary_of(core=CoreParams(CORE.network, hardware), counters={})
    assert summary["cycles_per_timestep"]["measured"] == summary["utilisation"] == {}
    assert summary["cycles_per_timestep"]["predicted"]["layer0"] > 0
    text = "\n".join(lines(summary, Path("report.json"), Path("report.png")))
    assert re.search(r"layer0 .* not counted +[\d.]+", text), text


def test_the_figures_are_those_worked_out_by_hand() -> None:
    summary = summary_of()
    assert (summary["digits"], summary["timesteps"], summary["lanes"]) == (2, 6, 2)
    hardware = ("block", "events_per_cycle", "products_per_cycle")
    assert [summary[name] for name in hardware] == [2, 1, 2]
    assert summary["accuracy"] == 0.5
    assert (summary["values_compared"], summary["mismatches"]) == (99, 1)
    assert summary["events_per_timestep"] == pytest.approx({"layer0": 22 / 6, "readout": 13 / 6})
    cycles = summary["cycles_per_timestep"]
    assert cycles["measured"] == {"layer0": 180 / 6, "readout": 28 / 6}
    predicted = {"layer0": 8 * GROUP_STEPS.sum() / 6, "readout": 2 * READOUT_STEPS.sum() / 6}
    assert cycles["predicted"] == predicted
    # From start to start of the blocks of two timesteps: 40 and 60; 8 groups of 4 and 7 steps.
    slowest = summary["slowest_layer"]
    assert slowest == {
        "layer": "layer0",
        "cycles_per_timestep": (40 + 60) / 2 / 2,
        "bound": (8 * 4 + 8 * 7) / 2 / 2,
        "waits": {
            "input": 2 / 4,
            "state": 6 / 4,
            "room": 2 / 4,
            "drain": 0,
            "results": 0,
            "turn": 2 / 4,
        },
    }
    assert slowest["cycles_per_timestep"] == slowest["bound"] + sum(slowest["waits"].values())
    # 1000 - 785 - 15 cycles with work to do, 15 neurons on the 16 lanes of 8 groups; and 1000 -
    # 920, 3 classes on 4.
    assert summary["utilisation"] == pytest.approx(
        {"layer0": 180 / 200 * 15 / 16, "readout": 28 / 80 * 3 / 4}
    )
    # 2 lanes, 2 timesteps: 4 for graded events; 4 for two products a lane in the first timestep,
    # the one that is refreshed; one for the leak of a lane after the other, for the state's update
    # and for the drive.
    assert summary["multipliers"] == 4 + 4 + 1 + 1 + 1
    assert summary["accesses_per_timestep"] == {"layer0.w_f_reads": 20, "readout.w_o_reads": 28 / 6}
    assert summary["spike_weights_per_timestep"] == 20 * 2
    # 4 groups of 4 neurons: events, spikes, 6 + 3 * 4, and the larger of the two paths; 4 weights
    # for each event and group; 4 + 4 + d multipliers.
    cycles = sum([3 + 1 + 18 + 13, 1 + 1 + 18 + 13, 7 + 4 + 18 + 29,
                  5 + 2 + 18 + 21, 6 + 1 + 18 + 25, 1 + 6 + 18 + 13]) / 6  # fmt: skip
    weights = 4 * 4 * 22 / 6
    assert summary["released_rtl"] == pytest.approx(
        {
            "cycles_per_timestep": cycles,
            "multipliers": 10,
            "spike_weights_per_timestep": weights,
            "cycles_ratio": cycles / 25,
            "multipliers_ratio": 10 / 11,
            "spike_weights_ratio": weights / 40,
        }
    )
    assert summary["microseconds_per_digit"] == (310 - 150) / 100
    assert summary["latency_microseconds"] == (150 - 10) / 100


def test_a_report_makes_the_block_shorter_that_it_closes() -> None:
    """After the first timestep: from start to start of the blocks there is one, not two."""
    summary = summary_of(reports=(1,))
    slowest = summary["slowest_layer"]
    assert summary["reports_per_digit"] == 1 and summary_of()["reports_per_digit"] == 0
    assert slowest["cycles_per_timestep"] == (40 + 60) / 2
    assert slowest["bound"] == (8 * 4 + 8 * 7) / 2
    printed = "\n".join(lines(summary, Path("report.json"), Path("report.png")))
    assert "2 of 3 timesteps and 1 report, accuracy" in printed


def test_utilisation_of_several_runs_is_that_of_all_their_cycles() -> None:
    """A second run of layer 0: 100 cycles with work to do, of which 50 are steps."""
    second = COUNTERS | {
        "cycles": 400, "layer0.busy_cycles": 50, "layer0.starved_cycles": 295 + 15,
        "layer0.stall_cycles": 5,
    }  # fmt: skip
    counters = {name: np.array([COUNTERS[name], second[name]]) for name in COUNTERS}
    assert utilisation(CORE, counters)["layer0"] == pytest.approx(230 / 300 * 15 / 16)


def test_one_digit_takes_as_long_as_its_result() -> None:
    """And one block has no other to reach."""
    comparison = Comparison(
        events=[RECEIVED[:1, :2], SENT[:1, :2]], addresses=[ADDRESSES[:1, :1], FIRED[:1, :1]],
        accesses={"layer0.w_f_reads": 0},
    )  # fmt: skip
    simulation = fake_simulation(
        n_sequences=1, n_timesteps=2, classes=np.array([1]), result_cycles=RESULTS[:1],
        starts=lambda part: STARTS[:1, :1],
    )  # fmt: skip
    summary = summarize(simulation, comparison, np.array([1]))
    assert summary["microseconds_per_digit"] == summary["latency_microseconds"] == 1.4
    assert summary["slowest_layer"] == {
        "layer": "layer0", "cycles_per_timestep": None, "bound": None, "waits": None
    }  # fmt: skip
    assert summary["released_rtl"]["cycles_ratio"] is None
    assert summary["released_rtl"]["spike_weights_ratio"] is None
    text = "\n".join(lines(summary, Path("report.json"), Path("report.png")))
    rows = [line.split() for line in text.splitlines()]
    assert "slowest" not in text and ["cycles", "a", "timestep", "-", "34.00", "-"] in rows
    assert [row[-1] for row in rows if row[:1] == ["weights"]] == ["-"]


def test_the_report_has_what_it_must_have(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_report(summary_of(), path)
    report = json.loads(path.read_text())
    assert {
        "digits",
        "accuracy",
        "values_compared",
        "mismatches",
        "cycles_per_timestep",
        "utilisation",
        "accesses_per_timestep",
        "released_rtl",
    } <= set(report)
    for key in ("measured", "predicted"):
        assert set(report["cycles_per_timestep"][key]) == {"layer0", "readout"}
    assert set(report["utilisation"]) == {"layer0", "readout"}
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]


def test_nothing_is_said_of_accuracy_without_labels() -> None:
    """Also where what the core found is -1 as well."""
    summary = summary_of(labels=(-1, -1), classes=np.array([-1, -1]))
    assert summary["accuracy"] is None
    assert "2 of 3 timesteps, no labels" in "\n".join(lines(summary, Path("a"), Path("b")))


def test_what_is_printed_is_what_is_reported() -> None:
    printed = lines(summary_of(), Path("report.json"), Path("report.png"))
    text = "\n".join(printed)
    assert "2 of 3 timesteps, accuracy 50.0 %" in text and "99 values" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["layer0", "3.67", "30.00", "29.33", "84.4", "%"] in rows
    assert ["readout", "2.17", "4.67", "4.67", "26.2", "%"] in rows
    assert "layer0, 25.00 cycles from the start of a block to the next one's" in text
    steps = "steps, at least: G * max(ceil(S/E), ceil((d+1)/K), O) / T"
    waits = ["for room at the next layer", "for input", "for slow states"]
    at = next(i for i, line in enumerate(printed) if line.startswith("  slowest"))
    assert [line.split(None, 1) for line in printed[at + 1 : at + 6]] == [
        ["22.00", steps],
        *(
            [cycles, f"waits {what}"]
            for cycles, what in zip(("0.50", "0.50", "1.50"), waits, strict=True)
        ),
        ["0.50", "starts, after a wait"],
    ]
    assert max(map(len, text.splitlines())) <= 80
    assert ["cycles", "a", "timestep", "25.00", "43.33", "1.73x"] in rows
    assert [row[-3:] for row in rows if row[:1] == ["weights"]] == [["40.00", "58.67", "1.47x"]]
    assert ["multipliers", "11", "10", "0.91x"] in rows
    assert "1.6 us a sequence at 100 MHz" in text
    stalled = "\n".join(lines(summary_of(stalls_seed=3), Path("report.json"), Path("report.png")))
    assert "gaps on the streams" in stalled and "slowest" not in stalled
    assert ["cycles", "a", "timestep", "-", "43.33", "-"] in [
        line.split() for line in stalled.splitlines()
    ]


def test_a_core_is_described_with_its_hardware() -> None:
    assert max(map(len, describe(CORE))) <= 80
    text = " ".join(" ".join(describe(CORE)).split())
    assert "tiny on 2 lanes, 2 timesteps at once, 1 event and 2 products a cycle" in text
    assert (
        "11 multipliers" in text
        and "15 neurons, slow state of 2, refreshed every 2 timesteps" in text
    )
    shipped = CoreParams(load_stored("smnist")[0].params, HardwareParams(8))
    text = " ".join(" ".join(describe(shipped)).split())
    assert "1 input (" in text and "slow state of 40, refreshed every timestep, 28 groups" in text


def test_a_recurrent_layer_is_described_and_bounded() -> None:
    """The layer without its slow state, a timestep at a time: 8 groups of 3 and 7 steps count, as
    the last ones reach no next timestep. What its own spikes take is a wait for input.
    """
    layer = LayerParams(7, 15, 0, formats=FORMATS, recurrent=True)
    network = NetworkParams("tiny", (layer,), ReadoutParams(15, 3))
    core = CoreParams(network, HardwareParams(lanes=2, trace=True))
    assert "15 neurons, recurrent, 8 groups" in "\n".join(describe(core))
    slowest = summary_of(core=core, n_timesteps=2)["slowest_layer"]
    assert slowest["bound"] == 8 * (3 + 7) / 2


@pytest.mark.parametrize("shipped", [True, False])
def test_sequences_that_do_not_fit_the_core_are_refused_before_the_build(
    tmp_path: Path, shipped: bool
) -> None:
    network, card = load_stored("rows")
    own = tmp_path / "own"
    save_network(network, own, replace(card, data="smnist"))
    core = CoreParams(network.params, HardwareParams(8, trace=True))
    manifest = write_core(network, core, tmp_path / "core")
    before = sorted(manifest.parent.iterdir())
    chosen = "smnist" if shipped else str(own)
    result = CliRunner().invoke(main, [str(manifest), "--network", chosen])
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr == (
        f"error: the sequences have 1 input a timestep, but the core of {manifest} has 28: check"
        " --network, --data, and 'data' in its card.json\n"
    )
    assert sorted(manifest.parent.iterdir()) == before


def refused(arguments: list[str]) -> str:
    """Return the one line in which `dmp sim` refuses."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2 and result.stdout == "" and result.stderr.count("\n") == 1
    return result.stderr


def test_sequences_that_are_not_there_are_refused(tmp_path: Path) -> None:
    """Of a network for spoken digits, none of which are shipped."""
    network, card = load_stored("rows")
    own = tmp_path / "own"
    save_network(network, own, replace(card, data="spoken"))
    core = CoreParams(network.params, HardwareParams(8, trace=True))
    arguments = [str(write_core(network, core, tmp_path / "core")), "--network", str(own)]
    assert "no sequences of spoken are shipped: set --data to a file" in refused(arguments)
    arguments += ["--data", str(tmp_path)]
    assert "has no fsdd*140x100*.npz" in refused(arguments)
    make_spoken(tmp_path)
    assert "--digits 20: there are 12\n" in refused([*arguments, "--digits", "20"])
    assert "the sequences have 140 inputs a timestep, but the core of" in refused(arguments)
    assert "--digits 201: there are 200" in refused([*arguments[:1], "--digits", "201"])
