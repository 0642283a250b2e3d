"""`dmp bench`: run networks on many cores in their Verilog, and put what was counted there
beside what was predicted and beside other designs.

Every row of `bench.json` is a core that was generated, Verilated and fed with sequences back to
back. Cycles and every counter of words and operations are held against `golden.cost.cycles`; a
difference ends the bench with status 1.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from export.core import write_core
from export.images import pack
from export.items import load_items
from export.store import load_digits, load_network
from golden.command_line import Command
from golden.cost.activity import Activity, measure_activity
from golden.cost.cycles import Part, refreshes
from golden.cost.other_designs import (
    input_stationary_bits,
    reckon_cycles,
    released_rtl_cycles,
    released_rtl_multipliers,
    released_rtl_weight_words,
)
from golden.cost.search import price
from golden.cost.spans import spans, totals
from golden.cost.timeline import Timeline
from golden.data.mnist import to_sequences
from golden.data.speech import load_spoken
from golden.data.synthetic import draw_events, draw_network
from golden.errors import UserError, guard_children, report_user_errors
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.hardware.params import HardwareParams, listed
from golden.integer import run
from tb.batch import Chain, Job, LoadedCore, prepare
from tb.bench_cores import find_hardware
from tb.bench_report import markdown, plot, summary
from tb.compare import Comparison, expected_counters
from tb.report import publish, utilisation

SEED = 0
RATES = (5, 10, 20, 40)  # events a timestep of the synthetic network
FITTED_ON = "shd20"  # whose shapes the other rates and the spoken digits use
# What the bench turns, in the order of its rows.
TURNED = ("lanes", "block", "events_per_cycle", "products_per_cycle", "graded", "list_buffers",
          "link_items")  # fmt: skip
COPIES = {"payload": "payloads0", "ring": "ring0"}  # of several alike, which count as one


@dataclass(frozen=True)
class Case:
    """A network and the sequences (B, K, M) that it is measured on; `shape` names the networks that
    share their Verilog.
    """

    name: str
    shape: str
    activity: Activity


def find_cases(data: Path | None, names: Sequence[str]) -> Iterator[Case]:
    """Yield the cases of these names (all, where there are none)."""

    def wanted(name: str) -> bool:
        return not names or name in names

    for name, count in (("smnist", 3), ("rows", 40)):
        if wanted(name):
            payloads = to_sequences(load_digits().images[:count], name)
            yield Case(name, name, measure_activity(load_network(name), payloads))
    for rate in RATES:
        if wanted(f"shd{rate}"):
            payloads = draw_events(rate, 16, SEED)
            network = draw_network("shd", payloads, SEED)
            yield Case(f"shd{rate}", "shd", measure_activity(network, payloads))
    if data is not None and wanted("spoken"):
        payloads = load_spoken(data, "test").events[:40]
        network = draw_network("shd", payloads, SEED)
        yield Case("spoken", "shd", measure_activity(network, payloads))


def build(case: Case, hardware: HardwareParams, folder: Path, optimize: str) -> Job:
    """Generate and Verilate the core of a case's network, unless that is done already."""
    core = CoreParams(case.activity.network.params, hardware)
    manifest = write_core(case.activity.network, core, folder)
    guard_children()
    done = subprocess.run(
        [sys.executable, "-m", "dmp_core", "rtl", str(manifest)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UserError(f"the Verilog of {folder.name} was not generated: {done.stderr.strip()}")
    return prepare(manifest, optimize=optimize)


def measure(case: Case, reasons: list[str], job: Job) -> tuple[dict[str, Any], Comparison]:
    """Run a case's sequences back to back, then each alone; return its row, and how it compares."""
    activity, core = case.activity, job.core
    images = pack(activity.network, core)
    job = replace(job, network=activity.network, load=load_items(job.interface, core, images))
    loaded = LoadedCore(job)
    chain = loaded.run(activity.payloads)
    alone, alone_predicted = [], []
    for one in np.split(activity.payloads, len(activity.payloads)):
        alone.append(int(loaded.run(one).ends[0]) + 1)
        of_one = run(activity.network, one, block=core.hardware.block, trace=True)
        alone_predicted.append(int(Timeline(core, one, of_one.layers).ends[0]) + 1)
    loaded.close()
    golden = activity.of_block(core.hardware.block)
    timeline = Timeline(core, activity.payloads, golden.layers)
    comparison = Comparison()
    comparison.add("logits", golden.logits, chain.logits, ("sequence", "class"))
    comparison.add("class", golden.classes, chain.classes, ("sequence",))
    comparison.add("cycle of the last result", timeline.ends, chain.ends, ("sequence",))
    for name, counts in expected_counters(core, golden).items():
        comparison.add(
            f"counter {name}",
            counts.sum(keepdims=True),
            np.array([chain.counters[name]]),
            ("place",),
        )
    comparison.add("cycles alone", np.array(alone_predicted), np.array(alone), ("sequence",))
    return describe(case, reasons, core, chain, timeline, alone), comparison


def describe(
    case: Case,
    reasons: list[str],
    core: CoreParams,
    chain: Chain,
    timeline: Timeline,
    alone: list[int],
) -> dict[str, Any]:
    """Return a row of `bench.json`; cycles, words, bits and products are means a timestep.

    `cycles_measured`, `cycles_predicted`: from the last result of the first sequence to that of the
    last one, input always waiting. `cycles_bound`: the steps that `bound_part` issues meanwhile,
    the most of all parts; `waits`: its other cycles (`golden.cost.spans`). `utilisation`: of each
    part, the share of lane-cycles in which the path that bounds it works for a neuron, of those in
    which it did not wait for input or room;
    `chain_utilisation`: of the slowest layer, of all. `latency_cycles`: from the first item to the
    first sequence's last result; `alone_cycles`: that of each sequence run alone.
    """
    activity, hardware, counters = case.activity, core.hardware, chain.counters
    golden, n_timesteps = activity.of_block(hardware.block), activity.n_timesteps
    n_sequences = len(activity.payloads)
    steps = n_sequences * n_timesteps
    span = (n_sequences - 1) * n_timesteps
    spikes = [layer.spike_counts for layer in golden.layers]
    events = [*(layer.events for layer in golden.layers), spikes[-1]]
    released = float(released_rtl_cycles(core, events[:-1], events[-1]).mean())
    measured = int(chain.ends[-1] - chain.ends[0]) / span
    share = {
        name: part.n_outputs / (part.n_groups * part.lanes) for name, part in core.parts.items()
    }
    busy = {name: counters[f"{name}.busy_cycles"] for name in core.parts}
    slowest = max((name for name in core.parts if name != "readout"), key=lambda n: busy[n])
    addresses = [*(layer.addresses for layer in golden.layers), golden.readout_addresses]
    first, last = int(timeline.ends[0]) + 1, int(timeline.ends[-1]) + 1
    found = [totals(spans(turns, last), first, last) for turns in timeline.turns]
    index = max(range(len(found)), key=lambda i: found[i]["step"])
    waits = {kind: cycles / span for kind, cycles in found[index].items()}
    bound = waits.pop("step")
    accesses = {
        f"{name}.{what}": counters[f"{name}.{what}"] / steps
        for name, part in core.parts.items()
        for what in part.accesses
    }
    bits = memory_bits(core, accesses)
    synaptic = sum(
        layer.n_neurons * float(e.mean())
        for layer, e in zip(core.network.layers, events, strict=False)
    )
    products = {
        what: sum(accesses.get(f"{name}.{what}_products", 0) * width for name, width in widths)
        for what, widths in product_widths(core).items()
    }
    listed = sum(b for name, b in bits.items() if ".list_" in name or ".payload_" in name)
    stored = sum(
        float(input_stationary_bits(layer, e).mean())
        for layer, e in zip(core.layers, events, strict=False)
    )
    weights = sum(accesses[f"layer{i}.w_f_reads"] * p.lanes for i, p in enumerate(core.layers))
    their_weights = 4 * float(released_rtl_weight_words(core, events).mean())
    return {
        "network": case.name,
        **{name: getattr(hardware, name) for name in TURNED},
        "reasons": reasons,
        "events_per_timestep": [float(e.mean()) for e in events],
        "addresses_per_block": [float(a.mean()) for a in addresses],
        "multipliers": core.multipliers,
        "block_rams_estimated": price(activity, hardware).block_rams,
        "cycles_measured": measured,
        "cycles_predicted": int(timeline.ends[-1] - timeline.ends[0]) / span,
        "cycles_bound": bound,
        "bound_part": list(core.parts)[index],
        "bound_steps": _steps(list(core.parts.values())[index], addresses[index], golden.lengths),
        "waits": waits,
        "latency_cycles": int(chain.ends[0]) + 1,
        "alone_cycles": alone,
        "cycles_per_sequence": measured * n_timesteps,
        "utilisation": utilisation(core, counters),
        "slowest_layer": slowest,
        "chain_utilisation": share[slowest] * busy[slowest] / (int(chain.ends[-1]) + 1),
        "released_rtl_cycles": released,
        "released_rtl_multipliers": released_rtl_multipliers(core),
        "released_rtl_ratio": released / measured,
        "reckon_cycles": float(reckon_cycles(core, events[:-1], spikes).mean()),
        "memory_bits": core.memory_bits,
        "accesses_per_timestep": accesses,
        "bits_per_timestep": bits,
        "products_per_timestep": products,
        "weights_read_per_timestep": weights,
        "released_rtl_weights_read": their_weights,
        "synaptic_operations_per_timestep": synaptic,
        "list_bits_per_synaptic_operation": listed / synaptic if synaptic else None,
        "input_stationary_bits_per_synaptic_operation": stored / synaptic if synaptic else None,
    }


def _steps(part: Part, addresses: np.ndarray, lengths: np.ndarray) -> dict[str, float]:
    """Return the mean steps of a group that a part needs for events, and for all else."""
    refreshed = refreshes(part, lengths) > 0
    floor = np.maximum(np.where(refreshed, part.dense_steps, 0), part.output_steps)
    return {"sparse": float(part.sparse_steps(addresses).mean()), "floor": float(floor.mean())}


def memory_bits(core: CoreParams, accesses: dict[str, float]) -> dict[str, float]:
    """Return the bits read and written a timestep, by access."""
    found = {}
    for name, part in core.parts.items():
        memories = {**part.memories, **part.buffers, "list": part.list_memory}
        for what in part.accesses:
            memory, _, kind = what.rpartition("_")
            if kind not in ("reads", "writes"):
                continue
            width = memories[COPIES.get(memory, memory)].width
            if what in ("list_writes", "history_writes"):  # some elements of a word
                rows = 1
                if what == "history_writes" and isinstance(part, LayerHardware):
                    rows = part.state_update.columns
                width = rows * memories[memory].element.width
            found[f"{name}.{what}"] = accesses[f"{name}.{what}"] * width
    return found


def product_widths(core: CoreParams) -> dict[str, list[tuple[str, int]]]:
    """Return the products of a word of each kind, by layer."""
    layers = [(f"layer{i}", layer) for i, layer in enumerate(core.layers)]

    def of(width: Any, which: Any = lambda layer: True) -> list[tuple[str, int]]:
        return [(name, width(layer)) for name, layer in layers if which(layer)]

    def slow(layer: LayerHardware) -> bool:
        return layer.params.n_state > 0

    return {
        "state": of(lambda layer: layer.lanes, slow),
        "leak": of(lambda layer: layer.neuron_fold.units),
        "update": of(lambda layer: layer.state_update.multipliers, slow),
    }


def run_bench(
    cases: Sequence[Case], folder: Path, jobs: int, optimize: str
) -> tuple[list[dict[str, Any]], list[str]]:
    """Measure every case on every configuration; return the rows, and what differs."""
    plan: dict[tuple[str, HardwareParams], list[tuple[Case, list[str]]]] = {}
    by_shape: dict[str, dict[HardwareParams, list[str]]] = {}
    for case in cases:
        found = find_hardware(case.activity)
        if case.shape == case.name:
            by_shape[case.shape] = found
        elif case.name == FITTED_ON or case.shape not in by_shape:
            by_shape[case.shape] = found
    for case in cases:
        for hardware, reasons in by_shape[case.shape].items():
            plan.setdefault((case.shape, hardware), []).append((case, reasons))

    def work(shape: str, hardware: HardwareParams) -> list[tuple[dict[str, Any], Comparison]]:
        h = hardware
        name = "-".join([shape, *(listed(getattr(h, key), "_") for key in TURNED)])
        measured = plan[shape, hardware]
        job = build(measured[0][0], hardware, folder / name, optimize)
        return [measure(case, reasons, job) for case, reasons in measured]

    rows, differences = [], []
    with (
        tqdm(total=sum(len(found) for found in plan.values()), unit="row") as bar,
        ThreadPoolExecutor(jobs) as pool,
    ):
        futures = {pool.submit(work, *key): key for key in plan}
        try:
            for future in as_completed(futures):
                shape, h = futures[future]
                for row, comparison in future.result():
                    rows.append(row)
                    where = f"{row['network']} {h}"
                    differences += [f"{where}: {line}" for line in comparison.first]
                    bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    order = {case.name: index for index, case in enumerate(cases)}
    rows.sort(key=lambda row: (order[row["network"]], *(np.ravel(row[k]).tolist() for k in TURNED)))
    return rows, differences


@click.command(cls=Command, context_settings={"show_default": True})
@click.option("--out", type=click.Path(path_type=Path), default=Path("build"))
@click.option(
    "--data", type=click.Path(path_type=Path), help="Folder with the spoken digits (npz) [optional]"
)
@click.option("--network", "names", multiple=True, help="Only these: smnist, rows, shd20, ...")
@click.option("--jobs", default=2, type=click.IntRange(1), help="Cores built and run at once")
@click.option("--optimize", default="-O1", help="The C++ compiler's option for the models")
@report_user_errors
def main(out: Path, data: Path | None, names: tuple[str, ...], jobs: int, optimize: str) -> None:
    """Measure cycles, utilisation and memory accesses of many cores in their Verilog; write
    bench.json, bench.md and pictures into OUT.

    Exits with status 1 where a count differs from the predicted one.
    """
    if data is not None and names and "spoken" not in names:
        raise UserError(f"--data {data}: only the network spoken takes it, use --network spoken")
    cases = list(find_cases(data, names))
    if not cases:
        known = ", ".join(("smnist", "rows", *(f"shd{rate}" for rate in RATES), "spoken"))
        raise UserError(f"--network {' '.join(names)}: use {known} (spoken needs --data)")
    rows, differences = run_bench(cases, out / "bench", jobs, optimize)
    publish("bench", rows, out, markdown, summary, plot, differences)
