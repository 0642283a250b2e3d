"""The slow state of a layer and its update."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array as Choice
from amaranth.hdl import Cat, Const, Module, Mux, ShapeLike, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from golden.formats import Fixed
from golden.hardware.layer import LayerHardware
from golden.hardware.memory import address_width
from golden.hardware.stages import START_LATENCY, UPDATE_LATENCY
from rtl.bank import Bank
from rtl.claims import claim, claim_apart
from rtl.component import NEVER_COLLIDES, Component
from rtl.fixed import align, at_multiplier, delay, hold, saturate, shape_of, stages, total
from rtl.queue import Queue
from rtl.signatures import LoadBus, LoadBusPorts
from rtl.state_signatures import HistoryRead, HistoryReadPorts, NewDrive, NewDrivePorts


class SlowState(Component):
    """Compute m' = sat(rshift(A m + B x)) for one drive after another, beside the groups and, for
    the later timesteps of a block, ahead of them; keep a history of what the groups will need.

    Rows are computed `state_update.lanes` at a time (a row group), a step of `state_update.columns`
    columns a cycle, and as many rows are written in a cycle, a word of m. The update of a block's
    last timestep waits until the block is started, since it writes over the history of the block
    before. A block's slow states are announced as soon as its walk can no longer overtake their
    writing. Without dependency breaking (`LayerParams.state_first`) a block's walk waits for its
    own update, which waits until the block before is started, or in turn
    (`LayerHardware.updates_in_turn`) until its walk is over.

    Parameters
    ----------
    layer
        The layer; it says how many multipliers the update has.
    number
        Of the bank of A and B: word `row_group * state_update.steps + i` holds the columns of step
        i of A, then B, of the rows of the group, the rows of the first column lowest; 0 after B.

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
        A word of the new state is written, in the order of the rows, and how many of its rows had
        to be clamped. With several columns a cycle, `value[row]`; rows after the last one are 0.
    a_read, m_read, history_write
        A word of A and B, of m is read; the rows of a word are written to the history.

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
                "value": Out(self._word(layer)),
                "saturated": Out(range(layer.state_update.columns + 1)),
                "a_read": Out(1),
                "m_read": Out(1),
                "history_write": Out(1),
                "load": In(LoadBus()),
            }
        )

    @staticmethod
    def _word(layer: LayerHardware) -> ShapeLike:
        """The shape of a word of m."""
        row, columns = shape_of(layer.params.formats.m), layer.state_update.columns
        return row if columns == 1 else data.ArrayLayout(row, columns)

    def _rows(self, word: Any) -> list[Any]:
        """Return the rows of a word of m."""
        columns = self.layer.state_update.columns
        return [word] if columns == 1 else [word[row] for row in range(columns)]

    @property
    def latency(self) -> int:
        relaxed = self.layer.state_update.relaxed
        return self.coefficients.latency + 3 + 2 * relaxed  # product, sum, rows

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer = self.layer
        p, f, block = layer.params, layer.params.formats, layer.block
        d, row_groups, lanes = p.n_state, layer.state_update.row_groups, layer.state_update.lanes
        m.submodules.coefficients = coefficients = self.coefficients
        wiring.connect(m, wiring.flipped(self.load), coefficients.load)
        update, waiting = layer.state_update, layer.buffers["drives"]
        columns, steps, words = update.columns, update.steps, update.words
        index_width = address_width(words)
        item = data.StructLayout({"value": shape_of(f.x), "first": 1, "last": 1})
        m.submodules.drives = drives = Queue(item, waiting.depth)
        head = drives.o.payload
        claim(m, platform, "the queue has room for what comes", ~drives.i.valid | drives.i.ready)
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
        following = ahead + announce - self.starting
        claim(m, platform, "updates neither lag more than they may nor run ahead",
              (following >= -update.lag) & (following <= 1))  # fmt: skip

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

        # One step a cycle: columns of the rows of a row group.
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
        column = Signal(range(steps))  # or the step, of several columns
        row_group = Signal(range(row_groups))
        with m.If(running):
            m.d.sync += [column.eq(column + 1), address.eq(address + 1)]
            with m.If(column == steps - 1):
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
            shape=self._word(layer), depth=memory.depth, init=[], attrs=NEVER_COLLIDES
        )
        write, read = values.write_port(), values.read_port()
        claim_apart(m, platform, "values", write, read)
        reading = running & (column != words) if steps > words else running
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
        driven = delay(m, column == steps - 1, 1 + relaxed, "driven")
        fresh = delay(m, current.fresh, 1 + relaxed, "fresh")
        runs = stages(m, running, 3 + relaxed, "step_valid")
        driving = delay(m, drive, 1 + relaxed, "driving", reset_less=True, moving=runs)
        state = delay(m, read.data, relaxed, "state", reset_less=True, moving=runs[1:])
        moving = at_multiplier(layer.hardware, runs[2:])
        read_factors = coefficients.words[0]
        factors = delay(m, read_factors, relaxed, "factors", reset_less=True, moving=moving)
        operands: list[Signal] = []
        for index, row in enumerate(self._rows(state)):
            name = "operand" if columns == 1 else f"operand_{index}"
            shape = shape_of(f.m if f.m.width >= f.x.width else f.x)
            operand = Signal(shape, name=name, reset_less=True)
            chosen = Mux(fresh, 0, row)
            if index == d % columns:  # the place of B in the last step; after it, all is 0
                chosen = Mux(driven, driving, chosen)
            hold(m, at_multiplier(layer.hardware, runs[1 + relaxed]), operand.eq(chosen))
            operands.append(operand)
        step_first = delay(m, column == 0, 3 + relaxed, "step_first")
        summed = update.latency - 1 - relaxed
        completes = stages(m, running & (column == steps - 1), summed, "complete")
        complete = completes[summed]
        completed = delay(m, current, summed, "completed", moving=completes)
        rows = Choice(
            Signal(shape_of(p.state_sum), name=f"row_{r}", reset_less=True) for r in range(lanes)
        )
        sums = []
        for index in range(lanes):
            products = []
            for place, operand in enumerate(operands):
                name = f"product_{index}" if columns == 1 else f"product_{place}_{index}"
                shape = shape_of(Fixed(f.a.width + len(operand)))
                product = Signal(shape, name=name, reset_less=True)
                multiplied = product.eq(factors[place * lanes + index] * operand)
                hold(m, at_multiplier(layer.hardware, runs[2 + relaxed]), multiplied)
                products.append(product)
            summed_row = Signal(shape_of(p.state_sum), name=f"sum_{index}", reset_less=True)
            with m.If(runs[3 + relaxed]):
                m.d.sync += summed_row.eq(Mux(step_first, 0, summed_row) + total(products))
            sums.append(summed_row)

        # The rows of a group leave through one rounding and one saturation for each row of a word,
        # a word a cycle, while the next group is summed.
        group_words = -(-lanes // columns)
        left = Signal(range(group_words + 1))
        leaving = Signal.like(current)
        rounding = Signal()
        found = [saturate(align(rows[row], p.state_shift), f.m) for row in range(columns)]
        m.d.comb += rounding.eq(left != 0)
        written = Signal.like(current)  # the update whose rows are written
        told = [
            self.valid.eq(rounding),
            self.saturated.eq(total([rounding & clamped for _, clamped in found])),
        ]
        row_and_place = [
            *(
                to.eq(rounded)
                for to, (rounded, _) in zip(self._rows(self.value), found, strict=True)
            ),
            written.eq(leaving),
        ]
        if relaxed:
            m.d.sync += told
            hold(m, rounding, *row_and_place)
        else:
            m.d.comb += [*told, *row_and_place]
        with m.If(rounding):
            m.d.sync += left.eq(left - 1)
            m.d.sync += [rows[i].eq(rows[i + columns]) for i in range(lanes - columns)]
            if columns > 1:
                m.d.sync += [rows[i].eq(0) for i in range(lanes - columns, lanes)]
        done_groups = Signal(range(row_groups))
        last_words = words - (row_groups - 1) * group_words
        claim(m, platform, "rows have left when the next ones come", ~complete | (left <= 1))
        with m.If(complete):
            m.d.sync += [rows[i].eq(sums[i]) for i in range(lanes)]
            m.d.sync += [
                left.eq(Mux(done_groups == row_groups - 1, last_words, group_words)),
                done_groups.eq(Mux(done_groups == row_groups - 1, 0, done_groups + 1)),
                leaving.eq(completed),
            ]

        row = Signal(index_width)
        last = Signal()
        m.d.comb += [
            last.eq(row == words - 1),
            write.en.eq(self.valid),
            write.addr.eq(Cat(row, ~written.source)),
            write.data.eq(self.value),
        ]
        with m.If(self.valid):
            m.d.sync += row.eq(Mux(last, 0, row + 1))
        self._keep(m, platform, last, written)
        return m

    def _keep(self, m: Module, platform: object, last: Signal, written: Any) -> None:
        """The history: rows go to their word and slots, and there to their timestep."""
        layer, columns, timesteps = (
            self.layer,
            self.layer.state_update.columns,
            self.layer.refreshable,
        )
        kept = len(timesteps)  # of a block
        per_word = layer.hardware.products_per_cycle // columns  # of the rows written at once
        memory = layer.buffers["history"]
        m.submodules.history_words = words = Memory(
            shape=data.ArrayLayout(shape_of(memory.element), memory.n_lanes),
            depth=memory.depth,
            init=[],
            attrs=NEVER_COLLIDES,
        )
        write, read = words.write_port(granularity=1), words.read_port()
        claim_apart(m, platform, "history_words", write, read)
        # The rows' word and slots, counted along with them.
        word = Signal(address_width(layer.dense_steps))
        slot = Signal(range(per_word))
        with m.If(self.valid):
            m.d.sync += slot.eq(Mux(slot == per_word - 1, 0, slot + 1))
            with m.If(slot == per_word - 1):
                m.d.sync += word.eq(word + 1)
            with m.If(last):
                m.d.sync += [slot.eq(0), word.eq(0)]
        place = Signal(range(memory.n_lanes))
        timestep: Value = written.timestep  # what is kept is of a refreshable one
        if timesteps.step > 1:
            timestep = timestep[exact_log2(timesteps.step) :]
        together = sum(1 << row * kept for row in range(columns))
        m.d.comb += [
            place.eq(slot * (columns * kept) + timestep),
            self.history_write.eq(self.valid & written.kept),
            write.en.eq(Mux(self.history_write, together << place, 0)),
            write.addr.eq(Cat(word, written.buffer)),
            read.en.eq(self.history.enable),
            read.addr.eq(Cat(self.history.index, self.history.buffer)),
        ]
        moving = [delay(m, read.en, 1, "history_read")]
        found = delay(m, read.data, 1, "history_found", reset_less=True, moving=moving)
        m.d.comb += self.history.states.as_value().eq(found.as_value())
        for lane_index in range(memory.n_lanes):
            rows = self._rows(self.value)
            m.d.comb += write.data[lane_index].eq(rows[lane_index // kept % columns])


assert UPDATE_LATENCY == (5, 7) and START_LATENCY == 3, "the update takes its stages from these"
