"""The scalar drive of a layer's slow state."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.hardware.layer import LayerHardware
from golden.hardware.memory import address_width
from golden.hardware.stages import DRIVE_LATENCY
from rtl.bank import Bank
from rtl.component import Component
from rtl.fixed import (
    align,
    at_multiplier,
    delay,
    hold,
    ones,
    saturate,
    shape_of,
    stages,
    total,
    weighted,
)
from rtl.layouts import Array, drives_layout
from rtl.signatures import Arrival, ArrivalPorts, LoadBus, LoadBusPorts
from rtl.state_signatures import NewDrive, NewDrivePorts


class Drive(Component):
    """Sum the drives of a block's timesteps while events arrive, x = clamp(rshift(w_x . s + b_x),
    0, max); then send them, one a cycle.

    Never stalls; takes as many events a cycle as the layer receives. Two ends of blocks are at
    least as many cycles apart as a block has timesteps.

    Parameters
    ----------
    layer
        The layer.
    number
        Of the bank of w_x.

    Members
    -------
    arrival, closing_buffer, closing_fresh
        From the event list.
    bias
        b_x, constant.
    values
        `values[buffer][timestep]`: the drives of every buffer of the event list. A value stays
        until `DRIVE_LATENCY` cycles after its buffer is closed again.
    o
        A drive has just been computed.
    saturated
        It had to be clamped from above.
    w_x_read
        Words of w_x that are read.

    Latency: `DRIVE_LATENCY` cycles from the end of a block to the drive of its first timestep;
    throughput: one event a cycle, or as many as come at once.
    """

    arrival: ArrivalPorts
    closing_buffer: Signal
    closing_fresh: Signal
    bias: Signal
    values: Array
    o: NewDrivePorts
    saturated: Signal
    w_x_read: Signal
    load: LoadBusPorts

    def __init__(self, layer: LayerHardware, number: int) -> None:
        self.layer = layer
        f, block = layer.params.formats, layer.block
        items = layer.received_items
        self.weights = Bank(layer.memories["w_x"], number, n_reads=items)
        super().__init__(
            {
                "arrival": In(Arrival(layer.params.n_inputs, shape_of(f.payload), block, items)),
                "closing_buffer": In(address_width(layer.n_lists)),
                "closing_fresh": In(1),
                "bias": In(shape_of(f.b_x)),
                "values": Out(drives_layout(layer)),
                "o": Out(NewDrive(layer)),
                "saturated": Out(1),
                "w_x_read": Out(range(items + 1)),
                "load": In(LoadBus()),
            }
        )

    @property
    def latency(self) -> int:
        return self.weights.latency + 5  # product, sums, leaving, with the bias, rounded

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, p, f = self.layer, self.layer.params, self.layer.params.formats
        arrival, block, total_shape = self.arrival, layer.block, shape_of(p.drive_sum)
        m.submodules.weights = weights = self.weights
        wiring.connect(m, wiring.flipped(self.load), weights.load)

        # Cycle 0: the event. 1: its weight. 2: the product. 3: the sums; a cycle later, the end of
        # the block.
        m.d.comb += [
            weights.enable.eq(arrival.fires),
            self.w_x_read.eq(ones(arrival.fires)),
        ]
        fires = stages(m, arrival.fires, 1, "fires")
        payloads = delay(m, arrival.payload, 1, "payload")
        products: list[tuple[Value, Signal]] = []  # each with its timesteps
        for n, (event, address, _, marks) in enumerate(arrival.each()):
            suffix = f"_{n}" if n else ""
            payload = payloads[n] if isinstance(payloads, data.View) else payloads
            fired = fires[1] if len(arrival.fires) == 1 else fires[1][n]
            m.d.comb += weights.address[n].eq(address)
            timesteps = delay(m, Mux(event, marks, 0), 2, f"timesteps{suffix}")
            product = Signal(total_shape, name=f"product{suffix}")
            taken = product.eq(weighted(weights.words[n][0], payload))
            if len(payload) == 1:  # no multiplier
                hold(m, fired, taken)
            else:
                hold(m, at_multiplier(layer.hardware, fired), taken)
            products.append((timesteps, product))
        ending = data.StructLayout(
            {"timesteps": block, "buffer": self.closing_buffer.shape(), "fresh": 1}
        )
        closing = Signal(ending)
        m.d.comb += [
            closing.timesteps.eq(arrival.closing_timesteps),
            closing.buffer.eq(self.closing_buffer),
            closing.fresh.eq(self.closing_fresh),
        ]
        closes = stages(m, arrival.closed, 3, "closed")
        marker = delay(m, closing, 3, "marker", moving=closes)
        closed = closes[3]
        discarded = delay(m, arrival.discarded, 3, "discarded")
        totals = [Signal(total_shape, name=f"total_{t}") for t in range(block)]
        leaving = [Signal(total_shape, name=f"leaving_{t}") for t in range(block)]
        coming = reduce(or_, (timesteps.any() for timesteps, _ in products))
        with m.If(coming | closed | discarded):
            for t, held in enumerate(totals):
                kept = Mux(closed | discarded, 0, held)
                added = (Mux(timesteps[t], product, 0) for timesteps, product in products)
                m.d.sync += held.eq(kept + total(added))

        # 4: a closed block's sums leave, one a cycle. 5: with the bias. 6: rounded, clamped.
        left = Signal(block)  # timesteps still to come
        buffer = Signal.like(self.closing_buffer)
        fresh = Signal()
        timestep = Signal(range(block))
        with m.If(left.any()):
            m.d.sync += [leaving[t].eq(leaving[t + 1]) for t in range(block - 1)]
            m.d.sync += [left.eq(left >> 1), fresh.eq(0), timestep.eq(timestep + 1)]
        with m.If(closed):
            m.d.sync += [leaving[t].eq(totals[t]) for t in range(block)]
            m.d.sync += [
                left.eq(marker.timesteps),
                buffer.eq(marker.buffer),
                fresh.eq(marker.fresh),
                timestep.eq(0),
            ]
        biased = Signal(total_shape)
        with m.If(left[0]):
            m.d.sync += biased.eq(leaving[0] + self.bias)
        ready = delay(m, left[0], 1, "ready")
        last = (Cat(left, Const(0, 1)) >> 1) == 0
        positive = align(biased, p.drive_shift)
        clamped, saturated = saturate(Mux(positive[-1], 0, positive).as_signed(), f.x)
        m.d.sync += [
            self.o.valid.eq(ready),
            self.o.first.eq(delay(m, fresh, 1, "first")),
            self.o.last.eq(delay(m, last, 1, "last")),
            self.saturated.eq(ready & saturated),
        ]
        buffer_filled = delay(m, buffer, 1, "buffer")
        timestep_filled = delay(m, timestep, 1, "timestep")
        with m.If(ready):
            m.d.sync += self.o.value.eq(clamped)
        for b in range(layer.n_lists):
            for t in range(block):
                value = Signal(shape_of(f.x), name=f"value_{b}_{t}")
                here = (buffer_filled == b) & (timestep_filled == t if block > 1 else 1)
                with m.If(ready & here):
                    m.d.sync += value.eq(clamped)
                m.d.comb += self.values[b][t].eq(value)
        return m


assert DRIVE_LATENCY == 6, "the drive takes its stages from DRIVE_LATENCY"
