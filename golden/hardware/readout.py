"""The readout on given lanes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from golden.formats import Fixed
from golden.hardware.counters import COMMON_COUNTERS, READOUT_COUNTERS, REPORT_COUNTERS
from golden.hardware.memory import LOAD_WIDTH, MemoryParams
from golden.hardware.part import PartHardware
from golden.hardware.stages import (
    LEAKY_LOGIT_LATENCY,
    LEAKY_LOGIT_LOOP,
    LOGIT_LATENCY,
    NEURON_STAGE,
    RESULT_SETS,
)
from golden.readout_params import ReadoutParams


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
    def interval(self) -> int:
        return LEAKY_LOGIT_LOOP if self.params.leaky and self.block > 1 else 1

    @property
    def output_latency(self) -> int:
        return LEAKY_LOGIT_LATENCY if self.params.leaky else LOGIT_LATENCY

    @property
    def settle(self) -> int:
        """Cycles by which the last timestep of a whole block is written after its first one."""
        return (self.block - 1) * self.interval

    @property
    def result_stage(self) -> int:
        """Stage of the end of a sequence, or of a report, in which what is sent is read first.

        With reports, the schedule waits for `settle` itself, as the next block does not.
        """
        written = NEURON_STAGE + self.output_latency + (self.params.report == "max")
        return written if self.reports else written + self.settle

    @property
    def multipliers(self) -> dict[str, int]:
        return {"leak": self.lanes} if self.params.leaky else {}

    @cached_property
    def memories(self) -> dict[str, MemoryParams]:
        p = self.params
        found = [
            MemoryParams("w_o", self.n_groups * p.n_inputs, self.lanes, p.w_o),
            MemoryParams("b_o", self.n_groups, self.lanes, p.b_o),
        ]
        if p.leaky:
            word = Fixed(max(LOAD_WIDTH, *(fmt.width + 1 for fmt in self.scalars.values())))
            found.append(MemoryParams("scalars", len(self.scalars), 1, word))
        return self.loaded(found)

    @cached_property
    def scalars(self) -> dict[str, Fixed]:
        """The formats of the numbers that all classes share, in the order of their words."""
        return {"leak": self.params.leak} if self.params.leaky else {}

    @cached_property
    def buffers(self) -> dict[str, MemoryParams]:
        """What the readout writes itself: the event list, logits, the largest so far (`peaks`),
        what waits to be sent (`results`).
        """
        p = self.params
        found = [*self._list_buffers, MemoryParams("logits", self.n_groups, self.lanes, p.logit)]
        if p.report == "max":
            found.append(MemoryParams("peaks", self.n_groups, self.lanes, p.logit))
        if self.reports:
            found.append(MemoryParams("results", RESULT_SETS * self.n_groups, self.lanes, p.logit))
        return {memory.name: memory for memory in found}

    @cached_property
    def counters(self) -> tuple[str, ...]:
        reports = REPORT_COUNTERS if self.reports else ()
        return (*COMMON_COUNTERS, *READOUT_COUNTERS, *reports, *self.accesses)

    @cached_property
    def accesses(self) -> tuple[str, ...]:
        if not self.hardware.access_counters:
            return ()
        found = (*self.list_accesses, "w_o_reads", "b_o_reads", "logits_reads", "logits_writes")
        if self.params.leaky:
            found += ("leak_products",)
        if self.params.report == "max":
            found += ("peaks_reads", "peaks_writes")
        return found
