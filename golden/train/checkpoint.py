"""Checkpoints: what a training leaves, goes on from and can start from."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from golden.errors import UserError
from golden.files import write_whole
from golden.train.model import DmpNetwork
from golden.train.topology import Topology

CHECKPOINT_KEYS = {"name", "settings", "topology", "epoch", "network", "optimizer", "scheduler"}


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint that `save_checkpoint` wrote, or raise `UserError`."""
    if not path.exists():
        raise UserError(f"no checkpoint {path}: train one first (dmp train)")
    try:
        checkpoint = torch.load(path, weights_only=True, map_location="cpu")
    except OSError:
        raise
    except Exception:  # what is no checkpoint can be anything to those who unpack it
        raise UserError(f"{path} is not a checkpoint, or a damaged one: train again") from None
    if not isinstance(checkpoint, dict) or not CHECKPOINT_KEYS <= set(checkpoint):
        raise UserError(f"{path} is not a checkpoint of golden.train: train again")
    return checkpoint


def load_network(path: Path) -> DmpNetwork:
    """Read the network of a checkpoint, or raise `UserError`."""
    checkpoint = load_checkpoint(path)
    topology = load_topology(path, checkpoint)
    try:
        network = DmpNetwork(topology)
        network.load_state_dict(checkpoint["network"])
    except (RuntimeError, KeyError, TypeError):
        raise UserError(f"{path} has another shape than its topology says: train again") from None
    return network


def load_topology(path: Path, checkpoint: dict[str, Any]) -> Topology:
    """Return the topology of a checkpoint that came from a path, or raise `UserError`. What an
    older one does not say is as before there was a choice.
    """
    try:
        return Topology.from_dict(checkpoint["topology"])
    except (KeyError, TypeError):
        raise UserError(
            f"{path} has a topology that this version does not know: train again"
        ) from None


def load_recipe(path: Path) -> dict[str, Any]:
    """Read what a checkpoint was trained with: topology, epochs done and intended, seed, ..., and
    as `start` the same of the checkpoint that it started from; or raise `UserError`.
    """
    checkpoint = load_checkpoint(path)
    return {
        "topology": checkpoint["topology"],
        "epochs_done": checkpoint["epoch"],
        **checkpoint["settings"],
        **({"start": checkpoint["start"]} if checkpoint.get("start") else {}),
    }


def save_start(path: Path, name: str, network: DmpNetwork, recipe: dict[str, Any]) -> None:
    """Write a network as a checkpoint that a training can start from (`Recipe.start`); `recipe` is
    what `load_recipe` will say of it.
    """
    settings = {
        key: value
        for key, value in recipe.items()
        if key not in ("topology", "epochs_done", "start")
    }
    content = dict.fromkeys(CHECKPOINT_KEYS) | {
        "name": name,
        "settings": settings,
        "topology": network.topology.to_dict(),
        "epoch": recipe["epochs_done"],
        "start": recipe.get("start"),
        "network": network.state_dict(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, content)


def is_start(path: Path) -> bool:
    """Return whether `save_start` wrote a file: no training is lost with it."""
    try:
        return load_checkpoint(path)["optimizer"] is None
    except UserError:
        return False


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint whole or not at all."""
    packed = io.BytesIO()  # Torch does not say why it cannot write a file
    torch.save(content, packed)
    write_whole(path, packed.getvalue())
