"""The dense state path: the currents from the slow state."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.formats import Fixed
from golden.hardware.layer import LayerHardware
from golden.hardware.stages import (
    CHOOSE_STAGE,
    MULTIPLY_STAGE,
    NEURON_STAGE,
    STATE_STAGE,
    bank_stage,
)
from rtl.bank import Bank
from rtl.component import Component
from rtl.fixed import at_multiplier, delay, hold, pipeline, shape_of, spread, stages, total
from rtl.layouts import Array, Struct, drives_layout, issue_layout, sums_layout
from rtl.signatures import LoadBus, LoadBusPorts
from rtl.state_signatures import HistoryRead, HistoryReadPorts, SharedProducts, SharedProductsPorts


class StatePath(Component):
    """Sum P m + V x of every lane and timestep: a coefficient is read once for all timesteps of the
    block.

    Each dense step of a group takes `products_per_cycle` columns: those of P times the slow state
    before each timestep, then V times its drive. Timesteps that are not `refreshable` have no
    multipliers, and sums of 0.

    Parameters
    ----------
    layer
        The layer; it has a slow state.
    number
        Of the bank of P and V: word `group * dense_steps + i` holds the columns of step i, all
        lanes of the first one lowest, and 0 in the columns after V; input stationary, word
        `i * n_groups + group`.

    Members
    -------
    issue
        From the group schedule (stage 0).
    history
        The read of the slow states before each timestep, asked for in `STATE_STAGE`.
    drives
        `drives[buffer][timestep]`: those of a step are used in `CHOOSE_STAGE`.
    shared
        Where the layer `shares_products`: events whose products the multipliers make in steps that
        are not dense; those of an event in the place of a column's.
    sums
        `sums[timestep][lane]`, complete `NEURON_STAGE` cycles after the group's last step, for one
        cycle. Where the walk is ablated, what a step adds, a cycle before: `AblatedSums` keeps it.
    p_read, products
        A word of P is read; products of a word of lanes made, in this cycle.

    Latency: `NEURON_STAGE` cycles; throughput: a step a cycle.
    """

    issue: Struct
    history: HistoryReadPorts
    drives: Array
    shared: SharedProductsPorts
    sums: Array
    p_read: Signal
    products: Signal
    load: LoadBusPorts

    def __init__(self, layer: LayerHardware, number: int) -> None:
        self.layer = layer
        slots = len(layer.refreshable) * layer.hardware.products_per_cycle
        summed = layer.added["columns"] if layer.reordered else layer.params.current_sum
        self.coefficients = Bank(layer.memories["p"], number, registered=True, holds=True)
        members = {
            "issue": In(issue_layout(layer)),
            "history": Out(HistoryRead(layer)),
            "drives": In(drives_layout(layer)),
            "sums": Out(sums_layout(layer, summed)),
            "p_read": Out(1),
            "products": Out(range(slots + 1)),
            "load": In(LoadBus()),
        }
        if layer.shares_products:
            members["shared"] = In(SharedProducts(layer))
        self.stage = bank_stage(True, layer.hardware.hold_operands)
        super().__init__(members)

    @property
    def latency(self) -> int:
        return NEURON_STAGE

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, p, f = self.layer, self.layer.params, self.layer.params.formats
        lanes, timesteps, hardware = layer.lanes, layer.refreshable, layer.hardware
        per_cycle, n_events = hardware.products_per_cycle, hardware.events_per_cycle
        issues = pipeline(m, self.issue, "valid", CHOOSE_STAGE, "issue", self.issue.walking)
        early, issue = issues[STATE_STAGE], issues[CHOOSE_STAGE]
        moves = self.issue.valid & (layer.reordered | self.issue.first | self.issue.dense)
        if layer.shares_products:
            moves |= self.issue.valid & self.issue.sparse.any()
        moving = stages(m, moves, MULTIPLY_STAGE, "moving")
        dense = delay(m, self.issue.valid & self.issue.dense, self.stage, "dense")
        m.submodules.coefficients = coefficients = self.coefficients
        wiring.connect(m, wiring.flipped(self.load), coefficients.load)
        address = Signal(coefficients.address[0].shape())  # of the next step in the block
        buffer = Signal()  # of the history of this block: another at every start
        with m.If(dense):
            m.d.sync += address.eq(address + 1)
        # A start comes a stage early, so that the first step already sees what it changes.
        choosing = delay(m, self.issue.start, STATE_STAGE - 1, "choosing")
        with m.If(choosing):
            m.d.sync += buffer.eq(~buffer)
        starting = delay(m, choosing, self.stage - STATE_STAGE, "starting")
        with m.If(starting):
            m.d.sync += address.eq(0)
        reading = early.valid & early.dense
        if layer.input_stationary:  # a column's state is read for the first group, used for all
            reading &= early.group == 0
        m.d.comb += [
            coefficients.address[0].eq(address),
            coefficients.enable.eq(dense),
            self.p_read.eq(dense),
            self.history.enable.eq(reading),
            self.history.buffer.eq(buffer),
            self.history.index.eq(early.column if layer.shares_products else early.step),
        ]

        # `CHOOSE_STAGE`: what the slow state's memory held, registered. It is registered again, and
        # a stage later into the multipliers' operands, one of its own for each lane, as the bank
        # registers coefficients.
        column = issue.column if layer.shares_products else issue.step
        driving = column == layer.dense_steps - 1
        driven_slot = p.n_state % per_cycle  # where the last step has V; the slots after it rest
        drives = self.drives[issue.buffer]
        shape = shape_of(f.m if f.m.width >= f.x.width else f.x)
        if layer.shares_products:
            payload = f.payload.width + (not f.payload.signed)
            shape = shape_of(Fixed(max(shape.width, payload)))
        # Each is a register of its own: in one word, signs that are extended would be a loop.
        operands = [
            [Signal(shape, name=f"operand_{slot}_{t}", reset_less=True) for t in timesteps]
            for slot in range(per_cycle)
        ]
        # A product that is not to be added is one of 0: so no lane has to tell. Where a lane's
        # product may be an event's, or none of this walk's, it has to.
        told = layer.shares_products or layer.reordered
        refreshed = Mux(issue.valid & issue.dense, issue.refresh, 0)
        for slot in range(per_cycle):
            for place, t in enumerate(timesteps):
                state = self.history.states[slot][place]
                chosen = state
                if t == 0 and not p.state_first:
                    chosen = Mux(issue.fresh, 0, state).as_signed()
                if slot == driven_slot and not p.state_first:
                    chosen = Mux(driving, drives[t], chosen).as_signed()
                if layer.shares_products:
                    event = self.shared.payloads[slot][t] if slot < n_events else Const(0)
                    chosen = Mux(issue.sparse.any(), event, chosen)
                if not told:
                    chosen = Mux(refreshed[t], chosen, 0)
                with m.If(moving[CHOOSE_STAGE]):
                    m.d.sync += operands[slot][place].eq(chosen)
        driven = delay(m, driving, 1, "driven")
        refresh = delay(m, refreshed, 1, "refresh")
        used = [~driven if slot > driven_slot else 1 for slot in range(per_cycle)]
        n_slots = [refresh[t] & used[slot] for slot in range(per_cycle) for t in timesteps]
        m.d.comb += self.products.eq(total(n_slots))
        later = MULTIPLY_STAGE - CHOOSE_STAGE - 1
        adding = spread(m, refresh, later + 1, lanes, "adding") if told else []
        first = spread(m, issue.valid & issue.first, later + 2, lanes, "first")
        # What moves the registers of the lanes: operands, products, sums.
        taking = multiplying = [Const(1)] * lanes
        if hardware.hold_operands:
            taking = spread(m, moving[MULTIPLY_STAGE - 2], 1, lanes, "taking")
            multiplying = spread(m, moving[MULTIPLY_STAGE - 1], 1, lanes, "multiplying")
        summing = spread(m, moving[MULTIPLY_STAGE], 1, lanes, "summing")
        waits = MULTIPLY_STAGE - self.stage - self.coefficients.latency  # of words that are read
        weighing: list[Value] = []
        if layer.shares_products:
            weighing = spread(m, issue.sparse.any(), later + 1 - waits, lanes, "weighing")
        for lane in range(lanes):
            products: list[list[Signal]] = [[] for _ in timesteps]
            for slot in range(per_cycle):
                factor: Any = coefficients.words[0][slot * lanes + lane]
                if layer.shares_products and slot < n_events:
                    weight = self.shared.weights[slot][lane]
                    factor = Mux(weighing[lane], weight, factor)
                factor = delay(m, factor, waits, f"factor_{slot}_{lane}", reset_less=True)
                for place, t in enumerate(timesteps):
                    value = Signal(shape, name=f"value_{slot}_{t}_{lane}", reset_less=True)
                    product = Signal(
                        shape_of(Fixed(len(factor) + len(value))),
                        name=f"product_{slot}_{t}_{lane}",
                        reset_less=True,
                    )
                    hold(m, at_multiplier(hardware, taking[lane]), value.eq(operands[slot][place]))
                    hold(m, at_multiplier(hardware, multiplying[lane]), product.eq(factor * value))
                    products[place].append(product)
                    if layer.shares_products and slot < n_events:
                        m.d.comb += self.shared.products[slot][lane][t].eq(product)
            for place, t in enumerate(timesteps):
                added = total(products[place])
                if told:
                    added = Mux(adding[lane][t], added, 0)
                if layer.reordered:
                    m.d.comb += self.sums[t][lane].eq(added)
                    continue
                held = Signal(shape_of(p.current_sum), name=f"sum_{t}_{lane}", reset_less=True)
                with m.If(summing[lane]):
                    m.d.sync += held.eq(Mux(first[lane], 0, held) + added)
                m.d.comb += self.sums[t][lane].eq(held)
        return m


assert CHOOSE_STAGE == STATE_STAGE + 2, "the memory, and its register"
assert NEURON_STAGE == MULTIPLY_STAGE + 2, "the products, then the sums"
