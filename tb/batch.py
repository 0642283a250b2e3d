"""`dmp testset`: run a whole test set through the generated Verilog, and hold its results,
its counters and its busy cycles against the golden model.

The core is Verilated into a shared library (see `tb.compiled`) that is called once a sample.

    from tb.batch import prepare, run_batch
    batch = run_batch(prepare(Path("build/rows/manifest.json")), payloads)
    batch.classes, batch.spikes, batch.cycles, batch.mismatches
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from export.core import read_images
from export.images import unpack
from export.items import load_items, pack_events, to_items
from export.sequences import first_sequences
from export.store import find_dataset, shipped_sequences
from golden.command_line import DATA_WHOLE, NETWORK, Command, Count, count_option
from golden.cost.cycles import settle_cycles, watchdog_cycles
from golden.errors import UserError, deaf_children, guard_children, report_user_errors
from golden.hardware.core import CoreParams
from golden.integer import NetworkIntegers, run
from golden.interface import Interface, read_interface, read_verilog
from tb.compare import CHUNK, Comparison, expected_counters
from tb.compiled import CompiledCore, build_compiled
from tb.report import CLOCK_MHZ, utilisation, write_report
from tb.verilator import environment

REPORT = "testset.json"


@dataclass(frozen=True)
class Job:
    """What a worker process needs: the library, the core, the network it holds, the load stream."""

    shared_object: Path
    core: CoreParams
    network: NetworkIntegers
    interface: Interface
    load: np.ndarray


@dataclass(frozen=True)
class Batch:
    """What a core did with B samples, and how that compares with the golden model.

    `logits` (B, C) and `classes` (B,); `classes_golden` (B,); `spikes` (B, layers); `cycles` (B,)
    from the first item taken to the last result; `counters` (B,) by name, cleared before each
    sample; `seconds` spent in the core. `first` locates the first mismatch of each kind in words.
    """

    logits: np.ndarray
    classes: np.ndarray
    classes_golden: np.ndarray
    spikes: np.ndarray
    cycles: np.ndarray
    counters: dict[str, np.ndarray]
    seconds: float
    values_compared: int
    mismatches: int
    first: list[str]

    @staticmethod
    def join(parts: list[Batch]) -> Batch:
        """Return the batches one after another as one."""

        def joined(name: str) -> np.ndarray:
            return np.concatenate([getattr(part, name) for part in parts])

        first: dict[str, str] = {}
        for line in (line for part in parts for line in part.first):
            first.setdefault(line.split(" at ")[0], line)
        return Batch(
            joined("logits"),
            joined("classes"),
            joined("classes_golden"),
            joined("spikes"),
            joined("cycles"),
            {
                name: np.concatenate([part.counters[name] for part in parts])
                for name in parts[0].counters
            },
            sum(part.seconds for part in parts),
            sum(part.values_compared for part in parts),
            sum(part.mismatches for part in parts),
            list(first.values()),
        )


@dataclass(frozen=True)
class Chain:
    """What a core did with B sequences sent back to back: `logits` (B, C), `classes` (B,), `ends`
    (B,), the cycle of each one's last result (0 is that of the first item's transfer), and its
    counters.
    """

    logits: np.ndarray
    classes: np.ndarray
    ends: np.ndarray
    counters: dict[str, int]


class LoadedCore:
    """A Verilated core with its memories loaded; its counters are cleared after every run."""

    def __init__(self, job: Job) -> None:
        self._job = job
        patience = watchdog_cycles(job.core)
        self._core = CompiledCore(job.shared_object, patience, job.interface, job.load)

    def run(self, payloads: np.ndarray) -> Chain:
        """Run sequences (B, K, M) back to back."""
        core, interface = self._job.core, self._job.interface
        n_classes = core.network.readout.n_classes
        expected = len(payloads) * n_classes
        items = pack_events(interface, to_items(payloads))
        ran = self._core.run(items, len(payloads), n_results=expected)
        self.on_results()
        found = ran.taken + self._core.run(items[:0], 0, settle=settle_cycles(core)).taken
        classes = np.arange(n_classes)
        results = interface.unpack("o_results", ran.results)
        whole = len(ran.results) == expected
        in_order = whole and bool(
            (results["index"].reshape(-1, n_classes) == classes).all()
            and (results["last"].reshape(-1, n_classes) == (classes == n_classes - 1)).all()
        )
        if found != expected or not in_order:
            raise UserError(
                f"the core sent {found} results{' out of order' if whole and not in_order else ''},"
                f" where {expected} are due; it is stuck, or it is not the core of this manifest"
            )
        counters = self._core.counters()
        self._core.clear()
        logits, best, ends = (
            values.reshape(-1, n_classes)
            for values in (results["logit"], results["best"], ran.cycles)
        )
        return Chain(logits, best[:, -1], ends[:, -1], counters)

    def on_results(self) -> None:
        """Do what is to be done in the cycle after the last result, before the core has settled."""

    def close(self) -> None:
        """Free the model."""
        self._core.close()


def run_chunk(loaded: LoadedCore, job: Job, payloads: np.ndarray, first: int = 0) -> Batch:
    """Run samples (B, K, M), the first of which is number `first`, and compare them."""
    started = time.perf_counter()
    done = [loaded.run(sample[None]) for sample in payloads]
    seconds = time.perf_counter() - started
    logits = np.concatenate([chain.logits for chain in done])
    classes = np.concatenate([chain.classes for chain in done])
    counters = {
        name: np.array([chain.counters[name] for chain in done]) for name in job.interface.counters
    }
    golden = run(job.network, payloads, block=job.core.hardware.block)
    comparison = Comparison()
    comparison.add("logits", golden.logits, logits, ("sample", "class"), first)
    comparison.add("class", golden.classes, classes, ("sample",), first)
    for name, values in expected_counters(job.core, golden).items():
        comparison.add(f"counter {name}", values, counters[name], ("sample",), first)
    return Batch(
        logits,
        classes,
        golden.classes,
        np.stack(
            [
                counters[name]
                if (name := f"layer{i}.spikes") in counters
                else layer.spike_counts.sum(1)
                for i, layer in enumerate(golden.layers)
            ],
            axis=1,
        ),
        np.concatenate([chain.ends for chain in done]) + 1,
        counters,
        seconds,
        comparison.values_compared,
        comparison.mismatches,
        comparison.first,
    )


_job: Job | None = None  # of a worker process, and the core that it loads with its first chunk
_loaded: LoadedCore | None = None


def _receive(job: Job) -> None:
    global _job
    _job = job


def _work(payloads: np.ndarray, first: int) -> Batch:
    global _loaded
    assert _job is not None
    if _loaded is None:
        _loaded = LoadedCore(_job)
    return run_chunk(_loaded, _job, payloads, first)


def prepare(manifest: Path, *, optimize: str = "-O3") -> Job:
    """Read a manifest's core and build its library; `make rtl` must have written its Verilog.

    Parameters
    ----------
    optimize
        The C++ compiler's option for the model.
    """
    core, images = read_images(manifest)
    interface = read_interface(manifest)
    verilog = read_verilog(manifest.parent / f"{core.network.name}.v")
    library = build_compiled(verilog, interface, manifest.parent / "verilator", optimize)
    load = load_items(interface, core, images)
    return Job(library, core, unpack(images, core), interface, load)


@contextmanager
def _workers(job: Job, count: int) -> Iterator[ProcessPoolExecutor]:
    """Worker processes with one thread each, which end at once when the block fails."""
    guard_children()
    pool = ProcessPoolExecutor(count, get_context("spawn"), _receive, (job,))
    try:
        with environment(OMP_NUM_THREADS="1"):
            yield pool
    except BrokenProcessPool:
        raise UserError("a worker process ended: too little memory for it?") from None
    finally:
        pool.shutdown(cancel_futures=True)


def run_batch(
    job: Job,
    payloads: np.ndarray,
    *,
    jobs: int = 2,
    progress: Callable[[int], object] = lambda n: None,
) -> Batch:
    """Run samples (B, K, M) through the core, in `jobs` processes, and compare them with the golden
    model's: logits, classes, and every counter that can be predicted, busy cycles and accesses
    among them.

    Samples run one by one: counters are read and cleared between them. `progress` is called with
    the number of samples done since its last call.
    """
    if not len(payloads):
        raise UserError("no samples to run")
    size = max(1, min(CHUNK, -(-len(payloads) // jobs)))
    starts = range(0, len(payloads), size)
    parts: dict[int, Batch] = {}
    with _workers(job, min(jobs, len(starts))) as pool:
        with deaf_children():  # a process starts with each of the first tasks
            futures = {pool.submit(_work, payloads[i : i + size], i): i for i in starts}
        for future in as_completed(futures):
            part = parts[futures[future]] = future.result()
            progress(len(part.classes))
    return Batch.join([parts[first] for first in starts])


def summarize(
    job: Job, batch: Batch, labels: np.ndarray, jobs: int, seconds: float
) -> dict[str, Any]:
    """Return the content of `testset.json` for digits with these labels (B,), or with none (-1):
    then their accuracy is None.

    `cycles_per_second` are simulated cycles a second of one process; `seconds` is all of the run
    but the build, the golden model's share included. For `utilisation` see `tb.report`.
    """
    cycles, hardware = int(batch.cycles.sum()), job.core.hardware
    labelled = bool((labels >= 0).all())
    return {
        "network": job.core.network.name,
        "lanes": hardware.lanes,
        "block": hardware.block,
        "events_per_cycle": hardware.events_per_cycle,
        "products_per_cycle": hardware.products_per_cycle,
        "ablations": list(hardware.ablations),
        "digits": len(labels),
        "accuracy": float(np.mean(batch.classes == labels)) if labelled else None,
        "accuracy_golden": float(np.mean(batch.classes_golden == labels)) if labelled else None,
        "values_compared": batch.values_compared,
        "mismatches": batch.mismatches,
        "first_mismatches": batch.first,
        "spikes_per_digit": batch.spikes.mean(0).tolist(),
        "utilisation": utilisation(job.core, batch.counters),
        "cycles": cycles,
        "cycles_per_digit": cycles / len(labels),
        "cycles_per_second": cycles / batch.seconds,
        "seconds": round(seconds, 2),
        "jobs": jobs,
    }


def lines(summary: dict[str, Any], report: Path) -> list[str]:
    """Return the lines that tell a user what a summary holds."""
    accuracy, golden = summary["accuracy"], summary["accuracy_golden"]
    rates = (
        "no labels"
        if accuracy is None
        else f"{100 * accuracy:.2f} % in Verilog, {100 * golden:.2f} % of the golden model"
    )
    cycles = summary["cycles_per_digit"]
    speed = f"{summary['cycles_per_second'] / 1e6:.2f} million cycles a second each"
    used = (f"{part} {100 * share:.1f} %" for part, share in summary["utilisation"].items())
    use = ", ".join(used) or "not counted"
    return [
        f"sequences {summary['digits']}",
        f"accuracy  {rates}",
        f"compared  {summary['values_compared']} values: {summary['mismatches']} mismatches",
        *(f"  {line}" for line in summary["first_mismatches"]),
        f"cycles    {cycles:.1f} a sequence, {cycles / CLOCK_MHZ:.1f} us at {CLOCK_MHZ} MHz",
        f"lanes     in use: {use}",
        f"simulated in {summary['seconds']:.1f} s by {summary['jobs']} processes, {speed}",
        f"report    {report}",
    ]


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("manifest", type=click.Path(path_type=Path))
@DATA_WHOLE
@click.option("--shipped", is_flag=True, help="Run the shipped digits instead of the test set")
@count_option(None)
@click.option("--jobs", default=2, type=click.IntRange(1), help="Worker processes")
@NETWORK
@click.option("--optimize", default="-O3", help="The C++ compiler's option for the model")
@report_user_errors
def main(
    manifest: Path,
    data: Path | None,
    shipped: bool,
    count: Count,
    jobs: int,
    network: str | None,
    optimize: str,
) -> None:
    """Run a test set through the Verilog of the core that MANIFEST describes, and compare
    logits, classes and counters with the golden model; write testset.json beside the manifest.

    Exits with status 1 where a value differs from the golden model's.
    """
    if shipped and data:
        raise UserError("--shipped and --data: use one of them")
    core, _ = read_images(manifest)
    _ = core.network.readout  # or raise: a library answers with results
    name = network or core.network.name
    dataset = shipped_sequences(name) if shipped else find_dataset(name, data, whole=True)
    dataset = first_sequences(core, manifest, dataset, count)
    report = manifest.parent / REPORT
    report.unlink(missing_ok=True)  # a run that fails must not leave the report of another one
    click.echo("building the Verilator model...", err=True)
    job = prepare(manifest, optimize=optimize)
    started = time.monotonic()
    with tqdm(total=len(dataset), desc="simulated", unit="sequence") as bar:
        batch = run_batch(job, dataset.sequences(), jobs=jobs, progress=bar.update)
    summary = summarize(job, batch, dataset.labels, jobs, time.monotonic() - started)
    write_report(summary, report)
    click.echo("\n".join(lines(summary, report)))
    if batch.mismatches:
        click.echo(f"error: {batch.mismatches} values differ from the golden model", err=True)
        sys.exit(1)
