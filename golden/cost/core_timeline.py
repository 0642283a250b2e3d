"""The cycles of one core, from what enters it: every event, mask and list of its parts followed.
No Torch, no RTL.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np

from golden.blocks import block_lengths, block_starts
from golden.cost.cycles import refreshes, walks
from golden.cost.outlet import Consumer, SpikeOutletTimeline
from golden.cost.part_timeline import DelayLine, PartTimeline, Turn, state_updates
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.hardware.part import EventKind
from golden.hardware.readout import ReadoutHardware
from golden.hardware.stages import MASK_SEGMENT, RESULT_SETS
from golden.runs import LayerRun


class CoreTimeline:
    """Take the items of a core's sequences, in order; with each, follow what the core does.

    Parameters
    ----------
    core
        The core.
    layers
        The traced runs of its layers (`golden.integer.run`, with the core's block and these
        reports).
    n_timesteps, reports
        Of each sequence: its timesteps, and the numbers of them after which results are asked for.
    consumer
        Who takes the spikes of a core without a readout.

    Attributes
    ----------
    parts
        Its layers and its readout; with their turns.
    ends
        Cycles in which the last result of each sequence is sent, or the end of the sequence.
    report_ends
        Cycles in which the last result of each report is sent.
    """

    def __init__(
        self,
        core: CoreParams,
        layers: Sequence[LayerRun],
        n_timesteps: int,
        reports: Sequence[int] = (),
        consumer: Consumer | None = None,
    ) -> None:
        self.block = core.hardware.block
        lengths = block_lengths(n_timesteps, self.block, reports)
        self.n_timesteps, self.lengths = n_timesteps, lengths.tolist()
        self.parts = [PartTimeline(part, state_updates(part)) for part in core.parts.values()]
        for part, run in zip(self.parts, layers, strict=False):
            hardware = part.hardware
            if isinstance(hardware, LayerHardware) and hardware.delayed:
                part.line = DelayLine(hardware, _departures(hardware, run, lengths))
        addresses = [run.addresses for run in layers]
        self._sent = [_by_block(run, lengths) for run in layers]
        self.outlet: Consumer | None = None
        if core.network.output is not None:
            self.parts[-1].words = [-1] * RESULT_SETS * core.readout.n_groups
            addresses.append(self._sent[-1].sum(2))
        else:
            assert consumer is not None and layers[-1].spike_counts is not None
            self.outlet = consumer
            if core.spike_output is not None:
                counts = layers[-1].spike_counts
                self.outlet = SpikeOutletTimeline(core.spike_output, counts, lengths, consumer)
        self._walks = [
            walks(part.hardware, found, lengths)
            for part, found in zip(self.parts, addresses, strict=True)
        ]
        self._refresh = [refreshes(part.hardware, lengths) > 0 for part in self.parts]
        self._sequence = self._index = 0  # of the block that is filled
        self._filled = 0  # its timesteps so far
        self.ends: list[int] = []
        self.report_ends: list[int] = []

    def take(self, kind: EventKind, earliest: int) -> int:
        """Return the cycle in which an item that is offered from `earliest` on is transferred."""
        first = self.parts[0]
        if kind == EventKind.EVENT:
            return first.receive(earliest, ends=False)
        if kind == EventKind.END_TIMESTEP:
            full = self._filled + 1 == self.block
            taken = first.receive(earliest, ends=full)
            self._filled += 1
            if full:
                self._close(taken)
            return taken
        if self._filled:  # what follows closes a block before it is transferred itself
            self._close(first.receive(earliest, ends=True))
        if kind == EventKind.REPORT:
            taken = first.receive_report(earliest)
            self._report(taken)
            return taken
        taken = closed = first.receive(earliest, ends=True)
        for i, part in enumerate(self.parts):
            closed = part.collect_end(closed)
            closed = self._end_sequence(i, part, self._sequence, closed)
        self.ends.append(closed)
        self._sequence, self._index = self._sequence + 1, 0
        return taken

    def _close(self, closed: int) -> None:
        """Walk the block whose arrival ended in this cycle in every part."""
        b, j = self._sequence, self._index
        assert self.lengths[j] == self._filled
        for i, part in enumerate(self.parts):
            closed = part.collect(closed, b, j)
            spiking = self._sent[i][b, j] if i < len(self._sent) else None
            before, steps = (int(of[b, j]) for of in self._walks[i])
            walk = self._filled, before, steps, bool(self._refresh[i][j])
            closed = self._block(i, part, (b, j), closed, *walk, spiking)
        self._index, self._filled = j + 1, 0

    def _block(
        self,
        index: int,
        part: PartTimeline,
        place: tuple[int, int],
        closed: int,
        length: int,
        before: int,
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
            part.state.announce(closed + hardware.check_latency, length)
            decided = max(decided, part.state.decided(refresh))
            part.state.start(decided)
        issued, reached = decided + before, 0
        first_issued = decided + 1
        stalls = []
        sends, written = False, 0  # stage at which a group's spikes go to the encoder
        items: list[int] = []  # in which the spikes of each group are sent
        if spiking is not None and isinstance(hardware, LayerHardware):
            sends, written = True, hardware.write_stage
            items = _items(hardware, spiking)
        part.own.clear()
        for group in range(hardware.n_groups):
            due = issued + steps
            room = heapq.heappop(part.room) if spiking is not None else -1
            issued = max(due, room + 1, part.marked + 1)
            if issued > due:
                stalls.append((due, issued))
            if group == 0 and before + steps == 1:  # its first step is a last one, which waits
                first_issued = issued
            if not sends:
                continue
            ends, queued = group == hardware.n_groups - 1, issued + written
            if items[group] or ends:
                marker = EventKind.END_TIMESTEP if ends else None
                reached = self._encode(index, part, queued, items[group], marker)
            else:
                heapq.heappush(part.room, queued)
        if part.recurrent:
            part.own_end = part.moved + 1
        turn = Turn(*place, part.ready, opened, decided, first_issued, issued, tuple(stalls))
        part.turns.append(turn)
        part.released.append(issued)
        part.finished = issued
        if part.state is not None:
            part.state.finish(issued)
        part.ready = issued + hardware.drain
        return reached

    def _report(self, taken: int) -> None:
        """Let a report pass through the core that was taken in this cycle."""
        for i, part in enumerate(self.parts):
            taken = part.collect_report(taken)
            due = max(taken, *part.released[-1:], -1) + 1
            if isinstance(part.hardware, ReadoutHardware):
                part.marked, taken = self._results(part, part.hardware, due)
                continue
            part.marked = max(due, heapq.heappop(part.room) + 1)
            queued = part.marked + part.hardware.write_stage
            taken = self._encode(i, part, queued, 0, EventKind.REPORT)
        self.report_ends.append(taken)

    def _results(self, part: PartTimeline, hardware: ReadoutHardware, due: int) -> tuple[int, int]:
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

    def _end_sequence(self, index: int, part: PartTimeline, sequence: int, closed: int) -> int:
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
            queued = issued + part.hardware.write_stage
            return self._encode(index, part, queued, 0, EventKind.END_SEQUENCE)
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
        part: PartTimeline,
        queued: int,
        fired: int,
        marker: EventKind | None,
    ) -> int:
        """Send the `fired` items of a group that enters the queue at `queued`, then its marker;
        return the cycle in which its last item is transferred.
        """
        part.popped = max(queued + 2, part.popped + 1, part.moved)
        heapq.heappush(part.room, part.popped)
        earliest = part.popped + 1
        for item in range(fired + (marker is not None)):
            part.moved = max(earliest, part.sent)
            if part.recurrent and item < fired:
                part.own.add(part.moved + 1)  # offered, though not yet taken
            kind = EventKind.EVENT if item < fired or marker is None else marker
            part.sent = self._send(index, kind, part.moved + 1)
            earliest = part.moved + 1
        return part.sent

    def _send(self, index: int, kind: EventKind, earliest: int) -> int:
        """Return the cycle in which an item of this layer, offered from `earliest` on, is
        transferred.
        """
        if index + 1 == len(self.parts):
            assert self.outlet is not None
            return self.outlet.take(kind, earliest)
        receiver = self.parts[index + 1]
        if kind == EventKind.REPORT:
            return receiver.receive_report(earliest)
        return receiver.receive(earliest, ends=kind != EventKind.EVENT)


def _by_block(run: LayerRun, lengths: np.ndarray) -> np.ndarray:
    """Return (B, blocks, N) bool: which neurons spike in which blocks."""
    assert run.spikes is not None, "a timeline needs traced runs"
    return _blocks(run.spikes, lengths)


def _blocks(fired: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return (B, blocks, N) of (B, K, N) bool: what fires at any timestep of a block."""
    if not len(lengths):
        return fired
    return np.logical_or.reduceat(fired, block_starts(lengths), axis=1)


def _items(layer: LayerHardware, spiking: np.ndarray) -> list[int]:
    """Return in how many items of a link the spikes of each group are sent: those of a segment of
    lanes share items.
    """
    starts = [
        range(first, first + layer.lanes, MASK_SEGMENT)
        for first in range(0, layer.n_groups * layer.lanes, layer.lanes)
    ]
    padded = np.pad(spiking, (0, layer.n_groups * layer.lanes - len(spiking)))
    counts = np.add.reduceat(padded, [start for group in starts for start in group], dtype=np.int64)
    items = -(-counts // layer.sent_items)
    return items.reshape(layer.n_groups, -1).sum(1).tolist()


def _departures(layer: LayerHardware, run: LayerRun, lengths: np.ndarray) -> np.ndarray:
    """Return (B, blocks, words): how many inputs of each word of a block's slot come out."""
    assert run.delayed is not None, "a timeline needs traced runs"
    found = _blocks(run.delayed, lengths)
    padded = np.pad(found, ((0, 0), (0, 0), (0, -found.shape[2] % layer.delay_ring.lanes)))
    return padded.reshape(*found.shape[:2], -1, layer.delay_ring.lanes).sum(3)
