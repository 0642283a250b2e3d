"""The dense state path: the currents from the slow state."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.formats import Fixed
from golden.hardware.layer import LayerHardware
from golden.hardware.memory import address_width
from golden.hardware.stages import MULTIPLY_STAGE, READ_STAGE, STATE_STAGE
from rtl.bank import Bank
from rtl.component import Component
from rtl.fixed import delay, lane, shape_of, spread
from rtl.streams import LOAD_BUS, issue_layout


class StatePath(Component):
    """Sum P m + V x of every lane and timestep: a coefficient is read once for all timesteps of the
    block.

    A group's dense steps take `products_per_cycle` columns each: those of P times the slow state
    before each timestep, then V times its drive.

    Parameters
    ----------
    layer
        The layer; it has a slow state.
    number
        Of the bank of P and V: word `group * dense steps + i` holds the columns of step i, all
        lanes of the first one lowest; behind V it is filled up with 0.

    Members
    -------
    issue
        From the group schedule (stage 0).
    history_read, history_buffer, history_index, history
        The slow states before each timestep: addressed at `STATE_STAGE`, there the cycle after (see
        `SlowState`).
    drives
        The drives of every buffer of the event list: those of a step are used at `READ_STAGE`.
    sums
        A timestep's sums of all lanes above another's; a group's are complete at `NEURON_STAGE` of
        its last step: use them in that cycle.
    p_read, products
        A word of P is read; products of a word of lanes made, in this cycle.

    Latency: `NEURON_STAGE` cycles; throughput: a step a cycle.
    """

    def __init__(self, layer: LayerHardware, number: int) -> None:
        self.layer, self.number = layer, number
        p, f = layer.params, layer.params.formats
        slots = layer.block * layer.hardware.products_per_cycle
        super().__init__(
            {
                "issue": In(issue_layout(layer)),
                "history_read": Out(1),
                "history_buffer": Out(1),
                "history_index": Out(address_width(layer.dense_steps)),
                "history": In(slots * f.m.width),
                "drives": In(layer.n_lists * layer.block * f.x.width),
                "sums": Out(layer.block * layer.lanes * p.current_sum.width),
                "p_read": Out(1),
                "products": Out(range(slots + 1)),
                "load": In(LOAD_BUS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, p, f = self.layer, self.layer.params, self.layer.params.formats
        lanes, block, per_cycle = layer.lanes, layer.block, layer.hardware.products_per_cycle
        steps = layer.dense_steps
        driven_slot = p.n_state % per_cycle  # where the last step has V; unused ones follow
        early = delay(m, self.issue, STATE_STAGE, "early")
        issue = delay(m, early, READ_STAGE - STATE_STAGE, "issue")
        dense = delay(m, self.issue.valid & self.issue.dense, READ_STAGE, "dense")
        m.submodules.coefficients = coefficients = Bank(
            layer.memories["p"], self.number, registered=True
        )
        wiring.connect(m, wiring.flipped(self.load), coefficients.load)
        address = Signal.like(coefficients.address)  # of the next step in the block
        buffer = Signal()  # of the history of this block: another at every start
        with m.If(dense):
            m.d.sync += address.eq(address + 1)
        # A start comes a stage early, so that the first step already sees what it changes.
        choosing = delay(m, self.issue.start, STATE_STAGE - 1, "choosing")
        with m.If(choosing):
            m.d.sync += buffer.eq(~buffer)
        starting = delay(m, choosing, READ_STAGE - STATE_STAGE, "starting")
        with m.If(starting):
            m.d.sync += address.eq(0)
        m.d.comb += [
            coefficients.address.eq(address),
            coefficients.enable.eq(dense),
            self.p_read.eq(dense),
            self.history_read.eq(early.valid & early.dense),
            self.history_buffer.eq(buffer),
            self.history_index.eq(early.step),
        ]

        # Stage READ_STAGE: what the slow state's memory held a stage before. It is registered, and
        # a stage later into the multipliers' operands, one of its own for each lane, as the bank
        # registers coefficients.
        driving = issue.step == steps - 1
        drives = self.drives.word_select(issue.buffer, block * f.x.width)
        operand_shape = shape_of(f.m if f.m.width >= f.x.width else f.x)
        operands = []
        for slot in range(per_cycle):
            for t in range(block):
                state = lane(self.history, slot * block + t, f.m)
                chosen = Mux(issue.fresh, 0, state).as_signed() if t == 0 else state
                if slot == driven_slot:
                    chosen = Mux(driving, lane(drives, t, f.x), chosen).as_signed()
                operand = Signal(operand_shape, name=f"operand_{slot}_{t}", reset_less=True)
                m.d.sync += operand.eq(chosen)
                operands.append(operand)
        driven = delay(m, driving, 1, "driven")
        refresh = delay(m, Mux(dense, issue.refresh, 0), 1, "refresh")
        used = [~driven if slot > driven_slot else 1 for slot in range(per_cycle)]
        n_slots = [refresh[t] & used[slot] for slot in range(per_cycle) for t in range(block)]
        m.d.comb += self.products.eq(sum(n_slots[1:], n_slots[0]))
        stages = MULTIPLY_STAGE - READ_STAGE - 1
        adding = spread(m, refresh, stages + 1, lanes, "adding")
        first = spread(m, issue.valid & issue.first, stages + 2, lanes, "first")
        for index in range(lanes):
            products: list[list[Signal]] = [[] for _ in range(block)]
            for slot in range(per_cycle):
                factor = lane(coefficients.data, slot * lanes + index, f.p)
                for t in range(block):
                    value = Signal(operand_shape, name=f"value_{slot}_{t}_{index}", reset_less=True)
                    product = Signal(
                        shape_of(Fixed(len(factor) + len(value))),
                        name=f"product_{slot}_{t}_{index}",
                        reset_less=True,
                    )
                    m.d.sync += [
                        value.eq(operands[slot * block + t]),
                        product.eq(factor * value),
                    ]
                    products[t].append(product)
            for t in range(block):
                total = Signal(shape_of(p.current_sum), name=f"sum_{t}_{index}", reset_less=True)
                added = sum(products[t][1:], products[t][0])
                m.d.sync += total.eq(Mux(first[index], 0, total) + Mux(adding[index][t], added, 0))
                m.d.comb += self.sums.word_select(t * lanes + index, p.current_sum.width).eq(total)
        return m


assert READ_STAGE == STATE_STAGE + 1, "where the operands are chosen"
