"""The processes that train one network: those that torchrun started, or the only one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
from torch import distributed

PATIENCE = timedelta(days=2)  # of processes that wait while the first one trains teachers


@dataclass(frozen=True)
class Process:
    """One of the processes that torchrun started, or the only one."""

    rank: int
    count: int
    device: torch.device

    @staticmethod
    def find() -> Process:
        """Join the others that torchrun's environment tells of."""
        cuda = torch.cuda.is_available()
        count = int(os.environ.get("WORLD_SIZE", "1"))
        rank = int(os.environ.get("RANK", "0"))
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if count > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
        return Process(rank, count, torch.device("cuda", local) if cuda else torch.device("cpu"))

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, chosen: np.ndarray) -> np.ndarray:
        """Return this process's part of a batch."""
        return chosen[self.rank :: self.count]
