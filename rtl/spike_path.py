"""The sparse spike path: adds the weights of a block's events."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.formats import Fixed
from golden.hardware.layer import LayerHardware
from golden.hardware.memory import MemoryParams, address_width
from golden.hardware.readout import ReadoutHardware
from golden.hardware.stages import MULTIPLY_STAGE, NEURON_STAGE, READ_STAGE
from rtl.bank import Bank
from rtl.component import Component
from rtl.fixed import delay, lane, shape_of, spread, weighted
from rtl.streams import LOAD_BUS, issue_layout


class SpikePath(Component):
    """Keep one accumulator a lane and timestep, and add weight times payload of the events of a
    cycle (output stationary): a weight is read once for all timesteps of the block.

    Parameters
    ----------
    part, accumulator
        A layer or the readout, and the format that holds its largest sum.
    memory, number
        Of the weight bank: word `group * n_addresses + address` holds the weights of the group's
        lanes.

    Members
    -------
    issue
        From the group schedule (stage 0).
    addresses, payloads
        The events that step `issue.step` adds: addresses a stage before `READ_STAGE`, payloads at
        it, the first event and its first timestep lowest.
    sums
        A timestep's sums of all lanes above another's; a group's are complete at `NEURON_STAGE` of
        its last step: use them in that cycle.
    weight_reads, additions
        Words of weights read, and words added, in this cycle.

    Latency: `NEURON_STAGE` cycles; throughput: `events_per_cycle` events a cycle.
    """

    def __init__(
        self,
        part: LayerHardware | ReadoutHardware,
        accumulator: Fixed,
        memory: MemoryParams,
        number: int,
    ) -> None:
        self.part, self.accumulator = part, accumulator
        self.memory, self.number = memory, number
        n_events, block = part.hardware.events_per_cycle, part.block
        super().__init__(
            {
                "issue": In(issue_layout(part)),
                "addresses": In(n_events * address_width(part.n_addresses)),
                "payloads": In(n_events * block * part.payload.width),
                "sums": Out(block * part.lanes * accumulator.width),
                "weight_reads": Out(range(n_events + 1)),
                "additions": Out(range(n_events * block + 1)),
                "load": In(LOAD_BUS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        part, width, lanes = self.part, self.accumulator.width, self.part.lanes
        n_events, block, payload_width = (
            part.hardware.events_per_cycle, part.block, part.payload.width
        )  # fmt: skip
        m.submodules.weights = weights = Bank(
            self.memory, self.number, n_reads=n_events, registered=True
        )
        wiring.connect(m, wiring.flipped(self.load), weights.load)

        base = delay(m, self.issue.weight_base, READ_STAGE - 1, "weight_base")
        sparse = delay(m, Mux(self.issue.valid, self.issue.sparse, 0), READ_STAGE, "sparse")
        address_bits, word_bits = (
            address_width(part.n_addresses),
            len(weights.address) // n_events,
        )
        for event in range(n_events):  # addressed at `READ_STAGE`
            address = weights.address.word_select(event, word_bits)
            m.d.sync += address.eq(base + self.addresses.word_select(event, address_bits))
        m.d.comb += [
            weights.enable.eq(sparse),
            self.weight_reads.eq(sum(sparse[1:], sparse[0])),
        ]
        used = Cat(sparse[event].replicate(block * payload_width) for event in range(n_events))
        stages = MULTIPLY_STAGE - READ_STAGE
        payloads = delay(m, self.payloads & used, stages, "payloads")
        fires = [
            payloads.word_select(event * block + t, payload_width).any()
            for event in range(n_events)
            for t in range(block)
        ]
        m.d.comb += self.additions.eq(sum(fires[1:], fires[0]))
        # What goes to every lane. A payload of one bit is inverted: so it is the product's reset.
        bits = len(self.payloads)
        inverted = Const((1 << bits) - 1 if payload_width == 1 else 0, bits)
        sent = spread(
            m, (self.payloads & used) ^ inverted, stages, lanes, "sent", init=inverted.value
        )
        starts = self.issue.valid & self.issue.first
        first = spread(m, starts, NEURON_STAGE - 1, lanes, "first")
        product_shape = shape_of(Fixed(self.memory.element.width + payload_width))
        for t in range(block):
            for index in range(lanes):
                added = []
                for event in range(n_events):
                    word = weights.data.word_select(event, self.memory.width)  # at `MULTIPLY_STAGE`
                    product = Signal(
                        product_shape, name=f"product_{event}_{t}_{index}", reset_less=True
                    )
                    payload = (sent[index] ^ inverted).word_select(event * block + t, payload_width)
                    m.d.sync += product.eq(
                        weighted(lane(word, index, self.memory.element), payload)
                    )
                    added.append(product)
                total = Signal(shape_of(self.accumulator), name=f"sum_{t}_{index}", reset_less=True)
                m.d.sync += total.eq(Mux(first[index], 0, total) + sum(added[1:], added[0]))
                m.d.comb += self.sums.word_select(t * lanes + index, width).eq(total)
        return m
