"""One layer: a stream processor from events of a timestep to events of the same timestep."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.hardware.layer import LayerHardware
from golden.hardware.part import EventKind
from rtl.ablated_schedule import AblatedSchedule
from rtl.ablated_sums import AblatedSums
from rtl.claims import claim_stable
from rtl.component import Component
from rtl.delay_line import DelayLine
from rtl.drive import Drive
from rtl.encoder import Encoder
from rtl.event_list import EventList
from rtl.fixed import shape_of, total
from rtl.group_schedule import GroupSchedule
from rtl.layouts import Array
from rtl.neuron_stage import NeuronStage
from rtl.recurrence import Recurrence
from rtl.scalars import Scalars
from rtl.signatures import LoadBus, LoadBusPorts
from rtl.slow_state import SlowState
from rtl.sparse_walk import connect_walk, count, counts_signature
from rtl.spike_path import SpikePath
from rtl.state_path import StatePath
from rtl.streams import event_layout


class LayerTracePorts(wiring.PureInterface):
    start: Signal
    neuron_valid: Signal
    neuron_membrane: Array
    neuron_spikes: Signal
    state_valid: Signal
    state_value: Signal
    drive_valid: Signal
    drive_value: Signal
    synapse_valid: Signal
    synapse_value: Array


class Layer(Component):
    """Run a layer of the network on its lanes, under the group schedule.

    Events of the next timestep arrive while the groups of this one are walked. The producer is
    stalled only while all lists are full. A stalled consumer stalls the walk only while the queue
    of spike masks is full.

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
        With `HardwareParams.trace`: `start` of a block, a word of membranes and their spikes,
        values of the slow state and of the drive, each with its `valid`.

    Latency: from the end of a block's arrival to its first spikes being offered, if they are of the
    first group: `close_latency` + 1 + steps of the group + `write_stage` + `ENCODER_LATENCY`
    cycles; throughput: groups * max(sparse steps, dense steps, output steps) + drain cycles a
    block. A recurrent layer waits for its own spikes: `loop_latency` cycles in place of drain, and
    a cycle for each spike that its last groups leave to be sent.
    """

    i: stream.Interface
    o: stream.Interface
    load: LoadBusPorts
    counts: wiring.PureInterface
    clearing: Signal
    trace: LayerTracePorts

    def __init__(self, layer: LayerHardware, numbers: dict[str, int]) -> None:
        self.layer = layer
        p, f, memories = layer.params, layer.params.formats, layer.memories
        self.scalars = Scalars(layer.scalars, memories["scalars"], numbers["scalars"])
        self.events = EventList(layer)
        self.schedule = AblatedSchedule(layer) if layer.reordered else GroupSchedule(layer)
        summed = layer.added["events"] if layer.reordered else p.spike_sum
        self.spike_path = SpikePath(layer, summed, memories["w_f"], numbers["w_f"])
        self.sums = AblatedSums(layer) if layer.reordered else None
        self.neurons = NeuronStage(layer, numbers)
        self.encoder = Encoder(layer)
        self.line = DelayLine(layer, numbers["delays"]) if layer.delayed else None
        self.recurrence = Recurrence(layer) if p.recurrent else None
        if p.n_state:
            self.drive = Drive(layer, numbers["w_x"])
            self.state_path = StatePath(layer, numbers["p"])
            self.slow_state = SlowState(layer, numbers["ab"])
        received = shape_of(f.payload) if layer.external else layer.block
        arriving = event_layout(
            p.n_inputs, received, reports=layer.reports, items=layer.received_items
        )
        members = {
            "i": In(stream.Signature(arriving)),
            "o": Out(stream.Signature(self.encoder.o.payload.shape())),
            "load": In(LoadBus()),
            "counts": Out(counts_signature(layer)),
        }
        if layer.delayed:
            members["clearing"] = Out(1)
        if layer.hardware.trace:
            members["trace"] = Out(self._trace_signature())
        super().__init__(members)

    def _trace_signature(self) -> wiring.Signature:
        p, f, units = self.layer.params, self.layer.params.formats, self.layer.neuron_fold.units
        trace = {
            "start": Out(1),
            "neuron_valid": Out(1),
            "neuron_membrane": Out(data.ArrayLayout(shape_of(f.u), units)),
            "neuron_spikes": Out(units),
        }
        if p.n_state:
            trace |= {
                "state_valid": Out(1),
                "state_value": Out(self.slow_state.value.shape()),
                "drive_valid": Out(1),
                "drive_value": Out(shape_of(f.x)),
            }
        if p.synapse:
            trace |= {
                "synapse_valid": Out(1),
                "synapse_value": Out(data.ArrayLayout(shape_of(f.y), units)),
            }
        return wiring.Signature(trace)

    @property
    def latency(self) -> int:
        """Without the steps of the group, and what a delay line adds."""
        own = (self.events, self.schedule, self.neurons, self.encoder)
        return sum(component.latency for component in own)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, counts = self.layer, self.counts
        m.submodules.scalars = scalars = self.scalars
        m.submodules.events = events = self.events
        m.submodules.schedule = schedule = self.schedule
        m.submodules.spike_path = spike_path = self.spike_path
        m.submodules.neurons = neurons = self.neurons
        m.submodules.encoder = encoder = self.encoder
        loaded = [scalars, spike_path, neurons]

        # What arrives passes the delays, then the way back of own spikes, then enters the list.
        arriving = wiring.flipped(self.i)
        errors = events.errors
        if self.line is not None:
            m.submodules.line = line = self.line
            loaded.append(line)
            errors = line.errors
            wiring.connect(m, arriving, line.i)
            arriving = line.o
            m.d.comb += self.clearing.eq(line.clearing)
            if layer.accesses:
                count(
                    m,
                    counts,
                    delays_reads=line.delays_reads,
                    ring_reads=line.ring_reads,
                    ring_writes=line.ring_writes,
                )
        if self.recurrence is not None:
            m.submodules.recurrence = recurrence = self.recurrence
            wiring.connect(m, arriving, recurrence.i)
            arriving = recurrence.o
            if not layer.reports:  # what waits for its turn there lets own spikes pass
                claim_stable(m, platform, "recurrence_o", arriving)
            m.d.comb += [
                recurrence.own_valid.eq(self.o.valid),
                recurrence.own_ready.eq(self.o.ready),
                recurrence.own.eq(self.o.payload),
            ]
        wiring.connect(m, arriving, events.i)
        connect_walk(m, events, schedule, spike_path, counts, errors)
        wiring.connect(m, neurons.o, encoder.i)
        wiring.connect(m, encoder.o, wiring.flipped(self.o))
        m.d.comb += [
            schedule.room.eq(encoder.room),
            encoder.reserve.eq(schedule.reserve),
            neurons.issue.eq(schedule.issue),
            *(
                getattr(neurons, name).eq(getattr(scalars, name))
                for name in layer.scalars
                if name != "b_x"
            ),
        ]
        if self.sums is None:
            m.d.comb += neurons.sums.eq(spike_path.sums)
        else:
            self._connect_sums(m, self.sums)
        if layer.reports:
            m.d.comb += schedule.result_room.eq(encoder.room)
        if layer.params.n_state:
            loaded += self._connect_state(m)
        for component in loaded:
            wiring.connect(m, wiring.flipped(self.load), component.load)

        sent = self.o.valid & self.o.ready & (self.o.payload.kind == EventKind.EVENT)
        count(
            m,
            counts,
            input_stall_cycles=self.i.valid & ~self.i.ready,
            stall_cycles=schedule.stalled,
            state_wait_cycles=schedule.state_wait,
            spikes=Mux(sent, total(Value.cast(self.o.payload.payload)), 0),
            membrane_saturations=neurons.saturations,
        )
        if layer.params.synapse:
            count(m, counts, synapse_saturations=neurons.synapse_saturations)
        if layer.accesses:
            if layer.params.synapse:
                count(
                    m,
                    counts,
                    y_reads=neurons.y_read,
                    y_writes=neurons.y_write,
                    c_y_reads=neurons.y_read,
                    synapse_products=neurons.synapse_products,
                )
            for name in layer.params.per_neuron:
                reads = neurons.y_read if name == "alpha" else neurons.reads
                count(m, counts, **{f"{name}_reads": reads})
            count(
                m,
                counts,
                w_f_reads=spike_path.weight_reads,
                spike_additions=spike_path.additions,
                c_reads=neurons.reads,
                u_reads=neurons.reads,
                u_writes=neurons.writes,
                leak_products=neurons.products,
            )
        if layer.hardware.trace:
            m.d.comb += [
                self.trace.start.eq(schedule.issue.start),
                self.trace.neuron_valid.eq(neurons.update_valid),
                self.trace.neuron_membrane.eq(neurons.update_membranes),
                self.trace.neuron_spikes.eq(neurons.update_spikes),
            ]
            if layer.params.synapse:
                m.d.comb += [
                    self.trace.synapse_valid.eq(neurons.synapse_valid),
                    self.trace.synapse_value.eq(neurons.synapse_values),
                ]
        return m

    def _connect_sums(self, m: Module, sums: AblatedSums) -> None:
        """Connect what keeps the sums where the walk is ablated."""
        layer = self.layer
        m.submodules.sums = sums
        m.d.comb += [
            sums.issue.eq(self.schedule.issue),
            sums.events.eq(self.spike_path.sums),
            *(getattr(self.neurons, name).eq(getattr(sums, name)) for name in layer.sums),
        ]
        if layer.params.n_state:
            m.d.comb += sums.columns.eq(self.state_path.sums)
        if layer.stored and layer.accesses:
            for name in layer.sums:
                for what in ("read", "write"):
                    counted = {f"{name}_{what}s": getattr(sums, f"{name}_{what}")}
                    count(m, self.counts, **counted)

    def _connect_state(self, m: Module) -> list[Drive | StatePath | SlowState]:
        """Connect what a slow state takes; return what is loaded of it."""
        layer, counts, events, schedule = self.layer, self.counts, self.events, self.schedule
        m.submodules.drive = drive = self.drive
        m.submodules.state_path = state_path = self.state_path
        m.submodules.slow_state = slow_state = self.slow_state
        wiring.connect(m, events.arrival, drive.arrival)
        wiring.connect(m, drive.o, slow_state.drive)
        wiring.connect(m, state_path.history, slow_state.history)
        m.d.comb += [
            drive.closing_buffer.eq(events.closing_buffer),
            drive.closing_fresh.eq(events.closing_fresh),
            drive.bias.eq(self.scalars.drive_bias),
            slow_state.starting.eq(schedule.starting),
            schedule.states_ready.eq(slow_state.ready),
            schedule.states_near.eq(slow_state.near),
            state_path.issue.eq(schedule.issue),
            state_path.drives.eq(drive.values),
        ]
        if layer.shares_products:
            wiring.connect(m, self.spike_path.shared, state_path.shared)
        if self.sums is None:
            m.d.comb += self.neurons.currents.eq(state_path.sums)
        if layer.updates_in_turn:
            m.d.comb += slow_state.released.eq(schedule.front.release)
        count(
            m,
            counts,
            drive_saturations=drive.saturated,
            state_saturations=slow_state.saturated,
        )
        if layer.accesses:
            count(
                m,
                counts,
                p_reads=state_path.p_read,
                history_reads=state_path.history.enable,
                history_writes=slow_state.history_write,
                state_products=state_path.products,
                w_x_reads=drive.w_x_read,
                ab_reads=slow_state.a_read,
                m_reads=slow_state.m_read,
                m_writes=slow_state.valid,
                update_products=slow_state.a_read,
            )
            if layer.dilation > 1:
                count(m, counts, h_reads=self.neurons.h_read, h_writes=self.neurons.h_write)
        if layer.hardware.trace:
            m.d.comb += [
                self.trace.state_valid.eq(slow_state.valid),
                self.trace.state_value.eq(slow_state.value),
                self.trace.drive_valid.eq(drive.o.valid),
                self.trace.drive_value.eq(drive.o.value),
            ]
        return [drive, state_path, slow_state]
