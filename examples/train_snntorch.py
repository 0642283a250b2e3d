"""Networks of snnTorch, trained on MNIST row by row, as integers of the core: are the classes the
same?

Each one reads a row of 28 pixels a timestep. It is trained in a minute or so on one core, imported
with `from_snntorch`, rounded, and measured on the test digits. Its module goes to
FOLDER/NAME.pt, its network of 8-bit weights to FOLDER/NAME, where `make sim NET=FOLDER/NAME` finds
it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import snntorch as snn
import torch
from snntorch import utils
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from dmp_core.frontends.imported import Imported
from dmp_core.frontends.snntorch import from_snntorch
from export.store import STORED, Card, save_network
from golden.command_line import FORCE, Command
from golden.data.accuracy import evaluate_integers
from golden.data.dataset import Dataset, load_dataset
from golden.errors import UserError, report_user_errors
from golden.files import keep
from golden.formats import GRADED
from golden.integer import NetworkIntegers, run
from golden.quantize import quantize
from golden.reals import NetworkReals
from golden.table import table
from golden.width_search import WIDEST, Widths

HIDDEN, CLASSES, ROW, BATCH = 128, 10, 28, 128
RATE, LARGEST, SMALLEST_BETA = 4e-3, 0.99, 0.2
EIGHT = Widths(weights=8, membranes=16, leaks=12)

Neuron = Callable[[int], nn.Module]  # of the number of neurons


def of(kind: Any, *args: Any, **options: Any) -> Neuron:
    """Return what makes neurons of a kind: those of the hidden layer, and of the classes."""
    return lambda n: kind(*args, init_hidden=True, **options)


def learned(n: int) -> nn.Module:
    """Neurons that learn a decay and a threshold each."""
    each: Any = {"threshold": torch.ones(n), "learn_beta": True, "learn_threshold": True}
    return snn.Leaky(0.6 + 0.3 * torch.rand(n), init_hidden=True, **each)


def recurrent(n: int) -> nn.Module:
    """Neurons whose spikes reach all of them a timestep later."""
    return snn.RLeaky(0.8, linear_features=n, init_hidden=True)


# The neurons of the hidden layer, and those of the classes.
NETWORKS: dict[str, tuple[Neuron, Neuron]] = {
    "leaky_05": (of(snn.Leaky, 0.5), of(snn.Leaky, 0.5)),
    "leaky_09": (of(snn.Leaky, 0.9), of(snn.Leaky, 0.9)),
    "zero": (
        of(snn.Leaky, 0.9, reset_mechanism="zero"),
        of(snn.Leaky, 0.9, reset_mechanism="zero"),
    ),
    "learned": (learned, learned),
    "synaptic": (of(snn.Synaptic, 0.6, 0.8), of(snn.Synaptic, 0.6, 0.8)),
    "recurrent": (recurrent, of(snn.Leaky, 0.8)),
    "membrane": (of(snn.Leaky, 0.9), of(snn.Leaky, 0.95, reset_mechanism="none", output=True)),
}


def make(name: str) -> nn.Sequential:
    """Return a network of one timestep that was not trained."""
    hidden, classes = NETWORKS[name]
    first, second = nn.Linear(ROW, HIDDEN), nn.Linear(HIDDEN, CLASSES)
    with torch.no_grad():  # with weights as small as Torch's, hardly a neuron fires at first
        first.weight.mul_(3)
        second.weight.mul_(2)
    return nn.Sequential(first, hidden(HIDDEN), second, classes(CLASSES))


def scores(module: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return what classes are decided by (B, 10): the last membranes, or counts of spikes."""
    utils.reset(module)
    outputs = [module(images[:, row]) for row in range(ROW)]
    if isinstance(outputs[-1], tuple):
        return outputs[-1][-1]
    return torch.stack(outputs).sum(0)


def as_tensor(dataset: Dataset, chosen: np.ndarray | slice) -> torch.Tensor:
    """Return digits (B, rows, pixels) of 0 to 255 / 256: what the core's payloads stand for."""
    return torch.from_numpy(dataset.sequences(chosen).astype(np.float32)) / 256


def keep_small(module: nn.Module) -> None:
    """Keep a few large weights, and the resets of small betas, from taking the bits of all others:
    a reset that comes late is one of threshold / beta.
    """
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Linear):
                part.weight.clamp_(-LARGEST, LARGEST)
            elif isinstance(part, snn.Leaky):
                part.beta.clamp_(SMALLEST_BETA, 1)


