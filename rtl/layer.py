"""One layer: a stream processor from events of a timestep to events of the same timestep."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.params import LAYER_COUNTERS, LayerHardware
from rtl.component import Component
from rtl.drive import Drive
from rtl.encoder import Encoder
from rtl.event_list import EventList
from rtl.group_schedule import GroupSchedule
from rtl.neuron_stage import NeuronStage
from rtl.scalars import Scalars
from rtl.slow_state import SlowState
from rtl.spike_path import SpikePath
from rtl.state_path import StatePath
from rtl.streams import LoadBus, event_layout


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
    load_width
        Width of the load bus.

    Members
    -------
    i, o
        Events in and out.
    load
        The load bus.
    counts
        What the counters of this layer add in this cycle, by the counter's name.
    trace
        With `HardwareParams.trace`: `start` of a timestep, a group's membranes and spikes, values
        of the slow state and of the drive, each with its `valid`.

    Throughput: max(groups * max(events, dense steps) + drain, state update) cycles a timestep.
    """

    def __init__(self, layer: LayerHardware, numbers: dict[str, int], load_width: int) -> None:
        self.layer, self.numbers, self.load_width = layer, numbers, load_width
        p, f = layer.params, layer.params.formats
        lanes = layer.hardware.lanes
        counts = {name: Out(1) for name in LAYER_COUNTERS} | {
            "membrane_saturations": Out(range(lanes + 1))
        }
        members = {
            "i": In(stream.Signature(event_layout(p.n_inputs, f.payload.width))),
            "o": Out(stream.Signature(event_layout(p.n_neurons, 1))),
            "load": In(LoadBus(load_width)),
            "counts": Out(wiring.Signature(counts)),
        }
        if layer.hardware.trace:
            trace = {
                "start": Out(1),
                "neuron_valid": Out(1),
                "neuron_membrane": Out(lanes * f.u.width),
                "neuron_spikes": Out(lanes),
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
        lanes, width = layer.hardware.lanes, self.load_width
        numbers, memories = self.numbers, layer.memories

        m.submodules.scalars = scalars = Scalars(f, numbers["scalars"], width)
        m.submodules.events = events = EventList(p.n_inputs, f.payload.width)
        m.submodules.schedule = schedule = GroupSchedule(layer)
        m.submodules.spike_path = spike_path = SpikePath(
            layer, p.spike_sum, f.payload, memories["w_f"], numbers["w_f"], width
        )
        m.submodules.state_path = state_path = StatePath(layer, numbers.get("p", 0), width)
        m.submodules.neurons = neurons = NeuronStage(
            layer, state_path.product.width, numbers["c"], width
        )
        m.submodules.encoder = encoder = Encoder(layer)
        m.submodules.membranes = membranes = Memory(
            shape=lanes * f.u.width, depth=layer.n_groups, init=[]
        )
        loaded = [scalars, spike_path, neurons]

        wiring.connect(m, wiring.flipped(self.i), events.i)
        connect_schedule(m, events, schedule, self.counts)
        read, write = membranes.read_port(), membranes.write_port()
        m.d.comb += [
            schedule.room.eq(encoder.room),
            encoder.reserve.eq(schedule.reserve),
            spike_path.issue.eq(schedule.issue),
            spike_path.address.eq(events.walked.address),
            spike_path.payload.eq(events.walked.payload),
            state_path.issue.eq(schedule.issue),
            state_path.leak.eq(scalars.leak),
            read.en.eq(1),
            read.addr.eq(state_path.membrane_address),
            state_path.membranes.eq(read.data),
            neurons.issue.eq(schedule.issue),
            neurons.threshold.eq(scalars.threshold),
            neurons.sums.eq(spike_path.sums),
            neurons.leaked.eq(state_path.leaked),
            write.en.eq(neurons.valid),
            write.addr.eq(neurons.group),
            write.data.eq(neurons.membranes),
            encoder.valid.eq(neurons.valid),
            encoder.spikes.eq(neurons.spikes),
            encoder.last_group.eq(neurons.last_group),
            encoder.sequence_end.eq(neurons.sequence_end),
        ]
        wiring.connect(m, encoder.o, wiring.flipped(self.o))

        drive = slow_state = None
        if p.n_state:
            m.submodules.drive = drive = Drive(p, memories["w_x"], numbers["w_x"], width)
            m.submodules.slow_state = slow_state = SlowState(layer, numbers["ab"], width)
            loaded += [state_path, drive, slow_state]
            m.d.comb += [
                drive.accepted.eq(events.accepted),
                drive.event.eq(events.event),
                drive.closed.eq(events.closed),
                drive.closing_buffer.eq(events.closing_buffer),
                drive.discarded.eq(events.discarded),
                drive.bias.eq(scalars.drive_bias),
                slow_state.issue.eq(schedule.issue),
                slow_state.drives.eq(drive.values),
                slow_state.buffer.eq(state_path.state_buffer),
                slow_state.index.eq(state_path.state_index),
                state_path.state.eq(slow_state.state),
                state_path.drives.eq(drive.values),
                neurons.currents.eq(state_path.currents),
                self.counts.drive_saturations.eq(drive.saturated),
                self.counts.state_saturations.eq(slow_state.saturated),
            ]
        for component in loaded:
            wiring.connect(m, wiring.flipped(self.load), component.load)

        sent = self.o.valid & self.o.ready
        m.d.comb += [
            self.counts.stall_cycles.eq(schedule.stalled),
            self.counts.spikes.eq(sent & (self.o.payload.payload != 0)),
            self.counts.membrane_saturations.eq(neurons.saturations),
        ]
        if layer.hardware.trace:
            m.d.comb += [
                self.trace.start.eq(schedule.issue.start),
                self.trace.neuron_valid.eq(neurons.valid),
                self.trace.neuron_membrane.eq(neurons.membranes),
                self.trace.neuron_spikes.eq(neurons.spikes),
            ]
            if drive is not None and slow_state is not None:
                m.d.comb += [
                    self.trace.state_valid.eq(slow_state.valid),
                    self.trace.state_value.eq(slow_state.value),
                    self.trace.drive_valid.eq(drive.valid),
                    self.trace.drive_value.eq(drive.value),
                ]
        return m


def connect_schedule(m: Module, events: EventList, schedule: GroupSchedule, counts: Any) -> None:
    """Connect an event list to the schedule that walks it, and both to their counters."""
    m.d.comb += [
        schedule.available.eq(events.available),
        schedule.count.eq(events.count),
        schedule.sequence_end.eq(events.sequence_end),
        schedule.buffer.eq(events.buffer),
        events.release.eq(schedule.release),
        events.index.eq(schedule.issue.step),
        counts.timesteps.eq(schedule.issue.start),
        counts.busy_cycles.eq(schedule.busy),
        counts.input_stall_cycles.eq(events.i.valid & ~events.i.ready),
        counts.events.eq(events.accepted),
        counts.out_of_range.eq(events.out_of_range),
        counts.repeated.eq(events.repeated),
        counts.unclosed.eq(events.unclosed),
    ]
