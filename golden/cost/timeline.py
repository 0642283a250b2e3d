"""In which cycle each layer of a core starts each block: every event, mask and list of the whole
chain followed, when input always waits and results are always taken. No Torch, no RTL. Exact: tests
hold the core's traces to it.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from golden.cost.cycles import Part, block_starts, group_steps, refreshes
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.hardware.readout import ReadoutHardware
from golden.hardware.stages import (
    DELAY_LATENCY,
    DRIVE_LATENCY,
    MASK_QUEUE_DEPTH,
    RELEASE_LATENCY,
    RESULT_SETS,
)
from golden.integer import LayerRun, block_lengths


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
class _Line:
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

    def send(self, part: _Part, earliest: int, ends: bool) -> int:
        """Put an item into the output register; return the cycle of that."""
        self.moved = max(earliest, self.moved + 1, self.sent)
        self.sent = part.accept(self.moved + 1, ends)
        return self.moved

    def emit(self, part: _Part, ended: int, sequence: int, block: int) -> int:
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

    def report(self, part: _Part, taken: int) -> int:
        """Send a report that came at `taken`; return the cycle in which the list takes it."""
        self.moved = max(taken + DELAY_LATENCY, self.moved + 1, self.sent)
        self.free = self.moved + 1
        self.sent = part.accept_report(self.moved + 1)
        return self.sent

    def end_sequence(self, part: _Part, ended: int) -> int:
        """Send the end of a sequence that came at `ended`, and clear the ring."""
        cleared = ended + DELAY_LATENCY
        self.free = self.send(part, cleared, ends=True) + 1
        self.emptied = cleared + self.layer.delay_ring.depth
        return self.sent


@dataclass
class _State:
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


@dataclass
class _Part:
    """A layer or the readout while its timeline is computed."""

    hardware: Part
    state: _State | None = None
    line: _Line | None = None
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
        the list; a second one behind the same list waits for the first.
        """
        unflagged = self.marked + 1 if self.flagged == self.closed else 0
        cycle = max(earliest, self.last_item + 1, unflagged)
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


