"""Train a preset network: resumable, seeded, with the learning curve in a CSV file and a picture.

The recipe: AdamW with a warm-up and a cosine, gradients clipped at norm 1, samples changed a little
at random, and quantization-aware training for the last epochs. It runs on a graphics card where
there is one, and on several processes under `torchrun`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.optim import swa_utils
from tqdm import tqdm

from golden.data.dataset import Dataset, DigitImages, load_splits
from golden.errors import UserError
from golden.params import LayerFormats
from golden.picture import save_picture
from golden.quantize import DEFAULT_WIDTHS, widths_of
from golden.train.augment import augmented
from golden.train.checkpoint import (
    load_checkpoint,
    load_recipe,
    load_topology,
    save_checkpoint,
)
from golden.train.convert import apply_grids, layers_of
from golden.train.curve import add_epoch, plot_curve
from golden.train.model import DmpNetwork
from golden.train.process import Process
from golden.train.teacher import Ensemble, find_teachers, taught_loss
from golden.train.topology import Topology

WARMUP_STEPS = 50
CALIBRATION = 256  # training sequences on which quantization-aware training chooses its scales
DELAY_RATE = 10.0  # learning rate of delays, which are whole timesteps, relative to weights


class Diverged(UserError):
    """The loss of a training is no number."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Parameters
    ----------
    augmentation
        Strength of the random changes of the samples (`golden.train.augment`).
    limit
        Train and test on the first `limit` sequences of each set (for trials).
    weight_bits, slow_bits, state_bits, aware_epochs
        The last `aware_epochs` epochs train with the quantized weights: W_f in `weight_bits` bits,
        P and V in `slow_bits`. The integers will have them so, and a slow state of `state_bits`.
    averaging
        Keep an exponential average of the weights instead of the weights themselves; this is its
        decay at every step. 0 averages nothing.
    teachers
        Learn also from what this many convolutional networks say of each digit
        (`golden.train.teacher`), which are trained first.
    start
        Weights to start from: a checkpoint of the same topology (for fine-tuning).
    without_speaker, held_out, held_out_speaker
        See `golden.data.dataset.load_splits`.
    learn_delays
        Otherwise delays stay at what they were drawn as, from 0 to their bound.
    """

    epochs: int = 20
    batch: int = 128
    learning_rate: float = 1e-2
    augmentation: float = 0.5
    seed: int = 0
    limit: int | None = None
    weight_bits: int = DEFAULT_WIDTHS.w_f.width
    slow_bits: int = DEFAULT_WIDTHS.p.width
    state_bits: int = DEFAULT_WIDTHS.m.width
    aware_epochs: int = 0
    averaging: float = 0.0
    teachers: int = 0
    start: str | None = None
    without_speaker: int | None = None
    held_out: int | None = None
    held_out_speaker: int | None = None
    learn_delays: bool = True

    @property
    def widths(self) -> LayerFormats:
        """What the network is quantized with."""
        return widths_of(self.weight_bits, self.slow_bits, self.state_bits)

    @property
    def data(self) -> dict[str, int | None]:
        """What `load_splits` needs to know."""
        keys = ("without_speaker", "held_out", "held_out_speaker", "limit")
        return {key: getattr(self, key) for key in keys}


@torch.no_grad()
def evaluate(network: DmpNetwork, dataset: Dataset, batch: int = 250) -> float:
    """Return the share of sequences classified correctly."""
    correct = 0
    device = network.readout.weight.device
    for first in range(0, len(dataset), batch):
        chosen = slice(first, first + batch)
        logits, _ = network(_payloads(dataset.sequences(chosen), device))
        correct += int((logits.argmax(1).cpu().numpy() == dataset.labels[chosen]).sum())
    return correct / len(dataset)


def _payloads(sequences: np.ndarray, device: torch.device) -> Tensor:
    """Return sequences (B, K, M) as (K, B, M) on the device."""
    return torch.from_numpy(sequences.copy()).transpose(0, 1).to(device)


def train(
    name: str,
    topology: Topology,
    data: Path | None,
    out: Path,
    recipe: Recipe | None = None,
    *,
    quiet: bool = False,
) -> Path:
    """Train a network and return the checkpoint's path; continue from it where one exists.

    Parameters
    ----------
    name
        Of the checkpoint, the curve and the picture in `out`.
    data
        The folder with the data set, or None to fetch MNIST.
    quiet
        Say nothing and show no bars: others report.
    """
    recipe = recipe or Recipe()
    process = Process.find()
    training, test = load_splits(topology.data, data, **recipe.data)
    if len(training) < recipe.batch:
        raise UserError(
            f"{len(training)} training sequences do not fill a batch of {recipe.batch}: use a"
            " smaller --batch or a larger --limit"
        )
    if recipe.batch < process.count:
        raise UserError(
            f"a batch of {recipe.batch} for {process.count} processes: use a larger --batch"
        )
    if recipe.teachers and not isinstance(training, DigitImages):
        raise UserError(
            f"--teachers for {topology.data}: teachers are of digits, for smnist, psmnist and rows"
        )
    torch.manual_seed(recipe.seed)
    run = _Training(name, topology, recipe, len(training) // recipe.batch, process, out)
    told = process.first and not quiet
    if run.epoch == recipe.epochs:
        if told:
            print(
                f"{name}: all {recipe.epochs} epochs are done, nothing is left to train: {run.path}"
            )
        return run.path
    if told:
        print(
            f"{name}: {run.network.n_parameters()} parameters, epochs {run.epoch + 1} to"
            f" {recipe.epochs}, seed {recipe.seed}"
        )
    if recipe.teachers:
        assert isinstance(training, DigitImages)
        if not process.first:
            distributed.barrier()  # the first process trains them; then the others read them
        run.ensemble = find_teachers(
            recipe.teachers, training, topology.n_classes, recipe.data, out / "teachers",
            process.device, told,
        )  # fmt: skip
        if process.first and process.count > 1:
            distributed.barrier()
        if told:
            accuracy = 100 * run.ensemble.accuracy(test)
            print(f"{name}: the teachers' test accuracy is {accuracy:.2f} %")
    while run.epoch < recipe.epochs:
        aware = run.epoch >= recipe.epochs - recipe.aware_epochs
        if aware:
            apply_grids(run.network, training.sequences(slice(CALIBRATION)), recipe.widths)
        row = run.run_epoch(training, told)
        if process.first:
            if aware and run.average is not None:
                apply_grids(run.kept, training.sequences(slice(CALIBRATION)), recipe.widths)
            row["test_accuracy"] = evaluate(run.kept, test)
            if told:
                tqdm.write(f"epoch {run.epoch}: test accuracy {100 * row['test_accuracy']:.2f} %")
            # A picture takes as long as a short epoch.
            run.save(row, plotted=not quiet or run.epoch == recipe.epochs)
        if process.count > 1:
            distributed.barrier()
    return run.path


def parameter_groups(network: DmpNetwork, rate: float) -> list[dict[str, Any]]:
    """Return the parameters as an optimizer takes them. Delays, leaks and thresholds do not decay;
    delays that are learned have a rate of their own.
    """
    layers = layers_of(network)
    delays: list[nn.Parameter] = [layer.delays for layer in layers if layer.topology.max_delay]
    neurons: list[nn.Parameter] = [
        values
        for layer in layers
        if layer.topology.per_neuron
        for values in (layer.leak_values, layer.threshold_values)
    ]
    apart = {id(values) for values in (*delays, *neurons)}
    groups: list[dict[str, Any]] = [
        {"params": [p for p in network.parameters() if id(p) not in apart]}
    ]
    if delays and delays[0].requires_grad:
        groups.append({"params": delays, "lr": rate * DELAY_RATE, "weight_decay": 0.0})
    if neurons:
        groups.append({"params": neurons, "weight_decay": 0.0})
    return groups


class _Training:
    """A network with its optimizer, where its training stands, and the files it is kept in."""

    def __init__(
        self,
        name: str,
        topology: Topology,
        recipe: Recipe,
        n_batches: int,
        process: Process,
        out: Path,
    ) -> None:
        self.name, self.recipe, self.n_batches, self.process = name, recipe, n_batches, process
        self.topology = topology
        self.network = DmpNetwork(topology)
        for layer in layers_of(self.network):
            if layer.topology.max_delay:
                layer.delays.requires_grad_(recipe.learn_delays)
        self.settings = {
            key: value for key, value in vars(recipe).items() if value != getattr(Recipe, key)
        } | {key: getattr(recipe, key) for key in ("epochs", "batch", "learning_rate", "seed")}
        self.path = out / f"{name}.pt"
        self.epoch = 0
        self.ensemble: Ensemble | None = None
        self.start: dict[str, Any] | None = None
        checkpoint = load_checkpoint(self.path) if self.path.exists() else None
        if checkpoint is not None:
            before = load_topology(self.path, checkpoint)
            if (checkpoint["settings"], before) != (self.settings, topology):
                raise UserError(
                    f"{self.path} was trained with other settings: move it away, or train with the"
                    " same ones"
                )
            self.network.load_state_dict(checkpoint.get("trained", checkpoint["network"]))
            self.start = checkpoint.get("start")
        elif recipe.start is not None:
            self.start = load_recipe(Path(recipe.start))
            try:
                self.network.load_state_dict(load_checkpoint(Path(recipe.start))["network"])
            except RuntimeError:
                raise UserError(
                    f"{recipe.start} has another shape than the network: start from one of the same"
                    " topology"
                ) from None
        self.network.to(process.device)
        self.average = None
        if recipe.averaging:
            mean = swa_utils.get_ema_multi_avg_fn(recipe.averaging)
            self.average = swa_utils.AveragedModel(self.network, multi_avg_fn=mean)
            if checkpoint is not None:
                self.average.load_state_dict(checkpoint["average"])
        groups = parameter_groups(self.network, recipe.learning_rate)
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, weight_decay=0.01)
        n_steps = recipe.epochs * n_batches

        def scale(step: int) -> float:
            if step < WARMUP_STEPS:
                return (step + 1) / WARMUP_STEPS
            return 0.5 * (1 + math.cos(math.pi * step / n_steps))

        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, scale)
        if checkpoint is not None:
            self.optimizer.load_state_dict(checkpoint["optimizer"])
            self.scheduler.load_state_dict(checkpoint["scheduler"])
            self.epoch = checkpoint["epoch"]
        self.parallel: nn.Module = self.network
        if process.count > 1:
            self.parallel = nn.parallel.DistributedDataParallel(self.network)
        out.mkdir(parents=True, exist_ok=True)

    @property
    def kept(self) -> DmpNetwork:
        """Return the network that the training is for: the average, if there is one."""
        kept = self.network if self.average is None else self.average.module
        assert isinstance(kept, DmpNetwork)
        return kept

    def run_epoch(self, training: Dataset, told: bool) -> dict[str, float]:
        """Train an epoch, with a bar if `told`; return its row of the curve."""
        recipe, process = self.recipe, self.process
        generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(training), generator=generator).numpy()
        if process.count > 1:  # each process changes its samples in its own way
            generator.manual_seed(int(order[process.rank]) + process.rank * 1_000_033)
        loss_sum = correct = 0.0
        rates: list[float] = []
        bar = tqdm(
            range(self.n_batches),
            desc=f"epoch {self.epoch + 1}/{recipe.epochs}",
            mininterval=5,
            disable=not told,
        )
        for index in bar:
            chosen = process.share(order[index * recipe.batch : (index + 1) * recipe.batch])
            sequences = augmented(training, chosen, recipe.augmentation, generator)
            payloads = _payloads(sequences, process.device)
            labels = torch.from_numpy(training.labels[chosen].astype(np.int64)).to(process.device)
            logits, rates = self.parallel(payloads)
            if self.ensemble is None:
                loss = functional.cross_entropy(logits, labels)
            else:
                likely = self.ensemble.likely(sequences, self.topology.data, process.device)
                loss = taught_loss(logits, labels, likely)
            found = float(loss.detach())
            if not math.isfinite(found):
                raise Diverged(
                    f"{self.name}: the loss is {found} in epoch {self.epoch + 1}: use a lower"
                    " --learning-rate or --leak"
                )
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
            if self.average is not None:
                self.average.update_parameters(self.network)
            self.scheduler.step()
            loss_sum += found
            correct += float((logits.argmax(1) == labels).float().mean())
            bar.set_postfix_str(
                f"loss {loss_sum / (index + 1):.4f} accuracy {100 * correct / (index + 1):.2f} %"
                f" spikes/step {' '.join(f'{r:.1f}' for r in rates)}",
                refresh=False,
            )
        self.epoch += 1
        return {
            "epoch": self.epoch,
            "loss": loss_sum / self.n_batches,
            "train_accuracy": correct / self.n_batches,
        }

    def save(self, row: dict[str, float], plotted: bool) -> None:
        """Add a row to the curve, plot it if asked, and write the checkpoint."""
        curve = self.path.with_suffix(".csv")
        rows = add_epoch(curve, row)
        if plotted:
            save_picture(plot_curve(rows, self.name), self.path.with_suffix(".png"))
        content = {
            "name": self.name,
            "settings": self.settings,
            "topology": self.topology.to_dict(),
            "epoch": self.epoch,
            "start": self.start,
            "network": self.kept.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
        }
        if self.average is not None:
            content |= {
                "trained": self.network.state_dict(), "average": self.average.state_dict(),
            }  # fmt: skip
        save_checkpoint(self.path, content)
