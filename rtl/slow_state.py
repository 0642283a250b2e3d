"""The slow state of a layer and its update."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array as Choice
from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.formats import Fixed
from golden.hardware.layer import LayerHardware
from golden.hardware.memory import address_width
from golden.hardware.stages import START_LATENCY, UPDATE_LATENCY
from rtl.bank import Bank
from rtl.component import NEVER_COLLIDES, Component
from rtl.fixed import align, at_multiplier, delay, hold, saturate, shape_of, stages
from rtl.queue import Queue
from rtl.signatures import (
    HistoryRead,
    HistoryReadPorts,
    LoadBus,
    LoadBusPorts,
    NewDrive,
    NewDrivePorts,
)


class SlowState(Component):
    """Compute m' = sat(rshift(A m + B x)) for one drive after another, beside the groups and, for
    the later timesteps of a block, ahead of them; keep a history of what the groups will need.

    Rows are computed `state_update.lanes` at a time (a row group), a step a cycle, and written one
    a cycle. The update of a block's last timestep waits until the block is started, since it writes
    over the history of the block before. A block's slow states are announced as soon as its walk
    can no longer overtake their writing. Without dependency breaking (`LayerParams.state_first`) a
    block's walk waits for its own update, which waits until the block before is started, or in turn
    (`LayerHardware.updates_in_turn`) until its walk is over.

    Parameters
    ----------
    layer
        The layer; it says how many multipliers the update has.
    number
        Of the bank of A and B: word `row_group * (d + 1) + j` holds column j of A, or B, of the
        rows of the group.

    Members
    -------
    drive
        From the drive.
    starting, released
        From the group schedule: a block is started; in turn: its walk, or a sequence, is over.
    ready, near
        The next block's states are stored; the updates lag by fewer than `state_update.lag` blocks.
    history
        A read of the slow states before each timestep of a block.
    valid, value, saturated
        A value of the new state is written, in the order of the rows, and whether it had to be
        clamped.
    a_read, m_read, history_write
        A word of A and B, of m is read; a value of the history is written.

    Latency: `state_update.latency` cycles from the last step of a row group to the first of its
    values; throughput: a timestep in `state_update.interval` cycles.
    """

    drive: NewDrivePorts
    starting: Signal
    released: Signal
    ready: Signal
    near: Signal
    history: HistoryReadPorts
    valid: Signal
    value: Signal
    saturated: Signal
    a_read: Signal
    m_read: Signal
    history_write: Signal
    load: LoadBusPorts

    def __init__(self, layer: LayerHardware, number: int) -> None:
        self.layer = layer
        self.coefficients = Bank(
            layer.memories["ab"], number, registered=True, holds=layer.hardware.hold_operands
        )
        in_turn = {"released": In(1)} if layer.updates_in_turn else {}
        super().__init__(
            in_turn
            | {
                "drive": In(NewDrive(layer)),
                "starting": In(1),
                "ready": Out(1),
                "near": Out(1),
                "history": In(HistoryRead(layer)),
                "valid": Out(1),
                "value": Out(shape_of(layer.params.formats.m)),
                "saturated": Out(1),
                "a_read": Out(1),
                "m_read": Out(1),
                "history_write": Out(1),
                "load": In(LoadBus()),
            }
        )

    @property
    def latency(self) -> int:
        relaxed = self.layer.state_update.relaxed
        return self.coefficients.latency + 3 + 2 * relaxed  # product, sum, rows

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer = self.layer
        p, f, block = layer.params, layer.params.formats, layer.block
        d, row_groups, lanes = p.n_state, layer.state_update.row_groups, layer.state_update.lanes
        index_width = address_width(d)
        m.submodules.coefficients = coefficients = self.coefficients
        wiring.connect(m, wiring.flipped(self.load), coefficients.load)
        update, waiting = layer.state_update, layer.buffers["drives"]
        item = data.StructLayout({"value": shape_of(f.x), "first": 1, "last": 1})
        m.submodules.drives = drives = Queue(item, waiting.depth)
        head = drives.o.payload
        m.d.comb += [
            drives.i.valid.eq(self.drive.valid),
            drives.i.payload.value.eq(self.drive.value),
            drives.i.payload.first.eq(self.drive.first),
            drives.i.payload.last.eq(self.drive.last),
        ]

        # Blocks announced less those started.
        ahead = Signal(range(-update.lag, 2))
        announce = Signal()
        m.d.sync += ahead.eq(ahead + announce - self.starting)
        m.d.comb += [self.ready.eq(ahead == 1), self.near.eq(ahead > -update.lag)]

        # The next update waits until it cannot overtake the rows of this one, and a block's last
        # until the block is started; without dependency breaking, until the block before is.
        limit = max(update.interval, update.announce_delay)
        age = Signal(range(limit + 1), init=limit)
        settled = age >= update.interval - 1
        announced = Signal(init=p.state_first)
        begin = drives.o.valid & settled & (~head.last | (announced & (ahead <= 0)))
        if layer.updates_in_turn:
            free = Signal(init=1)  # no walk is under way
            with m.If(self.released):
                m.d.sync += free.eq(1)
            with m.If(self.starting):
                m.d.sync += free.eq(0)
            begin &= free
        announceable = drives.o.valid & head.last
        if p.state_first:  # an update is announced itself, after it has begun
            announceable = Const(1)
        m.d.comb += [
            announce.eq(announceable & ~announced & (age >= update.announce_delay)),
            drives.o.ready.eq(begin),
        ]
        with m.If(announce):
            m.d.sync += announced.eq(1)
        with m.If(age < limit):
            m.d.sync += age.eq(age + 1)

        # One step a cycle: column j of the rows of a row group.
        running = Signal()
        current = Signal(  # the one that is running
            data.StructLayout(
                {
                    "fresh": 1,
                    "source": 1,  # the half of m that holds the state before it
                    "buffer": 1,  # of the history, that its result belongs to
                    "timestep": address_width(block),  # in the block that its result belongs to
                    "kept": 1,  # in the history
                }
            ),
            init={"buffer": not p.state_first},
        )
        drive = Signal(shape_of(f.x))
        address = Signal(coefficients.address[0].shape())
        column = Signal(range(d + 1))
        row_group = Signal(range(row_groups))
        with m.If(running):
            m.d.sync += [column.eq(column + 1), address.eq(address + 1)]
            with m.If(column == d):
                m.d.sync += [
                    column.eq(0),
                    row_group.eq(row_group + 1),
                    running.eq(row_group != row_groups - 1),
                ]
        phase = Signal(range(p.dilation))  # timesteps since the last refresh
        with m.If(begin):
            now = Mux(head.first, 0, phase)
            following = Mux(now == p.dilation - 1, 0, now + 1)
            m.d.sync += [
                running.eq(1),
                column.eq(0),
                row_group.eq(0),
                address.eq(0),
                age.eq(0),
                announced.eq(0),
                drive.eq(head.value),
                current.fresh.eq(head.first),
                current.source.eq(~current.source),
                current.buffer.eq(current.buffer ^ head.last),
                current.timestep.eq(Mux(head.last, 0, current.timestep + 1)),
                current.kept.eq(following == 0),
                phase.eq(following),
            ]

        memory = layer.buffers["m"]
        m.submodules.values = values = Memory(
            shape=shape_of(memory.element), depth=memory.depth, init=[], attrs=NEVER_COLLIDES
        )
        write, read = values.write_port(), values.read_port()
        reading = running & (column != d)
        m.d.comb += [
            read.en.eq(reading),
            read.addr.eq(Cat(column[:index_width], current.source)),
            coefficients.address[0].eq(address),
            coefficients.enable.eq(running),
            self.a_read.eq(running),
            self.m_read.eq(reading),
        ]

        # Memories, operands, products, sums: a cycle each; relaxed, what is read is registered.
        relaxed = int(update.relaxed)
        driven = delay(m, column == d, 1 + relaxed, "driven")
        fresh = delay(m, current.fresh, 1 + relaxed, "fresh")
        runs = stages(m, running, 3 + relaxed, "step_valid")
        driving = delay(m, drive, 1 + relaxed, "driving", reset_less=True, moving=runs)
        state = delay(m, read.data, relaxed, "state", reset_less=True, moving=runs[1:])
        words = coefficients.words[0]
        moving = at_multiplier(layer.hardware, runs[2:])
        factors = delay(m, words, relaxed, "factors", reset_less=True, moving=moving)
        operand = Signal(shape_of(f.m if f.m.width >= f.x.width else f.x), reset_less=True)
        chosen = Mux(driven, driving, Mux(fresh, 0, state))
        hold(m, at_multiplier(layer.hardware, runs[1 + relaxed]), operand.eq(chosen))
        step_first = delay(m, column == 0, 3 + relaxed, "step_first")
        summed = update.latency - 1 - relaxed
        completes = stages(m, running & (column == d), summed, "complete")
        complete = completes[summed]
        completed = delay(m, current, summed, "completed", moving=completes)
        rows = Choice(
            Signal(shape_of(p.state_sum), name=f"row_{r}", reset_less=True) for r in range(lanes)
        )
        sums = []
        for index in range(lanes):
            product = Signal(
                shape_of(Fixed(f.a.width + len(operand))), name=f"product_{index}", reset_less=True
            )
            total = Signal(shape_of(p.state_sum), name=f"sum_{index}", reset_less=True)
            multiplied = product.eq(factors[index] * operand)
            hold(m, at_multiplier(layer.hardware, runs[2 + relaxed]), multiplied)
            with m.If(runs[3 + relaxed]):
                m.d.sync += total.eq(Mux(step_first, 0, total) + product)
            sums.append(total)

        # The rows of a group leave through one rounding and one saturation, one a cycle, while the
        # next group is summed.
        left = Signal(range(lanes + 1))
        leaving = Signal.like(current)
        rounding = Signal()
        rounded, clamped = saturate(align(rows[0], p.state_shift), f.m)
        m.d.comb += rounding.eq(left != 0)
        written = Signal.like(current)  # the update whose row is written
        told = [self.valid.eq(rounding), self.saturated.eq(rounding & clamped)]
        row_and_place = [self.value.eq(rounded), written.eq(leaving)]
        if relaxed:
            m.d.sync += told
            hold(m, rounding, *row_and_place)
        else:
            m.d.comb += [*told, *row_and_place]
        with m.If(rounding):
            m.d.sync += left.eq(left - 1)
            m.d.sync += [rows[i].eq(rows[i + 1]) for i in range(lanes - 1)]
        done_groups = Signal(range(row_groups))
        last_rows = d - (row_groups - 1) * lanes
        with m.If(complete):
            m.d.sync += [rows[i].eq(sums[i]) for i in range(lanes)]
            m.d.sync += [
                left.eq(Mux(done_groups == row_groups - 1, last_rows, lanes)),
                done_groups.eq(Mux(done_groups == row_groups - 1, 0, done_groups + 1)),
                leaving.eq(completed),
            ]

        row = Signal(index_width)
        last = Signal()
        m.d.comb += [
            last.eq(row == d - 1),
            write.en.eq(self.valid),
            write.addr.eq(Cat(row, ~written.source)),
            write.data.eq(self.value),
        ]
        with m.If(self.valid):
            m.d.sync += row.eq(Mux(last, 0, row + 1))
        self._keep(m, last, written)
        return m

    def _keep(self, m: Module, last: Signal, written: Any) -> None:
        """The history: a value goes to its row's word and slot, and there to its timestep."""
        layer, block = self.layer, self.layer.block
        per_cycle = layer.hardware.products_per_cycle
        memory = layer.buffers["history"]
        m.submodules.history_words = words = Memory(
            shape=data.ArrayLayout(shape_of(memory.element), memory.n_lanes),
            depth=memory.depth,
            init=[],
            attrs=NEVER_COLLIDES,
        )
        write, read = words.write_port(granularity=1), words.read_port()
        # The row's word and slot, counted along with the rows.
        word = Signal(address_width(layer.dense_steps))
        slot = Signal(range(per_cycle))
        with m.If(self.valid):
            m.d.sync += slot.eq(Mux(slot == per_cycle - 1, 0, slot + 1))
            with m.If(slot == per_cycle - 1):
                m.d.sync += word.eq(word + 1)
            with m.If(last):
                m.d.sync += [slot.eq(0), word.eq(0)]
        place = Signal(range(memory.n_lanes))
        m.d.comb += [
            place.eq(slot * block + written.timestep),
            self.history_write.eq(self.valid & written.kept),
            write.en.eq(Mux(self.history_write, 1 << place, 0)),
            write.addr.eq(Cat(word, written.buffer)),
            read.en.eq(self.history.enable),
            read.addr.eq(Cat(self.history.index, self.history.buffer)),
        ]
        moving = [delay(m, read.en, 1, "history_read")]
        found = delay(m, read.data, 1, "history_found", reset_less=True, moving=moving)
        m.d.comb += self.history.states.as_value().eq(found.as_value())
        for lane_index in range(memory.n_lanes):
            m.d.comb += write.data[lane_index].eq(self.value)


assert UPDATE_LATENCY == (5, 7) and START_LATENCY == 3, "the update takes its stages from these"
