"""The neuron stage: membrane update, fire, reset."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.params import BIAS_STAGE, NEURON_STAGE, WRITE_STAGE, LayerHardware, address_width
from rtl.bank import Bank
from rtl.component import Component
from rtl.fixed import align, delay, lane, saturate
from rtl.scalars import shape_of
from rtl.streams import LoadBus, issue_layout


class NeuronStage(Component):
    """Add the four terms of every membrane of a group, compare, reset, write once.

        u' = sat(rshift(leak u) + rshift(sum of weights) + h + c);  spike where u' >= threshold
        kept: u' - threshold, or 0, where it fired; u' elsewhere

    Holds the biases, and the currents h between refreshes. Never stalls: whoever issues a group has
    reserved room for its spikes.

    Parameters
    ----------
    layer
        The layer.
    leak_width
        Of one lane of `leaked`.
    number, load_width
        Of the bank of biases c.

    Members
    -------
    issue
        From the group schedule (stage 0).
    threshold
        Constant.
    sums, leaked, currents
        From the two paths, complete at `NEURON_STAGE`.
    valid, group, membranes, spikes
        At `WRITE_STAGE`: what is kept of a group's membranes, and its spikes. Lanes without a
        neuron never spike.
    last_group, sequence_end
        At `WRITE_STAGE`: the group is the timestep's last; or the end of a sequence passes (then
        not `valid`).
    saturations
        How many of the group's membranes were clamped.

    Latency: `WRITE_STAGE` cycles; throughput: one group a cycle.
    """

    def __init__(self, layer: LayerHardware, leak_width: int, number: int, load_width: int) -> None:
        self.layer, self.leak_width = layer, leak_width
        self.number, self.load_width = number, load_width
        p, f, lanes = layer.params, layer.params.formats, layer.hardware.lanes
        members = {
            "issue": In(issue_layout(layer)),
            "threshold": In(shape_of(f.threshold)),
            "sums": In(lanes * p.spike_sum.width),
            "leaked": In(lanes * leak_width),
            "valid": Out(1),
            "group": Out(address_width(layer.n_groups)),
            "membranes": Out(lanes * f.u.width),
            "spikes": Out(lanes),
            "last_group": Out(1),
            "sequence_end": Out(1),
            "saturations": Out(range(lanes + 1)),
            "load": In(LoadBus(load_width)),
        }
        if p.n_state:
            members["currents"] = In(lanes * p.current_sum.width)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, p, f = self.layer, self.layer.params, self.layer.params.formats
        lanes = layer.hardware.lanes
        m.submodules.biases = biases = Bank(layer.memories["c"], self.number, self.load_width)
        wiring.connect(m, wiring.flipped(self.load), biases.load)

        early = delay(m, self.issue, BIAS_STAGE, "early")
        issue = delay(m, early, NEURON_STAGE - BIAS_STAGE, "issue")
        m.d.comb += biases.address.eq(early.group)
        bias_word = delay(m, biases.data, 1, "bias_word")
        held_word = held_write = None
        new_currents = []
        if p.n_state and p.dilation > 1:
            m.submodules.held = held = Memory(
                shape=lanes * p.current.width, depth=layer.n_groups, init=[]
            )
            read, held_write = held.read_port(), held.write_port()
            m.d.comb += [read.en.eq(1), read.addr.eq(early.group)]
            held_word = delay(m, read.data, 1, "held_word")

        written = delay(m, issue, WRITE_STAGE - NEURON_STAGE, "written")
        spikes, membranes, saturated = [], [], []
        for index in range(lanes):
            spike_term = align(lane(self.sums, index, p.spike_sum), p.spike_shift)
            leak_term = align(
                self.leaked.word_select(index, self.leak_width).as_signed(), p.leak_shift
            )
            slow_term = lane(bias_word, index, f.c)
            if p.n_state:
                current = Signal(shape_of(p.current), name=f"current_{index}")
                m.d.comb += current.eq(
                    align(lane(self.currents, index, p.current_sum), p.current_shift)
                )
                new_currents.append(current)
                if held_word is not None:
                    current = Mux(
                        issue.refresh, current, lane(held_word, index, p.current)
                    ).as_signed()
                slow_term = slow_term + current
            fast, slow = spike_term + leak_term, slow_term
            fast_sum = Signal(fast.shape(), name=f"fast_sum_{index}")  # stage 7
            slow_sum = Signal(slow.shape(), name=f"slow_sum_{index}")
            clamped, outside = saturate(fast_sum + slow_sum, f.u)
            membrane = Signal(shape_of(f.u), name=f"membrane_{index}")  # stage 8
            was_outside = Signal(name=f"outside_{index}")
            fired = membrane >= self.threshold
            kept = Signal(shape_of(f.u), name=f"kept_{index}")  # stage 9
            spike = Signal(name=f"spike_{index}")
            after = membrane - self.threshold if p.reset == "subtract" else 0
            m.d.sync += [
                fast_sum.eq(fast),
                slow_sum.eq(slow),
                membrane.eq(clamped),
                was_outside.eq(outside),
                kept.eq(Mux(fired, after, membrane)),
                spike.eq(fired),
            ]
            used = ~written.last_group if index >= layer.last_group_lanes else 1
            spikes.append(spike & used)
            membranes.append(kept)
            saturated.append(delay(m, was_outside, 1, f"saturated_{index}") & used)

        if held_write is not None:
            m.d.comb += [
                held_write.en.eq(issue.valid & issue.last & issue.refresh),
                held_write.addr.eq(issue.group),
                held_write.data.eq(Cat(*new_currents)),
            ]
        m.d.comb += [
            self.valid.eq(written.valid & written.last),
            self.group.eq(written.group),
            self.membranes.eq(Cat(*membranes)),
            self.spikes.eq(Cat(*spikes)),
            self.last_group.eq(written.last_group),
            self.sequence_end.eq(written.sequence_end),
            self.saturations.eq(Mux(self.valid, sum(saturated[1:], saturated[0]), 0)),
        ]
        return m
