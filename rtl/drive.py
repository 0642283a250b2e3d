"""The scalar drive of a layer's slow state."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.hardware.layer import LayerHardware
from golden.hardware.memory import address_width
from golden.hardware.stages import DRIVE_LATENCY
from rtl.bank import Bank
from rtl.component import Component
from rtl.fixed import align, delay, lane, saturate, shape_of, weighted
from rtl.streams import LOAD_BUS


class Drive(Component):
    """Sum the drives of a block's timesteps while events arrive, x = clamp(rshift(w_x . s + b_x),
    0, max); then send them, one a cycle.

    Never stalls; wants one event a cycle at most, and ends of blocks at least as many cycles apart
    as a block has timesteps.

    Parameters
    ----------
    layer
        The layer.
    number
        Of the bank of w_x.

    Members
    -------
    accepted, address, payload, timesteps, closed, closing_buffer, closing_timesteps, closing_fresh,
    discarded
        From the event list.
    bias
        b_x, constant.
    values
        The drives of every buffer's timesteps, x's format, the first buffer's first one lowest. A
        value stays until `DRIVE_LATENCY` cycles after its buffer is closed again.
    valid, value, first, last
        A drive has just been computed: `value`, whether it is the first of its sequence, and the
        last of its block.
    saturated
        It had to be clamped from above.
    w_x_read
        A word of w_x is read.

    Latency: `DRIVE_LATENCY` cycles from `closed` to the drive of the block's first timestep;
    throughput: one event a cycle.
    """

    def __init__(self, layer: LayerHardware, number: int) -> None:
        self.layer, self.number = layer, number
        f, block = layer.params.formats, layer.block
        super().__init__(
            {
                "accepted": In(1),
                "address": In(address_width(layer.params.n_inputs)),
                "payload": In(f.payload.width),
                "timesteps": In(block),
                "closed": In(1),
                "closing_buffer": In(address_width(layer.n_lists)),
                "closing_timesteps": In(block),
                "closing_fresh": In(1),
                "discarded": In(1),
                "bias": In(shape_of(f.b_x)),
                "values": Out(layer.n_lists * block * f.x.width),
                "valid": Out(1),
                "value": Out(shape_of(f.x)),
                "first": Out(1),
                "last": Out(1),
                "saturated": Out(1),
                "w_x_read": Out(1),
                "load": In(LOAD_BUS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, p, f = self.layer, self.layer.params, self.layer.params.formats
        block, total_shape = layer.block, shape_of(p.drive_sum)
        m.submodules.weights = weights = Bank(layer.memories["w_x"], self.number)
        wiring.connect(m, wiring.flipped(self.load), weights.load)

        # Cycle 0: the event. 1: its weight. 2: the product. 3: the sums, with the marker at its
        # heels.
        m.d.comb += [
            weights.address.eq(self.address),
            weights.enable.eq(self.accepted),
            self.w_x_read.eq(self.accepted),
        ]
        event = delay(m, Cat(self.accepted, self.payload), 1, "event")
        timesteps = delay(m, Mux(self.accepted, self.timesteps, 0), 2, "timesteps")
        product = Signal(total_shape)
        m.d.sync += product.eq(weighted(lane(weights.data, 0, f.w_x), event[1:]))
        marker = Cat(self.closing_timesteps, self.closing_buffer, self.closing_fresh)
        marker = delay(m, marker, 3, "marker")
        closed = delay(m, self.closed, 3, "closed")
        discarded = delay(m, self.discarded, 3, "discarded")
        totals = [Signal(total_shape, name=f"total_{t}") for t in range(block)]
        leaving = [Signal(total_shape, name=f"leaving_{t}") for t in range(block)]
        for t, total in enumerate(totals):
            m.d.sync += total.eq(Mux(closed | discarded, 0, total) + Mux(timesteps[t], product, 0))

        # 4: a closed block's sums leave, one a cycle. 5: with the bias. 6: rounded, clamped.
        left = Signal(block)  # timesteps still to come
        buffer = Signal.like(self.closing_buffer)
        fresh = Signal()
        timestep = Signal(range(block))
        m.d.sync += [leaving[t].eq(leaving[t + 1]) for t in range(block - 1)]
        m.d.sync += [left.eq(left >> 1), fresh.eq(0), timestep.eq(timestep + 1)]
        with m.If(closed):
            m.d.sync += [leaving[t].eq(totals[t]) for t in range(block)]
            m.d.sync += [Cat(left, buffer, fresh).eq(marker), timestep.eq(0)]
        biased = Signal(total_shape)
        m.d.sync += biased.eq(leaving[0] + self.bias)
        ready = delay(m, left[0], 1, "ready")
        last = (Cat(left, Const(0, 1)) >> 1) == 0
        ending = delay(m, Cat(fresh, last), 1, "ending")
        place = delay(m, Cat(timestep, buffer), 1, "place")
        positive = align(biased, p.drive_shift)
        clamped, saturated = saturate(Mux(positive[-1], 0, positive).as_signed(), f.x)
        timestep_bits = len(timestep)
        values = [
            Array(Signal(shape_of(f.x), name=f"value_{b}_{t}") for t in range(block))
            for b in range(layer.n_lists)
        ]
        m.d.comb += self.values.eq(Cat(*(value for row in values for value in row)))
        m.d.sync += [
            self.valid.eq(ready),
            self.saturated.eq(ready & saturated),
            Cat(self.first, self.last).eq(ending),
        ]
        with m.If(ready):
            m.d.sync += self.value.eq(clamped)
            for b, row in enumerate(values):
                with m.If(place[timestep_bits:] == b):
                    m.d.sync += row[place[:timestep_bits] if block > 1 else 0].eq(clamped)
        return m


assert DRIVE_LATENCY == 6, "the drive takes its stages from DRIVE_LATENCY"
