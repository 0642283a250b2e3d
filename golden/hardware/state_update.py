"""The schedule of the slow state's update: how many multipliers it has, how long it takes, and how
far the walk of the groups may be ahead of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

from golden.hardware.stages import MAX_STATE_LAG, START_LATENCY, STATE_STAGE, UPDATE_LATENCY

COLUMNS = (1, 2, 4)  # that an update may take in a cycle


@dataclass(frozen=True)
class StateUpdate:
    """The update m' = A m + B x of a layer: a row group of `lanes` rows at a time, of which a cycle
    takes `columns` columns.

    Parameters
    ----------
    n_state, dilation
        Of the layer.
    block, products_per_cycle
        Of the hardware.
    plain_walk, refreshed_walk
        Cycles that the layer's walk of a block takes at least, without and with a refresh of the
        current from the slow state.
    """

    n_state: int
    dilation: int
    block: int
    products_per_cycle: int
    plain_walk: int
    refreshed_walk: int

    @cached_property
    def _shape(self) -> tuple[int, int]:
        """Columns a cycle and rows at a time: of one column, as few rows as keep the update from
        ever bounding the walk; else of several columns, as few multipliers as do; else the fastest.

        Between refreshes the walk needs no slow state, so the update may lag. It cannot
        run ahead: from the start of any block to the next refresh, all updates must fit.
        """
        d = self.n_state
        # Rows that are written at once lie in one word of the history, and one row group.
        shapes = [
            (columns, lanes)
            for columns in COLUMNS
            if columns <= d and self.products_per_cycle % columns == 0
            for lanes in range(1, d + 1)
            if lanes == d or lanes % columns == 0
        ]
        fitting = [shape for shape in shapes if self._keeps_up(*shape, relaxed=False)]
        if fitting:
            return min(fitting, key=lambda shape: (shape[0] > 1, prod(shape)))
        return min(shapes, key=lambda shape: (self._cycles(*shape, 1, relaxed=False), prod(shape)))

    @property
    def columns(self) -> int:
        """Columns that are added in a cycle, and rows that are written in one: a word of m."""
        return self._shape[0]

    @property
    def lanes(self) -> int:
        """Rows of a row group."""
        return self._shape[1]

    @property
    def multipliers(self) -> int:
        return prod(self._shape)

    @cached_property
    def relaxed(self) -> bool:
        """Whether an update takes two cycles more than it must, for a faster clock: where the walk
        does not have to wait for it.
        """
        return self._keeps_up(*self._shape, relaxed=True)

    @property
    def latency(self) -> int:
        """Cycles from the last step of a row group to the first of its rows being written: what is
        read, and what is rounded, is registered if relaxed.
        """
        return UPDATE_LATENCY[self.relaxed]

    @property
    def row_groups(self) -> int:
        return -(-self.n_state // self.lanes)

    @property
    def words(self) -> int:
        """Words of m that hold a slow state."""
        return -(-self.n_state // self.columns)

    @property
    def steps(self) -> int:
        """Steps of a row group: those of A, and of B, which may have a place in the last word."""
        return -(-(self.n_state + 1) // self.columns)

    @cached_property
    def lag(self) -> int:
        """Blocks that may have been started and whose last update has not: from one with a refresh
        to the next, as far as the update may lag.
        """
        return min(-(-self.dilation // self.block), MAX_STATE_LAG)

    @cached_property
    def interval(self) -> int:
        """Cycles from the first step of an update to the first step of the next one."""
        return self._update(*self._shape, self.relaxed)[0]

    @cached_property
    def announce_delay(self) -> int:
        """Cycles from the first step of an update until a walk that uses it may be announced."""
        return self._update(*self._shape, self.relaxed)[1]

    @property
    def block_cycles(self) -> int:
        """Cycles from the start of a block to that of the next that its updates ask for."""
        return self._cycles(*self._shape, 1, self.relaxed)

    def _keeps_up(self, columns: int, lanes: int, relaxed: bool) -> bool:
        """Whether updates of this shape never bound the walk."""
        walks = {blocks: blocks * self.plain_walk for blocks in range(1, self.lag)}
        walks[self.lag] = self.refreshed_walk + (self.lag - 1) * self.plain_walk
        return all(
            self._cycles(columns, lanes, blocks, relaxed) <= walks[blocks] for blocks in walks
        )

    def _update(self, columns: int, lanes: int, relaxed: bool) -> tuple[int, int]:
        """Return the cycles between the first steps of two updates, and the cycles from an update's
        first step until a walk that uses its result may be decided on.
        """
        d, row_groups = self.n_state, -(-self.n_state // lanes)
        steps = row_groups * -(-(d + 1) // columns)
        last_words = -(-(d - (row_groups - 1) * lanes) // columns)
        last_write = steps - 2 + UPDATE_LATENCY[relaxed] + last_words
        # The last word of m is read as many steps after the first.
        following = max(steps, last_write - (-(-d // columns) - 1) + 1)
        word = (d - 1) // self.products_per_cycle
        return following, max(1, last_write - word - STATE_STAGE - 1)

    def _cycles(self, columns: int, lanes: int, blocks: int, relaxed: bool) -> int:
        """Return the cycles that the updates of this many blocks take, from a start to a start."""
        following, announced = self._update(columns, lanes, relaxed)
        updates = blocks * self.block
        return max(updates * following, START_LATENCY + (updates - 1) * following + announced)
