"""Mutants that change nothing that a core, a file or a prediction is. Each was read by a person."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from mutants.files import ROOT
from mutants.mutate import Mutant


@dataclass(frozen=True)
class Equivalent:
    """A mutant that needs no test: its line as it is and as it becomes, without the space around,
    and why that is the same.
    """

    path: str
    line: str
    becomes: str
    why: str


ONE_BIT_MORE = "one bit more, which is always 0, and nobody asks for its opposite"
A_SLICE_ENDS = (
    "it cuts an address above its lanes and the index of a word, which have no bit more: a slice"
    " ends where its signal ends"
)
APART = "an item that closes a block is another one than that which ends the sequence"

EQUIVALENTS = (
    Equivalent(
        "rtl/host/buses.py",
        '"read_ready": In(1),',
        '"read_ready": In(2),',
        "the second bit is always 0, and all who read it ask whether any bit is set",
    ),
    Equivalent(
        "golden/cost/part_timeline.py",
        "finished: int = -(1 << 40)  # cycle of the last step of the last block",
        "finished: int = -(1 << 41)  # cycle of the last step of the last block",
        "a cycle long before any: only the later one of it and a cycle from 0 on is taken",
    ),
    Equivalent(
        "golden/cost/part_timeline.py",
        "results: int = -1  # cycle in which the last result was sent",
        "results: int = -2  # cycle in which the last result was sent",
        "only the later one of it and the cycle of the first result is taken, which is positive",
    ),
    Equivalent(
        "rtl/delay_line.py",
        "word_bits = (layer.delay_ring.words - 1).bit_length()",
        "word_bits = (layer.delay_ring.words - 0).bit_length()",
        A_SLICE_ENDS,
    ),
    Equivalent(
        "rtl/bank.py",
        "holds: bool = False,",
        "holds: bool = True,",
        "who leaves it out reads without a register, and only a register can hold",
    ),
    Equivalent(
        "rtl/delay_line.py",
        '"closed": 1,',
        '"closed": 2,',
        ONE_BIT_MORE,
    ),
    Equivalent(
        "rtl/delay_line.py",
        '"fires": 1,',
        '"fires": 2,',
        ONE_BIT_MORE,
    ),
    Equivalent(
        "rtl/layouts.py",
        '"last": 1,',
        '"last": 2,',
        ONE_BIT_MORE,
    ),
    Equivalent(
        "rtl/signatures.py",
        '"sequence_end": Out(1),',
        '"sequence_end": Out(2),',
        ONE_BIT_MORE,
    ),
    Equivalent(
        "rtl/neuron_stage.py",
        '"update_valid": Out(1),',
        '"update_valid": Out(2),',
        ONE_BIT_MORE,
    ),
    Equivalent(
        "rtl/slow_state.py",
        '"ready": Out(1),',
        '"ready": Out(2),',
        ONE_BIT_MORE,
    ),
    Equivalent(
        "rtl/group_schedule.py",
        "m.d.sync += [ending.eq(0), fresh.eq(1), phase.eq(0)]",
        "m.d.sync += [ending.eq(2), fresh.eq(1), phase.eq(0)]",
        "it has one bit: of 2 that is 0",
    ),
    Equivalent(
        "rtl/slow_state.py",
        "address = Signal(coefficients.address[0].shape())",
        "address = Signal(coefficients.address[1].shape())",
        "both ports have addresses of one shape",
    ),
    Equivalent(
        "rtl/drive.py",
        'fires = stages(m, arrival.fires, 1, "fires")',
        'fires = stages(m, arrival.fires, 2, "fires")',
        "one register more, which nobody reads",
    ),
    Equivalent(
        "rtl/output_walk.py",
        'self._moving = spread(m, walk.moving, 1, n_lanes, "moving")',
        'self._moving = spread(m, walk.moving, 0, n_lanes, "moving")',
        "the last register is always there: only its name is another",
    ),
    Equivalent(
        "rtl/delay_line.py",
        "with m.If(arrived.closed | arrived.discarded):",
        "with m.If(arrived.closed ^ arrived.discarded):",
        APART,
    ),
    Equivalent(
        "rtl/repeated.py",
        "return arrivals.timestep_ended | arrivals.o.closed | arrivals.o.discarded",
        "return arrivals.timestep_ended | arrivals.o.closed ^ arrivals.o.discarded",
        APART,
    ),
    Equivalent(
        "rtl/host/uart_bridge.py",
        "DEPTH = 1 << (MAX_COMMAND_BYTES - 1).bit_length()"
        "  # bytes that wait; no block RAM is smaller",
        "DEPTH = 1 << (MAX_COMMAND_BYTES - 0).bit_length()"
        "  # bytes that wait; no block RAM is smaller",
        "1,027 has as many bits as 1,028",
    ),
    Equivalent(
        "golden/integer.py",
        "self.saturations[name] += changed.reshape(len(value), -1).sum(1)",
        "self.saturations[name] += changed.reshape(len(value), -2).sum(1)",
        "numpy finds the size that is negative, whatever it is",
    ),
    Equivalent(
        "golden/cost/outlet.py",
        "came: int = -1  # cycle of the last item's transfer",
        "came: int = -2  # cycle of the last item's transfer",
        "only the later one of the cycle after it and a cycle from 0 on is taken",
    ),
    Equivalent(
        "rtl/spike_path.py",
        "inverted = Const((1 << shape.size) - 1 if payload_width == 1 else 0, shape.size)",
        "inverted = Const((0 << shape.size) - 1 if payload_width == 1 else 0, shape.size)",
        "all bits of both constants are set",
    ),
    Equivalent(
        "golden/cost/outlet.py",
        "room = self.released[before] + 1 if before >= 0 else 0",
        "room = self.released[before] + 1 if before >= 0 else 2",
        "no spike leaves a core before cycle 2",
    ),
    Equivalent(
        "golden/cost/part_timeline.py",
        "self.moved = max(earliest, self.moved + 1, self.sent)",
        "self.moved = max(earliest, self.moved - 1, self.sent)",
        "what was sent was sent a cycle after it moved, or later",
    ),
    Equivalent(
        "rtl/delay_line.py",
        "word_bits = (layer.delay_ring.words - 1).bit_length()",
        "word_bits = (layer.delay_ring.words + 1).bit_length()",
        A_SLICE_ENDS,
    ),
    Equivalent(
        "golden/cost/part_search.py",
        "LANES = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128)",
        "LANES = (1, 1, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128)",
        "2 lanes are tried anyway: the fewest for half as many groups as neurons",
    ),
    Equivalent(
        "golden/cost/part_timeline.py",
        "self.moved = max(taken + DELAY_LATENCY, self.moved + 1, self.sent)",
        "self.moved = max(taken + DELAY_LATENCY, self.moved + 2, self.sent)",
        "a report is taken after the item before it has moved, and moves 4 cycles later",
    ),
)


@cache
def _lines(path: str) -> list[str]:
    return (ROOT / path).read_text().splitlines()


def reason(mutant: Mutant) -> str:
    """Return why a mutant is equivalent, or nothing."""
    line = _lines(mutant.path)[mutant.line - 1]
    shown = (mutant.path, line.strip(), mutant.changed(line).strip())
    for known in EQUIVALENTS:
        if (known.path, known.line, known.becomes) == shown:
            return known.why
    return ""
