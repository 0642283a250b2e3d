"""The sparse spike path: adds the weights of a block's events."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.formats import Fixed
from golden.hardware.layer import LayerHardware
from golden.hardware.memory import MemoryParams
from golden.hardware.stages import (
    CHOOSE_STAGE,
    MULTIPLY_STAGE,
    NEURON_STAGE,
    READ_STAGE,
    bank_stage,
)
from rtl.bank import Bank
from rtl.component import Component
from rtl.fixed import at_multiplier, delay, hold, shape_of, spread, stages, total, weighted
from rtl.layouts import (
    Array,
    Part,
    Struct,
    is_input_stationary,
    is_reordered,
    issue_layout,
    sums_layout,
)
from rtl.signatures import ListRead, ListReadPorts, LoadBus, LoadBusPorts
from rtl.state_signatures import SharedProducts, SharedProductsPorts


class SpikePath(Component):
    """Keep one accumulator a lane and timestep, and add weight times payload of the events of a
    cycle (output stationary): a weight is read once for all timesteps of the block.

    Parameters
    ----------
    part, accumulator
        A layer or the readout, and the format that holds its largest sum (or what a step adds).
    memory, number
        Of the weight bank: word `group * n_addresses + address` holds the weights of the group's
        lanes.

    Members
    -------
    issue
        From the group schedule (stage 0).
    events
        The read of the events that a step adds: asked for in stage 0, addresses in `READ_STAGE` -
        1, payloads in `READ_STAGE`.
    shared
        Where the part `shares_products`: its events go to the multipliers of the dense state path.
    sums
        `sums[timestep][lane]`, complete `NEURON_STAGE` cycles after the group's last step, for one
        cycle. Where the walk is ablated, what a step adds, a cycle before: `AblatedSums` keeps it.
    weight_reads, additions
        Words of weights read, and words added, in this cycle.

    Latency: `NEURON_STAGE` cycles; throughput: `events_per_cycle` events a cycle.
    """

    issue: Struct
    events: ListReadPorts
    shared: SharedProductsPorts
    sums: Array
    weight_reads: Signal
    additions: Signal
    load: LoadBusPorts

    def __init__(self, part: Part, accumulator: Fixed, memory: MemoryParams, number: int) -> None:
        self.part, self.accumulator, self.memory = part, accumulator, memory
        self.stage = bank_stage(part.payload.width > 1, part.hardware.hold_operands)
        n_events, block = part.hardware.events_per_cycle, part.block
        self.weights = Bank(memory, number, n_reads=n_events, registered=True, holds=True)
        members = {
            "issue": In(issue_layout(part)),
            "events": Out(ListRead(part)),
            "sums": Out(sums_layout(part, accumulator)),
            "weight_reads": Out(range(n_events + 1)),
            "additions": Out(range(n_events * block + 1)),
            "load": In(LoadBus()),
        }
        if isinstance(part, LayerHardware) and part.shares_products:
            members["shared"] = Out(SharedProducts(part))
        super().__init__(members)

    @property
    def latency(self) -> int:
        return NEURON_STAGE

    def elaborate(self, platform: object) -> Module:
        m = Module()
        part, lanes, block = self.part, self.part.lanes, self.part.block
        n_events, payload_width = part.hardware.events_per_cycle, part.payload.width
        m.submodules.weights = weights = self.weights
        wiring.connect(m, wiring.flipped(self.load), weights.load)

        now = Mux(self.issue.valid, self.issue.sparse, 0)
        # Input stationary, an event is read for the first group, and used for all.
        asking = now.any() & (self.issue.group == 0) if is_input_stationary(part) else now.any()
        m.d.comb += [self.events.enable.eq(asking), self.events.index.eq(self.issue.step)]
        starts = self.issue.valid & self.issue.first
        taken = self.issue.valid if is_reordered(part) else starts | now.any()
        moving = stages(m, taken, MULTIPLY_STAGE, "moving")
        moves = [self.issue.walking, *moving[1:]]
        base = delay(m, self.issue.weight_base, READ_STAGE - 1, "weight_base", moving=moves)
        sparse = delay(m, now, READ_STAGE, "sparse")
        waits = self.stage - READ_STAGE  # of an address, until it is read
        for event in range(n_events):
            address = Signal.like(weights.address[event], name=f"address_{event}")
            with m.If(moving[READ_STAGE - 1]):
                m.d.sync += address.eq(base + self.events.addresses[event])
            asked = delay(m, address, waits, f"asked_{event}", moving=moving[READ_STAGE:])
            m.d.comb += weights.address[event].eq(asked)
        reading = delay(m, sparse, waits, "reading")
        m.d.comb += [weights.enable.eq(reading), self.weight_reads.eq(total(reading))]
        # In `READ_STAGE`; 0 where the step adds fewer events.
        payload_shape = shape_of(part.payload)
        shape = data.ArrayLayout(data.ArrayLayout(payload_shape, block), n_events)
        used = Signal(shape)
        for event in range(n_events):
            payload = self.events.payloads[event].as_value()
            m.d.comb += used[event].eq(Mux(sparse[event], payload, 0))
        later = MULTIPLY_STAGE - READ_STAGE
        payloads = delay(m, used, later, "payloads")
        fires = [payloads[event][t].any() for event in range(n_events) for t in range(block)]
        m.d.comb += self.additions.eq(total(fires))
        if part.shares_products:
            chosen = delay(m, used, CHOOSE_STAGE - READ_STAGE, "chosen")
            m.d.comb += self.shared.payloads.eq(chosen)
            self._add_shared(m, starts, moving)
            return m
        words = self.words(m)
        # What goes to every lane. A payload of one bit is inverted: so it is the product's reset.
        inverted = Const((1 << shape.size) - 1 if payload_width == 1 else 0, shape.size)
        sent = spread(m, used.as_value() ^ inverted, later, lanes, "sent", init=inverted.value)
        multiplying = spread(m, moving[MULTIPLY_STAGE - 1], 1, lanes, "multiplying")
        adding = spread(m, moving[MULTIPLY_STAGE], 1, lanes, "adding")
        first = spread(m, starts, NEURON_STAGE - 1, lanes, "first")
        product_shape = shape_of(Fixed(self.memory.element.width + payload_width))
        for t in range(block):
            for lane in range(lanes):
                added = []
                for event in range(n_events):
                    product = Signal(
                        product_shape, name=f"product_{event}_{t}_{lane}", reset_less=True
                    )
                    payload = shape(sent[lane] ^ inverted)[event][t]
                    taken = product.eq(weighted(words[event][lane], payload))
                    if payload_width == 1:  # no multiplier
                        hold(m, multiplying[lane], taken)
                    else:
                        hold(m, at_multiplier(part.hardware, multiplying[lane]), taken)
                    added.append(product)
                if is_reordered(part):
                    m.d.comb += self.sums[t][lane].eq(total(added))
                    continue
                held = Signal(shape_of(self.accumulator), name=f"sum_{t}_{lane}", reset_less=True)
                with m.If(adding[lane]):
                    m.d.sync += held.eq(Mux(first[lane], 0, held) + total(added))
                m.d.comb += self.sums[t][lane].eq(held)
        return m

    def words(self, m: Module) -> Any:
        """Return the weights that are read, in `MULTIPLY_STAGE`."""
        waits = MULTIPLY_STAGE - self.stage - self.weights.latency
        return delay(m, self.weights.words, waits, "weight", reset_less=True)

    def _add_shared(self, m: Module, starts: Value, moving: list[Value]) -> None:
        """Give what is read to the dense state path, and add the products that it makes of it."""
        lanes, n_events = self.part.lanes, self.part.hardware.events_per_cycle
        m.d.comb += self.shared.weights.eq(self.weights.words)
        added = delay(m, Mux(self.issue.valid, self.issue.sparse.any(), 0), MULTIPLY_STAGE, "added")
        summing = spread(m, added, 1, lanes, "summing")
        adding = spread(m, moving[MULTIPLY_STAGE], 1, lanes, "adding")
        first = spread(m, starts, NEURON_STAGE - 1, lanes, "first")
        for t in range(self.part.block):
            for lane in range(lanes):
                products = total(self.shared.products[event][lane][t] for event in range(n_events))
                held = Signal(shape_of(self.accumulator), name=f"sum_{t}_{lane}", reset_less=True)
                with m.If(adding[lane]):
                    m.d.sync += held.eq(Mux(first[lane], 0, held) + Mux(summing[lane], products, 0))
                m.d.comb += self.sums[t][lane].eq(held)


assert NEURON_STAGE == MULTIPLY_STAGE + 2, "the products, then the sums"
