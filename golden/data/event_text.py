"""Events as text (AER): a line for each, and a blank line from one sequence to the next.

    # label 3
    0 17
    0 21
    12 17 200

A line is `time address [payload]`; the payload is 1 where it is left out. `# label N` anywhere in a
sequence is its label; a sequence without events has nothing else. All other comments, which `#`
begins, say nothing. The time is an integer, or a number in any unit for what bins it.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from golden.data.event_list import EventList
from golden.errors import UserError
from golden.payloads import LARGEST

LABEL = re.compile(r"#\s*label\b(.*)", re.IGNORECASE)


def read_text(path: Path, *, whole_times: bool = True) -> EventList:
    """Read a file of events.

    Parameters
    ----------
    whole_times
        Whether times are timesteps, integers from 0. Otherwise they are float64.

    Raises
    ------
    UserError
        A line that is no event and no comment, by its number; labels for some sequences only.
    """
    try:
        lines = path.read_text().splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text: use lines `time address [payload]`") from None
    rows: list[tuple[int, float, int, int]] = []
    labels: list[int | None] = []
    within = False  # a sequence: its first line was read, and no blank line after it
    for number, line in enumerate(lines, 1):
        event, _, comment = (part.strip() for part in line.partition("#"))
        label = LABEL.fullmatch(f"#{comment}")
        if not event and label is None:
            within = within and bool(line.strip())
            continue
        where = f"{path}, line {number}"
        if not within:
            labels.append(None)
        within = True
        if label is not None:
            if labels[-1] is not None:
                raise UserError(f"{where}: a second label of sequence {len(labels) - 1}")
            labels[-1] = _integer(label[1], "label", where)
        if event:
            rows.append((len(labels) - 1, *_event(event, where, whole_times)))
    known = [label for label in labels if label is not None]
    if known and len(known) < len(labels):
        raise UserError(f"{path}: sequence {labels.index(None)} has no label, but others have")
    time_type = np.int64 if whole_times else np.float64
    columns = list(zip(*rows, strict=True)) or [()] * 4
    sequence, time, address, payload = (
        np.array(column, of)
        for column, of in zip(columns, (np.int64, time_type, np.int64, np.int64), strict=True)
    )
    return EventList(
        len(labels), sequence, time, address, payload, np.array(known) if known else None
    )


def _event(text: str, where: str, whole_times: bool) -> tuple[float, int, int]:
    words = text.split()
    if not 2 <= len(words) <= 3:
        raise UserError(f"{where}: '{text}' is no event: use `time address [payload]`")
    time = _integer(words[0], "time", where) if whole_times else _number(words[0], where)
    address = _integer(words[1], "address", where)
    payload = _integer(words[2], "payload", where) if len(words) == 3 else 1
    for name, value in (("time", time), ("address", address)):
        if value < 0:
            raise UserError(f"{where}: {name} {value}: use 0 or more")
    return time, address, payload


def _integer(word: str, name: str, where: str) -> int:
    try:
        value = int(word)
    except ValueError:
        raise UserError(f"{where}: {name} '{word.strip()}' is no integer") from None
    if abs(value) >= LARGEST:
        raise UserError(f"{where}: {name} {value} is too large")
    return value


def _number(word: str, where: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{where}: time '{word}' is no number")
    return value
