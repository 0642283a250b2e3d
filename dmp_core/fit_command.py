"""`dmp fit`: choose a core's hardware from a network's events and a budget, and show
what it was chosen from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
from tqdm import tqdm

from dmp_core.shape import DEFAULT
from energy.estimate import Estimate, error_lines, read_estimate
from energy.technology import Technology, read_technology
from energy.work import work_of
from export.claim import check_claim, claim
from export.sequences import check_count
from export.store import find_dataset, load_network
from golden.command_line import DATA, Command, Count, Number, count_option
from golden.cost.activity import Activity, measure_activity
from golden.cost.search import Budget, Candidate, Objective, core_choices, fit, pareto, with_latency
from golden.data.synthetic import draw_events, draw_network
from golden.errors import UserError, report_user_errors
from golden.files import write_whole
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams, listed
from golden.picture import clear_ticks, save_picture
from golden.table import table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SYNTHETIC = "shd"
CHOSEN = "fit.json"
RATE = 20.0
SHOWN = 24  # rows of the table
FOR_A_CHIP: dict[str, Any] = {"hold_operands": True, "segment_words": 256}  # make's CHIP=1


def load_activity(name: str, count: Count, rate: float | None, data: Path | None) -> Activity:
    """Return what a shipped network (or a folder) does with its first test sequences (see
    `find_dataset`); or the network `shd` of `golden.data.synthetic` with drawn events, `rate` a
    timestep. What the one or the other does not use is refused.
    """
    if name == SYNTHETIC:
        if data is not None or count.asked:
            option = count.option if data is None else f"--data {data}"
            raise UserError(f"{option} with {SYNTHETIC}, whose events are drawn: leave it out")
        payloads = draw_events(RATE if rate is None else rate, 16, seed=0)
        return measure_activity(draw_network(SYNTHETIC, payloads, seed=0), payloads)
    if rate is not None:
        raise UserError(f"--rate {rate:g} with {name}: only {SYNTHETIC} has drawn events")
    dataset = find_dataset(name, data)
    chosen = slice(check_count(dataset, count))
    return measure_activity(load_network(name), dataset.sequences(chosen))


def energy_of(
    activity: Activity, technology: Technology, estimate: Estimate
) -> Callable[[Candidate], float]:
    """Return what estimates the energy (uJ) of a sequence for a candidate, built for a chip: the
    mean, for sequences that follow each other in the cycles that the candidate takes.
    """

    def tell(candidate: Candidate) -> float:
        hardware = replace(candidate.hardware, **FOR_A_CHIP)
        core = CoreParams(activity.network.params, hardware)
        golden = activity.of_block(candidate.hardware.block)
        cycles = candidate.cycles * activity.n_timesteps
        return estimate.microjoules(work_of(core, golden, activity.used, cycles, technology))

    return tell


def microjoules(candidate: Candidate) -> str:
    """Return an energy in three digits, or in as many as it has before the point."""
    energy = candidate.energy or 0.0
    return f"{energy:.{sum(energy < limit for limit in (10, 100))}f}"


def thinned(front: Sequence[Candidate], chosen: Candidate) -> list[Candidate]:
    """Return some of a front, in its order, the chosen one among them: evenly, and first of those
    that are beaten in cycles and multipliers alone by no other one.
    """
    cheap = pareto(replace(one, block_rams=0) for one in front)
    costs = {(one.cycles, one.multipliers) for one in cheap}
    some = [one for one in front if (one.cycles, one.multipliers) in costs]
    if len(front) <= SHOWN:
        some = list(front)
    places = {round(i * (len(some) - 1) / (SHOWN - 2)) for i in range(SHOWN - 1)}
    kept = [one for i, one in enumerate(some) if i in places or len(some) <= SHOWN]
    return [one for one in front if one in kept or one.hardware == chosen.hardware]


def front_table(front: Sequence[Candidate], chosen: Candidate) -> str:
    """Return the front as a table of at most `SHOWN` rows, the chosen configuration marked; with
    energies and latencies where they are known of all.
    """
    told = all(candidate.energy is not None for candidate in front)
    timed = all(candidate.latency is not None for candidate in front)
    shared = any(candidate.hardware.graded != "own" for candidate in front)
    header = ["", "lanes", "block", "events", "products", *["graded"] * shared]
    header += ["cycles", "multipliers", "RAMs"]
    rows = [
        [
            "->" if candidate.hardware == chosen.hardware else "",
            listed(candidate.hardware.lanes, ","),
            candidate.hardware.block,
            listed(candidate.hardware.events_per_cycle, ","),
            listed(candidate.hardware.products_per_cycle, ","),
            *([candidate.hardware.graded] if shared else []),
            f"{candidate.cycles:.1f}",
            candidate.multipliers,
            candidate.block_rams,
            *([microjoules(candidate)] if told else []),
            *([f"{candidate.latency:.0f}"] if timed else []),
        ]
        for candidate in thinned(front, chosen)
    ]
    return table([*header, *["uJ"] * told, *["latency"] * timed], rows)


def plot(
    name: str, front: Sequence[Candidate], found: Sequence[Candidate], chosen: Candidate
) -> Figure:
    """Return a picture of cycles against multipliers, of the cores that none of their block beats;
    beside it, where it is told, of cycles against energy, of the front.
    """
    from matplotlib.figure import Figure

    told = chosen.energy is not None
    figure = Figure(figsize=(7 + 5 * told, 5), layout="constrained")
    panels = figure.subplots(1, 1 + told, squeeze=False)[0]
    _draw(panels[0], "multipliers", "multipliers", found, front, chosen)
    if told:
        _draw(panels[1], "energy", "energy of a sequence (uJ, estimated)", front, front, chosen)
    panels[0].legend(fontsize="small")
    figure.suptitle(f"{name}: the cores that no other one of their T beats, and the one chosen")
    return figure


def _draw(
    axes: Axes,
    cost: str,
    label: str,
    shown: Sequence[Candidate],
    front: Sequence[Candidate],
    chosen: Candidate,
) -> None:
    """Draw cycles against a cost, by timesteps a block."""

    def axes_of(some: Sequence[Candidate]) -> tuple[list[float], list[float]]:
        return [getattr(c, cost) for c in some], [c.cycles for c in some]

    for block in sorted({candidate.hardware.block for candidate in shown}):
        some = [candidate for candidate in shown if candidate.hardware.block == block]
        size, colour = 6 if shown is not front else 36, f"C{block.bit_length() - 1}"
        axes.scatter(*axes_of(some), s=size, c=colour, alpha=0.5, label=f"T = {block}")
    axes.plot(*axes_of(front), "k.", label="front")
    axes.plot(*axes_of([chosen]), "r*", ms=14, label="chosen")
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel="cycles a timestep")
    clear_ticks(axes.xaxis)
    clear_ticks(axes.yaxis)


@click.command(name="fit", cls=Command, context_settings={"show_default": True})
@click.argument("name")
@click.option("--multipliers", type=click.IntRange(1), help="At most N [default: no limit]")
@click.option(
    "--block-rams", type=click.IntRange(0), help="At most N of an ECP5 [default: no limit]"
)
@click.option(
    "--cycles",
    type=Number(0, min_open=True),
    help="At most N a timestep [default: the fewest]",
)
@click.option(
    "--latency",
    type=Number(0, min_open=True),
    help="At most N cycles a sequence [default: no limit]",
)
@click.option(
    "--energy",
    type=Number(0, min_open=True),
    help="At most N uJ a sequence, estimated [default: no limit]",
)
@click.option(
    "--objective",
    type=click.Choice(get_args(Objective)),
    help="What is to be least [default: multipliers with --cycles or --latency, else cycles]",
)
@count_option(4, what="sequences to count events of")
@DATA
@click.option("--reports", is_flag=True, help="Of cores that report at any time")
@click.option("--list-buffers", default=DEFAULT.list_buffers, help="Of cores with as many: 3 or 6")
@click.option(
    "--link-items", default=DEFAULT.link_items, help="Of cores with such links: 1, 2 or 4"
)
@click.option(
    "--input-items", default=DEFAULT.input_items, help="Of cores with such an input: 1, 2 or 4"
)
@click.option(
    "--rate", type=float, help=f"Events a timestep of the network shd [default: {RATE:g}]"
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help=f"Folder of {CHOSEN}, fit.png [default: build/NAME]",
)
@report_user_errors
def command(
    name: str,
    multipliers: int | None,
    block_rams: int | None,
    cycles: float | None,
    latency: float | None,
    energy: float | None,
    objective: Objective | None,
    count: Count,
    data: Path | None,
    reports: bool,
    list_buffers: int,
    link_items: int,
    input_items: int,
    rate: float | None,
    out: Path | None,
) -> None:
    """Choose timesteps a block, and for each layer and the readout its lanes, events and products a
    cycle, for network NAME (a shipped one, a folder, or shd: drawn, of the size for spoken digits)
    under a budget.

    Without --cycles and --latency the fastest core within the budget, with them the one with the
    fewest multipliers, or with --objective the one that takes least of it. Cycles are predicted on
    the network's own events; block RAMs are estimated, and so is the energy of a chip, as by dmp
    energy --estimate --hold-operands --segment-words 256.

    All cores are searched for those that no other one beats in cycles, multipliers and block RAMs.
    Of these alone the energy and the latency are told: of those of each block where --energy or
    --objective energy asks for it, else of those of all.
    """
    activity = load_activity(name, count, rate, data)
    out = out or Path("build") / activity.network.params.name
    check_claim(out, name)
    budget = Budget(multipliers, block_rams, cycles, latency, energy)
    technology, estimate = read_technology(), read_estimate()
    tell = energy_of(activity, technology, estimate)
    given = HardwareParams(
        1,
        reports=reports,
        list_buffers=list_buffers,
        link_items=link_items,
        input_items=input_items,
    )
    with tqdm(total=len(core_choices(activity, given)), desc="searched", unit="block") as bar:
        chosen, front, found = fit(
            activity, budget, bar.update, objective=objective, energy=tell, given=given
        )
    chosen = with_latency(activity, chosen)
    out.mkdir(parents=True, exist_ok=True)
    click.echo(front_table(front, chosen))
    rows = len(thinned(front, chosen))
    click.echo(
        f"{len(front)} cores that no other one beats"
        + f", {rows} of them shown" * (rows < len(front))
    )
    click.echo(
        f"chosen     {chosen.cycles:.1f} cycles a timestep,"
        f" {chosen.multipliers} multipliers, about {chosen.block_rams} block RAMs,"
        f" {chosen.latency:.0f} cycles for a sequence alone"
    )
    click.echo(
        f"energy     about {microjoules(chosen)} uJ a sequence as a chip (CHIP=1) of"
        f" {technology.name}, without gates"
    )
    click.echo("\n".join(error_lines(estimate)))
    content = {"chosen": asdict(chosen), "front": [asdict(candidate) for candidate in front]}
    write_whole(out / CHOSEN, json.dumps(content, indent=1) + "\n")
    network = activity.network.params.name
    save_picture(plot(network, front, found, chosen), out / "fit.png")
    claim(out, name)
    click.echo(f"wrote {out / CHOSEN} and {out / 'fit.png'}")
    if name != SYNTHETIC:
        click.echo(f"build it: dmp rtl {name} --fit --out {out}, or")
        click.echo(f"make rtl NET={name} {chosen.make_variables()}")
