"""Predicted cycles and memory words of a core, from the events that a network receives and sends.
No Torch, no RTL.

`timestep_cycles` is what a layer needs for itself; `Timeline` follows every event, mask and list of
the whole chain and says in which cycle each layer starts each timestep when input always waits and
results are always taken. Both are exact: tests hold the core's counters and traces to them.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from golden.integer import LayerRun
from golden.params import (
    CLOSE_LATENCY,
    MASK_QUEUE_DEPTH,
    WRITE_STAGE,
    CoreParams,
    LayerHardware,
    ReadoutHardware,
)

RELEASED_RTL_LANES = 4
SLACK = 8  # cycles a timestep that a layer may spend beyond its bound


def refreshes(part: LayerHardware | ReadoutHardware, n_timesteps: int) -> np.ndarray:
    """Return (K,) bool: the timesteps of a sequence in which the current from the slow state is
    refreshed.
    """
    return np.arange(n_timesteps) % part.dilation == 0


def group_steps(part: LayerHardware | ReadoutHardware, events: np.ndarray) -> np.ndarray:
    """Return the steps that each group takes, for events (..., K) of whole sequences."""
    refresh = refreshes(part, events.shape[-1])
    dense = np.where(refresh, part.dense_steps(refresh=True), part.dense_steps(refresh=False))
    return np.maximum(events, dense)


def timestep_cycles(part: LayerHardware | ReadoutHardware, events: np.ndarray) -> np.ndarray:
    """Return the busy cycles (..., K) of a layer, or the readout, for each timestep of whole
    sequences with events (..., K).

    max(groups * max(events, dense steps) + drain, state update): what the counter `busy_cycles`
    adds up.
    """
    return np.maximum(part.n_groups * group_steps(part, events) + part.drain, part.state_cycles)


def bound_cycles(part: LayerHardware | ReadoutHardware, events: np.ndarray) -> np.ndarray:
    """Return the cycles (..., K) below which no schedule of this layer on these lanes can go:
    groups * max(events, dense steps).
    """
    return part.n_groups * group_steps(part, events)


def released_rtl_cycles(
    core: CoreParams, events: Sequence[np.ndarray], sent: np.ndarray
) -> np.ndarray:
    """Return the cycles (..., K) a timestep of the paper's released RTL takes on the same network,
    from its closed form.

    Parameters
    ----------
    events, sent
        Events (..., K) received by each layer, and spikes (..., K) of the last one.

    It has 4 lanes, holds no graded events, keeps at most 32 events a timestep (the form below does
    not drop any), and runs its layers strictly one after another.
    """
    total = np.maximum(events[0], 1) + np.maximum(sent, 1)
    for layer, received in zip(core.layers, events, strict=True):
        groups = -(-layer.params.n_neurons // RELEASED_RTL_LANES)
        any_event = (received > 0).astype(np.int64)
        memory = np.maximum(layer.params.n_state * groups, any_event * (received + 1)) + groups + 1
        total = total + 6 + 3 * groups + np.maximum(received * groups + any_event, memory)
    for inner in events[1:]:
        total = total + inner + 3
    return total


def memory_words(
    part: LayerHardware | ReadoutHardware, events: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the words (..., K) that a timestep needs from (`.read`) and writes to (`.write`) each
    memory of a layer or the readout.
    """
    groups, one = part.n_groups, np.ones_like(events)
    words = {"list.write": events, "list.read": groups * events}
    if isinstance(part, ReadoutHardware):
        each = dict.fromkeys(("b_o.read", "logits.read", "logits.write"), groups * one)
        return words | {"w_o.read": groups * events} | each
    d = part.params.n_state
    refresh = refreshes(part, events.shape[-1]).astype(np.int64) + np.zeros_like(events)
    words |= {"w_f.read": groups * events}
    words |= dict.fromkeys(("u.read", "u.write", "c.read"), groups * one)
    if d:
        words |= {
            "p.read": groups * (d + 1) * refresh,
            "w_x.read": events,
            "ab.read": part.n_state_blocks * (d + 1) * one,
            "m.read": groups * d * refresh + part.n_state_blocks * d * one,
            "m.write": d * one,
        }
        if part.params.dilation > 1:
            words |= {"h.write": groups * refresh, "h.read": groups * (1 - refresh)}
    return words


class _EventLists:
    """The two buffers of a receiver: when items may enter, and when lists open."""

    def __init__(self) -> None:
        self.last_item = -1  # cycle of the last item's transfer
        self.released = [-1, -1]  # cycles in which the last two lists were released
        self.closed = 0  # lists closed so far

    def accept(self, earliest: int, ends: bool) -> int:
        """Return the cycle in which an item that is offered from `earliest` on is transferred."""
        cycle = max(earliest, self.last_item + 1, self.released[self.closed % 2] + 1)
        self.last_item = cycle
        if ends:
            self.closed += 1
        return cycle


