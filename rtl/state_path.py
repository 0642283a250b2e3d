"""The dense state path: the leak and the current from the slow state."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.formats import Fixed, width_of
from golden.params import MULTIPLY_STAGE, READ_STAGE, LayerHardware, address_width
from rtl.bank import Bank
from rtl.component import Component
from rtl.fixed import delay, lane
from rtl.scalars import shape_of
from rtl.streams import LoadBus, issue_layout


class StatePath(Component):
    """Multiply, in one multiplier a lane, first leak and membrane, then P and the slow state, then
    V and the drive.

    A group's dense steps are: 0, the leak; 1 to d, P[., step - 1] times m[step - 1]; d + 1, V times
    x. Between refreshes, and without a slow state, only the leak.

    Parameters
    ----------
    layer
        The layer.
    number, load_width
        Of the bank of P and V: word `group * (d + 1) + j` holds column j of P, or V, of the group's
        lanes.

    Members
    -------
    issue
        From the group schedule (stage 0).
    leak
        Constant.
    membrane_address, membranes
        The group's word of membranes: addressed at `READ_STAGE`, there the cycle after.
    state_buffer, state_index, state
        A value of the slow state before this timestep: addressed at `READ_STAGE`, there the cycle
        after (see `SlowState`).
    drives
        The drives of the two buffers of the event list.
    leaked, currents
        leak * u, and P m + V x, a lane's above another; complete at `NEURON_STAGE` of the group's
        last step: use them in that cycle.

    Latency: `NEURON_STAGE` cycles; throughput: one product a lane and cycle.
    """

    def __init__(self, layer: LayerHardware, number: int, load_width: int) -> None:
        self.layer, self.number, self.load_width = layer, number, load_width
        p, f, lanes = layer.params, layer.params.formats, layer.hardware.lanes
        self.product = Fixed(width_of(f.leak.magnitude * f.u.magnitude))
        members = {
            "issue": In(issue_layout(layer)),
            "leak": In(shape_of(f.leak)),
            "membrane_address": Out(address_width(layer.n_groups)),
            "membranes": In(lanes * f.u.width),
            "leaked": Out(lanes * self.product.width),
        }
        if p.n_state:
            members |= {
                "state_buffer": Out(1),
                "state_index": Out(address_width(p.n_state)),
                "state": In(shape_of(f.m)),
                "drives": In(2 * f.x.width),
                "currents": Out(lanes * p.current_sum.width),
                "load": In(LoadBus(load_width)),
            }
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, f, lanes = self.layer.params, self.layer.params.formats, self.layer.hardware.lanes
        issue = delay(m, self.issue, READ_STAGE, "issue")
        dense = issue.valid & issue.dense
        m.d.comb += self.membrane_address.eq(issue.group)

        # Stage READ_STAGE + 1: what the memories hold. It is registered into the multipliers'
        # operands.
        leaking = delay(m, dense & issue.first, 1, "leaking")
        feeding = delay(m, dense & ~issue.first, 1, "feeding")
        fresh = delay(m, issue.fresh, 1, "fresh")
        word: Any = None
        operand: Any = None
        if p.n_state:
            m.submodules.coefficients = coefficients = Bank(
                self.layer.memories["p"], self.number, self.load_width
            )
            wiring.connect(m, wiring.flipped(self.load), coefficients.load)
            address = Signal.like(coefficients.address)  # of the next product in the timestep
            with m.If(issue.start):
                m.d.sync += address.eq(0)
            with m.Elif(dense & ~issue.first):
                m.d.sync += address.eq(address + 1)
            buffer = (
                Signal()
            )  # where the slow state before this timestep lies: toggles at every start
            with m.If(issue.start):
                m.d.sync += buffer.eq(~buffer)
            m.d.comb += [
                coefficients.address.eq(address),
                self.state_buffer.eq(buffer),
                self.state_index.eq(issue.step - 1),
            ]
            word = coefficients.data
            driven = delay(m, issue.step == p.n_state + 1, 1, "driven")
            drive = Array(lane(self.drives, b, f.x) for b in range(2))[
                delay(m, issue.buffer, 1, "buffer")
            ]
            operand = Mux(driven, drive, Mux(fresh, 0, self.state))

        stages = MULTIPLY_STAGE - READ_STAGE - 1
        leaking_product = delay(m, leaking, stages + 1, "leaking_product")
        feeding_product = delay(m, feeding, stages + 1, "feeding_product")
        for index in range(lanes):
            membrane = Mux(fresh, 0, lane(self.membranes, index, f.u))
            factor = Signal(
                shape_of(Fixed(max(f.leak.width + 1, f.p.width))), name=f"factor_{index}"
            )
            value = Signal(
                shape_of(Fixed(max(f.u.width, f.m.width, f.x.width))), name=f"value_{index}"
            )
            product = Signal(shape_of(Fixed(len(factor) + len(value))), name=f"product_{index}")
            leaked = Signal(shape_of(self.product), name=f"leaked_{index}")
            if word is None:
                m.d.sync += [factor.eq(self.leak), value.eq(membrane)]
            else:
                m.d.sync += [
                    factor.eq(Mux(leaking, self.leak, lane(word, index, f.p))),
                    value.eq(Mux(leaking, membrane, operand)),
                ]
            m.d.sync += product.eq(factor * value)
            with m.If(leaking_product):
                m.d.sync += leaked.eq(product)
            width = self.product.width
            m.d.comb += self.leaked[index * width : (index + 1) * width].eq(leaked)
            if p.n_state:
                current = Signal(shape_of(p.current_sum), name=f"current_{index}")
                with m.If(leaking_product):
                    m.d.sync += current.eq(0)
                with m.Elif(feeding_product):
                    m.d.sync += current.eq(current + product)
                width = p.current_sum.width
                m.d.comb += self.currents[index * width : (index + 1) * width].eq(current)
        return m
