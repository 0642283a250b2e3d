"""`dmp timeline`: where every cycle of a core went, as a picture and as a trace for
Perfetto.

The core runs in its Verilog. In which cycle each part starts each block is read from its trace
ports; what it does in between is golden's (`golden.cost.spans`), and held against every counter of
the core that counts such cycles.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from golden.command_line import Command, Count
from golden.cost.spans import KINDS, Span, spans, totals
from golden.cost.timeline import Timeline
from golden.errors import report_user_errors
from golden.hardware.core import CoreParams
from golden.picture import save_picture
from golden.table import table
from tb.cocotb_core import COUNTER_CYCLES
from tb.compare import Comparison, compare
from tb.drivers import build_core_model
from tb.plot_timeline import NAMES, plot_timeline
from tb.report import write_report
from tb.report_text import describe_hardware
from tb.sequences import find_sequences, sequence_options
from tb.simulate import Simulation, simulate


def find_spans(core: CoreParams, timeline: Timeline) -> dict[str, list[Span]]:
    """Return what every part does in every cycle from the first item to the last one sent."""
    stop = int(timeline.ends[-1]) + 1
    return {
        name: spans(turns, stop) for name, turns in zip(core.parts, timeline.turns, strict=True)
    }


def compare_counters(
    comparison: Comparison, simulation: Simulation, found: Mapping[str, Sequence[Span]]
) -> None:
    """Compare the cycles of every kind with the counters of a run without gaps.

    The counters also have the cycles before the first item and after the last one sent, in which
    every part waits for input.
    """
    core, counters = simulation.core, simulation.counters
    for name, of_part in found.items() if core.hardware.counters == "all" else ():
        stop = of_part[-1].stop
        did = totals(of_part, 0, stop)
        until_read = COUNTER_CYCLES * core.counters.index(f"{name}.starved_cycles")
        did["input"] += counters["cycles"] - stop + until_read
        for kind, counter in KINDS.items():
            if counter and (counted := f"{name}.{counter}") in counters:
                expected, found_ = np.array([did[kind]]), np.array([counters[counted]])
                comparison.add(f"counter {counted}", expected, found_, ("place",))


def trace_events(
    core: CoreParams, found: Mapping[str, Sequence[Span]], ends: Sequence[int]
) -> dict[str, Any]:
    """Return a trace in Chrome's format, which Perfetto opens: a thread a part, in it a slice for
    every block and every end of a sequence, and within these a slice for every span; and an instant
    for every result, or end of a sequence that leaves, at its cycle in `ends`. A cycle is shown as
    a microsecond.
    """
    title = f"{core.network.name} on {describe_hardware(core.hardware)}"
    events: list[dict[str, Any]] = [_named("process_name", 0, title)]
    for thread, (name, of_part) in enumerate(found.items(), start=1):
        events += [
            _named("thread_name", thread, name),
            {"ph": "M", "name": "thread_sort_index", "pid": 1, "tid": thread,
             "args": {"sort_index": thread}},
        ]  # fmt: skip
        for outer in _turns(of_part):
            events.append(_slice(thread, outer, _turn_name(outer), "turn"))
        events += [_slice(thread, span, NAMES[span.kind], span.kind) for span in of_part]
    what = "end" if core.network.output is None else "result"
    for sequence, end in enumerate(ends):
        events.append(
            {"ph": "i", "s": "t", "name": f"{what} of sequence {sequence}", "pid": 1,
             "tid": len(found), "ts": int(end)}
        )  # fmt: skip
    return {
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {"core": title, "a microsecond": "is a cycle"},
    }


def _named(kind: str, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": 1, "tid": thread, "args": {"name": name}}


def _turns(of_part: Sequence[Span]) -> list[Span]:
    """Return one span for all that belong to a block, or to the end of a sequence."""
    found: list[Span] = []
    for span in of_part:
        place = span.sequence, span.block
        if found and (found[-1].sequence, found[-1].block) == place:
            found[-1] = Span("", found[-1].start, span.stop, *place)
        else:
            found.append(Span("", span.start, span.stop, *place))
    return found


def _turn_name(span: Span) -> str:
    return "end of sequence" if span.block is None else f"block {span.block}"


def _slice(thread: int, span: Span, name: str, category: str) -> dict[str, Any]:
    return {
        "ph": "X", "name": name, "cat": category, "pid": 1, "tid": thread, "ts": span.start,
        "dur": span.stop - span.start, "args": {"sequence": span.sequence, "block": span.block},
    }  # fmt: skip


def shares(found: Mapping[str, Sequence[Span]]) -> str:
    """Return a table of where the cycles of each part went, in percent."""
    sums = [totals(of_part, 0, of_part[-1].stop) for of_part in found.values()]
    lines = (
        (NAMES[kind], *(f"{100 * of[kind] / sum(of.values()):.2f}" for of in sums))
        for kind in KINDS
        if any(of[kind] for of in sums)
    )
    return table(("% of the cycles", *found), lines, left=[0])


@click.command(cls=Command, context_settings={"show_default": True})
@sequence_options(2)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of timeline.json and timeline.png [default: beside the manifest]",
)
@click.option("--optimize", default="-O2", help="The C++ compiler's option for the model")
@report_user_errors
def main(
    manifest: Path,
    count: Count,
    network: str | None,
    data: Path | None,
    out: Path | None,
    optimize: str,
) -> None:
    """Run sequences through the core of MANIFEST and show where every cycle went, a layer a row:
    as a picture, timeline.png, and as a trace, timeline.json, that ui.perfetto.dev opens.

    Exits with status 1 where a start, a counter or another value differs from the golden model's.
    """
    core, dataset = find_sequences(manifest, count, network, data)
    payloads = dataset.sequences()
    out = out or manifest.parent
    out.mkdir(parents=True, exist_ok=True)
    paths = out / "timeline.json", out / "timeline.png"
    for earlier in paths:  # a run that fails must not leave the timeline of another one
        earlier.unlink(missing_ok=True)
    click.echo("building the Verilator model...", err=True)
    build_core_model(manifest, optimize=optimize)
    with tqdm(total=len(payloads), desc="simulated", unit="sequence") as bar:
        simulation = simulate(manifest, payloads, optimize=optimize, progress=bar.update)
    with tqdm(total=len(payloads), desc="compared", unit="sequence") as bar:
        comparison = compare(simulation, payloads, progress=bar.update)
    timeline = comparison.timeline
    assert timeline is not None, "a run without gaps has one"
    found = find_spans(core, timeline)
    compare_counters(comparison, simulation, found)
    title = f"{core.network.name} on {describe_hardware(core.hardware)}"
    write_report(trace_events(core, found, timeline.ends.tolist()), paths[0])
    save_picture(plot_timeline(found, title), paths[1])
    click.echo(f"{title}: {len(payloads)} sequences in {int(timeline.ends[-1]) + 1} cycles")
    click.echo(shares(found))
    for path in paths:
        click.echo(f"wrote {path}")
    for line in comparison.first:
        click.echo(f"error: {line}", err=True)
    if comparison.mismatches:
        sys.exit(1)
