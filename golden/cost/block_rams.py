"""How many block RAMs of an ECP5 the memories of a core take, estimated."""

from __future__ import annotations

from dataclasses import replace

from golden.cost.cycles import Part
from golden.hardware.core import CoreParams
from golden.hardware.memory import MemoryParams

# A DP16KD of the ECP5: bits of a word, words.
_BLOCK_RAM_SHAPES = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
_DISTRIBUTED_WORDS = 64  # up to which a memory of the ECP5 lies in its LUTs


def block_rams(memory: MemoryParams, n_reads: int = 1) -> int:
    """Return an estimate of the ECP5's block RAMs for a memory; two read ports halve the width of
    a block RAM.
    """
    if memory.depth <= _DISTRIBUTED_WORDS:
        return 0
    shapes = [(w, d) for w, d in _BLOCK_RAM_SHAPES if n_reads == 1 or w <= 18]
    return min(-(-memory.width // w) * -(-memory.depth // d) for w, d in shapes)


def part_block_rams(part: Part) -> int:
    """Return an estimate of the ECP5's block RAMs for the memories of a part."""
    total = sum(map(block_rams, part.buffers.values()))
    for name, memory in part.memories.items():
        if name != "scalars":
            segments = [replace(memory, depth=depth) for depth in memory.segments]
            copies = part.copies(name)
            total += sum(block_rams(segment, n) for segment in segments for n in copies)
    return total


def core_block_rams(core: CoreParams) -> int:
    """Return an estimate of the ECP5's block RAMs for all memories of a core."""
    return outlet_block_rams(core) + sum(map(part_block_rams, core.parts.values()))


def outlet_block_rams(core: CoreParams) -> int:
    """Return an estimate of those of what turns blocks of spikes into timesteps, if it is there."""
    outlet = core.spike_output
    return sum(map(block_rams, outlet.buffers.values())) if outlet else 0
