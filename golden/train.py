"""Train a preset network on MNIST: resumable, seeded, with the learning curve in a CSV file.

The recipe (design notes of this project): AdamW with a warm-up and a cosine, gradients clipped at
norm 1, small random rotations, scalings and shifts of the digits.
"""

from __future__ import annotations

import csv
import dataclasses
import math
import pickle
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from golden.data import Digits, load_mnist, to_sequences
from golden.errors import UserError, report_user_errors
from golden.model import DmpNetwork
from golden.topology import find_topology

WARMUP_STEPS = 50
CHECKPOINT_KEYS = {"name", "settings", "epoch", "network", "optimizer", "scheduler"}


def augment(images: np.ndarray, strength: float, generator: torch.Generator) -> np.ndarray:
    """Rotate (up to 10 degrees), scale (10 %), shift (1.5 pixels) images (n, 28, 28) at random,
    times `strength`.
    """
    if not strength:
        return images
    n = len(images)
    draw = (torch.rand(4, n, generator=generator) * 2 - 1) * strength
    angle, scale = draw[0] * math.radians(10), 1 + draw[1] * 0.1
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift = draw[2:] * 1.5 / 14
    matrix = torch.stack(
        [torch.stack([cos, -sin, shift[0]], 1), torch.stack([sin, cos, shift[1]], 1)], 1
    )
    grid = functional.affine_grid(matrix, [n, 1, 28, 28], align_corners=False)
    moved = functional.grid_sample(
        torch.from_numpy(images.copy()).float()[:, None], grid, align_corners=False
    )
    return moved[:, 0].round().clamp(0, 255).to(torch.uint8).numpy()


