"""What takes the spikes of a core, item by item: the way out of blocks of timesteps, the streams to
another core, the world outside. No Torch, no RTL.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from golden.blocks import block_starts
from golden.hardware.part import EventKind
from golden.hardware.spike_output import SpikeOutputHardware
from golden.hardware.stages import BEAT_QUEUE_DEPTH


class Consumer(Protocol):
    """Who takes items of a stream, in order."""

    def take(self, kind: EventKind, earliest: int) -> int:
        """Return the cycle in which an item that is offered from `earliest` on is transferred."""
        ...


@dataclass
class Outside:
    """Takes every item in the cycle in which it is offered."""

    timesteps: list[int] = field(default_factory=list)  # cycles in which ends of timesteps leave
    ends: list[int] = field(default_factory=list)  # the same of sequences

    def take(self, kind: EventKind, earliest: int) -> int:
        if kind == EventKind.END_TIMESTEP:
            self.timesteps.append(earliest)
        if kind == EventKind.END_SEQUENCE:
            self.ends.append(earliest)
        return earliest


@dataclass
class Slots:
    """A queue of a stream, whose item is offered the cycle after it came.

    With one slot, an item may come in the cycle in which the one before goes; with more, in the
    cycle after one has gone that had no room beside it.
    """

    slots: int
    consumer: Consumer
    came: int = -1  # cycle of the last item's transfer
    gone: list[int] = field(default_factory=list)  # cycles in which the items before went on

    def take(self, kind: EventKind, earliest: int) -> int:
        full = len(self.gone) >= self.slots
        room = self.gone[-self.slots] + (self.slots > 1) if full else 0
        self.came = max(earliest, self.came + 1, room)
        self.gone.append(self.consumer.take(kind, self.came + 1))
        return self.came


class AxiLink:
    """The streams from a core's spikes to the events of another core: `rtl.host.axi_spikes`,
    `rtl.host.axi_events` and the register after it. Each item is a beat.
    """

    def __init__(self, core: Consumer) -> None:
        self.first = Slots(BEAT_QUEUE_DEPTH, Slots(BEAT_QUEUE_DEPTH, Slots(1, core)))

    def take(self, kind: EventKind, earliest: int) -> int:
        return self.first.take(kind, earliest)


class SpikeOutletTimeline:
    """`rtl.spike_output` while a timeline is computed.

    Parameters
    ----------
    output
        Its hardware.
    counts
        Spikes (B, K) of the last layer in each timestep.
    lengths
        Timesteps (blocks,) of each block of a sequence.
    consumer
        Who takes what it sends.
    """

    def __init__(
        self,
        output: SpikeOutputHardware,
        counts: np.ndarray,
        lengths: np.ndarray,
        consumer: Consumer,
    ) -> None:
        self.output, self.consumer = output, consumer
        spans = list(zip(block_starts(lengths).tolist(), lengths.tolist(), strict=True))
        # What each list holds: the spikes of each timestep; nothing is the end of a sequence.
        self.lists = [
            counts[b, start : start + length].tolist()
            for b in range(len(counts))
            for start, length in [*spans, (0, 0)]
        ]
        self.taken = -1  # cycle of the last item's transfer into it
        self.released: list[int] = []  # cycles in which lists were released
        self.closed = 0  # lists closed so far
        self.chosen = -1  # cycle in which the last item was chosen
        self.moved = -1  # cycle in which the item went into the register `o`
        self.sent = -1  # cycle in which it was transferred

    def take(self, kind: EventKind, earliest: int) -> int:
        before = self.closed - self.output.n_lists
        room = self.released[before] + 1 if before >= 0 else 0
        self.taken = max(earliest, self.taken + 1, room)
        if kind != EventKind.EVENT:
            counts = self.lists[self.closed]
            self.closed += 1
            self._send(counts, self.taken + 1)
        return self.taken

    def _send(self, counts: list[int], waiting: int) -> None:
        """Send a list that waits from this cycle on."""
        for count in counts:
            for _ in range(count):
                self._item(EventKind.EVENT, waiting)
            self._item(EventKind.END_TIMESTEP, waiting)
        if not counts:
            self._item(EventKind.END_SEQUENCE, waiting)
        self.released.append(self.chosen)

    def _item(self, kind: EventKind, waiting: int) -> None:
        """Let an item through: all moves wait while an item in `o` does."""
        earliest = max(waiting, self.chosen + 1)
        if earliest <= self.moved:
            self.chosen = self.moved
        else:
            self.chosen = max(earliest, self.sent)
        self.moved = max(self.chosen + 1, self.sent)
        self.sent = self.consumer.take(kind, self.moved + 1)
