"""The report: its figures, worked out by hand for a core of one layer, and what `python -m tb` says
to digits that do not fit its core.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from click.testing import CliRunner

from export.manifest import write_core
from export.store import load_stored, save_network
from golden.formats import Fixed
from golden.hardware import CoreParams, HardwareParams
from golden.params import LayerFormats, LayerParams, NetworkParams, ReadoutParams
from tb.__main__ import main
from tb.compare import Comparison
from tb.report import lines, summarize, write_report
from tb.simulate import Simulation

# 2 lanes. Layer 0: 15 neurons in 8 groups, a slow state of 2 that is refreshed every 2 timesteps.
# Readout: 3 classes in 2 groups.
FORMATS = LayerFormats(
    payload=Fixed(8, 8, signed=False), w_f=Fixed(8, 6), w_x=Fixed(8, 6), p=Fixed(8, 6),
    a=Fixed(16, 12), m=Fixed(16, 10), x=Fixed(16, 10), u=Fixed(16, 8),
)  # fmt: skip
CORE = CoreParams(
    NetworkParams("tiny", (LayerParams(7, 15, 2, 2, "subtract", FORMATS),), ReadoutParams(15, 3)),
    HardwareParams(lanes=2, trace=True),
)
# Two sequences of three timesteps.
RECEIVED = np.array([[3, 0, 7], [5, 6, 1]])
SENT = np.array([[1, 0, 4], [2, 0, 6]])
# A group takes as many steps as there are events, but at least d + 2 = 4 in timesteps 0 and 2 (a
# refresh) and 1 in timestep 1 (the leak); in the readout at least 1.
GROUP_STEPS = np.array([[4, 1, 7], [5, 6, 4]])
READOUT_STEPS = np.array([[1, 1, 4], [2, 1, 6]])
STARTS = np.array([[10, 50, 70], [130, 175, 230]])
RESULTS = np.array([150, 310])


def fake_simulation(**changes: Any) -> Simulation:
    values: dict[str, Any] = {
        "core": CORE,
        "n_sequences": 2,
        "n_timesteps": 3,
        "classes": np.array([1, 2]),
        "starts": lambda part: {"layer0": STARTS}[part],
        "result_cycles": RESULTS,
        "stalls_seed": None,
        "counters": {"layer0.busy_cycles": 240, "readout.busy_cycles": 60},
        "errors": {},
        "seconds": 1.234,
        "verilog": Path("tiny.v"),
    }
    return cast(Simulation, SimpleNamespace(**values | changes))


def summary_of(**changes: Any) -> dict[str, Any]:
    comparison = Comparison(values_compared=99, mismatches=1, first=["x"], events=[RECEIVED, SENT])
    return summarize(fake_simulation(**changes), comparison, np.array([1, 7]))


def test_the_figures_are_those_worked_out_by_hand() -> None:
    summary = summary_of()
    assert (summary["digits"], summary["timesteps"], summary["lanes"]) == (2, 6, 2)
    assert summary["accuracy"] == 0.5
    assert (summary["values_compared"], summary["mismatches"]) == (99, 1)
    assert summary["events_per_timestep"] == pytest.approx({"layer0": 22 / 6, "readout": 13 / 6})
    cycles = summary["cycles_per_timestep"]
    assert cycles["measured"] == {"layer0": 240 / 6, "readout": 60 / 6}
    # 8 groups of those steps, but 11 cycles where they take 8: one multiplier takes 3 for each of
    # the 2 rows of the slow state, and its pipeline 5. 2 groups of those steps, and 4 to drain.
    assert 8 * GROUP_STEPS.sum() == 216 and 2 * READOUT_STEPS.sum() + 6 * 4 == 54
    assert cycles["predicted"] == {"layer0": (216 - 8 + 11) / 6, "readout": 54 / 6}
    # From start to start: 40, 20, 45, 55; 8 groups of 4, 1, 5, 6 steps, and the slack of 8.
    assert summary["slowest_layer"] == {
        "layer": "layer0",
        "cycles_per_timestep": 160 / 4,
        "bound": (40 + 16 + 48 + 56) / 4,
    }
    # 2 lanes for 310 - 10 cycles; 15 neurons for 27 steps, 3 classes for 15.
    assert summary["utilisation"] == {"layer0": 15 * 27 / 600, "readout": 3 * 15 / 600}
    # 4 groups of 4 neurons: events, spikes, 6 + 3 * 4, and the larger of the two paths.
    released = [3 + 1 + 18 + 13, 1 + 1 + 18 + 13, 7 + 4 + 18 + 29,
                5 + 2 + 18 + 21, 6 + 1 + 18 + 25, 1 + 6 + 18 + 13]  # fmt: skip
    assert summary["released_rtl_cycles_per_timestep"] == pytest.approx(sum(released) / 6)
    # 2 lanes with two multipliers each (events are graded), one for the state, one for the drive.
    assert summary["multipliers"] == 2 * 2 + 1 + 1
    words = summary["memory_words_per_timestep"]
    assert words["layer0.w_f.read"] == pytest.approx(8 * 22 / 6)
    assert words["layer0.p.read"] == 8 * 3 * 4 / 6 and words["readout.w_o.read"] == 2 * 13 / 6
    assert summary["microseconds_per_digit"] == (310 - 150) / 100
    assert summary["latency_microseconds"] == (150 - 10) / 100


def test_one_digit_takes_as_long_as_its_result() -> None:
    comparison = Comparison(events=[RECEIVED[:1], SENT[:1]])
    simulation = fake_simulation(
        n_sequences=1, classes=np.array([1]), result_cycles=RESULTS[:1],
        starts=lambda part: STARTS[:1],
    )  # fmt: skip
    summary = summarize(simulation, comparison, np.array([1]))
    assert summary["microseconds_per_digit"] == summary["latency_microseconds"] == 1.4


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
        "released_rtl_cycles_per_timestep",
    } <= set(report)
    for key in ("measured", "predicted"):
        assert set(report["cycles_per_timestep"][key]) == {"layer0", "readout"}
    assert set(report["utilisation"]) == {"layer0", "readout"}
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]


def test_what_is_printed_is_what_is_reported() -> None:
    printed = lines(summary_of(), Path("report.json"), Path("report.png"))
    text = "\n".join(printed)
    assert "2 of 3 timesteps, accuracy 50.0 %" in text and "99 values" in text
    rows = [line.split() for line in printed]
    assert ["layer0", "3.67", "40.00", "36.50", "67.5", "%"] in rows
    assert ["readout", "2.17", "10.00", "9.00", "7.5", "%"] in rows
    assert "40.00 cycles from start to start; G*max(S, d+2)+8 = 40.00" in text
    assert "43.33 cycles (closed form)" in text and "1.6 us a digit at 100 MHz" in text


@pytest.mark.parametrize("shipped", [True, False])
def test_digits_that_do_not_fit_the_core_are_refused_before_the_build(
    tmp_path: Path, shipped: bool
) -> None:
    network, facts = load_stored("rows")
    own = tmp_path / "own"
    save_network(network, own, replace(facts, data="smnist"))
    core = CoreParams(network.params, HardwareParams(8, trace=True))
    manifest = write_core(network, core, tmp_path / "core")
    before = sorted(manifest.parent.iterdir())
    chosen = "smnist" if shipped else str(own)
    result = CliRunner().invoke(main, [str(manifest), "--network", chosen])
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr == (
        f"error: smnist digits have 1 input a timestep, but the core of {manifest} has 28: check"
        " --network, and 'data' in its network.json\n"
    )
    assert sorted(manifest.parent.iterdir()) == before