@torch.no_grad()
def evaluate(network: DmpNetwork, digits: Digits, batch: int = 250) -> float:
    """Return the share of digits classified correctly."""
    correct = 0
    for first in range(0, len(digits), batch):
        payloads = to_sequences(digits.images[first : first + batch], network.topology.data)
        logits, _ = network(torch.from_numpy(payloads.copy()).transpose(0, 1))
        correct += int((logits.argmax(1).numpy() == digits.labels[first : first + batch]).sum())
    return correct / len(digits)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint written by `train`, or raise `UserError`."""
    if not path.exists():
        raise UserError(f"no checkpoint {path}: train one first (make train)")
    try:
        checkpoint = torch.load(path, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError):
        raise UserError(f"{path} is not a checkpoint, or a damaged one: train again") from None
    if not isinstance(checkpoint, dict) or not CHECKPOINT_KEYS <= set(checkpoint):
        raise UserError(f"{path} is not a checkpoint of golden.train: train again")
    return checkpoint


def load_network(path: Path) -> DmpNetwork:
    """Read the network of a checkpoint, or raise `UserError`."""
    checkpoint = load_checkpoint(path)
    network = DmpNetwork(find_topology(checkpoint["name"]))
    try:
        network.load_state_dict(checkpoint["network"])
    except RuntimeError:
        raise UserError(
            f"{path} has another shape than network '{checkpoint['name']}': train again"
        ) from None
    return network


def load_recipe(path: Path) -> dict[str, Any]:
    """Read what a checkpoint was trained with: topology, epochs done and intended, seed, ...; or
    raise `UserError`.
    """
    checkpoint = load_checkpoint(path)
    settings = {key: value for key, value in checkpoint["settings"].items() if key != "topology"}
    return {"topology": checkpoint["name"], "epochs_done": checkpoint["epoch"], **settings}


def train(
    name: str,
    data: Path | None,
    out: Path,
    *,
    epochs: int = 20,
    batch: int = 128,
    learning_rate: float = 1e-2,
    augmentation: float = 0.5,
    seed: int = 0,
    limit: int | None = None,
) -> Path:
    """Train network `name` and return the checkpoint's path; continue from it where one exists.

    Parameters
    ----------
    data
        The folder with the MNIST files, or None to fetch them.
    limit
        Use only so many training and test digits (for trials).
    """
    topology = find_topology(name)
    training, test = load_mnist(data, "train"), load_mnist(data, "test")
    if limit:
        training, test = (Digits(d.images[:limit], d.labels[:limit]) for d in (training, test))
    if len(training) < batch:
        raise UserError(
            f"{len(training)} training digits do not fill a batch of {batch}: use a smaller --batch"
            " or a larger --limit"
        )
    settings = {
        "epochs": epochs,
        "batch": batch,
        "learning_rate": learning_rate,
        "seed": seed,
        "augmentation": augmentation,
        "limit": limit,
        "topology": repr(dataclasses.astuple(topology)),
    }
    torch.manual_seed(seed)
    network = DmpNetwork(topology)
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=0.01)
    n_batches = len(training) // batch
    n_steps = epochs * n_batches

    def rate(step: int) -> float:
        if step < WARMUP_STEPS:
            return (step + 1) / WARMUP_STEPS
        return 0.5 * (1 + math.cos(math.pi * step / n_steps))

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.pt"
    first_epoch = 0
    if path.exists():
        checkpoint = load_checkpoint(path)
        # Checkpoints from before `limit` was noted have none.
        if {"limit": None} | checkpoint["settings"] != settings:
            raise UserError(
                f"{path} was trained with other settings: move it away, or train with the same ones"
            )
        network.load_state_dict(checkpoint["network"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        scheduler.load_state_dict(checkpoint["scheduler"])
        first_epoch = checkpoint["epoch"]
    if first_epoch == epochs:
        print(f"{name}: all {epochs} epochs are done, nothing is left to train: {path}")
        return path
    print(
        f"{name}: {network.n_parameters()} parameters, epochs {first_epoch + 1} to {epochs}, seed"
        f" {seed}"
    )
    for epoch in range(first_epoch, epochs):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        order = torch.randperm(len(training), generator=generator).numpy()
        loss_sum = correct = 0.0
        rates: list[float] = []
        bar = tqdm(range(n_batches), desc=f"epoch {epoch + 1}/{epochs}", mininterval=5)
        for index in bar:
            chosen = order[index * batch : (index + 1) * batch]
            images = augment(training.images[chosen], augmentation, generator)
            payloads = torch.from_numpy(to_sequences(images, topology.data).copy()).transpose(0, 1)
            labels = torch.from_numpy(training.labels[chosen]).long()
            logits, rates = network(payloads)
            loss = functional.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            loss_sum += float(loss.detach())
            correct += float((logits.argmax(1) == labels).float().mean())
            bar.set_postfix_str(
                f"loss {loss_sum / (index + 1):.4f} accuracy {100 * correct / (index + 1):.2f} %"
                f" spikes/step {' '.join(f'{r:.1f}' for r in rates)}",
                refresh=False,
            )
        row = {
            "epoch": epoch + 1,
            "loss": loss_sum / n_batches,
            "train_accuracy": correct / n_batches,
            "test_accuracy": evaluate(network, test),
        }
        tqdm.write(f"epoch {epoch + 1}: test accuracy {100 * row['test_accuracy']:.2f} %")
        _record(out / f"{name}.csv", row)
        partial = path.with_suffix(".partial")
        torch.save(
            {
                "name": name,
                "settings": settings,
                "epoch": epoch + 1,
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "scheduler": scheduler.state_dict(),
            },
            partial,
        )
        partial.rename(path)
    return path


def _record(path: Path, row: dict[str, float]) -> None:
    """Add an epoch to the curve, in place of what an earlier or interrupted training left from that
    epoch on.
    """
    rows: list[dict[str, Any]] = []
    if path.exists():
        with path.open(newline="") as file:
            rows = [kept for kept in csv.DictReader(file) if int(kept["epoch"]) < row["epoch"]]
    partial = path.with_suffix(".partial-csv")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerows([*rows, row])
    partial.rename(path)


@click.command(context_settings={"show_default": True})
@click.argument("name")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder with the MNIST idx files [default: fetch]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("build/train"),
    help="Checkpoints go here",
)
@click.option("--epochs", default=20, type=click.IntRange(1))
@click.option("--batch", default=128, type=click.IntRange(1))
@click.option("--learning-rate", default=1e-2)
@click.option("--augmentation", default=0.5, help="Strength of random rotation, scaling and shift")
@click.option("--seed", default=0)
@click.option("--limit", type=click.IntRange(1), help="Use only so many digits")
@click.option("--threads", type=click.IntRange(1), help="Processor threads [default: all]")
@report_user_errors
def main(
    name: str, data: Path | None, out: Path, threads: int | None, **settings: int | float
) -> None:
    """Train network NAME on MNIST; a second call continues where the first ended."""
    if threads:
        torch.set_num_threads(threads)
    train(name, data, out, **settings)  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    torch.set_flush_denormal(True)  # decaying membranes are full of them
    main()
