"""`dmp study`: train the paper's architectures and ablations on one data set, quantize
each network, and run it through the Verilog of its own core under one budget of multipliers.

Every trial has a file of its own in OUT/trials: one that is done is not done again, so that an
interrupted study goes on where it stopped. Trials are spread over a Dask cluster: local processes,
or the workers of a scheduler at an address, on machines that see the same folders.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from golden.command_line import Command
from golden.cost.activity import measure_activity
from golden.cost.search import Budget, fit
from golden.data.dataset import load_dataset
from golden.errors import UserError, deaf_children, report_user_errors
from golden.train.topology import find_topology
from tb.bench import Case, build, measure
from tb.report import publish, write_report
from tb.study_report import markdown, plot, summary
from tb.verilator import environment

SPEAKERS = range(6)
# Of the presets that a study varies: how long and how each trial is trained, and on how many
# neurons a layer the architectures are compared.
_SPEECH: dict[str, Any] = {"epochs": 60, "batch": 64, "augmentation": 0.5}
_DIGITS: dict[str, Any] = {"epochs": 20, "batch": 128, "augmentation": 0.8}
RECIPES = {
    "spoken": _SPEECH, "shd": _SPEECH, "ssc": _SPEECH, "rows": _DIGITS, "smnist": _DIGITS,
    "psmnist": _DIGITS,
}  # fmt: skip
NEURONS = {"smnist": (64, 128, 224), "psmnist": (64, 128, 208)}
TIMED = 8  # test sequences that are run through the Verilog
ARCHITECTURES = ("dmp", "fsnn", "rsnn", "dsnn", "dmp-delays")


@dataclass(frozen=True)
class Trial:
    """A network to train and to measure: of a `group` of trials, at `value` on the group's axis.

    `changes` are of the preset's topology, `recipe` of the training.
    """

    group: str
    value: float
    preset: str
    architecture: str
    changes: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        name = f"{self.preset}_{self.group}_{self.architecture}_{self.value:g}"
        return re.sub(r"\W", "_", name)


def plan(preset: str, epochs: int | None, quick: bool, limit: int | None = None) -> list[Trial]:
    """Return the trials of a study, which train for `epochs` epochs on `limit` sequences.

    Accuracy against parameters for every architecture; against the slow state's size, its window
    and its dilation; with W_f in fewer bits, trained for it; delays beside short and long windows;
    against the leak, where there is no slow state; and for spoken digits every architecture without
    one of the speakers.
    """
    if preset not in RECIPES:
        raise UserError(f"--preset {preset}: use {', '.join(RECIPES)}")
    recipe = RECIPES[preset] | ({"epochs": 8, "limit": 2048} if quick else {})
    recipe |= {"epochs": epochs} if epochs else {}
    recipe |= {"limit": limit} if limit else {}
    recipe["aware_epochs"] = max(1, recipe["epochs"] // 5)
    found: list[Trial] = []

    def add(group: str, value: float, architecture: str = "dmp", **changes: Any) -> None:
        special = {
            key: changes.pop(key) for key in ("weight_bits", "without_speaker") if key in changes
        }
        found.append(Trial(group, value, preset, architecture, changes, recipe | special))

    for neurons in (16,) if quick else NEURONS.get(preset, (32, 64, 128)):
        for architecture in ARCHITECTURES:
            add("neurons", neurons, architecture, n_neurons=(neurons, neurons))
    small: dict[str, Any] = {"n_neurons": (16, 16)} if quick else {"n_neurons": (64, 64)}
    for n_state in (4,) if quick else (2, 5, 20, 40):
        add("state", n_state, n_state=n_state, **small)
    for theta in (20.0,) if quick else (10.0, 20.0, 80.0):
        add("theta", theta, theta=theta, **small)
        add("delays", theta, "dmp-delays", theta=theta, **small)
    for dilation in (5,) if quick else (2, 5, 10):
        add("dilation", dilation, dilation=dilation, **small)
    for bits in (4,) if quick else (2, 3, 4, 6):
        add("bits", bits, weight_bits=bits, **small)
    # Without a slow state, what lasts of an event is what membranes keep.
    compared = 16 if quick else 128
    for leak in (0.9,) if quick else (0.5, 0.9, 0.98):
        for architecture in ARCHITECTURES[1:4]:
            add("leak", leak, architecture, leak=leak, n_neurons=(compared, compared))
    if preset == "spoken" and not quick:
        for speaker in SPEAKERS:
            for architecture in ARCHITECTURES[:4]:
                add("speaker", speaker, architecture, without_speaker=speaker)
    return found


def run_trial(
    trial: Trial, data: str | None, out: str, budget: int, optimize: str
) -> dict[str, Any]:
    """Train, quantize and measure one network; return its row of `study.json`.

    `accuracy_float` is that of the trained network, its weights not rounded, `accuracy_integer`
    that of the integers, both on the whole test set; cycles, products and memory bits are measured
    in the Verilog of the fastest core within `budget` multipliers.
    """
    import torch

    from golden.data.accuracy import evaluate_integers
    from golden.data.dataset import load_dataset
    from golden.formats import Fixed
    from golden.params import LayerFormats
    from golden.quantize import quantize
    from golden.train.checkpoint import load_network
    from golden.train.convert import extract
    from golden.train.loop import Recipe, evaluate, train

    torch.set_num_threads(1)
    folder = None if data is None else Path(data)
    recipe = Recipe(**trial.recipe)
    topology = find_topology(trial.preset, trial.architecture, **trial.changes)
    torch.set_flush_denormal(True)  # decaying membranes are full of them
    try:
        checkpoint = train(trial.name, topology, folder, Path(out) / "train", recipe, quiet=True)
    finally:
        torch.set_flush_denormal(False)
    trained = load_network(checkpoint)
    training, test = (
        load_dataset(topology.data, folder, split, recipe.without_speaker)
        for split in ("train", "test")
    )
    if recipe.limit:
        training, test = (d.select(slice(recipe.limit)) for d in (training, test))
    widths = LayerFormats(w_f=Fixed(recipe.weight_bits, recipe.weight_bits - 1))
    sequences = training.sequences(slice(512))
    network = quantize(extract(trained), sequences, trial.name, widths).network
    measured = evaluate_integers(network, test)
    row = asdict(trial) | {
        "name": trial.name,
        "parameters": trained.n_parameters(),
        "accuracy_float": evaluate(trained, test),
        "accuracy_integer": measured.accuracy,
        "events_per_step": measured.rates,
        "delays": [layer.delays.tolist() for layer in network.layers],
        "budget": budget,
    }
    if trial.group == "speaker":  # the same hardware as without leaving one out
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
    return row | {key: timed[key] for key in kept} | {"differences": comparison.first}


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
    needed = {(find_topology(t.preset).data, t.recipe.get("without_speaker")) for t in trials}
    for name, without_speaker in needed:
        for split in ("train", "test"):
            load_dataset(name, data, split, without_speaker)


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
@click.option("--group", "groups", multiple=True, help="Only these: neurons, state, theta, ...")
@click.option(
    "--value", "values", multiple=True, type=float, help="Only at these: of neurons, speakers, ..."
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
    trials = plan(preset, epochs, quick, limit)
    known = list(dict.fromkeys(trial.group for trial in trials))
    for group in groups:
        if group not in known:
            raise UserError(f"--group {group}: use {', '.join(known)}")
    trials = [trial for trial in trials if not groups or trial.group in groups]
    possible = sorted({trial.value for trial in trials})
    for value in values:
        if value not in possible:
            raise UserError(f"--value {value:g}: use {', '.join(f'{v:g}' for v in possible)}")
    trials = [trial for trial in trials if not values or trial.value in values]
    trials = [t for t in trials if not architectures or t.architecture in architectures]
    rows = run_study(trials, data, out, budget=multipliers, jobs=jobs, scheduler=scheduler)
    differences = [f"{row['name']}: {line}" for row in rows for line in row.get("differences", ())]
    publish("study", rows, out, markdown, summary, plot, differences)
