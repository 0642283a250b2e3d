"""One layer: a stream processor from events of a timestep to events of the same timestep."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.hardware.layer import LayerHardware
from golden.hardware.part import EventKind
from rtl.component import Component
from rtl.delay_line import DelayLine
from rtl.drive import Drive
from rtl.encoder import Encoder
from rtl.event_list import EventList
from rtl.group_schedule import GroupSchedule
from rtl.neuron_stage import NeuronStage
from rtl.recurrence import Recurrence
from rtl.scalars import Scalars
from rtl.slow_state import SlowState
from rtl.sparse_walk import connect_schedule, counts_signature, population
from rtl.spike_path import SpikePath
from rtl.state_path import StatePath
from rtl.streams import LOAD_BUS, event_layout


class Layer(Component):
    """Run a layer of the network on its lanes, under the group schedule.

    Events of the next timestep arrive while the groups of this one are walked; only when both lists
    are full is the producer stalled, and only when the queue of spike masks is full does a stalled
    consumer stall the walk.

    Parameters
    ----------
    layer
        Parameters and lanes.
    numbers
        The load bus number of each of its memories.

    Members
    -------
    i, o
        Events in and out.
    load
        The load bus.
    counts
        What the counters of this layer add in this cycle, by the counter's name.
    clearing
        With delays: the delay line is being cleared after a reset.
    trace
        With `HardwareParams.trace`: `start` of a timestep, a group's membranes and spikes, values
        of the slow state and of the drive, each with its `valid`.

    Throughput: groups * max(sparse steps, dense steps, output steps) + drain cycles a block; a
    recurrent layer, which waits for its own spikes, `loop_latency` in place of drain, and a cycle
    for each spike that its last groups leave to be sent.
    """

    def __init__(self, layer: LayerHardware, numbers: dict[str, int]) -> None:
        self.layer, self.numbers = layer, numbers
        p, f = layer.params, layer.params.formats
        units = layer.neuron_fold.units
        received = f.payload.width if layer.external else layer.block
        members = {
            "i": In(stream.Signature(event_layout(p.n_inputs, received))),
            "o": Out(stream.Signature(event_layout(p.n_neurons, layer.block))),
            "load": In(LOAD_BUS),
            "counts": Out(counts_signature(layer)),
        }
        if layer.delayed:
            members["clearing"] = Out(1)
        if layer.hardware.trace:
            trace = {
                "start": Out(1),
                "neuron_valid": Out(1),
                "neuron_membrane": Out(units * f.u.width),
                "neuron_spikes": Out(units),
            }
            if p.n_state:
                trace |= {
                    "state_valid": Out(1),
                    "state_value": Out(f.m.width),
                    "drive_valid": Out(1),
                    "drive_value": Out(f.x.width),
                }
            members["trace"] = Out(wiring.Signature(trace))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, p, f = self.layer, self.layer.params, self.layer.params.formats
        numbers, memories, counts = self.numbers, layer.memories, self.counts

        m.submodules.scalars = scalars = Scalars(f, memories["scalars"], numbers["scalars"])
        m.submodules.events = events = EventList(layer)
        m.submodules.schedule = schedule = GroupSchedule(layer)
        m.submodules.spike_path = spike_path = SpikePath(
            layer, p.spike_sum, memories["w_f"], numbers["w_f"]
        )
        m.submodules.neurons = neurons = NeuronStage(layer, numbers["c"])
        m.submodules.encoder = encoder = Encoder(layer)
        loaded = [scalars, spike_path, neurons]

        # What arrives passes the delays, then the way back of own spikes, then enters the list.
        arriving: Any = wiring.flipped(self.i)
        inlet: EventList | DelayLine = events
        if layer.delayed:
            m.submodules.line = inlet = line = DelayLine(layer, numbers["delays"])
            loaded.append(line)
            wiring.connect(m, arriving, line.i)
            arriving = line.o
            m.d.comb += self.clearing.eq(line.clearing)
            if layer.accesses:
                m.d.comb += [
                    getattr(counts, name).eq(getattr(line, name))
                    for name in ("delays_reads", "ring_reads", "ring_writes")
                ]
        if p.recurrent:
            m.submodules.recurrence = recurrence = Recurrence(layer)
            wiring.connect(m, arriving, recurrence.i)
            arriving = recurrence.o
            m.d.comb += [
                recurrence.own_valid.eq(self.o.valid),
                recurrence.own_ready.eq(self.o.ready),
                recurrence.own.eq(self.o.payload),
            ]
        wiring.connect(m, arriving, events.i)
        connect_schedule(m, events, schedule, spike_path, counts, inlet)
        m.d.comb += [
            schedule.room.eq(encoder.room),
            encoder.reserve.eq(schedule.reserve),
            neurons.issue.eq(schedule.issue),
            neurons.leak.eq(scalars.leak),
            neurons.threshold.eq(scalars.threshold),
            neurons.sums.eq(spike_path.sums),
            encoder.valid.eq(neurons.valid),
            encoder.spikes.eq(neurons.spikes),
            encoder.timesteps.eq(neurons.timesteps),
            encoder.last_group.eq(neurons.last_group),
            encoder.sequence_end.eq(neurons.sequence_end),
        ]
        wiring.connect(m, encoder.o, wiring.flipped(self.o))

        if p.n_state:
            m.submodules.drive = drive = Drive(layer, numbers["w_x"])
            m.submodules.state_path = state_path = StatePath(layer, numbers["p"])
            m.submodules.slow_state = slow_state = SlowState(layer, numbers["ab"])
            loaded += [drive, state_path, slow_state]
            m.d.comb += [
                getattr(drive, name).eq(getattr(events, name))
                for name in (
                    "accepted", "address", "payload", "timesteps", "closed", "closing_buffer",
                    "closing_timesteps", "closing_fresh", "discarded",
                )
            ]  # fmt: skip
            m.d.comb += [
                drive.bias.eq(scalars.drive_bias),
                slow_state.drive_valid.eq(drive.valid),
                slow_state.drive.eq(drive.value),
                slow_state.drive_first.eq(drive.first),
                slow_state.drive_last.eq(drive.last),
                slow_state.starting.eq(schedule.starting),
                schedule.states_ready.eq(slow_state.ready),
                schedule.states_near.eq(slow_state.near),
                state_path.issue.eq(schedule.issue),
                state_path.drives.eq(drive.values),
                slow_state.history_read.eq(state_path.history_read),
                slow_state.history_buffer.eq(state_path.history_buffer),
                slow_state.history_index.eq(state_path.history_index),
                state_path.history.eq(slow_state.history),
                neurons.currents.eq(state_path.sums),
                counts.drive_saturations.eq(drive.saturated),
                counts.state_saturations.eq(slow_state.saturated),
            ]
            if layer.accesses:
                m.d.comb += [
                    counts.p_reads.eq(state_path.p_read),
                    counts.history_reads.eq(state_path.history_read),
                    counts.history_writes.eq(slow_state.history_write),
                    counts.state_products.eq(state_path.products),
                    counts.w_x_reads.eq(drive.w_x_read),
                    counts.ab_reads.eq(slow_state.a_read),
                    counts.m_reads.eq(slow_state.m_read),
                    counts.m_writes.eq(slow_state.valid),
                    counts.update_products.eq(slow_state.a_read),
                ]
                if layer.dilation > 1:
                    m.d.comb += [
                        counts.h_reads.eq(neurons.h_read),
                        counts.h_writes.eq(neurons.h_write),
                    ]
            if layer.hardware.trace:
                m.d.comb += [
                    self.trace.state_valid.eq(slow_state.valid),
                    self.trace.state_value.eq(slow_state.value),
                    self.trace.drive_valid.eq(drive.valid),
                    self.trace.drive_value.eq(drive.value),
                ]
        for component in loaded:
            wiring.connect(m, wiring.flipped(self.load), component.load)

        sent = self.o.valid & self.o.ready & (self.o.payload.kind == EventKind.EVENT)
        m.d.comb += [
            counts.input_stall_cycles.eq(self.i.valid & ~self.i.ready),
            counts.stall_cycles.eq(schedule.stalled),
            counts.state_wait_cycles.eq(schedule.state_wait),
            counts.spikes.eq(Mux(sent, population(self.o.payload.payload), 0)),
            counts.membrane_saturations.eq(neurons.saturations),
        ]
        if layer.accesses:
            m.d.comb += [
                counts.w_f_reads.eq(spike_path.weight_reads),
                counts.spike_additions.eq(spike_path.additions),
                counts.c_reads.eq(neurons.reads),
                counts.u_reads.eq(neurons.reads),
                counts.u_writes.eq(neurons.writes),
                counts.leak_products.eq(neurons.products),
            ]
        if layer.hardware.trace:
            m.d.comb += [
                self.trace.start.eq(schedule.issue.start),
                self.trace.neuron_valid.eq(neurons.update_valid),
                self.trace.neuron_membrane.eq(neurons.update_membranes),
                self.trace.neuron_spikes.eq(neurons.update_spikes),
            ]
        return m