class Timeline:
    """The cycle in which each layer, and the readout, starts each block, relative to the first
    item's transfer.

    Parameters
    ----------
    core
        The core.
    payloads
        Sequences (B, K, M), sent one after another.
    layers
        The traced runs of the layers on these sequences (`golden.integer.run`, with the core's
        block, and with these reports).
    reports
        The numbers of timesteps after which results are asked for in every sequence, ascending.

    Attributes
    ----------
    starts
        (layers + 1, B, blocks) cycles; the last row is the readout's.
    ends
        (B,) cycles in which the last result of each sequence is sent.
    report_ends
        (B, reports) cycles in which the last result of each report is sent.
    turns
        What each layer and the readout took in which cycles, in order.
    """

    def __init__(
        self,
        core: CoreParams,
        payloads: np.ndarray,
        layers: Sequence[LayerRun],
        reports: Sequence[int] = (),
    ) -> None:
        block = core.hardware.block
        n_sequences, n_timesteps, _ = payloads.shape
        lengths = block_lengths(n_timesteps, block, reports)
        self._parts = [
            _Part(
                part, _State(part) if isinstance(part, LayerHardware) and part.dense_steps else None
            )
            for part in core.parts.values()
        ]
        self._parts[-1].words = [-1] * RESULT_SETS * core.readout.n_groups
        for part, run in zip(self._parts, layers, strict=False):
            hardware = part.hardware
            if isinstance(hardware, LayerHardware) and hardware.delayed:
                part.line = _Line(hardware, _departures(hardware, run, lengths))
        n_items = np.count_nonzero(payloads, axis=2)
        addresses = [run.addresses for run in layers]
        sent = [_by_block(run, lengths) for run in layers]
        addresses.append(sent[-1].sum(2))
        steps = [
            group_steps(part.hardware, found, lengths)
            for part, found in zip(self._parts, addresses, strict=True)
        ]
        refresh = [refreshes(part.hardware, lengths) > 0 for part in self._parts]
        first = self._parts[0]
        self.ends = np.zeros(n_sequences, np.int64)
        self.report_ends = np.zeros((n_sequences, len(reports)), np.int64)
        starts, times = block_starts(lengths).tolist(), np.asarray(reports, np.int64)
        for b in range(n_sequences):
            self._report(b, np.flatnonzero(times == 0))
            for j, (start, length) in enumerate(zip(starts, lengths.tolist(), strict=True)):
                closed = 0
                for k in range(start, start + length):
                    for _ in range(n_items[b, k]):
                        first.receive(0, ends=False)
                    closed = first.receive(0, ends=k == start + block - 1)
                if length < block:  # what follows closes it before it is transferred itself
                    closed = first.receive(0, ends=True)
                for i, part in enumerate(self._parts):
                    closed = part.collect(closed, b, j)
                    spiking = sent[i][b, j] if i < len(layers) else None
                    walk = length, int(steps[i][b, j]), bool(refresh[i][j])
                    closed = self._block(i, part, (b, j), closed, *walk, spiking)
                self._report(b, np.flatnonzero(times == start + length))
            closed = first.receive(0, ends=True)
            for i, part in enumerate(self._parts):
                closed = part.collect_end(closed)
                closed = self._end_sequence(i, part, b, closed)
            self.ends[b] = closed
        self.turns = [part.turns for part in self._parts]
        begun = [[turn.first for turn in of if turn.block is not None] for of in self.turns]
        self.starts = np.array(begun).reshape(-1, n_sequences, len(lengths))

    def _block(
        self,
        index: int,
        part: _Part,
        place: tuple[int, int],
        closed: int,
        length: int,
        steps: int,
        refresh: bool,
        spiking: np.ndarray | None,
    ) -> int:
        """Walk a block whose list closed at `closed`; return the cycle in which its end reaches the
        next part.
        """
        hardware = part.hardware
        opened = closed + hardware.close_latency
        decided = max(part.ready, opened)
        if part.state is not None:
            part.state.announce(closed, length)
            decided = max(decided, part.state.decided(refresh))
            part.state.start(decided)
        issued, reached = decided, 0
        first_issued = decided + 1
        stalls = []
        lanes = hardware.lanes
        part.own.clear()
        for group in range(hardware.n_groups):
            due = issued + steps
            room = heapq.heappop(part.room) if spiking is not None else -1
            issued = max(due, room + 1, part.marked + 1)
            if issued > due:
                stalls.append((due, issued))
            if group == 0 and steps == 1:  # its first step is a last one too, and waits for room
                first_issued = issued
            if spiking is None or isinstance(hardware, ReadoutHardware):
                continue
            fired = int(np.count_nonzero(spiking[group * lanes : (group + 1) * lanes]))
            ends = group == hardware.n_groups - 1
            if fired or ends:
                queued = issued + hardware.write_stage
                reached = self._encode(index, part, queued, fired, marker=ends)
            else:
                heapq.heappush(part.room, issued + hardware.write_stage)
        if part.recurrent:
            part.own_end = part.moved + 1
        turn = Turn(*place, part.ready, opened, decided, first_issued, issued, tuple(stalls))
        part.turns.append(turn)
        part.released.append(issued)
        part.finished = issued
        part.ready = issued + hardware.drain
        return reached

    def _report(self, sequence: int, numbers: np.ndarray) -> None:
        """Let reports of these numbers pass through the core."""
        for number in numbers.tolist():
            taken = self._parts[0].receive_report(0)
            for i, part in enumerate(self._parts):
                taken = part.collect_report(taken)
                due = max(taken, *part.released[-1:], -1) + 1
                if isinstance(part.hardware, ReadoutHardware):
                    part.marked, taken = self._results(part, part.hardware, due)
                    continue
                part.marked = max(due, heapq.heappop(part.room) + 1)
                queued = part.marked + part.hardware.write_stage
                taken = self._encode(i, part, queued, 0, marker=True, report=True)
            self.report_ends[sequence, number] = taken

    def _results(self, part: _Part, hardware: ReadoutHardware, due: int) -> tuple[int, int]:
        """Copy all logits and send them, where that is due; return the cycle in which it is issued,
        and that of the last result.
        """
        room = [heapq.heappop(part.words) for _ in range(hardware.n_groups)]
        issued = max(due, room[-1] + 1, part.finished + 1 + hardware.settle, part.copied)
        part.copied = issued + hardware.n_groups
        left = hardware.params.n_classes
        for group in range(hardware.n_groups):
            # Two cycles to read a word and to hold it in the queue; then one a class.
            popped = max(issued + hardware.result_stage + group + 2, part.results)
            heapq.heappush(part.words, popped)
            part.results = popped + min(left, hardware.lanes)
            left -= hardware.lanes
        return issued, part.results

    def _end_sequence(self, index: int, part: _Part, sequence: int, closed: int) -> int:
        opened = closed + part.hardware.close_latency
        decided = max(part.ready, opened)
        due = max(decided, part.marked) + 1
        issued, sent = due, 0
        if isinstance(part.hardware, LayerHardware):
            issued = max(due, heapq.heappop(part.room) + 1)
        elif part.hardware.reports:
            issued, sent = self._results(part, part.hardware, due)
        due = decided + 1
        stalls = ((due, issued),) if issued > due else ()
        turn = Turn(sequence, None, part.ready, opened, decided, issued, issued, stalls)
        part.turns.append(turn)
        if isinstance(part.hardware, LayerHardware):
            part.released.append(issued)
            part.ready = issued
            return self._encode(index, part, issued + part.hardware.write_stage, 0, marker=True)
        part.released.append(issued)
        if part.hardware.reports:
            part.ready = issued
            return sent
        lanes, left = part.hardware.lanes, part.hardware.params.n_classes
        # Two cycles to read a word of logits, then one a class; the next word is read after the
        # last of them.
        cycle = issued + part.hardware.result_stage
        while left > 0:
            cycle += 2 + min(left, lanes)
            left -= lanes
        part.ready = cycle + 1
        return cycle

    def _encode(
        self,
        index: int,
        part: _Part,
        queued: int,
        fired: int,
        *,
        marker: bool,
        report: bool = False,
    ) -> int:
        """Send a group that enters the queue at `queued`, or a `report`; return the cycle in which
        its last item is transferred.
        """
        part.popped = max(queued + 2, part.popped + 1, part.moved)
        heapq.heappush(part.room, part.popped)
        earliest = part.popped + 1
        receiver = self._parts[index + 1]
        for item in range(fired + marker):
            part.moved = max(earliest, part.sent)
            if part.recurrent and item < fired:
                part.own.add(part.moved + 1)  # offered, though not yet taken
            if report:
                part.sent = receiver.receive_report(part.moved + 1)
            else:
                part.sent = receiver.receive(part.moved + 1, ends=marker and item == fired)
            earliest = part.moved + 1
        return part.sent


def _by_block(run: LayerRun, lengths: np.ndarray) -> np.ndarray:
    """Return (B, blocks, N) bool: which neurons spike in which blocks."""
    assert run.spikes is not None, "a timeline needs traced runs"
    return _blocks(run.spikes, lengths)


def _blocks(fired: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return (B, blocks, N) of (B, K, N) bool: what fires at any timestep of a block."""
    if not len(lengths):
        return fired
    return np.logical_or.reduceat(fired, block_starts(lengths), axis=1)


def _departures(layer: LayerHardware, run: LayerRun, lengths: np.ndarray) -> np.ndarray:
    """Return (B, blocks, words): how many inputs of each word of a block's slot come out."""
    assert run.delayed is not None, "a timeline needs traced runs"
    found = _blocks(run.delayed, lengths)
    padded = np.pad(found, ((0, 0), (0, 0), (0, -found.shape[2] % layer.delay_ring.lanes)))
    return padded.reshape(*found.shape[:2], -1, layer.delay_ring.lanes).sum(3)
