"""`dmp study`: train the paper's architectures and ablations on one data set, quantize
each network, and run it through the Verilog of its own core under one budget of multipliers.

First come the trials that choose each architecture's leak and learning rate. Every trial has a file
of its own in OUT/trials: one that is done is not done again, so that an interrupted study goes on
where it stopped. Trials are spread over a Dask cluster: local processes, or the workers of a
scheduler at an address, on machines that see the same folders.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from energy.command import measure_work
from energy.estimate import read_estimate
from energy.technology import read_technology
from golden.command_line import Command
from golden.cost.activity import measure_activity
from golden.cost.search import Budget, fit
from golden.data.dataset import load_splits
from golden.errors import UserError, deaf_children, report_user_errors
from golden.train.topology import find_topology
from study.plan import ARCHITECTURES, CHOICE, Settings, Study, Trial, choose
from study.report import markdown, plot, summary
from tb.bench import Case, build, measure
from tb.report import publish, write_report
from tb.verilator import environment

TIMED = 8  # test sequences that are run through the Verilog


def run_trial(
    trial: Trial, data: str | None, out: str, budget: int, optimize: str
) -> dict[str, Any]:
    """Do what `_find_row` says, and tell the processor `seconds` that it took: None where some of
    it was done before.
    """
    before, begun = os.times(), (Path(out) / "train" / f"{trial.name}.pt").exists()
    row = _find_row(trial, data, out, budget, optimize)
    spent = sum(os.times()[:4]) - sum(before[:4])  # of this process and of those that it waited for
    return row | {"seconds": None if begun else round(spent, 1)}


def _find_row(
    trial: Trial, data: str | None, out: str, budget: int, optimize: str
) -> dict[str, Any]:
    """Train, quantize and measure one network; return its row of `study.json`.

    `accuracy_float` is that of the trained network, its weights not rounded, `accuracy_integer`
    that of the integers, both on the whole test set, of `tested` sequences. `curve` is the test
    accuracy after each epoch, with rounded weights in the epochs that are aware of them. Cycles,
    products and memory bits are measured in the Verilog of the fastest core within `budget`
    multipliers; `microjoules` of an inference there are estimated. A trial of a choice has only
    accuracies of floats, on what was held out; 0 where its loss is no number.
    """
    import torch

    from golden.data.accuracy import evaluate_integers
    from golden.quantize import quantize
    from golden.train.checkpoint import load_network
    from golden.train.convert import extract
    from golden.train.curve import read_curve
    from golden.train.loop import Diverged, Recipe, evaluate, train
    from golden.train.model import DmpNetwork

    torch.set_num_threads(1)
    folder = None if data is None else Path(data)
    recipe = Recipe(**trial.recipe)
    topology = find_topology(trial.preset, trial.architecture, **trial.changes)
    training, test = load_splits(topology.data, folder, **recipe.data)
    row = asdict(trial) | {
        "name": trial.name,
        "seed": trial.seed,
        "parameters": DmpNetwork(topology).n_parameters(),
        "tested": len(test),
        "budget": budget,
    }
    torch.set_flush_denormal(True)  # decaying membranes are full of them
    try:
        checkpoint = train(trial.name, topology, folder, Path(out) / "train", recipe, quiet=True)
    except Diverged:
        if trial.group != CHOICE:
            raise
        return row | {"accuracy_float": 0.0, "curve": []}
    finally:
        torch.set_flush_denormal(False)
    trained = load_network(checkpoint)
    row |= {
        "accuracy_float": evaluate(trained, test),
        "curve": [float(epoch["test_accuracy"]) for epoch in read_curve(checkpoint)],
    }
    if trial.group == CHOICE:
        return row
    sequences = training.sequences(slice(512))
    network = quantize(extract(trained), sequences, trial.name, recipe.widths).network
    measured = evaluate_integers(network, test)
    row |= {
        "accuracy_integer": measured.accuracy,
        "events_per_step": measured.rates,
        "delays": [layer.delays.tolist() for layer in network.layers],
    }
    if not trial.measured:
        return row
    activity = measure_activity(network, test.sequences(slice(TIMED)))
    chosen, _, _ = fit(activity, Budget(multipliers=budget))
    hardware = replace(chosen.hardware, access_counters=True)
    case = Case(trial.name, trial.name, activity)
    job = build(case, hardware, Path(out) / "cores" / trial.name, optimize)
    timed, comparison = measure(case, [], job)
    kept = (
        "lanes", "block", "events_per_cycle", "products_per_cycle", "multipliers", "memory_bits",
        "cycles_measured", "cycles_predicted", "cycles_per_sequence", "latency_cycles",
        "bits_per_timestep", "products_per_timestep", "synaptic_operations_per_timestep",
    )  # fmt: skip
    work, _ = measure_work(job.core, network, activity.payloads, read_technology())
    return (
        row
        | {key: timed[key] for key in kept}
        | {"microjoules": read_estimate().microjoules(work), "differences": comparison.first}
    )


def run_study(
    trials: Sequence[Trial],
    data: Path | None,
    out: Path,
    *,
    budget: int,
    jobs: int,
    scheduler: str | None,
    optimize: str = "-O1",
) -> list[dict[str, Any]]:
    """Run every trial that is not done yet on a Dask cluster; return all rows, in their order."""
    from dask.distributed import Client, LocalCluster, as_completed

    folder = out / "trials"
    by_name = {trial.name: trial for trial in trials}
    paths = {name: folder / f"{name}.json" for name in by_name}
    rows = {name: _done(paths[name], trial, budget) for name, trial in by_name.items()}
    missing = [name for name, row in rows.items() if row is None]
    if missing:
        _check_data([by_name[name] for name in missing], data)
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            cluster: Any = scheduler
            if scheduler is None:
                # A trial changes its process's global settings: a process each, one at a time.
                options: dict[str, Any] = {
                    "dashboard_address": ":0", "silence_logs": logging.CRITICAL,
                }  # fmt: skip
                # What workers leave when they are ended is no news.
                stack.enter_context(environment(PYTHONWARNINGS="ignore:resource_tracker"))
                with deaf_children():
                    local = LocalCluster(n_workers=jobs, threads_per_worker=1, **options)
                cluster = stack.enter_context(local)
            try:
                client = stack.enter_context(Client(cluster))
            except (OSError, ValueError) as error:
                raise UserError(f"no Dask scheduler at {scheduler}: {error}") from None
            bar = stack.enter_context(tqdm(total=len(trials), unit="trial"))
            bar.update(len(trials) - len(missing))
            where = None if data is None else str(data.resolve())
            arguments = (where, str(out.resolve()), budget, optimize)
            futures = {
                client.submit(run_trial, by_name[name], *arguments, key=name): name
                for name in missing
            }
            for future in as_completed(futures):
                name = futures[future]
                row: dict[str, Any] = future.result()
                rows[name] = row
                write_report(row, paths[name])
                bar.set_postfix_str(name, refresh=False)
                bar.update()
    return [row for row in rows.values() if row is not None]


def _check_data(trials: Sequence[Trial], data: Path | None) -> None:
    """Load what the trials need, before workers are started for them: MNIST is fetched once, and
    missing files are one line.
    """
    keys = ("without_speaker", "held_out_speaker")
    needed = {(t.preset, *(t.recipe.get(key) for key in keys)) for t in trials}
    for preset, *speakers in needed:
        load_splits(find_topology(preset).data, data, **dict(zip(keys, speakers, strict=True)))


def _done(path: Path, trial: Trial, budget: int) -> dict[str, Any] | None:
    """Return the row of a trial that was run before in this very way, else None."""
    try:
        row = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError):
        return None
    wanted = json.loads(json.dumps(asdict(trial) | {"budget": budget}))
    return row if all(row.get(key) == value for key, value in wanted.items()) else None


@click.command(cls=Command, context_settings={"show_default": True})
@click.option("--preset", default="spoken", help="The network that is varied: spoken, rows, ...")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Folder with its data [default: fetch MNIST]"
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/study"))
@click.option("--quick", is_flag=True, help="Few, small and short trials: minutes")
@click.option(
    "--epochs", type=click.IntRange(1), help="Of each trial [default: as the preset needs; quick 8]"
)
@click.option(
    "--limit", type=click.IntRange(1), help="Sequences of each trial [default: all; quick 2048]"
)
@click.option("--seeds", default=1, type=click.IntRange(1), help="Networks of each architecture")
@click.option(
    "--choice/--no-choice",
    default=True,
    help="Choose each architecture's leak and learning rate on held-out training data, or take the"
    " preset's",
)
@click.option("--group", "groups", multiple=True, help="Only these: neurons, state, theta, ...")
@click.option(
    "--value", "values", multiple=True, type=float, help="Only at these: neurons, windows, ..."
)
@click.option(
    "--architecture",
    "architectures",
    multiple=True,
    type=click.Choice(ARCHITECTURES),
    help="Only these [default: all]",
)
@click.option(
    "--multipliers", default=64, type=click.IntRange(1), help="Of every core that is measured"
)
@click.option("--jobs", default=2, type=click.IntRange(1), help="Trials at once on this machine")
@click.option("--scheduler", help="Address of a Dask scheduler, whose workers see these folders")
@report_user_errors
def main(
    preset: str,
    data: Path | None,
    out: Path,
    quick: bool,
    epochs: int | None,
    limit: int | None,
    seeds: int,
    choice: bool,
    groups: tuple[str, ...],
    values: tuple[float, ...],
    architectures: tuple[str, ...],
    multipliers: int,
    jobs: int,
    scheduler: str | None,
) -> None:
    """Study architectures, slow states, windows, dilations and weight bits on the core; write
    study.json, study.md and pictures into OUT.

    Exits with status 1 where a core's Verilog differs from the golden model.
    """
    study = Study(preset, epochs, limit, quick, seeds)
    choices = study.choices(architectures or ARCHITECTURES)
    possible = [*choices, *study.trials({})]
    known = list(dict.fromkeys(trial.group for trial in possible))
    for group in groups:
        if group not in known:
            raise UserError(f"--group {group}: use {', '.join(known)}")
    axis = sorted({trial.value for trial in possible if not groups or trial.group in groups})
    for value in values:
        if value not in axis:
            raise UserError(f"--value {value:g}: use {', '.join(f'{v:g}' for v in axis)}")

    def wanted(settings: Mapping[str, Settings]) -> list[Trial]:
        return [
            trial
            for trial in study.trials(settings)
            if (not groups or trial.group in groups)
            and (not values or trial.value in values)
            and (not architectures or trial.architecture in architectures)
        ]

    options: dict[str, Any] = {"budget": multipliers, "jobs": jobs, "scheduler": scheduler}
    rows = []
    if choice:
        of = {trial.architecture for trial in wanted({})}
        choices = [trial for trial in choices if not of or trial.architecture in of]
        rows = run_study(choices, data, out, **options)
    rows += run_study(wanted(choose(rows)), data, out, **options)
    differences = [f"{row['name']}: {line}" for row in rows for line in row.get("differences", ())]
    publish("study", rows, out, markdown, summary, plot, differences)
