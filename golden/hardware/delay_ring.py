"""The memory of a delay line: which inputs will fire in which of the next blocks."""

from __future__ import annotations

from dataclasses import dataclass

from golden.hardware.memory import address_width
from golden.hardware.stages import RING_WIDTH


@dataclass(frozen=True)
class DelayRing:
    """A ring of slots, one for each block of timesteps that events may still come out in. A slot
    has a bit for each input and timestep.

    With several timesteps a block, an input's bits may fall into two successive slots: odd slots
    then have a memory of their own.

    Parameters
    ----------
    n_inputs, max_delay, block
        Of the layer; `max_delay` in timesteps.
    """

    n_inputs: int
    max_delay: int
    block: int

    @property
    def memories(self) -> int:
        return 2 if self.block > 1 else 1

    @property
    def lanes(self) -> int:
        """Inputs of a word."""
        return min(RING_WIDTH // self.block, 1 << address_width(self.n_inputs))

    @property
    def words(self) -> int:
        """Words of a slot."""
        return -(-self.n_inputs // self.lanes)

    @property
    def slots(self) -> int:
        """The block that leaves, the block that arrives, and those that its events may wait for."""
        waiting = -(-self.max_delay // self.block)
        return -(-(waiting + 2) // self.memories) * self.memories

    @property
    def depth(self) -> int:
        """Words of a memory: the cycles that it takes to be cleared."""
        return self.slots // self.memories << (self.words - 1).bit_length()
