"""The slow state of a layer and its update."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.formats import Fixed
from golden.params import STATE_LATENCY, LayerHardware, address_width
from rtl.bank import Bank
from rtl.component import Component
from rtl.fixed import align, delay, lane, saturate
from rtl.scalars import shape_of
from rtl.streams import LoadBus, issue_layout


class SlowState(Component):
    """Hold the slow state twice, before and after this timestep; compute m' = sat(rshift(A m + B
    x)) beside the groups.

    Rows are computed `state_lanes` at a time, a step a cycle, and written one a cycle. Never
    stalls; wants `state_cycles` from a start to the next.

    Parameters
    ----------
    layer
        The layer; it says how many multipliers the update has.
    number, load_width
        Of the bank of A and B: word `block * (d + 1) + j` holds column j of A, or B, of the block's
        rows.

    Members
    -------
    issue
        From the group schedule: its `start` begins an update.
    drives
        The drives of the two buffers of the event list.
    buffer, index, state
        A read port: `state` is valid the cycle after. The state before a timestep lies in the
        buffer that toggles with every start: 1 in the first timestep after a reset.
    valid, value, saturated
        A value of the new state is written, in the order of the rows, and whether it had to be
        clamped.

    Latency: `state_cycles` from `start` to the last value being written; throughput: a timestep in
    as many.
    """

    def __init__(self, layer: LayerHardware, number: int, load_width: int) -> None:
        self.layer, self.number, self.load_width = layer, number, load_width
        p, f = layer.params, layer.params.formats
        super().__init__(
            {
                "issue": In(issue_layout(layer)),
                "drives": In(2 * f.x.width),
                "buffer": In(1),
                "index": In(address_width(p.n_state)),
                "state": Out(shape_of(f.m)),
                "valid": Out(1),
                "value": Out(shape_of(f.m)),
                "saturated": Out(1),
                "load": In(LoadBus(load_width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer = self.layer
        p, f = layer.params, layer.params.formats
        d, n_blocks, lanes = p.n_state, layer.n_state_blocks, layer.state_lanes
        index_width = address_width(d)
        m.submodules.coefficients = coefficients = Bank(
            layer.memories["ab"], self.number, self.load_width
        )
        wiring.connect(m, wiring.flipped(self.load), coefficients.load)
        m.submodules.values = values = Memory(shape=shape_of(f.m), depth=2 << index_width, init=[])
        write, feed, update = values.write_port(), values.read_port(), values.read_port()
        m.d.comb += [
            feed.en.eq(1),
            feed.addr.eq(Cat(self.index, self.buffer)),
            self.state.eq(feed.data),
        ]

        # One step a cycle: column j of the rows of a block.
        running, fresh = Signal(), Signal()
        current = Signal()  # the buffer that holds the state before this timestep
        drive = Signal(shape_of(f.x))
        column, block = Signal(range(d + 1)), Signal(range(n_blocks))
        with m.If(self.issue.start):
            drives = Array(lane(self.drives, b, f.x) for b in range(2))
            m.d.sync += [
                running.eq(1),
                column.eq(0),
                block.eq(0),
                coefficients.address.eq(0),
                current.eq(~current),
                fresh.eq(self.issue.fresh),
                drive.eq(drives[self.issue.buffer]),
            ]
        with m.Elif(running):
            m.d.sync += [column.eq(column + 1), coefficients.address.eq(coefficients.address + 1)]
            with m.If(column == d):
                m.d.sync += [column.eq(0), block.eq(block + 1), running.eq(block != n_blocks - 1)]
        m.d.comb += [update.en.eq(1), update.addr.eq(Cat(column[:index_width], current))]

        # Memories, operands, products, sums: a cycle each.
        driven = delay(m, column == d, 1, "driven")
        word = delay(m, coefficients.data, 1, "word")
        operand = Signal(shape_of(f.m if f.m.width >= f.x.width else f.x))
        m.d.sync += operand.eq(Mux(driven, drive, Mux(fresh, 0, update.data)))
        step_valid = delay(m, running, 3, "step_valid")
        step_first = delay(m, column == 0, 3, "step_first")
        complete = delay(m, running & (column == d), 4, "complete")
        rows = Array(Signal(shape_of(p.state_sum), name=f"row_{r}") for r in range(lanes))
        sums = []
        for index in range(lanes):
            product = Signal(shape_of(Fixed(f.a.width + len(operand))), name=f"product_{index}")
            total = Signal(shape_of(p.state_sum), name=f"sum_{index}")
            m.d.sync += product.eq(lane(word, index, f.a) * operand)
            with m.If(step_valid):
                m.d.sync += total.eq(Mux(step_first, 0, total) + product)
            sums.append(total)

        # A block's rows leave through one rounding and one saturation, one a cycle, while the next
        # block is summed.
        left = Signal(range(lanes + 1))
        row = Signal(index_width)
        done_blocks = Signal(range(n_blocks))
        value, saturated = saturate(align(rows[0], p.state_shift), f.m)
        m.d.comb += [
            self.valid.eq(left != 0),
            self.value.eq(value),
            self.saturated.eq(self.valid & saturated),
            write.en.eq(self.valid),
            write.addr.eq(Cat(row, ~current)),
            write.data.eq(value),
        ]
        with m.If(self.valid):
            m.d.sync += [left.eq(left - 1), row.eq(row + 1)]
            m.d.sync += [rows[i].eq(rows[i + 1]) for i in range(lanes - 1)]
        last_rows = d - (n_blocks - 1) * lanes
        with m.If(complete):
            m.d.sync += [rows[i].eq(sums[i]) for i in range(lanes)]
            m.d.sync += [
                left.eq(Mux(done_blocks == n_blocks - 1, last_rows, lanes)),
                done_blocks.eq(Mux(done_blocks == n_blocks - 1, 0, done_blocks + 1)),
            ]
            with m.If(done_blocks == 0):
                m.d.sync += row.eq(0)
        return m


assert STATE_LATENCY == 4, "the update takes its stages from STATE_LATENCY"
