"""In which cycle each layer of a core starts each block: every event, mask and list of the whole
chain followed, when input always waits and results are always taken. No Torch, no RTL. Exact: tests
hold the core's traces to it.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np

from golden.blocks import block_lengths, block_starts
from golden.cost.cycles import group_steps, refreshes
from golden.cost.part_timeline import DelayLine, PartTimeline, StateUpdates, Turn
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.hardware.readout import ReadoutHardware
from golden.hardware.stages import RESULT_SETS
from golden.runs import LayerRun


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
            PartTimeline(
                part,
                StateUpdates(part)
                if isinstance(part, LayerHardware) and part.dense_steps
                else None,
            )
            for part in core.parts.values()
        ]
        self._parts[-1].words = [-1] * RESULT_SETS * core.readout.n_groups
        for part, run in zip(self._parts, layers, strict=False):
            hardware = part.hardware
            if isinstance(hardware, LayerHardware) and hardware.delayed:
                part.line = DelayLine(hardware, _departures(hardware, run, lengths))
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
        part: PartTimeline,
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
        part: PartTimeline,
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
