"""After a burst: the host recovers, loads the core, and lets it infer what golden does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from driver.device import Device
from driver.transport import Silence


def recovers(
    device: Device,
    payloads: np.ndarray,
    logits: np.ndarray,
    burst: int,
    fuzzed: Any,
    look: Callable[[], object] = lambda: None,
) -> bool:
    """Recover as the driver says, load the core, and infer sequences (B, K, M) with logits (B, C)
    of golden; note in `fuzzed` what was done, and what is wrong. Return whether all is right.

    `look` is called when the host has recovered, or cannot.
    """
    try:
        device.recover()
        fuzzed.recoveries += 1
        look()
        device.load()
        found = device.run(payloads)
    except Silence as silence:
        look()
        fuzzed.problems.append(f"burst {burst}: {silence}")
        return False
    if not np.array_equal(found.logits, logits):
        fuzzed.problems.append(f"burst {burst}: another inference than golden's")
    fuzzed.inferences += len(payloads)
    return not fuzzed.problems