@dataclass
class _Part:
    """A layer or the readout while its timeline is computed."""

    hardware: LayerHardware | ReadoutHardware
    lists: _EventLists = field(default_factory=_EventLists)
    walked: int = 0  # lists walked so far
    ready: int = 0  # first cycle in which something new can be decided on
    starts: list[int] = field(default_factory=list)
    room: list[int] = field(
        default_factory=lambda: [-1] * MASK_QUEUE_DEPTH
    )  # cycles in which room was given back
    popped: int = -1  # cycle in which the encoder took its last group
    moved: int = -1  # cycle in which the encoder put its last item into its output register
    sent: int = -1  # cycle in which that item was transferred

    def release(self, cycle: int) -> None:
        self.lists.released[self.walked % 2] = cycle
        self.walked += 1


class Timeline:
    """The cycle in which each layer, and the readout, starts each timestep, relative to the first
    item's transfer.

    Parameters
    ----------
    core
        The core.
    payloads
        Sequences (B, K, M), sent one after another.
    layers
        The traced runs of the layers on these sequences (`golden.integer.run`).

    Attributes
    ----------
    starts
        (layers + 1, B, K) cycles; the last row is the readout's.
    """

    def __init__(self, core: CoreParams, payloads: np.ndarray, layers: Sequence[LayerRun]) -> None:
        self._parts = [_Part(hardware) for hardware in (*core.layers, core.readout)]
        n_sequences, n_timesteps, _ = payloads.shape
        n_items = np.count_nonzero(payloads, axis=2)
        steps = [
            group_steps(p.hardware, run.events) for p, run in zip(self._parts, layers, strict=False)
        ]
        last_sent = layers[-1].spike_counts
        steps.append(group_steps(core.readout, last_sent))
        for b in range(n_sequences):
            for k in range(n_timesteps):
                for _ in range(n_items[b, k]):
                    self._parts[0].lists.accept(0, ends=False)
                closed = self._parts[0].lists.accept(0, ends=True)
                for i, part in enumerate(self._parts):
                    spikes = None
                    if i < len(layers):
                        run_spikes = layers[i].spikes
                        assert run_spikes is not None, "a timeline needs traced runs"
                        spikes = run_spikes[b, k]
                    closed = self._timestep(i, part, closed, int(steps[i][b, k]), spikes)
            closed = self._parts[0].lists.accept(0, ends=True)
            for i, part in enumerate(self._parts):
                closed = self._end_sequence(i, part, closed)
        self.starts = np.array([p.starts for p in self._parts]).reshape(
            -1, n_sequences, n_timesteps
        )

    def _timestep(
        self, index: int, part: _Part, closed: int, steps: int, spikes: np.ndarray | None
    ) -> int:
        """Walk a timestep whose list closed at `closed`; return the cycle in which its end reaches
        the next part.
        """
        hardware = part.hardware
        start = max(part.ready, closed + CLOSE_LATENCY) + 1
        issued, stalls, reached = start - 1, 0, 0
        first_issued = start
        lanes = hardware.hardware.lanes
        for group in range(hardware.n_groups):
            due = issued + steps
            if spikes is None:
                issued = due
                continue
            issued = max(due, heapq.heappop(part.room) + 1)
            stalls += issued - due
            if group == 0 and steps == 1:  # its first step is a last one too, and waits for room
                first_issued = issued
            fired = int(np.count_nonzero(spikes[group * lanes : (group + 1) * lanes]))
            ends = group == hardware.n_groups - 1
            if fired or ends:
                reached = self._encode(index, part, issued + WRITE_STAGE, fired, marker=ends)
            else:
                heapq.heappush(part.room, issued + WRITE_STAGE)
        part.starts.append(first_issued)
        part.release(issued)
        part.ready = max(issued + hardware.drain, start - 1 + hardware.state_cycles + stalls)
        return reached

    def _end_sequence(self, index: int, part: _Part, closed: int) -> int:
        decided = max(part.ready, closed + CLOSE_LATENCY)
        issued = decided + 1
        if isinstance(part.hardware, LayerHardware):
            issued = max(issued, heapq.heappop(part.room) + 1)
            part.release(issued)
            part.ready = issued
            return self._encode(index, part, issued + WRITE_STAGE, 0, marker=True)
        part.release(issued)
        lanes, left = part.hardware.hardware.lanes, part.hardware.params.n_classes
        # Four cycles to read a word of logits, then one a class; the next word is read after the
        # last of them.
        cycle = issued + WRITE_STAGE
        while left > 0:
            cycle += 3 + min(left, lanes)
            left -= lanes
        part.ready = cycle + 1
        return 0

    def _encode(self, index: int, part: _Part, queued: int, fired: int, *, marker: bool) -> int:
        """Send a group that enters the queue at `queued`; return the cycle in which its last item
        is transferred.
        """
        part.popped = max(queued + 2, part.popped + 1, part.moved)
        heapq.heappush(part.room, part.popped)
        earliest = part.popped + 1
        receiver = self._parts[index + 1].lists
        for item in range(fired + marker):
            part.moved = max(earliest, part.sent)
            part.sent = receiver.accept(part.moved + 1, ends=marker and item == fired)
            earliest = part.moved + 1
        return part.sent