def train(module: nn.Module, dataset: Dataset, epochs: int, rng: np.random.Generator) -> None:
    """Train a network on counts of spikes, or on membranes."""
    labels = torch.from_numpy(dataset.labels.astype(np.int64))
    steps = epochs * (len(dataset) // BATCH)
    optimizer = torch.optim.AdamW(module.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5 * RATE, total_steps=max(steps, 1))
    with tqdm(total=steps, desc="training", unit="batch") as bar:
        for _ in range(epochs):
            order = rng.permutation(len(dataset))[: len(dataset) // BATCH * BATCH]
            for chosen in order.reshape(-1, BATCH):
                loss = functional.cross_entropy(
                    scores(module, as_tensor(dataset, chosen)), labels[torch.from_numpy(chosen)]
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                keep_small(module)
                bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
                bar.update()


def classify(module: nn.Module, dataset: Dataset) -> np.ndarray:
    """Return snnTorch's classes (n,), the first of equals."""
    module.eval()
    with torch.no_grad():
        found = [
            scores(module, as_tensor(dataset, slice(first, first + 500))).numpy().argmax(1)
            for first in range(0, len(dataset), 500)
        ]
    return np.concatenate(found)


def classes_of(network: NetworkIntegers, dataset: Dataset) -> np.ndarray:
    """Return the classes (n,) of the integers."""
    batches = range(0, len(dataset), 250)
    found = [run(network, dataset.sequences(slice(k, k + 250))).classes for k in batches]
    return np.concatenate(found)


def import_module(name: str, module: nn.Module) -> Imported[NetworkReals]:
    """Return a network that was trained here, as the core's."""
    read = "membrane" if name == "membrane" else "spike_count"
    return from_snntorch(module, payload=GRADED, readout=read)


def measure(
    name: str, module: nn.Module, training: Dataset, test: Dataset, folder: Path
) -> list[object]:
    """Return a row of the table, and store the network of 8-bit weights."""
    theirs = classify(module, test)
    network, calibration = import_module(name, module).network, training.sequences(slice(500))
    accuracy = float((theirs == test.labels).mean())
    row: list[object] = [name, f"{100 * accuracy:.2f}"]
    for widths in (WIDEST, EIGHT):
        rounded = quantize(network, calibration, name, widths.formats, widths.weights).network
        ours = classes_of(rounded, test)
        row += [f"{100 * (ours == theirs).mean():.2f}", f"{100 * (ours == test.labels).mean():.2f}"]
    found = evaluate_integers(rounded, test.select(slice(1000)))
    parameters = sum(of.numel() for of in module.parameters())
    right = float((ours == test.labels).mean())
    card = Card("rows", ROW, parameters, accuracy, right, len(test), found.rates)
    save_network(rounded, folder / name, card)
    return row


@click.command(cls=Command, help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path), default=Path("build/snntorch"))
@click.option("--network", "names", multiple=True, help="Only these; again for more.")
@click.option("--epochs", type=click.IntRange(0), default=3, show_default=True)
@click.option("--limit", type=click.IntRange(BATCH), help="Training digits; all 60,000 without it.")
@click.option("--test", "n_test", type=click.IntRange(1), help="Test digits; all 10,000.")
@click.option("--data", type=click.Path(path_type=Path), help="MNIST's files; fetched without it.")
@FORCE
@report_user_errors
def main(
    folder: Path,
    names: tuple[str, ...],
    epochs: int,
    limit: int | None,
    n_test: int | None,
    data: Path | None,
    force: bool,
) -> None:
    if unknown := [name for name in names if name not in NETWORKS]:
        raise UserError(f"--network {unknown[0]}: use one of {', '.join(NETWORKS)}")
    for name in names or NETWORKS:
        for file in (f"{name}.pt", *(f"{name}/{part}" for part in STORED)):
            keep(folder / file, force)
    training = load_dataset("rows", data, "train").select(slice(limit))
    test = load_dataset("rows", data, "test").select(slice(n_test))
    folder.mkdir(parents=True, exist_ok=True)
    head = ("network", "snnTorch / %", "16 bits: equal / %", "right / %")
    head += ("8 bits: equal / %", "right / %")
    rows = []
    for name in names or NETWORKS:
        print(name)
        torch.manual_seed(0)
        module = make(name)
        train(module, training, epochs, np.random.default_rng(0))
        utils.reset(module)
        torch.save(module.state_dict(), folder / f"{name}.pt")
        rows.append(measure(name, module, training, test, folder))
        print(table(head, rows, left=[0]))
    print(f"{len(test)} digits; networks: {folder}")


if __name__ == "__main__":
    main()
