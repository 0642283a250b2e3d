"""The scalar drive of a layer's slow state."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.params import CLOSE_LATENCY, LayerParams, MemoryParams
from rtl.bank import Bank
from rtl.component import Component
from rtl.fixed import align, delay, lane, saturate, weighted
from rtl.scalars import shape_of
from rtl.streams import LoadBus, event_layout


class Drive(Component):
    """Sum the drive while events arrive, x = clamp(rshift(w_x . s + b_x), 0, max): it is there when
    the list opens.

    Never stalls; wants one event a cycle at most.

    Parameters
    ----------
    params
        The layer.
    memory, number, load_width
        Of the bank of w_x.

    Members
    -------
    accepted, event, closed, closing_buffer, discarded
        From the event list.
    bias
        b_x, constant.
    values
        The drives of the two buffers, x's format, one above the other; a buffer's is valid from the
        cycle in which its list becomes available until `CLOSE_LATENCY` cycles after the buffer is
        closed again.
    valid
        A value has just been computed: `value`.
    saturated
        It had to be clamped from above.

    Latency: `CLOSE_LATENCY` cycles from `closed`; throughput: one event a cycle.
    """

    def __init__(
        self, params: LayerParams, memory: MemoryParams, number: int, load_width: int
    ) -> None:
        self.params, self.memory, self.number, self.load_width = params, memory, number, load_width
        f = params.formats
        layout = event_layout(params.n_inputs, f.payload.width)
        super().__init__(
            {
                "accepted": In(1),
                "event": In(layout),
                "closed": In(1),
                "closing_buffer": In(1),
                "discarded": In(1),
                "bias": In(shape_of(f.b_x)),
                "values": Out(2 * f.x.width),
                "valid": Out(1),
                "value": Out(shape_of(f.x)),
                "saturated": Out(1),
                "load": In(LoadBus(load_width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, f = self.params, self.params.formats
        m.submodules.weights = weights = Bank(self.memory, self.number, self.load_width)
        wiring.connect(m, wiring.flipped(self.load), weights.load)

        # Cycle 0: the event. 1: its weight. 2: the product. 3: the sum, with the marker at its
        # heels.
        m.d.comb += weights.address.eq(self.event.address)
        accepted = delay(m, self.accepted, 1, "accepted")
        payload = delay(m, self.event.payload, 1, "payload")
        product = Signal(shape_of(p.drive_sum))
        m.d.sync += product.eq(Mux(accepted, weighted(lane(weights.data, 0, f.w_x), payload), 0))
        markers = delay(m, Cat(self.closed, self.discarded, self.closing_buffer), 3, "marker")
        closed, discarded, buffer = markers[0], markers[1], markers[2]
        total = Signal(shape_of(p.drive_sum))
        m.d.sync += total.eq(Mux(closed | discarded, 0, total) + product)
        biased = Signal(shape_of(p.drive_sum))
        m.d.sync += biased.eq(total + self.bias)

        ready = delay(m, Cat(closed, buffer), 1, "ready")
        positive = align(biased, p.drive_shift)
        clamped, saturated = saturate(Mux(positive[-1], 0, positive).as_signed(), f.x)
        values = Array(Signal(shape_of(f.x), name=f"value_{b}") for b in range(2))
        m.d.comb += self.values.eq(Cat(*values))
        m.d.sync += [self.valid.eq(ready[0]), self.saturated.eq(ready[0] & saturated)]
        with m.If(ready[0]):
            m.d.sync += [values[ready[1]].eq(clamped), self.value.eq(clamped)]
        return m


assert CLOSE_LATENCY == 5, "the drive takes its stages from CLOSE_LATENCY"
