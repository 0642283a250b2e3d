"""Teachers of digits: convolutional networks that say how likely every class is for an image, which
tells a smaller network more than a label does.

Source: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network" (2015).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from golden.data.dataset import Dataset, DigitImages
from golden.data.mnist import to_images
from golden.errors import UserError
from golden.train.augment import move_images
from golden.train.checkpoint import save_checkpoint

EPOCHS, BATCH, RATE, AUGMENTATION = 10, 128, 3e-3, 1.2
CHANNELS = (32, 64, 128)
TEMPERATURE = 3.0  # divides logits, so that what is unlikely is told apart, too
TAUGHT = 0.9  # share of the loss that the teachers have; labels have the rest


class Teacher(nn.Module):
    """Images (B, 28, 28) uint8 to logits (B, classes) float32."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for n_in, n_out in zip((1, *CHANNELS), CHANNELS, strict=False):
            for first in (n_in, n_out):
                parts += [nn.Conv2d(first, n_out, 3, padding=1, bias=False)]
                parts += [nn.BatchNorm2d(n_out), nn.ReLU()]
            parts += [nn.MaxPool2d(2), nn.Dropout2d(0.1)]
        self.features = nn.Sequential(*parts)
        self.readout = nn.Linear(CHANNELS[-1] * 3 * 3, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        scaled = images[:, None].float() / 255
        with torch.autocast(images.device.type, torch.bfloat16):
            found = self.features(scaled.to(memory_format=torch.channels_last)).flatten(1)
        return self.readout(found.float())


class Ensemble:
    """Teachers that are asked together."""

    def __init__(self, teachers: list[Teacher]) -> None:
        self.teachers = [teacher.eval() for teacher in teachers]

    @torch.no_grad()
    def likely(self, sequences: np.ndarray, variant: str, device: torch.device) -> Tensor:
        """Return how likely each class is (B, classes) float32, at `TEMPERATURE`, for digits as
        sequences (B, K, M).
        """
        images = torch.from_numpy(to_images(sequences, variant)).to(device)
        answers = [(teacher(images) / TEMPERATURE).softmax(1) for teacher in self.teachers]
        return torch.stack(answers).mean(0)

    def accuracy(self, dataset: Dataset, batch: int = 500) -> float:
        """Return the share of digits classified correctly."""
        assert isinstance(dataset, DigitImages)
        device = self.teachers[0].readout.weight.device
        correct = 0
        for first in range(0, len(dataset), batch):
            part = dataset.select(slice(first, first + batch))
            answer = self.likely(part.sequences(), part.variant, device).argmax(1).cpu().numpy()
            correct += int((answer == part.labels).sum())
        return correct / len(dataset)


def taught_loss(logits: Tensor, labels: Tensor, likely: Tensor) -> Tensor:
    """Return the loss of a network's logits (B, classes) against labels (B,) and what teachers find
    `likely` (B, classes); its gradient does not depend much on `TEMPERATURE`.
    """
    own = functional.log_softmax(logits / TEMPERATURE, 1)
    taught = functional.kl_div(own, likely, reduction="batchmean") * TEMPERATURE**2
    return TAUGHT * taught + (1 - TAUGHT) * functional.cross_entropy(logits, labels)


def find_teachers(
    count: int,
    training: DigitImages,
    n_classes: int,
    settings: dict[str, Any],
    folder: Path,
    device: torch.device,
    told: bool,
) -> Ensemble:
    """Return teachers, each trained from another seed on the training set, or read from a
    folder, where they are kept as `0.pt` and so on.

    Parameters
    ----------
    settings
        What the training set is, so that a teacher of another one is told apart.

    Raises
    ------
    UserError
        A file is no teacher of this training set.
    """
    return Ensemble(
        [
            _read(path, n_classes, settings).to(device)
            if (path := folder / f"{seed}.pt").exists()
            else _train(path, training, n_classes, seed, settings, device, told)
            for seed in range(count)
        ]
    )


def _read(path: Path, n_classes: int, settings: dict[str, Any]) -> Teacher:
    teacher = Teacher(n_classes)
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        same = content["settings"] == settings
        teacher.load_state_dict(content["teacher"])
    except OSError:
        raise
    except Exception:  # what is no checkpoint can be anything to those who unpack it
        raise UserError(f"{path} is not a teacher, or a damaged one: move it away") from None
    if not same:
        raise UserError(f"{path} was trained on other digits: move it away, or use another --out")
    return teacher


def _train(
    path: Path,
    training: DigitImages,
    n_classes: int,
    seed: int,
    settings: dict[str, Any],
    device: torch.device,
    told: bool,
) -> Teacher:
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        teacher = Teacher(n_classes).to(device).train()
        optimizer = torch.optim.AdamW(teacher.parameters(), RATE, weight_decay=0.01)
        batch = min(BATCH, len(training))
        n_batches = len(training) // batch
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, EPOCHS * n_batches)
        bar = tqdm(range(EPOCHS), desc=f"teacher {path.stem}", unit="epoch", disable=not told)
        for _ in bar:
            order = torch.randperm(len(training), generator=generator).numpy()
            correct = 0
            for index in range(n_batches):
                chosen = order[index * batch : (index + 1) * batch]
                images = move_images(training.images[chosen], AUGMENTATION, generator)
                labels = torch.from_numpy(training.labels[chosen].astype(np.int64)).to(device)
                logits = teacher(torch.from_numpy(images).to(device))
                optimizer.zero_grad()
                functional.cross_entropy(logits, labels).backward()
                optimizer.step()
                scheduler.step()
                correct += int((logits.argmax(1) == labels).sum())
            bar.set_postfix_str(f"accuracy {100 * correct / (n_batches * batch):.2f} %")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, {"settings": settings, "teacher": teacher.state_dict()})
    return teacher
