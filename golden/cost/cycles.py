"""Predicted cycles and memory accesses of a core, from the events that a network receives and
sends. No Torch, no RTL.

`block_cycles` is what a layer needs for itself; when the layers of a whole chain start their blocks
is `golden.cost.timeline`'s. `accesses` counts what every memory and path does. All are exact: tests
hold the core's counters and traces to them.
"""

from __future__ import annotations

import numpy as np

from golden.blocks import block_starts
from golden.cost.stored_sums import stored_accesses
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.hardware.readout import ReadoutHardware
from golden.runs import LayerRun, Run

Part = LayerHardware | ReadoutHardware


def refreshes(part: Part, lengths: np.ndarray) -> np.ndarray:
    """Return (blocks,): in how many timesteps of each block of a sequence the current from the slow
    state is refreshed, for blocks of `lengths` (`golden.blocks.block_lengths`).
    """
    if not part.dense_steps:
        return np.zeros(len(lengths), np.int64)
    starts = block_starts(lengths)
    # Refreshes before a timestep: those of the timesteps 0, dilation, 2 dilation, ...
    return -(-(starts + lengths) // part.dilation) - -(-starts // part.dilation)


def walks(part: Part, addresses: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for distinct addresses (..., blocks) of whole sequences in blocks of `lengths` the
    cycles before the first group may be complete (0 but where it is ablated), and then the cycles
    (its steps) of each group.
    """
    dense = np.where(refreshes(part, lengths) > 0, part.dense_steps, 0)
    return part.walk(addresses, dense)


def block_cycles(part: Part, addresses: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the cycles (..., blocks) in which a layer, or the readout, issues a step, for distinct
    addresses (..., blocks) of whole sequences in blocks of `lengths`: groups * steps, and those
    before the first group may be complete; what the counter `busy_cycles` adds up.

    No part takes fewer cycles from the start of a block to that of the next.
    """
    before, steps = walks(part, addresses, lengths)
    return before + part.n_groups * steps


def loop_cycles(layer: LayerHardware, addresses: np.ndarray, spikes: np.ndarray) -> np.ndarray:
    """Return the idle cycles (..., K) of a recurrent layer between its last step of a timestep and
    its first one of the next, for distinct addresses (..., K) and spikes (..., K, N): its
    `loop_latency`, and a cycle for every spike that is still to be sent when the last group comes.

    For a consumer that takes every item, and inputs that wait. Exact where a group's spikes always
    find room in their queue.
    """
    _, steps = walks(layer, addresses, np.ones(addresses.shape[-1], np.int64))
    starts = np.arange(0, layer.n_outputs, layer.lanes)
    fired = np.add.reduceat(spikes.astype(np.int64), starts, axis=-1)
    remaining = np.flip(np.cumsum(np.flip(fired, -1), -1), -1)  # of a group and all that follow it
    until = steps[..., None] * np.arange(layer.n_groups - 1, -1, -1)
    return layer.loop_latency + (remaining - until).max(-1)


def accesses(core: CoreParams, run: Run) -> dict[str, np.ndarray]:
    """Return what every access counter counts for each sequence (B,) of a golden run with the
    core's block: words read and written, products and additions of a word.

    Results leave through reads of the logits that are not counted.
    """
    found = {}
    received = [*(layer.addresses for layer in run.layers), run.readout_addresses]
    events = [*(layer.events for layer in run.layers), run.layers[-1].spike_counts]
    dropped = dropped_events(core, run)
    for index, (name, part) in enumerate(core.parts.items()):
        counts = _accesses(part, received[index], events[index], dropped[index], run.lengths)
        if isinstance(part, LayerHardware) and part.delayed:
            counts |= _delay_accesses(part, run.layers[index], len(run.lengths))
        if isinstance(part, LayerHardware) and part.stored:
            counts |= stored_accesses(part, received[index])
        found |= {f"{name}.{what}": count for what, count in counts.items()}
    return found


def dropped_events(core: CoreParams, run: Run) -> list[np.ndarray]:
    """Return for each part the events (B,) that enter its list only to be dropped with the end of a
    sequence: a recurrent layer's own spikes of the last timestep, if it has one.
    """
    dropped = [
        layer.spike_counts[:, -1:].sum(1) * hardware.params.recurrent
        for hardware, layer in zip(core.layers, run.layers, strict=True)
    ]
    return [*dropped, np.zeros(len(run.logits), np.int64)]


def _accesses(
    part: Part,
    addresses: np.ndarray,
    events: np.ndarray,
    dropped: np.ndarray,
    lengths: np.ndarray,
) -> dict[str, np.ndarray]:
    """Count the accesses (B,) of a part, for distinct addresses (B, blocks), events (B, K), the
    events (B,) that are only dropped, and the blocks' lengths (blocks,).
    """
    n_timesteps = int(lengths.sum())
    n_events, groups = part.hardware.events_per_cycle, part.n_groups
    none = np.zeros(len(addresses), np.int64)
    distinct, total = addresses.sum(1), events.sum(1)
    n_blocks = addresses.shape[1]
    # An event is written once by a part that gets whole blocks, else once a timestep.
    accepted = total if part.by_timesteps else distinct
    counts = {
        "list_writes": distinct + dropped,
        "list_reads": groups * part.sparse_steps(addresses).sum(1) * (n_events if part.wide else 1),
        "spike_additions": groups * total,
    }
    if part.has_payloads and not part.wide:
        written = n_events * (accepted + dropped)
        counts |= {"payload_writes": written, "payload_reads": groups * distinct}
    if isinstance(part, ReadoutHardware):
        once = none + groups * n_blocks
        counts |= {
            "w_o_reads": groups * distinct,
            "b_o_reads": once, "logits_reads": once, "logits_writes": once,
        }  # fmt: skip
        if part.params.leaky:
            counts["leak_products"] = none + groups * n_timesteps
        if part.params.report == "max":
            counts |= {"peaks_reads": once, "peaks_writes": once}
        return counts
    words = none + groups * part.fold * n_blocks
    counts |= {"w_f_reads": groups * distinct, "c_reads": words, "u_reads": words}
    products = none + groups * part.fold * n_timesteps
    counts |= {"u_writes": words, "leak_products": products}
    counts |= {f"{name}_reads": words for name in part.params.per_neuron}
    if part.params.synapse:
        counts |= {"y_reads": words, "y_writes": words, "c_y_reads": words}
        counts["synapse_products"] = products
    d = part.params.n_state
    if not d:
        return counts
    refreshed = refreshes(part, lengths)
    update = part.state_update
    steps = update.row_groups * update.steps
    dense = groups * part.dense_steps * int((refreshed > 0).sum())
    # The slow state of timestep k is stored only if timestep k + 1 refreshes the current.
    kept = int((np.arange(1, n_timesteps + 1) % part.dilation == 0).sum())
    counts |= {
        "p_reads": none + dense,
        "history_reads": none + dense,
        "history_writes": none + update.words * kept,
        "state_products": none + groups * part.columns * int(refreshed.sum()),
        "w_x_reads": accepted,
        "ab_reads": none + steps * n_timesteps,
        "m_reads": none + update.row_groups * update.words * n_timesteps,
        "m_writes": none + update.words * n_timesteps,
        "update_products": none + steps * n_timesteps,
    }
    if part.dilation > 1:
        held = int((block_starts(lengths) % part.dilation != 0).sum())
        counts |= {
            "h_reads": none + groups * part.fold * held,
            "h_writes": none + groups * part.fold * int((refreshed > 0).sum()),
        }
    return counts


def _delay_accesses(part: LayerHardware, run: LayerRun, n_blocks: int) -> dict[str, np.ndarray]:
    """Count the accesses (B,) of a layer's delay line: of what arrives, of the words of every block
    that leaves, which are read and cleared, and of the ring, which is cleared after a sequence.
    """
    assert run.arrivals is not None and run.arrival_slots is not None
    touched = run.arrival_slots + part.delay_ring.words * n_blocks
    return {
        "delays_reads": run.arrivals,
        "ring_reads": touched,
        "ring_writes": touched + part.delay_ring.memories * part.delay_ring.depth,
    }


def watchdog_cycles(core: CoreParams, waiting: int = 0) -> int:
    """Return cycles in which a working core must transfer something: what it needs for all the
    blocks of timesteps that it can hold, and `waiting` others, each at its slowest, and all gaps.
    """
    held = waiting + sum(part.n_lists + 1 for part in core.parts.values())
    longest = [
        before + part.n_groups * steps + part.drain + _update_in_turn(part)
        for part in core.parts.values()
        for before, steps in [part.walk(part.n_addresses, part.dense_steps)]
    ]
    updates = [layer.state_update.block_cycles for layer in core.layers if layer.params.n_state]
    return held * int(max([*longest, *updates])) + 100_000


def _update_in_turn(part: Part) -> int:
    """Return the cycles of a state update that come before a walk, not beside it."""
    if not isinstance(part, LayerHardware) or not part.updates_in_turn:
        return 0
    return part.state_update.block_cycles


def settle_cycles(core: CoreParams) -> int:
    """Return the cycles after the last result in which a core still works: state updates that
    lag, and counters.
    """
    updates = (
        layer.state_update.interval * layer.block * (layer.state_update.lag + 1)
        for layer in core.layers
        if layer.params.n_state
    )
    return 32 + max(updates, default=0)
