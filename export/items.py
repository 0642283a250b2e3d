"""Sequences and memory images as the items of a core's event and load streams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.images import Images
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.memory import LOAD_WIDTH, load_header
from golden.hardware.part import EventKind
from golden.interface import Interface
from golden.payloads import check_integers


def report_times(core: CoreParams, every: int | None, n_timesteps: int) -> tuple[int, ...]:
    """Return the numbers of timesteps of a sequence after which a core is asked for results: the
    multiples of `every`, or none (None); or raise `UserError` where there can be none.
    """
    if every is None:
        return ()
    if not core.hardware.reports:
        raise UserError(
            f"--report-every {every}: the core of {core.network.name} sends no reports: export it"
            " with --reports"
        )
    if every > n_timesteps:
        raise UserError(f"--report-every {every}: a sequence has {n_timesteps} timesteps")
    return tuple(range(every, n_timesteps + 1, every))


def to_items(
    payloads: np.ndarray,
    rng: np.random.Generator | None = None,
    reports: Sequence[int] = (),
) -> np.ndarray:
    """Return the input items (n, 3) int64 of sequences (B, K, M): kind, address, payload.

    A payload of 0 is no event. With `rng` the events of a timestep come in random order. A report
    is asked for after each of these numbers of timesteps of every sequence (`reports`, ascending).
    """
    payloads = check_integers(payloads)
    n_sequences, n_timesteps, _ = payloads.shape
    sequence, timestep, address = np.nonzero(payloads)
    order = rng.random(len(address)) if rng is not None else address
    place = np.lexsort((order, timestep, sequence))
    sequence, timestep, address = sequence[place], timestep[place], address[place]
    events = np.stack(
        [np.full(len(address), EventKind.EVENT), address, payloads[sequence, timestep, address]], 1
    )
    # The markers of a sequence, and how many of its timesteps come before each of them.
    asked = np.asarray(reports, np.int64)
    done = np.concatenate([np.arange(1, n_timesteps + 1), asked, [n_timesteps]])
    kinds = np.repeat(
        [EventKind.END_TIMESTEP, EventKind.REPORT, EventKind.END_SEQUENCE],
        [n_timesteps, len(asked), 1],
    )
    order = np.argsort(done, kind="stable")
    # Insert them after the events: each at the number of events that come before it.
    before = np.concatenate([[0], np.cumsum(np.count_nonzero(payloads, axis=2))])
    places = before[n_timesteps * np.arange(n_sequences)[:, None] + done[order]]
    markers = np.zeros((places.size, 3), np.int64)
    markers[:, 0] = np.tile(kinds[order], n_sequences)
    return np.insert(events.astype(np.int64), places.ravel(), markers, axis=0)


def pack_events(interface: Interface, items: np.ndarray) -> np.ndarray:
    """Return the payloads (n,) uint64 of the event stream that bring input items (n, 3) of kind,
    address, payload, in this order: where several events may come at once, as many as follow each
    other; an end, or a report, comes alone.
    """
    kind, address, payload = items.T
    width = input_items(interface)
    if width == 1:
        return interface.pack("i_events", kind=kind, address=address, payload=payload)
    place = np.arange(len(kind))
    event = kind == EventKind.EVENT
    # How far an event is behind the last item that is none.
    behind = place - np.maximum.accumulate(np.where(event, -1, place)) - 1
    first = ~event | (behind % width == 0)
    number, slot = np.cumsum(first) - 1, np.where(event, behind % width, 0)
    fields = {"kind": kind[first]}
    for name, values in (("address", address), ("payload", payload)):
        several = np.zeros((int(first.sum()), width), np.int64)
        several[number, slot] = values
        fields |= {f"{name}_{n}": several[:, n] for n in range(width)}
    return interface.pack("i_events", **fields)


def input_items(interface: Interface) -> int:
    """Return how many events may enter a core at once."""
    return sum(name.startswith("address") for name in interface.fields["i_events"])


def load_items(interface: Interface, core: CoreParams, images: Images) -> np.ndarray:
    """Return the payloads (n,) uint64 of the load stream that write every memory."""
    first, data = [], []
    for number, (name, memory) in enumerate(core.memories.items()):
        n_chunks = memory.items
        mask = (1 << LOAD_WIDTH) - 1
        chunks = [word >> LOAD_WIDTH * i & mask for word in images[name] for i in range(n_chunks)]
        first += [1] + [0] * len(chunks)
        data += [load_header(number), *chunks]
    return interface.pack("i_load", first=np.array(first), data=np.array(data, np.uint64))
