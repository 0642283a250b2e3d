"""Commands of stored networks: quantize a trained one; measure, split or draw one; train it
further; ship digits.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from export.sequences import check_count
from export.store import (
    OWN,
    STORED,
    Card,
    find_dataset,
    find_folder,
    is_of_card,
    load_stored,
    save_digits,
    save_network,
    save_sequences,
)
from golden.command_line import DATA, DATA_WHOLE, FORCE, SEED, Command, Count, Number, count_option
from golden.data.accuracy import evaluate_integers
from golden.data.dataset import load_dataset
from golden.data.sequence_files import save_sequences as save_labelled
from golden.errors import UserError, report_user_errors
from golden.files import keep
from golden.params import check_name
from golden.quantize import DEFAULT_WIDTHS, widths_of
from golden.quantize import quantize as quantize_network

FOLDER = click.Path(path_type=Path)
DRAWN = 8  # sequences beside a drawn network


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("name")
@click.option("--checkpoint", type=FOLDER, help="[default: build/train/NAME.pt]")
@click.option("--data", type=FOLDER, help="Folder with the data set [default: fetch MNIST]")
@click.option("--out", type=FOLDER, help="[default: build/quantized/NAME]")
@FORCE
@click.option(
    "--calibration",
    default=512,
    type=click.IntRange(1),
    help="Training sequences to choose the scales on",
)
@click.option(
    "--digits",
    "n_test",
    type=click.IntRange(1),
    help="Test sequences to measure accuracy on [default: all]",
)
@click.option("--batch", default=250, type=click.IntRange(1), help="Sequences run at once")
@click.option(
    "--weight-bits",
    type=click.IntRange(2, 16),
    help="Of the spike weights W_f [default: those of the training]",
)
@click.option(
    "--slow-bits",
    type=click.IntRange(2, 16),
    help="Of the slow state's weights P and V [default: those of the training]",
)
@click.option(
    "--state-bits",
    type=click.IntRange(4, DEFAULT_WIDTHS.m.width),
    help="Of the slow state [default: those of the training]",
)
@report_user_errors
def quantize(
    name: str,
    checkpoint: Path | None,
    data: Path | None,
    out: Path | None,
    force: bool,
    calibration: int,
    n_test: int | None,
    batch: int,
    **bits: int | None,
) -> None:
    """Quantize the trained network NAME, measure it, and store it."""
    check_name(name)
    out = out or Path("build/quantized") / name
    for file in STORED:
        keep(out / file, force)
    # Torch takes seconds to load, and only this command needs it.
    from tqdm import tqdm

    from golden.train.checkpoint import load_network as load_trained
    from golden.train.checkpoint import load_recipe
    from golden.train.convert import extract
    from golden.train.loop import Recipe, evaluate

    checkpoint = checkpoint or Path("build/train") / f"{name}.pt"
    trained, recipe = load_trained(checkpoint), load_recipe(checkpoint)
    variant, without = trained.topology.data, recipe.get("without_speaker")
    training = load_dataset(variant, data, "train", without)
    test = load_dataset(variant, data, "test", without).select(slice(n_test))
    sequences = training.sequences(slice(calibration))
    widths = {
        key: given or int(recipe.get(key, getattr(Recipe, key))) for key, given in bits.items()
    }
    quantized = quantize_network(extract(trained), sequences, name, widths_of(**widths))
    for index, (layer, ranges) in enumerate(
        zip(quantized.network.params.layers, quantized.ranges, strict=True)
    ):
        f = layer.formats
        formats = ", ".join(
            f"{key} {getattr(f, key)}" for key in ("w_f", "w_x", "p", "v", "a", "b", "m", "x", "u")
        )
        own = f"; a value a neuron: {', '.join(layer.per_neuron)}" if layer.per_neuron else ""
        click.echo(
            f"layer {index}: largest x {ranges.x:.2f}, m {ranges.m:.2f}, u {ranges.u:.2f};"
            f" {formats}{own}"
        )
    clamped = {where: count for where, count in quantized.clamped.items() if count}
    click.echo(f"coefficients clamped by their format: {_counts(clamped)}")
    accuracy_float = evaluate(trained, test, batch)
    click.echo(f"float:    {100 * accuracy_float:.2f} % of {len(test)} test sequences")
    with tqdm(total=len(test), desc="integers", mininterval=1) as bar:
        measured = evaluate_integers(quantized.network, test, batch=batch, progress=bar.update)
    saturated = {where: count for where, count in measured.saturations.items() if count}
    click.echo(f"integers: {100 * measured.accuracy:.2f} % of {len(test)} test sequences")
    click.echo(f"events a timestep: {', '.join(f'{rate:.1f}' for rate in measured.rates)}")
    click.echo(f"saturations: {_counts(saturated)}")
    card = Card(
        variant, sequences.shape[1], trained.n_parameters(), accuracy_float, measured.accuracy,
        len(test), [round(rate, 2) for rate in measured.rates], recipe,
    )  # fmt: skip
    save_network(quantized.network, out, card)
    click.echo(f"wrote {out}")


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("name")
@DATA_WHOLE
@click.option("--batch", default=250, type=click.IntRange(1), help="Sequences run at once")
@report_user_errors
def accuracy(name: str, data: Path | None, batch: int) -> None:
    """Measure the integers of network NAME (a shipped one, or a folder) on its whole test set.

    Exits with status 1 where the accuracy is not that of its card, on the card's data set.
    """
    from tqdm import tqdm

    network, card = load_stored(name)
    test = find_dataset(name, data, whole=True)
    with tqdm(total=len(test), desc="integers", mininterval=1, delay=0.2) as bar:
        measured = evaluate_integers(network, test, batch=batch, progress=bar.update)
    told = "its card does not say how many it should be"
    if card.n_test:
        told = f"its card says {100 * card.accuracy_integer:.2f} % of {card.n_test}"
    if card.n_test and card.accuracy_float:  # a network that was imported has none
        told += f", and {100 * card.accuracy_float:.2f} % in float"
        told += f" with {card.parameters} parameters"
    click.echo(
        f"{network.params.name}: {100 * measured.accuracy:.2f} % of {len(test)} test sequences in"
        f" integers; {told}"
    )
    right = measured.accuracy == card.accuracy_integer
    if is_of_card(card, data) and len(test) == card.n_test and not right:
        click.echo(
            f"error: {name} is not what its card says: quantize it again, or check --data", err=True
        )
        sys.exit(1)


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("name")
@click.option("--out", type=FOLDER, help="[default: build/start/NAME.pt]")
@FORCE
@report_user_errors
def checkpoint(name: str, out: Path | None, force: bool) -> None:
    """Write network NAME (a shipped one, or a folder) as a checkpoint to train further from.

    `make train NET=.. RECIPE="--start build/start/NAME.pt ..."` starts there, also with another
    dilation, or for W_f in fewer bits.
    """
    from golden.train.checkpoint import is_start, save_start
    from golden.train.convert import dequantize
    from golden.train.topology import Topology

    network, card = load_stored(name)
    try:
        topology = Topology.from_dict(card.recipe["topology"])
        epochs_done = int(card.recipe["epochs_done"])
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"the card of {name} does not say how it was trained: train it anew"
        ) from None
    out = out or Path("build/start") / f"{network.params.name}.pt"
    keep(out, force or is_start(out))
    restored = dequantize(network, topology)
    save_start(out, network.params.name, restored, card.recipe)
    click.echo(
        f"wrote {out}: {restored.n_parameters()} parameters, trained for {epochs_done} epochs"
    )


def _is_drawn(folder: Path) -> bool:
    """Return whether `draw` stored the network of a folder: it can do so again."""
    try:
        return "drawn" in load_stored(folder)[1].recipe
    except UserError:
        return False


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{where} {count}" for where, count in counts.items()) or "none"


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("name")
@click.option(
    "--inputs", default=28, type=click.IntRange(1), help="28: it takes the rows of a digit"
)
@click.option("--neurons", default=32, type=click.IntRange(1), help="Of every layer")
@click.option("--layers", default=1, type=click.IntRange(1))
@click.option("--state", default=8, type=click.IntRange(0), help="Values of a layer's slow state")
@click.option("--classes", default=10, type=click.IntRange(1))
@click.option("--spikes", is_flag=True, help="Inputs are spikes, not the bytes of pixels")
@click.option("--recurrent", is_flag=True, help="Layers take their own spikes (with --state 0)")
@click.option("--weight-bits", default=DEFAULT_WIDTHS.w_f.width, type=click.IntRange(2, 16))
@click.option(
    "--slow-bits",
    default=DEFAULT_WIDTHS.p.width,
    type=click.IntRange(2, 16),
    help="Of the slow state's weights P and V",
)
@click.option(
    "--state-bits",
    default=DEFAULT_WIDTHS.m.width,
    type=click.IntRange(6, DEFAULT_WIDTHS.m.width),
)
@click.option(
    "--rate",
    type=Number(0, min_open=True),
    help="Of events a timestep: store sequences of spikes as well, and choose thresholds so that"
    " every layer sends as many",
)
@click.option("--seed", default=0, type=SEED)
@click.option("--out", type=FOLDER, help="[default: build/drawn/NAME]")
@FORCE
@report_user_errors
def draw(
    name: str,
    inputs: int,
    neurons: int,
    layers: int,
    state: int,
    classes: int,
    spikes: bool,
    recurrent: bool,
    weight_bits: int,
    slow_bits: int,
    state_bits: int,
    rate: float | None,
    seed: int,
    out: Path | None,
    force: bool,
) -> None:
    """Store a network of these sizes that nobody trained: to try a core that fits a small device.
    What it says of a digit is chance.
    """
    from golden.data.synthetic import SHD_TIMESTEPS, draw_events, draw_layers, with_activity
    from golden.formats import GRADED, SPIKE

    sizes = (inputs, *[neurons] * layers)
    payload = SPIKE if spikes or rate else GRADED
    network = draw_layers(
        name, sizes, state, classes, seed, payload=payload, threshold=256, recurrent=recurrent,
        widths=widths_of(weight_bits, slow_bits, state_bits),
    )  # fmt: skip
    data = "rows" if inputs == 28 and payload == GRADED else "drawn"
    out = out or Path("build/drawn") / name
    force = force or _is_drawn(out)
    for file in (*STORED, *[OWN] * bool(rate)):
        keep(out / file, force)
    if rate:
        events = draw_events(rate, DRAWN, seed, n_inputs=inputs)
        network = with_activity(network, events)
        save_sequences(events, out)
    n_timesteps = SHD_TIMESTEPS if rate else 28
    save_network(network, out, Card(data, n_timesteps, 0, 0.0, 0.0, 0, [], {"drawn": seed}))
    click.echo(f"wrote {out}")


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("name", metavar="NETWORK")
@click.argument("at", type=click.IntRange(1), nargs=-1, required=True)
@click.option("--out", type=FOLDER, default=Path("build/split"), show_default=True)
@count_option(20, "--sequences", "test sequences of spikes to store with each part but the first")
@DATA
@FORCE
@report_user_errors
def split(
    name: str, at: tuple[int, ...], out: Path, count: Count, data: Path | None, force: bool
) -> None:
    """Cut NETWORK before each layer AT (counted from 0), for a chain of cores: the spikes of a
    part's last layer leave its core, and the next one's takes them.

    The parts are OUT/NETWORK_0, OUT/NETWORK_1, ...: networks like any other. Beside each are
    sequences for it where there are any of NETWORK: what the part before it sends.
    """
    from golden.integer import run
    from golden.split import split as cut

    network, card = load_stored(name)
    parts = cut(network, *at)
    folders = [out / part.params.name for part in parts]
    for folder in folders:
        for file in (*STORED, OWN):
            keep(folder / file, force)
    try:
        dataset = find_dataset(name, data)
    except UserError as error:
        if data is not None:
            raise
        sequences, labels = None, None
        click.echo(f"no sequences are stored with the parts: {error}", err=True)
    else:
        dataset = dataset.select(slice(check_count(dataset, count)))
        sequences = dataset.sequences()
        labels = dataset.labels if dataset.labelled else None
    own = data is not None or (find_folder(name) / OWN).exists()
    for index, (part, folder) in enumerate(zip(parts, folders, strict=True)):
        start, stop = (0, *at)[index], (*at, len(network.layers))[index]
        events = card.events_per_step[start : stop + 1]
        of = replace(card, data="spikes" if index else card.data, events_per_step=events)
        (folder / OWN).unlink(missing_ok=True)
        save_network(part, folder, of)
        if sequences is not None:
            if index or own:
                save_labelled(folder / OWN, sequences, labels)
            spikes = run(part, sequences, trace=True).layers[-1].spikes
            assert spikes is not None
            sequences = spikes.astype(np.int8)
        click.echo(f"wrote {folder}")


@click.command(cls=Command, context_settings={"show_default": True})
@click.option("--data", type=FOLDER, help="Folder with the MNIST idx files [default: fetch]")
@click.option(
    "--count", default=200, type=click.IntRange(1), help="How many of the first test digits"
)
@click.option("--out", type=FOLDER, default=Path("build/digits.npz"))
@FORCE
@report_user_errors
def digits(data: Path | None, count: int, out: Path, force: bool) -> None:
    """Store the first test digits of MNIST as those are that are shipped in export/networks."""
    from golden.data.mnist import Digits, load_mnist

    keep(out, force)
    test = load_mnist(data, "test")
    if count > len(test):
        raise UserError(f"--count {count}: MNIST has {len(test)} test digits")
    save_digits(Digits(test.images[:count], test.labels[:count]), out)
    click.echo(f"wrote {out}")
