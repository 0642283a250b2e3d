"""The readout on given lanes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from golden.formats import Fixed
from golden.hardware.counters import COMMON_COUNTERS, READOUT_COUNTERS
from golden.hardware.memory import MemoryParams
from golden.hardware.part import PartHardware
from golden.hardware.stages import LOGIT_LATENCY, NEURON_STAGE
from golden.params import ReadoutParams


@dataclass(frozen=True)
class ReadoutHardware(PartHardware):
    """The readout on given lanes: the sparse spike path of a layer with classes for neurons."""

    params: ReadoutParams

    @property
    def n_outputs(self) -> int:
        return self.params.n_classes

    @property
    def payload(self) -> Fixed:
        return self.params.payload

    @property
    def output_latency(self) -> int:
        return LOGIT_LATENCY

    @property
    def write_stage(self) -> int:
        """Stage at which the logits of a group's last timestep are written."""
        return NEURON_STAGE + LOGIT_LATENCY + self.block - 1

    @property
    def multipliers(self) -> dict[str, int]:
        return {}

    @cached_property
    def memories(self) -> dict[str, MemoryParams]:
        p = self.params
        return {
            "w_o": MemoryParams("w_o", self.n_groups * p.n_inputs, self.lanes, p.w_o),
            "b_o": MemoryParams("b_o", self.n_groups, self.lanes, p.b_o),
        }

    @cached_property
    def buffers(self) -> dict[str, MemoryParams]:
        logits = MemoryParams("logits", self.n_groups, self.lanes, self.params.logit)
        return {memory.name: memory for memory in (*self._list_buffers, logits)}

    @cached_property
    def counters(self) -> tuple[str, ...]:
        return (*COMMON_COUNTERS, *READOUT_COUNTERS, *self.accesses)

    @cached_property
    def accesses(self) -> tuple[str, ...]:
        if not self.hardware.access_counters:
            return ()
        return (*self.list_accesses, "w_o_reads", "b_o_reads", "logits_reads", "logits_writes")
