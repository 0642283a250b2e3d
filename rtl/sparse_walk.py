"""How a layer and the readout are wired alike: an event list, the schedule that walks it, the path
that adds its events, and their counters.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from golden.hardware.layer import LayerHardware
from golden.hardware.readout import ReadoutHardware
from rtl.delay_line import DelayLine
from rtl.event_list import EventList
from rtl.group_schedule import GroupSchedule
from rtl.spike_path import SpikePath


def population(bits: Value) -> Value:
    """Return how many bits are set."""
    return sum(bits[1:], bits[0])


def counts_signature(part: LayerHardware | ReadoutHardware) -> wiring.Signature:
    """Return what the counters of a part add in a cycle, by the counter's name."""
    n_events = part.hardware.events_per_cycle
    most = dict.fromkeys(part.counters, 1)
    several = {
        "timesteps": part.block,
        "spikes": part.block,
        "membrane_saturations": part.lanes,
        "logit_saturations": part.lanes,
        "payload_reads": n_events,
        "payload_writes": n_events,
        "w_f_reads": n_events,
        "w_o_reads": n_events,
        "spike_additions": n_events * part.block,
        "state_products": part.block * part.hardware.products_per_cycle,
    }
    if isinstance(part, LayerHardware) and part.delayed:
        memories = part.delay_ring.memories
        several |= {"ring_reads": memories, "ring_writes": memories * (part.delay_ring.depth + 1)}
    most |= {name: value for name, value in several.items() if name in most}
    return wiring.Signature({name: Out(range(value + 1)) for name, value in most.items()})


def connect_schedule(
    m: Module,
    events: EventList,
    schedule: GroupSchedule,
    spike_path: SpikePath,
    counts: Any,
    inlet: EventList | DelayLine,
) -> None:
    """Connect an event list, the schedule that walks it and the path that adds its events, and all
    to their counters; `inlet` is what takes the part's input.
    """
    part, issue = schedule.part, schedule.issue
    sparse = Mux(issue.valid, issue.sparse, 0)
    m.d.comb += [
        schedule.available.eq(events.available),
        schedule.count.eq(events.count),
        schedule.plain_end.eq(events.plain_end),
        schedule.refreshed_end.eq(events.refreshed_end),
        schedule.length.eq(events.length),
        schedule.sequence_end.eq(events.sequence_end),
        schedule.buffer.eq(events.buffer),
        events.release.eq(schedule.release),
        events.read.eq(sparse.any()),
        events.index.eq(issue.step),
        spike_path.issue.eq(issue),
        spike_path.addresses.eq(events.walked_address),
        spike_path.payloads.eq(events.walked_payload),
        counts.timesteps.eq(Mux(issue.start, population(issue.timesteps), 0)),
        counts.blocks.eq(issue.start),
        counts.busy_cycles.eq(schedule.busy),
        counts.starved_cycles.eq(schedule.starved),
        counts.events.eq(events.accepted),
    ]
    if part.external:
        m.d.comb += [
            counts.out_of_range.eq(inlet.out_of_range),
            counts.repeated.eq(inlet.repeated),
            counts.unclosed.eq(inlet.unclosed),
        ]
    if part.accesses:
        m.d.comb += [
            counts.list_reads.eq(events.read),
            counts.list_writes.eq(events.first_accepted),
        ]
        if part.has_payloads:
            n_events = part.hardware.events_per_cycle
            m.d.comb += [
                counts.payload_reads.eq(population(sparse)),
                counts.payload_writes.eq(Mux(events.accepted, n_events, 0)),
            ]
