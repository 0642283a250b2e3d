"""How the neurons of a group share the units of the neuron stage, and how long a unit takes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from golden.hardware.stages import MEMBRANE_LOOP, MEMBRANE_READ, NEURON_STAGE


@dataclass(frozen=True)
class NeuronFold:
    """The neuron stage of a layer: `units` units, each of which takes `fold` neurons of a group in
    turn, timestep by timestep of a block.

    So the leak has few multipliers, which work while the sums of the next group grow. Neuron n is
    that of unit n mod `units` in word n div `units`.

    Parameters
    ----------
    lanes, block, n_groups
        Of the layer.
    dense_steps
        Steps of the dense state path for a group, in the block that has the fewest.
    recurrent
        Whether the layer waits for its own spikes.
    synapse
        Whether a synaptic current comes before the membrane. It is updated by the same walk,
        `latency` cycles ahead.
    """

    lanes: int
    block: int
    n_groups: int
    dense_steps: int
    recurrent: bool
    synapse: bool = False

    @cached_property
    def fold(self) -> int:
        """Neurons that share a unit: as many as never make a group wait for it."""
        loop = 1 if self.block == 1 else MEMBRANE_LOOP
        limit = max(self.dense_steps, self.block * loop)
        return max(f for f in range(1, limit + 1) if not self.lanes % f and f * self.block <= limit)

    @property
    def units(self) -> int:
        return self.lanes // self.fold

    @property
    def interval(self) -> int:
        """Cycles from a membrane's update to that of the next timestep of the block."""
        return self.fold if self.block == 1 else max(self.fold, MEMBRANE_LOOP)

    @property
    def steps(self) -> int:
        """Cycles that a group takes."""
        return self.block * self.interval

    @cached_property
    def relaxed(self) -> bool:
        """Whether an update takes two cycles more than it must, for a faster clock: where nothing
        has to wait for it.
        """
        loop = MEMBRANE_LOOP + 1
        written = MEMBRANE_READ + 1 + loop + (self.block - 1) * self.interval
        waits = self.recurrent or self.n_groups * self.steps <= written
        return not waits and (self.block == 1 or self.interval >= loop)

    @property
    def membrane_read(self) -> int:
        """Cycles from a membrane's address to its operand register: what is read is registered if
        relaxed.
        """
        return MEMBRANE_READ + self.relaxed

    @property
    def membrane_loop(self) -> int:
        """Cycles from a membrane's operand register to that of its next timestep: sums are
        registered before they are clamped if relaxed.
        """
        return MEMBRANE_LOOP + self.relaxed

    @property
    def latency(self) -> int:
        """Cycles from a membrane's address to its write; those of a synaptic current are the
        same.
        """
        return self.membrane_read + self.membrane_loop

    @property
    def membrane_stage(self) -> int:
        """Stage at which membranes are addressed: a synaptic current comes first."""
        return NEURON_STAGE + self.latency * self.synapse

    @property
    def write_stage(self) -> int:
        """Stage at which the spikes of a group go to the encoder."""
        return self.membrane_stage + self.latency + self.steps - self.interval + self.fold
