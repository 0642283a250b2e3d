"""How a layer and the readout are wired alike: an event list, the schedule that walks it, the path
that adds its events, and their counters.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from golden.hardware.layer import LayerHardware
from rtl.event_list import EventList
from rtl.fixed import ones, total
from rtl.group_schedule import GroupSchedule
from rtl.layouts import Part
from rtl.signatures import InputErrorPorts
from rtl.spike_path import SpikePath


def counts_signature(part: Part) -> wiring.Signature:
    """Return what the counters of a part add in a cycle, by the counter's name."""
    n_events = part.hardware.events_per_cycle
    most = dict.fromkeys(part.counters, 1)
    several = {
        "timesteps": part.block,
        "events": part.received_items,
        "out_of_range": part.received_items,
        "repeated": part.received_items,
        "list_reads": n_events if part.wide else 1,
        "list_writes": part.received_items,
        "w_x_reads": part.received_items,
        "membrane_saturations": part.lanes,
        "synapse_saturations": part.lanes,
        "logit_saturations": part.lanes,
        "payload_reads": n_events,
        "payload_writes": n_events,
        "w_f_reads": n_events,
        "w_o_reads": n_events,
        "spike_additions": n_events * part.block,
        "state_products": part.block * part.hardware.products_per_cycle,
    }
    if isinstance(part, LayerHardware):
        several["spikes"] = part.block * part.sent_items
        if part.params.n_state:
            several["state_saturations"] = part.state_update.columns
    if isinstance(part, LayerHardware) and part.delayed:
        ring = part.delay_ring
        several |= {"ring_reads": ring.memories, "ring_writes": ring.memories * (ring.depth + 1)}
    most |= {name: value for name, value in several.items() if name in most}
    return wiring.Signature({name: Out(range(value + 1)) for name, value in most.items()})


def count(m: Module, counts: wiring.PureInterface, **added: Value) -> None:
    """Let counters add these values in every cycle."""
    m.d.comb += [getattr(counts, name).eq(value) for name, value in added.items()]


def connect_walk(
    m: Module,
    events: EventList,
    schedule: GroupSchedule,
    spike_path: SpikePath,
    counts: wiring.PureInterface,
    errors: InputErrorPorts,
) -> None:
    """Connect an event list, the schedule that walks it and the path that adds its events, and all
    to their counters; `errors` are those of the component that takes the part's input.
    """
    part, issue = schedule.part, schedule.issue
    wiring.connect(m, events.front, schedule.front)
    wiring.connect(m, spike_path.events, events.read)
    m.d.comb += spike_path.issue.eq(issue)
    count(
        m,
        counts,
        timesteps=Mux(issue.start, total(issue.timesteps), 0),
        blocks=issue.start,
        busy_cycles=schedule.busy,
        starved_cycles=schedule.starved,
        events=ones(events.arrival.fires),
    )
    if part.external:
        count(
            m,
            counts,
            out_of_range=errors.out_of_range,
            repeated=errors.repeated,
            unclosed=errors.unclosed,
        )
    if part.accesses:
        n_events = part.hardware.events_per_cycle
        reads = Mux(events.read.enable, n_events, 0) if part.wide else events.read.enable
        count(m, counts, list_reads=reads, list_writes=ones(events.first))
        if "payload_reads" in part.list_accesses:
            events_read: Any = Mux(issue.valid, issue.sparse, 0)
            count(
                m,
                counts,
                payload_reads=total(events_read),
                payload_writes=Mux(events.arrival.fires, n_events, 0),
            )
