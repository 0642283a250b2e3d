"""Memories, and the load stream that fills them at run time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from golden.errors import UserError
from golden.formats import Fixed

MAX_DEPTH = 1 << 24  # words of one memory: the load stream addresses 24 bits
MAX_MEMORIES = 1 << 8
MAX_WIDTH = 1 << 16  # bits of a word: 1,024 lanes of 8 products of 8 bits
MAX_ITEMS = 1 << 12  # of the load stream, for a word: the loader numbers them in 12 bits
SEGMENT_WORDS = 1 << 10  # of a segment, unless the user says another number
READ_PORTS = 2  # of a memory, at most: the second one shares its address with the write port
LOAD_WIDTH = 32  # data bits of an item of the load stream


def load_header(memory: int, address: int = 0) -> int:
    """Return the data of the load stream's item that opens memory number `memory` at a word."""
    return memory << address_width(MAX_DEPTH) | address


def address_width(depth: int) -> int:
    """Return the bits that address `depth` words (at least 1)."""
    return max(1, math.ceil(math.log2(depth)))


def read_copies(n_reads: int) -> list[int]:
    """Return the read ports of each copy of a memory of which `n_reads` words are read in a cycle.
    All copies are written at once.
    """
    full, rest = divmod(n_reads, READ_PORTS)
    return [READ_PORTS] * full + [rest] * (rest > 0)


@dataclass(frozen=True)
class MemoryParams:
    """A memory of `depth` words that each hold `n_lanes` numbers of format `element`, lane 0 in the
    lowest bits; if it is loaded, in segments of `segment_words`.
    """

    name: str
    depth: int
    n_lanes: int
    element: Fixed
    segment_words: int = SEGMENT_WORDS

    def __post_init__(self) -> None:
        if self.depth > MAX_DEPTH:
            raise UserError(
                f"memory {self.name} has {self.depth} words: at most {MAX_DEPTH} can be addressed"
            )
        if self.width > MAX_WIDTH:
            raise UserError(
                f"memory {self.name} has words of {self.width} bits: use fewer lanes or products,"
                f" for {MAX_WIDTH} bits at most"
            )

    @property
    def width(self) -> int:
        return self.n_lanes * self.element.width

    @property
    def bits(self) -> int:
        return self.depth * self.width

    @property
    def items(self) -> int:
        """Items of the load stream that a word takes."""
        return -(-self.width // LOAD_WIDTH)

    @property
    def segments(self) -> list[int]:
        """The depths of the memories that a loaded one is made of: a deeper one would be slow, as
        what is read would pass from block RAM to block RAM before it comes to a register, and
        a read takes the more energy the deeper a memory is.
        """
        full, rest = divmod(self.depth, self.segment_words)
        return [self.segment_words] * full + [rest] * (rest > 0)
