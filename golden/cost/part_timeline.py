"""How far one layer of a core, its delay line and its state updates, or the readout, is while the
timeline of the whole chain is computed: when it takes an item, closes a list and may start. No
Torch, no RTL.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from golden.cost.cycles import Part
from golden.hardware.layer import LayerHardware
from golden.hardware.stages import DELAY_LATENCY, DRIVE_LATENCY, MASK_QUEUE_DEPTH, RELEASE_LATENCY


@dataclass(frozen=True)
class Turn:
    """What a layer, or the readout, takes in one go: a block, or the end of a sequence.

    Attributes
    ----------
    sequence, block
        Which one; `block` is None for the end of a sequence.
    ready
        First cycle in which it could have been decided on, had there been a list.
    opened
        First cycle in which its list is open to the group schedule.
    decided
        Cycle in which it is decided on.
    first, last
        Cycles of its first and its last step; of the end of a sequence both are the same.
    stalls
        Cycles (from, to) between `decided` and `last` in which no step is issued, for want of room.
    """

    sequence: int
    block: int | None
    ready: int
    opened: int
    decided: int
    first: int
    last: int
    stalls: tuple[tuple[int, int], ...]


@dataclass
class DelayLine:
    """A layer's delay line while its timeline is computed."""

    layer: LayerHardware
    departures: np.ndarray  # (B, blocks, words): inputs that come out
    taken: int = -1  # cycle of the last item's transfer
    free: int = 0  # first cycle in which a block or a sequence may end
    emptied: int = 0  # first cycle in which the ring is ready for a sequence
    reads: set[int] = field(default_factory=set)  # cycles in which words of a block are read
    moved: int = -1  # cycle in which it put its last item into its output register
    sent: int = -1  # cycle in which that item was transferred

    def accept(self, earliest: int, ends: bool) -> int:
        """Return the cycle in which an item that is offered from `earliest` on is transferred."""
        cycle = max(earliest, self.taken + 1, self.emptied, self.free if ends else 0)
        while cycle in self.reads:
            cycle += 1
        self.taken = cycle
        return cycle

    def send(self, part: PartTimeline, earliest: int, ends: bool) -> int:
        """Put an item into the output register; return the cycle of that."""
        self.moved = max(earliest, self.moved + 1, self.sent)
        self.sent = part.accept(self.moved + 1, ends)
        return self.moved

    def emit(self, part: PartTimeline, ended: int, sequence: int, block: int) -> int:
        """Send a block that ended at `ended`; return the cycle in which its list closes."""
        self.reads.clear()
        read = ended + DELAY_LATENCY - 1
        finished = [0, 0]  # cycles of the last items of the last two words with any
        before = 0  # as `finished[1]`, when the word before was read
        for count in self.departures[sequence, block].tolist():
            # While one word is sent, one more may be read ahead.
            read += 1
            if before >= read:
                read = max(read + 1, finished[0] + 1)
            self.reads.add(read)
            before = finished[1]
            for _ in range(count):
                self.send(part, read + 2, ends=False)
            if count:
                finished = [finished[1], self.moved]
        self.free = self.send(part, read + 2, ends=True) + 1
        return self.sent

    def report(self, part: PartTimeline, taken: int) -> int:
        """Send a report that came at `taken`; return the cycle in which the list takes it."""
        self.moved = max(taken + DELAY_LATENCY, self.moved + 1, self.sent)
        self.free = self.moved + 1
        self.sent = part.accept_report(self.moved + 1)
        return self.sent

    def end_sequence(self, part: PartTimeline, ended: int) -> int:
        """Send the end of a sequence that came at `ended`, and clear the ring."""
        cleared = ended + DELAY_LATENCY
        self.free = self.send(part, cleared, ends=True) + 1
        self.emptied = cleared + self.layer.delay_ring.depth
        return self.sent


@dataclass
class StateUpdates:
    """The state updates of a layer while its timeline is computed."""

    layer: LayerHardware
    begun: int = -(1 << 40)  # cycle of the first step of the last update
    announced: list[int] = field(default_factory=list)  # cycles in which blocks were announced

    def announce(self, closed: int, length: int) -> None:
        """Follow the updates of a block whose list closed at `closed`, but for its last one."""
        visible = closed + DRIVE_LATENCY + 1
        for timestep in range(length - 1):
            self.begun = max(self.begun + self.layer.state_update.interval, visible + timestep + 1)
        last = visible + length - 1
        self.announced.append(max(self.begun + self.layer.state_update.announce_delay, last))

    def decided(self, refresh: bool) -> int:
        """Return the first cycle in which the block announced last may be decided on."""
        lag = 0 if refresh else self.layer.state_update.lag
        block = len(self.announced) - 1 - lag
        return self.announced[block] + 1 if block >= 0 else 0

    def start(self, decided: int) -> None:
        """Follow the last update of the block that was decided on in this cycle."""
        told = max(self.announced[-1], decided) + 1
        self.begun = max(self.begun + self.layer.state_update.interval, told + 1)

    def finish(self, issued: int) -> None:
        """Follow the end of the walk of the block that was decided on last."""


