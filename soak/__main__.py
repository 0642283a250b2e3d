"""`python -m soak`: run many random small cores on many random sequences."""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from golden.command_line import SEED, Command
from golden.errors import report_user_errors
from golden.files import write_whole
from golden.table import table
from soak import record
from soak.cores import DRAWN, Core
from soak.rounds import as_test, build, draw_round, give, reduced
from soak.steps import Tally

LARGEST = 40  # lanes of all layers, times the timesteps of a block
N_NEURONS = 20  # at least: a core of fewer shows few values a cycle
OF_KIND = {"wide input": 10}  # of which no drawn layer has more than 9
HEADER = ("Core", "Seed", "Cycles", "Values", "Power-ups", "Resets", "Reloads")


class Different(Exception):
    """A core differs from golden."""

    def __init__(self, core: str, problems: list[str], test: str, path: Path) -> None:
        super().__init__(f"{core} differs from golden: {problems[0]}: see {path}")
        self.test = test


def draw_core(seed: int, index: int) -> Core:
    """Draw a small core; one after another, cores are of every kind."""
    rng, kind = np.random.default_rng([seed, index]), list(DRAWN)[index % len(DRAWN)]
    while True:
        core = Core(kind, int(rng.integers(100_000)))
        layers, block = core.params.layers, core.params.hardware.block
        small = sum(layer.lanes for layer in layers) * block <= LARGEST
        large = sum(layer.params.n_neurons for layer in layers) >= OF_KIND.get(kind, N_NEURONS)
        if small and large and len(layers) <= (3 if index % 4 == 3 else 2):
            return core


def soak(
    core: Core, index: int, seed: int, cycles: int, out: Path, key: dict[str, object], bar: tqdm
) -> Tally:
    """Give a core rounds until it has simulated so many cycles and shown as many values; go on
    where an earlier run of this key ended. A difference is made smaller and raised as `Different`.
    """
    path = out / f"core_{index}.json"
    rounds, tally = record.load(path, key)
    bar.update(done := min(tally.cycles, tally.values, cycles))
    if done == cycles:
        return tally
    built = build(core, out / "cores")
    while done < cycles:
        before = done
        rounds += 1
        steps = draw_round(built, seed, rounds)
        give(built, rounds, steps, tally)
        if tally.problems:
            fails = out / "failure.txt"
            bar.set_description("making it smaller")
            test = as_test(core, rounds, reduced(built, rounds, steps))
            write_whole(fails, "\n".join([*tally.problems, "", test]))
            raise Different(f"{core.kind} {core.seed}", tally.problems, test, fails)
        record.save(path, key, rounds, tally)
        done = min(tally.cycles, tally.values, cycles)
        bar.update(done - before)
    return tally


@click.command(cls=Command, context_settings={"show_default": True})
@click.option(
    "--cycles",
    default=10_000_000,
    type=click.IntRange(1),
    help="At least, and as many values",
)
@click.option("--cores", "n_cores", default=24, type=click.IntRange(1), help="How many are drawn")
@click.option("--seed", default=0, type=SEED, help="Of all that is drawn")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/soak"),
    help="The folder for cores, and for what is done: the same command goes on there",
)
@click.option(
    "--record",
    "recorded",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the result as a table of docs/results, too",
)
@report_user_errors
def main(cycles: int, n_cores: int, seed: int, out: Path, recorded: Path | None) -> None:
    """Run random small cores on random sequences, with power-up contents that are random, stalls,
    errors, resets and reloads, and compare all that they show with golden. Status 1 where something
    differs: its smallest sequence is printed as a test.
    """
    out.mkdir(parents=True, exist_ok=True)
    commit, tallies, rows = record.commit(), [], []
    with tqdm(total=cycles, unit="cycle", unit_scale=True, smoothing=0) as bar:
        for index in range(n_cores):
            core = draw_core(seed, index)
            bar.set_description(f"{core.kind} {core.seed}")
            key = {"commit": commit, "seed": seed, "kind": core.kind, "core": core.seed}
            share = -(-cycles // n_cores)
            try:
                tally = soak(core, index, seed, share, out, key, bar)
            except Different as different:
                bar.close()
                click.echo(f"{different.test}\nerror: {different}", err=True)
                raise SystemExit(1) from None
            tallies.append(tally)
            did = (tally.cycles, tally.values, tally.power_ups, tally.resets, tally.reloads)
            rows.append((core.kind, core.seed, *(f"{count:,}" for count in did)))
    command = f"make soak CYCLES={cycles} CORES={n_cores} SEED={seed}"
    result = {"commit": commit, "command": command, **record.total(tallies)}
    write_whole(out / "soak.json", json.dumps(result, indent=1) + "\n")
    if recorded is not None:
        write_whole(recorded, json.dumps(record.row(result), indent=1) + "\n")
    click.echo(table(HEADER, rows, left=(0,)))
    click.echo(f"{result['values']:,} values in {result['cycles']:,} cycles: 0 mismatches")
    click.echo(f"result {out / 'soak.json'}")


if __name__ == "__main__":
    main()
