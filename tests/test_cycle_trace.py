"""`dmp timeline`: its trace and its picture, and that they are of the running Verilog."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import tb.timeline
from golden.cost.spans import KINDS, Span, totals
from golden.cost.timeline import Timeline
from golden.hardware.core import CoreParams
from golden.integer import run
from tb.compare import Comparison
from tb.plot_timeline import BINS, cycles_within, plot_timeline
from tb.simulate import Simulation
from tb.timeline import find_spans, main, shares, trace_events
from tests.networks import draw_network, draw_recurrent
from tests.pictures import faults
from tests.small_core import make_small_core


def make_spans(seed: int, recurrent: bool = False) -> tuple[CoreParams, Timeline]:
    drawn = (draw_recurrent if recurrent else draw_network)(seed)
    core = CoreParams(drawn.network.params, drawn.hardware)
    golden = run(drawn.network, drawn.payloads, block=drawn.hardware.block, trace=True)
    return core, Timeline(core, drawn.payloads, golden.layers)


def check_trace(trace: dict[str, Any], parts: list[str], stop: int) -> dict[str, dict[str, int]]:
    """Check a trace as its format asks: fields, names, slices that are within or after each other.
    Return the cycles of each kind by part.
    """
    events = trace["traceEvents"]
    assert {event["ph"] for event in events} == {"M", "X", "i"}
    names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert list(names.values()) == parts
    [process] = [e for e in events if e["name"] == "process_name"]
    assert process["args"]["name"] == trace["otherData"]["core"]
    found: dict[str, dict[str, int]] = {part: defaultdict(int) for part in parts}
    for thread, part in names.items():
        open_until: list[int] = []
        covered = 0
        slices = [e for e in events if e["ph"] == "X" and e["tid"] == thread]
        for event in sorted(slices, key=lambda e: (e["ts"], -e["dur"])):
            assert {"name", "cat", "pid", "tid", "ts", "dur", "args"} <= set(event)
            assert all(type(event[key]) is int for key in ("ts", "dur", "pid", "tid"))
            start, end = event["ts"], event["ts"] + event["dur"]
            assert event["dur"] > 0
            while open_until and open_until[-1] <= start:
                open_until.pop()
            assert not open_until or end <= open_until[-1], "neither within nor after another"
            open_until.append(end)
            assert len(open_until) <= 2
            if len(open_until) == 1:
                assert start == covered, "every cycle is in one block, or end of a sequence"
                covered = end
            else:
                found[part][event["cat"]] += event["dur"]
        assert covered == stop and sum(found[part].values()) == stop
    return found


@pytest.mark.parametrize(("seed", "recurrent"), [(3, False), (8, False), (0, True)])
def test_a_trace_has_every_cycle_once(seed: int, recurrent: bool) -> None:
    core, timeline = make_spans(seed, recurrent)
    found = find_spans(core, timeline)
    ends = timeline.ends.tolist()
    trace = json.loads(json.dumps(trace_events(core, found, ends)))
    cycles = check_trace(trace, list(core.parts), ends[-1] + 1)
    for part, of_part in found.items():
        expected = {kind: n for kind, n in totals(of_part, 0, ends[-1] + 1).items() if n}
        assert cycles[part] == expected
    results = [e["ts"] for e in trace["traceEvents"] if e["ph"] == "i"]
    assert results == ends


@pytest.mark.parametrize(("seed", "recurrent"), [(3, False), (8, False), (0, True)])
def test_no_texts_overlap_in_the_picture(seed: int, recurrent: bool) -> None:
    core, timeline = make_spans(seed, recurrent)
    found = find_spans(core, timeline)
    figure = plot_timeline(found, "some network")
    assert not faults(figure)
    titles = [axes.get_title() for axes in figure.axes]
    assert [title.split(":")[0] for title in titles[:-1]] == list(core.parts)
    lines = shares(found).splitlines()
    sums = np.array([[float(cell) for cell in line.split()[-len(found) :]] for line in lines[2:]])
    np.testing.assert_allclose(sums.sum(0), 100, atol=0.05)


def test_cycles_within_bins() -> None:
    found = [Span("step", 2, 5, 0, 0), Span("step", 9, 10, 0, 1)]
    edges = np.array([0, 4, 8, 12])
    assert cycles_within(found, edges).tolist() == [2, 1, 1]
    assert cycles_within([], edges).tolist() == [0, 0, 0]
    core, timeline = make_spans(3)
    stop = int(timeline.ends[-1]) + 1
    edges = np.linspace(0, stop, BINS + 1)
    for of_part in find_spans(core, timeline).values():
        by_kind = [
            cycles_within([span for span in of_part if span.kind == kind], edges) for kind in KINDS
        ]
        np.testing.assert_allclose(sum(by_kind), np.diff(edges))


def test_a_core_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sums are what the counters of the running core say; where one says something else, it is
    an error.
    """
    core, arguments = make_small_core(tmp_path)
    out = tmp_path / "out"
    seen: list[Simulation] = []
    simulate = tb.timeline.simulate

    def record(*arguments: Any, **options: Any) -> Simulation:
        seen.append(simulate(*arguments, **options))
        return seen[-1]

    monkeypatch.setattr(tb.timeline, "simulate", record)
    options = [*arguments, "--digits", "2", "--optimize", "-O0", "--out", str(out)]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    assert (out / "timeline.png").read_bytes().startswith(b"\x89PNG")
    trace = json.loads((out / "timeline.json").read_text())
    [simulation] = seen
    stop = int(simulation.result_cycles[-1]) - simulation.first_cycle + 1
    cycles = check_trace(trace, list(core.parts), stop)
    counters = simulation.counters
    for part in core.parts:
        for kind, counter in KINDS.items():
            if counter and kind != "input" and f"{part}.{counter}" in counters:
                assert cycles[part][kind] == counters[f"{part}.{counter}"]
        # The counter goes on before the first item and after the last result.
        waits, later = counters[f"{part}.starved_cycles"], counters["cycles"] - stop
        assert later <= waits - cycles[part]["input"] < later + 200
    starts = {
        part: [
            e["ts"] + simulation.first_cycle
            for e in trace["traceEvents"]
            if e["ph"] == "X" and e["tid"] == tid and e["cat"] == "step"
        ]
        for tid, part in enumerate(core.parts, start=1)
    }
    for part, found in starts.items():
        assert set(simulation.starts(part).ravel().tolist()) <= set(found)

    def count_one_more(comparison: Comparison, simulation: Simulation, found: Any) -> None:
        simulation.counters["layer1.stall_cycles"] += 1
        compare(comparison, simulation, found)

    compare = tb.timeline.compare_counters
    monkeypatch.setattr(tb.timeline, "compare_counters", count_one_more)
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 1 and "error: counter layer1.stall_cycles" in result.stderr