@dataclass
class FirstStateUpdates(StateUpdates):
    """The same without dependency breaking: a block needs its own update, which begins when the
    block before is decided on, or, in turn, when its walk is over.
    """

    started: int = -(1 << 40)  # cycle in which the last block was decided on, or its walk ended

    def announce(self, closed: int, length: int) -> None:
        visible = closed + DRIVE_LATENCY + 1
        begin = max(visible, self.started + 1)
        self.begun = max(self.begun + self.layer.state_update.interval, begin + 1)
        self.announced.append(self.begun + self.layer.state_update.announce_delay)

    def start(self, decided: int) -> None:
        self.started = decided

    def finish(self, issued: int) -> None:
        if self.layer.updates_in_turn:
            self.started = issued


def state_updates(part: Part) -> StateUpdates | None:
    """Return the state updates of a part at the start, where it has any."""
    if not isinstance(part, LayerHardware) or not part.dense_steps:
        return None
    return FirstStateUpdates(part) if part.params.state_first else StateUpdates(part)


@dataclass
class PartTimeline:
    """A layer or the readout while its timeline is computed."""

    hardware: Part
    state: StateUpdates | None = None
    line: DelayLine | None = None
    last_item: int = -1  # cycle of the last item's transfer
    last_close: int = -(1 << 40)  # cycle in which the last list closed
    own: set[int] = field(default_factory=set)  # cycles in which own spikes come back
    own_end: int = -1  # cycle in which the end of their timestep is offered
    released: list[int] = field(default_factory=list)  # cycles in which lists were released
    closed: int = 0  # lists closed so far
    flagged: int = -1  # lists that were closed when the last report came
    ready: int = 0  # first cycle in which something new can be decided on
    turns: list[Turn] = field(default_factory=list)
    room: list[int] = field(
        default_factory=lambda: [-1] * MASK_QUEUE_DEPTH
    )  # cycles in which room was given back
    marked: int = -1  # cycle in which the last report passed the group schedule
    finished: int = -(1 << 40)  # cycle of the last step of the last block
    copied: int = 0  # first cycle in which results may be copied
    words: list[int] = field(default_factory=list)  # cycles in which room for results came back
    results: int = -1  # cycle in which the last result was sent
    popped: int = -1  # cycle in which the encoder took its last group
    moved: int = -1  # cycle in which the encoder put its last item into its output register
    sent: int = -1  # cycle in which that item was transferred

    @property
    def recurrent(self) -> bool:
        return isinstance(self.hardware, LayerHardware) and self.hardware.params.recurrent

    def accept(self, earliest: int, ends: bool) -> int:
        """Return the cycle in which an item that is offered from `earliest` on is transferred; one
        that `ends` a list closes it. Own spikes go first, and an end waits for all of them.
        """
        before = self.closed - self.hardware.n_lists  # the list that was in this buffer
        room = self.released[before] + RELEASE_LATENCY if before >= 0 else 0
        cycle = max(earliest, self.last_item + 1, room)
        if ends:
            cycle = max(cycle, self.last_close + self.hardware.block, self.own_end)
        while cycle in self.own:
            cycle += 1
        if ends:
            self.last_close = cycle
            self.closed += 1
        self.last_item = cycle
        return cycle

    def accept_report(self, earliest: int) -> int:
        """Return the cycle in which a report that is offered from `earliest` on is transferred to
        the list; it waits until the list before it is closed, and a second one behind the same list
        for the first.
        """
        unflagged = self.marked + 1 if self.flagged == self.closed else 0
        listed = self.last_close + self.hardware.check_latency + 1
        cycle = max(earliest, self.last_item + 1, unflagged, listed)
        while cycle in self.own:
            cycle += 1
        self.last_item, self.flagged = cycle, self.closed
        return cycle

    def receive(self, earliest: int, ends: bool) -> int:
        """Return the cycle in which an item from another part, or from outside, is transferred."""
        return (self.line or self).accept(earliest, ends)

    def collect(self, ended: int, sequence: int, block: int) -> int:
        """Return the cycle in which a block's list closes, whose end was received at `ended`."""
        return ended if self.line is None else self.line.emit(self, ended, sequence, block)

    def receive_report(self, earliest: int) -> int:
        """As `receive`, of a report."""
        if self.line is None:
            return self.accept_report(earliest)
        return self.line.accept(earliest, ends=True)

    def collect_report(self, taken: int) -> int:
        """Return the cycle in which the list takes a report that was received at `taken`."""
        return taken if self.line is None else self.line.report(self, taken)

    def collect_end(self, ended: int) -> int:
        """Return the cycle in which the list of a sequence's end closes."""
        return ended if self.line is None else self.line.end_sequence(self, ended)
