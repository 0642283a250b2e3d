"""What the items of an event stream mean, as docs/interface.md says: sequences, and errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from golden.hardware.part import EventKind


@dataclass(frozen=True)
class Meaning:
    """What items (n, 3) of kind, address, payload mean to a core.

    `payloads` (K, M) of each sequence that ends, and `reports`, the numbers of timesteps after
    which it is asked for results. `errors` counts what was wrong: `out_of_range`, `repeated`,
    `unclosed`; `void` how many events the ends of sequences found without an end of timestep.
    """

    payloads: list[np.ndarray]
    reports: list[tuple[int, ...]]
    errors: dict[str, int]
    void: int


def read_items(items: np.ndarray, n_inputs: int) -> Meaning:
    """Return what items (n, 3) mean; what follows the last end of a sequence is left out."""
    ends = np.flatnonzero(items[:, 0] == EventKind.END_SEQUENCE)
    kind, address, payload = items[: ends[-1] + 1 if len(ends) else 0].T
    is_end, is_step = kind == EventKind.END_SEQUENCE, kind == EventKind.END_TIMESTEP
    sequence = np.cumsum(is_end) - is_end
    steps = np.cumsum(is_step) - is_step  # that have ended before, in all sequences
    lengths = np.bincount(sequence[is_step], minlength=len(ends))
    step = steps - (np.cumsum(lengths) - lengths)[sequence]
    event = (kind == EventKind.EVENT) & (payload != 0)
    outside = event & (address >= n_inputs)
    inside = np.flatnonzero(event & ~outside)
    # The first event of an address in a timestep: an end of a sequence is an end of one as well.
    of_step = steps + sequence
    key = of_step[inside] * n_inputs + address[inside]
    first = inside[np.unique(key, return_index=True)[1]]
    accepted = np.zeros(len(kind), bool)
    accepted[first] = True
    void = accepted & (step >= lengths[sequence])
    before = np.cumsum(accepted)  # events up to each item, and up to the last end of a timestep
    marks = np.where(is_step | is_end, before, 0)
    within = before > np.maximum.accumulate(np.concatenate([[0], marks]))[:-1]
    report = kind == EventKind.REPORT
    void_report = report & within
    named = np.isin(kind, [k for k in EventKind if k != EventKind.INVALID])
    kept = accepted & ~void
    flat = np.zeros((int(lengths.sum()), n_inputs), np.int64)
    flat[steps[kept], address[kept]] = payload[kept]
    payloads = np.split(flat, np.cumsum(lengths)[:-1]) if len(lengths) else []
    reports: list[list[int]] = [[] for _ in lengths]
    for item in np.flatnonzero(report & ~void_report):
        reports[sequence[item]].append(int(step[item]))
    unclosed = len(np.unique(sequence[void])) + int(void_report.sum())
    errors = {
        "out_of_range": int(outside.sum() + (~named).sum()),
        "repeated": len(inside) - len(first),
        "unclosed": unclosed,
    }
    return Meaning(payloads, [tuple(asked) for asked in reports], errors, int(void.sum()))
