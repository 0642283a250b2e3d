"""What turns a last layer's blocks into timesteps, where its spikes leave the core."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from golden.formats import Fixed
from golden.hardware.memory import MemoryParams, address_width
from golden.hardware.stages import SPIKE_OUTPUT_LATENCY


@dataclass(frozen=True)
class SpikeOutputHardware:
    """Lists of the spikes of each timestep of a block: one block is sent while one is filled."""

    n_neurons: int
    block: int

    n_lists = 2
    latency = SPIKE_OUTPUT_LATENCY

    @cached_property
    def buffers(self) -> dict[str, MemoryParams]:
        """What it writes itself: for each timestep of a block the neurons that spike."""
        width = address_width(self.n_neurons)
        address, depth = Fixed(width, signed=False), self.n_lists << width
        found = [MemoryParams(f"spikes{t}", depth, 1, address) for t in range(self.block)]
        return {memory.name: memory for memory in found}
