"""The sparse spike path: adds the weights of a timestep's events."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.formats import Fixed
from golden.params import LayerHardware, MemoryParams, ReadoutHardware, address_width
from rtl.bank import Bank
from rtl.component import Component
from rtl.fixed import delay, lane, weighted
from rtl.scalars import shape_of
from rtl.streams import LoadBus, issue_layout


class SpikePath(Component):
    """Keep one accumulator a lane and add weight times payload of one event a cycle (output
    stationary).

    Parameters
    ----------
    part, accumulator
        A layer or the readout, and the format that holds its largest sum.
    payload
        Of the events.
    memory, number, load_width
        Of the weight bank: word `group * inputs + address` holds the weights of the group's lanes.

    Members
    -------
    issue
        From the group schedule (stage 0).
    address, payload
        The event that step `issue.step` walks, at stage 1.
    sums
        A lane's sum above another; a group's are complete at `NEURON_STAGE` of its last step: use
        them in that cycle.

    Latency: `NEURON_STAGE` cycles; throughput: one event a cycle.
    """

    def __init__(
        self,
        part: LayerHardware | ReadoutHardware,
        accumulator: Fixed,
        payload: Fixed,
        memory: MemoryParams,
        number: int,
        load_width: int,
    ) -> None:
        self.part, self.accumulator, self.payload_format = part, accumulator, payload
        self.memory, self.number, self.load_width = memory, number, load_width
        super().__init__(
            {
                "issue": In(issue_layout(part)),
                "address": In(address_width(part.params.n_inputs)),
                "payload": In(shape_of(payload)),
                "sums": Out(part.hardware.lanes * accumulator.width),
                "load": In(LoadBus(load_width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, width = self.part.hardware.lanes, self.accumulator.width
        m.submodules.weights = weights = Bank(self.memory, self.number, self.load_width)
        wiring.connect(m, wiring.flipped(self.load), weights.load)

        base = delay(m, self.issue.weight_base, 1, "weight_base")
        m.d.sync += weights.address.eq(base + self.address)  # valid at stage 2
        word = delay(m, weights.data, 1, "word")  # stage 4, the memory's output register
        payload = delay(m, self.payload, 3, "payload")
        walked = delay(m, self.issue.valid & self.issue.sparse, 5, "walked")
        first = delay(m, self.issue.valid & self.issue.first, 5, "first")
        for index in range(lanes):
            weight = lane(word, index, self.memory.element)
            product_format = Fixed(self.memory.element.width + self.payload_format.width)
            product = Signal(shape_of(product_format), name=f"product_{index}")
            total = Signal(shape_of(self.accumulator), name=f"sum_{index}")
            m.d.sync += [
                product.eq(weighted(weight, payload)),
                total.eq(Mux(first, 0, total) + Mux(walked, product, 0)),
            ]
            m.d.comb += self.sums[index * width : (index + 1) * width].eq(total)
        return m
